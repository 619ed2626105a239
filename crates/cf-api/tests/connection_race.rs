//! Racing IPv6 and IPv4 up to the TLS handshake, in process on the loopback addresses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::tls_server::{Fixed, both_families, certificate, loopbacks, serve, silent};
use cf_api::transport::{Family, LookupFuture};
use cf_api::{Transport, TransportConfig};

const NO_DELAY: Duration = Duration::ZERO;

fn transport(pem: &[u8]) -> Transport {
    Transport::new(TransportConfig {
        extra_roots_pem: vec![pem.to_vec()],
        lookup: Arc::new(Fixed(loopbacks())),
        ..TransportConfig::default()
    })
}

async fn get(transport: &Transport, url: &str) -> (String, Duration) {
    // Building the client reads the trust store, which is no part of connecting.
    let client = transport.client().unwrap();
    let start = Instant::now();
    let response = client.get(url).send().await.unwrap();
    let took = start.elapsed();
    (response.text().await.unwrap(), took)
}

#[tokio::test]
async fn ipv6_that_accepts_and_stays_silent_costs_a_fraction_of_a_second() {
    let certificate = certificate(&["dual.test"]);
    let (v6, v4, port) = both_families().await;
    let dead = silent(v6);
    let alive = serve(v4, Some(certificate.acceptor.clone()), NO_DELAY);
    let transport = transport(&certificate.pem);
    let url = format!("https://dual.test:{port}/");

    let (from, took) = get(&transport, &url).await;
    assert_eq!(from, "127.0.0.1");
    assert!(took >= Duration::from_millis(240), "IPv6 had its head start: {took:?}");
    // 0.3 s on an idle machine; without the race it is the connect deadline, 5 s.
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    assert_eq!((dead.connections(), alive.requests()), (1, 1));

    // IPv4 goes first from now on.
    assert_eq!(transport.last_family("dual.test"), Some(Family::V4));
    get(&transport, &url).await;
    assert_eq!((dead.connections(), alive.requests()), (1, 2));
}

#[tokio::test]
async fn working_ipv6_is_used_and_ipv4_left_alone() {
    let certificate = certificate(&["dual.test"]);
    let (v6, v4, port) = both_families().await;
    let first = serve(v6, Some(certificate.acceptor.clone()), NO_DELAY);
    let second = serve(v4, Some(certificate.acceptor.clone()), NO_DELAY);
    let (from, _) = get(&transport(&certificate.pem), &format!("https://dual.test:{port}/")).await;
    assert_eq!(from, "::1");
    assert_eq!((first.requests(), second.connections()), (1, 0));
}

#[tokio::test]
async fn a_slow_first_address_may_still_win() {
    let certificate = certificate(&["dual.test"]);
    let (v6, v4, port) = both_families().await;
    let slow = serve(v6, Some(certificate.acceptor.clone()), Duration::from_millis(500));
    let dead = silent(v4);
    let (from, took) = get(&transport(&certificate.pem), &format!("https://dual.test:{port}/")).await;
    assert_eq!(from, "::1");
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    assert_eq!((slow.requests(), dead.connections()), (1, 1));
}

#[tokio::test]
async fn a_refused_or_mistrusted_address_is_left_at_once() {
    let trusted = certificate(&["dual.test"]);
    // With so long a head start only a failure can start the second address in time.
    let patient = || {
        Transport::new(TransportConfig {
            attempt_delay: Duration::from_secs(60),
            extra_roots_pem: vec![trusted.pem.clone()],
            lookup: Arc::new(Fixed(loopbacks())),
            ..TransportConfig::default()
        })
    };
    // Nobody listens on IPv6.
    let (v6, v4, port) = both_families().await;
    drop(v6);
    serve(v4, Some(trusted.acceptor.clone()), NO_DELAY);
    let (from, _) = get(&patient(), &format!("https://dual.test:{port}/")).await;
    assert_eq!(from, "127.0.0.1");

    // Somebody else answers on IPv6.
    let other = certificate(&["dual.test"]);
    let (v6, v4, port) = both_families().await;
    let imposter = serve(v6, Some(other.acceptor.clone()), NO_DELAY);
    serve(v4, Some(trusted.acceptor.clone()), NO_DELAY);
    let (from, _) = get(&patient(), &format!("https://dual.test:{port}/")).await;
    assert_eq!(from, "127.0.0.1");
    assert_eq!(imposter.requests(), 0);
}

#[tokio::test]
async fn plain_http_is_raced_too() {
    let (v6, v4, port) = both_families().await;
    drop(v6);
    let alive = serve(v4, None, NO_DELAY);
    let (from, _) = get(
        &transport(&certificate(&["x"]).pem),
        &format!("http://dual.test:{port}/"),
    )
    .await;
    assert_eq!((from.as_str(), alive.requests()), ("127.0.0.1", 1));
}

#[tokio::test]
async fn an_address_in_the_url_needs_no_lookup() {
    let (v6, v4, port) = both_families().await;
    serve(v6, None, NO_DELAY);
    serve(v4, None, NO_DELAY);
    let transport = transport(&certificate(&["x"]).pem);
    let (from, _) = get(&transport, &format!("http://[::1]:{port}/")).await;
    assert_eq!(from, "::1");
    let (from, _) = get(&transport, &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(from, "127.0.0.1");
}

#[tokio::test]
async fn everything_dead_ends_at_the_deadline_and_names_every_address() {
    let (v6, v4, port) = both_families().await;
    silent(v6);
    silent(v4);
    let transport = Transport::new(TransportConfig {
        connect_deadline: Duration::from_millis(700),
        lookup: Arc::new(Fixed(loopbacks())),
        ..TransportConfig::default()
    });
    let client = transport.client().unwrap();
    let start = Instant::now();
    let url = format!("https://dual.test:{port}/");
    let error = client.get(url).send().await.unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(3_000), "{:?}", start.elapsed());
    assert!(error.is_connect(), "{error:?}");
    let told = format!("{error:?}");
    assert!(
        told.contains("::1: no answer") && told.contains("127.0.0.1: no answer"),
        "{told}"
    );
}

struct NeverAnswers;

impl cf_api::transport::Lookup for NeverAnswers {
    fn lookup(&self, _host: &str) -> LookupFuture {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn dead_name_service_ends_at_the_deadline() {
    let transport = Transport::new(TransportConfig {
        connect_deadline: Duration::from_millis(300),
        lookup: Arc::new(NeverAnswers),
        ..TransportConfig::default()
    });
    let sending = transport.client().unwrap().get("https://dual.test/").send();
    let error = tokio::time::timeout(Duration::from_secs(2), sending)
        .await
        .expect("the deadline ends it")
        .unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert!(
        format!("{error:?}").contains("the name lookup took too long"),
        "{error:?}"
    );
}

#[tokio::test]
async fn many_requests_at_once_each_arrive_once() {
    let certificate = certificate(&["dual.test"]);
    let (v6, v4, port) = both_families().await;
    silent(v6);
    let alive = serve(v4, Some(certificate.acceptor.clone()), NO_DELAY);
    let transport = transport(&certificate.pem);
    let url = format!("https://dual.test:{port}/");
    let all = (0..20).map(|_| get(&transport, &url));
    for (from, _) in futures_util::future::join_all(all).await {
        assert_eq!(from, "127.0.0.1");
    }
    assert_eq!(alive.requests(), 20);
}

#[tokio::test]
async fn a_configured_proxy_is_used_and_its_password_not_shown() {
    let (_v6, v4, port) = both_families().await;
    let proxy = serve(v4, None, NO_DELAY);
    let transport = Transport::new(TransportConfig {
        proxy: Some(format!("http://127.0.0.1:{port}").into()),
        ..TransportConfig::default()
    });
    let (from, _) = get(&transport, "http://nowhere.invalid/").await;
    assert_eq!((from.as_str(), proxy.requests()), ("127.0.0.1", 1));

    let config = TransportConfig {
        proxy: Some("http://user:canary@[bad".to_owned().into()),
        ..TransportConfig::default()
    };
    assert!(!format!("{config:?}").contains("canary"));
    let error = Transport::new(config).client().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}
