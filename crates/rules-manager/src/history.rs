//! `changes` and `undo`.

use cli::{Out, Table, Trouble, words};
use daemon::exit;
use db::rule_changes::{self, Change, Family, State};
use serde_json::json;

use crate::args::Sure;
use crate::monitoring::told;
use crate::source::{Source, by, confirm, trouble};

/// Shows what was changed.
///
/// # Errors
/// When it cannot be read.
pub async fn list(source: &Source, out: Out, limit: u32) -> Result<u8, Trouble> {
    let limit = limit.clamp(1, 1_000);
    let changes: Vec<Change> = source
        .stored("the changes could not be read", move |tx| {
            rule_changes::newest(tx, limit)
        })
        .await?;
    if out.is_json() {
        out.document(&json!({"schema": "cloudflare-mt/rule-changes/1", "changes": changes}))?;
        return Ok(exit::DONE);
    }
    let mut table = Table::new(&["CHANGE", "WHEN (UTC)", "WHO", "WHAT", "RULE", "STATE", "WHY"]);
    for change in &changes {
        table.row([
            change.id.to_string(),
            words::stamp(change.at),
            words::outside(&change.actor, 60),
            what(change),
            words::outside(&change.subject, 60),
            state(change),
            words::outside(change.reason.as_deref().unwrap_or_default(), 80),
        ]);
    }
    let mut text = table.render(out.screen());
    text.push_str(&format!("{}\n", words::counted(changes.len(), "change", "changes")));
    out.text(&text)?;
    Ok(exit::DONE)
}

/// In the words of the commands.
fn what(change: &Change) -> String {
    let kind = match change.family {
        Family::Mnm => "monitoring rule",
        Family::DdosL4 => "override",
    };
    // The first override makes the list.
    let what = if change.what == "put" { "create" } else { &change.what };
    format!("{} {kind}", words::outside(what, 20))
}

fn state(change: &Change) -> String {
    match (change.undone_by, change.undoes, change.state) {
        (Some(by), ..) => format!("taken back by {by}"),
        (None, Some(of), State::Done) => format!("takes back {of}"),
        (None, _, state) => state.as_str().to_owned(),
    }
}

/// Takes a change back.
///
/// # Errors
/// Why not.
pub async fn undo(source: &Source, out: Out, change: Option<i64>, sure: &Sure) -> Result<u8, Trouble> {
    let desk = source.desk()?;
    let found = desk.db().read("change to undo", move |tx| match change {
        Some(id) => rule_changes::get(tx, id),
        None => rule_changes::last_to_undo(tx),
    });
    let found = found
        .await
        .map_err(|error| Trouble::database("the changes could not be read", &error))?;
    let id = found.as_ref().map(|it| it.id).or(change);
    if let Some(it) = &found {
        let line = format!(
            "{} {}, by {} at {}",
            what(it),
            it.subject,
            it.actor,
            words::stamp(it.at)
        );
        out.aside(&format!("change {}: {}\n", it.id, words::outside(&line, 300)));
        confirm(out, sure, "Take it back?").await?;
    }
    let (undone, done) = desk.undo(&by(sure).await, id).await.map_err(trouble)?;
    let name = format!("change {} of {}", undone.id, undone.subject);
    told(out, &[(done, "taken back", name)])
}
