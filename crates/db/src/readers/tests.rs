//! Reads: consistent, unable to write, ended by their deadline or when their caller goes away.

use std::time::{Duration, Instant};

use crate::error::DbError;
use crate::open::OpenOptions;
use crate::store::Db;
use crate::tx::ReadTx;

/// Counts to far more than anybody waits for.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

fn open(readers: u32) -> (Db, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(
        dir.path().join("a.db"),
        OpenOptions {
            readers,
            ..OpenOptions::default()
        },
    )
    .unwrap();
    db.write_blocking("create", |tx| Ok(tx.conn().execute_batch("CREATE TABLE t (n)")?))
        .unwrap();
    (db, dir)
}

fn count(tx: &ReadTx<'_>) -> Result<i64, DbError> {
    Ok(tx.conn().query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
}

fn add(db: &Db) {
    db.write_blocking("add", |tx| Ok(tx.conn().execute_batch("INSERT INTO t VALUES (1)")?))
        .unwrap();
}

/// Waits until every connection is in use.
async fn until_busy(db: &Db) {
    let until = Instant::now() + Duration::from_secs(10);
    while db.inner_readers().free() > 0 {
        assert!(Instant::now() < until, "no read began");
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_read_sees_one_moment_even_if_something_is_committed_meanwhile() {
    let (db, _dir) = open(1);
    let writer = db.clone();
    let (first, second) = db
        .read_blocking("twice", move |tx| {
            let first = count(tx)?;
            add(&writer);
            Ok((first, count(tx)?))
        })
        .unwrap();
    assert_eq!((first, second), (0, 0));
    assert_eq!(db.read_blocking("after", count).unwrap(), 1);
}

#[test]
fn a_read_cannot_write() {
    let (db, _dir) = open(1);
    let refused = db.read_blocking("write", |tx| Ok(tx.conn().execute_batch("INSERT INTO t VALUES (1)")?));
    assert_eq!(refused.unwrap_err().code(), "db.read_only");
}

#[tokio::test]
async fn a_read_is_stopped_at_its_deadline_and_the_connection_serves_the_next() {
    let (db, _dir) = open(1);
    // With the connection open already, the time goes to the read alone.
    assert_eq!(db.read("before", count).await.unwrap(), 0);
    let endless = |tx: &ReadTx<'_>| Ok(tx.conn().query_row(ENDLESS, [], |row| row.get::<_, i64>(0))?);
    let stopped = db.read_within("endless", Duration::from_millis(50), endless).await;
    assert_eq!(stopped.unwrap_err().code(), "db.deadline");
    // There is only one connection: this works only if the endless read really ended.
    assert_eq!(db.read("after", count).await.unwrap(), 0);
}

#[tokio::test]
async fn a_read_nobody_waits_for_is_stopped() {
    let (db, _dir) = open(1);
    let reading = tokio::spawn({
        let db = db.clone();
        async move {
            db.read_within("endless", Duration::from_secs(600), |tx| {
                Ok(tx.conn().query_row(ENDLESS, [], |row| row.get::<_, i64>(0))?)
            })
            .await
        }
    });
    until_busy(&db).await;
    reading.abort();
    assert_eq!(
        db.read_within("after", Duration::from_secs(30), count).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn a_panic_in_a_read_is_an_error_and_the_connection_is_as_good_as_new() {
    let (db, _dir) = open(1);
    let panicked = db
        .read(
            "panic",
            |tx| if count(tx)? == 0 { panic!("on purpose") } else { Ok(()) },
        )
        .await;
    assert_eq!(panicked.unwrap_err().code(), "db.panicked");
    add(&db);
    assert_eq!(
        db.read("after", count).await.unwrap(),
        1,
        "no old snapshot is left open"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_reads_share_few_connections_and_too_many_are_refused_at_once() {
    let (db, _dir) = open(2);
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Arc::new(std::sync::Mutex::new(gate));
    let blocked: Vec<_> = (0..2)
        .map(|_| {
            let (db, gate) = (db.clone(), std::sync::Arc::clone(&gate));
            tokio::spawn(async move {
                db.read("gate", move |_| {
                    let _ = gate.lock().unwrap().recv();
                    Ok(())
                })
                .await
            })
        })
        .collect();
    until_busy(&db).await;
    let until = Instant::now() + Duration::from_secs(10);
    let waiting: Vec<_> = (0..300)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { db.read("count", count).await })
        })
        .collect();
    while db.inner_readers().waiting() < 256 {
        assert!(Instant::now() < until);
        tokio::task::yield_now().await;
    }
    assert_eq!(db.read("one too many", count).await.unwrap_err().code(), "db.busy");
    drop(go);
    for read in blocked {
        read.await.unwrap().unwrap();
    }
    for read in waiting {
        match read.await.unwrap() {
            Ok(n) => assert_eq!(n, 0),
            Err(error) => assert_eq!(error.code(), "db.busy"),
        }
    }
}

#[test]
fn a_change_watch_sees_commits_of_this_and_other_connections_and_nothing_else() {
    let (db, _dir) = open(1);
    let mut watch = db.changes().unwrap();
    assert!(!watch.poll().unwrap());
    add(&db);
    assert!(watch.poll().unwrap());
    assert!(!watch.poll().unwrap());
    let other = crate::connection::open_writer(db.path()).unwrap();
    other.execute("INSERT INTO t VALUES (2)", []).unwrap();
    assert!(watch.poll().unwrap());
    other
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (3); ROLLBACK")
        .unwrap();
    db.read_blocking("read", count).unwrap();
    assert!(!watch.poll().unwrap(), "neither a rollback nor a read is a change");
}
