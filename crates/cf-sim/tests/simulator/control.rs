//! The control API: faults, prefixes, scenarios and traffic by HTTP.

use cf_sim::{FaultKind, FaultSpec, Outcome, Target};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::{Desk, PREFIX, answer};

impl Desk {
    pub(crate) async fn control(&self, method: &str, path: &str, body: Option<Value>) -> crate::Answer {
        let mut request = self
            .http
            .request(method.parse().unwrap(), format!("{}/{path}", self.sim.control_url()));
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request.send().await.unwrap()).await
    }
}

/// A receiver that passes on each request as text and answers 200.
pub(crate) async fn receiver() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook/cloudflare", listener.local_addr().unwrap());
    let (found, requests) = mpsc::channel(100);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let found = found.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                let mut buffer = [0; 8192];
                while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                    bytes.extend_from_slice(&buffer[..n]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else {
                        continue;
                    };
                    let length = head
                        .lines()
                        .find_map(|l| l.strip_prefix("content-length: "))
                        .map_or(0, |l| l.parse().unwrap());
                    if body.len() >= length {
                        let _ = found.send(text).await;
                        bytes.clear();
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    }
                }
            });
        }
    });
    (url, requests)
}

#[tokio::test]
async fn everything_can_be_steered_over_http() {
    let desk = Desk::new().await;
    assert_eq!(desk.control("GET", "health", None).await.body["ok"], true);
    let fault =
        json!({"target": "rest", "kind": "status", "status": 502, "path": "addressing", "count": 1, "id": "mine"});
    assert_eq!(desk.control("POST", "faults", Some(fault)).await.body["id"], "mine");
    assert_eq!(desk.rest("GET", "/addressing/prefixes", None).await.status, 502);
    assert_eq!(desk.control("GET", "faults", None).await.body[0]["used"], 1);
    assert_eq!(desk.control("DELETE", "faults/mine", None).await.status, 200);
    assert_eq!(desk.control("DELETE", "faults/mine", None).await.status, 404);
    let wrong = json!({"target": "rest", "kind": "explode"});
    assert_eq!(desk.control("POST", "faults", Some(wrong)).await.status, 400);
    let log = desk.control("GET", "requests?since=0", None).await;
    let entry = &log.body[0];
    assert_eq!(
        (&entry["seq"], &entry["status"], &entry["faults"][0]),
        (&json!(1), &json!(502), &json!("mine"))
    );
    assert_eq!(desk.control("GET", "requests?since=1", None).await.body, json!([]));
    for path in [
        format!("prefixes/{PREFIX}"),
        format!("prefixes/{}", PREFIX.replace('/', "%2F")),
    ] {
        let changed = desk
            .control("POST", &path, Some(json!({"advertised": true, "prepend": 2})))
            .await;
        assert_eq!(changed.status, 200);
    }
    let state = desk.control("GET", "state", None).await;
    assert_eq!(
        (
            &state.body["prefixes"][0]["advertised"],
            &state.body["prefixes"][0]["asn_prepend_count"]
        ),
        (&json!(true), &json!(2))
    );
    let started = desk
        .control("POST", "scenario", Some(json!({"name": "quiet", "factor": 10.0})))
        .await;
    assert_eq!(started.status, 200);
    assert_eq!(desk.control("GET", "scenario", None).await.body["factor"], 10.0);
    let unknown = desk.control("POST", "scenario", Some(json!({"name": "loud"}))).await;
    assert!(unknown.body["error"].as_str().unwrap().contains("quiet"));
    let rows = json!({"rows": [{"dimensions": {"ipDestinationAddress": "203.0.113.9", "outcome": "drop"}, "packets": 1, "bits": 2}]});
    assert_eq!(desk.control("POST", "traffic", Some(rows)).await.body["rows"], 1);
}

#[tokio::test]
async fn alerts_carry_the_secret_and_enter_the_history() {
    let desk = Desk::new().await;
    let nowhere = desk
        .control("POST", "webhook", Some(json!({"template": "l4_start"})))
        .await;
    assert_eq!(nowhere.body["outcome"], "no_target");
    let (url, mut requests) = receiver().await;
    desk.control("POST", "webhook_target", Some(json!({"url": url, "secret": "s3cret"})))
        .await;
    let sent = desk
        .control(
            "POST",
            "webhook",
            Some(json!({"template": "l4_start", "data": {"target_ip": "192.0.2.5"}, "envelope": {"account_id": null}})),
        )
        .await;
    assert_eq!(sent.body["outcome"], json!({"answered": 200}));
    let got = requests.recv().await.unwrap();
    assert!(
        got.contains("cf-webhook-auth: s3cret\r\n") && got.contains("user-agent: Go-http-client/2.0\r\n"),
        "{got}"
    );
    let body: Value = serde_json::from_str(got.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        (&body["alert_event"], &body["data"]["target_ip"]),
        (&json!("ALERT_STATE_EVENT_START"), &json!("192.0.2.5"))
    );
    assert!(body["data"]["packets_per_second"].is_u64() && body["data"]["target_port"].is_u64() && body["ts"].is_i64());
    assert!(body.get("account_id").is_none() && body["data"].get("severity").is_none());
    assert_eq!(body["policy_id"].as_str().unwrap().len(), 32);
    for template in cf_sim::Sim::alert_templates() {
        let sent = desk
            .control("POST", "webhook", Some(json!({"template": template})))
            .await;
        assert_eq!(sent.body["outcome"], json!({"answered": 200}), "{template}");
    }
    let page = desk.rest("GET", "/alerting/v3/history?per_page=5&page=1", None).await;
    assert_eq!(page.body["result"].as_array().unwrap().len(), 5);
    // The verification message is no alert; the two before are.
    assert_eq!(
        page.body["result_info"]["total_count"],
        cf_sim::Sim::alert_templates().len() - 1 + 2
    );
    let inner: Value = serde_json::from_str(page.body["result"][0]["alert_body"].as_str().unwrap()).unwrap();
    assert_eq!(inner["alert_type"], page.body["result"][0]["alert_type"]);
    assert_eq!(
        desk.rest("GET", "/alerting/v3/history?per_page=2", None).await.status,
        400
    );
}

#[tokio::test]
async fn the_history_has_every_form_of_body_and_every_mechanism() {
    use cf_sim::{HistoryBody, SimConfig};
    for form in [HistoryBody::Object, HistoryBody::Alternating, HistoryBody::Example] {
        let desk = Desk::with(SimConfig {
            history_body: form,
            history_has_mail: form == HistoryBody::Object,
            ..SimConfig::default()
        })
        .await;
        for template in ["l4_start", "l4_end"] {
            desk.control("POST", "webhook", Some(json!({"template": template})))
                .await;
        }
        let answer = desk.rest("GET", "/alerting/v3/history", None).await;
        let entries = answer.body["result"].as_array().unwrap();
        match form {
            HistoryBody::Object => {
                let by: Vec<&Value> = entries.iter().map(|entry| &entry["mechanism_type"]).collect();
                assert_eq!(by, ["email", "webhook", "email", "webhook"]);
                assert!(entries.iter().all(|entry| entry["alert_body"]["ts"].is_i64()));
            }
            HistoryBody::Alternating => {
                assert!(entries[1]["alert_body"].is_string() && entries[0]["alert_body"].is_object());
            }
            _ => {
                let body = entries[0]["alert_body"].as_object().unwrap();
                assert_eq!(body.keys().collect::<Vec<_>>(), ["data", "metadata"]);
            }
        }
    }
    // Entries may be written by hand; the order is that of dispatch.
    let desk = Desk::new().await;
    for (id, sent) in [("late", "2026-03-27T02:00:00Z"), ("early", "2026-03-27T01:00:00Z")] {
        let entry = json!({"id": id, "sent": sent, "alert_body": null, "mechanism_type": null});
        assert_eq!(desk.control("POST", "history", Some(entry)).await.status, 200);
    }
    let path = "/alerting/v3/history?since=2026-03-27T01:00:00Z&before=2026-03-27T03:00:00Z";
    let answer = desk.rest("GET", path, None).await;
    assert_eq!(
        (&answer.body["result"][0]["id"], &answer.body["result"][1]["id"]),
        (&json!("late"), &json!("early"))
    );
    assert_eq!(desk.control("POST", "history", Some(json!([]))).await.status, 400);
}

#[tokio::test]
async fn alerts_get_lost_doubled_and_broken() {
    let desk = Desk::new().await;
    let (url, mut requests) = receiver().await;
    desk.sim.set_webhook_target(&url, Some("right"));
    let body = desk.sim.alert("volumetric_start", None, None).unwrap();
    let with = async |kind: FaultKind| {
        desk.sim
            .set_fault(FaultSpec::new(Target::Webhook, kind).times(1).path("fbm_volumetric"));
        desk.sim.send_webhook(&body).await
    };
    assert_eq!(with(FaultKind::Refuse).await.outcome, Outcome::Lost);
    with(FaultKind::Duplicate).await;
    assert_eq!(requests.recv().await, requests.recv().await);
    with(FaultKind::WrongSecret).await;
    assert!(!requests.recv().await.unwrap().contains("cf-webhook-auth: right"));
    with(FaultKind::Garbage).await;
    let got = requests.recv().await.unwrap();
    assert!(serde_json::from_str::<Value>(got.split_once("\r\n\r\n").unwrap().1).is_err());
    desk.sim.set_webhook_target("http://127.0.0.1:1/", None);
    assert_eq!(
        desk.sim.send_webhook(&body).await.outcome,
        Outcome::Failed("connection refused".into())
    );
    // The history has all of them: it records what was dispatched.
    let history = desk.rest("GET", "/alerting/v3/history", None).await;
    assert_eq!(history.body["result_info"]["total_count"], 5);
}

#[tokio::test]
async fn a_scenario_stands_still_goes_on_and_says_whether_it_went_as_it_should() {
    let desk = Desk::new().await;
    assert_eq!(
        desk.control("POST", "scenario/pause", None).await.status,
        409,
        "nothing runs"
    );
    let text = "name = \"x\"\nduration = \"1000h\"\n[[background]]\nprefix = \"203.0.113.0/24\"\npps = 100000\nmbps = 500\n\
        [[expect]]\nthat = \"prefix\"\ncidr = \"203.0.113.0/24\"\nadvertised = true\n";
    let started = desk
        .control("POST", "scenario", Some(json!({"toml": text, "factor": 100.0})))
        .await;
    assert_eq!(started.status, 200);
    assert_eq!(desk.control("POST", "scenario/pause", None).await.status, 200);
    let position = || desk.sim.scenario().unwrap().position_s;
    let stood = position();
    let step = desk
        .control("POST", "scenario/step", Some(json!({"seconds": 60})))
        .await;
    assert_eq!(step.status, 200);
    assert!(
        desk.sim
            .wait_until(crate::LIMIT, || desk.sim.scenario().unwrap().paused)
            .await
    );
    // A step of the simulator is 5 s of this scenario: it stands still at the first one that is far enough.
    let after = position();
    assert!((stood + 60.0..stood + 66.0).contains(&after), "{stood} {after}");
    assert_eq!(position().to_bits(), after.to_bits());
    let speed = desk
        .control("POST", "scenario/speed", Some(json!({"factor": 5.0})))
        .await;
    assert_eq!((speed.status, desk.sim.state().factor), (200, 5.0));
    assert_eq!(
        desk.control("POST", "scenario/speed", Some(json!({"factor": 0})))
            .await
            .status,
        400
    );
    assert_eq!(desk.control("POST", "scenario/resume", None).await.status, 200);
    assert!(desk.sim.wait_until(crate::LIMIT, || position() > after).await);
    let holds = async || desk.control("GET", "assert", None).await.body[0]["holds"].clone();
    assert_eq!(holds().await, false);
    desk.sim.set_advertised(PREFIX, true);
    assert_eq!(holds().await, true);
    let asked = json!([{"that": "alerts", "exactly": 0}, {"that": "prefix", "cidr": PREFIX, "advertised": false}]);
    let found = desk.control("POST", "assert", Some(asked)).await;
    let all: Vec<&Value> = found.body.as_array().unwrap().iter().map(|f| &f["holds"]).collect();
    assert_eq!(all, [true, false]);
    assert!(desk.control("GET", "scenario/journal", None).await.body.is_array());
}
