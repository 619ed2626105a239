//! Notifications that the predecessor kept as files: taken into the record with their own time, told to nobody.
//!
//! What must hold: reading the same file again, or one whose notification is stored already (by the predecessor's own
//! database or because our receiver got it as well), changes nothing.

use db::{DbError, ReadTx, WriteTx, alert_history};
use domain::ids::DeliveryId;
use domain::prefix::PrefixMap;
use domain::time::{minus, plus};
use jiff::Timestamp;

use super::sameness::{Identity, SAME_ATTACK_WITHIN};
use super::{Arrival, Intake, Kept, Way, hash_of};

/// Where an imported delivery says it comes from, in place of an address.
const SOURCE: &str = "file of the predecessor";

/// Stored deliveries of about the same time that a file is compared with.
const COMPARED: u32 = 2_000;

/// One notification out of a file.
#[derive(Debug)]
pub struct OldFile {
    body_hash: String,
    identity: Option<Identity>,
    at: Timestamp,
    intake: Intake,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is stored already, as this delivery.
    There(DeliveryId),
    /// It is stored now.
    Now(Kept),
}

impl OldFile {
    /// `at` is when it came: its own instant, else what the file tells. `name` is kept with it.
    pub fn read(name: &str, body: Vec<u8>, at: Timestamp) -> Self {
        Self {
            body_hash: hash_of(&body),
            identity: Identity::of_body(&body, at, true),
            at,
            intake: Intake::read(
                Arrival {
                    body,
                    oversized: None,
                    received_at: at,
                    source: SOURCE.to_owned(),
                    headers: serde_json::json!({"file": name}).to_string(),
                },
                Way::Imported,
            ),
        }
    }

    /// Whether it is stored already.
    ///
    /// # Errors
    /// Those of the database.
    pub fn stored(&self, tx: &ReadTx<'_>) -> Result<Option<DeliveryId>, DbError> {
        if let Some(delivery) = alert_history::delivery_with_hash(tx, &self.body_hash)? {
            return Ok(Some(delivery));
        }
        let Some(identity) = &self.identity else {
            return Ok(None);
        };
        let (from, to) = (minus(self.at, SAME_ATTACK_WITHIN), plus(self.at, SAME_ATTACK_WITHIN));
        let candidates = alert_history::deliveries_between(tx, identity.alert_type(), from, to, COMPARED)?;
        let ties = super::recovery::ties(identity, &candidates);
        Ok(ties.into_iter().min().map(|(_, _, delivery)| delivery))
    }

    /// Takes it in, unless it is stored already.
    ///
    /// # Errors
    /// Those of the database; nothing of it is stored then.
    pub fn keep(self, tx: &WriteTx<'_>, networks: &PrefixMap<()>, now: Timestamp) -> Result<Taken, DbError> {
        if let Some(delivery) = self.stored(tx)? {
            return Ok(Taken::There(delivery));
        }
        let kept = self.intake.keep(tx, networks, now)?;
        Ok(if kept.duplicate {
            Taken::There(kept.delivery)
        } else {
            Taken::Now(kept)
        })
    }
}
