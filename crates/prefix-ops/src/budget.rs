//! The request budget of all services together, shared through the database.

use cf_api::budget::{BudgetStore, BudgetStoreError, Usage};
use db::Db;
use db::budget::Counts;
use jiff::Timestamp;

/// Counters in the `api_budget` table, one row per process.
#[derive(Debug, Clone)]
pub struct SharedBudget {
    db: Db,
}

impl SharedBudget {
    /// Counters in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

impl BudgetStore for SharedBudget {
    fn exchange(&self, owner: &str, own: &Usage, now: Timestamp) -> Result<Usage, BudgetStoreError> {
        let mine = Counts {
            slots: own.slots.clone(),
            locked_until: own.locked_until,
        };
        let owner = owner.to_owned();
        let others = self
            .db
            .write_blocking("budget.exchange", move |tx| {
                db::budget::exchange(tx, &owner, &mine, now)
            })
            .map_err(|error| BudgetStoreError(error.to_string()))?;
        let mut sum = Usage::default();
        for counts in others {
            sum.add(&Usage {
                slots: counts.slots,
                locked_until: counts.locked_until,
            });
        }
        Ok(sum)
    }
}
