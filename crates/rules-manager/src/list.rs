//! `list` and `show`: rules as text and JSON.

use cli::table::fields;
use cli::{Ink, Out, Table, Trouble, ink, words};
use daemon::exit;
use domain::units::{BitsPerSecond, PacketsPerSecond};
use serde_json::json;

use crate::source::{Rule, Rules, Source};

/// Shows all rules.
///
/// # Errors
/// When they cannot be read.
pub async fn all(source: &Source, out: Out) -> Result<u8, Trouble> {
    let rules = source.read().await?;
    if out.is_json() {
        out.document(&rules)?;
    } else {
        out.text(&text(&rules, out))?;
    }
    Ok(exit::DONE)
}

/// Shows one rule.
///
/// # Errors
/// When it does not exist, or cannot be read.
pub async fn one(source: &Source, out: Out, wanted: &str) -> Result<u8, Trouble> {
    let rules = source.read().await?;
    let rule = find(&rules, wanted)?;
    if out.is_json() {
        out.document(&json!({"schema": "cloudflare-mt/mnm-rule/1", "at": rules.at, "rule": rule}))?;
    } else {
        out.text(&fields(&detail(rule), out.screen()))?;
    }
    Ok(exit::DONE)
}

/// By id, else by exact name; names are unique.
pub(crate) fn find<'a>(rules: &'a Rules, wanted: &str) -> Result<&'a Rule, Trouble> {
    let by_id = rules.rules.iter().find(|rule| rule.id.as_deref() == Some(wanted));
    by_id
        .or_else(|| rules.rules.iter().find(|rule| rule.name == wanted))
        .ok_or_else(|| {
            let near = rules
                .rules
                .iter()
                .filter(|rule| rule.name.to_lowercase().contains(&wanted.to_lowercase()));
            let near: Vec<String> = near.take(5).map(|rule| words::outside(&rule.name, 80)).collect();
            let remedy = if near.is_empty() {
                "'cloudflare-rules-manager list' shows them".to_owned()
            } else {
                format!("alike: {}", near.join(", "))
            };
            let wanted = words::outside(wanted, 80);
            Trouble::failed("rule.unknown", format!("there is no rule with the name or id {wanted}")).remedy(remedy)
        })
}

fn text(rules: &Rules, out: Out) -> String {
    let mut table = Table::new(&["NAME", "TYPE", "PREFIXES", "FIRES AT", "AUTO-ADVERTISE"]);
    for rule in &rules.rules {
        let prefixes: Vec<String> = rule.prefixes.iter().map(ToString::to_string).collect();
        table.row([
            words::outside(&rule.name, 60),
            words::outside(&rule.kind, 20),
            prefixes.join(", "),
            condition(rule),
            automatic(rule),
        ]);
    }
    let mut text = table.render(out.screen());
    text.push_str(&format!(
        "{}, live from Cloudflare\n",
        words::counted(rules.rules.len(), "rule", "rules")
    ));
    for gap in &rules.gaps {
        text.push_str(&ink(Ink::Warn, &words::outside(&gap.words(), 300)));
        text.push('\n');
    }
    text
}

fn automatic(rule: &Rule) -> String {
    match rule.automatic_advertisement {
        Some(true) => "yes".to_owned(),
        Some(false) => ink(Ink::Warn, "no"),
        None => "not said".to_owned(),
    }
}

/// When the rule fires, in words.
fn condition(rule: &Rule) -> String {
    let mut parts = Vec::new();
    if let Some(bits) = rule.bandwidth_threshold {
        parts.push(BitsPerSecond(bits).to_string());
    }
    if let Some(packets) = rule.packet_threshold {
        parts.push(PacketsPerSecond(packets).to_string());
    }
    if let Some(sensitivity) = &rule.zscore_sensitivity {
        let target = rule.zscore_target.as_deref().unwrap_or("traffic");
        parts.push(format!("unusual {target}, sensitivity {sensitivity}"));
    }
    let mut text = words::outside(&parts.join(" or "), 120);
    if text.is_empty() {
        text = "what Cloudflare recognises".to_owned();
    }
    match &rule.duration {
        Some(duration) => format!("{text} for {duration}"),
        None => text,
    }
}

fn detail(rule: &Rule) -> Vec<(&'static str, String)> {
    let prefixes: Vec<String> = rule.prefixes.iter().map(ToString::to_string).collect();
    let mut rows = vec![
        ("name", words::outside(&rule.name, 200)),
        (
            "id",
            rule.id
                .as_deref()
                .map_or_else(|| "-".to_owned(), |id| words::outside(id, 64)),
        ),
        ("type", words::outside(&rule.kind, 20)),
        ("prefixes", prefixes.join(", ")),
        ("fires at", condition(rule)),
        ("auto-advertise", automatic(rule)),
    ];
    if let Some(matching) = &rule.prefix_match {
        rows.push(("matches", words::outside(matching, 40)));
    }
    rows
}
