//! Whose turn it is, at what pace, and what a clock that was stepped back or a row that cannot be read may not do.

use std::time::Duration;

use domain::ids::{IncidentId, NotificationId};
use domain::notice::{Facts, Notice, Priority};
use domain::time::{minus, plus};
use jiff::Timestamp;

use super::*;
use crate::open::OpenOptions;
use crate::store::Db;
use crate::tx::WriteTx;

const CHAT: &str = "-100";

struct Outbox {
    db: Db,
    _dir: tempfile::TempDir,
}

fn at(seconds: u64) -> Timestamp {
    plus(
        Timestamp::from_second(1_700_000_000).unwrap(),
        Duration::from_secs(seconds),
    )
}

fn terms(owner: &str) -> Terms {
    Terms {
        owner: owner.to_owned(),
        chat_id: CHAT.to_owned(),
        pace: Pace {
            per_window: 5,
            reserve: 2,
            window: Duration::from_secs(60),
            gap: Duration::from_secs(1),
        },
        lease: Duration::from_secs(60),
        grouping: Grouping {
            same_group: 3,
            storm: 50,
            most: 4,
        },
    }
}

impl Outbox {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path().join("a.db"), OpenOptions::default()).unwrap();
        Self { db, _dir: dir }
    }

    fn write<T: Send + 'static>(&self, f: impl FnOnce(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static) -> T {
        self.db.write_blocking("test", f).unwrap()
    }

    fn sql(&self, sql: &'static str) {
        self.write(move |tx| Ok(tx.conn().execute_batch(sql)?));
    }

    fn enter(&self, priority: Priority, group: Option<&'static str>, now: Timestamp) -> NotificationId {
        let facts = Facts::Raised {
            title: "x".into(),
            text: String::new(),
            priority,
        };
        let notice = Notice {
            group: group.map(str::to_owned),
            ..Notice::about(facts)
        };
        self.write(move |tx| enqueue(tx, &notice, now))
    }

    fn claim(&self, owner: &str, now: Timestamp) -> Claim {
        let terms = terms(owner);
        self.write(move |tx| claim(tx, &terms, None, now))
    }

    fn claimed(&self, owner: &str, now: Timestamp) -> NotificationId {
        match self.claim(owner, now) {
            Claim::Send(row) => row.id,
            other => panic!("{other:?}"),
        }
    }

    fn record(&self, owner: &str, id: NotificationId, outcome: Outcome, now: Timestamp) -> Result<(), DbError> {
        let terms = terms(owner);
        self.db
            .write_blocking("test", move |tx| record(tx, &terms, &[id], &outcome, now))
    }

    fn sent(&self, owner: &str, id: NotificationId, now: Timestamp) {
        self.record(
            owner,
            id,
            Outcome::Sent {
                message_id: Some(1),
                words: String::new(),
            },
            now,
        )
        .unwrap();
    }

    fn row(&self, id: NotificationId) -> Notification {
        self.db.read_blocking("test", |tx| get(tx, id)).unwrap().unwrap()
    }
}

#[test]
fn a_claimed_row_is_its_owners_until_the_lease_ends() {
    let outbox = Outbox::new();
    let id = outbox.enter(Priority::High, None, at(0));
    assert_eq!(outbox.claimed("a", at(0)), id);
    assert_eq!(outbox.claim("b", at(30)), Claim::Idle { next: Some(at(60)) });
    // What is left over from an answer that was lost is the owner's own again at once.
    assert_eq!(outbox.claimed("a", at(31)), id);
    assert_eq!(outbox.claim("b", at(90)), Claim::Idle { next: Some(at(91)) });
    assert_eq!(outbox.claimed("b", at(91)), id);
    let late = outbox.record("a", id, Outcome::Failed { words: "x".into() }, at(92));
    assert_eq!(late.unwrap_err().code(), "db.conflict");
    outbox.sent("b", id, at(92));
    assert_eq!(outbox.row(id).attempts, 3);
    assert_eq!(outbox.claim("b", at(200)), Claim::Idle { next: None });
}

#[test]
fn a_slot_renews_the_lease_keeps_the_pace_and_notices_a_loss() {
    let outbox = Outbox::new();
    let id = outbox.enter(Priority::High, None, at(0));
    outbox.claimed("a", at(0));
    let slot = |owner: &str, now: Timestamp| {
        let terms = terms(owner);
        outbox.write(move |tx| take_slot(tx, &terms, &[id], Priority::High, now))
    };
    assert_eq!(slot("a", at(0)), Slot::Wait(at(1)));
    assert_eq!(slot("a", at(50)), Slot::Go);
    assert_eq!(outbox.claim("b", at(61)), Claim::Idle { next: Some(at(110)) });
    assert_eq!(slot("b", at(70)), Slot::Lost);
    let urgent = outbox.enter(Priority::Critical, None, at(80));
    assert_eq!(slot("a", at(80)), Slot::Yield);
    assert_eq!(outbox.claimed("c", at(80)), urgent);
    assert_eq!(slot("a", at(81)), Slot::Go, "somebody else sends it");
    outbox.sent("c", urgent, at(82));
    assert_eq!(outbox.claimed("b", at(150)), id);
    assert_eq!(slot("a", at(160)), Slot::Lost);
}

#[test]
fn the_pace_counts_starts_of_everybody_and_keeps_a_reserve_for_critical_ones() {
    let outbox = Outbox::new();
    for _ in 0..6 {
        outbox.enter(Priority::Medium, None, at(0));
    }
    for (second, owner) in [(0, "a"), (2, "b"), (4, "a")] {
        let id = outbox.claimed(owner, at(second));
        outbox.sent(owner, id, at(second));
    }
    assert_eq!(
        outbox.claim("a", at(6)),
        Claim::Wait(at(60)),
        "three of five are for all"
    );
    outbox.enter(Priority::Critical, None, at(6));
    let urgent = outbox.claimed("b", at(7));
    assert_eq!(outbox.row(urgent).priority, Priority::Critical);
    outbox.sent("b", urgent, at(7));
    let id = outbox.claimed("a", at(65));
    outbox.sent("a", id, at(65));
    assert_eq!(outbox.claim("a", at(65)), Claim::Wait(at(66)), "the gap");
}

#[test]
fn told_to_wait_does_not_count_and_failing_does() {
    let outbox = Outbox::new();
    let id = outbox.enter(Priority::High, None, at(0));
    outbox.claimed("a", at(0));
    outbox
        .record(
            "a",
            id,
            Outcome::Later {
                at: at(20),
                words: "wait".into(),
            },
            at(1),
        )
        .unwrap();
    assert_eq!(outbox.row(id).attempts, 0);
    assert_eq!(outbox.claim("a", at(10)), Claim::Idle { next: Some(at(20)) });
    outbox.claimed("a", at(20));
    outbox
        .record(
            "a",
            id,
            Outcome::Retry {
                at: at(30),
                words: "503".into(),
            },
            at(21),
        )
        .unwrap();
    assert_eq!(
        (outbox.row(id).attempts, outbox.row(id).reason.as_deref()),
        (1, Some("503"))
    );
    let blocked = Channel {
        blocked_until: Some(at(100)),
        ..Channel::default()
    };
    outbox.write(move |tx| set_channel(tx, CHAT, &blocked, at(31)));
    assert_eq!(outbox.claim("a", at(40)), Claim::Wait(at(100)));
    assert_eq!(outbox.claimed("a", at(100)), id);
}

#[test]
fn groups_are_merged_most_urgent_first_and_critical_ones_never() {
    let outbox = Outbox::new();
    let other = outbox.enter(Priority::High, Some("other"), at(0));
    let alone = outbox.enter(Priority::Critical, Some("g"), at(0));
    let members: Vec<NotificationId> = [
        Priority::Info,
        Priority::Medium,
        Priority::Medium,
        Priority::Info,
        Priority::Info,
    ]
    .into_iter()
    .map(|priority| outbox.enter(priority, Some("g"), at(0)))
    .collect();
    assert_eq!(outbox.claimed("a", at(0)), alone);
    assert_eq!(outbox.claimed("a", at(1)), alone, "its own lease: nothing was recorded");
    outbox.sent("a", alone, at(1));
    assert_eq!(outbox.claimed("a", at(2)), other);
    outbox.sent("a", other, at(2));
    let Claim::Digest(rows) = outbox.claim("a", at(70)) else {
        panic!("a digest")
    };
    let ids: Vec<NotificationId> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, [members[1], members[2], members[0], members[3]], "at most four");
    let terms = terms("a");
    let all = ids.clone();
    outbox.write(move |tx| {
        let outcome = Outcome::Sent {
            message_id: Some(9),
            words: "in a digest of 4".into(),
        };
        record(tx, &terms, &all, &outcome, at(71))
    });
    assert!(ids.iter().all(|id| outbox.row(*id).message_id == Some(9)));
    assert_eq!(outbox.claimed("a", at(72)), members[4]);
}

#[test]
fn a_clock_that_was_stepped_back_stops_nothing() {
    let outbox = Outbox::new();
    let year = Duration::from_secs(365 * 86_400);
    let ahead = plus(at(0), year);
    let tried = outbox.enter(Priority::High, None, ahead);
    outbox.claimed("a", ahead);
    outbox
        .record(
            "a",
            tried,
            Outcome::Retry {
                at: plus(ahead, year),
                words: "x".into(),
            },
            ahead,
        )
        .unwrap();
    let leased = outbox.enter(Priority::High, None, ahead);
    outbox.claimed("a", plus(ahead, Duration::from_secs(5)));
    let fresh = outbox.enter(Priority::High, None, ahead);
    let blocked = Channel {
        blocked_until: Some(plus(ahead, year)),
        ..Channel::default()
    };
    outbox.write(move |tx| set_channel(tx, CHAT, &blocked, ahead));
    for (second, id) in [(0, tried), (2, leased), (4, fresh)] {
        assert_eq!(outbox.claimed("b", at(second)), id);
        outbox.sent("b", id, at(second));
    }
}

#[test]
fn a_row_that_cannot_be_read_is_set_aside_and_unknown_facts_are_no_fault() {
    let outbox = Outbox::new();
    let bad = outbox.enter(Priority::Critical, None, at(0));
    let foreign = outbox.enter(Priority::High, None, at(0));
    outbox.sql("UPDATE notifications SET created_at = 'yesterday' WHERE id = 1");
    outbox.sql("UPDATE notifications SET facts = '{\"kind\":\"of_tomorrow\"}', kind = 'of_tomorrow' WHERE id = 2");
    match outbox.claim("a", at(0)) {
        Claim::Send(row) => assert_eq!((row.id, row.facts, row.kind.as_str()), (foreign, None, "of_tomorrow")),
        other => panic!("{other:?}"),
    }
    let state: (String, String) = outbox.write(move |tx| {
        Ok(tx.conn().query_row(
            "SELECT state, reason FROM notifications WHERE id = ?1",
            [bad.0],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?)
    });
    assert_eq!(state.0, "failed");
    assert!(state.1.starts_with("the row cannot be read: created_at"), "{}", state.1);
}

#[test]
fn old_rows_expire_unless_somebody_holds_them() {
    let outbox = Outbox::new();
    let day = Duration::from_secs(86_400);
    let now = plus(at(0), day * 2);
    let old = outbox.enter(Priority::High, None, at(0));
    let held = outbox.enter(Priority::Critical, None, at(0));
    assert_eq!(outbox.claimed("a", minus(now, Duration::from_secs(5))), held);
    let fresh = outbox.enter(Priority::High, None, minus(now, day / 2));
    let due = |now: Timestamp| {
        outbox
            .db
            .read_blocking("test", |tx| has_expired(tx, day, Duration::from_secs(600), now))
            .unwrap()
    };
    assert!(due(now));
    assert_eq!(outbox.write(move |tx| expire(tx, "a", day, now)), 1);
    assert_eq!(outbox.row(old).state, "expired");
    assert!(due(now), "a summary is missing");
    assert!(
        outbox
            .write(move |tx| summarise_expired(tx, Duration::from_secs(600), now))
            .is_some()
    );
    outbox.sent("a", held, now);
    assert!(!due(now));
    assert_eq!(outbox.row(fresh).state, "queued");
    outbox.write(move |tx| retry(tx, old, now));
    assert_eq!(
        outbox.write(move |tx| expire(tx, "a", day, now)),
        0,
        "a person wants it sent"
    );
}

/// Enters a notice of an incident.
fn of(outbox: &Outbox, incident: i64, priority: Priority, now: Timestamp) -> NotificationId {
    let facts = Facts::Raised {
        title: "x".into(),
        text: String::new(),
        priority,
    };
    let notice = Notice {
        incident: Some(IncidentId(incident)),
        ..Notice::about(facts)
    };
    outbox.write(move |tx| enqueue(tx, &notice, now))
}

fn told_of(outbox: &Outbox, ids: Vec<NotificationId>, message: i64, now: Timestamp) {
    let terms = terms("a");
    let outcome = Outcome::Sent {
        message_id: Some(message),
        words: String::new(),
    };
    outbox.write(move |tx| record(tx, &terms, &ids, &outcome, now));
}

fn edited(outbox: &Outbox, owner: &str, now: Timestamp) -> (Vec<NotificationId>, i64) {
    match outbox.claim(owner, now) {
        Claim::Edit { rows, message_id } => (rows.iter().map(|row| row.id).collect(), message_id),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_notice_of_an_incident_goes_before_all_followers_and_critical_ones_before_it() {
    let outbox = Outbox::new();
    let first = of(&outbox, 1, Priority::High, at(0));
    let follower = of(&outbox, 1, Priority::High, at(0));
    let other = of(&outbox, 2, Priority::Medium, at(0));
    let urgent = of(&outbox, 1, Priority::Critical, at(0));
    for (second, id) in [(0, urgent), (2, first), (4, other)] {
        assert_eq!(outbox.claimed("a", at(second)), id);
        outbox.sent("a", id, at(second));
    }
    assert_eq!(outbox.claimed("a", at(100)), follower);
    outbox.sent("a", follower, at(100));
    // More urgent than anything told so far of its incident, or after a long silence: people are woken anew.
    let turn = |id: NotificationId| -> i64 {
        outbox.write(move |tx| {
            Ok(tx
                .conn()
                .query_row("SELECT turn FROM notifications WHERE id = ?1", [id.0], |row| row.get(0))?)
        })
    };
    assert_eq!(turn(of(&outbox, 2, Priority::High, at(200))), 1);
    assert_eq!(turn(of(&outbox, 2, Priority::High, at(300))), 4);
    assert_eq!(turn(of(&outbox, 2, Priority::High, at(300 + 3_601))), 1);
}

#[test]
fn followers_are_written_into_the_message_of_their_incident_while_it_is_in_sight() {
    let outbox = Outbox::new();
    let first = of(&outbox, 1, Priority::High, at(0));
    assert_eq!(outbox.claimed("a", at(0)), first);
    outbox.sent("a", first, at(0));
    let followers: Vec<NotificationId> = (0..5).map(|_| of(&outbox, 1, Priority::Medium, at(1))).collect();
    let (ids, message) = edited(&outbox, "a", at(2));
    assert_eq!(
        (ids, message),
        (followers.clone(), 1),
        "the medium ones: a high one was told before them"
    );
    // Nobody else touches this incident meanwhile; another one does not wait for it.
    let late = of(&outbox, 1, Priority::Medium, at(3));
    assert!(matches!(outbox.claim("b", at(4)), Claim::Idle { next: Some(next) } if next > at(4)));
    let alone = of(&outbox, 2, Priority::High, at(4));
    assert_eq!(outbox.claimed("b", at(4)), alone);
    outbox.sent("b", alone, at(4));
    told_of(&outbox, followers.clone(), 1, at(5));
    let told = outbox
        .db
        .read_blocking("test", |tx| told(tx, CHAT, 1, 2))
        .unwrap()
        .unwrap();
    // Message 1 is also that of incident 2 in this test, so it is closed from now on.
    assert_eq!(told.first.id, first);
    assert_eq!(told.kinds, [("raised".to_owned(), 6)]);
    assert_eq!(told.newest.len(), 2);
    let more: Vec<NotificationId> = (0..3).map(|_| of(&outbox, 1, Priority::Medium, at(100))).collect();
    assert!(matches!(outbox.claim("a", at(100)), Claim::Digest(rows) if rows.len() == 4 && rows[0].id == late));
    told_of(&outbox, [vec![late], more].concat(), 7, at(101));
    // The digest is a message of the incident alone, so the next followers go there, until it is out of sight.
    for _ in 0..3 {
        of(&outbox, 1, Priority::Medium, at(102));
    }
    let (ids, message) = edited(&outbox, "a", at(200));
    assert_eq!((ids.len(), message), (3, 7));
    told_of(&outbox, ids, 7, at(201));
    for _ in 0..3 {
        of(&outbox, 1, Priority::Medium, at(300));
    }
    assert!(matches!(outbox.claim("a", at(102 + 900)), Claim::Digest(rows) if rows.len() == 3));
}

#[test]
fn a_message_that_cannot_be_edited_is_left_alone_from_then_on() {
    let outbox = Outbox::new();
    let first = of(&outbox, 1, Priority::High, at(0));
    assert_eq!(outbox.claimed("a", at(0)), first);
    outbox.sent("a", first, at(0));
    for _ in 0..3 {
        of(&outbox, 1, Priority::High, at(1));
    }
    let (ids, message) = edited(&outbox, "a", at(2));
    let step = Step::Uneditable {
        message_id: message,
        words: "gone".into(),
    };
    let (mine, terms) = (ids.clone(), terms("a"));
    outbox.write(move |tx| note(tx, &terms, &mine, &step, at(2)));
    assert!(matches!(outbox.claim("a", at(4)), Claim::Digest(rows) if rows.len() == ids.len()));
}

#[test]
fn in_a_storm_most_of_the_pace_is_kept_for_incidents_that_begin() {
    let outbox = Outbox::new();
    let pace = Pace {
        per_window: 20,
        reserve: 4,
        window: Duration::from_secs(61),
        gap: Duration::from_secs(1),
    };
    let terms = Terms { pace, ..terms("a") };
    let terms = Terms {
        grouping: Grouping {
            same_group: 3,
            storm: 15,
            most: 40,
        },
        ..terms
    };
    let now = at(0);
    outbox.write(move |tx| {
        for _ in 0..100 {
            // Of a kind that is never merged, and not the first of anything.
            let facts = Facts::WouldWithdraw {
                prefix: "203.0.113.0/24".parse().unwrap(),
                calm_s: 900,
            };
            enqueue(tx, &Notice::about(facts), now)?;
        }
        Ok(())
    });
    let mut second = 0;
    let mut sent = (0, 0);
    while second < 60 {
        // From the twentieth second on an incident begins every third one.
        if second >= 20 && second % 3 == 0 {
            of(&outbox, 1_000 + second as i64, Priority::High, at(second));
        }
        let given = terms.clone();
        if let Claim::Send(row) = outbox.write(move |tx| claim(tx, &given, None, at(second))) {
            if row.incident.is_some() {
                sent.1 += 1;
                assert_eq!(row.created_at, at(second), "at once");
            } else {
                sent.0 += 1;
            }
            let given = terms.clone();
            outbox.write(move |tx| {
                let outcome = Outcome::Sent {
                    message_id: Some(second as i64),
                    words: String::new(),
                };
                record(tx, &given, &[row.id], &outcome, at(second))
            });
        }
        second += 1;
        if sent.1 == 10 {
            break;
        }
    }
    assert_eq!(sent, (6, 10));
}
