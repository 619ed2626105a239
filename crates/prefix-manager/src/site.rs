//! What a command works with. Nothing is opened or connected before it is needed.

use cf_api::{CloudflareClient, Deadlines};
use cli::{Out, Trouble};
use daemon::{SharedClock, SystemClock};
use db::Db;
use jiff::Timestamp;
use settings::Settings;
use std::time::Duration;

/// A person waits: shorter than what the services allow.
const READ_LIMIT: Duration = Duration::from_secs(8);

/// Settings, clock and output of a command.
#[derive(Debug)]
pub struct Site {
    /// Where its words go.
    pub out: Out,
    /// The configuration.
    pub settings: Settings,
    /// The clock.
    pub clock: SharedClock,
    /// Names this process among all that share the database.
    pub owner: String,
}

impl Site {
    /// Nothing is opened yet.
    pub fn new(out: Out, settings: Settings) -> Self {
        let clock = SystemClock::shared();
        let owner = assembly::parts::owner_of(crate::PROGRAM, clock.now());
        Self {
            out,
            settings,
            clock,
            owner,
        }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Cloudflare, with calls counted together with those of the services.
    ///
    /// # Errors
    /// No usable credential or address.
    pub fn cloudflare(&self, db: &Db) -> Result<CloudflareClient, Trouble> {
        let transport = assembly::parts::transport();
        let client = assembly::parts::cloudflare(&self.settings, &transport, db, &self.owner, &self.clock)
            .map_err(|error| Trouble::failed("cloudflare.setup", cli::trouble::chain(error.as_ref())))?;
        Ok(client.with_deadlines(deadlines()))
    }

    /// Cloudflare for looking only: leaves the reserve of the request budget to the services.
    ///
    /// # Errors
    /// No usable credential or address.
    pub fn display_client(&self, db: Option<&Db>) -> Result<CloudflareClient, Trouble> {
        if let Some(db) = db {
            return Ok(self.cloudflare(db)?.for_display());
        }
        // Without the database our calls are counted by nobody else; a look is a handful of them.
        assembly::parts::cloudflare_uncounted(&self.settings, &assembly::parts::transport(), &self.clock)
            .map(|client| client.with_deadlines(deadlines()))
            .map_err(|error| Trouble::failed("cloudflare.setup", format!("{error:#}")))
    }

    /// The database, for commands that change something: without a record nothing is done.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn acting(&self) -> Result<Db, Trouble> {
        cli::store::acting(&self.settings.database.path).map_err(|trouble| {
            let text = format!("nothing was done, because it could not be recorded: {}", trouble.text);
            let remedy = format!(
                "{} If you must act before that is mended: the same command with --emergency acts on Cloudflare directly \
                 and leaves a file that is imported later.",
                trouble.remedy.clone().unwrap_or_default()
            );
            Trouble { text, ..trouble }.remedy(remedy.trim())
        })
    }
}

fn deadlines() -> Deadlines {
    Deadlines {
        read: READ_LIMIT,
        query: READ_LIMIT,
        ..Deadlines::default()
    }
}
