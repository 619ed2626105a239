//! A drill that goes well, and what it must never do.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use cf_api::webhook::{decode, to_alert};
use domain::prefix::{Prefix, PrefixMap};
use ipnet::IpNet;
use jiff::Timestamp;
use mt_admin::desk::Desk;
use mt_admin::drill::hop::Outcome;
use mt_admin::drill::{Drill, DrillArgs, chain, ground, rehearsed};
use serde_json::json;
use testkit::site::PREFIX;

use crate::stage::{Stage, state};

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_works_gets_a_good_grade_and_nothing_is_touched() {
    let stage = Stage::with(&[]).await;
    let before = stage.site.sim.prefixes();
    let chat = stage.site.sim.config().chat_id.to_string();
    let run = stage.drill(&["--json", "--chat", &chat]).await;
    assert_eq!(run.code, 0, "{}", run.shown());
    let report = run.json();
    for hop in report["hops"].as_array().unwrap() {
        // How fast a busy machine is does not matter here.
        let name = hop["hop"].as_str().unwrap();
        assert!(
            ["ok", "slow"].contains(&state(&report, name).as_str()),
            "{}",
            run.shown()
        );
    }
    assert_eq!(
        report["prefix"], "192.0.2.0/24",
        "{PREFIX} is listed, this one is nobody's"
    );
    assert_ne!(report["grade"], "F");
    let messages = stage.site.sim.messages();
    assert!(messages.iter().any(|m| m.text.contains("FIRE DRILL")), "{messages:#?}");
    let told = messages
        .iter()
        .filter(|m| m.text.to_lowercase().contains("test"))
        .count();
    assert!(told >= 1, "the alert itself reached people, marked: {messages:#?}");
    // Nothing was asked of Cloudflare, nothing was intended, nothing is counted.
    assert!(stage.site.changes_asked().is_empty());
    let changed = stage.site.sim.prefixes().iter().map(|p| p.changes).sum::<u32>();
    assert_eq!(changed, before.iter().map(|p| p.changes).sum::<u32>());
    let record = stage.site.record();
    assert!(record.intents.is_empty(), "{}", record.shown());
    assert_eq!(record.deliveries, 0, "drills are not counted");
    assert!(record.events.iter().all(|event| event.is_test), "{}", record.shown());
    let text = stage.drill(&[]).await;
    assert_eq!(text.code, 0, "{}", text.shown());
    assert!(text.stdout.contains("grade "), "{}", text.shown());
    assert!(
        text.stdout.contains("not asked"),
        "a hop that nobody asked for is said: {}",
        text.shown()
    );
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_documentation_prefix_is_somebodys_there_is_no_drill() {
    let listed = ["192.0.2.0/24", "198.51.100.0/23", "203.0.113.0/25", "2001:db8::/32"];
    let mut site = testkit::Site::new(testkit::Pace::fast()).await;
    site.set("/autowithdraw/managed", json!(["203.0.113.0/24"]));
    site.set(
        "/analytics/my_prefixes",
        json!(listed.map(|text| text.replace("198.51.100.0/23", "198.51.100.0/24"))),
    );
    let stage = Stage { site, receiver: None };
    let run = stage.drill(&["--json"]).await;
    assert_eq!(
        (run.code, run.json()["error"]["code"].clone()),
        (3, json!("drill.no_ground")),
        "{}",
        run.shown()
    );
    assert!(
        stage.site.sim.requests_since(0).is_empty(),
        "nothing was asked of anybody"
    );
}

/// Numbers that look random and are the same on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Prefixes of all sizes, many of them around the documentation networks.
fn listed(chance: &mut Chance) -> Vec<Prefix> {
    let near = [0xC000_0200_u32, 0xC633_6400, 0xCB00_7100, 0x0A00_0000];
    let one = |chance: &mut Chance| {
        let net = if chance.below(4) == 0 {
            let address = (0x2001_0db8_u128 << 96) | (u128::from(chance.below(3) * 0xd111) << 80);
            IpNet::new(
                IpAddr::from(address.to_be_bytes()),
                u8::try_from(chance.below(129)).unwrap(),
            )
        } else {
            let base = near[usize::try_from(chance.below(4)).unwrap()] ^ u32::try_from(chance.below(512)).unwrap();
            IpNet::new(
                IpAddr::from(base.to_be_bytes()),
                u8::try_from(chance.below(33)).unwrap(),
            )
        };
        Prefix::containing(net.unwrap())
    };
    (0..chance.below(8)).map(|_| one(chance)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_listed_a_drill_is_about_none_of_it() {
    let site = testkit::Site::new(testkit::Pace::fast()).await;
    let stage = Stage { site, receiver: None };
    let desk = Desk::new(cli::Out::new(true), stage.settings());
    let asked = DrillArgs {
        chat: None,
        person: None,
        url: None,
        timeout: Duration::from_secs(1),
    };
    let mut chance = Chance(20_260_201);
    let mut drilled = 0;
    for _ in 0..3_000 {
        let listed = listed(&mut chance);
        let Some(prefix) = ground::choose(&listed) else {
            continue;
        };
        drilled += 1;
        let mut networks = PrefixMap::new();
        for own in &listed {
            networks.insert(*own, ());
        }
        let drill = Drill {
            desk: &desk,
            asked: &asked,
            prefix,
            listed: listed.clone(),
            attack: "drill-1".into(),
            url: String::new(),
            delivery: None,
            incident: None,
            notification: None,
        };
        for event in ["ALERT_STATE_EVENT_START", "ALERT_STATE_EVENT_END"] {
            // As the receiver reads it: marked, and about nothing that is listed.
            let body = chain::alert(&drill, event, "drill-1").to_string();
            let alert = to_alert(&decode(body.as_bytes()), Timestamp::now());
            assert!(alert.is_test, "{body}");
            let affected = alert.affected(&networks, None);
            assert!(affected.prefixes.is_empty(), "{listed:?}\n{body}");
        }
        // And what is decided in it withdraws nothing.
        let outcome = rehearsed::decisions(&desk.settings, prefix, Timestamp::now());
        assert!(matches!(outcome, Outcome::Good(_)), "{outcome:?}");
    }
    assert!(drilled > 1_000, "{drilled}");
}

#[test]
fn a_drill_has_no_hands() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/drill");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.push(folder.with_extension("rs"));
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for word in [
            "prefix_ops",
            "intents::file",
            "CloudflareClient",
            "advertise(",
            "withdraw(",
        ] {
            assert!(!text.contains(word), "{} names {word}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_real_services_pass_while_the_automation_may_act() {
    let site = testkit::Site::new(testkit::Pace::fast()).await;
    site.sim.run_scenario_toml(&testkit::stories::calm()).unwrap();
    let mut services = site.start_all().await;
    site.until("the automation has answered", testkit::site::SENT_WITHIN, |record| {
        record.verdict(PREFIX).is_some()
    })
    .await;
    // What the automation does of its own accord meanwhile is not the drill's.
    let stage = Stage { site, receiver: None };
    let run = stage.drill(&["--json"]).await;
    assert_eq!(run.code, 0, "{}", run.shown());
    let report = run.json();
    assert!(
        ["ok", "slow"].contains(&state(&report, "services").as_str()),
        "{}",
        run.shown()
    );
    assert_eq!(state(&report, "test chat"), "not_asked");
    let record = stage.site.record();
    let ground: Prefix = report["prefix"].as_str().unwrap().parse().unwrap();
    assert!(
        record.intents.iter().all(|(intent, _)| intent.prefix != ground),
        "{}",
        record.shown()
    );
    let asked = stage.site.changes_asked();
    let own = stage.site.sim.prefix(PREFIX).unwrap().bgp_prefix_id;
    assert!(asked.iter().all(|request| request.path.contains(&own)), "{asked:#?}");
    for service in &mut services {
        assert!(service.stop().await.success());
    }
}
