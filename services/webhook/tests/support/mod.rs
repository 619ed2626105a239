//! A receiver in process with a database of its own.
#![allow(dead_code)] // each test binary uses its part

pub(crate) mod types;

use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::StopReason;
use daemon::{Frame, PreboundListener, supervise};
use db::{Db, OpenOptions, ReadTx};
use serde_json::{Value, json};
use settings::{Environment, LoadOptions};

pub(crate) const SECRET: &str = "a-secret-of-the-test";

pub(crate) struct Receiver {
    pub(crate) frame: Frame,
    pub(crate) url: String,
    pub(crate) db: Db,
    pub(crate) client: reqwest::Client,
    running: tokio::task::JoinHandle<daemon::ExitReport>,
    pub(crate) dir: tempfile::TempDir,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// [`Receiver::start`] with changed settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Value)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    /// [`Receiver::start_with`] where an earlier one may have left its database.
    pub(crate) async fn start_in(dir: tempfile::TempDir, change: impl FnOnce(&mut Value)) -> Self {
        let path = dir.path().join("mt.db");
        let mut config = json!({
            "cloudflare": {"account_id": "c0ffee00c0ffee00c0ffee00c0ffee00", "api_token": "0123456789012345678901234567890123456789",
                           "webhook_secret": ["an-old-secret-still-valid", SECRET]},
            "database": {"path": path},
            "webhook": {"max_body": 20_000},
        });
        change(&mut config);
        std::fs::write(dir.path().join("settings.json"), config.to_string()).unwrap();
        let mapping = json!({"prefixes": {"203.0.113.0/24": {}, "2001:db8:1::/48": {}}});
        std::fs::write(dir.path().join("prefix_mapping.json"), mapping.to_string()).unwrap();
        let options = LoadOptions {
            config_dir: Some(dir.path().to_owned()),
            environment: Environment::default(),
            ..LoadOptions::default()
        };
        let settings = settings::load(&options).unwrap().settings;
        let reload = move || settings::load(&options).map(|loaded| loaded.settings);
        let frame = Frame::builder("cloudflare-webhook").build();
        let listener = PreboundListener::bind("127.0.0.1:0".parse().unwrap(), "test").unwrap();
        let url = format!("http://{}", listener.address());
        let inner = frame.clone();
        let running = tokio::spawn(async move {
            let service = webhook::run(inner.clone(), settings, listener, Some(Arc::new(reload)));
            supervise(&inner, service).await
        });
        for _ in 0..500 {
            if frame.is_ready() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(frame.is_ready());
        let db = Db::open(&path, OpenOptions::default()).unwrap();
        Self {
            frame,
            url,
            db,
            client: reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap(),
            running,
            dir,
        }
    }

    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = self
            .client
            .post(format!("{}/webhook/cloudflare", self.url))
            .header("cf-webhook-auth", SECRET);
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn post_json(&self, body: &Value) -> u16 {
        self.post(body.to_string()).await.0
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T, db::DbError> + Send + 'static,
    ) -> T {
        self.db.read("test", f).await.unwrap()
    }

    /// Notices but for those about the service itself: kind and state, oldest first.
    pub(crate) async fn notices(&self) -> Vec<(String, String)> {
        let mut all = self.read(|tx| db::outbox::newest(tx, None, 500)).await;
        all.reverse();
        all.into_iter()
            .filter(|notice| !notice.kind.starts_with("service_"))
            .map(|notice| {
                (
                    notice.kind,
                    if notice.state == "suppressed" {
                        notice.state
                    } else {
                        "told".into()
                    },
                )
            })
            .collect()
    }

    /// Waits until everything that was stored is read.
    pub(crate) async fn until_read(&self) {
        for _ in 0..1_000 {
            if self.read(db::inbox::backlog).await.deliveries == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody reads what is stored");
    }

    /// Holds the lock of the database until the sender is used or dropped: what comes meanwhile waits for its answer.
    pub(crate) async fn hold_writes(&self) -> std::sync::mpsc::Sender<()> {
        let other = Db::open(self.dir.path().join("mt.db"), OpenOptions::default()).unwrap();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (holds, held) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let hold = move |_: &db::WriteTx<'_>| {
                let _ = holds.send(());
                let _ = released.recv_timeout(Duration::from_secs(30));
                Ok(())
            };
            other.write("test.hold", hold).await
        });
        held.await.unwrap();
        release
    }

    pub(crate) async fn stop(self) {
        drop(self.stop_and_leave().await);
    }

    /// Stops it and leaves its folder.
    pub(crate) async fn stop_and_leave(self) -> tempfile::TempDir {
        self.frame.shutdown().trigger(StopReason::Terminate);
        let report = self.running.await.unwrap();
        assert_eq!(report.code(), 0);
        self.dir
    }
}
