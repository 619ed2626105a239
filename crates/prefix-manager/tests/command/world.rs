//! A site with a simulated Cloudflare, and what a daemon would have left in its database.

use std::process::Command;
use std::time::Duration;

use cf_sim::{PrefixChange, RowSpec};
use db::decisions::Now;
use db::heartbeats::Heartbeat;
use db::{Db, OpenOptions};
use domain::calm::WindowSum;
use domain::decision::{Block, Decision, Mode, NextAction, NextKind, PrefixState, Reason, Verdict};
use domain::prefix::Prefix;
use domain::time::minus;
use domain::units::{Bits, BitsPerSecond, Packets, PacketsPerSecond};
use jiff::Timestamp;
use testkit::site::PREFIX;
use testkit::{Pace, Site};

use crate::support::{self, Run};

/// A day: no rule of time applies any more.
pub(crate) const LONG_AGO_S: u64 = 86_400;

pub(crate) fn prefix() -> Prefix {
    PREFIX.parse().unwrap()
}

pub(crate) fn command(site: &Site, arguments: &[&str]) -> Command {
    support::program(
        env!("CARGO_BIN_EXE_cloudflare-prefix-manager"),
        &site.config_dir(),
        arguments,
    )
}

pub(crate) fn run(site: &Site, arguments: &[&str]) -> Run {
    support::run(command(site, arguments))
}

/// The real times, except that data settles within a minute and is summed up over one: enough for a slow machine.
pub(crate) fn pace() -> Pace {
    let seconds = Duration::from_secs;
    Pace {
        check_interval: seconds(60),
        calm_period: seconds(900),
        lookback: seconds(60),
        settle: seconds(60),
        propagation: seconds(420),
        min_advertised: seconds(900),
        veto: seconds(3_600),
        blind_after: seconds(600),
        overdue_after: seconds(7_200),
        poll_interval: seconds(300),
        poll_lookback: seconds(900),
    }
}

/// A site whose rules of time are the real ones.
pub(crate) async fn site() -> Site {
    Site::new(pace()).await
}

/// Advertised since a day.
pub(crate) fn advertised_long_ago(site: &Site) {
    assert!(site.sim.set_advertised(PREFIX, true));
    changed_ago(site, LONG_AGO_S);
}

pub(crate) fn changed_ago(site: &Site, seconds: u64) {
    let change = PrefixChange {
        modified_ago_s: Some(seconds),
        ..PrefixChange::default()
    };
    assert!(site.sim.change_prefix(PREFIX, &change));
}

/// Ordinary traffic, newest row of just now.
pub(crate) fn quiet(site: &Site) {
    let now = Timestamp::now();
    let rows = (0..6).map(|n| {
        RowSpec::passed("203.0.113.10", 50_000, 400_000_000)
            .at(minus(now, Duration::from_secs(n * 20 + 1)))
            .visible()
    });
    site.sim.add_rows(rows);
}

/// Drops far over both thresholds, just now.
pub(crate) fn attack(site: &Site) {
    quiet(site);
    let now = Timestamp::now();
    let rows = (0..6).map(|n| {
        RowSpec::dropped("203.0.113.10", 40_000_000, 320_000_000_000)
            .at(minus(now, Duration::from_secs(n * 10 + 1)))
            .visible()
    });
    site.sim.add_rows(rows);
}

/// The database as a command or a service would open it.
pub(crate) fn database(site: &Site) -> Db {
    Db::open(site.database(), OpenOptions::default()).unwrap()
}

/// A daemon that is there.
pub(crate) async fn daemon_beats(db: &Db, age_s: u64) {
    let beat_at = minus(Timestamp::now(), Duration::from_secs(age_s));
    let beat = Heartbeat {
        service: "cloudflare-autowithdraw".into(),
        pid: 4711,
        host: "mt1.example".into(),
        version: "0.1.0".into(),
        started_at: beat_at,
        beat_at,
        state: "ok".into(),
        status: "1 of 4 advertised, 1 UNDER ATTACK".into(),
    };
    db.write("test", move |tx| db::heartbeats::beat(tx, &beat))
        .await
        .unwrap();
}

/// What the daemon published about [`PREFIX`], with the live state of this moment.
pub(crate) async fn daemon_says(site: &Site, db: &Db, verdict: Verdict, blocks: Vec<Block>) {
    let now = Timestamp::now();
    let state = site.sim.prefix(PREFIX).unwrap();
    let window = WindowSum {
        ends_at: now,
        packets: Packets(183_000_000),
        bits: Bits(1_230_000_000_000),
        samples: 812,
        packet_rate: PacketsPerSecond(610_000.0),
        bit_rate: BitsPerSecond(4.1e9),
    };
    let answer = Now {
        prefix: prefix(),
        at: now,
        decision: Decision {
            verdict,
            state: PrefixState {
                peak: Some(window),
                ..PrefixState::default()
            },
            effects: vec![],
            blocks,
            next: NextAction {
                kind: NextKind::Hold,
                not_before: None,
                reasons: vec![Reason::AttackGoesOn],
            },
            calm_period: Duration::from_secs(900),
            settled_until: Some(now),
            latest: Some(window),
            noise: false,
            restless: false,
            decided_at: now,
        },
        bgp: Some(domain::bgp::BgpState {
            advertised: Some(state.advertised),
            advertised_modified_at: state.advertised_modified_at,
            on_demand_enabled: true,
            locked: false,
            bgp_signalled: false,
            prepend: Some(0),
            auto_advertise_withdraw: false,
        }),
        managed: true,
        mode: Mode::Act,
    };
    db.write("test", move |tx| db::decisions::publish(tx, &answer, None))
        .await
        .unwrap();
}
