//! Where the counts of all services meet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Calls per [`super::window::SLOT_S`] seconds, and how long Cloudflare asked for silence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Start of slot (Unix seconds, a multiple of the slot length) to calls `[REST, GraphQL]`.
    pub slots: BTreeMap<i64, [u32; 2]>,
    /// No call before this instant, `[REST, GraphQL]`.
    pub locked_until: [Option<Timestamp>; 2],
}

impl Usage {
    /// Adds the counts of `other` and keeps the later lock of each bucket.
    pub fn add(&mut self, other: &Self) {
        for (slot, calls) in &other.slots {
            let sum = self.slots.entry(*slot).or_default();
            for (sum, calls) in sum.iter_mut().zip(calls) {
                *sum = sum.saturating_add(*calls);
            }
        }
        for (mine, theirs) in self.locked_until.iter_mut().zip(other.locked_until) {
            *mine = (*mine).max(theirs);
        }
    }
}

/// The store could not be asked; the budget goes on with what it knew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shared request budget cannot be read: {0}")]
pub struct BudgetStoreError(pub String);

/// Shared counters. Implemented over the database by the services.
pub trait BudgetStore: Send + Sync + 'static {
    /// Replaces what is stored for `owner` by `own` (absolute counts, so repeating is harmless)
    /// and returns the sum of all *other* owners. Slots older than ten minutes may be deleted.
    /// Blocking; called on a blocking thread at most every two seconds per process.
    ///
    /// # Errors
    /// The store is unavailable.
    fn exchange(&self, owner: &str, own: &Usage, now: Timestamp) -> Result<Usage, BudgetStoreError>;
}

/// Counters in memory: for one process, or for several clients inside one.
#[derive(Debug, Default)]
pub struct MemoryStore {
    by_owner: Mutex<BTreeMap<String, Usage>>,
}

impl BudgetStore for MemoryStore {
    fn exchange(&self, owner: &str, own: &Usage, _now: Timestamp) -> Result<Usage, BudgetStoreError> {
        let mut by_owner = self.by_owner.lock().unwrap_or_else(PoisonError::into_inner);
        by_owner.insert(owner.to_owned(), own.clone());
        let mut others = Usage::default();
        for (_, usage) in by_owner.iter().filter(|(name, _)| *name != owner) {
            others.add(usage);
        }
        Ok(others)
    }
}
