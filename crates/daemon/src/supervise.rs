//! Runs a service within its frame from start to end.
//!
//! Order: the service and its loops run; the first stop signal or the first failure of any of them triggers shutdown;
//! systemd hears STOPPING; everything gets a bounded time to finish; what did not is named. The process never goes on
//! with a part of it missing, and it never waits without a limit.

use crate::exit::ExitReport;
use crate::frame::Frame;
use crate::shutdown::StopReason;
use crate::tasks::Kind;
use crate::watchdog;

/// The name of the service's own future among the tasks.
const MAIN: &str = "main";

/// Runs `service` until the frame is told to stop or a part of it fails, then drains, and reports how it went.
///
/// `service` opens what it needs, starts its loops, calls [`Frame::ready`] and waits for [`Frame::shutdown`]; returning
/// earlier is a failure. Used by [`crate::service::run_service`] and, in process, by tests.
pub async fn supervise<F>(frame: &Frame, service: F) -> ExitReport
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let tasks = frame.tasks();
    let _watchdog = AbortOnDrop(tokio::spawn(watchdog::watch(frame.clone())));
    tasks.spawn(MAIN, Kind::Endless, None, service);
    tokio::select! {
        biased;
        () = tasks.failure() => {
            frame.shutdown().trigger(StopReason::Internal);
        }
        _ = frame.shutdown().triggered() => {}
    }
    let reason = frame.shutdown().reason().unwrap_or(StopReason::Internal);
    let status = format!("stopping ({reason})");
    frame.notifier().stopping(&status);
    frame.status(status);
    let not_stopped = drain(frame, reason).await;
    ExitReport {
        reason,
        forced: frame.forced().is_triggered(),
        failure: tasks.take_failure().map(anyhow::Error::new),
        not_stopped,
        uptime: frame.uptime(),
    }
}

/// Waits for everything to finish and returns the names of what did not.
async fn drain(frame: &Frame, reason: StopReason) -> Vec<String> {
    let tasks = frame.tasks();
    let waiting_for = tasks.still_running().join(",");
    let limit_s = frame.drain().as_secs_f64();
    tracing::info!(
        event = "process.stopping",
        reason = reason.as_str(),
        waiting_for,
        limit_s
    );
    tokio::select! {
        biased;
        () = tasks.all_ended() => return Vec::new(),
        _ = frame.forced().triggered() => {
            tracing::warn!(event = "process.stop.forced", reason = "second signal");
        }
        () = tokio::time::sleep(frame.drain()) => {}
    }
    let left = tasks.still_running();
    tasks.abort_all();
    left
}

/// The watchdog ends with the supervision, also when that is cancelled.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exit;

    fn frame() -> Frame {
        Frame::builder("cloudflare-test").drain(Duration::from_secs(8)).build()
    }

    async fn until_shutdown(frame: Frame) -> anyhow::Result<()> {
        frame.ready();
        frame.shutdown().triggered().await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn an_asked_for_end_is_clean() {
        let frame = frame();
        let running = tokio::spawn({
            let frame = frame.clone();
            async move { supervise(&frame, until_shutdown(frame.clone())).await }
        });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!running.is_finished());
        frame.shutdown().trigger(StopReason::Terminate);
        let report = running.await.expect("joins");
        assert_eq!((report.code(), report.reason), (exit::DONE, StopReason::Terminate));
    }

    #[tokio::test]
    async fn a_service_that_returns_by_itself_has_failed() {
        let report = supervise(&frame(), async { Ok(()) }).await;
        assert_eq!(report.code(), exit::FAILURE);
        let failure = report.failure.expect("a failure");
        assert_eq!(failure.to_string(), "main ended although it was not asked to");
    }

    #[tokio::test]
    async fn a_loop_that_ends_early_takes_the_process_down_with_its_name() {
        let frame = frame();
        let inner = frame.clone();
        let report = supervise(&frame, async move {
            inner.spawn_loop("poll", Duration::from_secs(60), |turn| async move {
                turn.tick();
                anyhow::bail!("the database is gone")
            });
            until_shutdown(inner).await
        })
        .await;
        assert_eq!((report.code(), report.reason), (exit::FAILURE, StopReason::Internal));
        assert_eq!(
            format!("{:#}", report.failure.expect("a failure")),
            "poll failed: the database is gone"
        );
        assert!(report.not_stopped.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_stop_is_named_after_the_limit() {
        let frame = frame();
        let inner = frame.clone();
        let started = tokio::time::Instant::now();
        let report = supervise(&frame, async move {
            inner.spawn_loop("deaf", Duration::from_secs(600), |_| std::future::pending());
            inner.shutdown().trigger(StopReason::Terminate);
            until_shutdown(inner).await
        })
        .await;
        assert_eq!(report.not_stopped, ["deaf"]);
        assert_eq!(report.code(), exit::FAILURE);
        assert_eq!(started.elapsed().as_secs(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_demand_does_not_wait() {
        let frame = frame();
        let inner = frame.clone();
        let started = tokio::time::Instant::now();
        let report = supervise(&frame, async move {
            inner.spawn_loop("deaf", Duration::from_secs(600), |_| std::future::pending());
            inner.shutdown().trigger(StopReason::Interrupt);
            inner.forced().trigger(StopReason::Interrupt);
            until_shutdown(inner).await
        })
        .await;
        assert!(report.forced);
        assert_eq!(started.elapsed().as_secs(), 0);
    }
}
