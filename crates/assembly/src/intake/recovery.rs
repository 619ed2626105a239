//! Entries of Cloudflare's notification history: each is either a delivery that the receiver has,
//! or it is taken in now, the same way as a delivery and marked as recovered.
//!
//! Comparing and storing are one transaction, so a delivery that comes at the same moment is either
//! seen here or sees what was recovered. Which one wins does not matter: the alert is stored once.

use cf_api::rest::history::HistoryItem;
use cf_api::webhook::from_history;
use db::alert_history::{self, NewEntry, Outcome, Stored};
use db::deliveries::NewDelivery;
use db::{DbError, ReadTx, WriteTx};
use domain::ids::DeliveryId;
use domain::notice::Priority;
use domain::prefix::PrefixMap;
use domain::time::{minus, plus};
use jiff::Timestamp;
use std::time::Duration;

use super::sameness::{Identity, SAME_ATTACK_WITHIN, SAME_MOMENT, Tie};
use super::{Arrival, Intake, Kept, Way, hash_of};

/// Where a recovered delivery says it comes from, in place of an address.
const SOURCE: &str = "notification history";

/// How long after its dispatch a delivery is looked for.
const DELIVERED_WITHIN: Duration = Duration::from_secs(7_200);

/// Deliveries compared with one entry. Bodies of a flood differ in their ids, and one that is
/// identical to the byte is found by its hash before.
const COMPARED: u32 = 2_000;

/// Recovered deliveries compared with one that comes late.
const AWAITED: u32 = 500;

/// An entry of the history, ready to be looked for.
#[derive(Debug)]
pub struct Dispatched {
    id: String,
    sent_at: Timestamp,
    mechanism: Option<String>,
    body_hash: String,
    identity: Option<Identity>,
    is_dated: bool,
    intake: Intake,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It was looked at before.
    Known,
    /// The receiver has it.
    Delivered(DeliveryId),
    /// It was taken in now.
    Recovered(Kept),
}

impl Dispatched {
    /// Reads an entry. `now` is when it is taken in, if it has to be.
    pub fn read(item: &HistoryItem, now: Timestamp) -> Self {
        let (body, is_dated) = from_history(item);
        let origin = serde_json::json!({
            "history_id": item.id,
            "history_sent": domain::time::to_db_text(item.sent_at),
            "history_mechanism": item.mechanism,
        });
        Self {
            id: item.id.clone(),
            sent_at: item.sent_at,
            mechanism: item.mechanism.clone(),
            body_hash: hash_of(&body),
            identity: Identity::of_body(&body, item.sent_at, is_dated),
            is_dated,
            intake: Intake::read(
                Arrival {
                    body,
                    oversized: None,
                    received_at: now,
                    source: SOURCE.to_owned(),
                    headers: origin.to_string(),
                },
                Way::Recovered,
            ),
        }
    }

    /// Finds its delivery, or takes it in, and remembers the entry.
    ///
    /// # Errors
    /// Those of the database; nothing of it is stored then.
    pub fn keep(self, tx: &WriteTx<'_>, networks: &PrefixMap<()>, now: Timestamp) -> Result<Found, DbError> {
        if alert_history::is_known(tx, &self.id)? {
            return Ok(Found::Known);
        }
        let mut entry = NewEntry {
            id: self.id.clone(),
            sent_at: self.sent_at,
            mechanism: self.mechanism.clone(),
            outcome: Outcome::Delivered,
            delivery: DeliveryId(0),
            event: None,
            incident: None,
            priority: Priority::Info,
            dated: self.is_dated,
            announced: true,
        };
        if let Some(delivery) = self.delivered(tx)? {
            entry.delivery = delivery;
            alert_history::enter(tx, &entry, now)?;
            return Ok(Found::Delivered(delivery));
        }
        let kept = self.intake.keep(tx, networks, now)?;
        entry.delivery = kept.delivery;
        if kept.duplicate {
            alert_history::enter(tx, &entry, now)?;
            return Ok(Found::Delivered(kept.delivery));
        }
        entry.outcome = Outcome::Recovered;
        (entry.event, entry.incident, entry.priority) = (kept.event, kept.incident, kept.priority);
        // Nobody needs to be told of a self-test that came late.
        entry.announced = kept.is_test;
        alert_history::enter(tx, &entry, now)?;
        Ok(Found::Recovered(kept))
    }

    fn delivered(&self, tx: &ReadTx<'_>) -> Result<Option<DeliveryId>, DbError> {
        if let Some(delivery) = alert_history::delivery_with_hash(tx, &self.body_hash)? {
            return Ok(Some(delivery));
        }
        let Some(identity) = &self.identity else {
            return Ok(None);
        };
        let (from, to) = (
            minus(identity.at().min(self.sent_at), SAME_ATTACK_WITHIN),
            plus(self.sent_at, DELIVERED_WITHIN),
        );
        let mut candidates = alert_history::deliveries_between(tx, identity.alert_type(), from, to, COMPARED)?;
        let (from, to) = (minus(self.sent_at, SAME_MOMENT), plus(self.sent_at, SAME_MOMENT));
        let mechanism = self.mechanism.as_deref();
        candidates.extend(alert_history::recovered_elsewhere(tx, mechanism, from, to, COMPARED)?);
        let mut ties = ties(identity, &candidates);
        // By id before by moment, then the nearest.
        ties.sort();
        for (tie, _, delivery) in ties {
            if tie == Tie::Id || !alert_history::is_taken(tx, delivery, mechanism)? {
                return Ok(Some(delivery));
            }
        }
        Ok(None)
    }
}

/// What ties a notification to stored ones, strongest and nearest first when sorted.
pub(super) fn ties(identity: &Identity, stored: &[Stored]) -> Vec<(Tie, Duration, DeliveryId)> {
    let tie = |stored: &Stored| {
        let other = Identity::of_body(&stored.body, stored.received_at, stored.dated)?;
        let (tie, apart) = identity.tie(&other)?;
        Some((tie, apart, stored.delivery))
    };
    stored.iter().filter_map(tie).collect()
}

/// A delivery that comes after its alert was recovered is counted on the recovered one, which is
/// returned.
pub(super) fn counted_on_earlier(
    tx: &WriteTx<'_>,
    delivery: &NewDelivery,
    way: Way,
) -> Result<Option<DeliveryId>, DbError> {
    if way == Way::Recovered {
        return Ok(None);
    }
    let at = delivery.event_time.unwrap_or(delivery.received_at);
    let (from, to) = (minus(at, SAME_ATTACK_WITHIN), plus(at, SAME_ATTACK_WITHIN));
    let awaited = alert_history::awaited(tx, from, to, AWAITED)?;
    if awaited.is_empty() {
        return Ok(None);
    }
    let identical = awaited
        .iter()
        .find(|stored| stored.body_hash.as_deref() == Some(&delivery.body_hash))
        .map(|stored| stored.delivery);
    let found = match identical {
        Some(found) => Some(found),
        None => {
            let body = delivery.payload.as_deref().map(str::as_bytes);
            let body = body.or(delivery.raw_body.as_deref()).unwrap_or_default();
            Identity::of_body(body, delivery.received_at, true)
                .and_then(|identity| ties(&identity, &awaited).into_iter().min())
                .map(|(_, _, found)| found)
        }
    };
    if let Some(found) = found {
        db::deliveries::count_again(tx, found, delivery.received_at)?;
        alert_history::arrived(tx, found, delivery.received_at)?;
    }
    Ok(found)
}
