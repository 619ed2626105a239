//! Live states from Cloudflare: of one prefix, or of all that the account has.
//!
//! What could not be read is named with its reason; a failed list never turns into an empty one.

use std::collections::BTreeMap;
use std::time::Duration;

use cf_api::CloudflareClient;
use cf_api::rest::prefixes::ParentPrefix;
use cli::Trouble;
use cli::picture::described;
use cli::standing::{Known, Reading};
use db::Db;
use db::inventory::Entry;
use domain::bgp::BgpPrefix;
use domain::ids::PrefixId;
use domain::prefix::Prefix;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use settings::Settings;

/// Calls to Cloudflare at the same time.
const CONCURRENT: usize = 6;

/// Longest time a person waits for all of them.
const LIMIT: Duration = Duration::from_secs(15);

/// What was read.
#[derive(Debug, Default)]
pub struct Live {
    /// Prefixes that were read, and when.
    pub read: BTreeMap<Prefix, (BgpPrefix, Timestamp)>,
    /// Parents whose list failed, with why.
    pub failed: BTreeMap<String, String>,
    /// Why nothing at all could be read.
    pub error: Option<String>,
}

impl Live {
    /// When Cloudflare could not be asked.
    pub fn impossible(error: impl Into<String>) -> Self {
        Self {
            error: Some(error.into()),
            ..Self::default()
        }
    }

    /// Everything that went wrong, for people.
    pub fn problems(&self) -> Vec<String> {
        let all = self
            .error
            .iter()
            .map(|error| format!("Cloudflare could not be asked: {error}"));
        let some = self
            .failed
            .values()
            .map(|error| format!("a part could not be read: {error}"));
        all.chain(some).collect()
    }

    /// Puts what was read in the place of what was remembered, and adds what nobody remembered.
    pub fn into_known(self, remembered: Vec<Known>, entries: &[Entry], settings: &Settings) -> Vec<Known> {
        let mut known: BTreeMap<Prefix, Known> = BTreeMap::new();
        for mut old in remembered {
            if !self.read.contains_key(&old.prefix) {
                let because = self.why_not(old.prefix, entries);
                old.reading = match old.reading {
                    Reading::Stored { state, at, .. } => Reading::Stored {
                        state,
                        at,
                        because: Some(because),
                    },
                    Reading::Never { .. } | Reading::Live { .. } => Reading::Never { because },
                };
            }
            known.insert(old.prefix, old);
        }
        let managed = settings.managed_prefixes();
        for (prefix, (found, at)) in self.read {
            let reading = Reading::Live { state: found.state, at };
            match known.get_mut(&prefix) {
                Some(old) => {
                    old.reading = reading;
                    old.asn = found.asn.or(old.asn);
                    if old.description.is_empty() {
                        old.description = found.description;
                    }
                }
                None => {
                    known.insert(
                        prefix,
                        Known {
                            prefix,
                            description: described(prefix, &found.description, settings),
                            asn: found.asn,
                            managed: managed.contains(&prefix),
                            reading,
                        },
                    );
                }
            }
        }
        known.into_values().collect()
    }

    fn why_not(&self, prefix: Prefix, entries: &[Entry]) -> String {
        if let Some(error) = &self.error {
            return error.clone();
        }
        let entry = entries.iter().find(|entry| entry.prefix.prefix == prefix);
        entry
            .and_then(|entry| self.failed.get(entry.prefix.parent_id.as_str()))
            .cloned()
            .unwrap_or_else(|| "Cloudflare does not list it".to_owned())
    }
}

/// Reads all prefixes of the account.
pub async fn all(api: &CloudflareClient, now: impl Fn() -> Timestamp) -> Live {
    match tokio::time::timeout(LIMIT, list(api, now)).await {
        Ok(live) => live,
        Err(_) => Live::impossible(format!("no complete answer within {} s", LIMIT.as_secs())),
    }
}

async fn list(api: &CloudflareClient, now: impl Fn() -> Timestamp) -> Live {
    let parents = match api.list_prefixes().await {
        Ok(parents) => parents,
        Err(error) => return Live::impossible(error.to_string()),
    };
    let answers: Vec<(PrefixId, Result<Vec<BgpPrefix>, String>)> = stream::iter(parents)
        .map(|parent: ParentPrefix| async move {
            let answer = api.list_bgp_prefixes(&parent.id, &parent.description).await;
            (parent.id, answer.map_err(|error| error.to_string()))
        })
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    let mut live = Live::default();
    let at = now();
    for (parent, answer) in answers {
        match answer {
            Ok(found) => live
                .read
                .extend(found.into_iter().map(|found| (found.prefix, (found, at)))),
            Err(error) => {
                live.failed.insert(parent.as_str().to_owned(), error);
            }
        }
    }
    live
}

/// Reads the live states of known prefixes.
pub async fn these(
    api: &CloudflareClient,
    entries: &[Entry],
    now: impl Fn() -> Timestamp,
) -> BTreeMap<Prefix, Result<(BgpPrefix, Timestamp), String>> {
    let now = &now;
    let reads = stream::iter(entries.to_vec()).map(|entry| async move {
        let wanted = entry.prefix.prefix;
        let read = api.get_bgp_prefix(&entry.prefix.parent_id, &entry.prefix.id).await;
        let read = match read {
            Ok(found) if found.prefix == wanted => Ok((
                BgpPrefix {
                    description: entry.prefix.description.clone(),
                    ..found
                },
                now(),
            )),
            Ok(found) => Err(format!("its ids belong to {} now", found.prefix)),
            Err(error) => Err(error.to_string()),
        };
        (wanted, read)
    });
    reads.buffer_unordered(CONCURRENT).collect().await
}

/// Stores what was read, as the daemon's inventory would.
///
/// # Errors
/// Those of the database.
pub async fn store(db: &Db, read: Vec<(BgpPrefix, Timestamp)>, settings: &Settings) -> Result<(), Trouble> {
    let managed = settings.managed_prefixes();
    let rows: Vec<(BgpPrefix, bool, Timestamp)> = read
        .into_iter()
        .map(|(found, at)| {
            let description = described(found.prefix, &found.description, settings);
            let is_managed = managed.contains(&found.prefix);
            (BgpPrefix { description, ..found }, is_managed, at)
        })
        .collect();
    db.write("inventory.seen", move |tx| {
        for (found, is_managed, at) in &rows {
            db::inventory::observed(tx, found, *is_managed, *at)?;
        }
        Ok(())
    })
    .await
    .map_err(|error| Trouble::database("what Cloudflare says could not be stored", &error))
}
