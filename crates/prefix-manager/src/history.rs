//! `history`: the journal of acts, and the record of withdrawals (also those before this product).

use std::time::Duration;

use cli::explain::{ActView, acts_table};
use cli::words::{self, stamp};
use cli::{Ink, Table, Trouble, ink};
use daemon::exit;
use db::history::HistoryRow;
use domain::duration::human;
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::Serialize;

use crate::site::Site;

/// The document of `--json`.
#[derive(Debug, Serialize)]
pub struct History {
    /// Name and version of this shape.
    pub schema: &'static str,
    /// Now.
    pub at: Timestamp,
    /// The journal, newest first.
    pub acts: Vec<ActView>,
    /// The record, newest first.
    pub withdrawals: Vec<HistoryRow>,
}

/// Shows them.
///
/// # Errors
/// When the database cannot be read.
pub async fn run(site: &Site, prefix: Option<Prefix>, limit: u32) -> Result<u8, Trouble> {
    let db = cli::store::reading(&site.settings.database.path)?;
    let read = db.read("history", move |tx| {
        let mut acts = Vec::new();
        for intent in db::intents::newest(tx, prefix, limit)? {
            let attempts = db::intents::attempts(tx, intent.id)?;
            acts.push(ActView { intent, attempts });
        }
        Ok((acts, db::history::newest(tx, prefix, limit)?))
    });
    let (acts, withdrawals) = read
        .await
        .map_err(|error| Trouble::database("the history cannot be read", &error))?;
    let history = History {
        schema: "cloudflare-mt/prefix-history/1",
        at: site.now(),
        acts,
        withdrawals,
    };
    if site.out.is_json() {
        site.out.document(&history)?;
    } else {
        site.out.text(&text(&history, site))?;
    }
    Ok(exit::DONE)
}

fn text(history: &History, site: &Site) -> String {
    let screen = site.out.screen();
    let mut text = format!("{}\n", ink(Ink::Strong, "Acts, newest first"));
    text.push_str(&acts_table(&history.acts, screen));
    if history.acts.is_empty() {
        text.push_str("none\n");
    }
    text.push_str(&format!(
        "\n{}\n",
        ink(Ink::Strong, "Withdrawals on record, newest first")
    ));
    let mut table = Table::new(&["WITHDRAWN (UTC)", "PREFIX", "ADVERTISED FOR", "BY", "HOW", "NOTES"]);
    for row in &history.withdrawals {
        let short = |text: &Option<String>, most| words::outside(text.as_deref().unwrap_or("-"), most);
        let seconds = row
            .protection_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        table.row([
            row.withdrawn_at.map_or_else(|| "-".to_owned(), stamp),
            words::outside(&row.prefix, 50),
            seconds.map_or_else(|| "-".to_owned(), |seconds| human(Duration::from_secs(seconds))),
            short(&row.actor, 60),
            short(&row.withdraw_method, 40),
            short(&row.notes, 160),
        ]);
    }
    text.push_str(&table.render(screen));
    if table.is_empty() {
        text.push_str("none\n");
    }
    text
}
