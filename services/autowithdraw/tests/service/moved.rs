//! A database that wakes up on another host starts paused (rule 13).

use std::time::Duration;

use autowithdraw::identity::{Home, check};
use domain::intent::{Act, IntentState};
use prefix_ops::{Request, request};

use crate::house::{House, now, pace, prefix};

fn ask(act: Act) -> Request {
    Request {
        prefix: prefix(),
        act,
        actor: "ana@noc".into(),
        via: "dashboard".into(),
        address: None,
        reason: "test".into(),
        force: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn it_is_paused_until_a_person_confirms_and_does_not_carry_out_old_plans() {
    let house = House::new(pace()).await;
    house.calm();
    let there = check(&house.db, "host-a".into(), now()).await.unwrap();
    assert_eq!(there, Home::Same);
    // What was known and planned over there.
    house
        .write(|tx| {
            let known = domain::bgp::BgpPrefix {
                prefix: prefix(),
                parent_id: domain::ids::PrefixId::new("a0000000000000000000000203000113"),
                id: domain::ids::BgpPrefixId::new("b0000000000000000000000203000113"),
                asn: None,
                description: String::new(),
                state: domain::bgp::BgpState {
                    advertised: Some(true),
                    advertised_modified_at: Some(now()),
                    on_demand_enabled: true,
                    locked: false,
                    bgp_signalled: false,
                    prepend: None,
                    auto_advertise_withdraw: false,
                },
            };
            db::inventory::observed(tx, &known, true, now()).unwrap();
        })
        .await;
    let hours_ago = domain::time::minus(now(), Duration::from_secs(7_200));
    let mut asked = Vec::new();
    for (act, at) in [
        (Act::Advertise, hours_ago),
        (Act::Advertise, now()),
        (Act::Withdraw, now()),
    ] {
        asked.push(request::file(&house.db, ask(act), at).await.unwrap().intent);
    }

    let daemon = house.start().await;
    house.until_verdict("blocked:held").await;
    house.nothing_happens(Duration::from_secs(2), "blocked:held").await;
    let record = house.record();
    let state = |id| {
        record
            .intents
            .iter()
            .find(|(intent, _)| intent.id == id)
            .unwrap()
            .0
            .state
    };
    let states: Vec<IntentState> = asked.into_iter().map(state).collect();
    assert_eq!(
        states,
        [IntentState::Cancelled, IntentState::Done, IntentState::Cancelled],
        "an advertise of a moment ago is still wanted: {}",
        record.shown()
    );
    let started = record.messages_of("service_started").next().unwrap();
    assert!(format!("{started:?}").contains("PAUSED"), "{started:?}");
    daemon.stop().await;

    // The second start on the same host changes nothing: only a person ends it.
    let daemon = house.start().await;
    house.nothing_happens(Duration::from_secs(2), "blocked:held").await;
    house
        .write(|tx| assert_eq!(db::holds::release(tx, None, "ana@noc", now()).unwrap(), 1))
        .await;
    house.until_withdrawn().await;
    daemon.stop().await;
}
