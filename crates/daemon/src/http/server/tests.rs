//! The accept loop against peers that behave badly, on real sockets.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::exit::{self, ExitReport};
use crate::http::PeerAddr;
use crate::shutdown::StopReason;
use crate::supervise::supervise;

/// Everything here answers within milliseconds; this only keeps a defect from hanging the test.
const PATIENCE: Duration = Duration::from_secs(20);

fn limits() -> HttpLimits {
    HttpLimits {
        head_timeout: Duration::from_millis(300),
        drain: Duration::from_millis(500),
        ..HttpLimits::default()
    }
}

struct Site {
    frame: Frame,
    address: SocketAddr,
    running: JoinHandle<ExitReport>,
}

impl Site {
    async fn start(router: Router, limits: HttpLimits) -> Self {
        let listener = bound().await;
        let address = listener.address();
        Self::start_with(listener, address, router, limits)
    }

    fn start_with<A: Accept>(acceptor: A, address: SocketAddr, router: Router, limits: HttpLimits) -> Self {
        let frame = Frame::builder("cloudflare-test").drain(Duration::from_secs(8)).build();
        let running = tokio::spawn({
            let frame = frame.clone();
            async move {
                let inner = frame.clone();
                supervise(&frame, async move {
                    serve_from(&inner, "test", acceptor, router, limits);
                    inner.ready();
                    inner.shutdown().triggered().await;
                    Ok(())
                })
                .await
            }
        });
        Self {
            frame,
            address,
            running,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    /// One request on a connection of its own; the whole answer as text.
    async fn get(&self, path: &str) -> String {
        let mut stream = self.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("writes");
        rest_of(&mut stream).await
    }

    async fn stop(self) -> ExitReport {
        self.frame.shutdown().trigger(StopReason::Terminate);
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .expect("in time")
            .expect("joins")
    }
}

async fn bound() -> PreboundListener {
    PreboundListener::bind(([127, 0, 0, 1], 0).into(), "test.listen").expect("binds")
}

/// Everything until the other side closes.
async fn rest_of(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("closes in time");
    // A reset is a close, too.
    let _ = read;
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hello() -> Router {
    Router::new().route(
        "/",
        get(|PeerAddr(peer): PeerAddr| async move { format!("you are {}", peer.ip()) }),
    )
}

#[tokio::test]
async fn handlers_see_the_peer() {
    let site = Site::start(hello(), limits()).await;
    let answer = site.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("you are 127.0.0.1"), "{answer}");
    assert_eq!(site.stop().await.code(), exit::DONE);
}

#[tokio::test]
async fn silent_half_sent_and_idle_connections_are_closed_in_time() {
    let site = Site::start(hello(), limits()).await;
    let started = Instant::now();
    let mut silent = site.connect().await;
    let mut half = site.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nhost: t").await.expect("writes");
    let mut idle = site.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .expect("writes");
    assert_eq!(rest_of(&mut silent).await, "");
    let _ = rest_of(&mut half).await;
    let answered = rest_of(&mut idle).await;
    assert!(answered.ends_with("you are 127.0.0.1"), "{answered}");
    assert!(started.elapsed() >= Duration::from_millis(300), "not before the limit");
    let metrics = site.frame.metrics().encode().expect("encodes");
    assert!(
        metrics.contains("cloudflare_mt_http_connections_total{listener=\"test\"} 3"),
        "{metrics}"
    );
    assert!(
        metrics.contains("cloudflare_mt_http_requests_total{listener=\"test\",code=\"2xx\"} 1"),
        "{metrics}"
    );
    site.stop().await;
}

#[tokio::test]
async fn too_large_a_head_is_refused() {
    let site = Site::start(hello(), limits()).await;
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "a".repeat(20 * 1024));
    for headers in [many, large] {
        let mut stream = site.connect().await;
        let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{headers}\r\n");
        // The server may answer and close before everything is sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = rest_of(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_panic_is_answered_and_touches_nobody_else() {
    async fn broken() {
        panic!("index out of bounds");
    }
    let site = Site::start(hello().route("/broken", get(broken)), limits()).await;
    let answer = site.get("/broken").await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert!(!answer.contains("index out of bounds"), "{answer}");
    assert!(site.get("/").await.starts_with("HTTP/1.1 200"));
    assert_eq!(site.stop().await.code(), exit::DONE);
}

/// A handler that waits for its release, so that a test decides when a request ends.
fn slow(entered: &Arc<Notify>, release: &Arc<Notify>) -> Router {
    let (entered, release) = (Arc::clone(entered), Arc::clone(release));
    hello().route(
        "/slow",
        get(move || {
            let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
            async move {
                entered.notify_one();
                release.notified().await;
                "finished"
            }
        }),
    )
}

#[tokio::test]
async fn shutdown_lets_a_running_request_finish_and_takes_no_new_one() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let patient = HttpLimits {
        drain: Duration::from_secs(6),
        ..limits()
    };
    let site = Site::start(slow(&entered, &release), patient).await;
    let mut silent = site.connect().await;
    let mut running = site.connect().await;
    running
        .write_all(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .expect("writes");
    entered.notified().await;
    let address = site.address;
    let stopping = tokio::spawn(site.stop());
    assert_eq!(rest_of(&mut silent).await, "", "an idle connection ends");
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused)
        .await
        .expect("no new connection");
    release.notify_one();
    let answer = rest_of(&mut running).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("finished"),
        "{answer}"
    );
    let report = stopping.await.expect("joins");
    assert_eq!((report.code(), report.not_stopped.len()), (exit::DONE, 0));
}

/// Tells how the handling of a request ended: by itself, or because it was given up.
struct Told {
    finished: bool,
    say: tokio::sync::mpsc::UnboundedSender<bool>,
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.say.send(self.finished);
    }
}

/// Whether a request is done to its end whose sender went away as soon as it was being worked on.
async fn ends_without_its_sender(limits: HttpLimits) -> bool {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (say, mut told) = tokio::sync::mpsc::unbounded_channel();
    let handler = {
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        move || {
            let (entered, release, say) = (Arc::clone(&entered), Arc::clone(&release), say.clone());
            async move {
                let mut told = Told { finished: false, say };
                entered.notify_one();
                release.notified().await;
                told.finished = true;
            }
        }
    };
    let patient = limits.finish_without_peer;
    let site = Site::start(hello().route("/left", get(handler)), limits).await;
    let mut sender = site.connect().await;
    sender
        .write_all(b"GET /left HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .expect("writes");
    entered.notified().await;
    drop(sender);
    if patient {
        // Others are served meanwhile, so that the server has had time to notice.
        for _ in 0..3 {
            assert!(site.get("/").await.starts_with("HTTP/1.1 200"));
        }
        release.notify_one();
    }
    let finished = tokio::time::timeout(PATIENCE, told.recv())
        .await
        .expect("it ends in time")
        .expect("it tells");
    assert_eq!(site.stop().await.code(), exit::DONE);
    finished
}

#[tokio::test]
async fn who_leaves_is_noticed_unless_the_work_is_to_be_finished_all_the_same() {
    assert!(!ends_without_its_sender(limits()).await);
    let patient = HttpLimits {
        finish_without_peer: true,
        ..limits()
    };
    assert!(ends_without_its_sender(patient).await);
}

#[tokio::test]
async fn a_request_without_end_is_cut_off_at_the_limit() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let site = Site::start(slow(&entered, &release), limits()).await;
    let mut running = site.connect().await;
    running
        .write_all(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .expect("writes");
    entered.notified().await;
    let started = Instant::now();
    let report = site.stop().await;
    assert_eq!(
        report.code(),
        exit::DONE,
        "cutting a request off is no failure of the process"
    );
    assert!(started.elapsed() >= Duration::from_millis(500));
    assert_eq!(rest_of(&mut running).await, "");
}

#[tokio::test]
async fn a_full_house_waits_instead_of_failing() {
    let one = HttpLimits {
        max_connections: 1,
        ..limits()
    };
    let site = Site::start(hello(), one).await;
    let _holds_the_only_slot = site.connect().await;
    let answer = site.get("/").await;
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "served once the slot was free: {answer}"
    );
    site.stop().await;
}

/// Fails as a process without free file descriptors does, then works.
struct OutOfDescriptors {
    listener: PreboundListener,
    failures: Arc<AtomicU32>,
}

impl Accept for OutOfDescriptors {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        if self.failures.load(Ordering::SeqCst) > 0 {
            self.failures.fetch_sub(1, Ordering::SeqCst);
            // EMFILE
            return Err(io::Error::from_raw_os_error(24));
        }
        self.listener.accept().await
    }
}

#[tokio::test]
async fn lack_of_descriptors_slows_down_and_passes() {
    let listener = bound().await;
    let address = listener.address();
    let failures = Arc::new(AtomicU32::new(3));
    let acceptor = OutOfDescriptors {
        listener,
        failures: Arc::clone(&failures),
    };
    let started = Instant::now();
    let site = Site::start_with(acceptor, address, hello(), limits());
    assert!(site.get("/").await.starts_with("HTTP/1.1 200"));
    assert_eq!(failures.load(Ordering::SeqCst), 0);
    assert!(started.elapsed() >= MIN_BACKOFF * 7, "50 + 100 + 200 ms of waiting");
    assert_eq!(site.stop().await.code(), exit::DONE);
}
