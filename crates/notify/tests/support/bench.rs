//! A simulated Telegram, a real database file, and drains in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, RequestEntry, Sim, SimConfig, Target};
use db::outbox::{self, Attempt, Channel, Notification, Pace};
use db::{Db, OpenOptions};
use domain::ids::{EventId, NotificationId};
use domain::notice::{Facts, Notice, Priority};
use jiff::Timestamp;
use notify::drain::Limits;
use notify::{ChatId, Drain, DrainConfig, Poke, TelegramConfig, TelegramSender};
use secrecy::SecretString;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longest wait for anything that should happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Bench {
    pub sim: Sim,
    pub db: Db,
    pub dir: tempfile::TempDir,
    pub limits: Limits,
    pub max_age: Duration,
    pub deadline: Duration,
    pub thread: Option<i32>,
    pub report: notify::drain::Report,
    events: AtomicU64,
}

/// A drain that runs.
pub struct Running {
    pub poke: Poke,
    pub turns: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    /// Asks it to stop and says how long that took.
    pub async fn stop(mut self) -> Duration {
        let began = tokio::time::Instant::now();
        let _ = self.stop.take().unwrap().send(());
        self.task.await.expect("a drain never panics");
        began.elapsed()
    }

    /// Ends it between two steps, as a crash would.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// No pace, short waits.
pub fn quick() -> Limits {
    Limits {
        lease: Duration::from_millis(1_500),
        poll: Duration::from_millis(20),
        longest_rest: Duration::from_millis(300),
        pace: Some(Pace {
            per_window: 1_000,
            reserve: 0,
            window: Duration::from_secs(1),
            gap: Duration::ZERO,
        }),
        backoff: Duration::from_millis(50),
        backoff_most: Duration::from_millis(400),
        pause_most: Duration::from_millis(100),
        broken_pause: Duration::from_millis(300),
        upkeep_every: Duration::from_millis(50),
        db_pause: Duration::from_millis(20),
        db_pause_most: Duration::from_millis(200),
        ..Limits::default()
    }
}

/// A simulator whose own flood control is off; what a test needs of it is set as a fault.
pub fn calm_sim() -> SimConfig {
    let mut config = SimConfig::default();
    config.telegram_limits.enabled = false;
    config
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(calm_sim()).await
    }

    pub async fn with(config: SimConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path().join("mt.db"), OpenOptions::default()).unwrap();
        Self {
            sim: Sim::start(config).await.unwrap(),
            db,
            dir,
            limits: quick(),
            max_age: Duration::from_secs(86_400),
            deadline: Duration::from_millis(600),
            thread: None,
            report: Arc::new(|_| {}),
            events: AtomicU64::new(100),
        }
    }

    /// A second handle on the same file, as another process has.
    pub fn other_process(&self, options: OpenOptions) -> Db {
        Db::open(self.db.path(), options).unwrap()
    }

    pub fn sender(&self) -> TelegramSender {
        let config = TelegramConfig {
            bot_token: SecretString::from(self.sim.config().bot_token.clone()),
            chat: ChatId::Number(self.sim.config().chat_id),
            thread: self.thread,
            api_url: self.sim.telegram_url(),
            deadline: self.deadline,
        };
        TelegramSender::new(config, reqwest::Client::builder().no_proxy().build().unwrap()).unwrap()
    }

    pub fn chat(&self) -> String {
        self.sim.config().chat_id.to_string()
    }

    pub fn run(&self, owner: &str) -> Running {
        self.run_on(self.db.clone(), owner, Some(self.sender()))
    }

    pub fn run_on(&self, db: Db, owner: &str, sender: Option<TelegramSender>) -> Running {
        let config = DrainConfig {
            owner: owner.to_owned(),
            frame: super::frame(),
            max_age: self.max_age,
            limits: self.limits.clone(),
            now: Arc::new(Timestamp::now),
            draw: Arc::new(|| 0.5),
            report: self.report.clone(),
        };
        let drain = Drain::new(db, sender, config);
        let poke = drain.poke();
        let turns = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&turns);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            drain
                .run(shutdown, move || {
                    counted.fetch_add(1, Ordering::Relaxed);
                })
                .await;
        });
        Running {
            poke,
            turns,
            stop: Some(stop),
            task,
        }
    }

    /// A notice with a number of its own; the number is in the message.
    pub fn notice(&self, facts: Facts) -> (Notice, i64) {
        let event = i64::try_from(self.events.fetch_add(1, Ordering::Relaxed)).unwrap();
        let notice = Notice {
            event: Some(EventId(event)),
            ..Notice::about(facts)
        };
        (notice, event)
    }

    pub async fn enter(&self, facts: Facts) -> (NotificationId, String) {
        let (notice, event) = self.notice(facts);
        (self.enter_at(notice, Timestamp::now()).await, format!("#{event}"))
    }

    pub async fn enter_at(&self, notice: Notice, when: Timestamp) -> NotificationId {
        self.db
            .write("test.enter", move |tx| outbox::enqueue(tx, &notice, when))
            .await
            .unwrap()
    }

    pub async fn row(&self, id: NotificationId) -> Notification {
        self.db
            .read("test.row", move |tx| outbox::get(tx, id))
            .await
            .unwrap()
            .unwrap()
    }

    pub async fn outcomes(&self, id: NotificationId) -> Vec<String> {
        self.attempts(id)
            .await
            .into_iter()
            .map(|attempt| attempt.outcome)
            .collect()
    }

    pub async fn attempts(&self, id: NotificationId) -> Vec<Attempt> {
        self.db
            .read("test.attempts", move |tx| outbox::attempts(tx, id, 1_000))
            .await
            .unwrap()
    }

    pub async fn channel(&self) -> Channel {
        let chat = self.chat();
        self.db
            .read("test.channel", move |tx| outbox::channel(tx, &chat))
            .await
            .unwrap()
    }

    pub async fn wait_state(&self, id: NotificationId, state: &str) -> Notification {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let row = self.row(id).await;
            if row.state == state {
                return row;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "{id} is still {}: {:?}",
                row.state,
                row.reason
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Texts of the chat, oldest first.
    pub fn texts(&self) -> Vec<String> {
        self.sim.messages().into_iter().map(|message| message.text).collect()
    }

    pub async fn wait_messages(&self, count: usize) -> Vec<String> {
        let arrived = self
            .sim
            .wait_until(PATIENCE, || self.sim.messages().len() >= count)
            .await;
        let texts = self.texts();
        assert!(arrived, "{} of {count} messages: {texts:#?}", texts.len());
        texts
    }

    pub fn requests(&self) -> Vec<RequestEntry> {
        self.sim
            .requests_since(0)
            .into_iter()
            .filter(|request| request.surface == "telegram")
            .collect()
    }

    pub fn fault(&self, kind: FaultKind, times: u32) -> String {
        self.sim.set_fault(FaultSpec::new(Target::Telegram, kind).times(times))
    }

    pub fn telegram_error(&self, code: u16, description: &str, times: u32) -> String {
        let kind = FaultKind::Telegram {
            code,
            description: description.into(),
            retry_after: None,
            migrate_to_chat_id: None,
        };
        self.fault(kind, times)
    }
}

pub fn raised(title: &str, priority: Priority) -> Facts {
    Facts::Raised {
        title: title.into(),
        text: String::new(),
        priority,
    }
}

pub fn medium(title: &str) -> Facts {
    raised(title, Priority::Medium)
}
