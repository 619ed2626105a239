//! Old files open, keep every row and end with the schema of a new file; a migration happens whole or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite_migration::M;

use super::*;
use crate::open::{OpenError, OpenOptions};
use crate::store::Db;

const BASE: &str = include_str!("../../tests/fixtures/predecessor/base.sql");
const ASN: &str = include_str!("../../tests/fixtures/predecessor/asn_columns.sql");
const CALM_CODE: &str = include_str!("../../tests/fixtures/predecessor/calm_of_code.sql");
const CALM_DOCS: &str = include_str!("../../tests/fixtures/predecessor/calm_of_docs.sql");
const BY_HAND: &str = include_str!("../../tests/fixtures/predecessor/by_hand.sql");

/// Every kind of predecessor file: with and without the calm table (of the code or of the documents) and the ASN columns.
const VARIANTS: [(&str, &[&str]); 6] = [
    ("bare", &[BASE]),
    ("asn", &[BASE, ASN]),
    ("calm", &[BASE, CALM_CODE]),
    ("calm_docs", &[BASE, CALM_DOCS]),
    ("calm_asn", &[BASE, ASN, CALM_CODE]),
    ("by_hand", &[BASE, ASN, CALM_CODE, BY_HAND]),
];

fn predecessor(path: &Path, scripts: &[&str]) {
    let conn = Connection::open(path).unwrap();
    for script in scripts {
        conn.execute_batch(script).unwrap();
    }
}

fn open(path: &Path) -> Result<Db, OpenError> {
    Db::open(path, OpenOptions::default())
}

fn opened(path: &Path) -> Connection {
    drop(open(path).unwrap());
    Connection::open(path).unwrap()
}

/// All rows of a table as maps from column to value.
fn rows(conn: &Connection, table: &str) -> Vec<BTreeMap<String, Value>> {
    let mut statement = conn.prepare(&format!("SELECT * FROM {table} ORDER BY rowid")).unwrap();
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mapped = statement.query_map([], |row| {
        names
            .iter()
            .enumerate()
            .map(|(i, name)| Ok((name.clone(), row.get::<_, Value>(i)?)))
            .collect()
    });
    mapped.unwrap().collect::<Result<_, _>>().unwrap()
}

fn tables(conn: &Connection) -> Vec<String> {
    let mut list = conn
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap();
    list.query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// The schema as text without anything that carries no meaning.
fn schema(conn: &Connection) -> BTreeMap<(String, String), String> {
    let mut list = conn
        .prepare("SELECT type, name, COALESCE(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'")
        .unwrap();
    let mapped = list.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get::<_, String>(2)?)));
    let all: Vec<((String, String), String)> = mapped.unwrap().collect::<Result<_, _>>().unwrap();
    all.into_iter()
        .map(|(key, sql)| (key, sql.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

fn columns(conn: &Connection, table: &str) -> Vec<(String, String, bool, Option<String>, i64)> {
    let mut list = conn
        .prepare("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_xinfo(?1) ORDER BY cid")
        .unwrap();
    let mapped = list.query_map([table], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)));
    mapped.unwrap().collect::<Result<_, _>>().unwrap()
}

fn assert_same_schema(a: &Connection, b: &Connection) {
    assert_eq!(schema(a), schema(b));
    for table in tables(a) {
        assert_eq!(columns(a, &table), columns(b, &table), "columns of {table}");
    }
}

fn copies(path: &Path) -> Vec<PathBuf> {
    let name = format!("{}.before-v{LATEST}-", path.file_name().unwrap().to_string_lossy());
    let mut found: Vec<_> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    found.retain(|p| p.file_name().unwrap().to_string_lossy().starts_with(&name));
    found
}

#[test]
fn the_number_of_steps_is_the_latest_version() {
    assert_eq!(i64::try_from(steps().len()).unwrap(), LATEST);
    assert_eq!(crate::SCHEMA_VERSION, LATEST);
}

#[test]
fn every_kind_of_predecessor_file_opens_and_keeps_every_row() {
    for (variant, scripts) in VARIANTS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("magic_transit.db");
        predecessor(&path, scripts);
        let before = Connection::open(&path).unwrap();
        let old: Vec<_> = tables(&before).into_iter().map(|t| (rows(&before, &t), t)).collect();
        drop(before);

        let conn = opened(&path);
        for (old_rows, table) in old {
            let new_rows = rows(&conn, &table);
            let left: i64 = conn
                .query_row(
                    "SELECT count(*) FROM predecessor_leftovers WHERE table_name = ?1",
                    [&table],
                    |r| r.get(0),
                )
                .unwrap();
            assert_eq!(
                new_rows.len() + usize::try_from(left).unwrap(),
                old_rows.len(),
                "{variant}: rows of {table}"
            );
            if left > 0 {
                continue;
            }
            for (new, old) in new_rows.iter().zip(&old_rows) {
                for (column, value) in old {
                    let kept = new.get(&format!("{column}_by_hand")).or(new.get(column));
                    assert_eq!(kept, Some(value), "{variant}: {table}.{column}");
                }
            }
        }
        let found: String = conn.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
        assert_eq!(found, "ok", "{variant}");
    }
}

#[test]
fn a_migrated_file_has_the_schema_of_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = opened(&dir.path().join("fresh.db"));
    for (variant, scripts) in VARIANTS.iter().filter(|(name, _)| *name != "by_hand") {
        let path = dir.path().join(format!("{variant}.db"));
        predecessor(&path, scripts);
        assert_same_schema(&opened(&path), &fresh);
    }
}

#[test]
fn what_somebody_added_by_hand_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    predecessor(&path, &[BASE, ASN, CALM_CODE, BY_HAND]);
    let conn = opened(&path);
    let one = |sql: &str| conn.query_row(sql, [], |r| r.get::<_, String>(0)).unwrap();
    assert_eq!(
        one("SELECT \"ticket no\" FROM attack_events WHERE event_type = 'END'"),
        "INC-7"
    );
    assert_eq!(
        one("SELECT DISTINCT source_city_by_hand FROM network_analytics_events"),
        "Exampleton"
    );
    assert_eq!(one("SELECT prefix FROM last_withdrawals LIMIT 1"), "198.51.100.0/24");
    conn.execute("INSERT INTO withdrawal_history (prefix) VALUES ('192.0.2.0/24')", [])
        .unwrap();
    assert_eq!(
        one("SELECT who FROM shift_log ORDER BY id DESC LIMIT 1"),
        "192.0.2.0/24"
    );
    let index = |name: &str| -> bool {
        conn.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?1)",
            [name],
            |r| r.get(0),
        )
        .unwrap()
    };
    assert!(index("idx_mine_created"));
    assert!(
        !index("idx_mine_same_as_yours"),
        "a second index on the same column serves nobody"
    );
    assert!(!index("idx_mine_unique"), "a unique index would swallow deliveries");
}

#[test]
fn a_later_delivery_of_the_same_alert_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    for scripts in [&[BASE][..], &[]] {
        let path = dir.path().join(format!("{}.db", scripts.len()));
        predecessor(&path, scripts);
        let conn = opened(&path);
        for _ in 0..2 {
            conn.execute(
                "INSERT INTO webhook_events (alert_id, event_state) VALUES ('a-1', 'ALERT_STATE_EVENT_START')",
                [],
            )
            .unwrap();
        }
    }
}

#[test]
fn the_documented_queries_go_on_working() {
    let dir = tempfile::tempdir().unwrap();
    let queries = [
        "SELECT id, event_type, alert_type, prefix, action_taken, created_at FROM attack_events ORDER BY created_at DESC LIMIT 10",
        "SELECT count(*) FROM attack_events WHERE date(created_at) = date('now')",
        "SELECT id, prefix, withdrawn_at, protection_duration_seconds, withdraw_method, status, notes FROM withdrawal_history",
        "SELECT alert_id, event_state, received_at, action_taken, alert_type FROM webhook_events ORDER BY received_at DESC",
        "SELECT id, event_datetime, attack_vector, source_ip, destination_port, packets, notified_at FROM network_analytics_events",
        "SELECT source_asn, source_asn_name, source_country FROM network_analytics_events",
        "SELECT prefix, under_attack, last_updated, calm_minutes, dropped_packets, dropped_bits FROM prefix_calm_status",
        "SELECT prefix, advertised, calm_since, last_attack_packets, last_attack_mbps, mitigation_systems, updated_at FROM prefix_calm_status",
        "SELECT prefix, withdraw_after, status, last_error, retry_count FROM pending_withdrawals",
        "PRAGMA integrity_check",
    ];
    for (variant, scripts) in VARIANTS {
        let path = dir.path().join(format!("{variant}.db"));
        predecessor(&path, scripts);
        let conn = opened(&path);
        for query in queries {
            let mut statement = conn
                .prepare(query)
                .unwrap_or_else(|e| panic!("{variant}: {query}: {e}"));
            let mut rows = statement.query([]).unwrap();
            while rows.next().unwrap().is_some() {}
        }
        let n: i64 = conn
            .query_row(
                "SELECT count(*) FROM attack_events WHERE date(created_at) = '2026-01-03'",
                [],
                |r| r.get(0),
            )
            .unwrap();
        assert_eq!(n, 3, "{variant}: both time forms count");
    }
}

#[test]
fn the_upsert_of_the_predecessors_daemon_goes_on_working() {
    let dir = tempfile::tempdir().unwrap();
    for (variant, scripts) in VARIANTS {
        let path = dir.path().join(format!("{variant}.db"));
        predecessor(&path, scripts);
        let conn = opened(&path);
        for packets in [1, 2] {
            let sql = "INSERT INTO prefix_calm_status (prefix, last_attack_packets) VALUES ('203.0.113.0/24', ?1) \
                       ON CONFLICT(prefix) DO UPDATE SET last_attack_packets = excluded.last_attack_packets";
            conn.execute(sql, [packets]).unwrap();
        }
        let got: i64 = conn
            .query_row(
                "SELECT last_attack_packets FROM prefix_calm_status WHERE prefix = '203.0.113.0/24'",
                [],
                |r| r.get(0),
            )
            .unwrap();
        assert_eq!(got, 2, "{variant}");
    }
}

#[test]
fn of_two_rows_with_one_key_the_newest_state_wins_and_the_other_is_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    predecessor(&path, &[BASE, CALM_DOCS]);
    let conn = opened(&path);
    let minutes: f64 = conn
        .query_row(
            "SELECT calm_minutes FROM prefix_calm_status WHERE prefix = '203.0.113.0/24'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert!((minutes - 10.0).abs() < f64::EPSILON);
    let left: String = conn
        .query_row(
            "SELECT row_json FROM predecessor_leftovers WHERE table_name = 'prefix_calm_status'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert!(left.contains("\"calm_minutes\":3.5"), "{left}");
}

#[test]
fn ids_are_never_given_out_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    predecessor(&path, &[BASE]);
    let conn = opened(&path);
    conn.execute("INSERT INTO attack_events (event_type) VALUES ('START')", [])
        .unwrap();
    assert_eq!(
        conn.last_insert_rowid(),
        10,
        "id 9 was given to a row that was deleted later"
    );
}

#[test]
fn a_time_that_the_old_table_did_not_have_stays_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    predecessor(
        &path,
        &[
            "CREATE TABLE attack_events (id INTEGER PRIMARY KEY, event_type TEXT); INSERT INTO attack_events VALUES (7, 'START')",
        ],
    );
    let conn = opened(&path);
    let row: (i64, Option<String>) = conn
        .query_row("SELECT id, created_at FROM attack_events", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .unwrap();
    assert_eq!(row, (7, None));
}

#[test]
fn the_copy_from_before_is_complete_sound_and_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("magic_transit.db");
    predecessor(&path, &[BASE, CALM_CODE]);
    let old = rows(&Connection::open(&path).unwrap(), "webhook_events");
    let first = opened(&path);
    let second = opened(&path);
    assert_same_schema(&first, &second);
    let found = copies(&path);
    assert_eq!(
        found.len(),
        1,
        "opening again changes nothing and copies nothing: {found:?}"
    );
    let copy = Connection::open(&found[0]).unwrap();
    assert_eq!(rows(&copy, "webhook_events"), old);
    let version: i64 = copy.query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap();
    assert_eq!(version, 0);
    // The copy can be put back: it is a file of the predecessor again and opens like one.
    drop(copy);
    let restored = dir.path().join("restored.db");
    std::fs::copy(&found[0], &restored).unwrap();
    assert_same_schema(&opened(&restored), &first);
}

#[test]
fn a_new_or_empty_file_needs_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (absent, empty) = (dir.path().join("absent.db"), dir.path().join("empty.db"));
    std::fs::write(&empty, b"").unwrap();
    assert_same_schema(&opened(&absent), &opened(&empty));
    assert!(copies(&absent).is_empty() && copies(&empty).is_empty());
}

/// Every version that was ever released must open. Version 1 to the newest are built from the steps themselves; once a version
/// is out, its real schema can be added as a fixture here.
#[test]
fn every_older_version_of_our_own_opens_and_ends_with_the_new_schema() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = opened(&dir.path().join("fresh.db"));
    for version in 1..=steps().len() {
        let path = dir.path().join(format!("v{version}.db"));
        let mut conn = Connection::open(&path).unwrap();
        apply(&mut conn, steps().into_iter().take(version).collect()).unwrap();
        conn.execute(
            "INSERT INTO attack_events (event_type, prefix) VALUES ('START', '192.0.2.0/24')",
            [],
        )
        .unwrap();
        drop(conn);
        let conn = opened(&path);
        assert_same_schema(&conn, &fresh);
        let kept: String = conn
            .query_row("SELECT prefix FROM attack_events", [], |r| r.get(0))
            .unwrap();
        assert_eq!(kept, "192.0.2.0/24", "version {version}");
        assert_eq!(
            copies(&path).len(),
            usize::from(version < steps().len()),
            "version {version}"
        );
    }
}

#[test]
fn litestreams_own_tables_are_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let litestream = "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); CREATE TABLE _litestream_lock (id INTEGER)";
    predecessor(&path, &[litestream]);
    assert!(tables(&opened(&path)).contains(&"_litestream_seq".to_owned()));
}

/// All steps, then one that changes something and fails in the middle.
fn steps_with_a_fault(fault: fn()) -> Vec<M<'static>> {
    let mut all = steps();
    all.push(M::up_with_hook(
        "CREATE TABLE half (a); DELETE FROM webhook_events;",
        move |_: &rusqlite::Transaction<'_>| {
            fault();
            Err(HookError::Hook("injected".into()))
        },
    ));
    all
}

#[test]
fn a_failing_migration_leaves_everything_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    predecessor(&path, &[BASE]);
    let mut conn = Connection::open(&path).unwrap();
    let (old_schema, old_rows) = (schema(&conn), rows(&conn, "webhook_events"));
    let error = apply(&mut conn, steps_with_a_fault(|| ())).unwrap_err();
    assert!(crate::error::chain(&error).contains("injected"), "{error:?}");
    assert_eq!(schema(&conn), old_schema);
    assert_eq!(rows(&conn, "webhook_events"), old_rows);
    drop(conn);
    drop(opened(&path));
}

#[test]
fn a_dangling_reference_undoes_the_migration() {
    let mut conn = Connection::open_in_memory().unwrap();
    let mut all = steps();
    all.push(M::up(
        "CREATE TABLE child (a REFERENCES attack_events(id)); INSERT INTO child VALUES (99);",
    ));
    assert!(apply(&mut conn, all).is_err());
    assert!(tables(&conn).is_empty());
    let on: bool = conn.query_row("PRAGMA foreign_keys", [], |r| r.get(0)).unwrap();
    assert!(on, "foreign keys are enforced again afterwards");
}

const CRASH_AT: &str = "DB_TEST_CRASH_IN_MIGRATION_OF";

/// Run by `a_crash_in_the_middle_of_a_migration_leaves_the_old_state` in a process of its own.
#[test]
#[ignore = "the victim of another test"]
fn victim_that_dies_in_a_migration() {
    let Some(path) = std::env::var_os(CRASH_AT) else { return };
    let mut conn = Connection::open(path).unwrap();
    let _: String = conn.query_row("PRAGMA journal_mode=WAL", [], |r| r.get(0)).unwrap();
    // Everything of the transaction reaches the disk before the crash, so that there is something to undo.
    conn.pragma_update(None, "cache_size", 2).unwrap();
    let _ = apply(&mut conn, steps_with_a_fault(|| std::process::abort()));
}

#[test]
fn a_crash_in_the_middle_of_a_migration_leaves_the_old_state() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    predecessor(&path, &[BASE]);
    let fill = "INSERT INTO webhook_events (alert_id, payload) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
                SELECT 'fill-' || i, hex(zeroblob(200)) FROM n";
    Connection::open(&path).unwrap().execute(fill, []).unwrap();
    let before = Connection::open(&path).unwrap();
    let (old_schema, old_rows) = (schema(&before), rows(&before, "webhook_events"));
    drop(before);

    let died = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "migrate::tests::victim_that_dies_in_a_migration",
            "--ignored",
        ])
        .env(CRASH_AT, &path)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(died.code(), None, "it was to die by a signal");
    let wal = std::fs::metadata(crate::open::place::beside(&path, "-wal"))
        .unwrap()
        .len();
    assert!(
        wal > 100_000,
        "the crash came before anything was written ({wal} bytes)"
    );

    let after = Connection::open(&path).unwrap();
    assert_eq!(schema(&after), old_schema);
    assert_eq!(rows(&after, "webhook_events"), old_rows);
    drop(after);
    assert_eq!(rows(&opened(&path), "webhook_events").len(), old_rows.len());
}
