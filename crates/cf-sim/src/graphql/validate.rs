//! Parses and validates a document, and says what is wrong with it in Cloudflare's words.

use apollo_compiler::ast;
use apollo_compiler::validation::{DiagnosticList, Valid};
use apollo_compiler::{ExecutableDocument, Name};
use serde_json::{Map, Value};

use super::{GraphqlError, schema};

/// A document that fits the schema. The values of variables are not looked at, except that a nullable variable with a
/// value may stand where a value is required, as the service allows.
pub(crate) fn validate(
    query: &str,
    variables: &Map<String, Value>,
) -> Result<Valid<ExecutableDocument>, Vec<GraphqlError>> {
    let Some(schema) = schema::folded() else {
        return Err(vec![GraphqlError::new("Internal server error")]);
    };
    let mut document = ast::Document::parse(query, "query.graphql").map_err(|bad| describe(&bad.errors))?;
    for definition in &mut document.definitions {
        if let ast::Definition::OperationDefinition(operation) = definition {
            for variable in &mut operation.make_mut().variables {
                let given = variables.get(variable.name.as_str()).is_some_and(|v| !v.is_null());
                let variable = variable.make_mut();
                let kind = fold(&variable.ty);
                *variable.ty.make_mut() = if given { kind.non_null() } else { kind };
            }
        }
    }
    document
        .to_executable_validate(schema)
        .map_err(|bad| describe(&bad.errors))
}

fn fold(kind: &ast::Type) -> ast::Type {
    let name = |n: &Name| Name::new(schema::fold_name(n.as_str())).unwrap_or_else(|_| n.clone());
    match kind {
        ast::Type::Named(n) => ast::Type::Named(name(n)),
        ast::Type::NonNullNamed(n) => ast::Type::NonNullNamed(name(n)),
        ast::Type::List(inner) => ast::Type::List(Box::new(fold(inner))),
        ast::Type::NonNullList(inner) => ast::Type::NonNullList(Box::new(fold(inner))),
    }
}

fn describe(problems: &DiagnosticList) -> Vec<GraphqlError> {
    let mut errors: Vec<GraphqlError> = Vec::new();
    // An unknown field leaves an empty selection behind; only the cause is told.
    let caused = problems.iter().any(|p| {
        p.error
            .unstable_error_name()
            .is_some_and(|k| k == "UndefinedField" || k.starts_with("SubselectionOn"))
    });
    for problem in problems.iter().take(10) {
        let kind = problem.error.unstable_error_name().unwrap_or("Syntax");
        if caused && kind == "MissingSubselection" {
            continue;
        }
        let text = problem
            .error
            .unstable_compat_message()
            .unwrap_or_else(|| problem.error.to_string());
        let message = words(kind, &text);
        if !errors.iter().any(|e| e.message == message) {
            errors.push(GraphqlError::new(message));
        }
    }
    if errors.is_empty() {
        errors.push(GraphqlError::new("query contains error, please review it and retry"));
    }
    errors
}

/// `text` is in the reference implementation's form, with names in double quotes.
fn words(kind: &str, text: &str) -> String {
    let quoted: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
    let first = quoted.first().copied().unwrap_or_default();
    let second = quoted.get(1).copied().unwrap_or_default();
    match kind {
        "UndefinedField" => format!("unknown field \"{first}\""),
        "SubselectionOnScalarType" | "SubselectionOnEnumType" => "scalar fields must have no selections".to_owned(),
        "MissingSubselection" => "object field must have selections".to_owned(),
        "UndefinedArgument" => {
            let node = second.rsplit('.').next().unwrap_or(second);
            format!("error parsing args for \"{node}\": unknown argument \"{first}\"")
        }
        "RequiredArgument" => format!("error parsing args for \"{first}\": argument \"{second}\" is required"),
        "UndefinedInputValue" => format!(
            "error parsing args for \"{}\": filter: unknown field \"{first}\"",
            node_of(second)
        ),
        "RequiredField" => {
            let (owner, field) = first.split_once('.').unwrap_or((first, ""));
            format!(
                "error parsing args for \"{}\": filter: field \"{field}\" is required",
                node_of(owner)
            )
        }
        "UndefinedEnumValue" => format!(
            "error parsing args for \"{}\": orderBy: unknown value \"{first}\"",
            node_of(second)
        ),
        _ => format!("query contains error, please review it and retry: {text}"),
    }
}

/// The node that an input type belongs to: `AccountXFilter_InputObject` belongs to `x`.
fn node_of(input_type: &str) -> String {
    let bare = input_type
        .trim_end_matches("Filter_InputObject")
        .trim_end_matches("OrderBy");
    let bare = bare
        .strip_prefix("Account")
        .filter(|b| !b.is_empty())
        .unwrap_or("accounts");
    let mut letters = bare.chars();
    letters
        .next()
        .map_or_else(String::new, |c| c.to_ascii_lowercase().to_string() + letters.as_str())
}
