//! Identifiers, each its own type so that none can stand where another belongs.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! outside_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);
        impl $name {
            /// Takes the id as Cloudflare wrote it; it goes back into request paths unchanged.
            pub fn new(text: &str) -> Self {
                Self(text.trim().to_owned())
            }
            /// The text as given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

row_id!(
    /// A stored webhook delivery (`webhook_events.id`).
    DeliveryId
);
row_id!(
    /// A row of the operator's log (`attack_events.id`); every message carries it.
    EventId
);
row_id!(
    /// An incident: one attack from its first sign to the withdrawal.
    IncidentId
);
row_id!(
    /// An entry of the intent journal.
    IntentId
);
row_id!(
    /// A notification in the outbox.
    NotificationId
);
row_id!(
    /// A hold or pause.
    HoldId
);
row_id!(
    /// A stored evidence record.
    EvidenceId
);
row_id!(
    /// A decision row.
    DecisionId
);

outside_id!(
    /// Cloudflare's id of a parent prefix (`addressing/prefixes/{id}`).
    PrefixId
);
outside_id!(
    /// Cloudflare's id of a BGP prefix (`.../bgp/prefixes/{id}`).
    BgpPrefixId
);

/// Normal form for comparing ids that travel in two spellings: lower case, without hyphens.
/// Webhooks write `749b911e…` where the API writes a UUID of the same digits.
pub fn normalise_id(text: &str) -> String {
    text.trim()
        .chars()
        .filter(|c| *c != '-')
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphenated_and_plain_ids_are_equal() {
        assert_eq!(
            normalise_id("2AF39739-cc4e-3b59-10c9-18468bb89828"),
            normalise_id("2af39739cc4e3b5910c918468bb89828")
        );
    }
}
