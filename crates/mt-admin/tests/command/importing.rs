//! `import webhooks`: files of the predecessor become deliveries of their own time, once, and wake nobody.

use db::deliveries::NewDelivery;
use domain::alert::Affected;
use serde_json::{Value, json};
use testkit::Site;

use crate::world::{database, run, site};

/// An attack of a month ago.
const TS: i64 = 1_774_576_800;

fn attack(event: &str, ts: i64) -> Value {
    json!({"policy_name": "L4", "alert_type": "dos_attack_l4", "alert_event": event, "ts": ts, "alert_correlation_id": "c1",
        "data": {"attack_id": "a1", "attack_vector": "UDP flood", "target_ip": "203.0.113.7"}})
}

/// As the predecessor wrote them: indented, named by the second.
fn folder(site: &Site) -> String {
    let folder = site.path().join("webhooks");
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let pretty = |body: &Value| serde_json::to_string_pretty(body).unwrap();
    write(
        "webhook_20260327_030000.json",
        &pretty(&attack("ALERT_STATE_EVENT_START", TS)),
    );
    write(
        "webhook_20260327_031000.json",
        &pretty(&attack("ALERT_STATE_EVENT_END", TS + 600)),
    );
    write(
        "webhook_20260327_032000.json",
        &pretty(&json!({"alert_type": "radar_notification", "text": "a leak"})),
    );
    write("webhook_20260327_033000.json", "{\"alert_type\": \"dos_att");
    write("webhook_20260327_034000.json", "[1, 2]");
    write("notes.txt", "not one of them");
    folder.to_str().unwrap().to_owned()
}

fn nothing() -> Affected {
    Affected {
        prefixes: Vec::new(),
        unresolved: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_taken_once_with_their_own_time_and_nobody_is_told() {
    let site = site().await;
    let db = database(&site);
    let folder = folder(&site);
    // The receiver got the END as well, as Cloudflare sent it.
    let end = NewDelivery {
        alert_type: Some("dos_attack_l4".into()),
        event_state: Some("ALERT_STATE_EVENT_END".into()),
        payload: Some(attack("ALERT_STATE_EVENT_END", TS + 600).to_string()),
        body_hash: "another".into(),
        received_at: jiff::Timestamp::from_second(TS + 601).unwrap(),
        event_time: Some(jiff::Timestamp::from_second(TS + 600).unwrap()),
        alert_id: None,
        policy_id: None,
        policy_name: None,
        target: None,
        source_ip: String::new(),
        action_taken: "received",
        raw_body: None,
        headers: String::new(),
        problem: None,
        is_test: false,
    };
    db.write("test", move |tx| db::deliveries::store(tx, &end, &nothing()))
        .await
        .unwrap();
    let count = || async { site.record().deliveries };

    let dry = run(&site, &["import", "webhooks", "--dry-run", &folder]);
    assert!(
        dry.stdout
            .contains("5 files: 2 would be taken, 1 were stored already, 2 cannot be read"),
        "{}",
        dry.shown()
    );
    assert_eq!(count().await, 1, "nothing is stored");

    let done = run(&site, &["import", "webhooks", &folder]);
    assert_eq!(done.code, 1, "two cannot be read: {}", done.shown());
    assert!(
        done.stdout
            .contains("5 files: 2 taken, 1 were stored already, 2 cannot be read"),
        "{}",
        done.shown()
    );
    for said in [
        "webhook_20260327_033000.json: left alone: it is not JSON",
        "webhook_20260327_034000.json: left alone: it is JSON, but no object",
        "webhook_20260327_032000.json: taken: it does not say when",
    ] {
        assert!(done.stdout.contains(said), "{said}: {}", done.shown());
    }
    let record = site.record();
    assert_eq!(record.deliveries, 3);
    assert!(record.notifications.is_empty(), "nobody is told: {}", record.shown());
    let start = record
        .events_of("START")
        .find(|event| event.attack_id.as_deref() == Some("a1"))
        .unwrap();
    assert_eq!(
        start.created_at,
        Some(jiff::Timestamp::from_second(TS).unwrap()),
        "its own time"
    );
    assert_eq!(start.prefix.as_deref(), Some("203.0.113.0/24"));
    assert_eq!(record.incidents[0].began_at, jiff::Timestamp::from_second(TS).unwrap());

    let again = run(&site, &["--json", "import", "webhooks", &folder]).json();
    assert_eq!(
        (again["taken"].as_u64(), again["there"].as_u64(), again["odd"].as_u64()),
        (Some(0), Some(3), Some(2))
    );
    assert_eq!(count().await, 3, "repeating it changes nothing");
    let audit = run(&site, &["db", "query", "SELECT action, after FROM audit"]);
    assert!(audit.stdout.contains("import.webhooks"), "{}", audit.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_folder_says_what_is_wanted() {
    let site = site().await;
    drop(database(&site));
    for folder in [site.path().join("nowhere"), site.config_dir()] {
        let wrong = run(&site, &["import", "webhooks", folder.to_str().unwrap()]);
        assert_eq!(wrong.code, 1, "{}", wrong.shown());
        assert!(wrong.stderr.contains("logs/webhooks"), "{}", wrong.shown());
    }
}
