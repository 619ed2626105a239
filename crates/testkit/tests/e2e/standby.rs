//! Two daemons on one database: one acts, the other stands by and says so, and takes over from a dead or a stopped one.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use db::{Db, OpenOptions};
use serde_json::{Value, json};
use testkit::site::PREFIX;
use testkit::{Pace, Program, RealService, Site, stories, wait};

use crate::slice::end;

/// The lease must stand still for 20 s; a busy machine adds to that.
const TAKEN_OVER: Duration = Duration::from_secs(60);

const SOON: Duration = Duration::from_secs(30);

/// A second daemon on the same database: only its address differs.
async fn second_daemon(site: &Site) -> RealService {
    let folder: PathBuf = site.path().join("config-2");
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(site.config_dir()).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
    }
    let path = folder.join("settings.json");
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let mut listen = site.listen(Program::AutoWithdraw);
    listen.set_port(listen.port() + 5);
    settings["autowithdraw"]["listen"] = json!(listen);
    fs::write(&path, settings.to_string()).unwrap();
    let mut second = RealService::start(Program::AutoWithdraw, &folder, site.path(), 99);
    second.ready().await;
    second
}

fn owner(site: &Site) -> String {
    site.record().actor.map(|lease| lease.owner).unwrap_or_default()
}

async fn stands_by(service: &RealService) {
    wait::until("it says that it stands by", SOON, || {
        service.manager().heard("standing by").map(drop)
    })
    .await;
}

async fn is_the_actor(site: &Site, service: &RealService) {
    let id = service.id().to_string();
    site.until("the other one is the actor", TAKEN_OVER, |record| {
        record.actor.as_ref().is_some_and(|lease| lease.owner.contains(&id))
    })
    .await;
}

/// Stops a daemon between its writes. One that is stopped inside a write keeps SQLite's lock from everybody until its
/// manager's watchdog ends it; here there is no such manager.
async fn stop_between_writes(site: &Site, service: &RealService) {
    let options = OpenOptions {
        write_limit: Duration::from_millis(500),
        ..OpenOptions::default()
    };
    let db = Db::open(site.database(), options).unwrap();
    for _ in 0..100 {
        service.signal("STOP");
        if db.write("probe", |_| Ok(())).await.is_ok() {
            return;
        }
        service.signal("CONT");
        // Let it end its write, so that the next try meets another moment.
        db.write("probe", |_| Ok(())).await.ok();
    }
    panic!("it is never between two writes");
}

/// So long that nothing is due before the first one is gone.
fn long_calm() -> Pace {
    Pace {
        calm_period: Duration::from_secs(15),
        ..Pace::fast()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_by_takes_over_from_a_killed_daemon_and_acts_once() {
    let site = Site::new(long_calm()).await;
    let webhook = site.start(Program::Webhook).await;
    let mut first = site.start(Program::AutoWithdraw).await;
    site.until("the first one is the actor", SOON, |record| record.actor.is_some())
        .await;
    let second = second_daemon(&site).await;
    stands_by(&second).await;
    assert!(owner(&site).contains(&first.id().to_string()), "the first one goes on");
    site.sim.run_scenario_toml(&stories::calm()).unwrap();
    assert!(site.sim.set_advertised(PREFIX, false) && site.sim.set_advertised(PREFIX, true));
    site.until("the calm clock runs", SOON, |record| {
        record.verdict(PREFIX).as_deref() == Some("calm")
    })
    .await;
    let began = site.sim.prefix(PREFIX).unwrap().advertised_modified_at.unwrap();
    first.kill();
    is_the_actor(&site, &second).await;
    let record = site
        .until("it is withdrawn and recorded", TAKEN_OVER, |record| {
            record.history.len() == 1
        })
        .await;
    assert_eq!(site.changes_asked().len(), 1, "asked once");
    assert_eq!(record.intents.len(), 1, "{}", record.shown());
    let row = &record.history[0];
    let withdrawn = site.sim.prefix(PREFIX).unwrap().advertised_modified_at.unwrap();
    let micros = |at: jiff::Timestamp| at.as_microsecond();
    assert_eq!(
        row.advertised_at.map(micros),
        Some(micros(began)),
        "since it is advertised, not since the take-over"
    );
    assert_eq!(row.withdrawn_at.map(micros), Some(micros(withdrawn)));
    end(&site, &mut [webhook, second]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_was_stopped_for_long_finds_its_successor_and_only_watches() {
    let site = Site::new(long_calm()).await;
    let webhook = site.start(Program::Webhook).await;
    let first = site.start(Program::AutoWithdraw).await;
    site.until("the first one is the actor", SOON, |record| record.actor.is_some())
        .await;
    let second = second_daemon(&site).await;
    stands_by(&second).await;
    site.sim.run_scenario_toml(&stories::calm()).unwrap();
    stop_between_writes(&site, &first).await;
    is_the_actor(&site, &second).await;
    site.until("it is withdrawn and recorded", TAKEN_OVER, |record| {
        record.history.len() == 1
    })
    .await;
    // Needed again: what the first one had proven is of an earlier advertisement.
    assert!(site.sim.set_advertised(PREFIX, true));
    first.signal("CONT");
    stands_by(&first).await;
    assert!(owner(&site).contains(&second.id().to_string()));
    wait::never("the one that came back acts", Duration::from_secs(4), || {
        first.log().contains("intent.sending").then(|| first.log())
    })
    .await;
    assert_eq!(site.changes_asked().len(), 1);
    end(&site, &mut [webhook, first, second]).await;
}
