//! The two kinds of transaction that table modules work in.
//!
//! A function that only reads takes `&ReadTx` and so works inside a write as well, because [`WriteTx`] derefs to [`ReadTx`].
//! What must hold: no network, DNS or waiting inside either; times come in as parameters, SQL never asks for `now`.
//! The connection behind them does not leave this crate.

use std::fmt;
use std::ops::Deref;

use rusqlite::Connection;

/// A consistent snapshot of the database: everything read through it belongs to one moment.
pub struct ReadTx<'a> {
    conn: &'a Connection,
}

impl<'a> ReadTx<'a> {
    pub(crate) fn new(conn: &'a Connection) -> Self {
        Self { conn }
    }

    /// The connection, for this crate's table modules. Use `prepare_cached`: statements are kept per connection.
    pub(crate) fn conn(&self) -> &'a Connection {
        self.conn
    }
}

impl fmt::Debug for ReadTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadTx")
    }
}

/// One write's part of an IMMEDIATE transaction. It is rolled back alone when its function returns an error or panics;
/// it is durable only once the call that submitted it has returned `Ok`.
pub struct WriteTx<'a> {
    read: ReadTx<'a>,
}

impl<'a> WriteTx<'a> {
    pub(crate) fn new(conn: &'a Connection) -> Self {
        Self {
            read: ReadTx::new(conn),
        }
    }
}

impl<'a> Deref for WriteTx<'a> {
    type Target = ReadTx<'a>;

    fn deref(&self) -> &Self::Target {
        &self.read
    }
}

impl fmt::Debug for WriteTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteTx")
    }
}
