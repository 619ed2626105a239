//! Thousands of generated bodies, valid, odd and hostile, over all alert types: every
//! authenticated one is stored exactly once, none causes a 5xx, none reaches a panic.
//! `WEBHOOK_BODIES` sets how many (2,000 unless told); the seed is printed.

use std::collections::HashSet;
use std::sync::Arc;

use crate::support::{Receiver, SECRET, types};
use serde_json::{Map, Value, json};

/// A small generator (splitmix64), so that a printed seed repeats a run exactly.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Types that no list has.
const ODD_TYPES: [&str; 3] = ["", "../../etc/passwd", "a_type_of_next_year"];

const KEYS: [&str; 34] = [
    "attack_id",
    "attack_vector",
    "attack_type",
    "target_ip",
    "target_port",
    "target_hostname",
    "target_zone_name",
    "zone_name",
    "protocol",
    "packets_per_second",
    "megabits_per_second",
    "bits_per_second",
    "requests_per_second",
    "max_rate",
    "rule_name",
    "rule_id",
    "start_time",
    "severity",
    "dashboard_link",
    "advertise_status",
    "auto_advertised",
    "prefix",
    "tunnel_name",
    "new_status",
    "previous_status",
    "prefix_hijacked",
    "ASNs_seen",
    "incident_id",
    "incident_status",
    "affected_components",
    "status",
    "actual_code",
    "expected_codes",
    "mitigation",
];

fn text(dice: &mut Dice) -> String {
    match dice.below(14) {
        0 => "203.0.113.10".into(),
        1 => "2001:db8:1::7".into(),
        2 => "203.0.113.0/24".into(),
        3 => "300.400.500.600/99".into(),
        4 => format!("{}.{} kpps", dice.below(100_000), dice.below(100)),
        5 => "6.4Gb/s".into(),
        6 => "2026-01-15T08:00:00Z".into(),
        7 => "1970-01-01 00:00:00 +0000 UTC".into(),
        8 => "<script>alert(1)</script>&amp;*_[x](y)`".into(),
        9 => "\u{202e}dlrow \u{1f525} \u{0}\u{7f}".into(),
        10 => "dash.cloudflare.com/x?y=<z>".into(),
        11 => "'; DROP TABLE webhook_events; --".into(),
        12 => "x".repeat(dice.below(3_000)),
        _ => format!("word{}", dice.next()),
    }
}

fn value(dice: &mut Dice, depth: usize) -> Value {
    match dice.below(if depth > 3 { 6 } else { 9 }) {
        0 => Value::Null,
        1 => json!(dice.one_in(2)),
        2 => json!(dice.next()),
        3 => json!(-(dice.below(1_000_000) as i64)),
        4 => json!(dice.below(1_000_000) as f64 / 7.0),
        5 | 6 => json!(text(dice)),
        7 => {
            let length = dice.below(5);
            Value::Array((0..length).map(|_| value(dice, depth + 1)).collect())
        }
        _ => {
            let length = dice.below(5);
            Value::Object(
                (0..length)
                    .map(|_| ((*dice.pick(&KEYS)).to_owned(), value(dice, depth + 1)))
                    .collect(),
            )
        }
    }
}

fn body(dice: &mut Dice, number: usize) -> Vec<u8> {
    let mut data = Map::new();
    for _ in 0..dice.below(12) {
        data.insert((*dice.pick(&KEYS)).to_owned(), value(dice, 0));
    }
    if dice.one_in(3) {
        let statuses = [
            "Advertised",
            "already_advertised",
            "Delayed",
            "Locked",
            "Could not Advertise",
            "Error",
            "?",
        ];
        let status = *dice.pick(&statuses);
        data.insert(
            "advertise_status".into(),
            json!([{"prefix": text(dice), "status": status}]),
        );
    }
    let kind = if dice.one_in(12) {
        *dice.pick(&ODD_TYPES)
    } else {
        *dice.pick(&types::LISTED)
    };
    let mut envelope = json!({"name": text(dice), "n": number, "alert_type": kind, "data": data});
    let fields = envelope.as_object_mut().unwrap();
    let events = [
        "ALERT_STATE_EVENT_START",
        "ALERT_STATE_EVENT_END",
        "TUNNEL_STATUS_CHANGE",
        "",
    ];
    for (key, filler) in [
        ("alert_event", json!(dice.pick(&events))),
        ("ts", json!(1_768_464_000 + dice.below(100_000))),
        ("text", value(dice, 3)),
        ("alert_correlation_id", json!(format!("c{}", dice.below(300)))),
        ("policy_id", value(dice, 3)),
        ("account_id", value(dice, 3)),
    ] {
        if !dice.one_in(4) {
            fields.insert(key.into(), if dice.one_in(10) { value(dice, 0) } else { filler });
        }
    }
    if dice.one_in(8) {
        fields.insert("data".into(), value(dice, 0));
    }
    let mut bytes = envelope.to_string().into_bytes();
    match dice.below(12) {
        0 => bytes.truncate(dice.below(bytes.len())),
        1 => {
            let at = dice.below(bytes.len());
            bytes[at] = u8::try_from(dice.below(256)).unwrap();
        }
        2 => bytes = format!("[{number},{}", "[".repeat(dice.below(5_000))).into_bytes(),
        3 => bytes = value(dice, 0).to_string().into_bytes(),
        _ => {}
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_generated_body_is_stored_exactly_once_and_none_fails() {
    let wanted: usize = std::env::var("WEBHOOK_BODIES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_000);
    let seed = std::env::var("WEBHOOK_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20_260_115);
    println!("seed {seed}, {wanted} bodies");
    let mut dice = Dice(seed);
    let mut bodies = HashSet::new();
    for number in 0.. {
        bodies.insert(body(&mut dice, number));
        if bodies.len() == wanted {
            break;
        }
    }
    let receiver = Receiver::start().await;
    let bodies = Arc::new(tokio::sync::Mutex::new(bodies.into_iter().collect::<Vec<_>>()));
    let mut workers = tokio::task::JoinSet::new();
    // So many that some are stored first and read afterwards.
    for _ in 0..40 {
        let (bodies, client, url) = (Arc::clone(&bodies), receiver.client.clone(), receiver.url.clone());
        workers.spawn(async move {
            let mut waited = 0_usize;
            loop {
                let Some(body) = bodies.lock().await.pop() else {
                    return waited;
                };
                let request = client
                    .post(format!("{url}/webhook/cloudflare"))
                    .header("cf-webhook-auth", SECRET);
                let answer = request.body(body.clone()).send().await.unwrap();
                let status = answer.status().as_u16();
                assert!(
                    matches!(status, 200 | 400),
                    "{status}: {}",
                    String::from_utf8_lossy(&body)
                );
                let said: Value = answer.json().await.unwrap();
                waited += usize::from(said["waiting"] == true);
            }
        });
    }
    let mut waited = 0;
    while let Some(ended) = workers.join_next().await {
        waited += ended.unwrap();
    }
    println!("{waited} of them were read after their answer");
    assert!(waited > 0, "some were read after their answer");
    receiver.until_read().await;
    let page = |before| receiver.read(move |tx| db::outbox::newest(tx, None, before));
    assert_eq!(
        receiver.read(db::deliveries::total).await,
        wanted as u64,
        "each exactly once"
    );
    let notices = page(100_000)
        .await
        .into_iter()
        .filter(|n| !n.kind.starts_with("service_"))
        .count();
    assert_eq!(notices, wanted, "each is told or kept with the reason why not");
    receiver.stop().await;
}
