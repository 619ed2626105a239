//! A server that answers as a test says: for receivers and Bot APIs that are not what they should be.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Status, further headers, body; `None` never answers.
pub(crate) type Said = Option<(u16, &'static str, String)>;

/// Serves on loopback until the test ends; answers its base address. `say` gets the request's first line and head.
pub(crate) async fn server(say: impl Fn(&str) -> Said + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let say = say.clone();
            tokio::spawn(async move {
                let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
                loop {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head
                            .lines()
                            .filter_map(|line| line.split_once(": "))
                            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                            .map_or(0, |(_, value)| value.parse().unwrap());
                        if body.len() >= length {
                            break;
                        }
                    }
                    match stream.read(&mut buffer).await {
                        Ok(n @ 1..) => bytes.extend_from_slice(&buffer[..n]),
                        _ => return,
                    }
                }
                let text = String::from_utf8_lossy(&bytes).into_owned();
                match say(&text) {
                    Some((status, headers, body)) => {
                        let answer = format!(
                            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
                            body.len()
                        );
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                    // Open, and silent, as long as somebody waits.
                    None => while let Ok(1..) = stream.read(&mut buffer).await {},
                }
            });
        }
    });
    base
}

/// What a receiver that works says at `/health`.
pub(crate) const WELL: &str = "{\"service\":\"cloudflare-webhook\",\"status\":\"ok\"}";
