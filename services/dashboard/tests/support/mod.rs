//! A dashboard in process on a free port, with its database, its clock, and browsers that keep a session.

#![allow(dead_code, unreachable_pub)]

pub mod cloudflare;
pub mod seed;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daemon::{ExitReport, Frame, ManualClock, PreboundListener, StopReason, supervise};
use db::sessions::{self, NewSession};
use db::users::{self, Role};
use db::{Db, DbError, OpenOptions, ReadTx, WriteTx};
use domain::time::plus;
use jiff::Timestamp;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use settings::{Environment, LoadOptions};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use testkit::wait;
use tokio::task::JoinHandle;

/// What time it is when a test begins.
pub const BEGIN: &str = "2026-11-22T03:27:00Z";

/// A password that the policy takes.
pub const PASSWORD: &str = "four small brown foxes";

/// A start needs tens of milliseconds, and a hash or two in a slow build.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// A running dashboard.
pub struct Site {
    folder: TempDir,
    /// Another handle on the same file, as another process would have.
    pub db: Db,
    pub clock: Arc<ManualClock>,
    pub frame: Frame,
    pub address: SocketAddr,
    running: Option<JoinHandle<ExitReport>>,
}

/// What a site is made of before it starts.
pub struct Plan {
    folder: TempDir,
    settings: Value,
}

impl Plan {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = json!({
            "cloudflare": {"account_id": "0123456789abcdef0123456789abcdef", "api_token": "t0ken-that-is-none", "api_base_url": "http://127.0.0.1:9/client/v4", "webhook_secret": "s3cret-that-is-none"},
            "database": {"path": folder.path().join("magic_transit.db")},
            "dashboard": {"listen": "127.0.0.1:0"},
            "organisation": {"name": "Example Networks", "server": "edge1"},
        });
        Self { folder, settings }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Changes a setting: `("/dashboard/public_url", json!("https://noc.example.net"))`.
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        let (section, key) = pointer.rsplit_once('/').expect("a path");
        self.settings.pointer_mut(section).expect("a section")[key] = value;
        self
    }

    /// Writes a file beside the settings.
    pub fn file(self, name: &str, text: &str) -> Self {
        write(&self.path().join(name), text);
        self
    }

    pub fn open(&self) -> Db {
        Db::open(self.path().join("magic_transit.db"), OpenOptions::default()).expect("opens")
    }

    fn load(&self) -> settings::Settings {
        write(&self.path().join("settings.json"), &self.settings.to_string());
        let options = LoadOptions {
            config_dir: Some(self.path().to_owned()),
            environment: Environment::default(),
            needs: vec![],
            accept_masked_secrets: false,
        };
        settings::load(&options)
            .unwrap_or_else(|report| panic!("{report}"))
            .settings
    }

    /// Starts with an account, so that none is made.
    pub async fn start(self) -> Site {
        self.prepared(|tx, now| users::add(tx, "someone", "*", Role::Viewer, false, now).map(|_| ()))
            .await
    }

    /// Starts with what `fill` puts into the database.
    pub async fn prepared(self, fill: fn(&WriteTx<'_>, Timestamp) -> Result<(), DbError>) -> Site {
        let db = self.open();
        let now = begin();
        db.write("prepare", move |tx| fill(tx, now)).await.expect("fills");
        self.run(db).await
    }

    /// Starts with an empty database.
    pub async fn empty(self) -> Site {
        let db = self.open();
        self.run(db).await
    }

    async fn run(self, db: Db) -> Site {
        let settings = self.load();
        let clock = Arc::new(ManualClock::at(begin()));
        let frame = Frame::builder("cloudflare-dashboard")
            .clock(Arc::<ManualClock>::clone(&clock))
            .build();
        let listener = PreboundListener::bind(settings.dashboard.listen, "dashboard.listen").expect("binds");
        let address = listener.address();
        let (outer, inner) = (frame.clone(), frame.clone());
        let running = tokio::spawn(async move { supervise(&outer, dashboard::run(inner, settings, listener)).await });
        let site = Site {
            folder: self.folder,
            db,
            clock,
            frame,
            address,
            running: Some(running),
        };
        let ended = || site.running.as_ref().is_some_and(JoinHandle::is_finished);
        wait::until("READY", STARTED_WITHIN, || {
            (site.frame.is_ready() || ended()).then_some(())
        })
        .await;
        site
    }
}

pub fn begin() -> Timestamp {
    BEGIN.parse().expect("an instant")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("writes");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("changes the mode");
}

impl Site {
    /// The seeded night, with an account that nobody can log in to.
    pub async fn seeded() -> Self {
        let fill = |tx: &WriteTx<'_>, now: Timestamp| {
            users::add(tx, "someone", "*", Role::Viewer, false, now)?;
            seed::fill(tx, &seed::Words::default(), now)
        };
        Plan::new().prepared(fill).await
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn password_file(&self) -> PathBuf {
        self.path().join("dashboard-first-login.txt")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Reads through the test's own handle.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTx<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> T {
        self.db.read("test", read).await.expect("reads")
    }

    /// Writes through the test's own handle, as another process would.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> T {
        self.db.write("test", write).await.expect("writes")
    }

    /// Lets time pass.
    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub fn now(&self) -> Timestamp {
        daemon::Clock::now(&*self.clock)
    }

    /// An account with a password, hashed cheaply as the predecessor did.
    pub async fn account(&self, name: &'static str, password: &str, role: Role) {
        let hash = bcrypt::hash(password, 4).expect("hashes");
        let now = self.now();
        self.write(move |tx| users::add(tx, name, &hash, role, false, now))
            .await;
    }

    /// A browser of nobody.
    pub fn stranger(&self) -> Browser {
        Browser {
            base: self.url(""),
            client: client(),
            cookie: None,
            csrf: String::new(),
        }
    }

    /// A browser that is signed in as a new account of this role, without going through the login.
    pub async fn member(&self, name: &'static str, role: Role) -> Browser {
        let now = self.now();
        let token = hex::encode(Sha256::digest(format!("{name}/{now}")));
        let hash = hex::encode(Sha256::digest(&token));
        self.write(move |tx| {
            let id = match users::by_name(tx, name)? {
                Some(user) => user.id,
                None => users::add(tx, name, "*", role, false, now)?,
            };
            let new = NewSession {
                token_hash: &hash,
                user_id: id,
                csrf: "the-secret-of-the-session",
                expires_at: plus(now, Duration::from_secs(7 * 86_400)),
                address: "127.0.0.1",
                agent: "test",
            };
            sessions::open(tx, &new, now)
        })
        .await;
        Browser {
            cookie: Some(format!("magic-transit={token}")),
            csrf: "the-secret-of-the-session".into(),
            ..self.stranger()
        }
    }

    /// Stops it in order.
    pub async fn stop(mut self) -> ExitReport {
        self.frame.shutdown().trigger(StopReason::Terminate);
        self.running.take().expect("it runs").await.expect("joins")
    }

    /// How it ended by itself.
    pub async fn ended(mut self) -> ExitReport {
        self.running.take().expect("it ran").await.expect("joins")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.frame.shutdown().trigger(StopReason::Terminate);
    }
}

fn client() -> Client {
    Client::builder()
        .redirect(Policy::none())
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a client")
}

/// A browser: keeps its cookie, and repeats the session's secret where it is told to.
#[derive(Clone)]
pub struct Browser {
    base: String,
    pub client: Client,
    pub cookie: Option<String>,
    pub csrf: String,
}

impl Browser {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    /// A page, as a person asks for it.
    pub async fn page(&self, path: &str) -> (StatusCode, String) {
        let answer = self
            .request(Method::GET, path)
            .header("accept", "text/html")
            .send()
            .await
            .expect("an answer");
        (answer.status(), answer.text().await.expect("text"))
    }

    /// The page at `path`, which must be there.
    pub async fn html(&self, path: &str) -> String {
        let (status, text) = self.page(path).await;
        assert_eq!(status, StatusCode::OK, "{path}\n{text}");
        text
    }

    /// JSON, as a program asks for it.
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        told(self.request(Method::GET, path).send().await.expect("an answer")).await
    }

    /// JSON at `path`, which must be there.
    pub async fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path} {body}");
        body
    }

    /// A change, with the session's secret.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self
            .request(Method::POST, path)
            .header("x-csrf-token", &self.csrf)
            .json(body);
        told(request.send().await.expect("an answer")).await
    }

    /// A form, as a page without script sends it.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.request(Method::POST, path)
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .expect("an answer")
    }

    /// Signs in with JSON and keeps the cookie.
    pub async fn log_in(&mut self, name: &str, password: &str) -> Response {
        let body = json!({"username": name, "password": password});
        let answer = self
            .request(Method::POST, "/login")
            .json(&body)
            .send()
            .await
            .expect("an answer");
        self.keep(&answer);
        answer
    }

    /// Keeps the cookie of an answer, as a browser does.
    pub fn keep(&mut self, answer: &Response) {
        if let Some(set) = answer.headers().get("set-cookie") {
            let pair = set.to_str().expect("text").split(';').next().expect("a pair");
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
    }

    /// Reads the session's secret from a page, as its script does.
    pub async fn learn_secret(&mut self) {
        let text = self.html("/password").await;
        let (_, rest) = text.split_once(r#"<meta name="csrf" content=""#).expect("a secret");
        self.csrf = rest.split('"').next().expect("a secret").to_owned();
    }
}

pub async fn told(answer: Response) -> (StatusCode, Value) {
    let status = answer.status();
    let text = answer.text().await.expect("text");
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: not JSON: {text}"));
    (status, body)
}
