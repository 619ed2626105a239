//! Where a rule goes in its ruleset: before or after another, or to a place by number.

use serde_json::Value;

use super::check::{self, Refused};

/// Where a rule goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    First,
    Last,
    Before(String),
    After(String),
    /// From 1.
    Index(u64),
}

impl Position {
    /// Exactly one of `before`, `after` and `index`; an empty `before` is the first place, an empty `after` the last.
    pub(super) fn read(given: &Value) -> Result<Self, Refused> {
        let wrong = |text: &str| Refused::new(check::WRONG_VALUE, "/position", text);
        let one = given.as_object().filter(|fields| fields.len() == 1);
        let Some((name, value)) = one.and_then(|fields| fields.iter().next()) else {
            return Err(wrong("position must have exactly one of before, after and index"));
        };
        match (name.as_str(), value) {
            ("before", Value::String(id)) if id.is_empty() => Ok(Self::First),
            ("before", Value::String(id)) => Ok(Self::Before(id.clone())),
            ("after", Value::String(id)) if id.is_empty() => Ok(Self::Last),
            ("after", Value::String(id)) => Ok(Self::After(id.clone())),
            ("index", value) => value
                .as_u64()
                .map(Self::Index)
                .ok_or_else(|| wrong("index must be a number from 1")),
            _ => Err(wrong("position must have exactly one of before, after and index")),
        }
    }

    /// Index in a list of rules in which the moved rule is not.
    pub(super) fn among(&self, rules: &[Value]) -> Result<usize, Refused> {
        let find = |id: &str| {
            let missing = || {
                Refused::new(
                    check::WRONG_VALUE,
                    "/position",
                    format!("could not find rule with ID {id}"),
                )
            };
            rules.iter().position(|r| r["id"] == id).ok_or_else(missing)
        };
        match self {
            Self::First => Ok(0),
            Self::Last => Ok(rules.len()),
            Self::Before(id) => find(id),
            Self::After(id) => find(id).map(|i| i + 1),
            Self::Index(n) => usize::try_from(*n)
                .ok()
                .filter(|n| (1..=rules.len() + 1).contains(n))
                .map(|n| n - 1)
                .ok_or_else(|| {
                    Refused::new(
                        check::WRONG_VALUE,
                        "/position/index",
                        format!("index {n} is out of range"),
                    )
                }),
        }
    }
}
