//! Many deliveries at once: stored as they are, answered, and read afterwards; each exactly once, also after a restart.

use std::time::Duration;

use crate::support::{Receiver, SECRET};
use assembly::intake::unread::{Waiting, notice_of};
use db::inbox::Unread;
use domain::prefix::PrefixMap;
use domain::time::minus;
use jiff::Timestamp;
use serde_json::{Value, json};

/// More than may wait for their answers before the next one is stored first.
const CROWD: usize = webhook::inbox::CROWD * 3;

fn attack(number: usize, event: &str) -> String {
    json!({
        "alert_type": "dos_attack_l4", "alert_event": event, "ts": 1_774_576_800, "alert_correlation_id": format!("{number:032x}"),
        "data": {"attack_id": format!("crowd-{number}"), "attack_vector": "UDP flood", "target_ip": "203.0.113.10"},
    })
    .to_string()
}

fn unread(number: usize, received_at: Timestamp) -> Unread {
    Unread {
        id: 0,
        received_at,
        source: "192.0.2.1".into(),
        headers: "{}".into(),
        oversized: None,
        body: attack(number, "ALERT_STATE_EVENT_START").into_bytes(),
    }
}

/// Posts all bodies at the same time while nothing can be stored, so that all are on their way together. Their answers.
async fn post_together(receiver: &Receiver, bodies: Vec<Vec<u8>>) -> Vec<(u16, Value)> {
    let release = receiver.hold_writes().await;
    let mut posts = tokio::task::JoinSet::new();
    for body in bodies {
        let request = receiver
            .client
            .post(format!("{}/webhook/cloudflare", receiver.url))
            .header("cf-webhook-auth", SECRET)
            .body(body);
        posts.spawn(async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json().await.unwrap())
        });
        // One after another, so that the first ones are those that are read before their answer.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    release.send(()).unwrap();
    posts.join_all().await
}

fn numbers(found: &Value, name: &str) -> u64 {
    found[name].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_is_stored_first_and_read_afterwards_each_exactly_once() {
    let receiver = Receiver::start().await;
    let mut bodies: Vec<Vec<u8>> = (0..CROWD)
        .map(|number| attack(number, "ALERT_STATE_EVENT_START").into_bytes())
        .collect();
    // Of the last ones: an END, a repetition of a waiting one and of one that was read, what is no JSON, what is too large.
    bodies.push(attack(0, "ALERT_STATE_EVENT_END").into_bytes());
    bodies.push(bodies[CROWD - 1].clone());
    bodies.push(bodies[0].clone());
    bodies.push(b"no json at all".to_vec());
    bodies.push(vec![b'x'; 30_000]);
    let answers = post_together(&receiver, bodies).await;
    let with = |status: u16| answers.iter().filter(|(said, _)| *said == status).count();
    assert_eq!((with(200), with(400), with(413)), (CROWD + 3, 1, 1), "{answers:?}");
    let waiting = answers.iter().filter(|(_, said)| said["waiting"] == true).count();
    assert!(waiting >= CROWD / 2, "{waiting} waited of {CROWD}");
    let named = answers.iter().filter(|(_, said)| said["delivery"].is_i64()).count();
    assert!(
        named >= webhook::inbox::CROWD,
        "the first ones are read before their answer: {named}"
    );

    receiver.until_read().await;
    assert_eq!(receiver.read(db::deliveries::total).await, CROWD as u64 + 3);
    let notices = receiver.notices().await;
    assert_eq!(notices.len(), CROWD + 3, "each is told once: {notices:?}");
    assert_eq!(notices.iter().filter(|(kind, _)| kind == "unreadable_alert").count(), 2);
    let open = receiver.read(|tx| db::ledger::open(tx, Timestamp::UNIX_EPOCH)).await;
    assert_eq!(open.len(), CROWD - 1, "one ended, nothing is unread");
    let health = receiver
        .client
        .get(format!("{}/health", receiver.url))
        .send()
        .await
        .unwrap();
    let health: Value = health.json().await.unwrap();
    assert_eq!(numbers(&health, "duplicates"), 2, "{health}");
    assert_eq!(numbers(&health, "stored"), CROWD as u64 + 1);
    assert_eq!(numbers(&health, "unreadable"), 2);
    assert_eq!(numbers(&health, "waiting"), 0);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_self_test_learns_its_delivery_in_any_crowd() {
    let receiver = Receiver::start().await;
    let mut bodies: Vec<Vec<u8>> = (0..CROWD)
        .map(|number| attack(number, "ALERT_STATE_EVENT_START").into_bytes())
        .collect();
    let marked = json!({"alert_type": "dos_attack_l4", "ts": 1, "cloudflare_mt_test": true, "data": {}});
    bodies.push(marked.to_string().into_bytes());
    let answers = post_together(&receiver, bodies).await;
    let waiting = answers.iter().filter(|(_, said)| said["waiting"] == true).count();
    assert!(waiting > 0, "there was a crowd");
    receiver.until_read().await;
    let mut tests = Vec::new();
    for delivery in answers.iter().filter_map(|(_, said)| said["delivery"].as_i64()) {
        let delivery = domain::ids::DeliveryId(delivery);
        let events = receiver
            .read(move |tx| db::trace::events_of_delivery(tx, delivery))
            .await;
        let event = receiver.read(move |tx| db::events::get(tx, events[0])).await;
        tests.extend(event.filter(|event| event.is_test));
    }
    assert_eq!(tests.len(), 1, "its answer names its delivery");
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_process_left_unread_vetoes_and_is_read_at_the_start() {
    let receiver = Receiver::start().await;
    let db = receiver.db.clone();
    let left = receiver.stop_and_leave().await;
    let long_ago = Timestamp::from_second(Timestamp::now().as_second() - 86_400).unwrap();
    for number in 0..700 {
        db.write("test.left", move |tx| db::inbox::put(tx, &unread(number, long_ago)))
            .await
            .unwrap();
    }
    let (now, veto) = (Timestamp::now(), Duration::from_secs(3_600));
    let open = db
        .read_blocking("test", |tx| db::ledger::open(tx, minus(now, veto)))
        .unwrap();
    assert_eq!(open.len(), 1);
    assert!(open[0].is_unread() && open[0].unresolved, "{open:?}");
    assert_eq!(open[0].since, long_ago, "however old it is");

    let receiver = Receiver::start_in(left, |_| {}).await;
    receiver.until_read().await;
    assert_eq!(receiver.read(db::deliveries::count).await, 700);
    let events = receiver.read(|tx| db::events::newest(tx, None, 1)).await;
    assert_eq!(
        events[0].created_at,
        Some(long_ago),
        "it keeps the time at which it came"
    );
    let open = receiver.read(move |tx| db::ledger::open(tx, minus(now, veto))).await;
    assert!(!open.iter().any(domain::alert::OpenAlert::is_unread), "{open:?}");
    receiver.stop().await;
}

#[tokio::test]
async fn what_two_have_read_is_taken_in_once() {
    let receiver = Receiver::start().await;
    let now = Timestamp::now();
    let one = unread(1, now);
    let kept = receiver
        .db
        .write("test", move |tx| {
            db::inbox::put(tx, &one)?;
            let one = db::inbox::oldest(tx, 0, 1, 1)?.remove(0);
            let told = notice_of(&one, "it was made to fail");
            let [mine, theirs] = [Waiting::read(one.clone()), Waiting::read(one)];
            let kept = mine.keep(tx, &PrefixMap::default(), now)?;
            Ok((kept, theirs.keep(tx, &PrefixMap::default(), now)?, told))
        })
        .await
        .unwrap();
    assert!(matches!(&kept, (Some(first), None, _) if first.readable), "{kept:?}");
    assert_eq!(receiver.notices().await, [("alert".to_owned(), "told".to_owned())]);
    assert_eq!(receiver.read(db::deliveries::count).await, 1);
    let told = format!("{:?}", kept.2);
    assert!(
        told.contains("it was made to fail") && told.contains("crowd-1"),
        "{told}"
    );
    receiver.stop().await;
}

#[tokio::test]
async fn what_another_process_stored_is_read_too() {
    let receiver = Receiver::start().await;
    let one = unread(1, Timestamp::now());
    let put = receiver.db.write("test", move |tx| db::inbox::put(tx, &one));
    put.await.unwrap();
    // Nobody told the reader.
    receiver.until_read().await;
    assert_eq!(receiver.read(db::deliveries::count).await, 1);
    receiver.stop().await;
}
