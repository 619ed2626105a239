//! Catching up with the real programs: the receiver is away while Cloudflare reports an attack, and afterwards the record
//! has all of it.

use std::collections::BTreeMap;
use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, HistoryBody, Target};
use db::Cell;
use domain::notice::Facts;
use jiff::Timestamp;
use testkit::record::Record;
use testkit::site::PREFIX;
use testkit::{Pace, Program, Site, stories, wait};

use crate::slice::{end, told_as_recorded, told_as_recorded_but};

const SOON: Duration = Duration::from_secs(60);

/// What [`stories::attack`] makes Cloudflare report: volumetric START, advertisement, L3/4 START, and two END.
const REPORTED: usize = 5;

async fn site() -> Site {
    let site = Site::with(Pace::fast(), |config| {
        config.history_body = HistoryBody::Alternating;
        config.history_has_mail = true;
    })
    .await;
    site.sim.run_scenario_toml(&stories::attack()).unwrap();
    site
}

/// How many deliveries carry each mark.
async fn marks(site: &Site) -> BTreeMap<String, i64> {
    let sql = "SELECT action_taken, count(*) FROM webhook_events GROUP BY action_taken";
    let rows = site.db().query_readonly(sql, 10, SOON).await.unwrap();
    let mark = |row: &Vec<Cell>| match (&row[0], &row[1]) {
        (Cell::Text(mark), Cell::Integer(count)) => (mark.clone(), *count),
        other => panic!("{other:?}"),
    };
    rows.rows.iter().map(mark).collect()
}

async fn reported(site: &Site, count: usize) {
    wait::until("Cloudflare has reported", SOON, || {
        (site.sim.deliveries().len() >= count).then_some(())
    })
    .await;
}

/// Waits until the last report has had its time to come in as a delivery.
async fn settled(site: &Site) {
    let last = site.sim.deliveries().last().expect("a report").at;
    let settled = last + site.pace.settle + Duration::from_secs(1);
    wait::until("the last report is old enough", SOON, || {
        (Timestamp::now() > settled).then_some(())
    })
    .await;
}

/// Times, prefixes and events of the one incident are whole.
fn is_complete(record: &Record) {
    assert_eq!(record.incidents.len(), 1, "{}", record.shown());
    let incident = &record.incidents[0];
    let ended = incident.ended_at.expect("its END is known");
    let lasted = ended.duration_since(incident.began_at).as_secs_f64();
    assert!(
        (4.0..60.0).contains(&lasted),
        "its own times, not those of the recovery: {incident:?}"
    );
    assert_eq!(
        incident.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [PREFIX]
    );
    assert!(incident.peak_pps.is_some_and(|pps| pps > 0.0), "{incident:?}");
    for (event_type, count) in [("START", 2), ("END", 2), ("ADVERTISE", 1)] {
        assert_eq!(
            record.events_of(event_type).count(),
            count,
            "{event_type}\n{}",
            record.shown()
        );
    }
    let ids: Vec<Option<i64>> = record
        .events
        .iter()
        .filter(|event| {
            event
                .alert_type
                .as_deref()
                .is_some_and(|kind| kind.starts_with("fbm_") || kind.contains("ddos"))
        })
        .map(|event| event.incident_id)
        .collect();
    assert!(ids.iter().all(|id| *id == Some(incident.id.0)), "{ids:?}");
}

/// Incidents and numbers of what people were told to be recovered.
fn summaries(record: &Record) -> Vec<Vec<(i64, u64)>> {
    let summaries = record
        .messages_of("caught_up")
        .filter_map(|message| match &message.facts {
            Some(Facts::CaughtUp { incidents, .. }) => Some(incidents.as_slice()),
            _ => None,
        });
    summaries
        .map(|all| all.iter().map(|told| (told.incident.0, told.alerts)).collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_was_down_for_a_whole_attack_misses_nothing_of_it() {
    let site = site().await;
    reported(&site, REPORTED).await;
    assert!(
        site.sim.deliveries().iter().all(|delivery| !delivery.delivered()),
        "nobody was there"
    );
    settled(&site).await;

    let mut services = site.start_all().await;
    let record = site
        .until("what was missed is in the record and told", SOON, |record| {
            record.events_of("END").count() == 2 && !summaries(record).is_empty()
        })
        .await;
    is_complete(&record);
    assert_eq!(
        marks(&site).await,
        BTreeMap::from([("recovered".to_owned(), REPORTED as i64)])
    );
    let told = summaries(&record);
    assert_eq!(told.len(), 1, "one summary: {told:#?}");
    assert_eq!(told[0], [(1, REPORTED as u64)]);
    assert_eq!(
        record.messages_of("alert").count(),
        0,
        "no old alert reads like a new one\n{}",
        record.shown()
    );

    // The ended attack vetoes nothing: the prefix is withdrawn as always.
    let limit = site.pace.withdrawn_within();
    site.until("it is withdrawn", limit, |record| record.history.len() == 1)
        .await;

    // Whatever starts anew finds nothing more to recover.
    for service in &mut services {
        if service.program == Program::Monitor {
            service.kill();
        }
    }
    services.retain(|service| service.program != Program::Monitor);
    services.push(site.start(Program::Monitor).await);
    let alert = site.sim.alert("tunnel_down", None, None).unwrap();
    assert!(site.sim.send_webhook(&alert).await.delivered(), "the receiver is back");
    let monitor = services.last().expect("the monitor");
    let health = format!("http://{}/health", site.listen(Program::Monitor));
    wait::until("the new monitor has compared", SOON, || {
        monitor.manager().heard("READY=1").map(drop)
    })
    .await;
    let compared = async {
        loop {
            let text = reqwest::get(&health).await.unwrap().text().await.unwrap();
            if text.contains("0 recovered since the start") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(SOON, compared)
        .await
        .expect("its health says what it recovered");
    let record = site.until_told().await;
    assert_eq!(summaries(&record).len(), 1, "told once\n{}", record.shown());
    let told = record.messages_of("caught_up").next().and_then(|row| row.message_id);
    let messages = site.sim.messages();
    let shown = messages
        .iter()
        .find(|message| Some(message.message_id) == told)
        .unwrap();
    assert!(
        shown.text.contains("Incident 1: ") && shown.text.contains(PREFIX),
        "{}",
        shown.text
    );
    assert_eq!(marks(&site).await["received"], 1);
    told_as_recorded(&site);
    end(&site, &mut services).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_attack_that_was_half_received_each_alert_is_stored_once() {
    let site = site().await;
    let mut receiver = site.start(Program::Webhook).await;
    site.until("the first report comes in", SOON, |record| record.deliveries >= 1)
        .await;
    receiver.kill();
    let came = site.record().deliveries;
    reported(&site, REPORTED).await;
    let acknowledged = site
        .sim
        .deliveries()
        .iter()
        .filter(|delivery| delivery.delivered())
        .count() as u64;
    assert!(
        acknowledged <= came && came < REPORTED as u64,
        "{acknowledged} acknowledged, {came} stored"
    );

    // The history fails at first: that is visible, and nothing is skipped.
    let fault = site.sim.set_fault(
        FaultSpec::new(
            Target::Rest,
            FaultKind::Status {
                status: 500,
                body: None,
            },
        )
        .path("/alerting/v3/history"),
    );
    let monitor = site.start(Program::Monitor).await;
    wait::until("the log says that the history cannot be read", SOON, || {
        monitor.log().contains("event=alert_history.unread").then_some(())
    })
    .await;
    assert_eq!(site.record().deliveries, came);
    assert!(site.sim.clear_fault(&fault));

    // The receiver is the last to stop: the monitor's last words need somebody to send them.
    let mut services = vec![site.start(Program::Webhook).await, monitor];
    let record = site
        .until("the rest is recovered and told", SOON, |record| {
            record.deliveries == REPORTED as u64 && !summaries(record).is_empty()
        })
        .await;
    is_complete(&record);
    let expected = [("received", came as i64), ("recovered", REPORTED as i64 - came as i64)];
    assert_eq!(
        marks(&site).await,
        expected.map(|(mark, count)| (mark.to_owned(), count)).into()
    );
    assert_eq!(summaries(&record).len(), 1);
    assert_eq!(
        record.messages_of("alert").count() as u64,
        came,
        "the received ones were told as they came"
    );
    let told = site.until_told().await;
    assert_eq!(told.deliveries, REPORTED as u64);
    // The kill may have come between the answer of the chat and its record; that message is sent once more.
    told_as_recorded_but(&site, 1);
    end(&site, &mut services).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_alerts_are_known_by_the_history_alone_and_unknown_without_it() {
    let site = Site::new(Pace::fast()).await;
    site.sim.run_scenario_toml(&stories::calm()).unwrap();
    let fault = FaultSpec::new(Target::Rest, FaultKind::Reset).path("/alerting/v3/history");
    let fault = site.sim.set_fault(fault);
    // There is no receiver.
    let mut services = vec![
        site.start(Program::Monitor).await,
        site.start(Program::AutoWithdraw).await,
    ];
    site.until("nobody knows of alerts", SOON, |record| {
        record.verdict(PREFIX).as_deref() == Some("unknown:alerts_unknown")
    })
    .await;
    wait::never("an unknown is taken for calm", site.pace.withdrawn_within(), || {
        (!site.changes_asked().is_empty()).then(|| "a change was asked for".to_owned())
    })
    .await;
    assert!(site.sim.clear_fault(&fault));
    site.until("it is withdrawn", SOON, |record| record.history.len() == 1)
        .await;
    site.until_told().await;
    // The automation is the last to stop: the monitor's last words need somebody to send them.
    services.reverse();
    end(&site, &mut services).await;
}
