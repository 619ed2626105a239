//! One notification of Cloudflare, one transaction: raw body, event, incident, ledger and notices
//! together, whichever way it came.
//!
//! | Module | Holds |
//! |---|---|
//! | `columns` | what a body says for its row |
//! | `record` | event, incident, ledger and message of a new alert |
//! | [`sameness`] | whether two accounts of a notification are of the same one (pure) |
//! | [`recovery`] | an entry of Cloudflare's history to a delivery that came, or to a recovered one |
//! | [`imported`] | files of the predecessor to deliveries of their own time |
//! | [`unread`] | deliveries that were stored as they came, read afterwards |
//! | [`resolve`] | alerts that named no prefix of ours, looked at again when more is known |
//!
//! Decoding happens before, off the writer; inside are only statements. A duplicate is counted on
//! its original and changes nothing else; so is a delivery that comes after its alert was recovered.

mod columns;
pub mod imported;
mod record;
pub mod recovery;
pub mod resolve;
pub mod sameness;
pub mod unread;

use cf_api::webhook::{Decoded, NotJson, decode, to_alert};
use db::deliveries::{NewDelivery, Stored};
use db::{DbError, WriteTx};
use domain::alert::{Affected, Alert};
use domain::ids::{DeliveryId, EventId, IncidentId};
use domain::notice::{Facts, Notice, Priority, alert_priority};
use domain::prefix::PrefixMap;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use columns::{blank, head_of, of_notification};

/// How a notification reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Posted to the receiver.
    Received,
    /// Read from Cloudflare's history, because it was never received.
    Recovered,
    /// Read from a file that the predecessor kept.
    Imported,
}

impl Way {
    /// The mark on the delivery's row.
    fn mark(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Recovered => "recovered",
            Self::Imported => "imported",
        }
    }

    /// The source that the incident's timeline names.
    fn source(self) -> &'static str {
        match self {
            Self::Received => "cloudflare notification",
            Self::Recovered => "cloudflare notification, recovered from the history",
            Self::Imported => "cloudflare notification, imported from a file",
        }
    }
}

/// A delivery as it came over the wire, authenticated.
#[derive(Debug)]
pub struct Arrival {
    /// The body, complete or (when too large) its beginning.
    pub body: Vec<u8>,
    /// Size of a body that was too large to be read whole.
    pub oversized: Option<u64>,
    /// When it was received.
    pub received_at: Timestamp,
    /// Client address.
    pub source: String,
    /// Headers that matter, as a JSON object.
    pub headers: String,
}

/// A delivery ready to be stored.
#[derive(Debug)]
pub struct Intake {
    delivery: NewDelivery,
    content: Content,
    rule_name: Option<String>,
    way: Way,
}

#[derive(Debug)]
enum Content {
    Alert(Box<Alert>),
    Unreadable { size: u64, head: String, problem: String },
}

/// What storing it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The row.
    pub delivery: DeliveryId,
    /// Whether an identical body was there already.
    pub duplicate: bool,
    /// Whether it was JSON within the size limit.
    pub readable: bool,
    /// Kind, for the log.
    pub kind: String,
    /// Its row in the operator's log; none for a duplicate and for what cannot be read.
    pub event: Option<EventId>,
    /// Its incident.
    pub incident: Option<IncidentId>,
    /// How urgent its message is, or would have been.
    pub priority: Priority,
    /// A marked self-test.
    pub is_test: bool,
}

impl Intake {
    /// Reads an arrival. Never fails: what cannot be read is an unreadable alert.
    pub fn read(arrival: Arrival, way: Way) -> Self {
        let body_hash = hash_of(&arrival.body);
        let size = arrival.oversized.unwrap_or(arrival.body.len() as u64);
        let decoded = decode(&arrival.body);
        let (content, mut delivery, rule_name) = match (arrival.oversized, decoded) {
            (None, decoded @ Decoded::Notification(_)) => {
                let alert = to_alert(&decoded, arrival.received_at);
                let delivery = match &decoded {
                    Decoded::Notification(notification) => of_notification(notification, &alert),
                    Decoded::NotJson(_) => blank(),
                };
                let rule_name = alert.rule_name.clone();
                (Content::Alert(Box::new(alert)), delivery, rule_name)
            }
            (oversized, decoded) => {
                let (head, problem) = match (oversized, decoded) {
                    (Some(size), _) => (
                        head_of(&arrival.body),
                        format!(
                            "the body of {size} bytes is larger than webhook.max_body; only its beginning is stored"
                        ),
                    ),
                    (None, Decoded::NotJson(NotJson { why, head })) => (head, format!("the body is not JSON: {why}")),
                    (None, Decoded::Notification(_)) => (String::new(), String::new()),
                };
                let delivery = NewDelivery {
                    problem: Some(problem.clone()),
                    ..blank()
                };
                (Content::Unreadable { size, head, problem }, delivery, None)
            }
        };
        delivery.action_taken = way.mark();
        delivery.received_at = arrival.received_at;
        delivery.source_ip = arrival.source;
        delivery.headers = arrival.headers;
        delivery.body_hash = body_hash;
        match String::from_utf8(arrival.body) {
            // The payload column has the affinity of numbers: only an object's text stays as it is.
            Ok(text) if text.trim_start().starts_with('{') => delivery.payload = Some(text),
            Ok(text) => delivery.raw_body = Some(text.into_bytes()),
            Err(error) => delivery.raw_body = Some(error.into_bytes()),
        }
        Self {
            delivery,
            content,
            rule_name,
            way,
        }
    }

    /// Stores it with everything that follows from it. May be called again after it was rolled back.
    ///
    /// # Errors
    /// Those of the database; nothing of it is stored then.
    pub fn keep(&self, tx: &WriteTx<'_>, networks: &PrefixMap<()>, now: Timestamp) -> Result<Kept, DbError> {
        let rule = match (&self.rule_name, &self.content) {
            (Some(name), Content::Alert(alert)) if !alert.names_networks() => db::inventory::rule_prefixes(tx, name)?,
            _ => None,
        };
        let affected = match &self.content {
            Content::Alert(alert) => alert.affected(networks, rule.as_deref()),
            Content::Unreadable { .. } => Affected {
                prefixes: Vec::new(),
                unresolved: true,
            },
        };
        let kind = match &self.content {
            Content::Alert(alert) => alert.kind.name().to_owned(),
            Content::Unreadable { .. } => "unreadable".to_owned(),
        };
        let readable = matches!(self.content, Content::Alert(_));
        let priority = match &self.content {
            Content::Alert(alert) => alert_priority(alert),
            Content::Unreadable { .. } => Priority::High,
        };
        let mut kept = Kept {
            delivery: DeliveryId(0),
            duplicate: true,
            readable,
            kind,
            event: None,
            incident: None,
            priority,
            is_test: self.delivery.is_test,
        };
        if let Some(known) = recovery::counted_on_earlier(tx, &self.delivery, self.way)? {
            kept.delivery = known;
            return Ok(kept);
        }
        kept.delivery = match db::deliveries::store(tx, &self.delivery, &affected)? {
            Stored::Duplicate(delivery) => {
                kept.delivery = delivery;
                return Ok(kept);
            }
            Stored::New(delivery) => delivery,
        };
        kept.duplicate = false;
        match &self.content {
            Content::Alert(alert) => {
                let payload = self.delivery.payload.as_deref();
                let (event, incident) = record::alert(tx, alert, affected, kept.delivery, (self.way, payload), now)?;
                (kept.event, kept.incident) = (Some(event), incident);
            }
            Content::Unreadable { size, head, problem } => {
                let facts = Facts::UnreadableAlert {
                    size: *size,
                    head: head.clone(),
                    problem: problem.clone(),
                };
                db::outbox::enqueue(tx, &Notice::about(facts), now)?;
            }
        }
        Ok(kept)
    }
}

/// SHA-256 of a body, hex.
fn hash_of(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}
