//! Every error that the Bot API documents, as a table: what is tried after it, and that no message is lost to it.

use std::time::Duration;

use crate::support::bench::{Bench, PATIENCE, raised};
use cf_sim::FaultKind;
use domain::notice::{Facts, Priority};

/// Text from outside that must not be in the barest form.
const OUTSIDE: &str = "udp_flood*[x](y)<b>&";

fn facts() -> Facts {
    Facts::Raised {
        title: OUTSIDE.into(),
        text: "first line\nsecond line".into(),
        priority: Priority::High,
    }
}

/// What is in the chat after the error came as often as the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Html,
    Plain,
    Bare,
}

/// `400` and the description, how often it comes, what is in the chat then, and the outcomes of the tries.
type Case = (u16, &'static str, u32, Shown, &'static [&'static str]);

const FORM: [&str; 5] = [
    "Bad Request: can't parse entities: Can't find end of the entity starting at byte offset 12",
    "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 3",
    "Bad Request: unsupported parse_mode",
    "Bad Request: message text is empty",
    "Bad Request: something nobody has seen",
];

const ONCE: [&str; 4] = ["started", "plain", "started", "sent"];
const TWICE: [&str; 6] = ["started", "plain", "started", "plain", "started", "sent"];
/// Even the barest form is refused: it waits and is tried again.
const THRICE: [&str; 8] = [
    "started", "plain", "started", "plain", "started", "retry", "started", "sent",
];

const OTHERS: [Case; 14] = [
    (
        400,
        "Bad Request: message to be replied not found",
        1,
        Shown::Plain,
        &["started", "plain", "started", "sent"],
    ),
    (
        400,
        "Bad Request: message to edit not found",
        1,
        Shown::Plain,
        &["started", "plain", "started", "sent"],
    ),
    (
        400,
        "Bad Request: message can't be edited",
        1,
        Shown::Plain,
        &["started", "plain", "started", "sent"],
    ),
    (
        400,
        "Bad Request: chat not found",
        1,
        Shown::Html,
        &["started", "later", "started", "sent"],
    ),
    (
        400,
        "Bad Request: group chat was upgraded to a supergroup chat",
        1,
        Shown::Html,
        &["started", "later", "started", "sent"],
    ),
    (
        401,
        "Unauthorized",
        1,
        Shown::Html,
        &["started", "later", "started", "sent"],
    ),
    (
        401,
        "Unauthorized: invalid token specified",
        2,
        Shown::Html,
        &["started", "later", "started", "later", "started", "sent"],
    ),
    (
        404,
        "Not Found",
        1,
        Shown::Html,
        &["started", "later", "started", "sent"],
    ),
    (
        403,
        "Forbidden: bot was blocked by the user",
        1,
        Shown::Html,
        &["started", "later", "started", "sent"],
    ),
    (
        403,
        "Forbidden: bot was kicked from the supergroup chat",
        1,
        Shown::Html,
        &["started", "later", "started", "sent"],
    ),
    (
        403,
        "Forbidden: the group chat was deleted",
        1,
        Shown::Html,
        &["started", "later", "started", "sent"],
    ),
    (
        403,
        "Forbidden: user is deactivated",
        1,
        Shown::Html,
        &["started", "later", "started", "sent"],
    ),
    (
        500,
        "Internal Server Error",
        2,
        Shown::Html,
        &["started", "retry", "started", "retry", "started", "sent"],
    ),
    (
        400,
        "words of tomorrow",
        1,
        Shown::Html,
        &["started", "retry", "started", "sent"],
    ),
];

async fn check((code, description, times, shown, outcomes): Case) {
    let what = format!("{code} {description}, {times} times");
    let bench = Bench::new().await;
    bench.telegram_error(code, description, times);
    let (id, number) = bench.enter(facts()).await;
    let drain = bench.run("a");
    bench.wait_state(id, "sent").await;
    drain.stop().await;
    assert_eq!(bench.outcomes(id).await, outcomes, "{what}");
    let messages = bench.sim.messages();
    assert_eq!(messages.len(), 1, "{what}");
    let message = &messages[0];
    assert!(message.text.contains(&number), "{what}: {}", message.text);
    assert_eq!(message.parse_mode.is_some(), shown == Shown::Html, "{what}");
    assert_eq!(
        message.text.contains(OUTSIDE),
        shown != Shown::Bare,
        "{what}: {}",
        message.text
    );
    if shown == Shown::Bare {
        assert!(message.text.starts_with("HIGH: raised, #"), "{}", message.text);
        assert!(
            message.text.contains("cloudflare-mt notifications show"),
            "{}",
            message.text
        );
    }
    assert_eq!(bench.requests().len(), usize::try_from(times).unwrap() + 1, "{what}");
}

#[tokio::test]
async fn a_refused_form_is_followed_by_a_barer_one_and_no_message_is_lost() {
    for description in FORM {
        check((400, description, 1, Shown::Plain, &ONCE)).await;
        check((400, description, 2, Shown::Bare, &TWICE)).await;
        check((400, description, 3, Shown::Plain, &THRICE)).await;
    }
}

#[tokio::test]
async fn every_other_error_has_its_reaction() {
    for case in OTHERS {
        check(case).await;
    }
}

#[tokio::test]
async fn a_message_that_nothing_helps_keeps_no_other_back_and_ends_when_it_is_too_old() {
    let mut bench = Bench::new().await;
    bench.max_age = Duration::from_secs(3_600);
    let refuse = |times| bench.telegram_error(400, "Bad Request: something nobody has seen", times);
    refuse(3);
    let old = domain::time::minus(jiff::Timestamp::now(), Duration::from_secs(3_598));
    let (notice, _) = bench.notice(facts());
    let stuck = bench.enter_at(notice, old).await;
    let drain = bench.run("a");
    let tried = || bench.requests().len() >= 3;
    assert!(bench.sim.wait_until(PATIENCE, tried).await);
    let (next, _) = bench.enter(raised("passes", Priority::Critical)).await;
    bench.wait_state(next, "sent").await;
    drain.stop().await;
    // It was tried again meanwhile, or it is too old by now; it is never just gone.
    let drain = bench.run("b");
    let end = tokio::time::Instant::now() + PATIENCE;
    let row = loop {
        let row = bench.row(stuck).await;
        if row.state != "queued" {
            break row;
        }
        assert!(tokio::time::Instant::now() < end, "{row:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    drain.stop().await;
    assert!(matches!(row.state.as_str(), "sent" | "expired"), "{row:?}");
}

#[tokio::test]
async fn an_edit_that_is_refused_in_every_form_becomes_a_message() {
    let bench = Bench::new().await;
    let alert = crate::support::full_l4(domain::alert::Phase::Start);
    let prefix = crate::support::prefix("203.0.113.0/24");
    let incident = bench
        .db
        .write("test.join", move |tx| {
            db::incidents::join(tx, &alert, &[prefix], jiff::Timestamp::now())
        })
        .await
        .unwrap();
    let of_incident = |title: &str| {
        let (mut notice, number) = bench.notice(raised(title, Priority::Medium));
        notice.incident = Some(incident);
        (notice, number)
    };
    let drain = bench.run("a");
    let first = bench.enter_at(of_incident("first").0, jiff::Timestamp::now()).await;
    bench.wait_state(first, "sent").await;
    drain.stop().await;
    let edits = cf_sim::FaultSpec::new(
        cf_sim::Target::Telegram,
        FaultKind::Telegram {
            code: 400,
            description: "Bad Request: something nobody has seen".into(),
            retry_after: None,
            migrate_to_chat_id: None,
        },
    );
    bench.sim.set_fault(edits.path("(?i)editmessagetext"));
    let mut followers = Vec::new();
    for index in 0..4 {
        let (notice, _) = of_incident(&format!("follower {index}"));
        followers.push(bench.enter_at(notice, jiff::Timestamp::now()).await);
    }
    let drain = bench.run("b");
    for id in &followers {
        bench.wait_state(*id, "sent").await;
    }
    drain.stop().await;
    let messages = bench.sim.messages();
    assert_eq!(messages.len(), 2);
    assert!(messages[0].edits.is_empty(), "the first one is as it was");
    assert!(messages[1].text.contains("follower 3"), "{}", messages[1].text);
}
