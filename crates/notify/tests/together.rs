//! Several drains on one database, crashes, storms, age, and a database that is busy.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::bench::{Bench, PATIENCE, medium, raised};
use cf_sim::{FaultKind, FaultSpec, Target};
use db::outbox::{self, Pace};
use db::{OpenOptions, heartbeats};
use domain::ids::IncidentId;
use domain::notice::{Facts, Notice, Priority};
use domain::time::{minus, since};
use jiff::Timestamp;

/// How often each number is in the chat.
fn counts(bench: &Bench, numbers: &[String]) -> BTreeMap<String, usize> {
    let texts = bench.texts();
    let has = |text: &str, number: &str| {
        text.match_indices(number)
            .any(|(at, _)| !text[at + number.len()..].starts_with(|c: char| c.is_ascii_digit()))
    };
    numbers
        .iter()
        .map(|number| (number.clone(), texts.iter().filter(|text| has(text, number)).count()))
        .collect()
}

#[tokio::test]
async fn four_processes_never_send_one_row_twice() {
    let mut bench = Bench::new().await;
    bench.limits.grouping.storm = u32::MAX;
    bench.limits.lease = Duration::from_secs(30);
    let drains: Vec<_> = ["a", "b", "c", "d"]
        .map(|owner| bench.run_on(bench.other_process(OpenOptions::default()), owner, Some(bench.sender())))
        .into();
    let mut entered = Vec::new();
    for number in 0..80 {
        entered.push(bench.enter(medium(&format!("message {number}"))).await);
    }
    for (id, _) in &entered {
        bench.wait_state(*id, "sent").await;
    }
    for drain in drains {
        drain.stop().await;
    }
    let numbers: Vec<String> = entered.iter().map(|(_, number)| number.clone()).collect();
    assert!(
        counts(&bench, &numbers).values().all(|count| *count == 1),
        "{:?}",
        counts(&bench, &numbers)
    );
    assert_eq!(bench.requests().len(), 80);
}

#[tokio::test]
async fn the_pace_is_kept_by_all_processes_together() {
    let mut bench = Bench::new().await;
    bench.limits.grouping.storm = u32::MAX;
    // Like production: the window is a little longer than what the server counts over.
    let (counted, gap) = (Duration::from_millis(2_000), Duration::from_millis(150));
    bench.limits.pace = Some(Pace {
        per_window: 6,
        reserve: 2,
        window: counted + Duration::from_millis(300),
        gap,
    });
    let drains: Vec<_> = ["a", "b"]
        .map(|owner| bench.run_on(bench.other_process(OpenOptions::default()), owner, Some(bench.sender())))
        .into();
    let mut entered = Vec::new();
    for number in 0..9 {
        entered.push(bench.enter(medium(&format!("message {number}"))).await.0);
    }
    bench.wait_messages(4).await;
    // The others have used up their share of the window; a critical one has its own.
    let (critical, _) = bench.enter(raised("urgent", Priority::Critical)).await;
    let entered_at = Timestamp::now();
    let row = bench.wait_state(critical, "sent").await;
    assert!(
        since(row.sent_at.unwrap(), entered_at) < Duration::from_millis(1_000),
        "it uses the reserve"
    );
    for id in entered {
        bench.wait_state(id, "sent").await;
    }
    for drain in drains {
        drain.stop().await;
    }
    let times: Vec<Timestamp> = bench.requests().iter().map(|request| request.at).collect();
    assert_eq!(times.len(), 10);
    for pair in times.windows(2) {
        assert!(
            since(pair[1], pair[0]) >= gap - Duration::from_millis(100),
            "{:?}",
            since(pair[1], pair[0])
        );
    }
    for (index, first) in times.iter().enumerate() {
        let within = times[index..]
            .iter()
            .filter(|time| since(**time, *first) < counted)
            .count();
        assert!(within <= 6, "{within} within {counted:?}");
    }
}

#[tokio::test]
async fn a_crash_during_the_request_leads_to_a_resend_after_the_lease() {
    let bench = Bench::new().await;
    bench.fault(FaultKind::Hang, 1);
    let (id, number) = bench.enter(medium("interrupted")).await;
    let first = bench.run("a");
    assert!(bench.sim.wait_until(PATIENCE, || !bench.requests().is_empty()).await);
    first.kill().await;
    assert!(bench.texts().is_empty());
    let second = bench.run("b");
    bench.wait_state(id, "sent").await;
    let requests = bench.requests();
    assert_eq!(requests.len(), 2);
    assert!(
        since(requests[1].at, requests[0].at) >= bench.limits.lease - Duration::from_millis(200),
        "not before the lease"
    );
    assert_eq!(counts(&bench, std::slice::from_ref(&number))[&number], 1);
    second.stop().await;
}

#[tokio::test]
async fn a_crash_between_sending_and_recording_leads_to_a_repeat_with_the_same_number() {
    let bench = Bench::new().await;
    bench
        .sim
        .set_fault(FaultSpec::new(Target::Telegram, FaultKind::Hang).after_apply().times(1));
    let (id, number) = bench.enter(medium("arrived, not recorded")).await;
    let first = bench.run("a");
    bench.wait_messages(1).await;
    first.kill().await;
    let second = bench.run("b");
    bench.wait_state(id, "sent").await;
    let texts = bench.texts();
    assert_eq!(counts(&bench, std::slice::from_ref(&number))[&number], 2);
    assert!(texts[1].contains("May be a repeat"), "{}", texts[1]);
    second.stop().await;
}

#[tokio::test]
async fn shutdown_waits_for_the_request_under_way_and_no_longer() {
    let mut bench = Bench::new().await;
    bench.deadline = Duration::from_secs(2);
    let idle = bench.run("idle").stop().await;
    assert!(idle < Duration::from_millis(500), "{idle:?}");

    bench.fault(FaultKind::Delay { ms: 700 }, 1);
    let (id, _) = bench.enter(medium("slow")).await;
    let drain = bench.run("slow");
    assert!(bench.sim.wait_until(PATIENCE, || !bench.requests().is_empty()).await);
    let slow = drain.stop().await;
    assert!(slow < Duration::from_secs(2), "{slow:?}");
    assert_eq!(
        bench.row(id).await.state,
        "sent",
        "the request under way was finished and recorded"
    );

    bench.sim.set_fault(FaultSpec::new(Target::Telegram, FaultKind::Hang));
    let before = bench.requests().len();
    bench.enter(medium("hangs")).await;
    let drain = bench.run("hangs");
    assert!(bench.sim.wait_until(PATIENCE, || bench.requests().len() > before).await);
    let hanging = drain.stop().await;
    assert!(hanging < bench.deadline + Duration::from_millis(300), "{hanging:?}");
}

#[tokio::test]
async fn a_storm_of_one_incident_is_one_message_that_counts_everything() {
    let bench = Bench::new().await;
    let mut ids = Vec::new();
    let mut numbers = Vec::new();
    let now = Timestamp::now();
    for index in 0..6 {
        let priority = if index == 5 { Priority::Critical } else { Priority::High };
        let (mut notice, number) = bench.notice(raised(&format!("sign {index}"), priority));
        notice.group = Some("incident:17".into());
        ids.push(bench.enter_at(notice, now).await);
        numbers.push(format!("#{number}"));
    }
    let (alone, alone_number) = bench.enter(medium("something else")).await;
    let drain = bench.run("a");
    let mut rows = Vec::new();
    for id in &ids {
        rows.push(bench.wait_state(*id, "sent").await);
    }
    bench.wait_state(alone, "sent").await;
    drain.stop().await;
    let texts = bench.texts();
    assert_eq!(texts.len(), 3, "{texts:#?}");
    assert!(texts[0].contains("CRITICAL") && texts[0].contains(&numbers[5]) && !texts[0].contains(&numbers[0]));
    assert!(
        texts[1].contains("5 notices") && texts[1].contains("5 x raised"),
        "{}",
        texts[1]
    );
    for (index, number) in numbers[..5].iter().enumerate() {
        assert!(
            texts[1].contains(number) && texts[1].contains(&format!("sign {index}")),
            "{}",
            texts[1]
        );
    }
    assert!(texts[2].contains(&alone_number));
    let message = bench.sim.messages()[1].message_id;
    assert!(rows[..5].iter().all(|row| row.message_id == Some(message)));
    assert_eq!(bench.outcomes(ids[0]).await, ["started", "sent"]);
    assert_eq!(bench.outcomes(ids[1]).await, ["merged", "sent"]);
    assert_eq!(bench.requests().len(), 3);
}

#[tokio::test]
async fn two_of_a_group_go_alone() {
    let bench = Bench::new().await;
    for index in 0..2 {
        let (mut notice, _) = bench.notice(medium(&format!("sign {index}")));
        notice.group = Some("incident:17".into());
        bench.enter_at(notice, Timestamp::now()).await;
    }
    let drain = bench.run("a");
    let texts = bench.wait_messages(2).await;
    assert!(texts.iter().all(|text| !text.contains("notices")));
    drain.stop().await;
}

#[tokio::test]
async fn a_backlog_of_everything_collapses_too_and_a_refused_digest_is_sent_plain() {
    let bench = Bench::new().await;
    bench.telegram_error(400, "Bad Request: can't parse entities: x", 1);
    let mut entered = Vec::new();
    for index in 0..60 {
        entered.push(bench.enter(medium(&format!("thing {index} <b>"))).await);
    }
    let drain = bench.run("a");
    for (id, _) in &entered {
        bench.wait_state(*id, "sent").await;
    }
    drain.stop().await;
    let numbers: Vec<String> = entered.iter().map(|(_, number)| number.clone()).collect();
    assert!(
        counts(&bench, &numbers).values().all(|count| *count == 1),
        "{:?}",
        counts(&bench, &numbers)
    );
    let messages = bench.sim.messages();
    assert!(messages.len() <= 4, "{}", messages.len());
    assert_eq!(messages[0].parse_mode, None);
    assert_eq!(messages[1].parse_mode.as_deref(), Some("HTML"));
}

#[tokio::test]
async fn messages_of_an_incident_answer_its_first_one() {
    let bench = Bench::new().await;
    let alert = crate::support::full_l4(domain::alert::Phase::Start);
    let prefix = crate::support::prefix("203.0.113.0/24");
    let incident: IncidentId = bench
        .db
        .write("test.join", move |tx| {
            db::incidents::join(tx, &alert, &[prefix], Timestamp::now())
        })
        .await
        .unwrap();
    let enter = |title: &str| {
        let (mut notice, _) = bench.notice(medium(title));
        notice.incident = Some(incident);
        bench.enter_at(notice, Timestamp::now())
    };
    let drain = bench.run("a");
    let first = enter("first").await;
    let row = bench.wait_state(first, "sent").await;
    let second = enter("second").await;
    bench.wait_state(second, "sent").await;
    let messages = bench.sim.messages();
    assert_eq!(messages[0].reply_to, None);
    assert_eq!(messages[1].reply_to, row.message_id);
    // The first one is deleted by somebody: later ones come all the same.
    let gone = bench.sim.config().bot_token.clone();
    let url = format!("{}/bot{gone}/deleteMessage", bench.sim.telegram_url());
    let body = format!(
        "{{\"chat_id\":{},\"message_id\":{}}}",
        bench.chat(),
        row.message_id.unwrap()
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client
        .post(url)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    let third = enter("third").await;
    bench.wait_state(third, "sent").await;
    assert_eq!(bench.sim.messages()[2].reply_to, None);
    drain.stop().await;
}

#[tokio::test]
async fn how_things_stand_is_looked_up_when_it_is_sent() {
    let bench = Bench::new().await;
    let now = Timestamp::now();
    let (notice, _) = bench.notice(Facts::ServiceSilent {
        service: "cloudflare-webhook".into(),
        since: minus(now, Duration::from_secs(900)),
    });
    let id = bench.enter_at(notice, minus(now, Duration::from_secs(840))).await;
    let beat = heartbeats::Heartbeat {
        service: "cloudflare-webhook".into(),
        pid: 1,
        host: "mt1".into(),
        version: "1".into(),
        started_at: now,
        beat_at: now,
        state: "ok".into(),
        status: String::new(),
    };
    bench
        .db
        .write("test.beat", move |tx| heartbeats::beat(tx, &beat).map(drop))
        .await
        .unwrap();
    let drain = bench.run("a");
    bench.wait_state(id, "sent").await;
    drain.stop().await;
    let text = bench.texts().remove(0);
    assert!(text.contains("Delayed by 14 min"), "{text}");
    assert!(text.contains("It is back: last sign of life"), "{text}");
}

#[tokio::test]
async fn a_tunnel_that_is_well_again_says_for_how_long_it_was_not() {
    let bench = Bench::new().await;
    let now = Timestamp::now();
    let enter = |tunnel: &str, status: &str, minutes_ago: u64| {
        let received = minus(now, Duration::from_secs(minutes_ago * 60));
        let mut alert = crate::support::bare(domain::alert::AlertKind::TunnelHealth, domain::alert::Phase::Start);
        alert.received_at = received;
        alert.details = crate::support::details(&[("tunnel_id", tunnel), ("tunnel_name", "t"), ("new_status", status)]);
        let (notice, _) = bench.notice(crate::support::alert_facts(alert, &[]));
        bench.enter_at(notice, received)
    };
    for (tunnel, status, minutes_ago) in [
        ("a", "MAGIC_TUNNEL_STATUS_DOWN", 300),
        ("a", "MAGIC_TUNNEL_STATUS_HEALTHY", 200),
        ("a", "MAGIC_TUNNEL_STATUS_DOWN", 90),
        ("b", "MAGIC_TUNNEL_STATUS_DOWN", 70),
        ("a", "MAGIC_TUNNEL_STATUS_DEGRADED", 60),
    ] {
        enter(tunnel, status, minutes_ago).await;
    }
    let again = enter("a", "MAGIC_TUNNEL_STATUS_HEALTHY", 1).await;
    let never = enter("c", "MAGIC_TUNNEL_STATUS_HEALTHY", 1).await;
    let context = |id| {
        bench.db.read("test", move |tx| {
            let row = outbox::get(tx, id)?.unwrap();
            Ok(notify::context::gather(tx, &[row], "", Timestamp::now()))
        })
    };
    let restored = context(again).await.unwrap();
    assert_eq!(restored.restored, Some(minus(now, Duration::from_secs(90 * 60))));
    assert_eq!(context(never).await.unwrap().restored, None);
    let row = bench.row(again).await;
    let text = notify::Renderer::new(&crate::support::frame())
        .message(&[row], &restored, now)
        .plain();
    assert!(text.contains("Restored after 1 h 29 min: not well since"), "{text}");
}

#[tokio::test]
async fn what_is_too_old_expires_and_one_summary_tells_of_it() {
    let mut bench = Bench::new().await;
    bench.max_age = Duration::from_secs(3_600);
    let old = minus(Timestamp::now(), Duration::from_secs(7_200));
    let mut expired = Vec::new();
    for index in 0..3 {
        expired.push(
            bench
                .enter_at(bench.notice(medium(&format!("old {index}"))).0, old)
                .await,
        );
    }
    let start = Facts::ServiceStarted {
        service: "x".into(),
        version: String::new(),
        lines: vec![],
    };
    expired.push(bench.enter_at(bench.notice(start).0, old).await);
    let (fresh, _) = bench.enter(medium("fresh")).await;
    let drain = bench.run("a");
    for id in &expired {
        let row = bench.wait_state(*id, "expired").await;
        assert_eq!(row.reason.as_deref(), Some("not sent within 1 h"));
    }
    bench.wait_state(fresh, "sent").await;
    let texts = bench.wait_messages(2).await;
    let summary = texts
        .iter()
        .find(|text| text.contains("4 messages were not sent in time"))
        .expect("a summary");
    assert!(
        summary.contains("3 x raised") && summary.contains("1 x service started"),
        "{summary}"
    );
    drain.stop().await;
    // More of it within the ten minutes: no second summary.
    let again = bench.enter_at(bench.notice(medium("old again")).0, old).await;
    let drain = bench.run("b");
    bench.wait_state(again, "expired").await;
    let (later, _) = bench.enter(medium("later")).await;
    bench.wait_state(later, "sent").await;
    drain.stop().await;
    assert_eq!(
        bench
            .texts()
            .iter()
            .filter(|text| text.contains("not sent in time"))
            .count(),
        1
    );
}

#[tokio::test]
async fn summaries_cover_what_was_not_told_and_replace_each_other() {
    let bench = Bench::new().await;
    let gap = Duration::from_secs(600);
    let base = Timestamp::now();
    let at = |minutes: i64| domain::time::plus(base, Duration::from_secs(u64::try_from(minutes).unwrap() * 60));
    let old = minus(base, Duration::from_secs(100_000));
    let end = |now: Timestamp| {
        bench.db.write("test.expire", move |tx| {
            let count = outbox::expire(tx, "x", Duration::from_secs(86_400), now)?;
            Ok((count, outbox::summarise_expired(tx, gap, now)?))
        })
    };
    bench.enter_at(Notice::about(medium("one")), old).await;
    let (count, first) = end(at(0)).await.unwrap();
    assert_eq!((count, first.as_ref().map(|summary| summary.expired)), (1, Some(1)));
    bench.enter_at(Notice::about(medium("two")), old).await;
    assert_eq!(end(at(5)).await.unwrap(), (1, None), "at most one in ten minutes");
    // The first was never sent: the next one speaks for both, and the first is withdrawn.
    let (_, second) = end(at(11)).await.unwrap();
    assert_eq!(second.as_ref().map(|summary| summary.expired), Some(2));
    let first = bench.row(first.unwrap().id).await;
    assert_eq!(
        (first.state.as_str(), first.reason.as_deref()),
        ("suppressed", Some("replaced by a newer summary"))
    );
    // The second is sent: after that only new ones count.
    let drain = bench.run("a");
    bench.wait_state(second.unwrap().id, "sent").await;
    drain.stop().await;
    assert_eq!(end(at(30)).await.unwrap(), (0, None), "nothing new");
    bench.enter_at(Notice::about(medium("three")), old).await;
    let (_, third) = end(at(40)).await.unwrap();
    assert_eq!(third.map(|summary| summary.expired), Some(1));
}

#[tokio::test]
async fn without_a_chat_rows_are_ended_with_the_reason_unless_another_process_sends() {
    let mut bench = Bench::new().await;
    bench.limits.no_chat_grace = Duration::from_secs(60);
    let now = Timestamp::now();
    let old = bench
        .enter_at(Notice::about(medium("old")), minus(now, Duration::from_secs(120)))
        .await;
    let young = bench.enter_at(Notice::about(medium("young")), now).await;
    let mute = bench.run_on(bench.db.clone(), "mute", None);
    let row = bench.wait_state(old, "suppressed").await;
    assert_eq!(row.reason.as_deref(), Some("no channel configured"));
    assert_eq!(bench.row(young).await.state, "queued");
    // Another process has a chat: from its first try on nothing is taken away from it.
    let speaks = bench.run("speaks");
    bench.wait_state(young, "sent").await;
    speaks.stop().await;
    let waits = bench
        .enter_at(Notice::about(medium("waits")), minus(now, Duration::from_secs(120)))
        .await;
    tokio::time::sleep(bench.limits.upkeep_every * 6).await;
    assert_eq!(bench.row(waits).await.state, "queued");
    mute.stop().await;
}

#[tokio::test]
async fn an_idle_drain_writes_nothing() {
    let bench = Bench::new().await;
    let (id, _) = bench.enter(medium("one")).await;
    let drain = bench.run("a");
    bench.wait_state(id, "sent").await;
    let rest = |turns: u64| {
        let counted = drain.turns.clone();
        let wanted = counted.load(std::sync::atomic::Ordering::Relaxed) + turns;
        bench.sim.wait_until(PATIENCE, move || {
            counted.load(std::sync::atomic::Ordering::Relaxed) >= wanted
        })
    };
    assert!(rest(10).await);
    let before = bench.db.writer_stats();
    assert!(rest(60).await);
    let after = bench.db.writer_stats();
    assert_eq!((before.commits, before.jobs_stored), (after.commits, after.jobs_stored));
    drain.stop().await;
}

#[tokio::test]
async fn a_database_that_is_busy_delays_and_loses_nothing() {
    let bench = Bench::new().await;
    let impatient = OpenOptions {
        write_limit: Duration::from_millis(150),
        ..OpenOptions::default()
    };
    let drain = bench.run_on(bench.other_process(impatient), "a", Some(bench.sender()));
    // The request is under way when somebody takes the lock and keeps it over several tries to record.
    bench.fault(FaultKind::Delay { ms: 300 }, 1);
    let (id, number) = bench.enter(medium("recorded late")).await;
    assert!(bench.sim.wait_until(PATIENCE, || !bench.requests().is_empty()).await);
    let blocker = bench.db.clone();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let holding = tokio::task::spawn_blocking(move || {
        blocker.write_blocking("test.hold_the_lock", move |_| {
            let _ = released.recv_timeout(PATIENCE);
            Ok(())
        })
    });
    bench.wait_messages(1).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    release.send(()).unwrap();
    holding.await.unwrap().unwrap();
    bench.wait_state(id, "sent").await;
    let (next, _) = bench.enter(medium("afterwards")).await;
    bench.wait_state(next, "sent").await;
    assert_eq!(
        counts(&bench, std::slice::from_ref(&number))[&number],
        1,
        "recorded, so not repeated"
    );
    drain.stop().await;
}
