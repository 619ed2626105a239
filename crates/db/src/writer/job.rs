//! One write that waits for its turn: a function, its result once it ran, and the way back to its caller.
//!
//! What must hold: a caller hears exactly one answer, and `Ok` only after the commit that holds its write. A panic in the
//! function is caught here and turned into an error, so that one bad write takes nobody else down.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::error::DbError;
use crate::tx::WriteTx;

/// What the writer needs to know about a write, whatever its result type.
pub(super) trait Job: Send {
    fn what(&self) -> &'static str;
    /// Runs the function inside the batch's transaction and keeps its result for [`Job::answer`].
    fn run(&mut self, tx: &WriteTx<'_>) -> Result<(), DbError>;
    /// Tells the caller: the kept result after a commit, or why there is none.
    fn answer(self: Box<Self>, outcome: Result<(), DbError>);
}

/// A job in the queue, with the moment it was handed in.
pub(super) struct Queued {
    pub(super) job: Box<dyn Job>,
    pub(super) since: Instant,
}

pub(super) struct Work<T, F, A> {
    pub(super) what: &'static str,
    pub(super) function: Option<F>,
    pub(super) made: Option<T>,
    pub(super) answer: A,
}

impl<T, F, A> Job for Work<T, F, A>
where
    T: Send,
    F: FnOnce(&WriteTx<'_>) -> Result<T, DbError> + Send,
    A: FnOnce(Result<T, DbError>) + Send,
{
    fn what(&self) -> &'static str {
        self.what
    }

    fn run(&mut self, tx: &WriteTx<'_>) -> Result<(), DbError> {
        let what = self.what;
        let Some(function) = self.function.take() else {
            return Err(DbError::Panicked { what });
        };
        // Unwind safety: the function's part of the transaction is rolled back and its captured values are gone.
        match catch_unwind(AssertUnwindSafe(|| function(tx))) {
            Ok(Ok(made)) => {
                self.made = Some(made);
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(DbError::Panicked { what }),
        }
    }

    fn answer(self: Box<Self>, outcome: Result<(), DbError>) {
        let what = self.what;
        let result = match (outcome, self.made) {
            (Ok(()), Some(made)) => Ok(made),
            (Ok(()), None) => Err(DbError::Panicked { what }),
            (Err(error), _) => Err(error),
        };
        (self.answer)(result);
    }
}
