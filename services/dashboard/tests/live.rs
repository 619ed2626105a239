//! The live stream: a commit of another process is told at once, and nothing outlives its reason.

use std::time::{Duration, Instant};

use crate::support::{Browser, Site, seed};
use db::users::{self, Role};
use db::{holds, sessions};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

/// Longest a test waits for an event; the product's own promise is checked separately.
const LIMIT: Duration = Duration::from_secs(30);

/// Reads a stream event by event.
struct Events {
    answer: Response,
    buffer: String,
}

impl Events {
    async fn open(browser: &Browser) -> Self {
        let request = browser
            .request(Method::GET, "/api/live")
            .timeout(Duration::from_secs(120));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            answer,
            buffer: String::new(),
        }
    }

    /// The next event's name and data; `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        let read = async {
            loop {
                if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                    let field = |name: &str| {
                        event
                            .lines()
                            .find_map(|line| line.strip_prefix(name))
                            .unwrap_or_default()
                            .trim()
                            .to_owned()
                    };
                    let found = (
                        field("event:"),
                        serde_json::from_str(&field("data:")).unwrap_or(Value::Null),
                    );
                    self.buffer = rest.to_owned();
                    return Some(found);
                }
                match self.answer.chunk().await.ok().flatten() {
                    Some(bytes) => self.buffer.push_str(std::str::from_utf8(&bytes).unwrap()),
                    None => return None,
                }
            }
        };
        tokio::time::timeout(LIMIT, read).await.expect("an event in time")
    }

    /// The next event of that name.
    async fn named(&mut self, name: &str) -> Value {
        loop {
            let (event, data) = self
                .next()
                .await
                .unwrap_or_else(|| panic!("the stream ended before {name}"));
            if event == name {
                return data;
            }
        }
    }
}

#[tokio::test]
async fn a_commit_of_another_process_is_told_within_a_second() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Viewer).await;
    let mut events = Events::open(&browser).await;
    let first = events.named("overview").await;
    assert_eq!(
        (&first["status"]["under_attack"], &first["automation"]),
        (&Value::from(1), &Value::from("acting"))
    );

    // The promise is about an idle machine; of three commits the fastest must keep it on a busy one.
    let mut fastest = LIMIT;
    for round in ["one", "two", "three"] {
        let before = browser.json("/api/overview").await["version"].clone();
        let (now, calm) = (site.now(), seed::prefix(seed::CALM));
        site.write(move |tx| holds::set(tx, Some(calm), "otto", round, None, now))
            .await;
        let committed = Instant::now();
        while events.named("overview").await["version"].as_u64() <= before.as_u64() {}
        fastest = fastest.min(committed.elapsed());
    }
    assert!(fastest < Duration::from_secs(1), "told after {fastest:?}");
    // And the page shows it.
    assert!(browser.html("/").await.contains("held by otto until released"));
}

#[tokio::test]
async fn a_page_that_just_came_is_told_of_nothing_it_shows_already() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Viewer).await;
    let shown = |page: &str| -> u64 {
        let (_, rest) = page.split_once("data-version=\"").expect("a version");
        rest.split('"').next().unwrap().parse().unwrap()
    };
    // The first page has things read that are counted in the database: those commits are news. Then there are none.
    let mut differed = 0;
    loop {
        let page = browser.html("/").await;
        let mut events = Events::open(&browser).await;
        if events.named("overview").await["version"].as_u64() == Some(shown(&page)) {
            break;
        }
        differed += 1;
        assert!(differed < 50, "every page is told of something that it shows already");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // What is committed between the page and its stream is told.
    let page = browser.html("/").await;
    let now = site.now();
    site.write(move |tx| holds::set(tx, None, "otto", "maintenance", None, now))
        .await;
    let mut events = Events::open(&browser).await;
    while events.named("overview").await["version"].as_u64() <= Some(shown(&page)) {}
}

#[tokio::test]
async fn many_pages_follow_and_each_is_told() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Viewer).await;
    let mut pages = Vec::new();
    for _ in 0..20 {
        let mut page = Events::open(&browser).await;
        let first = page.named("overview").await["version"].as_u64().unwrap();
        pages.push((page, first));
    }
    let metrics = site
        .stranger()
        .request(Method::GET, "/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("cloudflare_mt_dashboard_live_streams 20"), "{metrics}");
    let now = site.now();
    site.write(move |tx| holds::set(tx, None, "otto", "maintenance", None, now))
        .await;
    for (page, first) in &mut pages {
        loop {
            let told = page.named("overview").await;
            if told["automation"] == "held" {
                assert!(told["version"].as_u64().unwrap() > *first);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_at_shutdown() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Viewer).await;
    let other = site.member("olga", Role::Viewer).await;
    let mut ending = Events::open(&browser).await;
    let mut staying = Events::open(&other).await;
    ending.named("overview").await;
    site.write(|tx| {
        let user = users::by_name(tx, "ana")?.expect("an account");
        sessions::close_others(tx, user.id, None)
    })
    .await;
    ending.named("ended").await;
    assert_eq!(ending.next().await, None);

    staying.named("overview").await;
    let began = Instant::now();
    let stopping = tokio::spawn(site.stop());
    while staying.next().await.is_some() {}
    let report = stopping.await.unwrap();
    assert_eq!(report.code(), 0, "{:?} {:?}", report.failure, report.not_stopped);
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "an open stream holds up no stop"
    );
}

#[tokio::test]
async fn nobody_follows_without_a_session() {
    let site = Site::seeded().await;
    let answer = site.stranger().request(Method::GET, "/api/live").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}
