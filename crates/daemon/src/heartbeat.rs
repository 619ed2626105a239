//! The sign of life a service leaves where the others can see it.
//!
//! Must hold: no heartbeat is written while a loop is stalled. Silence is a fault that other services announce, and a
//! heartbeat kept up by a timer would hide exactly the daemon that has stopped working. Where it is written is the
//! caller's choice ([`HeartbeatSink`]); this file knows no table.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use crate::frame::Frame;
use crate::health::{Health, Weight};
use crate::streak::Streak;

/// How often a heartbeat is written. "Silent" is said after three minutes, so many may be missed before that.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// How long one write may take.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// What one heartbeat says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The program's name.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its process id.
    pub pid: u32,
    /// When the process started.
    pub started_at: Timestamp,
    /// Now.
    pub at: Timestamp,
    /// Its health as a whole.
    pub health: Health,
    /// What it is doing, in plain words.
    pub status: String,
}

/// Takes heartbeats. Any `Fn(Heartbeat) -> impl Future<Output = anyhow::Result<()>>` is one.
pub trait HeartbeatSink: Send + Sync + 'static {
    /// Stores `beat` durably.
    fn store(&self, beat: Heartbeat) -> impl Future<Output = anyhow::Result<()>> + Send;
}

impl<S, F> HeartbeatSink for S
where
    S: Fn(Heartbeat) -> F + Send + Sync + 'static,
    F: Future<Output = anyhow::Result<()>> + Send,
{
    fn store(&self, beat: Heartbeat) -> impl Future<Output = anyhow::Result<()>> + Send {
        self(beat)
    }
}

impl Frame {
    /// Starts writing heartbeats to `sink` every `every` (usually [`HEARTBEAT_EVERY`]). A write that fails is logged by
    /// streak and shown in `/health`; it does not end the process.
    pub fn spawn_heartbeat<S: HeartbeatSink>(&self, every: Duration, sink: S) {
        let frame = self.clone();
        let limit = (every + WRITE_LIMIT) * 2;
        let check = self.health().check("heartbeat", Weight::Supporting, limit);
        self.spawn_loop("heartbeat", limit, |turn| async move {
            let mut turns = tokio::time::interval(every.max(Duration::from_millis(1)));
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut failures = Streak::new();
            let mut stop = std::pin::pin!(frame.shutdown().triggered());
            loop {
                tokio::select! {
                    _ = &mut stop => return Ok(()),
                    _ = turns.tick() => {}
                }
                turn.tick();
                let stalled = frame.progress().stalled();
                if !stalled.is_empty() {
                    check.degraded(format!("withheld: no progress in {}", stalled.join(", ")));
                    continue;
                }
                let written = tokio::time::timeout(WRITE_LIMIT, sink.store(frame.heartbeat())).await;
                let now = frame.clock().monotonic();
                let error = match written {
                    Ok(Ok(())) => {
                        check.ok("written");
                        if let Some(run) = failures.recovered(now) {
                            let lasted_s = run.lasted.as_secs_f64();
                            tracing::info!(event = "heartbeat.recovered", failures = run.failures, lasted_s);
                        }
                        continue;
                    }
                    Ok(Err(error)) => format!("{error:#}"),
                    Err(_) => format!("not written within {WRITE_LIMIT:?}"),
                };
                if let Some(run) = failures.failed(now) {
                    tracing::warn!(event = "heartbeat.failed", failures = run.failures, error);
                }
                check.degraded(error);
            }
        });
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            service: self.service(),
            version: crate::args::version(),
            pid: std::process::id(),
            started_at: self.started_at(),
            at: self.clock().now(),
            health: self.health().survey().0,
            status: self.current_status(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::shutdown::StopReason;
    use crate::supervise::supervise;

    #[tokio::test(start_paused = true)]
    async fn beats_stop_while_a_loop_is_stalled_and_survive_a_failing_sink() {
        let frame = Frame::builder("cloudflare-test").build();
        let beats = Arc::new(Mutex::new(Vec::new()));
        let broken = Arc::new(AtomicBool::new(false));
        let (seen, fails) = (Arc::clone(&beats), Arc::clone(&broken));
        let sink = move |beat: Heartbeat| {
            let (seen, fails) = (Arc::clone(&seen), Arc::clone(&fails));
            async move {
                anyhow::ensure!(!fails.load(Ordering::SeqCst), "database is locked");
                seen.lock().expect("not poisoned").push(beat);
                Ok(())
            }
        };
        let inner = frame.clone();
        let running = tokio::spawn({
            let frame = frame.clone();
            async move {
                supervise(&frame, async move {
                    inner.spawn_heartbeat(Duration::from_secs(15), sink);
                    inner.shutdown().triggered().await;
                    Ok(())
                })
                .await
            }
        });
        let count = || beats.lock().expect("not poisoned").len();
        let seconds = |n| tokio::time::sleep(Duration::from_secs(n));

        seconds(31).await;
        assert_eq!(count(), 3);
        let stuck = frame.progress().register("stuck", Duration::from_secs(1));
        seconds(60).await;
        assert!(count() <= 4, "{}", count());
        let health = || frame.health().survey().1[0].detail.clone();
        assert_eq!(health(), "withheld: no progress in stuck");
        drop(stuck);
        broken.store(true, Ordering::SeqCst);
        seconds(30).await;
        assert_eq!(health(), "database is locked");
        broken.store(false, Ordering::SeqCst);
        let before = count();
        seconds(30).await;
        assert_eq!(count(), before + 2);
        frame.shutdown().trigger(StopReason::Terminate);
        assert_eq!(running.await.expect("joins").code(), crate::exit::DONE);
        let last = beats.lock().expect("not poisoned").last().cloned().expect("a beat");
        assert_eq!((last.service, last.pid), ("cloudflare-test", std::process::id()));
    }
}
