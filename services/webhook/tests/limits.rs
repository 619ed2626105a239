//! Overload and abuse: what a sender may cost, and what is said when nothing can be stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{Receiver, SECRET};
use db::{Db, OpenOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use webhook::gate::Gate;

/// Far beyond every limit that is waited for here.
const PATIENCE: Duration = Duration::from_secs(60);

const MEGABYTE: usize = 1024 * 1024;

async fn connect(receiver: &Receiver) -> TcpStream {
    TcpStream::connect(receiver.url.strip_prefix("http://").unwrap())
        .await
        .unwrap()
}

fn head(length: usize) -> String {
    format!(
        "POST /webhook/cloudflare HTTP/1.1\r\nhost: x\r\ncf-webhook-auth: {SECRET}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// What comes until the other side ends the connection or one answer is there.
async fn answer_of(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut part = [0_u8; 4_096];
    while !read.windows(4).any(|four| four == b"\r\n\r\n") {
        match timeout(PATIENCE, stream.read(&mut part)).await.expect("it ends") {
            Ok(0) | Err(_) => break,
            Ok(length) => read.extend_from_slice(&part[..length]),
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[tokio::test]
async fn who_sends_too_slowly_or_too_much_is_cut_off() {
    let receiver = Receiver::start().await;
    // A head that never ends, and a body that never comes: both at once, each has its own limit.
    let mut half_a_head = connect(&receiver).await;
    half_a_head
        .write_all(b"POST /webhook/cloudflare HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    let mut half_a_body = connect(&receiver).await;
    half_a_body.write_all(head(100).as_bytes()).await.unwrap();
    half_a_body.write_all(b"{\"alert_type\":").await.unwrap();
    let mut large_head = connect(&receiver).await;
    let filler = format!(
        "GET /health HTTP/1.1\r\nhost: x\r\nx-filler: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    let _ = large_head.write_all(filler.as_bytes()).await;
    // Without the secret not a byte of a body is waited for.
    let mut stranger = connect(&receiver).await;
    stranger
        .write_all(b"POST /webhook/cloudflare HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n")
        .await
        .unwrap();
    let (no_head, no_body, large, strange) = tokio::join!(
        answer_of(&mut half_a_head),
        answer_of(&mut half_a_body),
        answer_of(&mut large_head),
        answer_of(&mut stranger)
    );
    assert!(no_head.is_empty() || no_head.starts_with("HTTP/1.1 4"), "{no_head}");
    assert!(no_body.starts_with("HTTP/1.1 408"), "{no_body}");
    assert!(large.starts_with("HTTP/1.1 431"), "{large}");
    assert!(strange.starts_with("HTTP/1.1 401"), "{strange}");
    assert_eq!(receiver.read(db::deliveries::count).await, 0);
    receiver.stop().await;
}

#[tokio::test]
async fn bodies_that_fill_the_memory_make_the_next_one_wait_and_then_come_again() {
    let receiver = Receiver::start_with(|config| config["webhook"] = json!({"max_body": MEGABYTE})).await;
    let almost = vec![b' '; MEGABYTE - 1];
    let mut slow = Vec::new();
    for _ in 0..=webhook::routes::BODY_ROOM / MEGABYTE {
        let mut stream = connect(&receiver).await;
        stream.write_all(head(MEGABYTE).as_bytes()).await.unwrap();
        // The last ones are not taken in completely; their sender is not to wait for that.
        let _ = timeout(Duration::from_millis(500), stream.write_all(&almost)).await;
        slow.push(stream);
    }
    let url = format!("{}/webhook/cloudflare", receiver.url);
    let body = json!({"alert_type": "dos_attack_l4", "ts": 1, "text": "x".repeat(30_000)}).to_string();
    let post = || {
        receiver
            .client
            .post(&url)
            .header("cf-webhook-auth", SECRET)
            .body(body.clone())
            .send()
    };
    let mut refused = None;
    // The receiver takes in what was sent in its own time.
    for _ in 0..300 {
        let answer = post().await.unwrap();
        if answer.status().as_u16() == 503 {
            refused = Some(answer);
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = refused.expect("the room is full at some time");
    assert_eq!(refused.headers()["retry-after"], "5");
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "no_room");
    drop(slow);
    for attempt in 0.. {
        if post().await.unwrap().status().as_u16() == 200 {
            break;
        }
        assert!(attempt < 20, "room is never free again");
    }
    assert_eq!(receiver.read(db::deliveries::count).await, 1);
    receiver.stop().await;
}

/// Another process' writer.
fn other(receiver: &Receiver) -> Db {
    Db::open(receiver.dir.path().join("mt.db"), OpenOptions::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_stored_is_refused_and_asked_for_again_and_health_says_so() {
    let receiver = Receiver::start().await;
    let release = receiver.hold_writes().await;
    let url = format!("{}/webhook/cloudflare", receiver.url);
    let post = |ts: i64| {
        let body = json!({"alert_type": "dos_attack_l4", "ts": ts, "data": {"target_ip": "203.0.113.10"}}).to_string();
        receiver
            .client
            .post(&url)
            .header("cf-webhook-auth", SECRET)
            .body(body)
            .send()
    };
    let refused = post(1).await.unwrap();
    assert_eq!(refused.status().as_u16(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    let words = refused.text().await.unwrap();
    assert!(
        !words.contains("sqlite") && !words.contains('/'),
        "nothing of the inside is told: {words}"
    );
    let health = receiver
        .client
        .get(format!("{}/mt-health", receiver.url))
        .send()
        .await
        .unwrap();
    assert_eq!(health.json::<Value>().await.unwrap()["database_writable"], false);
    release.send(()).unwrap();
    assert_eq!(post(2).await.unwrap().status().as_u16(), 200);
    assert_eq!(
        post(1).await.unwrap().status().as_u16(),
        200,
        "sent again it is new: it was never stored"
    );
    assert_eq!(receiver.read(db::deliveries::count).await, 2);
    receiver.stop().await;
}

/// Writes of the other process during the flood.
const WRITES: u32 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authenticated_flood_does_not_starve_the_writes_of_other_services() {
    let receiver = Receiver::start().await;
    let (stop, posted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut flood = tokio::task::JoinSet::new();
    for sender in 0..64 {
        let (stop, posted) = (Arc::clone(&stop), Arc::clone(&posted));
        let (client, url) = (receiver.client.clone(), format!("{}/webhook/cloudflare", receiver.url));
        flood.spawn(async move {
            for number in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let body = json!({"alert_type": "dos_attack_l4", "ts": 1_774_576_800, "data": {
                    "attack_id": format!("{sender}x{number}"), "attack_vector": "UDP", "target_ip": "203.0.113.10"}});
                let request = client
                    .post(&url)
                    .header("cf-webhook-auth", SECRET)
                    .body(body.to_string());
                if request.send().await.is_ok_and(|answer| answer.status().as_u16() == 200) {
                    posted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    let service = other(&receiver);
    let mut slowest = Duration::ZERO;
    for number in 0..WRITES {
        let before = posted.load(Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        let now = jiff::Timestamp::now();
        let value = number.to_string();
        let written = service
            .write("test.other", move |tx| db::leases::set_fact(tx, "test", &value, now))
            .await;
        written.expect("it got its turn");
        slowest = slowest.max(began.elapsed());
        while posted.load(Ordering::Relaxed) == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = flood.join_next().await {
        ended.unwrap();
    }
    let posted = posted.load(Ordering::Relaxed);
    println!("{WRITES} writes beside {posted} deliveries, the slowest took {slowest:?}");
    assert!(posted > u64::from(WRITES), "the flood went on: {posted}");
    receiver.stop().await;
}

#[tokio::test]
async fn cloudflares_networks_can_be_the_only_sources() {
    let receiver = Receiver::start_with(|config| {
        config["webhook"] = json!({"allowed_sources": ["cloudflare", "192.0.2.0/24"]});
    })
    .await;
    let post = |forwarded: Option<&'static str>| {
        let url = format!("{}/webhook/cloudflare", receiver.url);
        let mut request = receiver
            .client
            .post(url)
            .header("cf-webhook-auth", SECRET)
            .body("{\"ts\":1}");
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        async move { request.send().await.unwrap().status().as_u16() }
    };
    // The test's peer is the trusted proxy of the defaults.
    assert_eq!(post(None).await, 403, "loopback itself is no source");
    assert_eq!(post(Some("162.158.1.1")).await, 200);
    assert_eq!(post(Some("192.0.2.7")).await, 200);
    assert_eq!(
        post(Some("162.158.1.1, 203.0.113.66")).await,
        403,
        "only the right-most counts"
    );
    assert_eq!(post(Some("203.0.113.66")).await, 403);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_of_the_writer_is_said_at_once_with_when_to_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        queue: 1,
        ..OpenOptions::default()
    };
    let db = Db::open(dir.path().join("mt.db"), options).unwrap();
    let gate = Gate::new(&[secrecy::SecretString::from(SECRET)], false, Vec::new(), Vec::new());
    let receiver = Arc::new(webhook::routes::Receiver {
        db: db.clone(),
        clock: daemon::SystemClock::shared(),
        gate: std::sync::RwLock::new(Arc::new(gate)),
        networks: webhook::networks::Networks::new(Vec::new()),
        max_body: 1_000,
        room: Arc::new(tokio::sync::Semaphore::new(webhook::routes::BODY_ROOM)),
        inbox: webhook::inbox::Inbox::default(),
        counts: webhook::routes::Counts::default(),
    });
    let routes = webhook::routes::router(Arc::clone(&receiver));
    let post = |number: u32| {
        let body = json!({"alert_type": "radar_notification", "text": number}).to_string();
        let request = axum::http::Request::post("/webhook/cloudflare")
            .header("cf-webhook-auth", SECRET)
            .extension(daemon::PeerAddr("127.0.0.1:4711".parse().unwrap()))
            .body(axum::body::Body::from(body))
            .unwrap();
        tower::ServiceExt::oneshot(routes.clone(), request)
    };
    // The writer is busy with one write, the queue holds one more.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (began, begun) = tokio::sync::oneshot::channel();
    let holder = tokio::spawn({
        let db = db.clone();
        async move {
            db.write("holder", move |_| {
                let _ = began.send(());
                let _ = wait.recv();
                Ok(())
            })
            .await
        }
    });
    begun.await.unwrap();
    let waits = tokio::spawn(post(1));
    let queued = async {
        while db.writer_stats().queue == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, queued).await.expect("one waits in the queue");
    let refused = post(2).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    drop(go);
    holder.await.unwrap().unwrap();
    assert_eq!(
        waits.await.unwrap().unwrap().status(),
        200,
        "what was accepted is stored"
    );
    let stored = db.read("test", db::deliveries::total).await.unwrap();
    assert_eq!(stored, 1, "what was refused is not");
}
