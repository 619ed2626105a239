//! What is over its time goes, people are told, and where there is nothing nobody is asked.

use cf_sim::{FaultKind, FaultSpec, Target};
use domain::notice::Facts;
use testkit::{Pace, Site};

use crate::support::Run;
use crate::{command, run, support};

fn expire(site: &Site) -> Run {
    // As the timer's job, which is no login.
    support::run(command(
        site,
        &["overrides", "expire", "--yes", "--reason", "its time was over"],
    ))
}

fn create(site: &Site, name: &str, expires: &str) {
    let expression = "ip.dst eq 203.0.113.80";
    let arguments = [
        "overrides",
        "create",
        name,
        "--expression",
        expression,
        "--action",
        "log",
        "--expires",
        expires,
        "--yes",
    ];
    let made = run(site, &arguments);
    assert_eq!(made.code, 0, "{}", made.shown());
}

fn names(site: &Site) -> Vec<String> {
    let list = run(site, &["overrides", "list", "--json"]).json();
    let all = list["overrides"].as_array().unwrap();
    all.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

/// Titles of what people were told.
fn told(site: &Site) -> Vec<String> {
    let notes = site.record().notifications;
    let title = |facts: &Option<Facts>| match facts {
        Some(Facts::Raised { title, .. }) => Some(title.clone()),
        _ => None,
    };
    notes.iter().filter_map(|it| title(&it.facts)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_over_its_time_nobody_is_asked() {
    let site = Site::new(Pace::fast()).await;
    let nothing = expire(&site);
    assert_eq!(nothing.code, 0, "{}", nothing.shown());
    assert!(!site.database().exists(), "it makes nothing");
    create(&site, "web", "2999-01-01T00:00:00Z");
    let before = site.sim.requests_since(0).len();
    let nothing = expire(&site);
    assert!(
        nothing.code == 0 && nothing.stderr.contains("no override is over its time"),
        "{}",
        nothing.shown()
    );
    assert_eq!(site.sim.requests_since(0).len(), before);
    assert_eq!(told(&site), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_its_time_is_deleted_recorded_and_told_and_can_come_back() {
    let site = Site::new(Pace::fast()).await;
    create(&site, "web", "2999-01-01T00:00:00Z");
    create(&site, "test", "2020-01-01T00:00:00Z");
    let done = expire(&site);
    assert!(
        done.code == 0 && done.stdout.contains("test: deleted"),
        "{}",
        done.shown()
    );
    assert!(!names(&site).contains(&"test".to_owned()) && names(&site).contains(&"web".to_owned()));
    assert_eq!(told(&site), ["Override test was deleted"]);
    let changes = run(&site, &["changes", "--limit", "1", "--json"]).json();
    assert_eq!(changes["changes"][0]["reason"], "its time was over");
    let before = site.sim.requests_since(0).len();
    assert_eq!(expire(&site).code, 0);
    assert_eq!(site.sim.requests_since(0).len(), before, "it is forgotten");
    assert_eq!(run(&site, &["undo", "--yes"]).code, 0);
    assert_eq!(expire(&site).code, 0);
    assert!(names(&site).contains(&"test".to_owned()), "who brings it back wants it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_deleted_for_long_is_told_once() {
    let site = Site::new(Pace::fast()).await;
    create(&site, "test", "2020-01-01T00:00:00Z");
    let fault = FaultKind::Status {
        status: 503,
        body: None,
    };
    site.sim.set_fault(FaultSpec::new(Target::Rest, fault));
    for _ in 0..2 {
        let failed = expire(&site);
        assert_eq!(failed.code, 1, "{}", failed.shown());
    }
    assert_eq!(told(&site), ["Override test stands although its time is over"]);
    site.sim.clear_faults();
    assert_eq!(expire(&site).code, 0);
    assert_eq!(told(&site).len(), 2, "its end is told, too");
    // Somebody deleted one by hand: nothing is left to do, now and later.
    create(&site, "other", "2020-01-01T00:00:00Z");
    assert_eq!(run(&site, &["overrides", "delete", "other", "--yes"]).code, 0);
    let gone = expire(&site);
    assert!(
        gone.code == 0 && gone.stderr.contains("not there any more"),
        "{}",
        gone.shown()
    );
    let before = site.sim.requests_since(0).len();
    assert_eq!(expire(&site).code, 0);
    assert_eq!(site.sim.requests_since(0).len(), before);
}
