//! Lists over twenty thousand rows: pages without gap or repetition under every filter, and no plan that reads a table
//! from end to end.

use std::time::Duration;

use domain::prefix::Prefix;
use domain::time::plus;

use super::*;
use crate::tables::{analytics, events, tallies};
use crate::{Db, OpenOptions, WriteTx};

const ROWS: u32 = 20_000;

fn begin() -> Timestamp {
    Timestamp::from_second(1_768_464_000).unwrap()
}

fn instant(row: u32) -> Timestamp {
    plus(begin(), Duration::from_secs(u64::from(row) * 7))
}

fn prefix(number: u32) -> Prefix {
    format!("198.51.{number}.0/24").parse().unwrap()
}

/// A hundred prefixes, one row in a thousand says something rare.
fn fill(tx: &WriteTx<'_>) -> Result<(), DbError> {
    for row in 0..ROWS {
        let now = instant(row);
        let rare = row % 1_000 == 17;
        let event = events::NewEvent {
            event_type: if row % 2 == 0 { "START" } else { "END" }.into(),
            alert_type: if rare {
                "bgp_hijack_notification"
            } else {
                "dos_attack_l4"
            }
            .into(),
            attack_id: Some(format!("a{row}")),
            prefixes: vec![prefix(row % 100)],
            policy_name: rare.then(|| "a 100% Rare_one".into()),
            is_test: row % 500 == 0,
            ..events::NewEvent::default()
        };
        events::append(tx, &event, now)?;
        let traffic = analytics::NewRow {
            event_datetime: domain::time::rfc3339_seconds(now),
            attack_id: Some(format!("a{}", row % 10)),
            source_ip: Some(format!("192.0.2.{}", row % 256)),
            prefix: (row % 4 != 0).then(|| prefix(row % 100)),
            ..analytics::NewRow::default()
        };
        analytics::store(tx, &traffic, now)?;
    }
    Ok(())
}

fn filled() -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("mt.db"), OpenOptions::default()).unwrap();
    db.write_blocking("fill", fill).unwrap();
    (folder, db)
}

fn all(db: &Db, filter: &attacks::Filter, limit: u32) -> (Vec<i64>, u32) {
    let (mut ids, mut pages, mut before) = (Vec::new(), 0, None);
    loop {
        let page = Page { before, limit };
        let found = db.read_blocking("page", |tx| attacks::list(tx, filter, page)).unwrap();
        assert!(found.rows.len() <= limit as usize);
        ids.extend(found.rows.iter().map(|row| row.id));
        pages += 1;
        match found.next {
            Some(next) => before = Some(next),
            None => return (ids, pages),
        }
    }
}

#[test]
fn every_page_has_its_rows_and_the_list_ends() {
    let (_folder, db) = filled();
    let everything = attacks::Filter::default();
    let (ids, pages) = all(&db, &everything, 500);
    assert_eq!(pages, 40, "no empty page at the end");
    assert_eq!(ids, (1..=i64::from(ROWS)).rev().collect::<Vec<_>>());

    let one = attacks::Filter {
        prefix: Some(prefix(42)),
        ..everything.clone()
    };
    let (ids, _) = all(&db, &one, 50);
    assert_eq!(ids.len(), 200);
    assert!(ids.iter().all(|id| (id - 1) % 100 == 42));

    let rare = attacks::Filter {
        text: Some("100% RARE_".into()),
        ..everything.clone()
    };
    let (ids, pages) = all(&db, &rare, 50);
    assert_eq!(ids.len(), 20);
    assert!((20..=21).contains(&pages), "a window a page: {pages}");

    let both = attacks::Filter {
        prefix: Some(prefix(17)),
        alert_type: Some("bgp_hijack_notification".into()),
        event_type: Some("END".into()),
        ..everything.clone()
    };
    assert_eq!(all(&db, &both, 7).0.len(), 20);

    let span = Span {
        since: Some(instant(100)),
        until: Some(instant(200)),
    };
    let (ids, _) = all(&db, &attacks::Filter { span, ..everything }, 33);
    assert_eq!(ids, (101..=200).rev().collect::<Vec<i64>>());
}

#[test]
fn a_page_that_is_cut_says_how_far_back_it_looked() {
    let (_folder, db) = filled();
    let read = |text: &str, before| {
        let filter = attacks::Filter {
            text: Some(text.into()),
            ..attacks::Filter::default()
        };
        let page = Page { before, limit: 50 };
        db.read_blocking("page", |tx| attacks::list(tx, &filter, page)).unwrap()
    };
    // Row number n was recorded at instant(n - 1); the newest window ends with row ROWS - TEXT_WINDOW + 1.
    let nothing = read("nowhere", None);
    assert_eq!(
        (nothing.rows.len(), nothing.next),
        (0, Some(i64::from(ROWS - TEXT_WINDOW + 1)))
    );
    assert_eq!(nothing.searched_to, Some(instant(ROWS - TEXT_WINDOW)));
    let last = read("nowhere", Some(i64::from(TEXT_WINDOW) / 2));
    assert_eq!(
        (last.next, last.searched_to),
        (None, None),
        "all of it was looked through"
    );
    let full = read("dos_attack_l4", None);
    assert_eq!(
        (full.rows.len(), full.searched_to),
        (50, None),
        "a full page is whole as far as it goes"
    );
}

#[test]
fn a_cursor_whose_row_is_gone_goes_on_where_it_was() {
    let (_folder, db) = filled();
    db.write_blocking("prune", |tx| {
        tx.conn()
            .execute("DELETE FROM attack_events WHERE id BETWEEN 90 AND 100", [])?;
        Ok(())
    })
    .unwrap();
    let page = Page {
        before: Some(100),
        limit: 2,
    };
    let listed = db
        .read_blocking("page", |tx| attacks::list(tx, &attacks::Filter::default(), page))
        .unwrap();
    assert_eq!(listed.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [88, 87]);
    let nothing = Page {
        before: Some(0),
        limit: 2,
    };
    let listed = db
        .read_blocking("page", |tx| attacks::list(tx, &attacks::Filter::default(), nothing))
        .unwrap();
    assert_eq!((listed.rows.len(), listed.next), (0, None));
}

#[test]
fn tallies_follow_every_change() {
    use tallies::{Tally, get};
    let (_folder, db) = filled();
    let read = |tally| db.read_blocking("tally", |tx| get(tx, tally)).unwrap();
    assert_eq!((read(Tally::Attacks), read(Tally::Analytics)), (9_960, 20_000));
    db.write_blocking("prune", |tx| {
        tx.conn().execute("DELETE FROM attack_events WHERE id <= 501", [])?;
        tx.conn()
            .execute("UPDATE attack_events SET event_type = 'NOTE' WHERE id = 503", [])?;
        tx.conn()
            .execute("DELETE FROM network_analytics_events WHERE id = 1", [])?;
        Ok(())
    })
    .unwrap();
    let counted: u64 = db
        .read_blocking("count", |tx| {
            Ok(tx.conn().query_row(
                "SELECT count(*) FROM attack_events WHERE event_type = 'START' AND is_test = 0",
                [],
                |row| row.get(0),
            )?)
        })
        .unwrap();
    assert_eq!((read(Tally::Attacks), read(Tally::Analytics)), (counted, 19_999));
}

/// Every combination of what a person can ask for.
fn queries() -> Vec<(String, Query)> {
    let page = Page {
        before: None,
        limit: 50,
    };
    let mut found = Vec::new();
    for bits in 0..32_u32 {
        let on = |bit: u32| bits & (1 << bit) != 0;
        let span = if on(0) {
            Span {
                since: Some(begin()),
                until: Some(instant(ROWS)),
            }
        } else {
            Span::default()
        };
        let own = on(1).then(|| prefix(7));
        let word = |bit: u32| on(bit).then(|| "word".to_owned());
        let text = word(4);
        let attacks = attacks::Filter {
            span,
            prefix: own,
            event_type: word(2),
            alert_type: word(3),
            own: on(3),
            attack_id: word(1),
            text: text.clone(),
        };
        let traffic = traffic::Filter {
            span,
            prefix: own,
            own: on(2),
            attack_id: word(3),
            text: text.clone(),
        };
        let deliveries = deliveries::Filter {
            span,
            prefix: own,
            alert_type: word(2),
            text: text.clone(),
        };
        let messages = messages::Filter {
            span,
            state: word(1),
            kind: word(2),
            text: text.clone(),
        };
        let changes = changes::Filter {
            span,
            actor: word(1),
            action: word(2),
            text: text.clone(),
        };
        let withdrawals = Records {
            span,
            prefix: own,
            text: text.clone(),
        };
        let incidents = Records {
            span,
            prefix: None,
            text,
        };
        found.push((format!("{attacks:?}"), attacks.query(page)));
        found.push((format!("{traffic:?}"), traffic.query(page)));
        found.push((format!("{deliveries:?}"), deliveries.query(page)));
        found.push((format!("{messages:?}"), messages.query(page)));
        found.push((format!("{changes:?}"), changes.query(page)));
        found.push((
            format!("{withdrawals:?}"),
            super::withdrawals::query(&withdrawals, page),
        ));
        found.push((format!("{incidents:?}"), super::incidents::query(&incidents, page)));
    }
    found
}

#[test]
fn no_list_sorts_or_reads_a_table_from_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("mt.db"), OpenOptions::default()).unwrap();
    for (what, query) in queries() {
        let plan = db.read_blocking("plan", |tx| query.plan(tx)).unwrap();
        assert!(!plan.is_empty());
        for step in plan {
            let sorts = step.contains("TEMP B-TREE");
            let bare = step.starts_with("SCAN") && !step.contains("INDEX");
            assert!(!sorts && !bare, "{what}: {step}");
        }
        // What leads is found by its own index, not looked for along the instants.
        let lead = query.lead.as_ref().map(|lead| lead.sql);
        if let Some(lead) = lead.filter(|sql| sql.ends_with("= ?")) {
            let column = lead.trim_end_matches(" = ?");
            let plan = db.read_blocking("plan", |tx| query.plan(tx)).unwrap();
            assert!(
                plan.iter().any(|step| step.contains(&format!("({column}=?"))),
                "{what}: {plan:?}"
            );
        }
    }
}

/// What pages ask for with every change, as the modules write it.
const OF_THE_SITUATION: [&str; 9] = [
    "SELECT id FROM incidents INDEXED BY incidents_going_on
       WHERE withdrawn_at IS NULL AND is_test = 0 AND last_sign_at >= '' ORDER BY began_at DESC LIMIT 50",
    "SELECT id FROM incidents WHERE id < 9 ORDER BY id DESC LIMIT 8",
    "SELECT * FROM notifications WHERE state = 'failed' ORDER BY created_at DESC, id DESC LIMIT 1",
    "SELECT count(*), min(created_at) FROM notifications WHERE state = 'queued'",
    "SELECT count(*) FROM notifications WHERE state = 'failed'",
    "SELECT received_at FROM webhook_events ORDER BY id DESC LIMIT 1",
    "SELECT id FROM attack_events WHERE id < 9 ORDER BY id DESC LIMIT 60",
    "SELECT count(*) FROM attack_events WHERE event_type = 'START' AND created_at > '' AND is_test = 0",
    "SELECT count(*) FROM network_analytics_events WHERE notified_at > ''",
];

#[test]
fn pages_ask_for_nothing_that_reads_a_table_from_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("mt.db"), OpenOptions::default()).unwrap();
    for sql in OF_THE_SITUATION {
        let plan: Vec<String> = db
            .read_blocking("plan", |tx| {
                let mut explain = tx.conn().prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let steps = explain.query_map([], |row| row.get(3))?;
                Ok(steps.collect::<Result<_, _>>()?)
            })
            .unwrap();
        // In the order of its own numbers a table is read only as far as the limit goes.
        let bounded = sql.contains("ORDER BY id DESC LIMIT") && !sql.contains("WHERE");
        let ends = plan.iter().all(|step| !step.starts_with("SCAN") || bounded);
        let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE")) && !sql.contains("incidents_going_on");
        assert!(ends && !sorts, "{sql}: {plan:?}");
    }
}
