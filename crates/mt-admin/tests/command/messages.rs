//! `notifications` and `notice`: what waits, what was kept back and why.

use std::time::Duration;

use db::outbox::{self, Channel, Claim, CopyOutcome, CopyTerms, Grouping, Outcome, Pace, Terms};
use domain::ids::NotificationId;
use domain::notice::{Facts, Mute, Notice};
use domain::time::plus;
use jiff::Timestamp;

use crate::support::filters;
use crate::world::{database, notice, prefix, run, site};

/// Fails the oldest waiting message for good, as a service would.
async fn fail_one(db: &db::Db) {
    let now = Timestamp::now();
    let terms = Terms {
        owner: "cloudflare-webhook/1/2".into(),
        chat_id: "-1001234567890".into(),
        lease: Duration::from_secs(30),
        pace: Pace {
            per_window: 20,
            reserve: 0,
            window: Duration::from_secs(60),
            gap: Duration::ZERO,
        },
        grouping: Grouping {
            same_group: 100,
            storm: 100,
            most: 100,
        },
    };
    db.write("test", move |tx| {
        let Claim::Send(row) = db::outbox::claim(tx, &terms, None, now)? else {
            panic!("nothing to send")
        };
        let outcome = Outcome::Failed {
            words: "403: the bot was blocked by the user".into(),
        };
        db::outbox::record(tx, &terms, &[row.id], &outcome, now)
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_listed_shown_and_put_back() {
    let site = site().await;
    let db = database(&site);
    assert!(run(&site, &["notifications", "list"]).stdout.starts_with("none\n"));
    let failed = notice(&db, "first").await;
    fail_one(&db).await;
    let now = Timestamp::now();
    db.write("test", move |tx| {
        let mute = Mute {
            kind: "would_withdraw".into(),
            actor: "kim@noc".into(),
            until: plus(now, Duration::from_secs(3_600)),
        };
        db::outbox::mute(tx, &mute, now)?;
        let facts = Facts::WouldWithdraw {
            prefix: prefix(),
            calm_s: 900,
        };
        db::outbox::enqueue(tx, &Notice::about(facts), now)
    })
    .await
    .unwrap();
    notice(&db, "third").await;
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("notifications-list", run(&site, &["notifications", "list"]).shown());
        insta::assert_snapshot!("notifications-show", run(&site, &["notifications", "show", &failed.to_string()]).shown());
    });
    let only = run(&site, &["notifications", "list", "--state", "suppressed", "--json"]).json();
    assert_eq!(only["notifications"].as_array().unwrap().len(), 1);
    assert!(
        only["notifications"][0]["reason"]
            .as_str()
            .unwrap()
            .starts_with("muted by kim@noc")
    );
    let again = run(&site, &["notifications", "retry", "1"]);
    assert_eq!(again.code, 0, "{}", again.shown());
    assert_eq!(run(&site, &["notifications", "retry", "1"]).code, 3, "it waits already");
    assert_eq!(run(&site, &["notifications", "retry", "99"]).code, 1);
    assert_eq!(run(&site, &["notifications", "show", "99"]).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_notice_waits_in_the_outbox_like_all_others() {
    let site = site().await;
    let raised = run(
        &site,
        &[
            "notice",
            "raise",
            "--title",
            "backup failed",
            "--text",
            "disk full",
            "--priority",
            "high",
        ],
    );
    assert_eq!(raised.code, 0, "{}", raised.shown());
    let record = site.record();
    let row = &record.notifications[0];
    assert_eq!(
        (row.kind.as_str(), row.state.as_str(), row.priority.as_str()),
        ("raised", "queued", "high")
    );
    let audit = database(&site)
        .read("test", |tx| db::audit::newest(tx, 1))
        .await
        .unwrap();
    assert_eq!(
        (audit[0].action.as_str(), audit[0].via.as_str()),
        ("notice.raise", "cloudflare-mt")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_nobody_sends_says_so() {
    let site = site().await;
    let unsent = run(&site, &["notifications", "test", "--timeout", "500ms"]);
    assert_eq!(unsent.code, 1, "{}", unsent.shown());
    assert!(unsent.stderr.contains("no service has taken it"), "{}", unsent.shown());
}

/// As long as a channel keeps a message.
const DAY: Duration = Duration::from_secs(86_400);

/// Lets a channel take up what is new, and records what became of it.
pub(crate) async fn copied(db: &db::Db, channel: &'static str, outcome: CopyOutcome) {
    let now = Timestamp::now();
    db.write("test", move |tx| {
        outbox::take_up(tx, channel, |_| true, DAY, now)?;
        let terms = CopyTerms {
            channel: channel.into(),
            owner: "cloudflare-webhook/1/2".into(),
            lease: Duration::from_secs(30),
            most: 50,
            critical: false,
        };
        let rows = outbox::claim_copies(tx, &terms, now)?;
        let ids: Vec<NotificationId> = rows.iter().map(|row| row.id).collect();
        outbox::record_copies(tx, channel, &terms.owner, &ids, &outcome, now)?;
        if let CopyOutcome::Retry { words, .. } = &outcome {
            let failing = Channel {
                failing_since: Some(now),
                blocked_because: Some(words.clone()),
                ..Channel::default()
            };
            outbox::set_channel(tx, channel, &failing, now)?;
        }
        Ok(())
    })
    .await
    .unwrap();
}

/// A channel begins with what comes after it was first there.
pub(crate) async fn channels_begin(db: &db::Db) {
    for channel in ["webhook", "mail"] {
        let now = Timestamp::now();
        db.write("test", move |tx| outbox::take_up(tx, channel, |_| true, DAY, now))
            .await
            .unwrap();
    }
}

pub(crate) fn refused_certificate() -> CopyOutcome {
    CopyOutcome::Retry {
        at: plus(Timestamp::now(), Duration::from_secs(60)),
        words: "the mail server's certificate is refused, nothing was sent: it is for other.example.net".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_channels_are_listed_shown_and_retried() {
    let site = site().await;
    let db = database(&site);
    channels_begin(&db).await;
    let id = notice(&db, "copied").await;
    copied(
        &db,
        "webhook",
        CopyOutcome::Failed {
            words: "HTTP 422".into(),
        },
    )
    .await;
    copied(&db, "mail", refused_certificate()).await;
    let id = id.to_string();
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("channels-list", run(&site, &["notifications", "list"]).shown());
        insta::assert_snapshot!("channels-show", run(&site, &["notifications", "show", &id]).shown());
        insta::assert_snapshot!("channels-retry", run(&site, &["notifications", "retry", &id]).shown());
        insta::assert_snapshot!("channels-show-after-retry", run(&site, &["notifications", "show", &id]).shown());
    });
    let again = run(&site, &["notifications", "retry", &id]);
    assert_eq!(again.code, 3, "nothing is left to retry: {}", again.shown());
    let json = run(&site, &["notifications", "list", "--json"]).json();
    assert_eq!(json["others"][0]["name"], "mail");
    assert!(
        json["others"][0]["blocked_because"]
            .as_str()
            .unwrap()
            .contains("certificate")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_what_became_of_it_at_each_channel() {
    let mut site = site().await;
    site.set(
        "/alert_webhook",
        serde_json::json!({"url": "https://alarm.example.net/x", "secret": "a-long-secret-0001"}),
    );
    let mail = serde_json::json!({"host": "mail.example.net", "from": "mt@example.net", "to": "noc@example.net"});
    site.set("/mail", mail);
    let unsent = run(&site, &["notifications", "test", "--timeout", "500ms"]);
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("channels-test", unsent.shown());
    });
    let json = run(&site, &["notifications", "test", "--timeout", "500ms", "--json"]);
    assert_eq!(json.code, 1);
    assert_eq!(json.json()["copies"][1]["channel"], "mail");
}
