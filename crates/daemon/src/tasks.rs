//! The tasks a process consists of, and the first one that failed.
//!
//! Must hold: a task that ends before it was asked to, whether well, with an error or by a panic, is the failure of the
//! process; none ends unseen. A finished task's failure is recorded before the task stops counting as running, so a
//! drain that saw the last one end has seen its failure as well. Stopping the process is not done here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError};

use crate::progress::Registration;
use crate::shutdown::Shutdown;

/// Why a task failed the process.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It returned although nobody had asked it to.
    #[error("{0} ended although it was not asked to")]
    Ended(String),
    /// It returned an error.
    #[error("{name} failed")]
    Failed {
        /// The task's name.
        name: String,
        /// What it returned.
        #[source]
        cause: anyhow::Error,
    },
    /// It panicked; the panic itself has been logged where it happened.
    #[error("{name} panicked: {problem}")]
    Panicked {
        /// The task's name.
        name: String,
        /// The panic's message.
        problem: String,
    },
}

/// What a task may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Runs until shutdown; its end before that is a failure.
    Endless,
    /// May end well at any time.
    Finite,
}

/// The running tasks. Clones share them.
#[derive(Clone)]
pub(crate) struct Tasks {
    shutdown: Shutdown,
    running: Arc<watch::Sender<BTreeMap<u64, Running>>>,
    failed: Arc<watch::Sender<bool>>,
    first: Arc<Mutex<Option<TaskError>>>,
    next_id: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Running {
    name: String,
    abort: AbortHandle,
}

impl Tasks {
    pub(crate) fn new(shutdown: Shutdown) -> Self {
        Self {
            shutdown,
            running: Arc::new(watch::Sender::new(BTreeMap::new())),
            failed: Arc::new(watch::Sender::new(false)),
            first: Arc::default(),
            next_id: Arc::default(),
        }
    }

    /// Starts `work`. `registration` is held until it has ended.
    pub(crate) fn spawn<F>(&self, name: &str, kind: Kind, registration: Option<Registration>, work: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let work = tokio::spawn(work);
        let running = Running {
            name: name.to_owned(),
            abort: work.abort_handle(),
        };
        self.running.send_modify(|all| {
            all.insert(id, running);
        });
        tracing::debug!(event = "task.started", name);
        let tasks = self.clone();
        let name = name.to_owned();
        tokio::spawn(async move {
            let outcome = work.await;
            drop(registration);
            tasks.finish(&name, kind, outcome);
            tasks.running.send_modify(|all| {
                all.remove(&id);
            });
        });
    }

    fn finish(&self, name: &str, kind: Kind, outcome: Result<anyhow::Result<()>, JoinError>) {
        let asked = self.shutdown.is_triggered();
        let error = match outcome {
            Ok(Ok(())) if asked || kind == Kind::Finite => {
                tracing::debug!(event = "task.finished", name);
                return;
            }
            Ok(Ok(())) => TaskError::Ended(name.to_owned()),
            Ok(Err(cause)) => TaskError::Failed {
                name: name.to_owned(),
                cause,
            },
            Err(join) => match join.try_into_panic() {
                Ok(panic) => TaskError::Panicked {
                    name: name.to_owned(),
                    problem: panic_text(&*panic),
                },
                // Aborted at the end of the drain, which names it.
                Err(_) => return,
            },
        };
        self.fail(error);
    }

    /// The first failure ends the process and is reported at its exit; later ones would be lost, so they are logged.
    fn fail(&self, error: TaskError) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = Some(error);
            drop(first);
            self.failed.send_replace(true);
        } else {
            drop(first);
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(event = "task.failed", error);
        }
    }

    /// Waits for the first failure; it stays to be taken with [`Self::take_failure`].
    pub(crate) async fn failure(&self) {
        let mut failed = self.failed.subscribe();
        // The sender lives in `self`, so the wait cannot end by its loss.
        let _ = failed.wait_for(|failed| *failed).await;
    }

    pub(crate) fn take_failure(&self) -> Option<TaskError> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until no task runs.
    pub(crate) async fn all_ended(&self) {
        let mut running = self.running.subscribe();
        let _ = running.wait_for(BTreeMap::is_empty).await;
    }

    /// The names of the tasks that still run.
    pub(crate) fn still_running(&self) -> Vec<String> {
        self.running.borrow().values().map(|task| task.name.clone()).collect()
    }

    /// Ends all tasks at their next wait.
    pub(crate) fn abort_all(&self) {
        for task in self.running.borrow().values() {
            task.abort.abort();
        }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("running", &self.still_running())
            .finish_non_exhaustive()
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::StopReason;

    async fn failure_of<F>(kind: Kind, work: F) -> String
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let tasks = Tasks::new(Shutdown::new());
        tasks.spawn("poll", kind, None, work);
        tasks.failure().await;
        tasks.all_ended().await;
        let error = tasks.take_failure().expect("a failure");
        crate::logging::cause_chain(&error)
    }

    #[tokio::test]
    async fn every_early_end_is_a_failure() {
        assert_eq!(
            failure_of(Kind::Endless, async { Ok(()) }).await,
            "poll ended although it was not asked to"
        );
        let error = || Err(anyhow::anyhow!("disk is full").context("cannot store"));
        assert_eq!(
            failure_of(Kind::Endless, async move { error() }).await,
            "poll failed: cannot store: disk is full"
        );
        assert_eq!(
            failure_of(Kind::Finite, async move { error() }).await,
            "poll failed: cannot store: disk is full"
        );
        assert_eq!(
            failure_of(Kind::Finite, async { panic!("index 7") }).await,
            "poll panicked: index 7"
        );
    }

    #[tokio::test]
    async fn an_end_after_the_signal_or_of_a_finite_task_is_none() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn("first fill", Kind::Finite, None, async { Ok(()) });
        tasks.all_ended().await;
        let signal = shutdown.triggered();
        tasks.spawn("poll", Kind::Endless, None, async move {
            signal.await;
            Ok(())
        });
        assert_eq!(tasks.still_running(), ["poll"]);
        shutdown.trigger(StopReason::Terminate);
        tasks.all_ended().await;
        assert!(tasks.take_failure().is_none());
    }
}
