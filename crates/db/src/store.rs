//! The handle through which a process uses the database: reads, durable writes, change watch, close.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::changes::ChangeWatch;
use crate::connection::ReadSource;
use crate::error::{Cause, DbError};
use crate::open::{self, Access, OpenError, OpenOptions};
use crate::readers::Readers;
use crate::tx::{ReadTx, WriteTx};
use crate::writer::{BATCH_TIME, CloseReport, Writer, WriterLimits, WriterStats};

/// The open database. Cloning is cheap; the writer thread ends when the last clone is gone or after [`Db::close`].
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    source: ReadSource,
    readers: Arc<Readers>,
    writer: Option<Writer>,
    read_limit: Duration,
    answer_limit: Duration,
}

impl Db {
    /// Opens the file at `path`: creates or migrates it where the options allow, and starts the writer thread.
    ///
    /// Blocks for a few milliseconds, or as long as a migration takes; several processes may do it at the same moment.
    ///
    /// # Errors
    /// See [`OpenError`]; every variant says what failed, what it means and what to do.
    pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self, OpenError> {
        Self::open_with(path.as_ref(), &options, BATCH_TIME)
    }

    /// [`Db::open`] with another time for one batch, for tests in which several writes must meet in one.
    pub(crate) fn open_with(path: &Path, options: &OpenOptions, batch: Duration) -> Result<Self, OpenError> {
        let opened = match options.access {
            Access::ReadWrite => open::read_write(path, options)?,
            Access::ReadOnly => open::read_only(path)?,
        };
        let limits = WriterLimits {
            queue: options.queue,
            turn: options.write_limit,
            batch,
        };
        let writer = match opened.writer {
            Some(conn) => {
                Some(Writer::start(conn, &opened.path, limits).map_err(|e| OpenError::thread(&opened.path, e))?)
            }
            None => None,
        };
        let readers = Arc::new(Readers::new(&opened.source, options.readers));
        let answer_limit = options.answer_limit;
        let (path, source) = (opened.path, opened.source);
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                source,
                readers,
                writer,
                read_limit: options.read_limit,
                answer_limit,
            }),
        })
    }

    /// The file, absolute and with links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Where read connections come from, for this crate's own long-running readers.
    pub(crate) fn source(&self) -> &ReadSource {
        &self.inner.source
    }

    /// Stores something durably: when this returns `Ok`, it survives `kill -9` and a power cut.
    ///
    /// `function` runs on the writer thread inside an IMMEDIATE transaction shared with other waiting writes. If it returns
    /// an error or panics, its changes alone are undone. It must not block on anything else. Once accepted the write is
    /// carried out even if the caller stops waiting. `what` names it in logs.
    ///
    /// # Errors
    /// The function's own error, or why nothing could be stored; only [`DbError::NoAnswer`] leaves that open.
    pub async fn write<T, F>(&self, what: &'static str, function: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        // A caller that went away is no fault: the write is stored all the same.
        self.writer()?
            .submit(what, function, move |result| drop(sender.send(result)))?;
        self.answered(what, answer).await
    }

    async fn answered<T>(
        &self,
        what: &'static str,
        answer: oneshot::Receiver<Result<T, DbError>>,
    ) -> Result<T, DbError> {
        let limit = self.inner.answer_limit;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(DbError::NoAnswer { what, limit }),
        }
    }

    /// [`Db::write`] for a function that may run more than once: what an earlier run changed was rolled back before.
    /// Cheaper where many come at once, because a common transaction needs no SAVEPOINT for each of them.
    ///
    /// # Errors
    /// As for [`Db::write`].
    pub async fn write_repeatable<T, F>(&self, what: &'static str, function: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: Fn(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        self.writer()?
            .submit_repeatable(what, function, move |result| drop(sender.send(result)))?;
        self.answered(what, answer).await
    }

    /// [`Db::write`] for threads that may block.
    ///
    /// # Errors
    /// As for [`Db::write`].
    pub fn write_blocking<T, F>(&self, what: &'static str, function: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static,
    {
        let (sender, answer) = std::sync::mpsc::sync_channel(1);
        self.writer()?
            .submit(what, function, move |result| drop(sender.send(result)))?;
        let limit = self.inner.answer_limit;
        answer
            .recv_timeout(limit)
            .unwrap_or(Err(DbError::NoAnswer { what, limit }))
    }

    /// Reads a consistent snapshot on a blocking thread, within the default deadline of the options.
    ///
    /// Dropping the future stops the read. Keep it short and bounded by LIMIT; `what` names it in errors.
    ///
    /// # Errors
    /// The function's own error, [`DbError::Deadline`], or why the database could not be read.
    pub async fn read<T, F>(&self, what: &'static str, function: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTx<'_>) -> Result<T, DbError> + Send + 'static,
    {
        self.read_within(what, self.inner.read_limit, function).await
    }

    /// [`Db::read`] with a deadline of its own (exports, reports).
    ///
    /// # Errors
    /// As for [`Db::read`].
    pub async fn read_within<T, F>(&self, what: &'static str, limit: Duration, function: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTx<'_>) -> Result<T, DbError> + Send + 'static,
    {
        self.inner.readers.read(what, limit, function).await
    }

    /// [`Db::read`] for threads that may block. The deadline covers only the wait for a connection.
    ///
    /// # Errors
    /// As for [`Db::read`].
    pub fn read_blocking<T>(
        &self,
        what: &'static str,
        function: impl FnOnce(&ReadTx<'_>) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.inner.readers.read_blocking(what, self.inner.read_limit, function)
    }

    /// A watch for commits of all processes, on a connection of its own.
    ///
    /// # Errors
    /// When the connection cannot be opened.
    pub fn changes(&self) -> Result<ChangeWatch, DbError> {
        ChangeWatch::open(&self.inner.source)
    }

    /// What the writer did so far. All zero for a database opened read-only.
    #[must_use]
    pub fn writer_stats(&self) -> WriterStats {
        self.inner.writer.as_ref().map(Writer::stats).unwrap_or_default()
    }

    /// Takes no more writes, stores the accepted ones, moves the log into the file and ends the writer thread.
    /// After `limit` the writes that still wait are answered with [`DbError::Closed`]. Reads go on working.
    pub fn close_blocking(&self, limit: Duration) -> CloseReport {
        match &self.inner.writer {
            Some(writer) => writer.close(limit),
            None => CloseReport {
                drained: true,
                checkpointed: true,
            },
        }
    }

    /// [`Db::close_blocking`] for async callers.
    pub async fn close(&self, limit: Duration) -> CloseReport {
        let db = self.clone();
        let closed = tokio::task::spawn_blocking(move || db.close_blocking(limit)).await;
        closed.unwrap_or(CloseReport {
            drained: false,
            checkpointed: false,
        })
    }

    #[cfg(test)]
    pub(crate) fn inner_readers(&self) -> &Readers {
        &self.inner.readers
    }

    pub(crate) fn writer(&self) -> Result<&Writer, DbError> {
        self.inner
            .writer
            .as_ref()
            .ok_or_else(|| DbError::ReadOnly(Cause::text("it was opened for reading only")))
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}
