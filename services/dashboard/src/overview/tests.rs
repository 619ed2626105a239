//! The whole situation from partly unreadable, old and empty pictures: nothing missing is counted as none.

use std::fs;
use std::time::Duration;

use db::heartbeats::Heartbeat;
use db::outbox::{Channel, Depth};
use domain::bgp::{BgpPrefix, BgpState};
use domain::ids::{BgpPrefixId, PrefixId};
use domain::time::minus;
use settings::{Environment, LoadOptions};

use super::*;
use crate::picture::{Outbox, Unreadable};

fn now() -> Timestamp {
    "2026-11-22T03:27:00Z".parse().unwrap()
}

pub(crate) fn settings() -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"cloudflare": {"account_id": "0123456789abcdef0123456789abcdef", "api_token": "x"}}"#;
    fs::write(folder.path().join("settings.json"), text).unwrap();
    fs::write(
        folder.path().join("prefix_mapping.json"),
        r#"{"prefixes": {"203.0.113.0/24": {}}}"#,
    )
    .unwrap();
    let options = LoadOptions {
        config_dir: Some(folder.path().to_owned()),
        environment: Environment::default(),
        needs: vec![],
        accept_masked_secrets: false,
    };
    settings::load(&options)
        .unwrap_or_else(|report| panic!("{report}"))
        .settings
}

/// Everything could be read and nothing is there.
pub(crate) fn nothing() -> Picture {
    Picture {
        version: 7,
        inventory: Ok(vec![]),
        decisions: Ok(vec![]),
        holds: Ok(vec![]),
        alerts: Ok(vec![]),
        intents: Ok(vec![]),
        ongoing: Ok(vec![]),
        recent: Ok(vec![]),
        log: Ok(vec![]),
        services: Ok(vec![]),
        outbox: Ok(Outbox {
            depth: Depth::default(),
            channel: None,
            last_sent: None,
            last_failed: None,
        }),
        last_delivery: Ok(None),
        rules: Ok(vec![]),
        tunnels: Ok(vec![]),
        calls: Ok(vec![]),
        minute: Ok(None),
    }
}

fn beat(seconds: u64) -> Heartbeat {
    Heartbeat {
        service: AUTOWITHDRAW.into(),
        pid: 1,
        host: "edge1".into(),
        version: "1".into(),
        started_at: now(),
        beat_at: minus(now(), Duration::from_secs(seconds)),
        state: "ok".into(),
        status: "watching".into(),
    }
}

#[test]
fn an_empty_picture_is_unknown_and_not_calm() {
    let overview = Overview::of(&nothing(), &settings(), now());
    assert_eq!(overview.version, 7);
    assert_eq!(overview.status.worst, Worst::Unknown);
    assert_eq!(
        (overview.status.prefixes, overview.status.unknown),
        (1, 1),
        "a configured prefix is there, and unknown"
    );
    assert_eq!(
        (
            overview.status.protected_words().as_str(),
            overview.status.attack_words().as_str()
        ),
        ("?", "?")
    );
    assert_eq!(overview.status.title, "(?) 1 unknown");
    assert_eq!(overview.status.data_at, None);
    assert!(overview.status.data_is_old(Duration::from_secs(180), now()));
    assert_eq!(overview.services.len(), 4);
    assert_eq!(overview.messages.unwrap().word, "no chat");
}

#[test]
fn a_part_that_cannot_be_read_is_named_and_the_rest_is_shown() {
    let broken = || Err(Unreadable("row 7 of table x cannot be read".into()));
    let picture = Picture {
        services: Ok(vec![beat(5)]),
        decisions: broken(),
        outbox: Err(Unreadable("row 9 of table notifications cannot be read".into())),
        log: Err(Unreadable("row 8 of table attack_events cannot be read".into())),
        ..nothing()
    };
    let overview = Overview::of(&picture, &settings(), now());
    let parts: Vec<&str> = overview.troubles.iter().map(|trouble| trouble.part).collect();
    assert_eq!(parts, ["decisions", "messages", "log"]);
    assert_eq!(overview.status.worst, Worst::Unknown);
    assert!(overview.messages.is_none(), "not: none waiting");
    assert_eq!(
        overview.trouble("log").map(|trouble| trouble.text.as_str()),
        Some("row 8 of table attack_events cannot be read")
    );
    assert_eq!(overview.automation.word, "acting", "what could be read is told");
}

#[test]
fn a_prefix_that_left_the_account_is_not_shown_for_ever() {
    let entry = |cidr: &str, age_s, error: Option<&str>| Entry {
        prefix: BgpPrefix {
            prefix: cidr.parse().unwrap(),
            parent_id: PrefixId::new("p"),
            id: BgpPrefixId::new("b"),
            asn: None,
            description: String::new(),
            state: BgpState {
                advertised: Some(false),
                advertised_modified_at: None,
                on_demand_enabled: true,
                locked: false,
                bgp_signalled: false,
                prepend: None,
                auto_advertise_withdraw: false,
            },
        },
        managed: false,
        read_at: minus(now(), Duration::from_secs(age_s)),
        error: error.map(str::to_owned),
        error_since: None,
    };
    let shown = |entries: Vec<Entry>| {
        let picture = Picture {
            inventory: Ok(entries),
            ..nothing()
        };
        let overview = Overview::of(&picture, &settings(), now());
        overview
            .prefixes
            .iter()
            .map(|view| view.prefix.to_string())
            .collect::<Vec<_>>()
    };
    let (day, fresh) = (86_400, entry("192.0.2.0/24", 30, None));
    let left = entry("198.51.100.0/24", 2 * day, None);
    assert_eq!(
        shown(vec![fresh.clone(), left.clone()]),
        ["192.0.2.0/24", "203.0.113.0/24"]
    );
    assert_eq!(
        shown(vec![left]).len(),
        2,
        "while nothing else is read it is unknown, not gone"
    );
    let failing = entry("198.51.100.0/24", 2 * day, Some("HTTP 503"));
    assert_eq!(shown(vec![fresh.clone(), failing]).len(), 3);
    let configured = entry("203.0.113.0/24", 2 * day, None);
    assert_eq!(shown(vec![fresh, configured]).len(), 2);
}

#[test]
fn the_automations_word_follows_its_sign_of_life() {
    let word = |services: Vec<Heartbeat>| {
        let picture = Picture {
            services: Ok(services),
            ..nothing()
        };
        Overview::of(&picture, &settings(), now()).automation.word
    };
    assert_eq!(word(vec![beat(5)]), "acting");
    assert_eq!(word(vec![beat(90)]), "late");
    assert_eq!(word(vec![beat(600)]), "silent");
    assert_eq!(word(vec![]), "never seen");
    let stopped = Heartbeat {
        state: "stopped".into(),
        ..beat(5)
    };
    assert_eq!(word(vec![stopped]), "stopped");
}

#[test]
fn messages_are_fine_only_when_one_was_sent_and_none_is_stuck() {
    let word = |change: &dyn Fn(&mut Outbox)| {
        let mut outbox = Outbox {
            depth: Depth::default(),
            channel: Some(Channel::default()),
            last_sent: None,
            last_failed: None,
        };
        change(&mut outbox);
        Messages::of(&outbox, now()).word
    };
    assert_eq!(word(&|outbox| outbox.channel = None), "no chat");
    assert_eq!(word(&|_| ()), "none sent yet");
    let waiting = |seconds| {
        move |outbox: &mut Outbox| {
            outbox.depth.queued = 1;
            outbox.depth.oldest_queued_at = Some(minus(now(), Duration::from_secs(seconds)));
        }
    };
    assert_eq!(word(&waiting(120)), "none sent yet");
    assert_eq!(word(&waiting(121)), "late");
    let failing = |outbox: &mut Outbox| {
        waiting(600)(outbox);
        outbox.channel = Some(Channel {
            failing_since: Some(now()),
            ..Channel::default()
        });
    };
    assert_eq!(word(&failing), "failing");
}

#[test]
fn notifications_that_are_not_read_yet_are_said_without_a_number() {
    let picture = Picture {
        alerts: Ok(vec![OpenAlert::unread(minus(now(), Duration::from_secs(5)))]),
        ..nothing()
    };
    let overview = Overview::of(&picture, &settings(), now());
    let said: Vec<&str> = overview.now.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(said, ["Notifications of Cloudflare are received and not read yet"]);
    assert!(
        overview.now[0].next.contains("no prefix is withdrawn"),
        "{:?}",
        overview.now[0]
    );
    assert!(overview.prefixes.iter().all(|view| view.open_alerts.is_empty()));
}
