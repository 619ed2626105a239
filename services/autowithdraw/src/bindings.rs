//! Which services of Cloudflare the account's networks are bound to (rule 14): read in a slow rotation beside the
//! cycles, which never wait for it; compared with what is stored; a difference is recorded and announced, because no
//! act of ours changes a binding.
//!
//! Must hold: an answer that was not obtained changes nothing; a change that happened while nobody looked is found by
//! the next look; the calls stay within their share of the quota. Nothing is decided from bindings.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cf_api::CloudflareClient;
use db::{DbError, WriteTx};
use domain::binding::{BindingChange, ServiceBinding, changes};
use domain::ids::PrefixId;
use domain::notice::{Facts, Notice};
use domain::prefix::Prefix;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::cycle::Cycle;
use crate::inventory::Rotation;

/// Calls in 5 minutes for bindings alone: one percent of the REST quota. What the list calls leave of their own share
/// is used besides.
const CALLS_PER_WINDOW: f64 = 12.0;

/// In demonstrations, which run in fast motion, every tenth cycle reads one whatever the quota says.
const AT_LEAST_PER_CYCLE: f64 = 0.1;

/// Calls to Cloudflare at the same time.
const CONCURRENT: usize = 2;

/// How a change is called in the operator's log.
pub const LOGGED_AS: &str = "binding_change";

/// One parent's bindings as just read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingsRead {
    /// The parent.
    pub parent: PrefixId,
    /// What it and its parts are bound to.
    pub bindings: Vec<ServiceBinding>,
}

type Answer = (PrefixId, Result<Vec<ServiceBinding>, String>);

/// The rotation over all parents.
pub struct BindingReads {
    api: CloudflareClient,
    check_interval: Duration,
    credit: f64,
    rotation: Rotation,
    /// Parents that look different than before and were not read since.
    soon: BTreeSet<String>,
    running: Option<JoinHandle<Vec<Answer>>>,
    failing: BTreeMap<String, String>,
}

impl std::fmt::Debug for BindingReads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BindingReads")
            .field("credit", &self.credit)
            .finish_non_exhaustive()
    }
}

impl BindingReads {
    /// Nothing read yet.
    pub fn new(api: CloudflareClient, check_interval: Duration) -> Self {
        Self {
            api,
            check_interval,
            credit: 1.0,
            rotation: Rotation::default(),
            soon: BTreeSet::new(),
            running: None,
            failing: BTreeMap::new(),
        }
    }

    /// What was read since the last cycle; begins to read the next parents. `spare` calls are left of the share of the
    /// list calls in this cycle, `hinted` parents look different than before.
    pub fn turn(&mut self, parents: &BTreeSet<String>, hinted: BTreeSet<String>, spare: usize) -> Vec<BindingsRead> {
        let read = self.take_finished();
        self.failing.retain(|parent, _| parents.contains(parent));
        self.soon.extend(hinted);
        self.soon.retain(|parent| parents.contains(parent));
        let calls = self.calls(spare);
        if self.running.is_none() && calls > 0 {
            let mut next: Vec<String> = self.soon.iter().take(calls).cloned().collect();
            for hurried in &next {
                self.soon.remove(hurried);
            }
            let others: BTreeSet<String> = parents.iter().filter(|id| !next.contains(*id)).cloned().collect();
            next.extend(self.rotation.next(&others, calls.saturating_sub(next.len())));
            if !next.is_empty() {
                self.running = Some(tokio::spawn(read_all(self.api.clone(), next)));
            }
        }
        read
    }

    /// Why bindings are not known, while that is so for any parent.
    pub fn error(&self) -> Option<&str> {
        self.failing.values().next().map(String::as_str)
    }

    fn calls(&mut self, spare: usize) -> usize {
        let per_cycle = self.check_interval.as_secs_f64() * CALLS_PER_WINDOW / 300.0;
        let per_cycle = per_cycle.max(AT_LEAST_PER_CYCLE);
        self.credit = (self.credit + per_cycle).min(per_cycle + 1.0);
        if self.running.is_some() {
            return 0;
        }
        let whole = self.credit.floor();
        self.credit -= whole;
        // At most a few dozen, so nothing is cut off.
        (whole as usize).saturating_add(spare)
    }

    fn take_finished(&mut self) -> Vec<BindingsRead> {
        let Some(task) = self.running.take_if(|task| task.is_finished()) else {
            return Vec::new();
        };
        let Some(Ok(answers)) = task.now_or_never() else {
            // A broken look is a look that did not happen; the rotation comes by again.
            return Vec::new();
        };
        let mut read = Vec::new();
        for (parent, answer) in answers {
            match answer {
                Ok(bindings) => {
                    self.failing.remove(parent.as_str());
                    read.push(BindingsRead { parent, bindings });
                }
                Err(because) => {
                    self.failing.insert(parent.as_str().to_owned(), because);
                }
            }
        }
        read
    }
}

impl Drop for BindingReads {
    fn drop(&mut self) {
        if let Some(task) = &self.running {
            task.abort();
        }
    }
}

async fn read_all(api: CloudflareClient, parents: Vec<String>) -> Vec<Answer> {
    stream::iter(parents)
        .map(|id| {
            let (api, parent) = (api.clone(), PrefixId::new(&id));
            async move {
                let answer = api.list_bindings(&parent).await.map_err(|error| error.to_string());
                (parent, answer)
            }
        })
        .buffer_unordered(CONCURRENT)
        .collect()
        .await
}

/// A row of the operator's log.
#[derive(Debug, Serialize)]
struct Logged<'a> {
    parent: &'a PrefixId,
    changes: &'a [BindingChange],
    bindings: &'a [ServiceBinding],
}

/// Compares what a cycle read with what is stored, stores it, and records and announces what differs, all of a cycle
/// as one notice.
///
/// # Errors
/// Those of the database.
pub(crate) fn commit(tx: &WriteTx<'_>, cycle: &Cycle, now: Timestamp) -> Result<(), DbError> {
    let (mut told, mut prefixes, mut first_event) = (Vec::new(), BTreeSet::new(), None);
    for read in &cycle.bindings {
        let mark = format!("bindings:{}", read.parent);
        let stored = db::leases::cursor(tx, &mark)?;
        let text = serde_json::to_string(&read.bindings).unwrap_or_default();
        if stored.as_deref() == Some(text.as_str()) {
            continue;
        }
        db::leases::set_cursor(tx, &mark, &text, now)?;
        // The first look has nothing to compare with.
        let Some(stored) = stored else { continue };
        let before: Vec<ServiceBinding> = match serde_json::from_str(&stored) {
            Ok(before) => before,
            Err(error) => {
                tracing::warn!(event = "prefix.bindings_not_compared", parent = %read.parent, error = %error);
                continue;
            }
        };
        let changed = changes(&before, &read.bindings);
        if changed.is_empty() {
            continue;
        }
        let concerned = concerned(cycle, &read.parent, &changed);
        let event = record(tx, read, &changed, &concerned, now)?;
        first_event = first_event.or(Some(event));
        prefixes.extend(concerned);
        told.extend(changed);
    }
    if told.is_empty() {
        return Ok(());
    }
    let facts = Facts::BindingsChanged {
        prefixes: prefixes.into_iter().collect(),
        changes: told,
    };
    let notice = Notice {
        event: first_event,
        ..Notice::about(facts)
    };
    db::outbox::enqueue(tx, &notice, now).map(drop)
}

fn record(
    tx: &WriteTx<'_>,
    read: &BindingsRead,
    changed: &[BindingChange],
    concerned: &[Prefix],
    now: Timestamp,
) -> Result<domain::ids::EventId, DbError> {
    let parent = &read.parent;
    tracing::warn!(event = "prefix.bindings_changed", parent = %parent, changes = changed.len());
    let logged = Logged {
        parent,
        changes: changed,
        bindings: &read.bindings,
    };
    let event = db::events::NewEvent {
        event_type: "NOTE".into(),
        alert_type: LOGGED_AS.into(),
        prefixes: concerned.to_vec(),
        action_taken: "bindings_changed_elsewhere".into(),
        raw_payload: serde_json::to_string(&logged).ok(),
        ..db::events::NewEvent::default()
    };
    db::events::append(tx, &event, now)
}

/// The known prefixes of the parent in or around the networks that changed.
fn concerned(cycle: &Cycle, parent: &PrefixId, changed: &[BindingChange]) -> Vec<Prefix> {
    let known = cycle
        .answers
        .iter()
        .filter(|answer| answer.known.prefix.parent_id == *parent);
    let mut prefixes: Vec<Prefix> = known
        .map(|answer| answer.inputs.prefix)
        .filter(|prefix| changed.iter().any(|change| change.network.overlaps(*prefix)))
        .collect();
    if prefixes.is_empty() {
        prefixes = changed.iter().map(|change| change.network).collect();
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn reads(check_interval: Duration) -> BindingReads {
        let transport = assembly::parts::transport();
        let budget = cf_api::budget::RateBudget::alone(Arc::new(Timestamp::now));
        let credentials = cf_api::Credentials::Token("token".to_owned().into());
        let api = CloudflareClient::new(
            transport,
            "http://127.0.0.1:1/client/v4",
            &"a".repeat(32),
            credentials,
            budget,
        );
        BindingReads::new(api.unwrap(), check_interval)
    }

    #[test]
    fn calls_stay_within_one_percent_besides_what_is_left_over() {
        for seconds in [5_u64, 20, 60, 300, 600] {
            let mut reads = reads(Duration::from_secs(seconds));
            let cycles = 12 * 300_u64.div_ceil(seconds).max(1);
            let calls: usize = (0..cycles).map(|_| reads.calls(0)).sum();
            let window = (cycles * seconds) as f64 / 300.0;
            assert!(
                calls as f64 <= CALLS_PER_WINDOW * window + 2.0,
                "{seconds} s: {calls} calls"
            );
            assert!(
                calls as f64 >= CALLS_PER_WINDOW * window * 0.7 - 1.0,
                "{seconds} s: {calls} calls"
            );
        }
        assert!(reads(Duration::from_secs(60)).calls(13) >= 15);
    }
}
