//! `list`: the known prefixes with names, ids and notes.

use cli::{Table, Trouble, words};
use daemon::exit;
use db::inventory::Entry;
use domain::bgp::BgpState;
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::Serialize;
use settings::{DirectRoute, Settings};

use crate::live;
use crate::site::Site;

/// The document of `--json`.
#[derive(Debug, Serialize)]
pub struct List {
    /// Name and version of this shape.
    pub schema: &'static str,
    /// Now.
    pub at: Timestamp,
    /// `database`, or `cloudflare` when the database knows none yet.
    pub source: &'static str,
    /// In network order.
    pub prefixes: Vec<Row>,
}

/// A known prefix.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The prefix.
    pub prefix: Prefix,
    /// What it is called.
    pub description: String,
    /// Origin AS.
    pub asn: Option<u32>,
    /// Whether automation may touch it.
    pub managed: bool,
    /// How it is reachable without Cloudflare, as the operator stated it.
    pub direct_route: &'static str,
    /// Why Cloudflare would refuse a change, as last read.
    pub refuses: Option<&'static str>,
    /// The operator's note.
    pub note: Option<String>,
    /// Cloudflare's id of the onboarded prefix.
    pub prefix_id: Option<String>,
    /// Cloudflare's id of what is advertised.
    pub bgp_prefix_id: Option<String>,
}

/// Shows them.
///
/// # Errors
/// When neither the database nor Cloudflare can be read.
pub async fn run(site: &Site) -> Result<u8, Trouble> {
    let opened = cli::store::counting(&site.settings.database.path);
    let stored = match &opened {
        Ok(db) => db
            .read("list", db::inventory::all)
            .await
            .map_err(|error| Trouble::database("the prefixes cannot be listed", &error))?,
        Err(_) => Vec::new(),
    };
    let (entries, source) = if stored.is_empty() {
        (ask(site, opened.as_ref().ok()).await?, "cloudflare")
    } else {
        (stored, "database")
    };
    let list = List {
        schema: "cloudflare-mt/prefix-list/1",
        at: site.now(),
        source,
        prefixes: rows(&entries, &site.settings),
    };
    if site.out.is_json() {
        site.out.document(&list)?;
    } else {
        site.out.text(&text(&list, site))?;
    }
    Ok(exit::DONE)
}

/// The prefixes that are listed or known, with their names, for a menu.
///
/// # Errors
/// When neither the database nor Cloudflare can be read.
pub async fn known(site: &Site) -> Result<Vec<(Prefix, String)>, Trouble> {
    let stored = match cli::store::reading(&site.settings.database.path) {
        Ok(db) => db.read("list", db::inventory::all).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let entries = if stored.is_empty() && site.settings.managed_prefixes().is_empty() {
        ask(site, None).await?
    } else {
        stored
    };
    let rows = rows(&entries, &site.settings);
    Ok(rows.into_iter().map(|row| (row.prefix, row.description)).collect())
}

/// Before the daemon ever ran.
async fn ask(site: &Site, db: Option<&db::Db>) -> Result<Vec<Entry>, Trouble> {
    let api = site.display_client(db)?;
    let clock = site.clock.clone();
    let live = live::all(&api, move || clock.now()).await;
    if let Some(problem) = live.problems().into_iter().next() {
        return Err(Trouble::failed("cloudflare.unavailable", problem));
    }
    let managed = site.settings.managed_prefixes();
    Ok(live
        .read
        .into_values()
        .map(|(prefix, read_at)| Entry {
            managed: managed.contains(&prefix.prefix),
            prefix,
            read_at,
            error: None,
            error_since: None,
        })
        .collect())
}

fn rows(entries: &[Entry], settings: &Settings) -> Vec<Row> {
    let managed = settings.managed_prefixes();
    let mut rows: Vec<Row> = entries
        .iter()
        .map(|entry| {
            let found = &entry.prefix;
            let refuses = BgpState::refuses_control(&found.state).map(domain::bgp::NotControllable::explain);
            Row {
                asn: found.asn,
                refuses,
                prefix_id: Some(found.parent_id.to_string()),
                bgp_prefix_id: Some(found.id.to_string()),
                ..row(
                    found.prefix,
                    &found.description,
                    managed.contains(&found.prefix),
                    settings,
                )
            }
        })
        .collect();
    for prefix in managed {
        if !entries.iter().any(|entry| entry.prefix.prefix == prefix) {
            rows.push(row(prefix, "", true, settings));
        }
    }
    rows.sort_by_key(|row| row.prefix);
    rows
}

fn row(prefix: Prefix, description: &str, managed: bool, settings: &Settings) -> Row {
    let mapped = settings.mapped(prefix);
    Row {
        prefix,
        description: words::outside(&cli::picture::described(prefix, description, settings), 60),
        asn: mapped.and_then(|mapped| mapped.asn),
        managed,
        direct_route: match settings.autowithdraw.direct_route(prefix) {
            None => "not stated",
            Some(DirectRoute::AlwaysAnnounced) => "always announced",
            Some(DirectRoute::Url { .. }) => "checked by URL",
            Some(DirectRoute::Command { .. }) => "checked by command",
        },
        refuses: None,
        note: mapped
            .and_then(|mapped| mapped.note.as_deref())
            .map(|note| words::outside(note, 80)),
        prefix_id: mapped
            .and_then(|mapped| mapped.prefix_id.as_ref())
            .map(ToString::to_string),
        bgp_prefix_id: mapped
            .and_then(|mapped| mapped.bgp_prefix_id.as_ref())
            .map(ToString::to_string),
    }
}

fn text(list: &List, site: &Site) -> String {
    let mut table = Table::new(&["PREFIX", "NAME", "ORIGIN", "AUTOMATION", "DIRECT ROUTE", "NOTE"]);
    for row in &list.prefixes {
        let note: Vec<&str> = row
            .refuses
            .into_iter()
            .chain(row.note.as_deref())
            .chain(row.bgp_prefix_id.is_none().then_some("not seen at Cloudflare yet"))
            .collect();
        table.row([
            row.prefix.to_string(),
            row.description.clone(),
            row.asn.map_or_else(|| "-".to_owned(), |asn| format!("AS{asn}")),
            if row.managed { "manages it" } else { "not managed" }.to_owned(),
            row.direct_route.to_owned(),
            note.join("; "),
        ]);
    }
    let total = words::counted(list.prefixes.len(), "prefix", "prefixes");
    format!("{}{total}, from {}\n", table.render(site.out.screen()), list.source)
}
