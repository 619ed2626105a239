//! Where an override is to stand among all, and the change that puts it there.
//!
//! Must hold: places are among all override rules, the one for everything too; a place is named by the neighbour it was seen
//! beside, so that nobody's move means another place.

use cf_api::rest::rulesets::Rule;
use cf_api::rest::rulesets_changes::{Position, RulesetChange};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Plan, chosen, look_ahead, name_of, wrong};
use crate::answer::Failure;
use crate::connectors::edit::Difference;
use crate::protection::Protection;
use crate::words;

/// Where an override is to stand.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Place {
    /// `first`, `up`, `down`, `last`; or one of the others.
    pub(crate) direction: Option<String>,
    /// Number from 1 among all.
    #[serde(default, deserialize_with = "number")]
    pub(crate) index: Option<usize>,
    /// Id of the override before which it is to stand.
    pub(crate) before: Option<String>,
    /// Id of the override behind which it is to stand; `first` for none.
    pub(crate) after: Option<String>,
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let wrong = || serde::de::Error::custom("index is a number from 1");
    match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| wrong()),
        Some(Value::Number(number)) => number
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .map(Some)
            .ok_or_else(wrong),
        Some(_) => Err(wrong()),
    }
}

/// Moving an override.
///
/// # Errors
/// 400 where it stands there already or the place is none.
pub(crate) fn movement(protection: &Protection, old: &Rule, place: &Place) -> Result<Plan, Failure> {
    let rules = protection.point.rules();
    let at = rules.iter().position(|rule| rule.id == old.id).unwrap_or_default();
    let others: Vec<&Rule> = rules.iter().filter(|rule| rule.id != old.id).collect();
    let beside = |id: &str| {
        let found = others.iter().position(|rule| rule.id == id);
        found.ok_or_else(|| wrong("There is no such override to stand beside. Nothing was sent."))
    };
    let asked = (
        chosen(&place.direction),
        place.index,
        chosen(&place.before),
        chosen(&place.after),
    );
    // Number of others before it.
    let to = match &asked {
        (Some(word), None, None, None) => match word.as_str() {
            "first" => 0,
            "up" => at.saturating_sub(1),
            "down" => (at + 1).min(others.len()),
            "last" => others.len(),
            _ => return Err(wrong("direction is first, up, down or last.")),
        },
        (None, Some(number), None, None) if (1..=rules.len()).contains(number) => number - 1,
        (None, Some(_), None, None) => return Err(wrong(format!("index is from 1 to {}.", rules.len()))),
        (None, None, Some(id), None) => beside(id)?,
        (None, None, None, Some(word)) if word == "first" => 0,
        (None, None, None, Some(id)) => beside(id)? + 1,
        _ => return Err(wrong("Say one of direction, index, before and after.")),
    };
    if to == at {
        let text = "It stands there already. Nothing was sent.";
        return Err(Failure::bad_request("nothing_differs", text));
    }
    let position = match to.checked_sub(1).and_then(|before| others.get(before)) {
        None => Position::First,
        Some(before) => Position::After(before.id.clone()),
    };
    let words = |place: usize| format!("{place} of {}", rules.len());
    let mut plan = Plan {
        change: Some(RulesetChange::Move {
            id: old.id.clone(),
            position,
        }),
        until: None,
        id: Some(old.id.clone()),
        subject: name_of(old).to_owned(),
        differences: vec![Difference {
            what: "place",
            before: words(at + 1),
            after: words(to + 1),
            note: match to.checked_sub(1).and_then(|before| others.get(before)) {
                None => "before all others".to_owned(),
                Some(before) => format!("right behind {}", words::outside_up_to(name_of(before), 60)),
            },
        }],
        notes: Vec::new(),
        weakens: false,
        typed: None,
    };
    look_ahead(protection, &mut plan);
    Ok(plan)
}
