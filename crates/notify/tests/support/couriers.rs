//! Couriers in this process, and what became of the copies.

use std::sync::Arc;
use std::time::Duration;

use db::outbox::{self, Copy};
use domain::ids::NotificationId;
use jiff::Timestamp;
use notify::channels::{Courier, CourierConfig, Outlet, Route};
use tokio::sync::oneshot;

use super::bench::{Bench, PATIENCE};

pub struct Running(Option<oneshot::Sender<()>>, tokio::task::JoinHandle<()>);

impl Running {
    pub async fn stop(mut self) {
        let _ = self.0.take().unwrap().send(());
        self.1.await.unwrap();
    }
}

pub fn run(bench: &Bench, outlet: Outlet, route: Route, owner: &str, gap: Duration) -> Running {
    let config = CourierConfig {
        owner: owner.into(),
        route,
        frame: super::frame(),
        max_age: bench.max_age,
        gap,
        backoff: Duration::from_millis(50),
        backoff_most: Duration::from_millis(200),
        now: Arc::new(Timestamp::now),
        draw: Arc::new(|| 0.5),
    };
    let courier = Courier::new(bench.db.clone(), outlet, config);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(courier.run(
        async {
            let _ = stopped.await;
        },
        || {},
    ));
    Running(Some(stop), task)
}

pub async fn copies(bench: &Bench, id: NotificationId) -> Vec<Copy> {
    bench
        .db
        .read("test.copies", move |tx| outbox::copies(tx, id))
        .await
        .unwrap()
}

pub async fn wait(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !done().await {
        assert!(tokio::time::Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn wait_copy(bench: &Bench, id: NotificationId, state: &str) -> Copy {
    wait(&format!("{id} is not {state}"), async || {
        copies(bench, id).await.first().is_some_and(|copy| copy.state == state)
    })
    .await;
    copies(bench, id).await.remove(0)
}

/// A channel begins with what comes after it was first there.
pub async fn begun(bench: &Bench, channel: &'static str) {
    wait("the channel has begun", async || {
        !bench
            .db
            .read("test", move |tx| outbox::has_new(tx, channel))
            .await
            .unwrap()
    })
    .await;
}
