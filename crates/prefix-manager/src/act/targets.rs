//! Which prefixes are meant, with ids and live states. `--all` is expanded to exactly the prefixes that the operator
//! listed; an empty list is an error, never everything.

use cf_api::CloudflareClient;
use cli::Trouble;
use db::Db;
use db::inventory::Entry;
use domain::bgp::BgpPrefix;
use domain::prefix::Prefix;
use jiff::Timestamp;

use crate::args::Target;
use crate::live;
use crate::site::Site;

/// A target as it was found.
#[derive(Debug, Clone)]
pub struct Read {
    /// The prefix.
    pub prefix: Prefix,
    /// What it is called.
    pub description: String,
    /// Its live state, or why it could not be read.
    pub live: Result<(BgpPrefix, Timestamp), String>,
}

/// The targets of an act.
#[derive(Debug)]
pub struct Targets {
    /// In network order.
    pub reads: Vec<Read>,
    /// Known prefixes that `--all` does not mean, because nobody listed them.
    pub left_alone: Vec<Prefix>,
}

/// Finds them, discovering the account's prefixes first where the inventory does not know them yet.
///
/// # Errors
/// Nothing is listed, a prefix is not one of the account's, or it cannot be found out.
pub async fn resolve(site: &Site, db: &Db, api: &CloudflareClient, target: &Target) -> Result<Targets, Trouble> {
    let wanted = match target.prefix {
        Some(prefix) => vec![prefix],
        None => listed(site)?,
    };
    let mut entries = inventory(db).await?;
    let is_known = |entries: &[Entry], prefix: Prefix| entries.iter().any(|entry| entry.prefix.prefix == prefix);
    if wanted.iter().any(|prefix| !is_known(&entries, *prefix)) {
        discover(site, db, api).await?;
        entries = inventory(db).await?;
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for prefix in &wanted {
        match entries.iter().find(|entry| entry.prefix.prefix == *prefix) {
            Some(entry) => found.push(entry.clone()),
            None => missing.push(prefix.to_string()),
        }
    }
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let text = format!("Cloudflare does not know {missing} as a prefix of this account; nothing was done");
        let remedy = "'cloudflare-prefix-manager list' shows the known ones; write it exactly as onboarded";
        return Err(Trouble::failed("prefix.unknown", text).remedy(remedy));
    }
    let clock = site.clock.clone();
    let mut live = live::these(api, &found, move || clock.now()).await;
    let read: Vec<(BgpPrefix, Timestamp)> = live.values().filter_map(|read| read.clone().ok()).collect();
    live::store(db, read, &site.settings).await?;
    let reads = found
        .iter()
        .map(|entry| {
            let prefix = entry.prefix.prefix;
            Read {
                prefix,
                description: cli::picture::described(prefix, &entry.prefix.description, &site.settings),
                live: live
                    .remove(&prefix)
                    .unwrap_or_else(|| Err("it was not read".to_owned())),
            }
        })
        .collect();
    let left_alone = entries.iter().map(|entry| entry.prefix.prefix);
    Ok(Targets {
        reads,
        left_alone: left_alone
            .filter(|prefix| target.all && !wanted.contains(prefix))
            .collect(),
    })
}

/// What `--all` means.
///
/// # Errors
/// When nobody listed anything.
pub(super) fn listed(site: &Site) -> Result<Vec<Prefix>, Trouble> {
    let listed = site.settings.managed_prefixes();
    if listed.is_empty() {
        let remedy = "list them in prefix_mapping.json or autowithdraw.managed, or name one prefix";
        return Err(Trouble::usage(
            "prefix.none_listed",
            "--all means the prefixes you listed, and none is listed",
        )
        .remedy(remedy));
    }
    Ok(listed)
}

async fn inventory(db: &Db) -> Result<Vec<Entry>, Trouble> {
    db.read("inventory", db::inventory::all)
        .await
        .map_err(|error| Trouble::database("the known prefixes cannot be read, nothing was done", &error))
}

async fn discover(site: &Site, db: &Db, api: &CloudflareClient) -> Result<(), Trouble> {
    let clock = site.clock.clone();
    let live = live::all(api, move || clock.now()).await;
    if let Some(error) = &live.error {
        let text = format!(
            "the ids of the prefix are not known yet, and Cloudflare could not be asked; nothing was done: {error}"
        );
        return Err(Trouble::failed("cloudflare.unavailable", text));
    }
    live::store(db, live.read.into_values().collect(), &site.settings).await
}
