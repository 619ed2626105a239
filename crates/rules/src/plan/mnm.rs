//! The steps for monitoring rules: create, then edit; deletions go to the end of the whole plan.

use std::collections::BTreeSet;

use cf_api::rest::mnm_changes::MnmFields;
use db::rule_changes::{Family, Owned};

use super::{Act, Live, Plan, Step, differences};
use crate::file::{MnmEntry, Rate};
use crate::mnm::{normal, problems, same};

pub(super) fn plan(
    entries: &[MnmEntry],
    live: &Live,
    adopt: bool,
    plan: &mut Plan,
    last: &mut Vec<Step>,
    wrong: &mut Vec<String>,
) {
    let mut named = BTreeSet::new();
    let mut edits = Vec::new();
    for entry in entries {
        if !named.insert(entry.name.as_str()) {
            wrong.push(format!("mnm {}: the name stands in the file twice", entry.name));
            continue;
        }
        let wanted = match entry.fields() {
            Ok(wanted) => wanted,
            Err(found) => {
                wrong.extend(found.into_iter().map(|it| format!("mnm {}: {it}", entry.name)));
                continue;
            }
        };
        let there = live.mnm.iter().find(|rule| rule.name == entry.name);
        let found = problems(&wanted);
        let found = found.into_iter().filter(|it| it.field != "name" || there.is_none());
        let before = wrong.len();
        wrong.extend(found.map(|it| format!("mnm {}: {}: {}", entry.name, it.field, it.text)));
        if wrong.len() > before {
            continue;
        }
        let step = |what, act, differences| Step {
            what,
            family: Family::Mnm,
            name: entry.name.clone(),
            differences,
            act,
        };
        let Some(rule) = there else {
            let differences = differences(&[], &values(&wanted));
            plan.steps.push(step("create", Act::CreateMnm(wanted), differences));
            continue;
        };
        let now = match MnmFields::of(rule) {
            Ok(now) => now,
            Err(why) => {
                wrong.push(format!(
                    "mnm {}: the rule at Cloudflare cannot be edited: {why}",
                    entry.name
                ));
                continue;
            }
        };
        if !live.owns(Family::Mnm, &entry.name) {
            if !adopt {
                plan.not_owned.push(format!("mnm {}", entry.name));
                continue;
            }
            let owned = Owned {
                family: Family::Mnm,
                name: entry.name.clone(),
                rule_id: rule.id.clone(),
            };
            plan.steps.push(step("adopt", Act::Adopt(owned), Vec::new()));
        }
        if !same(&now, &wanted) {
            let differences = differences(&values(&now), &values(&wanted));
            edits.push(step("edit", Act::EditMnm(rule.clone(), wanted), differences));
        }
    }
    plan.steps.append(&mut edits);
    for owned in live.owned.iter().filter(|it| it.family == Family::Mnm) {
        if named.contains(owned.name.as_str()) {
            continue;
        }
        let there = live.mnm.iter().find(|rule| rule.name == owned.name);
        let (what, act) = match there {
            Some(rule) => ("delete", Act::DeleteMnm(rule.clone())),
            None => ("forget", Act::Forget(Family::Mnm, owned.name.clone())),
        };
        let now = there.and_then(|rule| MnmFields::of(rule).ok());
        last.push(Step {
            what,
            family: Family::Mnm,
            name: owned.name.clone(),
            differences: now.map(|it| differences(&values(&it), &[])).unwrap_or_default(),
            act,
        });
    }
    let mine = |name: &str| named.contains(name) || live.owns(Family::Mnm, name);
    plan.untouched += live.mnm.iter().filter(|rule| !mine(&rule.name)).count();
}

/// A rule's values as the file writes them.
fn values(fields: &MnmFields) -> Vec<(String, String)> {
    let entry = MnmEntry::of(&normal(fields));
    let rate = |rate: Option<Rate>| {
        rate.map(|rate| match rate {
            Rate::Number(number) => number.to_string(),
            Rate::Text(text) => text,
        })
    };
    let automatic = fields.automatic_advertisement.map(|it| it.to_string());
    let all = [
        ("type", Some(entry.kind)),
        ("prefixes", Some(entry.prefixes.join(", "))),
        ("automatic_advertisement", automatic),
        ("bandwidth_threshold", rate(entry.bandwidth_threshold)),
        ("packet_threshold", rate(entry.packet_threshold)),
        ("duration", entry.duration),
        ("prefix_match", entry.prefix_match),
        ("zscore_sensitivity", entry.zscore_sensitivity),
        ("zscore_target", entry.zscore_target),
    ];
    let set = all
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    set.collect()
}
