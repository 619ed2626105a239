//! One look at every source without storing anything: what a first poll would read. No database is needed; one that is
//! there tells which prefixes are known.

use std::sync::Arc;

use anyhow::Context as _;
use cf_api::CloudflareClient;
use cf_api::budget::RateBudget;
use cf_api::graphql::mitigations::{MitigationRow, Witness};
use daemon::SharedClock;
use db::analytics::NewRow;
use db::series::MINUTE;
use db::{Db, OpenOptions};
use geoip::GeoIp;
use settings::Settings;

use crate::command::geoip_of;
use crate::enrich::enrich;
use crate::feed::Source;
use crate::fetch::Pages;
use crate::networks::Networks;
use crate::policy::Policy;
use crate::poll::PollError;
use crate::preview::{Found, Look, Preview, Seen};
use crate::reach::{Node, Reach};
use crate::reading::Ask;
use crate::window::{Span, plan, plan_in};
use crate::{attacks, minutes};

/// Rows enriched at a time.
const ROWS_AT_ONCE: usize = 500;

/// A row as it came and as it would be stored.
pub type Enriched = (MitigationRow, NewRow);

/// What is the same for every source.
struct Looking {
    api: CloudflareClient,
    clock: SharedClock,
    policy: Policy,
    geoip: Arc<GeoIp>,
    own: Vec<domain::prefix::Prefix>,
    networks: Networks,
}

/// Asks every source that is switched on. One that cannot be read says why and hides no other.
///
/// # Errors
/// When nothing can be asked at all.
pub async fn look(settings: &Settings, clock: &SharedClock) -> anyhow::Result<Preview> {
    let api = client(settings, clock)?;
    let policy = Policy::of(settings);
    let mut own = policy.own.clone();
    own.extend(discovered(settings).await);
    own.sort();
    own.dedup();
    let looking = Looking {
        api,
        clock: clock.clone(),
        geoip: Arc::new(geoip_of(settings)),
        networks: Networks::new(own.iter().copied(), &policy.anycast),
        own,
        policy,
    };
    let mut preview = Preview::default();
    for witness in std::iter::once(Witness::Ddos).chain(looking.policy.witnesses.iter().copied()) {
        let outcome = looking.rows(witness).await;
        preview.add(witness.system(), witness.title().to_owned(), outcome);
    }
    if looking.policy.series {
        let outcome = looking.minutes().await;
        preview.add(Node::Traffic.as_str(), Source::minutes().title, outcome);
    }
    if looking.policy.attacks {
        let outcome = looking.attacks().await;
        preview.add(Node::Attacks.as_str(), Source::attacks().title, outcome);
    }
    Ok(preview)
}

impl Looking {
    /// Whom to ask within the limits of a node; `None` when the contract has none.
    async fn ask(&self, node: Node) -> Result<Option<Ask>, PollError> {
        let limits = node.read(&self.api).await?;
        if !limits.enabled {
            return match node {
                Node::Rows(Witness::Ddos) => Err(PollError::NotEnabled),
                _ => Ok(None),
            };
        }
        Ok(Some(Ask {
            api: self.api.clone(),
            reach: Reach::of(&limits),
            now: self.clock.now(),
            progress: Arc::new(|| ()),
        }))
    }

    async fn rows(&self, witness: Witness) -> Result<Look, PollError> {
        let Some(ask) = self.ask(Node::Rows(witness)).await? else {
            return Ok(Look::NotInContract);
        };
        let spans = plan(None, ask.now, &self.policy, &ask.reach).spans;
        let (mut rows, mut seen) = (Vec::new(), Seen::default());
        for &span in &spans {
            let mut pages = Pages::new(&ask, witness, span);
            while let Some(mut page) = pages.next().await? {
                seen.truncated.extend(page.truncated.then_some(page.span));
                while page.rows.left() > 0 {
                    rows.extend(self.enriched(page.rows.take(ROWS_AT_ONCE)?).await?);
                }
            }
            seen.queries += pages.queries();
        }
        Ok(Look::Found(seen.over(&spans), Found::Rows(rows)))
    }

    async fn enriched(&self, rows: Vec<MitigationRow>) -> Result<Vec<Enriched>, PollError> {
        let (geoip, networks) = (Arc::clone(&self.geoip), self.networks.clone());
        let stored = move |row: MitigationRow| {
            let stored = enrich(&row, &geoip, &networks);
            (row, stored)
        };
        tokio::task::spawn_blocking(move || rows.into_iter().map(stored).collect())
            .await
            .map_err(|_| PollError::Lookup)
    }

    async fn minutes(&self) -> Result<Look, PollError> {
        let Some(ask) = self.ask(Node::Traffic).await? else {
            return Ok(Look::NotInContract);
        };
        let spans = plan_in(MINUTE, None, ask.now, &self.policy, &ask.reach).spans;
        let (mut sums, mut seen) = (minutes::Sums::new(), Seen::default());
        for &span in &spans {
            let read = minutes::read(&ask, span, &self.own).await?;
            seen.queries += read.queries;
            seen.truncated.extend(read.truncated);
            sums.extend(read.sums);
        }
        Ok(Look::Found(seen.over(&spans), Found::Minutes(sums)))
    }

    async fn attacks(&self) -> Result<Look, PollError> {
        let Some(ask) = self.ask(Node::Attacks).await? else {
            return Ok(Look::NotInContract);
        };
        let spans: Vec<Span> = plan(None, ask.now, &self.policy, &ask.reach).spans;
        let read = attacks::read(&ask, &spans, attacks::Wanted::new(), &self.networks).await?;
        let seen = Seen {
            queries: read.queries,
            truncated: read.truncated,
            ..Seen::default()
        };
        Ok(Look::Found(seen.over(&spans), Found::Attacks(read.attacks)))
    }
}

/// A client whose queries only this command counts: the shared count is in the database.
fn client(settings: &Settings, clock: &SharedClock) -> anyhow::Result<CloudflareClient> {
    let clock = clock.clone();
    let credentials = assembly::parts::credentials(settings)
        .context("no credential for Cloudflare: set cloudflare.api_token in settings.json")?;
    CloudflareClient::new(
        assembly::parts::transport(),
        &settings.cloudflare.api_base_url,
        &settings.cloudflare.account_id,
        credentials,
        RateBudget::alone(Arc::new(move || clock.now())),
    )
    .context("the Cloudflare client cannot be set up")
}

async fn discovered(settings: &Settings) -> Vec<domain::prefix::Prefix> {
    let path = settings.database.path.clone();
    let opened = tokio::task::spawn_blocking(move || Db::open(path, OpenOptions::read_only()).ok());
    let Ok(Some(db)) = opened.await else {
        return Vec::new();
    };
    let entries = db.read("inventory.all", db::inventory::all).await.unwrap_or_default();
    entries.iter().map(|entry| entry.prefix.prefix).collect()
}
