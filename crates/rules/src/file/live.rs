//! The rules file that describes what is there now.

use cf_api::rest::mnm::MnmRule;
use cf_api::rest::mnm_changes::MnmFields;
use cf_api::rest::rulesets::{EntryPoint, Overrides, Ruleset};

use super::{CategoryEntry, MnmEntry, OverrideEntry, RuleEntry, RulesFile, Settings};
use crate::effective::{is_everything, overrides_ddos_l4};

/// The file, and what could not be put into it.
pub fn of_live(mnm: &[MnmRule], managed: &Ruleset, point: &EntryPoint) -> (RulesFile, Vec<String>) {
    let mut left_out = Vec::new();
    let mut entries = Vec::new();
    for rule in mnm {
        match MnmFields::of(rule) {
            Ok(fields) => entries.push(MnmEntry::of(&fields)),
            Err(why) => left_out.push(format!("monitoring rule {}: {why}", rule.name)),
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut file = RulesFile {
        mnm: Some(entries),
        overrides: Some(Vec::new()),
        ..RulesFile::empty()
    };
    for rule in point.rules() {
        let name = rule.description.clone().unwrap_or_default();
        let shown = if name.is_empty() { &rule.id } else { &name };
        let Some(overrides) = rule.overrides().ok().filter(|_| overrides_ddos_l4(rule)) else {
            left_out.push(format!(
                "override {shown}: it is not about the network-layer DDoS ruleset, or cannot be read"
            ));
            continue;
        };
        if !is_known(&overrides) {
            left_out.push(format!("override {shown}: it sets what this program does not know"));
            continue;
        }
        let settings = settings(managed, &overrides);
        if is_everything(rule) && file.global.is_none() && rule.is_enabled() {
            file.global = Some(settings);
            continue;
        }
        let others = file.overrides.get_or_insert_default();
        let taken = others.iter().any(|it| it.name == name);
        let name = if name.is_empty() || taken {
            let short = rule.id.get(..8).unwrap_or(&rule.id);
            left_out.push(format!(
                "override {shown}: its name is empty or not unique; in the file it is override-{short}"
            ));
            format!("override-{short}")
        } else {
            name
        };
        others.push(OverrideEntry {
            name,
            expression: rule.expression.clone().unwrap_or_default(),
            enabled: rule.is_enabled(),
            expires: None,
            action: settings.action,
            sensitivity: settings.sensitivity,
            categories: settings.categories,
            rules: settings.rules,
        });
    }
    (file, left_out)
}

fn is_known(overrides: &Overrides) -> bool {
    overrides.other.is_empty()
        && overrides.categories.iter().all(|it| it.other.is_empty())
        && overrides.rules.iter().all(|it| it.other.is_empty())
}

/// Short names where they are unique: they read better, and Cloudflare keeps them.
fn settings(managed: &Ruleset, overrides: &Overrides) -> Settings {
    let name = |id: &str| {
        let reference = managed.rule(id).and_then(|rule| rule.reference.clone());
        let unique = |name: &String| {
            managed
                .rules
                .iter()
                .filter(|it| it.reference.as_ref() == Some(name))
                .count()
                == 1
        };
        reference.filter(unique).unwrap_or_else(|| id.to_owned())
    };
    Settings {
        action: overrides.action.clone(),
        sensitivity: overrides.sensitivity_level.clone(),
        categories: overrides
            .categories
            .iter()
            .map(|it| CategoryEntry {
                category: it.category.clone(),
                action: it.action.clone(),
                sensitivity: it.sensitivity_level.clone(),
            })
            .collect(),
        rules: overrides
            .rules
            .iter()
            .map(|it| RuleEntry {
                rule: name(&it.id),
                action: it.action.clone(),
                sensitivity: it.sensitivity_level.clone(),
            })
            .collect(),
    }
}
