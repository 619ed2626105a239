//! A small HTTP server over TLS (or plain) whose certificate the test makes, and silent listeners.
#![allow(dead_code, unreachable_pub)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A certificate for some names, and how a client comes to trust it.
pub struct Certificate {
    pub pem: Vec<u8>,
    pub acceptor: TlsAcceptor,
}

pub fn certificate(names: &[&str]) -> Certificate {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    Certificate {
        pem: made.cert.pem().into_bytes(),
        acceptor: TlsAcceptor::from(Arc::new(config)),
    }
}

/// What a server has seen.
#[derive(Default)]
pub struct Seen {
    pub connections: AtomicUsize,
    pub requests: AtomicUsize,
}

impl Seen {
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A listener on the same port of both loopback addresses: `(IPv6, IPv4, port)`.
pub async fn both_families() -> (TcpListener, TcpListener, u16) {
    for _ in 0..50 {
        let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = v4.local_addr().unwrap().port();
        if let Ok(v6) = TcpListener::bind(("::1", port)).await {
            return (v6, v4, port);
        }
    }
    panic!("no port is free on both loopback addresses");
}

/// Accepts TCP and never says a word.
pub fn silent(listener: TcpListener) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            count.connections.fetch_add(1, Ordering::SeqCst);
            held.push(stream);
        }
    });
    seen
}

/// Answers every request with its own address, after `handshake_delay` before TLS, then closes.
pub fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, handshake_delay: Duration) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let count = Arc::clone(&seen);
    let here = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.connections.fetch_add(1, Ordering::SeqCst);
            let (tls, count) = (tls.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                tokio::time::sleep(handshake_delay).await;
                match tls {
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            answer(stream, here, &count).await;
                        }
                    }
                    None => answer(stream, here, &count).await,
                }
            });
        }
    });
    seen
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, here: SocketAddr, seen: &Seen) {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    seen.requests.fetch_add(1, Ordering::SeqCst);
    let body = here.ip().to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A name that always resolves to the given addresses.
pub struct Fixed(pub Vec<IpAddr>);

impl cf_api::transport::Lookup for Fixed {
    fn lookup(&self, _host: &str) -> cf_api::transport::LookupFuture {
        let found = self.0.clone();
        Box::pin(async move { Ok(found) })
    }
}

pub fn loopbacks() -> Vec<IpAddr> {
    vec!["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()]
}
