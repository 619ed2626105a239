//! Answers of the database that serve everybody who asks within some seconds.
//!
//! Must hold: however many ask for the same, it is read once; whoever comes while it is being read waits for that one; what
//! is kept is bounded.

use std::sync::Arc;
use std::time::Duration;

use db::{DbError, ReadTx};
use tokio::sync::Mutex;

use crate::app::App;

/// What was read, by what was asked.
#[derive(Debug)]
pub(crate) struct Shared<K, V> {
    serves: Duration,
    most: usize,
    kept: Mutex<Vec<Kept<K, V>>>,
}

#[derive(Debug)]
struct Kept<K, V> {
    asked: K,
    read: Duration,
    answer: Arc<V>,
}

impl<K: PartialEq, V: Send + Sync + 'static> Shared<K, V> {
    /// Answers serve so long, and at most so many are kept.
    pub(crate) fn new(serves: Duration, most: usize) -> Self {
        Self {
            serves,
            most,
            kept: Mutex::new(Vec::new()),
        }
    }

    /// What `read` answers to `asked`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn of<F>(&self, app: &App, what: &'static str, asked: K, read: F) -> Result<Arc<V>, DbError>
    where
        F: FnOnce(&ReadTx<'_>) -> Result<V, DbError> + Send + 'static,
    {
        let mut kept = self.kept.lock().await;
        let now = app.frame().clock().monotonic();
        kept.retain(|one| now.saturating_sub(one.read) < self.serves);
        if let Some(one) = kept.iter().find(|one| one.asked == asked) {
            return Ok(Arc::clone(&one.answer));
        }
        let answer = Arc::new(app.db().read(what, read).await?);
        kept.truncate(self.most.saturating_sub(1));
        let one = Kept {
            asked,
            read: now,
            answer: Arc::clone(&answer),
        };
        kept.insert(0, one);
        Ok(answer)
    }
}
