//! What a command works with: settings, clock, Cloudflare, the database; and the monitoring rules as the API gives them,
//! under the API's own names, so that a saved file can be compared and read back.

use std::sync::Arc;
use std::time::Duration;

use cf_api::rest::mnm::MnmRule;
use cf_api::rest::rulesets::{EntryPoint, MANAGED_DDOS_L4, Phase, Ruleset};
use cf_api::{CloudflareClient, Deadlines};
use cli::{Out, Trouble, ask};
use daemon::{SharedClock, SystemClock};
use db::{Db, DbError, ReadTx, rule_changes};
use domain::prefix::Prefix;
use jiff::Timestamp;
use rules::desk::{By, Desk, DeskError, Outcome};
pub use rules::mnm::Record as Rule;
use rules::mnm::{Gap, gaps};
use rules::plan::Live;
use serde::Serialize;
use settings::Settings;

use crate::args::Sure;

/// A person waits: shorter than what the services allow.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// Where rules come from.
#[derive(Debug)]
pub struct Source {
    settings: Settings,
    clock: SharedClock,
}

/// All rules of the account.
#[derive(Debug, Serialize)]
pub struct Rules {
    /// Shape and version of the document.
    pub schema: &'static str,
    /// When they were read.
    pub at: Timestamp,
    /// Whose.
    pub account_id: String,
    /// By name.
    pub rules: Vec<Rule>,
    /// Managed prefixes that no rule watches.
    pub not_watched: Vec<Prefix>,
    /// What else the rules leave open.
    pub gaps: Vec<Gap>,
    /// As the client knows them, for edits.
    #[serde(skip)]
    pub raw: Vec<MnmRule>,
}

impl Source {
    /// Nothing is connected yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            clock: SystemClock::shared(),
        }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The prefixes that the operator listed.
    pub fn managed_prefixes(&self) -> Vec<Prefix> {
        self.settings.managed_prefixes().into_iter().collect()
    }

    /// Reads all rules.
    ///
    /// # Errors
    /// Why they could not be read.
    pub async fn read(&self) -> Result<Rules, Trouble> {
        self.read_by(&self.client()?).await
    }

    /// [`Source::read`] with a client that is there already.
    ///
    /// # Errors
    /// Why they could not be read.
    pub async fn read_by(&self, api: &CloudflareClient) -> Result<Rules, Trouble> {
        let raw = api.list_mnm_rules().await.map_err(|error| crate::unavailable(&error))?;
        let mut rules: Vec<Rule> = raw.iter().map(Rule::from).collect();
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        let found = gaps(&self.managed_prefixes(), &raw);
        let not_watched = found.iter().filter_map(|gap| match gap {
            Gap::NotWatched { prefix } | Gap::PartlyWatched { prefix, .. } => Some(*prefix),
            _ => None,
        });
        Ok(Rules {
            schema: "cloudflare-mt/mnm-rules/1",
            at: self.clock.now(),
            account_id: self.settings.cloudflare.account_id.clone(),
            rules,
            not_watched: not_watched.collect(),
            gaps: found,
            raw,
        })
    }

    /// Cloudflare for looking.
    ///
    /// # Errors
    /// No usable credential or address.
    pub fn client(&self) -> Result<CloudflareClient, Trouble> {
        // Where the database can be used, our calls are counted with everybody else's.
        let client = match cli::store::counting(&self.settings.database.path) {
            Ok(db) => self.counted(&db)?,
            Err(_) => assembly::parts::cloudflare_uncounted(&self.settings, &assembly::parts::transport(), &self.clock)
                .map_err(|error| Trouble::failed("cloudflare.setup", format!("{error:#}")))?,
        };
        Ok(limited(&client))
    }

    fn counted(&self, db: &Db) -> Result<CloudflareClient, Trouble> {
        let owner = assembly::parts::owner_of(crate::PROGRAM, self.clock.now());
        assembly::parts::cloudflare(&self.settings, &assembly::parts::transport(), db, &owner, &self.clock)
            .map_err(|error| Trouble::failed("cloudflare.setup", cli::trouble::chain(error.as_ref())))
    }

    /// Everything that a plan looks at. Nothing is created or written for it; without a database no rule is looked after and
    /// no override has an end.
    ///
    /// # Errors
    /// What could not be read.
    pub async fn live(&self) -> Result<Live, Trouble> {
        let api = self.client()?;
        let mnm = self.read_by(&api).await?.raw;
        let (managed, point) = read_ddos(&api).await?;
        let (owned, expiries) = self
            .stored("what is looked after could not be read", |tx| {
                Ok((rule_changes::owned(tx)?, rule_changes::expiries(tx)?))
            })
            .await?;
        Ok(Live {
            mnm,
            managed,
            point,
            owned,
            expiries,
        })
    }

    /// What the database says; as if it were empty where there is none yet. `what` names the failure.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub async fn stored<T, F>(&self, what: &'static str, read: F) -> Result<T, Trouble>
    where
        T: Default + Send + 'static,
        F: FnOnce(&ReadTx<'_>) -> Result<T, DbError> + Send + 'static,
    {
        let Some(db) = self.reading()? else {
            return Ok(T::default());
        };
        db.read("rules.stored", read)
            .await
            .map_err(|error| Trouble::database(what, &error))
    }

    /// The database for looking; `None` where there is none yet.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn reading(&self) -> Result<Option<Db>, Trouble> {
        let path = &self.settings.database.path;
        match path.try_exists() {
            Ok(false) => Ok(None),
            _ => cli::store::reading(path).map(Some),
        }
    }

    /// Where changes are made: nothing that cannot be recorded.
    ///
    /// # Errors
    /// No usable credential, or a database that cannot be written.
    pub fn desk(&self) -> Result<Desk, Trouble> {
        let db = cli::store::acting(&self.settings.database.path).map_err(|trouble| {
            let text = format!("nothing was done, because it could not be recorded: {}", trouble.text);
            Trouble { text, ..trouble }
        })?;
        let client = limited(&self.counted(&db)?);
        let clock = self.clock.clone();
        Ok(Desk::new(client, db, Arc::new(move || clock.now())))
    }
}

/// Cloudflare's DDoS rules and the account's overrides.
///
/// # Errors
/// Why they could not be read.
pub async fn read_ddos(api: &CloudflareClient) -> Result<(Ruleset, EntryPoint), Trouble> {
    let managed = api.get_ruleset(MANAGED_DDOS_L4).await;
    let point = api.get_entry_point(Phase::DDOS_L4).await;
    let unavailable = |error: cf_api::CfError| crate::unavailable(&error);
    Ok((managed.map_err(unavailable)?, point.map_err(unavailable)?))
}

fn limited(client: &CloudflareClient) -> CloudflareClient {
    client.for_display().with_deadlines(Deadlines {
        read: READ_LIMIT,
        ..Deadlines::default()
    })
}

/// Who sits at this terminal, and why something is done.
pub async fn by(sure: &Sure) -> By {
    By {
        actor: cli::actor::of_this_process().await,
        role: "shell".to_owned(),
        via: crate::PROGRAM.to_owned(),
        address: None,
        reason: sure.reason.clone(),
    }
}

/// Asks yes or no, unless told not to.
///
/// # Errors
/// Nobody is there to ask, or the person says no.
pub async fn confirm(out: Out, sure: &Sure, question: &str) -> Result<(), Trouble> {
    if sure.yes {
        return Ok(());
    }
    somebody()?;
    if ask::yes(out, question).await? {
        Ok(())
    } else {
        Err(Trouble::cancelled())
    }
}

/// Asks to type `word`, unless told not to.
///
/// # Errors
/// Nobody is there to ask, or something else is typed.
pub async fn typed(out: Out, sure: &Sure, question: &str, word: &str) -> Result<(), Trouble> {
    if sure.yes {
        return Ok(());
    }
    somebody()?;
    if ask::typed(out, question, word).await? {
        Ok(())
    } else {
        Err(Trouble::cancelled())
    }
}

fn somebody() -> Result<(), Trouble> {
    if ask::possible() {
        return Ok(());
    }
    let text = "a change needs a confirmation, and there is no terminal to ask at; nothing was done";
    Err(Trouble::usage("confirmation.impossible", text).remedy("add --yes if you are sure"))
}

/// A change that did not happen, for people.
pub fn trouble(error: DeskError) -> Trouble {
    let conflict = error.class == Some(cf_api::ErrorClass::Conflict);
    let ours = error.code.starts_with("rule.invalid") || error.code.starts_with("undo.");
    let trouble = if (conflict || ours) && error.outcome == Outcome::NotDone {
        Trouble::blocked(error.code, error.text)
    } else {
        Trouble::failed(error.code, error.text)
    };
    match error.remedy {
        Some(remedy) => trouble.remedy(remedy),
        None => trouble,
    }
}

/// A change that our own check refuses.
pub fn invalid(problems: impl IntoIterator<Item = String>) -> Trouble {
    let all: Vec<String> = problems.into_iter().collect();
    Trouble::blocked("rule.invalid", all.join("\n"))
}
