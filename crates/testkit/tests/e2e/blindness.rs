//! Unknown is never calm: whatever analytics answer for longer than the calm period, nothing is withdrawn and people
//! are told that automation is blind; once data is back and calm, it is withdrawn.
//!
//! The prefix has been advertised for long and is calm, so that only the fault stands in the way:
//! [`without_a_fault_it_is_withdrawn`] shows that.

use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, Target};
use testkit::site::PREFIX;
use testkit::{Pace, Program, RealService, Site, stories, wait};

use crate::slice::{end, told_as_recorded};

/// Longer than calm period, settle time and look-back together: by far enough for a withdrawal.
const BLIND_FOR: Duration = Duration::from_secs(20);

/// A query that hangs is given up after 30 s; before that there is nothing to tell.
const HANGING_FOR: Duration = Duration::from_secs(40);

async fn site() -> Site {
    let mut pace = Pace::fast();
    // Shorter than the blindness: the end of a veto must not turn unknown into calm.
    pace.veto = Duration::from_secs(6);
    let site = Site::new(pace).await;
    site.sim.run_scenario_toml(&stories::calm()).unwrap();
    site
}

async fn start(site: &Site) -> Vec<RealService> {
    vec![
        site.start(Program::Webhook).await,
        site.start(Program::AutoWithdraw).await,
    ]
}

/// Nothing is withdrawn for this long.
async fn nothing_happens(site: &Site, span: Duration) {
    wait::never("acted while blind", span, || {
        let asked = site.changes_asked().len();
        (asked > 0).then(|| format!("{asked} changes were asked for"))
    })
    .await;
    assert!(site.is_advertised());
    let record = site.record();
    assert_eq!(record.history.len(), 0);
    assert_eq!(record.intents.len(), 0, "{}", record.shown());
}

async fn withdrawn(site: &Site) {
    let limit = site.pace.withdrawn_within() + HANGING_FOR;
    site.until("it is withdrawn", limit, |record| record.history.len() == 1)
        .await;
    assert_eq!(site.changes_asked().len(), 1);
    assert!(!site.is_advertised());
}

/// The fault from before the start for longer than the calm period, then not any more.
async fn blind(fault: FaultSpec, span: Duration, prepare: impl AsyncFnOnce(&Site)) {
    let site = site().await;
    site.map_ids();
    site.sim.set_fault(fault);
    let mut services = start(&site).await;
    prepare(&site).await;
    nothing_happens(&site, span).await;
    let record = site.record();
    let verdict = record.verdict(PREFIX);
    assert!(
        verdict
            .as_deref()
            .is_some_and(|verdict| verdict.starts_with("unknown:")),
        "{}",
        record.shown()
    );
    assert_eq!(record.messages_of("automation_blind").count(), 1, "{}", record.shown());
    let told = site.until_told().await;
    let notice = told
        .messages_of("automation_blind")
        .next()
        .expect("a notice")
        .message_id;
    let messages = site.sim.messages();
    let message = messages
        .iter()
        .find(|message| Some(message.message_id) == notice)
        .expect("it is in the chat");
    assert!(message.text.contains(PREFIX), "{}", message.text);

    site.sim.clear_faults();
    withdrawn(&site).await;
    let record = site.until_told().await;
    assert_eq!(
        record.messages_of("automation_sighted").count(),
        1,
        "{}",
        record.shown()
    );
    told_as_recorded(&site);
    end(&site, &mut services).await;
}

/// Shows that nothing but the fault keeps the others from withdrawing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_fault_it_is_withdrawn() {
    let site = site().await;
    let mut services = start(&site).await;
    let withdrawn = wait::within(BLIND_FOR, || (site.record().history.len() == 1).then_some(())).await;
    assert!(
        withdrawn.is_some(),
        "not within {BLIND_FOR:?}\n{}",
        site.record().shown()
    );
    site.until_told().await;
    end(&site, &mut services).await;
}

macro_rules! blind_while {
    ($($name:ident: $span:expr, $kind:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            blind(FaultSpec::new(Target::Graphql, $kind), $span, async |_: &Site| {}).await;
        }
    )*};
}

blind_while! {
    analytics_answer_503: BLIND_FOR, FaultKind::Status { status: 503, body: None };
    analytics_refuse_with_429: BLIND_FOR, FaultKind::RateLimited { retry_after: Some(1) };
    analytics_report_errors_under_200: BLIND_FOR, FaultKind::GraphqlErrors { messages: vec!["unable to execute query".into()] };
    analytics_report_errors_beside_data: BLIND_FOR, FaultKind::GraphqlErrorsWithData { messages: vec!["partial".into()] };
    analytics_hang: HANGING_FOR, FaultKind::Hang;
    analytics_send_garbage: BLIND_FOR, FaultKind::Garbage;
    analytics_send_a_web_page: BLIND_FOR, FaultKind::Html { status: 200 };
    analytics_break_off: BLIND_FOR, FaultKind::TruncatedBody;
    analytics_reset_the_connection: BLIND_FOR, FaultKind::Reset;
    analytics_stand_still: BLIND_FOR, FaultKind::StaleRows { seconds: 12 };
    analytics_are_empty: BLIND_FOR, FaultKind::EmptyRows;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn analytics_are_empty_while_an_alert_is_open() {
    blind(
        FaultSpec::new(Target::Graphql, FaultKind::EmptyRows),
        BLIND_FOR,
        async |site: &Site| {
            let alert = site.sim.alert("l4_start", None, None).unwrap();
            assert!(site.sim.send_webhook(&alert).await.delivered());
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bgp_state_cannot_be_read() {
    let fault = FaultSpec::new(
        Target::Rest,
        FaultKind::Status {
            status: 500,
            body: None,
        },
    );
    blind(
        fault.method("GET").path("/bgp/prefixes"),
        BLIND_FOR,
        async |_: &Site| {},
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens_for_alerts() {
    let site = site().await;
    let mut services = vec![site.start(Program::AutoWithdraw).await];
    nothing_happens(&site, BLIND_FOR).await;
    let record = site.record();
    assert_eq!(
        record.verdict(PREFIX).as_deref(),
        Some("unknown:alerts_unknown"),
        "{}",
        record.shown()
    );
    services.push(site.start(Program::Webhook).await);
    withdrawn(&site).await;
    site.until_told().await;
    end(&site, &mut services).await;
}
