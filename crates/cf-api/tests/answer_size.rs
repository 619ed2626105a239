//! Answers of any length: read up to a cap, never into the memory without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cf_api::budget::RateBudget;
use cf_api::{CloudflareClient, Credentials, Deadlines, ErrorClass, Transport, TransportConfig};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const MIB: usize = 1024 * 1024;

/// Answers anything with `head` and then up to `length` bytes of white space, `pause` apart.
async fn endless(head: &'static str, length: usize, pause: Duration) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(head.as_bytes()).await;
        let chunk = vec![b' '; 65_536];
        while count.load(Ordering::SeqCst) < length {
            if stream.write_all(&chunk).await.is_err() {
                return;
            }
            count.fetch_add(chunk.len(), Ordering::SeqCst);
            tokio::time::sleep(pause).await;
        }
    });
    (base, written)
}

fn client(base: &str) -> CloudflareClient {
    CloudflareClient::new(
        Transport::new(TransportConfig::default()),
        base,
        "c0ffee00c0ffee00c0ffee00c0ffee00",
        Credentials::Token("token-of-nobody".to_owned().into()),
        RateBudget::alone(Arc::new(Timestamp::now)),
    )
    .unwrap()
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let (base, written) = endless(head, 200 * MIB, Duration::ZERO).await;
    let error = client(&base).list_prefixes().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Malformed, "{error}");
    assert!(error.detail.contains("16 MiB"), "{error}");
    // What the kernel's buffers hold comes on top.
    assert!(written.load(Ordering::SeqCst) < 40 * MIB);
}

#[tokio::test]
async fn an_answer_that_drips_ends_at_the_deadline() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n";
    let (base, _) = endless(head, 200 * MIB, Duration::from_millis(200)).await;
    let client = client(&base).with_deadlines(Deadlines {
        read: Duration::from_millis(800),
        ..Deadlines::default()
    });
    let reading = tokio::time::timeout(Duration::from_secs(10), client.list_prefixes());
    let error = reading.await.expect("the deadline holds").unwrap_err();
    assert_eq!(error.class, ErrorClass::Unknown, "{error}");
}
