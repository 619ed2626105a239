//! What a command works with. The database is opened when it is needed, as it is needed.

use cf_api::{CloudflareClient, Transport};
use cli::{Out, Trouble};
use daemon::{SharedClock, SystemClock};
use db::{Db, DbError, ReadTx, WriteTx};
use jiff::Timestamp;
use settings::Settings;

/// Settings, clock and output of a command.
#[derive(Debug)]
pub struct Desk {
    /// Where its words go.
    pub out: Out,
    /// The configuration.
    pub settings: Settings,
    clock: SharedClock,
}

impl Desk {
    /// Nothing is opened yet.
    pub fn new(out: Out, settings: Settings) -> Self {
        Self {
            out,
            settings,
            clock: SystemClock::shared(),
        }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Cloudflare for a handful of calls that nobody else counts. Nothing is written for it anywhere.
    ///
    /// # Errors
    /// No usable credential or address.
    pub fn cloudflare_uncounted(&self, transport: &Transport) -> Result<CloudflareClient, Trouble> {
        assembly::parts::cloudflare_uncounted(&self.settings, transport, &self.clock)
            .map_err(|error| Trouble::failed("cloudflare.setup", format!("{error:#}")))
    }

    /// The database, for looking.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn reading(&self) -> Result<Db, Trouble> {
        cli::store::reading(&self.settings.database.path)
    }

    /// The database, for changing something.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn acting(&self) -> Result<Db, Trouble> {
        cli::store::acting(&self.settings.database.path)
    }

    /// Opens the database and reads from it; `what` is a clause: `the messages cannot be listed`.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub async fn read<T, F>(&self, what: &'static str, function: F) -> Result<T, Trouble>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTx<'_>) -> Result<T, DbError> + Send + 'static,
    {
        let db = self.reading()?;
        db.read(what, function)
            .await
            .map_err(|error| Trouble::database(what, &error))
    }

    /// Opens the database and writes to it; `what` is a clause: `the message was not stored`.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub async fn write<T, F>(&self, what: &'static str, function: F) -> Result<T, Trouble>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static,
    {
        let db = self.acting()?;
        db.write(what, function)
            .await
            .map_err(|error| Trouble::database(what, &error))
    }
}

/// A row of the audit: who did what by this command line.
pub fn audit(
    tx: &WriteTx<'_>,
    actor: &str,
    (action, subject): (&str, &str),
    after: Option<String>,
    now: Timestamp,
) -> Result<(), DbError> {
    let row = cli::actor::audit_row(crate::PROGRAM, actor, (action, subject), now);
    db::audit::append(tx, &db::audit::Entry { after, ..row })
}
