//! Walks a validated document and answers it field by field.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::Value as Literal;
use apollo_compiler::executable::{DirectiveList, Field, Selection, SelectionSet};
use apollo_compiler::validation::Valid;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{GraphqlError, arguments, node, schema};
use crate::faults::FaultKind;
use crate::world::World;

/// Accounts in one query.
const MOST_ACCOUNTS: usize = 1;

/// What every step needs.
pub(super) struct Context<'a> {
    document: &'a ExecutableDocument,
    pub(super) variables: &'a Map<String, Value>,
    pub(super) fault: Option<&'a FaultKind>,
    pub(super) world: &'a World,
    pub(super) now: Timestamp,
}

/// A field that was asked for under `key`, with everything selected below it.
pub(super) struct Asked<'a> {
    pub(super) key: String,
    pub(super) field: &'a Field,
    pub(super) below: Vec<&'a SelectionSet>,
}

pub(super) fn execute(
    document: &Valid<ExecutableDocument>,
    operation: Option<&str>,
    variables: &Map<String, Value>,
    fault: Option<&FaultKind>,
    world: &World,
    now: Timestamp,
) -> Result<Value, Vec<GraphqlError>> {
    let review = |e: String| {
        vec![GraphqlError::new(format!(
            "query contains error, please review it and retry: {e}"
        ))]
    };
    let operation = document
        .operations
        .get(operation)
        .map_err(|e| review(e.message().to_string()))?;
    let mut values = variables.clone();
    for variable in &operation.variables {
        let name = variable.name.as_str();
        if values.contains_key(name) {
            continue;
        }
        if let Some(default) = &variable.default_value {
            let kind = variable.ty.to_string();
            let value = arguments::value_of(default, &kind, &Map::new()).map_err(review)?;
            values.insert(name.to_owned(), value.unwrap_or_default());
        } else if variable.ty.is_non_null() {
            return Err(review(format!("variable \"{name}\" has no value")));
        }
    }
    let context = Context {
        document,
        variables: &values,
        fault,
        world,
        now,
    };
    query(&context, &operation.selection_set).map_err(|e| vec![e])
}

impl<'a> Context<'a> {
    /// The fields of some selections, fragments unfolded, equal keys merged, in document order.
    pub(super) fn fields(&self, selections: &[&'a SelectionSet]) -> Vec<Asked<'a>> {
        let mut all = Vec::new();
        for set in selections {
            self.collect(set, &mut all);
        }
        all
    }

    fn collect(&self, set: &'a SelectionSet, all: &mut Vec<Asked<'a>>) {
        for selection in &set.selections {
            if self.left_out(selection.directives()) {
                continue;
            }
            match selection {
                Selection::Field(field) => {
                    let key = field.response_key().as_str();
                    match all.iter_mut().find(|a| a.key == key) {
                        Some(asked) => asked.below.push(&field.selection_set),
                        None => all.push(Asked {
                            key: key.to_owned(),
                            field,
                            below: vec![&field.selection_set],
                        }),
                    }
                }
                Selection::InlineFragment(fragment) => self.collect(&fragment.selection_set, all),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name) {
                        self.collect(&fragment.selection_set, all);
                    }
                }
            }
        }
    }

    fn left_out(&self, directives: &DirectiveList) -> bool {
        let flag = |name: &str| {
            let directive = directives.get(name)?;
            match &*directive.specified_argument_by_name("if")?.to_owned() {
                Literal::Boolean(flag) => Some(*flag),
                Literal::Variable(variable) => self.variables.get(variable.as_str())?.as_bool(),
                _ => None,
            }
        };
        flag("skip") == Some(true) || flag("include") == Some(false)
    }

    /// Whether the account's contract has no such node.
    pub(super) fn lacks(&self, node: &str) -> bool {
        self.world.config.missing_nodes.iter().any(|missing| missing == node)
    }

    /// An argument's value, checked against its declared type.
    pub(super) fn argument(&self, field: &Field, name: &str, kind: &str) -> Result<Option<Value>, String> {
        match field.specified_argument_by_name(name) {
            None => Ok(None),
            Some(literal) => arguments::value_of(literal, kind, self.variables).map_err(|e| format!("{name}: {e}")),
        }
    }
}

fn query(context: &Context<'_>, set: &SelectionSet) -> Result<Value, GraphqlError> {
    let mut data = Map::new();
    for asked in context.fields(&[set]) {
        let value = match asked.field.name.as_str() {
            "cost" => json!(1),
            "viewer" => viewer(context, &asked)?,
            "__typename" => json!("Query"),
            other => return Err(GraphqlError::new(format!("unknown field \"{other}\""))),
        };
        data.insert(asked.key, value);
    }
    Ok(Value::Object(data))
}

fn viewer(context: &Context<'_>, asked: &Asked<'_>) -> Result<Value, GraphqlError> {
    let mut data = Map::new();
    let asked_accounts = context.fields(&asked.below);
    if asked_accounts.iter().filter(|a| a.field.name == "accounts").count() > MOST_ACCOUNTS {
        return Err(GraphqlError::at(
            "in combination, your request queries too many nodes, zones and accounts",
            &["viewer"],
        ));
    }
    for asked in context.fields(&asked.below) {
        let value = match asked.field.name.as_str() {
            "budget" => json!(context.world.lock().graphql_quota.remaining()),
            "accounts" => accounts(context, &asked)?,
            _ => json!("viewer"),
        };
        data.insert(asked.key, value);
    }
    Ok(Value::Object(data))
}

fn accounts(context: &Context<'_>, asked: &Asked<'_>) -> Result<Value, GraphqlError> {
    let failed = |e: String| {
        GraphqlError::at(
            format!("error parsing args for \"accounts\": {e}"),
            &["viewer", "accounts"],
        )
    };
    let filter = context
        .argument(asked.field, "filter", "AccountFilter_InputObject!")
        .map_err(failed)?;
    let Some(tag) = filter
        .as_ref()
        .and_then(|f| f.get("accountTag"))
        .and_then(Value::as_str)
    else {
        return Err(failed("filter: field \"accountTag\" is required".into()));
    };
    // An account that the token cannot see is simply not in the list.
    if tag != context.world.config.account_id {
        return Ok(json!([]));
    }
    let mut data = Map::new();
    for asked in context.fields(&asked.below) {
        let value = match asked.field.name.as_str() {
            "accountTag" => json!(tag),
            "settings" => settings(context, &asked),
            "__typename" => json!("account"),
            _ => node::run(context, &asked)?,
        };
        data.insert(asked.key, value);
    }
    Ok(json!([data]))
}

fn settings(context: &Context<'_>, asked: &Asked<'_>) -> Value {
    let limits = context.world.config.node_limits;
    let mut data = Map::new();
    for asked in context.fields(&asked.below) {
        let name = asked.field.name.as_str();
        if name == "__typename" {
            data.insert(asked.key, json!("AccountSettings"));
            continue;
        }
        let mut values = Map::new();
        for setting in context.fields(&asked.below) {
            let value = match setting.field.name.as_str() {
                "enabled" => json!(!context.lacks(name)),
                "availableFields" => json!(available_fields(name)),
                "maxPageSize" => json!(limits.max_page_size),
                "maxNumberOfFields" => json!(limits.max_number_of_fields),
                "notOlderThan" => json!(limits.not_older_than_s),
                "maxDuration" => json!(limits.max_duration_s),
                _ => json!("Settings"),
            };
            values.insert(setting.key, value);
        }
        data.insert(asked.key, Value::Object(values));
    }
    Value::Object(data)
}

fn available_fields(node: &str) -> Vec<String> {
    let owner = node::type_of(node);
    let mut all = Vec::new();
    for (group, suffix) in [("dimensions", "Dimensions"), ("sum", "Sum"), ("avg", "Avg")] {
        all.extend(
            schema::fields_of(&format!("{owner}{suffix}"))
                .iter()
                .map(|(name, _)| format!("{group}_{name}")),
        );
    }
    if all.is_empty() {
        all.extend(schema::fields_of(&owner).iter().map(|(name, _)| (*name).to_owned()));
    }
    all
}
