//! The scenarios that are built in, rehearsed in no time: each does what it says, and a seed decides everything.

use std::fmt::Write as _;

use cf_sim::{Rehearsal, Scenario, SimConfig, finest_factor, rehearsal_config, rehearse};
use serde_json::json;

use crate::{Desk, LIMIT};

/// The scenarios that must be there, whatever else is.
const NAMED: [&str; 5] = [
    "provider-withdrawal",
    "re-attack",
    "slow-drip",
    "analytics-outage",
    "alert-storm",
];

fn rehearsed(scenario: &Scenario, seed: u64) -> Rehearsal {
    let config = SimConfig {
        seed,
        ..rehearsal_config(scenario)
    };
    rehearse(scenario, config).unwrap()
}

#[test]
fn every_scenario_does_what_it_says() {
    let names = Scenario::names();
    assert!(names.len() >= 12, "{names:?}");
    assert!(NAMED.iter().all(|name| names.contains(name)));
    let mut wrong = String::new();
    for name in names {
        let scenario = Scenario::named(name).unwrap();
        let run = rehearsed(&scenario, 1);
        assert!(run.status.finished, "{name} came to its end");
        assert!(run.findings.len() >= 3, "{name} claims something of itself");
        for finding in run.findings.iter().filter(|finding| !finding.holds) {
            writeln!(wrong, "{name}: {}", finding.text).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn an_expectation_that_does_not_hold_is_found() {
    let text = include_str!("../../scenarios/demo.toml").replace(
        "says = \"\\\"Advertised\\\"\"\nexactly = 1",
        "says = \"\\\"Advertised\\\"\"\nexactly = 2",
    );
    let run = rehearsed(&Scenario::parse(&text).unwrap(), 1);
    let wrong: Vec<_> = run.findings.iter().filter(|finding| !finding.holds).collect();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].text.ends_with("1 (wanted: 2)"), "{}", wrong[0].text);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for name in [
        "multi-vector",
        "carpet-bombing",
        "rules-detect",
        "alert-storm",
        "tunnel-trouble",
    ] {
        let scenario = Scenario::named(name).unwrap();
        let (first, again, other) = (
            rehearsed(&scenario, 7),
            rehearsed(&scenario, 7),
            rehearsed(&scenario, 8),
        );
        assert_eq!(first, again, "{name}");
        assert_ne!(first, other, "{name}: another seed is another run");
        assert!(!first.rows.is_empty());
    }
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

/// A scenario with attacks of any kind.
fn made(chance: &mut Chance) -> Scenario {
    let mut text = String::from(
        "name = \"made\"\nduration = \"20m\"\n[[background]]\nprefix = \"203.0.113.0/24\"\npps = 100000\nmbps = 500\n",
    );
    if chance.below(3) == 0 {
        text = text.replacen("duration", "detection = \"rules\"\nduration", 1);
    }
    for number in 0..1 + chance.below(3) {
        let (prefix, target) = if chance.below(3) == 0 {
            ("2001:db8:1::/48", "2001:db8:1::10")
        } else {
            ("203.0.113.0/24", "203.0.113.10")
        };
        let system = ["dosd", "flowtrackd", "magic-firewall", "advanced-dns-protection"][chance.below(4) as usize];
        writeln!(
            text,
            "[[attack]]\nname = \"a{number}\"\nprefix = \"{prefix}\"\ntarget_ip = \"{target}\"\ntarget_port = {}\nvector = \"made {number}\"\nprotocol = \"{}\"\nstart = \"{}s\"\nduration = \"{}s\"\npps = {}\nmbps = {}\nramp = \"{}s\"\ntargets = {}\nmitigated = 0.{}\nsystem = \"{system}\"\nmitigated_after = \"{}s\"\ncrowd = {{ addresses = {}, spoofed = 0.{} }}",
            chance.below(65_536),
            ["UDP", "TCP", "ICMP"][chance.below(3) as usize],
            chance.below(300),
            60 + chance.below(600),
            10_000 + chance.below(2_000_000),
            1 + chance.below(5_000),
            chance.below(60),
            1 + chance.below(20),
            chance.below(10),
            chance.below(20),
            1 + chance.below(20),
            chance.below(10),
        )
        .unwrap();
        if chance.below(3) == 0 {
            text.push_str("pulse = { on = \"20s\", off = \"30s\", floor = 0.1 }\n");
        }
    }
    Scenario::parse(&text).unwrap_or_else(|e| panic!("{e:?}\n{text}"))
}

/// Packets of an outcome in the rows of a node.
fn packets(run: &Rehearsal, node: &str, outcome: &str) -> u64 {
    let number = |row: &String| {
        let rest = row.split("packets: ").nth(1)?;
        rest.split(',').next()?.parse::<u64>().ok()
    };
    let fits = |row: &&String| row.starts_with(node) && row.contains(&format!("\"outcome\": String(\"{outcome}\")"));
    run.rows.iter().filter(fits).filter_map(number).sum()
}

#[test]
fn any_scenario_is_repeatable_and_makes_no_packets_of_nothing() {
    let mut chance = Chance(20_260_201);
    let mut dropped_somewhere = 0;
    for _ in 0..12 {
        let scenario = made(&mut chance);
        let seed = chance.below(1 << 30);
        let config = || SimConfig {
            seed,
            factor: finest_factor(&scenario, 300),
            ..SimConfig::default()
        };
        let run = rehearse(&scenario, config()).unwrap();
        assert_eq!(run, rehearse(&scenario, config()).unwrap(), "{scenario:?}");
        let node = "magicTransitNetworkAnalyticsAdaptiveGroups";
        let (dropped, passed) = (packets(&run, node, "drop"), packets(&run, node, "pass"));
        // What is in the analytics was sent by somebody, up to the sample that each stream may be ahead.
        let sent: f64 = scenario
            .attack
            .iter()
            .map(|a| a.pps as f64 * (a.duration.as_secs_f64() + 10.0))
            .sum::<f64>();
        let streams = 16.0 * 40.0 * f64::from(SimConfig::default().sample_interval);
        let factor = config().factor;
        let background = 100_000.0 * 1_201.0;
        assert!(
            (dropped as f64 - streams) * factor <= sent * factor.max(1.0)
                && dropped as f64 * factor <= sent + streams * factor,
            "{dropped} dropped, {sent} sent"
        );
        assert!(passed as f64 * factor <= sent + background + streams * factor);
        let advertised = run.advertised.iter().any(|(_, is)| *is);
        assert!(
            advertised || dropped + passed == 0,
            "nothing arrives where nothing is advertised"
        );
        dropped_somewhere += u32::from(dropped > 0);
    }
    assert!(dropped_somewhere >= 4, "{dropped_somewhere}");
}

#[tokio::test]
async fn analytics_fail_in_the_middle_and_come_back() {
    let desk = Desk::with(SimConfig {
        factor: 240.0,
        ..SimConfig::default()
    })
    .await;
    desk.sim
        .run_scenario(Scenario::named("analytics-outage").unwrap())
        .unwrap();
    let mut seen = Vec::new();
    let began = std::time::Instant::now();
    while began.elapsed() < LIMIT && !desk.sim.scenario().unwrap().finished {
        let answer = desk.graphql("{ viewer { budget } }", json!({})).await;
        let failed = !answer.body["errors"].is_null();
        if seen.last() != Some(&failed) {
            seen.push(failed);
        }
        tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    }
    assert_eq!(seen, [false, true, false], "as it was, failing, and back");
    assert!(desk.sim.faults().is_empty());
}
