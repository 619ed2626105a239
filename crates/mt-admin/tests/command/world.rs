//! A site, and what services would have left in its database.

use std::process::Command;
use std::time::Duration;

use db::heartbeats::Heartbeat;
use db::{Db, OpenOptions};
use domain::ids::NotificationId;
use domain::notice::{Facts, Notice, Priority};
use domain::prefix::Prefix;
use domain::time::minus;
use jiff::Timestamp;
use testkit::site::PREFIX;
use testkit::{Pace, Site};

use crate::support::{self, Run};

pub(crate) fn prefix() -> Prefix {
    PREFIX.parse().unwrap()
}

pub(crate) async fn site() -> Site {
    Site::new(Pace::fast()).await
}

pub(crate) fn command(site: &Site, arguments: &[&str]) -> Command {
    support::program(env!("CARGO_BIN_EXE_cloudflare-mt"), &site.config_dir(), arguments)
}

pub(crate) fn run(site: &Site, arguments: &[&str]) -> Run {
    support::run(command(site, arguments))
}

pub(crate) fn database(site: &Site) -> Db {
    Db::open(site.database(), OpenOptions::default()).unwrap()
}

pub(crate) async fn beats(db: &Db, service: &str, age_s: u64, state: &str) {
    let beat_at = minus(Timestamp::now(), Duration::from_secs(age_s));
    let beat = Heartbeat {
        service: service.into(),
        pid: 4711,
        host: "mt1.example".into(),
        version: "0.1.0".into(),
        started_at: beat_at,
        beat_at,
        state: state.into(),
        status: "all is as it should".into(),
    };
    db.write("test", move |tx| db::heartbeats::beat(tx, &beat))
        .await
        .unwrap();
}

pub(crate) const UNITS: [&str; 4] = [
    "cloudflare-webhook",
    "cloudflare-analytics-monitor",
    "cloudflare-autowithdraw",
    "cloudflare-dashboard",
];

pub(crate) async fn notice(db: &Db, title: &str) -> NotificationId {
    let facts = Facts::Raised {
        title: title.into(),
        text: "a text".into(),
        priority: Priority::High,
    };
    let now = Timestamp::now();
    db.write("test", move |tx| db::outbox::enqueue(tx, &Notice::about(facts), now))
        .await
        .unwrap()
}
