//! Changes that no intent of ours explains (rule 14), and epochs (rule 4).

use std::time::Duration;

use cf_sim::{BindingSpec, FaultKind, FaultSpec, PrefixChange, Target};
use domain::intent::IntentState;
use domain::notice::Facts;
use serde_json::json;
use testkit::site::PREFIX;
use testkit::wait;

use crate::house::{Daemon, House, WITHDRAWN_WITHIN, map, now, pace, prefix, set};

/// A daemon that only watches, and has seen the prefix advertised.
async fn watching() -> (House, Daemon) {
    let mut house = House::new(pace()).await;
    set(&mut house, "mode", json!("paused"));
    house.calm();
    let daemon = house.start().await;
    house.until_verdict("blocked:mode_paused").await;
    (house, daemon)
}

async fn told(house: &House, count: usize) {
    house
        .until("the change is announced", WITHDRAWN_WITHIN, |record| {
            record.messages_of("foreign_change").count() == count
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_somebody_else_changes_is_announced_each_time_once() {
    let (house, daemon) = watching().await;
    assert!(house.site.sim.set_advertised(PREFIX, false));
    told(&house, 1).await;
    assert!(house.site.sim.set_advertised(PREFIX, true));
    told(&house, 2).await;
    let locked = PrefixChange {
        locked: Some(true),
        ..PrefixChange::default()
    };
    assert!(house.site.sim.change_prefix(PREFIX, &locked));
    told(&house, 3).await;
    house.until_verdict("not_managed").await;
    let record = house.record();
    let rows: Vec<Option<&str>> = record
        .events_of("NOTE")
        .map(|row| row.action_taken.as_deref())
        .collect();
    let expected = ["withdrawn_elsewhere", "advertised_elsewhere", "changed_elsewhere"];
    assert_eq!(rows, expected.map(Some), "{}", record.shown());
    let told: Vec<Option<i64>> = record
        .messages_of("foreign_change")
        .map(|notice| notice.event.map(|event| event.0))
        .collect();
    let ids: Vec<Option<i64>> = record.events_of("NOTE").map(|row| Some(row.id)).collect();
    assert_eq!(told, ids, "each message names its row");
    wait::never("announced again", Duration::from_secs(1), || {
        let count = house.record().messages_of("foreign_change").count();
        (count != 3).then(|| house.record().shown())
    })
    .await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn many_changes_at_once_are_one_event_at_the_provider() {
    let (house, daemon) = watching().await;
    let others = ["192.0.2.0/24", "198.51.100.0/24"];
    // All between two looks of the daemon: it is kept from looking meanwhile.
    let blind = house
        .site
        .sim
        .set_fault(FaultSpec::new(Target::Rest, FaultKind::Hang).method("GET"));
    let before = house.site.sim.requests_since(0).len();
    wait::until("a look is held back", WITHDRAWN_WITHIN, || {
        let requests = house.site.sim.requests_since(0);
        requests[before..]
            .iter()
            .any(|request| request.faults.contains(&blind))
            .then_some(())
    })
    .await;
    let locked = PrefixChange {
        locked: Some(true),
        ..PrefixChange::default()
    };
    for other in others {
        assert!(house.site.sim.change_prefix(other, &locked));
    }
    assert!(house.site.sim.set_advertised(PREFIX, false));
    assert!(house.site.sim.clear_fault(&blind));
    let record = house
        .until("it is announced", WITHDRAWN_WITHIN, |record| {
            record.messages_of("provider_event").count() == 1
        })
        .await;
    // A look may fall in between; what it saw alone was told alone.
    assert!(record.messages_of("foreign_change").count() < 3, "{}", record.shown());
    assert_eq!(record.events_of("NOTE").count(), 3, "each is recorded for itself");
    let Some(Facts::ProviderEvent { withdrawn, changed, .. }) =
        &record.messages_of("provider_event").next().unwrap().facts
    else {
        panic!("{}", record.shown());
    };
    assert_eq!((withdrawn.len(), changed.len()), (1, 2), "all of them are in it");
    daemon.stop().await;
}

/// What the daemon has stored of the bindings of all parents.
async fn bindings_known(house: &House) -> usize {
    let parents: Vec<String> = house.site.sim.config().prefixes.iter().map(|p| p.id.clone()).collect();
    house
        .write(move |tx| {
            let known = |parent: &&String| db::leases::cursor(tx, &format!("bindings:{parent}")).unwrap().is_some();
            parents.iter().filter(known).count()
        })
        .await
}

/// Until the bindings of all parents were read once.
async fn bindings_read(house: &House) {
    let parents = house.site.sim.config().prefixes.len();
    let deadline = std::time::Instant::now() + WITHDRAWN_WITHIN;
    while bindings_known(house).await < parents {
        assert!(std::time::Instant::now() < deadline, "{}", house.record().shown());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_stored_of_bindings_and_cannot_be_read_is_replaced_and_the_next_change_is_noticed() {
    let (house, daemon) = watching().await;
    bindings_read(&house).await;
    let parent = house.site.sim.config().prefixes[0].id.clone();
    let mark = format!("bindings:{parent}");
    let spoilt = mark.clone();
    house
        .write(move |tx| db::leases::set_cursor(tx, &spoilt, "no list", now()).unwrap())
        .await;
    let deadline = std::time::Instant::now() + WITHDRAWN_WITHIN;
    loop {
        let mark = mark.clone();
        let stored = house.write(move |tx| db::leases::cursor(tx, &mark).unwrap()).await;
        if stored.is_some_and(|text| text.starts_with('[')) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{}", house.record().shown());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(house.record().messages_of("bindings_changed").count(), 0);
    assert!(house.site.sim.change_binding(&BindingSpec::new(PREFIX, None)));
    house
        .until("the change is announced", WITHDRAWN_WITHIN, |record| {
            record.messages_of("bindings_changed").count() == 1
        })
        .await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_service_binding_is_recorded_and_announced_once() {
    let (house, daemon) = watching().await;
    bindings_read(&house).await;
    assert_eq!(
        house.record().messages_of("bindings_changed").count(),
        0,
        "nothing changed yet"
    );
    // An answer that nobody can use changes nothing.
    let fault = FaultSpec::new(Target::Rest, FaultKind::Garbage).path("/bindings");
    let fault = house.site.sim.set_fault(fault.times(2));
    wait::until("bindings could not be read", WITHDRAWN_WITHIN, || {
        let requests = house.site.sim.requests_since(0);
        requests
            .iter()
            .any(|request| request.faults.contains(&fault))
            .then_some(())
    })
    .await;
    assert!(house.site.sim.change_binding(&BindingSpec::new(PREFIX, None)));
    assert!(
        house
            .site
            .sim
            .change_binding(&BindingSpec::new("203.0.113.7/32", Some("CDN")))
    );
    let record = house
        .until("the change is announced", WITHDRAWN_WITHIN, |record| {
            record.messages_of("bindings_changed").count() == 1
        })
        .await;
    let notice = record.messages_of("bindings_changed").next().unwrap();
    let Some(Facts::BindingsChanged { prefixes, changes }) = &notice.facts else {
        panic!("{}", record.shown());
    };
    assert_eq!((prefixes.as_slice(), changes.len()), ([prefix()].as_slice(), 2));
    assert_eq!(notice.priority, domain::notice::Priority::Critical);
    let rows: Vec<_> = record
        .events_of("NOTE")
        .map(|row| (Some(row.id), row.action_taken.as_deref(), row.prefix.as_deref()))
        .collect();
    let event = notice.event.map(|event| event.0);
    assert_eq!(rows, [(event, Some("bindings_changed_elsewhere"), Some(PREFIX))]);
    wait::never("announced again", Duration::from_secs(3), || {
        (house.record().messages_of("bindings_changed").count() != 1).then(|| house.record().shown())
    })
    .await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_fresh_prefix_beside_a_long_advertised_one_is_seen_by_its_own_traffic() {
    let mut long = pace();
    // Without evidence of its own it would be unknown until the other's window has left its begin behind.
    long.calm_period = Duration::from_secs(20);
    long.propagation = Duration::from_secs(5);
    let house = House::new(long).await;
    house.site.sim.run_scenario_toml(BESIDE).unwrap();
    map(&house, &[PREFIX, "198.51.100.0/24"]);
    assert!(house.site.sim.set_advertised(PREFIX, false));
    assert!(house.site.sim.set_advertised(PREFIX, true));
    let daemon = house.start().await;
    house.until_verdict("calm").await;
    let seen: Vec<String> = house
        .db
        .read("test", |tx| db::decisions::newest(tx, prefix(), 50))
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.verdict)
        .collect();
    assert!(!seen.iter().any(|verdict| verdict.contains("no_rows")), "{seen:?}");
    let record = house.record();
    let traffic = record.now.iter().find(|now| now.prefix == prefix()).unwrap();
    assert!(traffic.decision.state.calm.as_ref().unwrap().saw_rows);
    daemon.stop().await;
}

/// Two prefixes with traffic, both advertised since long.
const BESIDE: &str = r#"
name = "beside"
duration = "30m"

[[prefix]]
cidr = "203.0.113.0/24"
advertised = true

[[prefix]]
cidr = "198.51.100.0/24"
advertised = true

[[background]]
prefix = "203.0.113.0/24"
pps = 120000
mbps = 800

[[background]]
prefix = "198.51.100.0/24"
pps = 60000
mbps = 300
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_advertisement_that_cloudflare_tells_of_a_moment_later_is_not_somebody_elses() {
    let (house, daemon) = watching().await;
    assert!(house.site.sim.set_advertised(PREFIX, false));
    told(&house, 1).await;
    house.until_verdict("direct").await;
    assert!(house.site.sim.set_advertised(PREFIX, true));
    house
        .until("it is seen", WITHDRAWN_WITHIN, |record| {
            record.verdict(PREFIX).as_deref() != Some("direct")
        })
        .await;
    house
        .write(|tx| {
            let event = db::events::NewEvent {
                event_type: "ADVERTISE".into(),
                alert_type: "fbm_auto_advertisement".into(),
                prefixes: vec![prefix()],
                action_taken: "auto_advertised".into(),
                ..db::events::NewEvent::default()
            };
            db::events::append(tx, &event, now()).unwrap();
        })
        .await;
    wait::never("announced as foreign", Duration::from_secs(2), || {
        (house.record().messages_of("foreign_change").count() != 1).then(|| house.record().shown())
    })
    .await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_own_act_explains_one_change() {
    let house = House::new(pace()).await;
    house.calm();
    let daemon = house.start().await;
    house.until_withdrawn().await;
    house.until_verdict("direct").await;
    assert_eq!(house.record().messages_of("foreign_change").count(), 0);
    // Somebody advertises it and somebody withdraws it, soon after our own withdrawal.
    assert!(house.site.sim.set_advertised(PREFIX, true));
    told(&house, 1).await;
    assert!(house.site.sim.set_advertised(PREFIX, false));
    told(&house, 2).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_new_advertisement_during_calm_starts_anew() {
    // So long that a busy machine cannot let the rest of it pass between a look and the change.
    let calm_period = Duration::from_secs(10);
    let house = House::new(testkit::Pace { calm_period, ..pace() }).await;
    house.fresh();
    let daemon = house.start().await;
    house.until_verdict("calm").await;
    wait::until("some of the calm is proven", WITHDRAWN_WITHIN, || {
        let record = house.record();
        let now = record.now.iter().find(|now| now.prefix == prefix())?;
        let track = now.decision.state.calm.as_ref()?;
        (track.proven() >= Duration::from_secs(2)).then_some(())
    })
    .await;
    assert_eq!(house.changes_asked(), 0, "nothing was due yet");
    assert!(house.site.sim.set_advertised(PREFIX, false));
    assert!(house.site.sim.set_advertised(PREFIX, true));
    let begun = house.site.sim.prefix(PREFIX).unwrap().advertised_modified_at.unwrap();
    let record = house.until_withdrawn().await;
    let sent = record
        .withdrawals(IntentState::Done)
        .next()
        .unwrap()
        .sending_at
        .unwrap();
    let protected = domain::time::since(sent, begun);
    // Propagation and calm, in data time; the data lags by the settling time.
    assert!(
        protected >= Duration::from_secs(1) + calm_period,
        "{protected:?}\n{}",
        record.shown()
    );
    let row = &record.history[0];
    assert_eq!(
        row.advertised_at.unwrap().as_microsecond(),
        begun.as_microsecond(),
        "the record names the new advertisement"
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_alert_soon_after_our_withdrawal_is_critical_and_told_once() {
    let house = House::new(pace()).await;
    house.calm();
    let daemon = house.start().await;
    house.until_withdrawn().await;
    house.until_verdict("direct").await;
    assert_eq!(house.record().messages_of("reattack").count(), 0);
    house
        .write(|tx| {
            let body = br#"{"alert_type":"fbm_dosd_attack","alert_event":"ALERT_STATE_EVENT_START","data":{"target_ip":"203.0.113.9"}}"#;
            let alert = cf_api::webhook::to_alert(&cf_api::webhook::decode(body), now());
            let networks = [(prefix(), ())].into_iter().collect();
            let affected = alert.affected(&networks, None);
            db::ledger::enter(tx, &alert, &affected, domain::ids::EventId(1)).unwrap();
        })
        .await;
    let record = house
        .until("it is announced", WITHDRAWN_WITHIN, |record| {
            record.messages_of("reattack").count() == 1
        })
        .await;
    let notice = record.messages_of("reattack").next().unwrap();
    assert_eq!(notice.priority, domain::notice::Priority::Critical);
    wait::never("announced again", Duration::from_secs(1), || {
        (house.record().messages_of("reattack").count() != 1).then(|| house.record().shown())
    })
    .await;
    daemon.stop().await;
}
