//! No error, Debug text or log line shows a credential, whatever goes wrong.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::simulated::*;
use cf_api::budget::RateBudget;
use cf_api::rest::prefixes::AdvertisePermit;
use cf_api::{CfError, CloudflareClient, Credentials, Transport, TransportConfig};
use cf_sim::{FaultKind, GlobalKey, Sim, SimConfig, Target};
use domain::ids::{BgpPrefixId, PrefixId};
use serde_json::json;

const CANARY: &str = "canary-Tok3n-0123456789abcdef-0123456789";

/// Collects everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn shown(error: &CfError) -> String {
    format!("{error}\n{error:?}\n{error:#?}")
}

/// Every call of the client once.
async fn every_call(client: &CloudflareClient) -> Vec<CfError> {
    let id = PrefixId::new("2af39739cc4e3b5910c918468bb89828");
    let bgp = BgpPrefixId::new("7009ba364c7a5760798ceb430e603b74");
    let now = jiff::Timestamp::now();
    let permit = AdvertisePermit::issued_by_prefix_ops();
    [
        client.verify_token().await.err(),
        client.list_prefixes().await.err(),
        client.list_bgp_prefixes(&id, "").await.err(),
        client.get_bgp_prefix(&id, &bgp).await.err(),
        client.set_advertised(permit, &id, &bgp, true).await.err(),
        client.list_mnm_rules().await.err(),
        client.node_limits().await.err(),
        client
            .dropped(
                cf_api::graphql::mitigations::Witness::Ddos,
                cf_api::graphql::mitigations::MitigationRequest {
                    from: now,
                    to: now,
                    limit: 1,
                },
                now,
            )
            .await
            .err(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[tokio::test]
async fn the_token_is_in_no_error_and_no_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let sim = Sim::start(SimConfig {
        api_token: CANARY.into(),
        ..SimConfig::default()
    })
    .await
    .unwrap();
    let good = client_of(&sim);
    assert!(!format!("{good:?} {:#?}", good.budget()).contains("canary"));

    let mut errors = Vec::new();
    let echo = json!({"success": false, "messages": [], "result": null, "errors": [
        {"code": CANARY, "message": format!("bad Bearer {CANARY}"),
         "error_chain": [{"code": 6111, "message": format!("'{CANARY}' is not valid")}]}]});
    let echo_graphql = json!({"data": null, "errors": [{"message": format!("token {CANARY}?")}]});
    for kind in [
        FaultKind::Hang,
        FaultKind::Refuse,
        FaultKind::Reset,
        FaultKind::TruncatedBody,
        FaultKind::Garbage,
        FaultKind::Html { status: 200 },
        FaultKind::Status {
            status: 400,
            body: Some(echo),
        },
        FaultKind::Status {
            status: 200,
            body: Some(echo_graphql),
        },
        FaultKind::Status {
            status: 200,
            body: Some(json!(CANARY)),
        },
        FaultKind::Status {
            status: 200,
            body: Some(json!({"success": true, "result": CANARY})),
        },
        FaultKind::Status {
            status: 500,
            body: None,
        },
        FaultKind::RateLimited { retry_after: Some(1) },
    ] {
        sim.clear_faults();
        sim.set_fault(cf_sim::FaultSpec::new(Target::Any, kind));
        // Of its own, so that a lock-out does not keep the next ones from being sent.
        let client = client_of(&sim).with_deadlines(cf_api::Deadlines {
            change: std::time::Duration::from_millis(300),
            read: std::time::Duration::from_millis(300),
            query: std::time::Duration::from_millis(300),
        });
        let failed = every_call(&client).await;
        assert_eq!(failed.len(), 8);
        errors.extend(failed);
    }
    for base in [
        "http://127.0.0.1:9/",
        "https://127.0.0.1:9/",
        "https://nowhere.invalid/",
    ] {
        errors.extend(every_call(&client_at(base, &sim)).await);
    }
    // TLS spoken to a plain server.
    let base = sim.api_base_url().replace("http://", "https://");
    errors.extend(every_call(&client_at(&base, &sim)).await);

    for error in &errors {
        assert!(!shown(error).contains("canary"), "{}", shown(error));
    }
    assert!(errors.iter().any(|error| shown(error).contains("[secret]")));
    assert!(errors.len() > 100);

    // The same transport serves Telegram, whose token is part of the path.
    let transport = Transport::new(TransportConfig::default());
    let url = format!("{}/bot{CANARY}/GetMe", sim.telegram_url());
    let _answered = transport.client().unwrap().get(url).send().await;
    let _refused = transport
        .client()
        .unwrap()
        .get(format!("https://nowhere.invalid/bot{CANARY}/GetMe"))
        .send()
        .await;

    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("cloudflare.budget.locked"), "the log was captured");
    assert!(!logged.contains("canary"), "{logged}");
}

#[tokio::test]
async fn a_global_key_works_and_is_not_shown() {
    // Global keys are hexadecimal.
    let key = "ca4a12ca4a12ca4a12ca4a12ca4a12ca4a123";
    let sim = Sim::start(SimConfig {
        global_key: Some(GlobalKey {
            email: "noc@example.net".into(),
            key: key.into(),
        }),
        ..SimConfig::default()
    })
    .await
    .unwrap();
    let client = CloudflareClient::new(
        Transport::new(TransportConfig::default()),
        &sim.api_base_url(),
        &sim.config().account_id,
        Credentials::GlobalKey {
            email: "noc@example.net".into(),
            key: key.to_owned().into(),
        },
        RateBudget::alone(clock()),
    )
    .unwrap();
    client.list_prefixes().await.unwrap();
    assert!(!format!("{client:?}").contains("ca4a"));
    answer_rest(
        &sim,
        403,
        json!({"success": false, "errors": [{"code": 9103, "message": key}]}),
    );
    let error = failure(client.list_prefixes().await);
    assert!(!shown(&error).contains("ca4a"), "{error}");
    assert!(shown(&error).contains("[secret]"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_so_the_key_goes_nowhere_else() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = elsewhere.local_addr().unwrap();
    let front = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", front.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = front.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!(
                "HTTP/1.1 307 Moved\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).await;
        }
    });
    let sim = sim().await;
    let errors = every_call(&client_at(&base, &sim)).await;
    assert_eq!(errors.len(), 8);
    for error in errors {
        assert_eq!(error.class, cf_api::ErrorClass::Malformed, "{error}");
        assert_eq!(error.status, Some(307));
    }
    let followed = tokio::time::timeout(std::time::Duration::from_millis(200), elsewhere.accept());
    assert!(followed.await.is_err(), "nobody came");
}
