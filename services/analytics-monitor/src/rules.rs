//! The cache of network monitoring rules. The receiver of notifications holds no credential for
//! Cloudflare; a threshold alert that names only its rule is tied to prefixes through this cache.
//!
//! A failed read keeps what is known: rules change rarely, and an old list beats none. Alerts that
//! could not be tied to prefixes veto every prefix; as soon as this list, or the discovered prefixes,
//! say what they concern, they veto only that.

use std::sync::Arc;
use std::time::Duration;

use assembly::intake::resolve::{Resolved, again, is_needed};
use cf_api::rest::mnm::MnmRule;
use cf_api::{CfError, CloudflareClient, ErrorClass};
use daemon::{Frame, LoopHandle, Streak, Weight};
use db::inventory::MonitoringRule;
use db::{Db, DbError};
use domain::prefix::Prefix;
use domain::time::minus;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::MissedTickBehavior;

use crate::catch_up::networks;

/// How often they are read.
const EVERY: Duration = Duration::from_secs(600);

/// Limit within which the loop promises progress.
const LOOP_LIMIT: Duration = Duration::from_secs(60);

/// Pause without a sign of life.
const STEP: Duration = Duration::from_secs(10);

/// No open alert vetoes for longer, however that is configured.
const LONGEST_VETO: Duration = Duration::from_secs(7 * 86_400);

/// Why the cache was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Cloudflare gave no list.
    #[error("{0}")]
    Cloudflare(#[from] CfError),
    /// It could not be stored.
    #[error("the monitoring rules cannot be stored")]
    Database(#[from] DbError),
}

/// Reads the rules and replaces the cache. Returns how many there are.
///
/// # Errors
/// Why the cache stays as it is.
pub async fn renew(api: &CloudflareClient, db: &Db, now: Timestamp) -> Result<usize, RulesError> {
    let rules: Vec<MonitoringRule> = api.list_mnm_rules().await?.iter().map(cached).collect();
    let count = rules.len();
    db.write("rules.renew", move |tx| db::inventory::replace_rules(tx, &rules, now))
        .await?;
    Ok(count)
}

fn cached(rule: &MnmRule) -> MonitoringRule {
    MonitoringRule {
        // A rule without id has its name, which is unique as well.
        id: rule.id.clone().unwrap_or_else(|| format!("name:{}", rule.name)),
        name: rule.name.clone(),
        prefixes: rule.prefixes.clone(),
        body: json!({
            "id": rule.id,
            "name": rule.name,
            "prefixes": rule.prefixes,
            "type": rule.kind,
            "automatic_advertisement": rule.automatic_advertisement,
            "bandwidth_threshold": rule.bandwidth_threshold_bps,
            "packet_threshold": rule.packet_threshold_pps,
            "duration": rule.duration.map(domain::duration::format),
            "prefix_match": rule.prefix_match,
            "zscore_sensitivity": rule.zscore_sensitivity,
            "zscore_target": rule.zscore_target,
        })
        .to_string(),
    }
}

/// Looks again at the open alerts that could not be tied to prefixes. Writes nothing while there is
/// none. Returns those that could be tied now.
///
/// # Errors
/// Those of the database.
pub async fn resolve(db: &Db, own: &Arc<Vec<Prefix>>, now: Timestamp) -> Result<Vec<Resolved>, DbError> {
    let since = minus(now, LONGEST_VETO);
    if !db.read("alerts.unresolved", move |tx| is_needed(tx, since)).await? {
        return Ok(Vec::new());
    }
    let own = Arc::clone(own);
    db.write("alerts.resolve", move |tx| again(tx, &networks(tx, &own)?, since, now))
        .await
}

/// Keeps the cache fresh until shutdown. `own` are the configured prefixes.
pub fn keep_fresh(frame: &Frame, api: CloudflareClient, db: Db, own: Vec<Prefix>) {
    let own = Arc::new(own);
    let check = frame
        .health()
        .check("monitoring_rules", Weight::Supporting, EVERY * 2 + LOOP_LIMIT);
    let inner = frame.clone();
    frame.spawn_loop("monitoring_rules", LOOP_LIMIT, move |turn: LoopHandle| async move {
        let mut turns = tokio::time::interval(STEP);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(inner.shutdown().triggered());
        let mut due = inner.clock().monotonic();
        let mut failures = Streak::new();
        loop {
            tokio::select! {
                _ = &mut stop => return Ok(()),
                _ = turns.tick() => {}
            }
            turn.tick();
            let now = inner.clock().monotonic();
            if now < due {
                look_again(&db, &own, &inner).await;
                continue;
            }
            due = now + EVERY;
            let renewed = tokio::select! {
                _ = &mut stop => return Ok(()),
                renewed = renew(&api, &db, inner.clock().now()) => renewed,
            };
            match renewed {
                Ok(count) => {
                    if let Some(run) = failures.recovered(now) {
                        tracing::info!(event = "monitoring_rules.recovered", failures = run.failures);
                    }
                    check.ok(format!("{count} rules known"));
                }
                Err(error) => {
                    if let Some(run) = failures.failed(now) {
                        tracing::warn!(event = "monitoring_rules.unread", failures = run.failures, error = %error);
                    }
                    check.degraded(meaning(&error));
                }
            }
            look_again(&db, &own, &inner).await;
        }
    });
}

async fn look_again(db: &Db, own: &Arc<Vec<Prefix>>, frame: &Frame) {
    match resolve(db, own, frame.clock().now()).await {
        Ok(resolved) => {
            for alert in resolved {
                let prefixes: Vec<String> = alert.prefixes.iter().map(ToString::to_string).collect();
                tracing::info!(
                    event = "alerts.resolved",
                    number = alert.event,
                    kind = alert.kind,
                    prefixes = prefixes.join(","),
                );
            }
        }
        Err(error) => tracing::warn!(event = "alerts.not_resolved", code = error.code(), error = %error),
    }
}

/// What it means that the rules cannot be read.
fn meaning(error: &RulesError) -> String {
    let remedy = match error {
        RulesError::Cloudflare(error) => match error.class {
            ErrorClass::Permission | ErrorClass::Auth => {
                "; grant the token the permission Magic Network Monitoring: Read"
            }
            ErrorClass::NotFound => "; the account may have no network monitoring",
            _ => "",
        },
        RulesError::Database(_) => "",
    };
    format!("an alert that names only its rule may not be tied to prefixes: {error}{remedy}")
}
