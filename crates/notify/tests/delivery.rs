//! One message and everything that can happen to it on its way, against the simulated Telegram.

use std::time::Duration;

use crate::support::bench::{Bench, PATIENCE, medium, raised};
use crate::support::checker;
use cf_sim::{FaultKind, FaultSpec, Target};
use db::OpenOptions;
use domain::notice::{Facts, Priority};
use domain::time::since;

#[tokio::test]
async fn the_most_urgent_goes_first_and_everything_is_recorded() {
    let bench = Bench::new().await;
    let mut entered = Vec::new();
    for priority in [Priority::Info, Priority::Medium, Priority::High, Priority::Critical] {
        entered.push(bench.enter(raised(priority.as_str(), priority)).await);
    }
    let drain = bench.run("a");
    let texts = bench.wait_messages(4).await;
    for (text, priority) in texts.iter().zip(Priority::ALL) {
        assert!(text.contains(&priority.as_str().to_uppercase()), "{texts:#?}");
    }
    for (index, (id, number)) in entered.iter().rev().enumerate() {
        let row = bench.wait_state(*id, "sent").await;
        let message = &bench.sim.messages()[index];
        assert_eq!(row.message_id, Some(message.message_id));
        assert_eq!(row.chat_id, Some(bench.chat()));
        assert!(row.sent_at.is_some() && row.reason.is_none());
        assert!(message.text.contains(number), "{number}: {}", message.text);
        assert_eq!(message.parse_mode.as_deref(), Some("HTML"));
        checker::check(&message.raw, &message.text).unwrap();
        assert_eq!(message.silent, row.priority == Priority::Info);
        assert_eq!(bench.outcomes(*id).await, ["started", "sent"]);
    }
    for request in bench.requests() {
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["link_preview_options"]["is_disabled"], true);
        assert!(body.get("message_thread_id").is_none());
    }
    drain.stop().await;
}

#[tokio::test]
async fn what_is_entered_later_is_noticed_and_a_poke_is_quicker() {
    let mut bench = Bench::new().await;
    let drain = bench.run("a");
    let (id, _) = bench.enter(medium("noticed by its commit")).await;
    bench.wait_state(id, "sent").await;
    drain.stop().await;
    // With hardly any polling only the poke can be the reason.
    bench.limits.poll = PATIENCE * 2;
    bench.limits.longest_rest = PATIENCE * 2;
    let drain = bench.run("b");
    let idle = drain.turns.clone();
    let resting = || idle.load(std::sync::atomic::Ordering::Relaxed) >= 2;
    assert!(bench.sim.wait_until(PATIENCE, resting).await);
    let (id, _) = bench.enter(medium("poked")).await;
    drain.poke.poke();
    bench.wait_state(id, "sent").await;
    drain.stop().await;
}

#[tokio::test]
async fn told_to_wait_all_processes_wait_and_the_try_does_not_count() {
    let bench = Bench::new().await;
    bench.fault(FaultKind::RateLimited { retry_after: Some(1) }, 1);
    let (id, _) = bench.enter(medium("one")).await;
    let (other, _) = bench.enter(medium("two")).await;
    let drains = [
        bench.run("a"),
        bench.run_on(bench.other_process(OpenOptions::default()), "b", Some(bench.sender())),
    ];
    bench.wait_messages(2).await;
    let requests = bench.requests();
    let refused = requests.iter().find(|request| request.status == Some(429)).unwrap();
    for request in requests.iter().filter(|request| request.seq > refused.seq) {
        let waited = since(request.at, refused.at);
        // A request that was under way already when the answer came is not meant.
        assert!(
            waited < Duration::from_millis(100) || waited >= Duration::from_millis(950),
            "{waited:?}"
        );
    }
    let both = [
        bench.wait_state(id, "sent").await,
        bench.wait_state(other, "sent").await,
    ];
    assert!(both.iter().all(|row| row.attempts == 1), "{both:#?}");
    let outcomes = [bench.outcomes(id).await, bench.outcomes(other).await];
    assert!(
        outcomes
            .iter()
            .any(|list| *list == ["started", "later", "started", "sent"]),
        "{outcomes:?}"
    );
    assert!(!bench.texts().iter().any(|text| text.contains("May be a repeat")));
    for drain in drains {
        drain.stop().await;
    }
}

#[tokio::test]
async fn a_lost_answer_is_sent_again_under_the_same_number() {
    let bench = Bench::new().await;
    bench
        .sim
        .set_fault(FaultSpec::new(Target::Telegram, FaultKind::Hang).after_apply().times(1));
    let (id, number) = bench.enter(medium("arrives twice")).await;
    let drain = bench.run("a");
    let texts = bench.wait_messages(2).await;
    assert!(texts.iter().all(|text| text.contains(&number)), "{texts:#?}");
    assert!(
        !texts[0].contains("May be a repeat") && texts[1].contains("May be a repeat"),
        "{texts:#?}"
    );
    let row = bench.wait_state(id, "sent").await;
    assert_eq!(row.attempts, 2);
    let attempts = bench.attempts(id).await;
    assert_eq!(attempts[1].outcome, "retry");
    assert!(attempts[1].words.contains("it may have arrived"), "{attempts:#?}");
    drain.stop().await;
}

#[tokio::test]
async fn trouble_on_the_way_is_outlasted() {
    for (name, kind) in [
        (
            "503",
            FaultKind::Status {
                status: 503,
                body: None,
            },
        ),
        ("a proxy's page", FaultKind::Html { status: 200 }),
        ("garbage", FaultKind::Garbage),
        ("half an answer", FaultKind::TruncatedBody),
        ("reset", FaultKind::Reset),
        ("closed", FaultKind::Refuse),
    ] {
        let bench = Bench::new().await;
        bench.fault(kind, 3);
        let (id, _) = bench.enter(medium(name)).await;
        let drain = bench.run("a");
        let row = bench.wait_state(id, "sent").await;
        assert_eq!(row.attempts, 4, "{name}");
        let channel = bench.channel().await;
        assert_eq!((channel.failing_since, channel.blocked_because), (None, None), "{name}");
        let waits: Vec<Duration> = bench
            .attempts(id)
            .await
            .iter()
            .filter_map(|attempt| attempt.retry_at.map(|at| since(at, attempt.at)))
            .collect();
        assert_eq!(waits.len(), 3, "{name}");
        assert!(
            waits[0] < waits[1] && waits[1] < waits[2],
            "{name}: waits grow: {waits:?}"
        );
        drain.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_is_down_for_a_while_gets_everything_afterwards() {
    let bench = Bench::new().await;
    bench.sim.stop_listening().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(bench.enter(medium(&format!("message {number}"))).await.0);
    }
    let drain = bench.run("a");
    let tried = || async { bench.row(ids[0]).await.attempts >= 3 };
    let end = tokio::time::Instant::now() + PATIENCE;
    while !tried().await {
        assert!(tokio::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(bench.channel().await.failing_since.is_some());
    bench.sim.resume_listening().await.unwrap();
    for id in ids {
        bench.wait_state(id, "sent").await;
    }
    drain.stop().await;
}

#[tokio::test]
async fn refused_markup_is_sent_as_plain_text() {
    let bench = Bench::new().await;
    bench.telegram_error(
        400,
        "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\"",
        1,
    );
    let (id, _) = bench.enter(medium("with <b> in it")).await;
    let drain = bench.run("a");
    let row = bench.wait_state(id, "sent").await;
    assert!(row.plain && row.attempts == 1);
    let message = &bench.sim.messages()[0];
    assert_eq!(message.parse_mode, None);
    assert!(message.text.contains("with <b> in it"), "{}", message.text);
    assert_eq!(bench.outcomes(id).await, ["started", "plain", "started", "sent"]);
    drain.stop().await;
}

#[tokio::test]
async fn a_broken_channel_is_tried_slowly_until_it_works() {
    let bench = Bench::new().await;
    let fault = bench.telegram_error(403, "Forbidden: bot was blocked by the user", u32::MAX);
    let (id, _) = bench.enter(medium("waits")).await;
    let drain = bench.run("a");
    assert!(bench.sim.wait_until(PATIENCE, || bench.requests().len() >= 3).await);
    let requests = bench.requests();
    for pair in requests.windows(2) {
        assert!(since(pair[1].at, pair[0].at) >= Duration::from_millis(200), "slowly");
    }
    let channel = bench.channel().await;
    assert!(
        channel
            .blocked_because
            .unwrap()
            .contains("the user has blocked the bot")
    );
    assert!(channel.failing_since.is_some());
    assert_eq!(bench.row(id).await.state, "queued");
    bench.sim.clear_fault(&fault);
    let row = bench.wait_state(id, "sent").await;
    assert_eq!(row.attempts, 1, "only the last one counts");
    assert_eq!(bench.channel().await.blocked_because, None);
    drain.stop().await;
}

#[tokio::test]
async fn a_process_with_a_bad_token_does_not_hold_up_the_others() {
    let mut bench = Bench::new().await;
    bench.limits.broken_pause = Duration::from_secs(60);
    let config = notify::TelegramConfig {
        bot_token: secrecy::SecretString::from("123456:revoked-revoked"),
        chat: notify::ChatId::Number(bench.sim.config().chat_id),
        thread: None,
        api_url: bench.sim.telegram_url(),
        deadline: bench.deadline,
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let bad = notify::TelegramSender::new(config, client).unwrap();
    let (id, _) = bench.enter(medium("urgent all the same")).await;
    let refused = bench.run_on(bench.db.clone(), "bad", Some(bad));
    assert!(bench.sim.wait_until(PATIENCE, || bench.requests().len() == 1).await);
    let works = bench.run("good");
    bench.wait_state(id, "sent").await;
    refused.stop().await;
    works.stop().await;
}

#[tokio::test]
async fn a_chat_that_moved_is_followed_and_remembered() {
    let bench = Bench::new().await;
    let new = -1_009_999_999_999;
    let kind = FaultKind::Telegram {
        code: 400,
        description: "Bad Request: group chat was upgraded to a supergroup chat".into(),
        retry_after: None,
        migrate_to_chat_id: Some(new),
    };
    bench.fault(kind, 1);
    let (id, _) = bench.enter(medium("follows")).await;
    let drain = bench.run("a");
    bench.wait_state(id, "sent").await;
    assert_eq!(bench.sim.messages()[0].chat_id, new);
    assert_eq!(bench.channel().await.migrated_chat_id, Some(new.to_string()));
    drain.stop().await;
    // A new process knows it too, and asks only once.
    let before = bench.requests().len();
    let drain = bench.run("b");
    let (id, _) = bench.enter(medium("goes straight")).await;
    bench.wait_state(id, "sent").await;
    assert_eq!(bench.requests().len(), before + 1);
    drain.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_gone_is_left_out_until_the_next_start() {
    let mut bench = Bench::new().await;
    bench.thread = Some(999);
    let (id, _) = bench.enter(medium("without topic")).await;
    let drain = bench.run("a");
    bench.wait_state(id, "sent").await;
    assert_eq!(bench.sim.messages()[0].message_thread_id, None);
    assert!(bench.channel().await.without_thread);
    let before = bench.requests().len();
    let (id, _) = bench.enter(medium("straight")).await;
    bench.wait_state(id, "sent").await;
    assert_eq!(bench.requests().len(), before + 1);
    drain.stop().await;
    let drain = bench.run("b");
    let end = tokio::time::Instant::now() + PATIENCE;
    while bench.channel().await.without_thread {
        assert!(tokio::time::Instant::now() < end, "a start tries the topic again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drain.stop().await;
}

#[tokio::test]
async fn a_topic_that_exists_is_used() {
    let mut config = crate::support::bench::calm_sim();
    config.message_threads = vec![7];
    let mut bench = Bench::with(config).await;
    bench.thread = Some(7);
    let (id, _) = bench.enter(medium("in the topic")).await;
    let drain = bench.run("a");
    bench.wait_state(id, "sent").await;
    assert_eq!(bench.sim.messages()[0].message_thread_id, Some(7));
    drain.stop().await;
}

#[tokio::test]
async fn a_long_message_goes_in_numbered_parts_and_critical_ones_in_between() {
    let mut bench = Bench::new().await;
    if let Some(pace) = &mut bench.limits.pace {
        pace.gap = Duration::from_millis(250);
    }
    let lines: Vec<String> = (0..600).map(|number| format!("line {number} <&> end")).collect();
    let long = Facts::Raised {
        title: "long".into(),
        text: lines.join("\n"),
        priority: Priority::Info,
    };
    let (id, number) = bench.enter(long).await;
    let drain = bench.run("a");
    bench.wait_messages(1).await;
    let (critical, _) = bench.enter(raised("in between", Priority::Critical)).await;
    let row = bench.wait_state(id, "sent").await;
    bench.wait_state(critical, "sent").await;
    let texts = bench.texts();
    let parts: Vec<&String> = texts.iter().filter(|text| text.contains(&number)).collect();
    assert_eq!(parts.len(), 2);
    for (index, part) in parts.iter().enumerate() {
        assert!(
            part.ends_with(&format!("part {} of {} · {number}", index + 1, parts.len())),
            "{part}"
        );
    }
    assert!(
        texts[1].contains("in between"),
        "the critical one did not wait for the end"
    );
    assert_eq!(row.message_id, Some(bench.sim.messages()[0].message_id));
    let shown: usize = parts.iter().map(|part| part.matches("end").count()).sum();
    assert!(
        parts.iter().any(|part| part.contains("line 0 <&> end")) && shown > 250,
        "{shown}"
    );
    drain.stop().await;
}

#[tokio::test]
async fn too_long_for_the_server_is_cut_smaller() {
    let bench = Bench::new().await;
    bench.telegram_error(400, "Bad Request: message is too long", 1);
    let lines: Vec<String> = (0..120).map(|number| format!("line {number} of it")).collect();
    let long = Facts::Raised {
        title: "long".into(),
        text: lines.join("\n"),
        priority: Priority::Info,
    };
    let (id, _) = bench.enter(long).await;
    let drain = bench.run("a");
    bench.wait_state(id, "sent").await;
    let texts = bench.texts();
    assert!(texts.len() >= 2, "{texts:#?}");
    assert!(texts.concat().contains("line 0 of it") && texts.concat().contains("line 119 of it"));
    drain.stop().await;
}

#[tokio::test]
async fn told_to_wait_between_two_parts_the_rest_follows_without_a_repeat() {
    let bench = Bench::new().await;
    let mut fault = FaultSpec::new(Target::Telegram, FaultKind::RateLimited { retry_after: Some(1) }).times(1);
    fault.skip = 1;
    bench.sim.set_fault(fault);
    let long = Facts::Raised {
        title: "long".into(),
        text: "words and words\n".repeat(350),
        priority: Priority::Info,
    };
    let (id, number) = bench.enter(long).await;
    let drain = bench.run("a");
    bench.wait_state(id, "sent").await;
    let texts = bench.texts();
    let count = texts.len();
    assert!(count >= 2);
    for (index, text) in texts.iter().enumerate() {
        assert!(
            text.ends_with(&format!("part {} of {count} · {number}", index + 1)),
            "{text}"
        );
    }
    drain.stop().await;
}
