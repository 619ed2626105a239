//! Keeps the write-ahead log short without letting writers wait for it.
//!
//! Left alone, SQLite moves a full log into the file inside the commit that filled it: under a flood of alerts that is tens of
//! milliseconds, several times a second, in which nobody gets an answer. Here a thread with a connection of its own moves it
//! while commits go on. Only what was written meanwhile is left to the writer, after it has answered: the log can start anew
//! only with a commit that finds all of it moved (<https://www.sqlite.org/wal.html>, sections 2.1 and 3.3).
//!
//! If the thread cannot be had, or is slower than the writer, SQLite does it inside a commit at
//! [`crate::connection::MOST_LOG_PAGES`]. It does not truncate the log file; closing does.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

/// Pages in the log from which on it is moved into the file. Four times SQLite's default: pages that change with every alert are
/// then moved once instead of four times. 16 MiB, as much as the log file keeps.
const FULL_PAGES: i64 = 4_000;

/// So few pages the writer moves itself: about a millisecond.
const LITTLE_PAGES: i64 = 300;

/// Rounds of the thread after which the writer moves whatever is left, so that the log starts anew in any case.
const MOST_ROUNDS: u32 = 4;

/// Moves the log of one file; belongs to its writer thread.
pub(super) struct LogKeeper {
    path: PathBuf,
    /// Pages from which on there is something to do.
    full: i64,
    mover: Option<Mover>,
}

/// The thread that moves the log, started when there is something to move for the first time.
struct Mover {
    ask: SyncSender<()>,
    moved: Receiver<()>,
    thread: JoinHandle<()>,
    at_work: bool,
    /// How often it was asked since the log was moved to its end.
    rounds: u32,
}

/// How many pages the log has, and how many of them are in the file already.
struct Log {
    pages: i64,
    moved: i64,
}

impl Log {
    /// Looks without moving anything or waiting for anybody. None when SQLite does not say.
    fn of(conn: &Connection) -> Option<Self> {
        let (pages, moved) = conn
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")
            .and_then(|mut look| look.query_row([], |row| Ok((row.get(1)?, row.get(2)?))))
            .ok()?;
        Some(Self { pages, moved })
    }
}

impl LogKeeper {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            full: FULL_PAGES,
            mover: None,
        }
    }

    /// To be called between two transactions of `conn`, when nobody waits for an answer.
    pub(super) fn tend(&mut self, conn: &Connection) {
        let Some(log) = Log::of(conn) else { return };
        if log.pages < self.full || log.moved >= log.pages {
            return;
        }
        let Some(mover) = &mut self.mover else {
            self.mover = Mover::start(self.path.clone());
            if let Some(mover) = &mut self.mover {
                mover.begin();
            }
            return;
        };
        if !mover.at_work {
            mover.begin();
            return;
        }
        match mover.moved.try_recv() {
            Err(TryRecvError::Empty) => {}
            Ok(()) => {
                mover.at_work = false;
                // Much was written meanwhile: another round beside the writer leaves less to it.
                if log.pages - log.moved > LITTLE_PAGES && mover.rounds < MOST_ROUNDS {
                    mover.begin();
                } else {
                    mover.rounds = 0;
                    move_log(conn);
                }
            }
            // It panicked or had no connection: the next round starts another one.
            Err(TryRecvError::Disconnected) => self.mover = None,
        }
    }

    /// Has nothing more to do with the thread, without waiting for it: it ends by itself when what it is at ends.
    pub(super) fn abandon(&mut self) {
        self.mover = None;
    }

    /// Waits until nothing is being moved any more. Whoever closes has a limit of its own.
    pub(super) fn stop(&mut self) {
        if let Some(Mover { ask, moved, thread, .. }) = self.mover.take() {
            drop((ask, moved));
            let _ = thread.join();
        }
    }
}

impl Mover {
    fn start(path: PathBuf) -> Option<Self> {
        let (ask, asked) = sync_channel::<()>(1);
        let (tell, moved) = sync_channel(1);
        let work = move || {
            crate::connection::set_busy_limit_of_this_thread(Duration::ZERO);
            let Ok(conn) = crate::connection::open_writer(&path) else {
                return;
            };
            while asked.recv().is_ok() {
                move_log(&conn);
                if tell.send(()).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("db-log".into()).spawn(work).ok()?;
        Some(Self {
            ask,
            moved,
            thread,
            at_work: false,
            rounds: 0,
        })
    }

    fn begin(&mut self) {
        self.at_work = self.ask.try_send(()).is_ok();
        self.rounds += 1;
    }
}

/// Moves what no reader is in the way of. A failure is no loss: everything stays in the log, and SQLite tells the next commit
/// when the disk is in trouble.
fn move_log(conn: &Connection) {
    let moved = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0));
    if let Err(error) = moved {
        tracing::debug!(event = "db.log.not_moved", error = %error);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Long enough for a busy machine; nothing waits this long when all is well.
    const ROUNDS: u32 = 20_000;

    fn writer(path: &Path) -> Connection {
        let conn = Connection::open(path).unwrap();
        conn.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t (n INTEGER PRIMARY KEY, x)")
            .unwrap();
        drop(conn);
        let mut conn = crate::connection::open_writer(path).unwrap();
        crate::connection::finish_writer(&mut conn).unwrap();
        conn
    }

    fn keeper(path: &Path) -> LogKeeper {
        LogKeeper {
            full: 10,
            ..LogKeeper::new(path.to_path_buf())
        }
    }

    /// One commit of a few pages.
    fn put(conn: &Connection) {
        conn.execute("INSERT INTO t (x) VALUES (randomblob(20000))", [])
            .unwrap();
    }

    fn rows(conn: &Connection) -> i64 {
        conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    /// Tends the log after every commit until a commit starts it anew; how many commits that took.
    fn until_it_starts_anew(keeper: &mut LogKeeper, conn: &Connection) -> u32 {
        let mut before = 0;
        for round in 0..ROUNDS {
            put(conn);
            let pages = Log::of(conn).unwrap().pages;
            if pages < before {
                return round;
            }
            before = pages;
            keeper.tend(conn);
            crate::connection::pause(Duration::from_millis(1));
        }
        panic!("the log only grows: {before} pages");
    }

    #[test]
    fn a_full_log_is_moved_beside_the_writer_and_starts_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let conn = writer(&path);
        let mut keeper = keeper(&path);
        put(&conn);
        keeper.tend(&conn);
        assert!(keeper.mover.is_none(), "a short log is left alone");
        let commits = until_it_starts_anew(&mut keeper, &conn);
        assert!(keeper.mover.is_some() && commits > 0);
        until_it_starts_anew(&mut keeper, &conn);
        let stored = rows(&conn);
        keeper.stop();
        drop(conn);
        assert_eq!(rows(&Connection::open(&path).unwrap()), stored);
    }

    #[test]
    fn a_reader_keeps_the_log_from_starting_anew_and_hinders_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let conn = writer(&path);
        let mut keeper = keeper(&path);
        put(&conn);
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        assert_eq!(rows(&reader), 1);
        for _ in 0..50 {
            put(&conn);
            keeper.tend(&conn);
        }
        assert_eq!((rows(&reader), rows(&conn)), (1, 51));
        assert!(Log::of(&conn).unwrap().pages > 51, "nothing was thrown away");
        reader.execute_batch("COMMIT").unwrap();
        until_it_starts_anew(&mut keeper, &conn);
        keeper.stop();
    }

    #[test]
    fn a_thread_that_finds_no_file_is_replaced_by_another_and_the_writer_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let conn = writer(&path);
        let mut keeper = keeper(&dir.path().join("no such folder").join("a.db"));
        for _ in 0..50 {
            put(&conn);
            keeper.tend(&conn);
        }
        keeper.stop();
        assert_eq!(rows(&conn), 50);
        keeper.path = path;
        until_it_starts_anew(&mut keeper, &conn);
        keeper.stop();
    }
}
