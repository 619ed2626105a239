//! Our prefixes, kept at hand so that a delivery need not read them: from the configuration and
//! from what the withdraw daemon discovered. A few seconds old at most.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use daemon::{Frame, Streak};
use db::{Db, DbError};
use domain::prefix::{Prefix, PrefixMap};
use tokio::time::MissedTickBehavior;

/// How often the discovered prefixes are read again.
const REFRESH_EVERY: Duration = Duration::from_secs(5);

/// The networks that alerts are resolved against.
#[derive(Debug, Clone)]
pub struct Networks {
    configured: Arc<Vec<Prefix>>,
    current: Arc<RwLock<Arc<PrefixMap<()>>>>,
}

impl Networks {
    /// Starts with what the configuration names.
    pub fn new(configured: Vec<Prefix>) -> Self {
        let map: PrefixMap<()> = configured.iter().map(|prefix| (*prefix, ())).collect();
        Self {
            configured: Arc::new(configured),
            current: Arc::new(RwLock::new(Arc::new(map))),
        }
    }

    /// The networks as known now.
    pub fn current(&self) -> Arc<PrefixMap<()>> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the discovered prefixes again.
    ///
    /// # Errors
    /// Those of the database; what was known stays.
    pub async fn refresh(&self, db: &Db) -> Result<(), DbError> {
        let entries = db.read("networks.refresh", db::inventory::all).await?;
        let map: PrefixMap<()> = self
            .configured
            .iter()
            .copied()
            .chain(entries.iter().map(|entry| entry.prefix.prefix))
            .map(|prefix| (prefix, ()))
            .collect();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
        Ok(())
    }

    /// Keeps them fresh until shutdown.
    pub fn keep_fresh(&self, frame: &Frame, db: &Db) {
        let (networks, db, inner) = (self.clone(), db.clone(), frame.clone());
        frame.spawn_loop("networks", REFRESH_EVERY * 6, |turn| async move {
            let mut turns = tokio::time::interval(REFRESH_EVERY);
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut failures = Streak::new();
            let mut stop = std::pin::pin!(inner.shutdown().triggered());
            loop {
                tokio::select! {
                    _ = &mut stop => return Ok(()),
                    _ = turns.tick() => {}
                }
                turn.tick();
                let now = inner.clock().monotonic();
                match networks.refresh(&db).await {
                    Ok(()) => {
                        failures.recovered(now);
                    }
                    Err(error) => {
                        if let Some(run) = failures.failed(now) {
                            tracing::warn!(event = "networks.refresh_failed", failures = run.failures, error = %error);
                        }
                    }
                }
            }
        });
    }
}
