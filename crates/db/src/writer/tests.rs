//! Group commit: what fails fails alone, what is acknowledged is there, and nothing is pretended.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;
use crate::error::Cause;
use crate::open::OpenOptions;
use crate::store::Db;

struct Fixture {
    db: Db,
    dir: tempfile::TempDir,
}

fn fixture(options: OpenOptions) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    // Prepared with the ordinary limits: those of a test may be too short for that on a busy machine.
    let create = |tx: &WriteTx<'_>| Ok(tx.conn().execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, x)")?);
    let ordinary = Db::open(&path, OpenOptions::default()).unwrap();
    ordinary.write_blocking("create", create).unwrap();
    // Batches are as long as they need to be, so that what waits together is committed together.
    Fixture {
        db: Db::open_with(&path, &options, Duration::from_secs(600)).unwrap(),
        dir,
    }
}

fn put(tx: &WriteTx<'_>, n: i64) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("INSERT INTO t (n) VALUES (?1)")?
        .execute([n])?;
    Ok(())
}

fn stored(db: &Db) -> Vec<i64> {
    db.read_blocking("stored", |tx| {
        let mut list = tx.conn().prepare("SELECT n FROM t ORDER BY n")?;
        Ok(list.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    })
    .unwrap()
}

/// Hands in a write without waiting; its answer comes out of the receiver.
fn submit<F>(db: &Db, function: F) -> Receiver<Result<(), DbError>>
where
    F: FnOnce(&WriteTx<'_>) -> Result<(), DbError> + Send + 'static,
{
    let (sender, answer) = channel();
    db.writer()
        .unwrap()
        .submit("test", function, move |result| drop(sender.send(result)))
        .unwrap();
    answer
}

/// Keeps the writer inside a write until the returned sender is dropped, so that everything handed in meanwhile comes into the
/// same transaction.
fn hold_writer(db: &Db) -> Sender<()> {
    let (go, wait) = channel::<()>();
    let (began, begun) = channel();
    drop(submit(db, move |_| {
        began.send(()).unwrap();
        let _ = wait.recv();
        Ok(())
    }));
    begun.recv().unwrap();
    go
}

#[test]
fn writes_that_wait_share_one_commit() {
    let f = fixture(OpenOptions::default());
    let go = hold_writer(&f.db);
    let answers: Vec<_> = (0..100).map(|n| submit(&f.db, move |tx| put(tx, n))).collect();
    let before = f.db.writer_stats();
    drop(go);
    for answer in answers {
        answer.recv().unwrap().unwrap();
    }
    let after = f.db.writer_stats();
    assert_eq!(after.commits, before.commits + 1, "one for the holder and all hundred");
    assert_eq!(after.batch_max, 101);
    assert_eq!(after.queue_max, 100);
    assert_eq!(stored(&f.db).len(), 100);
}

#[test]
fn a_write_that_fails_or_panics_fails_alone() {
    let f = fixture(OpenOptions::default());
    let go = hold_writer(&f.db);
    let good = submit(&f.db, |tx| put(tx, 1));
    let refused = submit(&f.db, |tx| {
        put(tx, 2)?;
        Err(DbError::NotFound)
    });
    let conflict = submit(&f.db, |tx| {
        put(tx, 3)?;
        put(tx, 1)
    });
    let panicked = submit(&f.db, |tx| {
        put(tx, 4)?;
        panic!("on purpose");
    });
    let misspelt = submit(&f.db, |tx| {
        Ok(tx.conn().execute_batch("INSERT INTO nowhere VALUES (1)")?)
    });
    let also_good = submit(&f.db, |tx| put(tx, 5));
    let before = f.db.writer_stats().commits;
    drop(go);
    good.recv().unwrap().unwrap();
    also_good.recv().unwrap().unwrap();
    assert_eq!(refused.recv().unwrap().unwrap_err().code(), "db.not_found");
    let conflict = conflict.recv().unwrap().unwrap_err();
    assert_eq!(conflict.to_string(), "conflict: UNIQUE constraint failed: t.n");
    assert_eq!(panicked.recv().unwrap().unwrap_err().code(), "db.panicked");
    assert_eq!(misspelt.recv().unwrap().unwrap_err().code(), "db.sql");
    assert_eq!(stored(&f.db), [1, 5]);
    let stats = f.db.writer_stats();
    assert_eq!(stats.commits, before + 1, "all of them were in one transaction");
    assert_eq!((stats.jobs_refused, stats.jobs_failed, stats.batches_failed), (4, 0, 0));
    assert!(stats.alive);
}

#[test]
fn a_failing_commit_fails_every_write_of_the_batch() {
    let f = fixture(OpenOptions::default());
    let schema = "CREATE TABLE child (a REFERENCES t(n) DEFERRABLE INITIALLY DEFERRED)";
    f.db.write_blocking("create", move |tx| Ok(tx.conn().execute_batch(schema)?))
        .unwrap();
    let go = hold_writer(&f.db);
    let innocent = submit(&f.db, |tx| put(tx, 1));
    let own_fault = submit(&f.db, |_| Err(DbError::NotFound));
    // Seen only at COMMIT: the row that it refers to is never made.
    let guilty = submit(&f.db, |tx| {
        Ok(tx.conn().execute_batch("INSERT INTO child VALUES (99)")?)
    });
    drop(go);
    assert_eq!(innocent.recv().unwrap().unwrap_err().code(), "db.conflict");
    assert_eq!(guilty.recv().unwrap().unwrap_err().code(), "db.conflict");
    assert_eq!(own_fault.recv().unwrap().unwrap_err().code(), "db.not_found");
    assert!(stored(&f.db).is_empty(), "nothing of the batch is there");
    let stats = f.db.writer_stats();
    assert_eq!(
        (stats.batches_failed, stats.jobs_failed, stats.failing_streak),
        (1, 4, 1)
    );
    assert!(stats.last_error.is_some());
    f.db.write_blocking("after", |tx| put(tx, 7)).unwrap();
    assert_eq!(f.db.writer_stats().failing_streak, 0);
}

#[test]
fn when_sqlite_gives_up_the_transaction_the_earlier_writes_hear_of_it() {
    let f = fixture(OpenOptions::default());
    let go = hold_writer(&f.db);
    let earlier = submit(&f.db, |tx| put(tx, 1));
    // What SQLite does by itself on some I/O errors.
    let breaker = submit(&f.db, |tx| {
        tx.conn().execute_batch("ROLLBACK")?;
        Err(DbError::DiskFull(Cause::text("simulated")))
    });
    let later = submit(&f.db, |tx| put(tx, 2));
    drop(go);
    assert_eq!(earlier.recv().unwrap().unwrap_err().code(), "db.disk_full");
    assert_eq!(breaker.recv().unwrap().unwrap_err().code(), "db.disk_full");
    later.recv().unwrap().unwrap();
    assert_eq!(
        stored(&f.db),
        [2],
        "the write that had not run yet got a transaction of its own"
    );
}

#[test]
fn a_file_that_may_not_grow_fails_the_large_write_and_lets_small_ones_through() {
    let f = fixture(OpenOptions::default());
    f.db.write_blocking("limit", |tx| {
        let pages: i64 = tx.conn().query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let _: i64 = tx
            .conn()
            .query_row(&format!("PRAGMA max_page_count={}", pages + 10), [], |row| row.get(0))?;
        Ok(())
    })
    .unwrap();
    let large = f.db.write_blocking("large", |tx| {
        Ok(tx.conn().execute_batch("INSERT INTO t VALUES (1, zeroblob(1000000))")?)
    });
    assert_eq!(large.unwrap_err().code(), "db.disk_full");
    f.db.write_blocking("small", |tx| put(tx, 2)).unwrap();
    assert_eq!(stored(&f.db), [2]);
}

#[test]
fn a_full_queue_refuses_at_once_and_stores_what_it_had_accepted() {
    let f = fixture(OpenOptions {
        queue: 8,
        ..OpenOptions::default()
    });
    let go = hold_writer(&f.db);
    let answers: Vec<_> = (0..8).map(|n| submit(&f.db, move |tx| put(tx, n))).collect();
    let refused = f.db.write_blocking("one too many", |tx| put(tx, 99));
    assert_eq!(refused.unwrap_err().code(), "db.queue_full");
    drop(go);
    for answer in answers {
        answer.recv().unwrap().unwrap();
    }
    assert_eq!(stored(&f.db), (0..8).collect::<Vec<_>>());
}

#[test]
fn a_write_that_waited_too_long_for_the_lock_is_refused_and_never_run() {
    let f = fixture(OpenOptions {
        write_limit: Duration::from_millis(50),
        ..OpenOptions::default()
    });
    let other = crate::connection::open_writer(f.db.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = f.db.write_blocking("late", |tx| put(tx, 1)).unwrap_err();
    assert_eq!(error.code(), "db.busy");
    assert!(f.db.writer_stats().failing_streak > 0);
    other.execute_batch("COMMIT").unwrap();
    let patient = Db::open(f.db.path(), OpenOptions::default()).unwrap();
    patient.write_blocking("in time", |tx| put(tx, 2)).unwrap();
    assert_eq!(stored(&f.db), [2]);
}

#[tokio::test]
async fn a_caller_that_hears_nothing_is_told_that_the_outcome_is_open() {
    let f = fixture(OpenOptions {
        answer_limit: Duration::from_millis(30),
        ..OpenOptions::default()
    });
    let go = hold_writer(&f.db);
    assert_eq!(
        f.db.write_blocking("blocking", |tx| put(tx, 1)).unwrap_err().code(),
        "db.no_answer"
    );
    assert_eq!(
        f.db.write("async", |tx| put(tx, 2)).await.unwrap_err().code(),
        "db.no_answer"
    );
    drop(go);
    assert!(f.db.close_blocking(Duration::from_secs(10)).drained);
    assert_eq!(stored(&f.db), [1, 2], "both were accepted, and in the end stored");
}

#[test]
fn a_write_waits_for_another_process_that_is_done_soon() {
    let f = fixture(OpenOptions::default());
    let other = crate::connection::open_writer(f.db.path()).unwrap();
    other
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO t (n) VALUES (1)")
        .unwrap();
    let answer = submit(&f.db, |tx| put(tx, 2));
    assert!(
        answer.recv_timeout(Duration::from_millis(30)).is_err(),
        "the lock is not ours yet"
    );
    other.execute_batch("COMMIT").unwrap();
    answer.recv().unwrap().unwrap();
    assert_eq!(stored(&f.db), [1, 2]);
}

#[test]
fn closing_stores_what_was_accepted_and_refuses_the_rest() {
    let f = fixture(OpenOptions::default());
    let go = hold_writer(&f.db);
    let answers: Vec<_> = (0..1000).map(|n| submit(&f.db, move |tx| put(tx, n))).collect();
    drop(go);
    let report = f.db.close_blocking(Duration::from_secs(20));
    assert_eq!(
        report,
        CloseReport {
            drained: true,
            checkpointed: true
        }
    );
    for answer in answers {
        answer.recv().unwrap().unwrap();
    }
    assert_eq!(
        f.db.write_blocking("late", |tx| put(tx, -1)).unwrap_err().code(),
        "db.closed"
    );
    assert!(!f.db.writer_stats().alive);
    assert!(
        f.db.writer_stats().batch_max <= BATCH_JOBS,
        "a thousand writes are more than one batch"
    );
    assert_eq!(
        f.db.close_blocking(Duration::ZERO),
        report,
        "closing again says the same"
    );
    assert_eq!(stored(&f.db).len(), 1000, "reads go on");
    let wal = std::fs::metadata(f.dir.path().join("a.db-wal")).map_or(0, |m| m.len());
    assert_eq!(wal, 0, "the log was moved into the file");
}

#[test]
fn closing_gives_up_after_its_limit_and_says_so() {
    let f = fixture(OpenOptions::default());
    let go = hold_writer(&f.db);
    let waiting = submit(&f.db, |tx| put(tx, 1));
    let db = f.db.clone();
    let closing = std::thread::spawn(move || db.close_blocking(Duration::from_millis(20)));
    // The held transaction ends only after the limit has passed and the writer was told to give up.
    let until = Instant::now() + Duration::from_secs(10);
    while !f.db.writer().unwrap().end.abandon.load(Ordering::Relaxed) {
        assert!(Instant::now() < until, "close never gave up");
        std::thread::yield_now();
    }
    drop(go);
    assert!(!closing.join().unwrap().drained);
    assert_eq!(waiting.recv().unwrap().unwrap_err().code(), "db.closed");
    assert!(stored(&f.db).is_empty());
}

#[test]
fn a_file_put_in_place_of_ours_is_noticed_before_anything_is_stored_in_the_wrong_one() {
    let f = fixture(OpenOptions::default());
    let path = f.db.path().to_path_buf();
    std::fs::rename(&path, f.dir.path().join("moved.db")).unwrap();
    let error = f.db.write_blocking("moved", |tx| put(tx, 1)).unwrap_err();
    assert_eq!(error.code(), "db.replaced");
    std::fs::copy(f.dir.path().join("moved.db"), &path).unwrap();
    assert_eq!(
        f.db.write_blocking("copied", |tx| put(tx, 1)).unwrap_err().code(),
        "db.replaced"
    );
}

#[test]
fn the_writer_is_durable_and_checks_references() {
    let f = fixture(OpenOptions::default());
    let pragma = |name: &'static str| {
        f.db.write_blocking("pragma", move |tx| {
            Ok(tx
                .conn()
                .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))?)
        })
        .unwrap()
    };
    assert_eq!(pragma("synchronous"), 2, "FULL");
    assert_eq!(pragma("foreign_keys"), 1);
    let mode: String =
        f.db.read_blocking("mode", |tx| {
            Ok(tx.conn().query_row("PRAGMA journal_mode", [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn reads_inside_a_write_see_it_and_reads_outside_do_not_yet() {
    fn how_many(tx: &crate::tx::ReadTx<'_>) -> Result<i64, DbError> {
        Ok(tx.conn().query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
    }
    let f = fixture(OpenOptions::default());
    let db = f.db.clone();
    let (inside, outside) =
        f.db.write_blocking("both", move |tx| {
            put(tx, 1)?;
            Ok((how_many(tx)?, db.read_blocking("outside", how_many)?))
        })
        .unwrap();
    assert_eq!((inside, outside), (1, 0));
}

#[test]
fn the_lock_is_left_free_after_a_stretch_of_back_to_back_batches() {
    let now = Instant::now();
    let mut pace = Pace {
        hot_since: now.checked_sub(BATCH_TIME),
        last_end: Some(now),
    };
    assert!(pace.before_batch(), "a pause was due");
    assert!(now.elapsed() >= PAUSE);
    let mut pace = Pace {
        hot_since: Some(Instant::now()),
        last_end: Some(Instant::now()),
    };
    assert!(!pace.before_batch(), "within the stretch there is none");
}

#[tokio::test]
async fn async_writes_and_reads_work_and_a_dropped_caller_changes_nothing() {
    let f = fixture(OpenOptions::default());
    f.db.write("one", |tx| put(tx, 1)).await.unwrap();
    let go = hold_writer(&f.db);
    let mut given_up = Box::pin(f.db.write("two", |tx| put(tx, 2)));
    assert!(
        futures_poll_once(given_up.as_mut()).await.is_none(),
        "it waits behind the held batch"
    );
    drop(given_up);
    drop(go);
    f.db.write("three", |tx| put(tx, 3)).await.unwrap();
    let count =
        f.db.read("count", |tx| {
            Ok(tx
                .conn()
                .query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?)
        })
        .await;
    assert_eq!(
        count.unwrap(),
        3,
        "an accepted write is stored even if nobody waits for it"
    );
    assert!(f.db.close(Duration::from_secs(5)).await.drained);
}

/// Polls a future exactly once.
async fn futures_poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(cx) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// Hands in a write that may be run again.
fn submit_repeatable<F>(db: &Db, function: F) -> Receiver<Result<(), DbError>>
where
    F: Fn(&WriteTx<'_>) -> Result<(), DbError> + Send + 'static,
{
    let (sender, answer) = channel();
    db.writer()
        .unwrap()
        .submit_repeatable("test", function, move |result| drop(sender.send(result)))
        .unwrap();
    answer
}

/// [`hold_writer`] by a write that may be run again, so that what follows meets no SAVEPOINT.
fn hold_writer_repeatably(db: &Db) -> Sender<()> {
    let (go, wait) = channel::<()>();
    let (began, begun) = channel();
    drop(submit_repeatable(db, move |_| {
        let _ = began.send(());
        let _ = wait.recv();
        Ok(())
    }));
    begun.recv().unwrap();
    go
}

#[test]
fn among_writes_that_can_be_run_again_one_that_fails_or_panics_fails_alone() {
    let f = fixture(OpenOptions::default());
    let go = hold_writer_repeatably(&f.db);
    let good: Vec<_> = (0..20)
        .map(|n| submit_repeatable(&f.db, move |tx| put(tx, n)))
        .collect();
    let conflict = submit_repeatable(&f.db, |tx| {
        put(tx, 100)?;
        put(tx, 1)
    });
    let panicked = submit_repeatable(&f.db, |tx| {
        put(tx, 101)?;
        panic!("on purpose");
    });
    let once = submit(&f.db, |tx| put(tx, 50));
    let later: Vec<_> = (20..40)
        .map(|n| submit_repeatable(&f.db, move |tx| put(tx, n)))
        .collect();
    drop(go);
    for answer in good.into_iter().chain(later) {
        answer.recv().unwrap().unwrap();
    }
    once.recv().unwrap().unwrap();
    assert_eq!(conflict.recv().unwrap().unwrap_err().code(), "db.conflict");
    assert_eq!(panicked.recv().unwrap().unwrap_err().code(), "db.panicked");
    let wanted: Vec<i64> = (0..40).chain([50]).collect();
    assert_eq!(stored(&f.db), wanted, "each stored once, nothing of the failed ones");
}

#[test]
fn writes_that_can_be_run_again_share_one_commit_and_run_once_when_all_goes_well() {
    let f = fixture(OpenOptions::default());
    let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let go = hold_writer_repeatably(&f.db);
    let answers: Vec<_> = (0..100)
        .map(|n| {
            let runs = Arc::clone(&runs);
            submit_repeatable(&f.db, move |tx| {
                runs.fetch_add(1, Ordering::Relaxed);
                put(tx, n)
            })
        })
        .collect();
    let before = f.db.writer_stats().commits;
    drop(go);
    for answer in answers {
        answer.recv().unwrap().unwrap();
    }
    assert_eq!(runs.load(Ordering::Relaxed), 100);
    assert_eq!(stored(&f.db).len(), 100);
    assert_eq!(
        f.db.writer_stats().commits,
        before + 1,
        "one for the holder and all hundred"
    );
}
