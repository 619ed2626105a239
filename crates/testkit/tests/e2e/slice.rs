//! The whole slice with the real programs: attack, alert, message, automatic advertisement, calm, withdrawal, record.

use std::collections::BTreeSet;
use std::time::Duration;

use testkit::site::PREFIX;
use testkit::undone::left_undone;
use testkit::{Pace, Program, RealService, Site, stories, wait};

const SOON: Duration = Duration::from_secs(15);

/// An attack of [`stories::attack`] is over by then, with its END alerts.
const ATTACK: Duration = Duration::from_secs(12);

/// Stops services in order and checks that nothing is left undone. The last one stays until the others' last words have
/// been sent; its own would be sent by the next start.
pub(crate) async fn end(site: &Site, services: &mut [RealService]) {
    let (last, others) = services.split_first_mut().expect("some service");
    for service in others.iter() {
        service.signal("TERM");
    }
    for service in others {
        let status = service.end().await;
        assert_eq!(
            status.code(),
            Some(0),
            "{} ends in order:\n{}",
            service.program.name(),
            service.log()
        );
    }
    site.until_told().await;
    let status = last.stop().await;
    assert_eq!(
        status.code(),
        Some(0),
        "{} ends in order:\n{}",
        last.program.name(),
        last.log()
    );
    assert_eq!(left_undone(site), Vec::<String>::new(), "{}", site.record().shown());
}

/// Every message that the database calls sent is in the chat, and every one in the chat is in the database.
pub(crate) fn told_as_recorded(site: &Site) {
    told_as_recorded_but(site, 0);
}

/// [`told_as_recorded`] but for so many messages that a process may have sent and not recorded when it was killed.
pub(crate) fn told_as_recorded_but(site: &Site, in_doubt: usize) {
    let record = site.record();
    let sent = record
        .notifications
        .iter()
        .filter(|notification| notification.state == "sent");
    let recorded: BTreeSet<i64> = sent.filter_map(|notification| notification.message_id).collect();
    let shown: BTreeSet<i64> = site.sim.messages().iter().map(|message| message.message_id).collect();
    assert!(!shown.is_empty(), "messages were sent");
    let unknown: Vec<&i64> = shown.difference(&recorded).collect();
    let lost: Vec<&i64> = recorded.difference(&shown).collect();
    assert!(lost.is_empty(), "recorded as sent, but not in the chat: {lost:?}");
    assert!(unknown.len() <= in_doubt, "in the chat, but not recorded: {unknown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attack_from_alert_to_record() {
    let site = Site::new(Pace::fast()).await;
    // The receiver is there when the scenario's first alert comes; the prefixes are there when the daemon first lists them:
    // what appears later is found one parent a cycle, and until then its absence counts as blindness.
    let mut services = vec![site.start(Program::Webhook).await];
    site.sim.run_scenario_toml(&stories::attack()).unwrap();
    for program in Program::ALL.into_iter().filter(|program| *program != Program::Webhook) {
        services.push(site.start(program).await);
    }

    site.until("the attack's START is recorded", SOON, |record| {
        record.events_of("START").count() > 0
    })
    .await;
    wait::until("the prefix is advertised by Cloudflare", SOON, || {
        site.is_advertised().then_some(())
    })
    .await;
    site.until("its advertisement is recorded", SOON, |record| {
        record.events_of("ADVERTISE").count() == 1
    })
    .await;
    site.until("the automation sees the attack", SOON, |record| {
        record.verdict(PREFIX).as_deref() == Some("attack")
    })
    .await;
    assert_eq!(site.changes_asked().len(), 0, "nobody touches a prefix under attack");
    site.until("both attack alerts have ended", SOON, |record| {
        record.events_of("END").count() == 2
    })
    .await;

    let limit = ATTACK + site.pace.withdrawn_within();
    let record = site
        .until("it is withdrawn", limit, |record| record.history.len() == 1)
        .await;
    assert!(!site.is_advertised());
    assert_eq!(site.changes_asked().len(), 1, "one call");
    assert_eq!(site.changes_made(), 2, "advertised once, withdrawn once");
    let row = &record.history[0];
    assert_eq!(row.prefix, PREFIX);
    let (ended, withdrawn) = (row.attack_ended_at.unwrap(), row.withdrawn_at.unwrap());
    let calm = withdrawn.duration_since(ended).unsigned_abs();
    assert!(calm >= site.pace.calm_period, "only {calm:?} after the attack's end");
    let withdrawal = record.events_of("WITHDRAW").next().expect("an event");
    assert_eq!(withdrawal.prefix.as_deref(), Some(PREFIX));
    let incident = record.incidents.iter().find(|incident| incident.withdrawn_at.is_some());
    let incident = incident.expect("the incident knows of its withdrawal");
    assert_eq!(
        record.incidents.len(),
        1,
        "one attack, one incident: {:?}",
        record.incidents
    );
    assert!(
        incident.ended_at.is_some() && incident.peak_pps.is_some(),
        "{incident:?}"
    );

    let record = site.until_told().await;
    for (kind, least) in [("alert", 5), ("withdrawn", 1), ("service_started", 3)] {
        let count = record.messages_of(kind).count();
        assert!(count >= least, "{count} messages of kind {kind}\n{}", record.shown());
    }
    for kind in [
        "foreign_change",
        "automation_blind",
        "overdue",
        "act_unresolved",
        "withdraw_refused",
    ] {
        assert_eq!(record.messages_of(kind).count(), 0, "{kind}\n{}", record.shown());
    }
    told_as_recorded(&site);
    end(&site, &mut services).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let mut site = Site::new(Pace::fast()).await;
    site.set("/autowithdraw/mode", "dry_run".into());
    site.sim.run_scenario_toml(&stories::calm()).unwrap();
    let mut services = vec![
        site.start(Program::Webhook).await,
        site.start(Program::AutoWithdraw).await,
    ];
    let limit = site.pace.withdrawn_within();
    site.until("it says what it would do", limit, |record| {
        record.messages_of("would_withdraw").count() == 1
    })
    .await;
    wait::never("a dry run acts", Duration::from_secs(5), || {
        (!site.changes_asked().is_empty()).then(|| "a change was asked for".to_owned())
    })
    .await;
    assert!(site.is_advertised());
    site.until_told().await;
    end(&site, &mut services).await;
}
