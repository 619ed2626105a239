//! `db`: status, check, backup, query, migrate.

use std::fs;

use crate::support::{self, filters};
use crate::world::{command, database, notice, run, site};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_made_looked_at_checked_and_copied() {
    let site = site().await;
    let missing = run(&site, &["db", "status"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("cloudflare-mt db migrate"),
        "{}",
        missing.shown()
    );
    assert!(!site.database().exists());
    let made = run(&site, &["db", "migrate", "--json"]).json();
    assert_eq!(
        (&made["before"], &made["schema_version"]),
        (&serde_json::Value::Null, &db::SCHEMA_VERSION.into())
    );
    assert!(run(&site, &["db", "migrate"]).stdout.contains("already"));
    notice(&database(&site), "one").await;
    let status = run(&site, &["db", "status"]);
    assert_eq!(status.code, 0, "{}", status.shown());
    assert!(
        status.stdout.contains("1 waiting, 0 failed, 0 expired"),
        "{}",
        status.shown()
    );
    let status = run(&site, &["db", "status", "--json"]).json();
    assert_eq!(
        (&status["writable"], &status["counts"]["messages_waiting"]),
        (&true.into(), &1.into())
    );
    let sound = run(&site, &["db", "check"]);
    assert_eq!(sound.code, 0, "{}", sound.shown());
    let copy = site.path().join("copy.db");
    let name = copy.to_str().unwrap();
    let saved = run(&site, &["db", "backup", name]);
    assert_eq!(saved.code, 0, "{}", saved.shown());
    let again = run(&site, &["db", "backup", name, "--json"]);
    assert_eq!(
        (again.code, again.json()["error"]["code"].clone()),
        (1, "db.backup_exists".into())
    );
    assert!(db::Db::open(&copy, db::OpenOptions::read_only()).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found() {
    let site = site().await;
    let db = database(&site);
    for n in 0..200 {
        notice(&db, &format!("row {n}")).await;
    }
    assert!(db.close(std::time::Duration::from_secs(5)).await.checkpointed);
    drop(db);
    let mut bytes = fs::read(site.database()).unwrap();
    let length = bytes.len();
    for byte in &mut bytes[length / 2..length / 2 + 9_000] {
        *byte ^= 0x5a;
    }
    fs::write(site.database(), bytes).unwrap();
    let damaged = run(&site, &["db", "check", "--json"]);
    assert_eq!(damaged.code, 1, "{}", damaged.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_reads_and_nothing_else() {
    let site = site().await;
    notice(&database(&site), "one\u{1b}[2J").await;
    let table = run(
        &site,
        &["db", "query", "SELECT id, kind, state, reason FROM notifications"],
    );
    assert_eq!(table.code, 0, "{}", table.shown());
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("db-query", table.shown());
    });
    let json = run(
        &site,
        &["--json", "db", "query", "SELECT 1 AS one, NULL AS none, 'x' AS text"],
    )
    .json();
    assert_eq!(json["rows"], serde_json::json!([[1, null, "x"]]));
    let facts = run(&site, &["db", "query", "SELECT facts FROM notifications"]);
    assert!(!facts.stdout.contains('\u{1b}'), "{}", facts.shown());
    for sql in [
        "DELETE FROM notifications",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM nowhere",
    ] {
        let refused = run(&site, &["db", "query", sql]);
        assert_eq!(refused.code, 2, "{}", refused.shown());
    }
    let piped = support::run_with_input(
        command(&site, &["db", "query", "-", "--json"]),
        "SELECT count(*) FROM notifications",
    );
    assert_eq!(piped.json()["rows"], serde_json::json!([[1]]));
    let cut = run(
        &site,
        &["db", "query", "--limit", "1", "SELECT value FROM json_each('[1,2]')"],
    );
    assert!(cut.stderr.contains("1 row, and more"), "{}", cut.shown());
}
