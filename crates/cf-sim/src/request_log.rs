//! The requests that arrived, newest kept, so that tests can prove what a client did and did not ask.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many requests are kept.
const KEPT: usize = 5_000;
/// How much of a body is kept.
const BODY_HEAD: usize = 4_096;

/// One request as received and answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestEntry {
    /// Counts from 1, never reused.
    pub seq: u64,
    /// Arrival.
    pub at: Timestamp,
    /// `rest`, `graphql`, `telegram` or `other`.
    pub surface: String,
    /// HTTP method.
    pub method: String,
    /// Path; a bot token in it is masked.
    pub path: String,
    /// Query string.
    pub query: String,
    /// First 4 KiB of the body.
    pub body: String,
    /// Status of the answer; `None` while it is under way or when the connection was cut instead.
    pub status: Option<u16>,
    /// Ids of the faults that were applied.
    pub faults: Vec<String>,
    /// `User-Agent`.
    pub user_agent: String,
}

/// Bounded list of requests.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    entries: VecDeque<RequestEntry>,
    last: u64,
}

impl RequestLog {
    pub(crate) fn open(&mut self, mut entry: RequestEntry, body: &[u8]) -> u64 {
        self.last += 1;
        entry.seq = self.last;
        entry.body = String::from_utf8_lossy(&body[..body.len().min(BODY_HEAD)]).into_owned();
        self.entries.push_back(entry);
        while self.entries.len() > KEPT {
            self.entries.pop_front();
        }
        self.last
    }

    pub(crate) fn update(&mut self, seq: u64, change: impl FnOnce(&mut RequestEntry)) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|e| e.seq == seq) {
            change(entry);
        }
    }

    pub(crate) fn since(&self, seq: u64) -> Vec<RequestEntry> {
        self.entries.iter().filter(|e| e.seq > seq).cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }
}
