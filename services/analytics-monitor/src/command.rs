//! `--once` and `--test`: a single poll from a shell or a timer, without the service around it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cf_api::CloudflareClient;
use cf_api::budget::RateBudget;
use cf_api::graphql::mitigations::Witness;
use daemon::{SharedClock, SystemClock, config, output};
use db::{Db, OpenOptions};
use geoip::GeoIp;
use serde_json::json;
use settings::{Loaded, Settings};

use crate::args::{self, Args, NAME};
use crate::enrich::enrich;
use crate::fetch::Pages;
use crate::networks::Networks;
use crate::policy::Policy;
use crate::poll::{Parts, PollReport, Poller};
use crate::poll_loop;
use crate::preview::Preview;
use crate::reach::Reach;
use crate::window::plan;

/// How long the last writes may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Runs the command that the flags ask for.
pub fn run(args: Args) -> ExitCode {
    let loaded = match config::load_or_answer(&args.common, args::spec().needs) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let filter = args.common.log_level.clone();
    daemon::cli::run(NAME, &filter, move |_| work(args, loaded))
}

async fn work(args: Args, loaded: Loaded) -> anyhow::Result<u8> {
    for problem in &loaded.warnings {
        let finding = problem.one_line(&loaded.directory);
        tracing::warn!(event = "config.finding", code = problem.code.as_str(), finding);
    }
    let mut settings = loaded.settings;
    args.apply(&mut settings)?;
    let clock = SystemClock::shared();
    let text = if args.test {
        let preview = look(&settings, &clock).await?;
        match args.json {
            true => format!("{:#}\n", preview.to_json()),
            false => preview.to_text(),
        }
    } else {
        let report = once(&settings, &clock).await?;
        match args.json {
            true => format!("{:#}\n", to_json(&report)),
            false => format!("{}\n", poll_loop::line(&report)),
        }
    };
    output::print(&text)?;
    Ok(daemon::exit::DONE)
}

/// One poll as the service makes it; what is announced is sent by whichever service runs.
///
/// # Errors
/// Why nothing, or not everything, could be read and stored.
pub async fn once(settings: &Settings, clock: &SharedClock) -> anyhow::Result<PollReport> {
    let db = assembly::parts::database(settings).await?;
    let transport = assembly::parts::transport();
    let owner = assembly::parts::owner_of(NAME, clock.now());
    let api = assembly::parts::cloudflare(settings, &transport, &db, &owner, clock)?;
    let mut poller = Poller::new(Parts {
        db: db.clone(),
        api,
        clock: clock.clone(),
        geoip: Arc::new(geoip_of(settings)),
        policy: Policy::of(settings),
    });
    let outcome = poller.poll_once().await;
    db.close(CLOSE_LIMIT).await;
    outcome.map_err(|failure| failure.error.into())
}

/// What a first poll would read. Stores nothing, and needs no database; one that is there tells
/// which prefixes are known.
///
/// # Errors
/// Why nothing could be read.
pub async fn look(settings: &Settings, clock: &SharedClock) -> anyhow::Result<Preview> {
    let api = client(settings, clock)?;
    let policy = Policy::of(settings);
    let geoip = Arc::new(geoip_of(settings));
    let limits = api
        .node_limits()
        .await
        .context("the limits of the account cannot be read")?;
    anyhow::ensure!(
        limits.mitigations.enabled,
        "Cloudflare says that this account has no attack analytics"
    );
    let reach = Reach::of(&limits.mitigations);
    let own = policy.own.iter().copied().chain(discovered(settings).await);
    let networks = Networks::new(own, &policy.anycast);
    let now = clock.now();
    let mut preview = Preview::default();
    for span in plan(None, now, &policy, &reach).spans {
        preview.spans.push(span);
        let mut pages = Pages::new(&api, Witness::Ddos, span, reach.page, now);
        while let Some(page) = pages.next(&|| ()).await? {
            preview.truncated.extend(page.truncated.then_some(page.span));
            let (geoip, networks) = (Arc::clone(&geoip), networks.clone());
            let rows = tokio::task::spawn_blocking(move || {
                let rows = page.rows.into_iter();
                rows.map(|row| {
                    let stored = enrich(&row, &geoip, &networks);
                    (row, stored)
                })
                .collect::<Vec<_>>()
            });
            preview
                .rows
                .extend(rows.await.context("addresses could not be looked up")?);
        }
        preview.queries += pages.queries();
    }
    Ok(preview)
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

/// The databases as configured; nothing is opened yet.
pub fn geoip_of(settings: &Settings) -> GeoIp {
    GeoIp::new(settings.geoip.city_candidates(), settings.geoip.asn_candidates())
}

fn to_json(report: &PollReport) -> serde_json::Value {
    json!({
        "from": report.from,
        "to": report.to,
        "new": report.kept.new,
        "grown": report.kept.grown,
        "known": report.kept.known,
        "notices": report.kept.notices,
        "queries": report.queries,
        "truncated": report.truncated.len(),
        "lost": report.lost.map(|span| json!({"from": span.from, "to": span.to})),
        "behind": report.is_behind,
    })
}
