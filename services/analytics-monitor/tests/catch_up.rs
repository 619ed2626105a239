//! Catching up: what Cloudflare dispatched and the receiver did not get is in the record once, with
//! its own times, and told once; a failed answer moves nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use analytics_monitor::catch_up::{CatchUp, Caught, cursor};
use analytics_monitor::rules;
use assembly::intake::recovery::Dispatched;
use assembly::intake::{Arrival, Intake, Kept, Way};
use cf_api::rest::history::HistoryRequest;
use cf_sim::{FaultKind, FaultSpec, Permissions, SimConfig, Target};
use db::Cell;
use db::incidents::Incident;
use domain::alert::OpenAlert;
use domain::notice::Priority;
use domain::prefix::PrefixMap;
use jiff::Timestamp;
use serde_json::{Value, json};

const SETTLE: Duration = MINUTE;

/// Forms in which the history gives a body.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Text,
    Object,
    Example,
}

impl Site {
    fn catch_up(&self) -> CatchUp {
        let own = self.policy.own.clone();
        CatchUp::new(self.db.clone(), self.client(), self.clock.clone(), SETTLE, own)
    }

    async fn caught(&self) -> Caught {
        self.catch_up().turn().await.unwrap()
    }

    /// A body of a template, dated so many seconds ago.
    fn body(&self, template: &str, seconds_ago: u64, data: Value, envelope: Value) -> Value {
        let mut envelope = envelope;
        envelope["ts"] = self.ago(seconds_ago).as_second().into();
        self.sim.alert(template, Some(&data), Some(&envelope)).unwrap()
    }

    /// A notification about the attack `id`.
    fn attack(&self, template: &str, seconds_ago: u64, id: &str) -> Value {
        let data = json!({"attack_id": id, "start_time": null});
        self.body(template, seconds_ago, data, json!({"alert_correlation_id": id}))
    }

    /// What the history says about a body that was dispatched a second after it was made.
    fn dispatched(&self, form: Form, body: &Value) {
        self.dispatched_to("Receiver", "webhook", form, body);
    }

    fn dispatched_to(&self, mechanism: &str, mechanism_type: &str, form: Form, body: &Value) {
        let sent = Timestamp::from_second(body["ts"].as_i64().unwrap() + 1).unwrap();
        let alert_body = match form {
            Form::Text => json!(body.to_string()),
            Form::Object => body.clone(),
            Form::Example => json!({"data": body["data"], "metadata": {}}),
        };
        self.sim.add_history(&json!({
            "sent": sent.to_string(), "alert_type": body["alert_type"], "alert_body": alert_body,
            "mechanism": mechanism, "mechanism_type": mechanism_type,
        }));
    }

    /// The receiver gets it now.
    async fn received(&self, body: &Value) -> Kept {
        let arrival = Arrival {
            body: body.to_string().into_bytes(),
            oversized: None,
            received_at: self.now(),
            source: "192.0.2.1".into(),
            headers: "{}".into(),
        };
        let networks: PrefixMap<()> = self.policy.own.iter().map(|prefix| (*prefix, ())).collect();
        let now = self.now();
        self.write(move |tx| Intake::read(arrival, Way::Received).keep(tx, &networks, now))
            .await
    }

    /// Stored deliveries by their mark.
    async fn marked(&self, mark: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM webhook_events WHERE action_taken = '{mark}'");
        let rows = self.db.query_readonly(&sql, 1, MINUTE).await.unwrap();
        match rows.rows[0][0] {
            Cell::Integer(count) => count,
            ref other => panic!("{other:?}"),
        }
    }

    /// Deliveries counted again.
    async fn duplicates(&self) -> i64 {
        let sql = "SELECT sum(duplicates) FROM webhook_events";
        let rows = self.db.query_readonly(sql, 1, MINUTE).await.unwrap();
        match rows.rows[0][0] {
            Cell::Integer(count) => count,
            ref other => panic!("{other:?}"),
        }
    }

    async fn incidents(&self) -> Vec<Incident> {
        self.read(|tx| db::incidents::newest(tx, None, 100)).await
    }

    async fn open_alerts(&self) -> Vec<OpenAlert> {
        let since = self.ago(86_400 * 2);
        self.read(move |tx| db::ledger::open(tx, since)).await
    }

    async fn cursor(&self) -> Option<Timestamp> {
        self.read(cursor).await
    }

    /// The summaries as they would be sent now, oldest first: title, text and priority.
    async fn summaries(&self) -> Vec<(String, String, Priority)> {
        let now = self.now();
        let rows = self.read(|tx| db::outbox::newest(tx, None, 1_000)).await;
        let mut told = Vec::new();
        for row in rows.into_iter().rev().filter(|row| row.kind == "caught_up") {
            let given = row.clone();
            let context = self
                .read(move |tx| Ok(notify::context::gather(tx, &[given], "", now)))
                .await;
            let renderer = notify::Renderer::new(&notify::Frame::default());
            let text = renderer.message(std::slice::from_ref(&row), &context, now).plain();
            let title = text.lines().next().unwrap_or_default().to_owned();
            let title = title.rsplit(" · ").next().unwrap_or_default().to_owned();
            told.push((title, text, row.priority));
        }
        told
    }
}

/// What Cloudflare tells of a whole attack.
fn whole_attack(site: &Site, id: &str, began_ago: u64) -> Vec<Value> {
    vec![
        site.attack("volumetric_start", began_ago, id),
        site.attack("auto_advertised", began_ago - 20, id),
        site.attack("l4_start", began_ago - 60, id),
        site.attack("l4_end", began_ago - 600, id),
        site.attack("volumetric_end", began_ago - 601, id),
    ]
}

#[tokio::test]
async fn an_attack_that_nobody_received_is_complete_after_one_turn() {
    for form in [Form::Text, Form::Object] {
        let site = Site::new().await;
        rules::renew(&site.client(), &site.db, site.now()).await.unwrap();
        let bodies = whole_attack(&site, "a1", 3_000);
        // The history is newest first; here it is in disorder as well.
        for index in [3, 0, 4, 2, 1] {
            site.dispatched(form, &bodies[index]);
        }
        let caught = site.caught().await;
        assert_eq!((caught.recovered, caught.delivered), (5, 0), "{form:?}");
        assert_eq!(site.marked("recovered").await, 5);
        let incidents = site.incidents().await;
        assert_eq!(incidents.len(), 1, "{incidents:?}");
        let incident = &incidents[0];
        assert_eq!(incident.began_at.as_second(), site.ago(3_000).as_second());
        assert_eq!(incident.ended_at.unwrap().as_second(), site.ago(2_399).as_second());
        assert_eq!(incident.prefixes, site.policy.own);
        assert!(incident.peak_pps.is_some());
        assert_eq!(site.open_alerts().await, [], "it is over");
        let id = incident.id;
        let timeline = site.read(move |tx| db::incidents::timeline(tx, id, 100)).await;
        assert_eq!(timeline.len(), 5);
        assert!(
            timeline.iter().all(|line| line.source.contains("recovered")),
            "{timeline:?}"
        );
        let summaries = site.summaries().await;
        assert_eq!(site.kinds().await, ["caught_up"], "one message, and none per alert");
        let (title, text, priority) = &summaries[0];
        assert_eq!(title, "5 missed alerts recovered");
        assert!(text.contains("ended ") && !text.contains("STILL OPEN"), "{text}");
        assert_eq!(*priority, Priority::Medium, "it is over and must not read like new");
        assert_eq!(site.cursor().await, caught.up_to);
        // Once more, by a new process: nothing new, nothing told.
        let again = site.caught().await;
        assert_eq!((again.recovered, again.delivered), (0, 0));
        assert_eq!(site.kinds().await, ["caught_up"]);
    }
}

#[tokio::test]
async fn what_was_delivered_is_not_recovered_in_whatever_form_the_history_tells_it() {
    for form in [Form::Text, Form::Object, Form::Example] {
        let site = Site::new().await;
        rules::renew(&site.client(), &site.db, site.now()).await.unwrap();
        let mut bodies = whole_attack(&site, "a1", 3_000);
        let tunnel = json!({"tunnel_id": "t1", "event_ts": null});
        bodies.push(site.body("tunnel_down", 1_000, tunnel.clone(), json!({})));
        bodies.push(site.body("tunnel_up", 900, tunnel, json!({})));
        site.clock.step_wall(jiff::SignedDuration::from_secs(-2_900));
        for (index, body) in bodies.iter().enumerate() {
            let at = Timestamp::from_second(body["ts"].as_i64().unwrap() + 2).unwrap();
            site.clock.step_wall(at.duration_since(site.now()));
            site.dispatched(form, body);
            // Some come in, some do not.
            if index % 2 == 0 {
                assert!(!site.received(body).await.duplicate);
            }
        }
        site.clock.advance(900 * Duration::from_secs(1));
        let caught = site.caught().await;
        assert_eq!((caught.delivered, caught.recovered), (4, 3), "{form:?}");
        assert_eq!(
            (site.marked("received").await, site.marked("recovered").await),
            (4, 3),
            "{form:?}"
        );
        assert_eq!(site.incidents().await.len(), 1, "{form:?}");
        assert_eq!(site.summaries().await.len(), 1);
    }
}

#[tokio::test]
async fn mails_are_not_for_us_and_several_destinations_are_one_alert() {
    for form in [Form::Text, Form::Object, Form::Example] {
        let site = Site::new().await;
        let start = site.attack("l4_start", 600, "a1");
        for (mechanism, kind) in [("noc@example.net", "email"), ("duty", "pagerduty")] {
            site.dispatched_to(mechanism, kind, form, &start);
        }
        assert_eq!(site.caught().await.recovered, 0, "nobody posts those");
        site.dispatched_to("Receiver", "webhook", form, &start);
        site.dispatched_to("Chat room", "webhook", form, &start);
        let caught = site.caught().await;
        assert_eq!((caught.recovered, caught.delivered), (1, 1), "{form:?}");
        assert_eq!(site.marked("recovered").await, 1);
        // An entry that does not say how it was sent may have been for us.
        let other = site.attack("l4_start", 500, "a2");
        let sent = site.ago(499).to_string();
        site.sim.add_history(&json!({
            "sent": sent, "alert_type": other["alert_type"], "alert_body": other.to_string(), "mechanism_type": null,
        }));
        assert_eq!(site.caught().await.recovered, 1);
    }
}

#[tokio::test]
async fn a_delivery_on_its_way_has_its_time_and_a_late_one_is_no_news() {
    for form in [Form::Text, Form::Object, Form::Example] {
        let site = Site::new().await;
        let start = site.attack("l4_start", 30, "a1");
        site.dispatched(form, &start);
        assert_eq!(site.caught().await.recovered, 0, "it may still come");
        site.clock.advance(SETTLE);
        assert_eq!(site.caught().await.recovered, 1);
        // And it comes, although nobody thought so any more.
        let kept = site.received(&start).await;
        assert!(kept.duplicate, "{form:?}");
        assert_eq!((site.marked("received").await, site.duplicates().await), (0, 1));
        assert_eq!(site.kinds().await, ["caught_up"], "people know");
        // The next alert of this attack is news, and so is the same one of another attack.
        assert!(!site.received(&site.attack("l4_end", 0, "a1")).await.duplicate);
        assert!(!site.received(&site.attack("l4_start", 0, "a2")).await.duplicate);
    }
}

#[tokio::test]
async fn no_failed_answer_moves_the_cursor_or_loses_an_alert() {
    let site = Site::new().await;
    site.dispatched(Form::Text, &site.attack("l4_start", 600, "a1"));
    let table = [
        (
            FaultKind::Status {
                status: 503,
                body: None,
            },
            "transient",
        ),
        (FaultKind::RateLimited { retry_after: Some(1) }, "rate_limited"),
        (FaultKind::Garbage, "malformed"),
        (FaultKind::Html { status: 200 }, "malformed"),
        (FaultKind::TruncatedBody, ""),
        (FaultKind::Reset, ""),
        (FaultKind::Hang, ""),
        (
            FaultKind::Status {
                status: 200,
                body: Some(json!({"success": true, "errors": [], "messages": [], "result": null})),
            },
            "malformed",
        ),
    ];
    for (kind, code) in table {
        site.sim
            .set_fault(FaultSpec::new(Target::Rest, kind.clone()).path("/alerting/v3/history"));
        let error = site.catch_up().turn().await.expect_err("a failed turn");
        assert!(code.is_empty() || error.code() == code, "{kind:?}: {error:?}");
        assert_eq!(site.cursor().await, None, "{kind:?}");
        assert_eq!(site.marked("recovered").await, 0);
        site.sim.clear_faults();
    }
    let first = site.caught().await;
    assert_eq!(first.recovered, 1);
    site.clock.advance(10 * MINUTE);
    site.sim.set_fault(FaultSpec::new(
        Target::Rest,
        FaultKind::Status {
            status: 500,
            body: None,
        },
    ));
    site.catch_up().turn().await.expect_err("a failed turn");
    assert_eq!(
        site.cursor().await,
        first.up_to,
        "rule 6 must see that nothing is known since"
    );

    let forbidden = Site::with(
        SimConfig {
            permissions: Permissions {
                notifications: false,
                ..Permissions::default()
            },
            ..SimConfig::default()
        },
        MINUTE,
    )
    .await;
    let error = forbidden.catch_up().turn().await.expect_err("a token that may not");
    assert_eq!(error.code(), "permission");
    assert_eq!(forbidden.cursor().await, None);
}

#[tokio::test]
async fn a_failure_on_a_later_page_moves_nothing_and_many_pages_are_one_summary() {
    let site = Site::new().await;
    for number in 0..1_100 {
        let data = json!({"attack_id": format!("{number:032x}")});
        let envelope = json!({"alert_correlation_id": format!("{number:032x}")});
        let form = if number % 2 == 0 { Form::Text } else { Form::Object };
        site.dispatched(form, &site.body("l4_start", 3_600 - number, data, envelope));
    }
    site.sim.set_fault(FaultSpec {
        skip: 2,
        ..FaultSpec::new(Target::Rest, FaultKind::Garbage).path("/alerting/v3/history")
    });
    site.catch_up().turn().await.expect_err("the third page fails");
    assert_eq!((site.cursor().await, site.marked("recovered").await), (None, 0));
    site.sim.clear_faults();
    let caught = site.caught().await;
    assert_eq!(
        (caught.recovered, caught.is_behind, caught.truncated),
        (1_100, false, false)
    );
    assert_eq!(site.marked("recovered").await, 1_100);
    let summaries = site.summaries().await;
    assert_eq!(summaries.len(), 1);
    assert_eq!(summaries[0].0, "1100 missed alerts recovered");
    assert!(summaries[0].1.len() < 4_000, "{} characters", summaries[0].1.len());
}

#[tokio::test]
async fn the_first_turn_takes_one_day_and_later_ones_everything_since() {
    let site = Site::new().await;
    site.dispatched(Form::Text, &site.attack("l4_start", 2 * 86_400, "old"));
    site.dispatched(Form::Text, &site.attack("l4_start", 80_000, "recent"));
    assert_eq!(
        site.caught().await.recovered,
        1,
        "what is older is another system's past"
    );
    // Three days without the monitor.
    site.clock.advance(Duration::from_secs(3 * 86_400));
    site.dispatched(Form::Text, &site.attack("l4_start", 2 * 86_400, "meanwhile"));
    let caught = site.caught().await;
    assert_eq!((caught.recovered, caught.lost_since), (1, None));
    // Longer than Cloudflare may remember.
    let before = site.cursor().await;
    site.clock.advance(Duration::from_secs(40 * 86_400));
    assert_eq!(site.caught().await.lost_since, before);
    assert_eq!(site.summaries().await.last().unwrap().0, "Alerts may be missing");
    assert_eq!(site.caught().await.lost_since, None, "told once");
    // A clock that ran ahead and was set back.
    site.clock.step_wall(jiff::SignedDuration::from_secs(-3_600));
    let caught = site.caught().await;
    assert!(caught.cursor_ahead);
    assert_eq!(site.cursor().await, caught.up_to);
}

#[tokio::test]
async fn an_attack_that_begins_again_is_news_and_so_is_each_turn_of_a_tunnel() {
    let site = Site::new().await;
    // Cloudflare may alert again for the same attack after an hour, with the same ids.
    let first = site.attack("l4_start", 7_100, "a1");
    site.clock.step_wall(jiff::SignedDuration::from_secs(-7_099));
    site.received(&first).await;
    site.clock.step_wall(jiff::SignedDuration::from_secs(7_099));
    site.dispatched(Form::Object, &first);
    site.dispatched(Form::Object, &site.attack("l4_start", 900, "a1"));
    let caught = site.caught().await;
    assert_eq!((caught.delivered, caught.recovered), (1, 1));
    assert_eq!(site.open_alerts().await[0].since.as_second(), site.ago(900).as_second());

    // Down, up, down within seconds; only the second "down" came in, and no id ties anything.
    let site = Site::new().await;
    let turn = |template: &str, ago: u64| site.body(template, ago, json!({"event_ts": null}), json!({}));
    let turns = [
        turn("tunnel_down", 700),
        turn("tunnel_up", 690),
        turn("tunnel_down", 680),
    ];
    site.clock.step_wall(jiff::SignedDuration::from_secs(-679));
    site.received(&turns[2]).await;
    site.clock.step_wall(jiff::SignedDuration::from_secs(679));
    for body in &turns {
        site.dispatched(Form::Object, body);
    }
    let caught = site.caught().await;
    assert_eq!((caught.delivered, caught.recovered), (1, 2));
    assert_eq!((site.marked("received").await, site.marked("recovered").await), (1, 2));
}

#[tokio::test]
async fn what_was_recovered_before_a_crash_is_told_after_it() {
    let site = Site::new().await;
    let start = site.attack("l4_start", 600, "a1");
    site.dispatched(Form::Text, &start);
    let request = HistoryRequest {
        since: site.ago(3_600),
        before: site.now(),
        page: 1,
        per_page: 25,
    };
    let page = site.client().alert_history(request).await.unwrap();
    let now = site.now();
    let dispatched = Dispatched::read(&page.items[0], now);
    site.write(move |tx| dispatched.keep(tx, &PrefixMap::new(), now)).await;
    assert_eq!(site.kinds().await, Vec::<&str>::new());
    // The process died here.
    assert_eq!(site.caught().await.recovered, 0);
    let (title, text, priority) = site.summaries().await.remove(0);
    assert_eq!(title, "1 missed alert recovered");
    assert!(text.contains("STILL OPEN"), "{text}");
    assert!(text.contains("could not be tied"), "{text}");
    assert_eq!(priority, Priority::High, "it may still be going on");
}

#[tokio::test]
async fn self_tests_are_kept_and_not_told() {
    let site = Site::new().await;
    let mut body = site.attack("l4_start", 600, "a1");
    body["cloudflare_mt_test"] = json!(true);
    site.dispatched(Form::Text, &body);
    assert_eq!(site.caught().await.recovered, 1);
    assert_eq!(site.kinds().await, Vec::<&str>::new());
    assert_eq!(site.open_alerts().await, []);
}

#[tokio::test]
async fn odd_entries_are_kept_as_well() {
    let site = Site::new().await;
    for (kind, body) in [
        ("fbm_volumetric_attack", json!("Attack on something")),
        ("dos_attack_l4", Value::Null),
        ("dos_attack_l7", json!([1, 2])),
        ("brand_new_alert", json!({"anything": {"nested": true}})),
        ("dos_attack_l4", json!("{\"data\": [")),
    ] {
        let sent = site.ago(600).to_string();
        site.sim
            .add_history(&json!({"sent": sent, "alert_type": kind, "alert_body": body}));
    }
    assert_eq!(site.caught().await.recovered, 5);
    let open = site.open_alerts().await;
    assert!(
        !open.is_empty() && open.iter().all(|alert| alert.unresolved),
        "{open:?}"
    );
    assert_eq!(site.summaries().await.len(), 1);
}

#[tokio::test]
async fn an_alert_of_a_rule_vetoes_everything_until_the_rule_list_says_what_it_covers() {
    let site = Site::new().await;
    let start = site.body("volumetric_start", 60, json!({"rule_name": "hosting"}), json!({}));
    site.received(&start).await;
    let open = site.open_alerts().await;
    assert!(open[0].unresolved && open[0].prefixes.is_empty(), "{open:?}");
    let own = Arc::new(site.policy.own.clone());
    assert_eq!(rules::resolve(&site.db, &own, site.now()).await.unwrap(), []);
    assert!(site.open_alerts().await[0].unresolved, "nothing is known of that rule");

    let now = site.now();
    let rule = db::inventory::MonitoringRule {
        id: "r1".into(),
        name: "hosting".into(),
        prefixes: vec!["203.0.113.0/25".parse().unwrap()],
        body: "{}".into(),
    };
    site.write(move |tx| db::inventory::replace_rules(tx, &[rule], now))
        .await;
    let resolved = rules::resolve(&site.db, &own, site.now()).await.unwrap();
    assert_eq!(resolved[0].prefixes, site.policy.own);
    let open = site.open_alerts().await;
    assert_eq!((open.len(), open[0].unresolved), (1, false));
    assert_eq!(open[0].prefixes, site.policy.own);
    assert!(!open[0].concerns("198.51.100.0/24".parse().unwrap()));
    assert_eq!(site.incidents().await[0].prefixes, site.policy.own);
    assert_eq!(rules::resolve(&site.db, &own, site.now()).await.unwrap(), [], "once");
    // Its END, which is tied to the prefix at once, ends it although no id says so.
    site.clock.advance(MINUTE);
    let mut end = start.clone();
    end["alert_event"] = json!("ALERT_STATE_EVENT_END");
    end["ts"] = site.now().as_second().into();
    site.received(&end).await;
    assert_eq!(site.open_alerts().await, []);
}
