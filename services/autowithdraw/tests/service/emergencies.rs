//! What a person did with --emergency, while the database could not be written, is taken in before a cycle could take it
//! for somebody else's act (rule 14).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use domain::intent::{Act, IntentState, Origin};
use prefix_ops::emergency::spool::Spool;
use prefix_ops::emergency::{self, Ended, Order};
use serde_json::json;
use settings::{Environment, LoadOptions};
use testkit::site::PREFIX;
use testkit::{Record, wait};

use crate::house::{House, WITHDRAWN_WITHIN, now, pace, prefix, set};

/// The daemon only watches; the prefix is advertised.
async fn house() -> House {
    let mut house = House::new(pace()).await;
    set(&mut house, "mode", json!("paused"));
    house.calm();
    house
}

/// As the command line does it: without a look at the database.
async fn act(house: &House, act: Act, wait: Duration) -> Ended {
    let options = LoadOptions {
        config_dir: Some(house.site.config_dir()),
        environment: Environment::default(),
        ..LoadOptions::default()
    };
    let settings = settings::load(&options).unwrap().settings;
    let clock = daemon::SystemClock::shared();
    let transport = assembly::parts::transport();
    let api = assembly::parts::cloudflare_uncounted(&settings, &transport, &clock).unwrap();
    let known = api.list_prefixes().await.unwrap();
    let parent = known.iter().find(|it| it.prefix == prefix()).unwrap();
    let bgp = api.list_bgp_prefixes(&parent.id, "").await.unwrap().remove(0);
    let order = Order {
        prefix: prefix(),
        act,
        prefix_id: parent.id.clone(),
        bgp_prefix_id: bgp.id,
        description: String::new(),
        actor: "ana@noc".into(),
        via: "prefix_manager".into(),
        reason: "the disk is full".into(),
        force: false,
    };
    let spool = Spool::of(&settings.database.path);
    let (ended, file) = emergency::act(&api, &order, &spool, wait, &now, &|_| {}).await.unwrap();
    assert!(file.unwrap().starts_with(house.site.data_dir()), "beside the database");
    ended
}

fn spooled(house: &House) -> Vec<PathBuf> {
    let folder = fs::read_dir(house.site.data_dir().join("emergency")).unwrap();
    folder.map(|entry| entry.unwrap().path()).collect()
}

fn is_theirs(record: &Record, act: Act) -> bool {
    let theirs = |origin: &Origin| matches!(origin, Origin::Person { actor, .. } if actor == "ana@noc");
    record.intents.iter().any(|(intent, _)| {
        intent.act == act
            && intent.state == IntentState::Done
            && theirs(&intent.origin)
            && intent.reason.contains("disk")
    })
}

/// It stays so for cycles: nobody calls it somebody else's.
async fn nobody_is_blamed(house: &House) {
    wait::never("announced as foreign", Duration::from_secs(2), || {
        let record = house.record();
        let blamed = record.messages_of("foreign_change").count() + record.messages_of("provider_event").count();
        (blamed > 0).then(|| record.shown())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_done_while_the_daemon_was_down_is_in_the_journal_before_it_compares() {
    let house = house().await;
    let daemon = house.start().await;
    house.until_verdict("blocked:mode_paused").await;
    daemon.stop().await;
    // Cloudflare takes it, and nobody waits until it shows it: who reads it back later is the daemon.
    let ended = act(&house, Act::Withdraw, Duration::ZERO).await;
    assert!(matches!(ended, Ended::NotShown(_) | Ended::Shown(_)), "{ended:?}");
    assert!(!house.site.is_advertised());
    assert_eq!(spooled(&house).len(), 1);
    assert!(house.record().intents.is_empty(), "nobody has it yet");

    let daemon = house.start().await;
    let record = house
        .until("it is taken in and read back", WITHDRAWN_WITHIN, |record| {
            is_theirs(record, Act::Withdraw)
        })
        .await;
    let events: Vec<_> = record.events_of("WITHDRAW").collect();
    assert_eq!(events.len(), 1, "{}", record.shown());
    assert_eq!(events[0].actor.as_deref(), Some("ana@noc"));
    assert_eq!(record.history.len(), 1, "{}", record.shown());
    let audit = house.db.read("audit", |tx| db::audit::newest(tx, 9)).await.unwrap();
    let row = audit.iter().find(|row| row.action == "prefix.withdraw").unwrap();
    assert_eq!(
        (row.actor.as_str(), row.reason.as_deref()),
        ("ana@noc", Some("the disk is full"))
    );
    nobody_is_blamed(&house).await;
    assert!(
        spooled(&house)
            .iter()
            .all(|path| path.to_string_lossy().ends_with(".imported"))
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_done_beside_a_running_daemon_is_not_taken_for_somebody_elses() {
    let house = house().await;
    let daemon = house.start().await;
    house.until_verdict("blocked:mode_paused").await;
    // What cannot be taken stops nothing.
    let folder = house.site.data_dir().join("emergency");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("0-broken.json"), "{\"schema\": 1").unwrap();
    for (number, wanted) in [(1, Act::Withdraw), (2, Act::Advertise)] {
        act(&house, wanted, Duration::from_secs(10)).await;
        let record = house
            .until("it is taken in", WITHDRAWN_WITHIN, |record| is_theirs(record, wanted))
            .await;
        assert_eq!(record.intents.len(), number, "{}", record.shown());
        assert_eq!(house.changes_asked(), number, "only theirs");
    }
    nobody_is_blamed(&house).await;
    assert!(folder.join("0-broken.json").exists(), "it stays for people");
    let decided = house.record().verdict(PREFIX);
    assert!(decided.is_some(), "the cycles go on");
    daemon.stop().await;
}
