//! Deliveries that the receiver stored as they came, because many came at once: read afterwards, each in the transaction that
//! takes it out of the inbox. So none is lost when the process dies in between, and none is taken in twice.

use std::panic::{AssertUnwindSafe, catch_unwind};

use db::inbox::{self, Unread};
use db::{DbError, WriteTx};
use domain::notice::{Facts, Notice};
use domain::prefix::PrefixMap;
use jiff::Timestamp;

use super::columns::head_of;
use super::{Arrival, Intake, Kept, Way};

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
    /// None when our own code failed at it.
    intake: Option<Intake>,
}

impl Waiting {
    /// Reads it. A fault of our own code is this delivery's alone: it must not end the process again and again.
    pub fn read(unread: Unread) -> Self {
        let (id, bytes) = (unread.id, unread.body.len() as u64);
        let arrival = Arrival {
            body: unread.body,
            oversized: unread.oversized,
            received_at: unread.received_at,
            source: unread.source,
            headers: unread.headers,
        };
        Self {
            id,
            bytes,
            intake: catch_unwind(AssertUnwindSafe(|| Intake::read(arrival, Way::Received))).ok(),
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
        let intake = self.intake.as_ref();
        let intake = intake.ok_or(DbError::Panicked {
            what: "reading a delivery",
        })?;
        intake.keep(tx, networks, now).map(Some)
    }
}

/// What people are told of a delivery that cannot be taken in. It stays in the inbox: nobody knows what it is about.
pub fn notice_of(unread: &Unread, why: &str) -> Notice {
    Notice::about(Facts::UnreadableAlert {
        size: unread.body.len() as u64,
        head: head_of(&unread.body),
        problem: format!("it cannot be taken in ({why}), and blocks every withdrawal by itself until it is"),
    })
}
