//! Deliveries that the receiver stored as they came, because many came at once: read afterwards, each in the transaction that
//! takes it out of the inbox. So none is lost when the process dies in between, and none is taken in twice.

use std::panic::{AssertUnwindSafe, catch_unwind};

use db::inbox::{self, Unread};
use db::{DbError, WriteTx};
use domain::prefix::PrefixMap;
use jiff::Timestamp;

use super::columns::{blank, head_of};
use super::{Arrival, Content, Intake, Kept, Way};

impl Arrival {
    /// As it is stored until it is read.
    pub fn into_unread(self) -> Unread {
        Unread {
            id: 0,
            received_at: self.received_at,
            source: self.source,
            headers: self.headers,
            oversized: self.oversized,
            body: self.body,
        }
    }
}

/// A delivery of the inbox, read.
#[derive(Debug)]
pub struct Waiting {
    /// Its place in the inbox.
    pub id: i64,
    /// Bytes of its body.
    pub bytes: u64,
    intake: Intake,
}

impl Waiting {
    /// Reads it. If our own code fails at it, it is an unreadable notification: it must neither be lost nor keep the others
    /// waiting.
    pub fn read(unread: Unread) -> Self {
        let spare = unread.clone();
        catch_unwind(AssertUnwindSafe(|| Self::of(unread)))
            .unwrap_or_else(|_| Self::unreadable(spare, "our own code failed at it"))
    }

    fn of(unread: Unread) -> Self {
        let bytes = unread.body.len() as u64;
        let arrival = Arrival {
            body: unread.body,
            oversized: unread.oversized,
            received_at: unread.received_at,
            source: unread.source,
            headers: unread.headers,
        };
        Self {
            id: unread.id,
            bytes,
            intake: Intake::read(arrival, Way::Received),
        }
    }

    /// One that cannot be taken in as what it says: kept with its body and told to people as unreadable.
    pub fn unreadable(unread: Unread, why: &str) -> Self {
        let (id, size) = (unread.id, unread.body.len() as u64);
        let problem = format!("it could not be taken in: {why}");
        let head = head_of(&unread.body);
        let delivery = db::deliveries::NewDelivery {
            received_at: unread.received_at,
            source_ip: unread.source,
            headers: unread.headers,
            action_taken: Way::Received.mark(),
            body_hash: super::hash_of(&unread.body),
            raw_body: Some(unread.body),
            problem: Some(problem.clone()),
            ..blank()
        };
        Self {
            id,
            bytes: size,
            intake: Intake {
                delivery,
                content: Content::Unreadable { size, head, problem },
                rule_name: None,
                way: Way::Received,
            },
        }
    }

    /// Takes it in and out of the inbox. None when it is not there any more: somebody else took it in. May be called again
    /// after it was rolled back.
    ///
    /// # Errors
    /// Those of the database; it is in the inbox then.
    pub fn keep(&self, tx: &WriteTx<'_>, networks: &PrefixMap<()>, now: Timestamp) -> Result<Option<Kept>, DbError> {
        if !inbox::take_out(tx, self.id)? {
            return Ok(None);
        }
        self.intake.keep(tx, networks, now).map(Some)
    }
}
