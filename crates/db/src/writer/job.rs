//! One write that waits for its turn: a function, its result once it ran, and the way back to its caller.
//!
//! What must hold: a caller hears exactly one answer, and `Ok` only after the commit that holds its write. A panic in the
//! function is caught here and turned into an error, so that one bad write takes nobody else down.
//!
//! A [`Repeatable`] write may be run again from the beginning after everything it did was rolled back. The batch then needs no
//! SAVEPOINT for it, which would copy every page it touches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::error::DbError;
use crate::tx::WriteTx;

/// What the writer needs to know about a write, whatever its result type.
pub(super) trait Job: Send {
    fn what(&self) -> &'static str;
    /// Whether [`Job::run`] may be called again after a rollback.
    fn is_repeatable(&self) -> bool;
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

    fn is_repeatable(&self) -> bool {
        false
    }

    fn run(&mut self, tx: &WriteTx<'_>) -> Result<(), DbError> {
        let what = self.what;
        let Some(function) = self.function.take() else {
            return Err(DbError::Panicked { what });
        };
        // Unwind safety: the function's part of the transaction is rolled back and its captured values are gone.
        self.made = None;
        guarded(what, || function(tx)).map(|made| self.made = Some(made))
    }

    fn answer(self: Box<Self>, outcome: Result<(), DbError>) {
        (self.answer)(result_of(self.what, outcome, self.made));
    }
}

/// A write whose function may run more than once.
pub(super) struct Repeatable<T, F, A> {
    pub(super) what: &'static str,
    pub(super) function: F,
    pub(super) made: Option<T>,
    pub(super) answer: A,
}

impl<T, F, A> Job for Repeatable<T, F, A>
where
    T: Send,
    F: Fn(&WriteTx<'_>) -> Result<T, DbError> + Send,
    A: FnOnce(Result<T, DbError>) + Send,
{
    fn what(&self) -> &'static str {
        self.what
    }

    fn is_repeatable(&self) -> bool {
        true
    }

    fn run(&mut self, tx: &WriteTx<'_>) -> Result<(), DbError> {
        // Unwind safety: what it did is rolled back, and the function cannot change what it captured.
        self.made = None;
        let function = &self.function;
        guarded(self.what, || function(tx)).map(|made| self.made = Some(made))
    }

    fn answer(self: Box<Self>, outcome: Result<(), DbError>) {
        let Self {
            what,
            function,
            made,
            answer,
        } = *self;
        // Before the answer, so that a caller who kept a share of what it captured is the last to have one.
        drop(function);
        answer(result_of(what, outcome, made));
    }
}

fn guarded<T>(what: &'static str, function: impl FnOnce() -> Result<T, DbError>) -> Result<T, DbError> {
    catch_unwind(AssertUnwindSafe(function)).unwrap_or(Err(DbError::Panicked { what }))
}

fn result_of<T>(what: &'static str, outcome: Result<(), DbError>, made: Option<T>) -> Result<T, DbError> {
    outcome.and_then(|()| made.ok_or(DbError::Panicked { what }))
}
