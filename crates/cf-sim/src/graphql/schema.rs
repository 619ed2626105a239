//! The schema, parsed once. It is used in two forms: with integer widths folded together for validating documents
//! (clients write `Int!` and `uint64!` alike), and as written for checking and producing values.

use std::collections::HashMap;
use std::sync::LazyLock;

use apollo_compiler::Schema;
use apollo_compiler::validation::Valid;

const SDL: &str = include_str!("../../schema/cloudflare.graphql");

static FOLDED: LazyLock<Option<Valid<Schema>>> = LazyLock::new(|| {
    let folded: Vec<String> = SDL.lines().map(fold_line).collect();
    match Schema::parse_and_validate(folded.join("\n"), "cloudflare.graphql") {
        Ok(schema) => Some(schema),
        Err(problem) => {
            tracing::error!(event = "sim.schema.invalid", error = %problem.errors);
            None
        }
    }
});

static FIELDS: LazyLock<HashMap<&'static str, HashMap<&'static str, &'static str>>> = LazyLock::new(field_types);

/// For validating; `None` only if the embedded file were broken, which a test rules out.
pub(crate) fn folded() -> Option<&'static Valid<Schema>> {
    FOLDED.as_ref()
}

/// Name of a scalar family: all integers are `uint64`, both floats `float64`; GraphQL's own names are accepted too.
pub(crate) fn fold_name(name: &str) -> &str {
    match name {
        "Int" | "int64" | "int32" | "uint8" | "uint16" | "uint32" => "uint64",
        "Float" | "float32" => "float64",
        "String" | "ID" => "string",
        "Boolean" => "bool",
        other => other,
    }
}

/// Declared type of a field or input field, for instance `uint16!`.
pub(crate) fn field_type(owner: &str, field: &str) -> Option<&'static str> {
    FIELDS.get(owner)?.get(field).copied()
}

/// Fields of a type, sorted by name.
pub(crate) fn fields_of(owner: &str) -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<_> = FIELDS.get(owner).into_iter().flatten().map(|(k, v)| (*k, *v)).collect();
    all.sort_unstable();
    all
}

fn fold_line(line: &str) -> String {
    if !line.starts_with(' ') || !line.contains(':') {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len());
    let mut word = String::new();
    for c in line.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
        } else {
            out.push_str(fold_name(&word));
            word.clear();
            out.push(c);
        }
    }
    out.push_str(fold_name(&word));
    out
}

/// The file has one definition or field a line; arguments stand on the line of their field and are left out here.
fn field_types() -> HashMap<&'static str, HashMap<&'static str, &'static str>> {
    let mut all: HashMap<_, HashMap<_, _>> = HashMap::new();
    let mut owner = "";
    for line in SDL.lines() {
        if let Some(rest) = line.strip_prefix("type ").or_else(|| line.strip_prefix("input ")) {
            owner = rest.trim_end_matches(['{', ' ']);
        } else if line.starts_with('}') {
            owner = "";
        } else if let Some((name, kind)) = line.trim().split_once(": ").filter(|_| !owner.is_empty()) {
            let (name, kind) = match name.split_once('(') {
                Some((name, _)) => (name, kind.rsplit("): ").next().unwrap_or(kind)),
                None => (name, kind),
            };
            all.entry(owner)
                .or_default()
                .insert(name, kind.split(" @").next().unwrap_or(kind));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_schema_is_valid() {
        assert!(folded().is_some());
        assert_eq!(
            field_type("AccountDosdNetworkAnalyticsAdaptiveGroupsDimensions", "destinationPort"),
            Some("uint16!")
        );
        assert_eq!(
            field_type("account", "dosdAttackAnalyticsGroups"),
            Some("[AccountDosdAttackAnalyticsGroups!]!")
        );
        assert_eq!(
            field_type(
                "AccountMagicTransitNetworkAnalyticsAdaptiveGroupsFilter_InputObject",
                "ipProtocol_in"
            ),
            Some("bytes")
        );
    }
}
