//! The database, the HTTP transport and the Cloudflare client, from settings.

use std::path::Path;

use anyhow::Context as _;
use cf_api::budget::{Limits, RateBudget};
use cf_api::{CloudflareClient, Credentials, Transport, TransportConfig};
use daemon::{Frame, SharedClock};
use db::{Db, OpenOptions};
use prefix_ops::budget::SharedBudget;
use settings::Settings;

/// Opens the database for a service: creates or migrates it if need be.
///
/// # Errors
/// With what failed, what it means and what to do.
pub async fn database(settings: &Settings) -> anyhow::Result<Db> {
    let path = settings.database.path.clone();
    let opened = tokio::task::spawn_blocking(move || open(&path, OpenOptions::default()));
    opened.await.context("opening the database was interrupted")?
}

/// Opens the database for a command.
///
/// # Errors
/// With what failed, what it means and what to do.
pub fn open(path: &Path, options: OpenOptions) -> anyhow::Result<Db> {
    Db::open(path, options).with_context(|| format!("the database {} cannot be used", path.display()))
}

/// The HTTP transport that Cloudflare and Telegram share.
pub fn transport() -> Transport {
    Transport::new(TransportConfig::default())
}

/// Names this process among all that share the database, unique per start.
pub fn owner(frame: &Frame) -> String {
    owner_of(frame.service(), frame.started_at())
}

/// [`owner`] for a command that has no frame.
pub fn owner_of(program: &str, started_at: jiff::Timestamp) -> String {
    format!("{program}/{}/{}", std::process::id(), started_at.as_microsecond())
}

/// Credentials as configured: the token, else the global key.
pub fn credentials(settings: &Settings) -> Option<Credentials> {
    if let Some(token) = &settings.cloudflare.api_token {
        return Some(Credentials::Token(token.clone()));
    }
    settings
        .cloudflare
        .global_key
        .as_ref()
        .map(|global| Credentials::GlobalKey {
            email: global.email.clone(),
            key: global.key.clone(),
        })
}

/// The Cloudflare client of a command that only looks and makes a handful of calls: they are counted nowhere, so that
/// nothing has to be written, and leave the reserve of the request budget alone.
///
/// # Errors
/// No credential, or one that cannot be sent.
pub fn cloudflare_uncounted(
    settings: &Settings,
    transport: &Transport,
    clock: &SharedClock,
) -> anyhow::Result<CloudflareClient> {
    let clock = clock.clone();
    let budget = RateBudget::alone(std::sync::Arc::new(move || clock.now()));
    client(settings, transport, budget).map(|client| client.for_display())
}

/// The Cloudflare client, sharing the request budget with all other processes.
///
/// # Errors
/// No credential, or one that cannot be sent.
pub fn cloudflare(
    settings: &Settings,
    transport: &Transport,
    db: &Db,
    owner: &str,
    clock: &SharedClock,
) -> anyhow::Result<CloudflareClient> {
    let clock = clock.clone();
    let budget = RateBudget::new(
        owner,
        Limits::default(),
        std::sync::Arc::new(SharedBudget::new(db.clone())),
        std::sync::Arc::new(move || clock.now()),
    );
    client(settings, transport, budget)
}

fn client(
    settings: &Settings,
    transport: &Transport,
    budget: std::sync::Arc<RateBudget>,
) -> anyhow::Result<CloudflareClient> {
    let credentials =
        credentials(settings).context("no credential for Cloudflare: set cloudflare.api_token in settings.json")?;
    let cloudflare = &settings.cloudflare;
    CloudflareClient::new(
        transport.clone(),
        &cloudflare.api_base_url,
        &cloudflare.account_id,
        credentials,
        budget,
    )
    .context("the Cloudflare client cannot be set up")
}
