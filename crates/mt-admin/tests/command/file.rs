//! `db`: status, check, backup, restore, query, prune, migrate.

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

#[tokio::test(flavor = "multi_thread")]
async fn dated_copies_are_thinned_out_and_remembered() {
    let site = site().await;
    notice(&database(&site), "one").await;
    let folder = site.path().join("backups");
    fs::create_dir(&folder).unwrap();
    let stem = site.database().file_stem().unwrap().to_str().unwrap().to_owned();
    for day in 1..5 {
        fs::write(folder.join(format!("{stem}-2026010{day}T000000Z.db")), "old").unwrap();
    }
    fs::write(folder.join("mine.db"), "kept").unwrap();
    let arguments = [
        "db",
        "backup",
        "--dated",
        "--keep",
        "2",
        folder.to_str().unwrap(),
        "--json",
    ];
    let made = run(&site, &arguments);
    assert_eq!(made.code, 0, "{}", made.shown());
    assert_eq!(made.json()["removed"].as_array().unwrap().len(), 3);
    let copy = made.json()["path"].as_str().unwrap().to_owned();
    assert!(db::Db::open(&copy, db::OpenOptions::read_only()).is_ok());
    let mut left: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    left.sort();
    let kept = [
        folder.join(format!("{stem}-20260104T000000Z.db")),
        copy.into(),
        folder.join("mine.db"),
    ];
    assert!(
        kept.iter().all(|path| left.contains(path)) && left.len() == 3,
        "{left:?}"
    );
    let said = run(
        &site,
        &["db", "query", "SELECT value FROM facts WHERE name = 'last_backup'"],
    );
    assert!(said.stdout.contains("20"), "{}", said.shown());
    let missing = run(&site, &["db", "backup", "--dated", "/nonexistent", "--json"]);
    assert_eq!(
        (missing.code, missing.json()["error"]["code"].clone()),
        (1, "db.backup_io".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_asks_never_goes_under_a_service_and_keeps_what_was_there() {
    let site = site().await;
    let db = database(&site);
    notice(&db, "before").await;
    let copy = site.path().join("copy.db");
    let name = copy.to_str().unwrap();
    assert_eq!(run(&site, &["db", "backup", name]).code, 0);
    notice(&db, "after").await;
    let unasked = run(&site, &["db", "restore", name]);
    assert_eq!(unasked.code, 2, "{}", unasked.shown());
    let used = run(&site, &["db", "restore", "--yes", name]);
    assert!(
        used.code == 1 && used.stderr.contains("systemctl stop"),
        "{}",
        used.shown()
    );
    let used = run(&site, &["db", "restore", "--yes", name, "--json"]);
    assert_eq!(used.json()["error"]["code"], "db.in_use");
    assert!(db.close(std::time::Duration::from_secs(5)).await.checkpointed);
    drop(db);
    let done = run(&site, &["db", "restore", "--yes", name]);
    assert_eq!(done.code, 0, "{}", done.shown());
    assert!(
        done.stderr.contains("paused") && done.stdout.contains(".replaced-"),
        "{}",
        done.shown()
    );
    let rows = run(&site, &["db", "query", "--json", "SELECT count(*) FROM notifications"]).json();
    assert_eq!(rows["rows"][0][0], 1, "what came after the copy is not in it");
    let audit = run(
        &site,
        &["db", "query", "SELECT action FROM audit ORDER BY id DESC LIMIT 1"],
    );
    assert!(audit.stdout.contains("db.restore"), "{}", audit.shown());
    let none = run(&site, &["db", "restore", "--yes", "/nonexistent.db", "--json"]);
    assert_eq!(
        (none.code, none.json()["error"]["code"].clone()),
        (1, "db.file_missing".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_keeps_to_the_settings() {
    let mut site = site().await;
    let db = database(&site);
    notice(&db, "new").await;
    site.set("/database/retention", serde_json::json!({"notifications": "1d"}));
    let counted = run(&site, &["db", "prune", "--dry-run", "--json"]).json();
    assert_eq!(
        (&counted["dry_run"], counted["tables"].as_array().unwrap().len()),
        (&true.into(), 10)
    );
    let pruned = run(&site, &["db", "prune"]);
    assert_eq!(pruned.code, 0, "{}", pruned.shown());
    assert!(
        pruned.stdout.contains("kept for ever") && pruned.stderr.contains("0 rows deleted"),
        "{}",
        pruned.shown()
    );
}
