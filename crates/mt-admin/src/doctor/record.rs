//! What the services left in the database: signs of life, versions, messages, deliveries, acts.

use std::time::Duration;

use cli::life::{Life, Service};
use cli::words::{age, clock};
use db::{DbError, ReadTx};
use domain::time::{minus, since};
use jiff::Timestamp;

use super::finding::{Finding, Severity};
use crate::health::{self, WAITS_TOO_LONG};

/// Intents looked through for an accepted call.
const MOST_INTENTS: u32 = 50;

/// Messages given up within this time are told.
const LATELY: Duration = Duration::from_secs(7 * 86_400);

/// What was read.
#[derive(Debug)]
pub struct Record {
    found: health::Found,
    failed_lately: usize,
    /// When Cloudflare last accepted a change of ours.
    pub accepted: Option<Timestamp>,
    /// When the nightly copy was last made.
    pub backup: Option<Timestamp>,
    /// No call to Cloudflare before this, as it told somebody of us.
    pub silence_until: Option<Timestamp>,
}

/// Reads it.
///
/// # Errors
/// Those of the database.
pub fn read(tx: &ReadTx<'_>, now: Timestamp) -> Result<Record, DbError> {
    let lately = minus(now, LATELY);
    let failed = db::outbox::newest(tx, Some("failed"), 100)?;
    let mut accepted = None;
    for intent in db::intents::newest(tx, None, MOST_INTENTS)? {
        let attempts = db::intents::attempts(tx, intent.id)?;
        let taken = attempts
            .iter()
            .filter(|attempt| attempt.step == "patch" && attempt.class == "accepted");
        accepted = accepted.max(taken.map(|attempt| attempt.at).max());
    }
    let silence = db::budget::all(tx, now)?;
    Ok(Record {
        found: health::find(tx)?,
        failed_lately: failed.iter().filter(|row| row.created_at >= lately).count(),
        accepted,
        backup: db::leases::fact(tx, crate::upkeep::LAST_BACKUP)?
            .as_deref()
            .and_then(domain::time::from_text),
        silence_until: silence
            .iter()
            .filter_map(|counts| counts.locked_until[0])
            .filter(|until| *until > now)
            .max(),
    })
}

impl Record {
    /// Everything, judged.
    pub fn judge(&self, now: Timestamp) -> Vec<Finding> {
        let services = health::services(&self.found.beats, now);
        let mut findings = alive(&services, now);
        findings.extend(versions(&services));
        findings.push(self.messages(now));
        findings.push(self.deliveries(now));
        findings
    }

    fn messages(&self, now: Timestamp) -> Finding {
        const CHECK: &str = "messages";
        let remedy =
            "cloudflare-mt notifications list shows each with its reason; cloudflare-mt notifications test tries it";
        let depth = &self.found.outbox;
        if let Some(oldest) = depth.oldest_queued_at
            && since(now, oldest) > WAITS_TOO_LONG
        {
            let text = format!("{} messages wait, the oldest since {}", depth.queued, age(oldest, now));
            let means = "people do not know what happened since";
            return Finding::of(Severity::Critical, CHECK, text, means, remedy);
        }
        if self.failed_lately > 0 {
            let text = format!("{} messages of the last week were given up", self.failed_lately);
            let means = "people were not told of what they say";
            return Finding::of(Severity::Warning, CHECK, text, means, remedy);
        }
        let last = self.found.last_sent_at.map_or_else(
            || "none was ever sent".to_owned(),
            |at| format!("the last one was sent {} ago", age(at, now)),
        );
        Finding::ok(CHECK, format!("{} messages wait; {last}", depth.queued))
    }

    fn deliveries(&self, now: Timestamp) -> Finding {
        const CHECK: &str = "deliveries";
        match self.found.last_delivery_at {
            Some(at) => Finding::ok(CHECK, format!("the last notification came {}", clock(at, now))),
            None => Finding::of(
                Severity::Info,
                CHECK,
                "no notification of Cloudflare was ever taken",
                "whether they arrive is not shown by any yet",
                "cloudflare-mt test-alert tries the receiver, Cloudflare's own test of the destination the way to it",
            ),
        }
    }
}

fn alive(services: &[Service], now: Timestamp) -> Vec<Finding> {
    const CHECK: &str = "services";
    let mut findings: Vec<Finding> = services
        .iter()
        .filter_map(|service| {
            let unit = &service.service;
            let remedy = format!("systemctl status {unit}; journalctl -u {unit} -n 50");
            if !service.life.is_there() {
                let text = service.absence(now);
                return Some(Finding::of(Severity::Critical, CHECK, text, lost(unit), remedy));
            }
            let (severity, says) = match service.life {
                Life::Failing => (Severity::Critical, "does not work"),
                Life::Degraded => (Severity::Warning, "works with less"),
                _ => return None,
            };
            let text = format!("{unit} says that it {says}: {}", service.doing);
            Some(Finding::of(severity, CHECK, text, lost(unit), remedy))
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("all {} services live", services.len())));
    }
    findings
}

fn lost(unit: &str) -> &'static str {
    match unit {
        cli::life::WEBHOOK => "attacks are not announced as they begin",
        cli::life::AUTOWITHDRAW => "nothing is withdrawn by itself; protection stays on",
        "cloudflare-analytics-monitor" => {
            "attacks are announced without details, and missed notifications are not recovered"
        }
        _ => "what it shows or does is missing; protection is not touched",
    }
}

fn versions(services: &[Service]) -> Vec<Finding> {
    const CHECK: &str = "services.version";
    let ours = daemon::args::version();
    let others: Vec<String> = services
        .iter()
        .filter(|service| service.life.is_there())
        .filter_map(|service| {
            let version = service.version.as_deref().filter(|version| *version != ours)?;
            Some(format!("{} is {version}", service.service))
        })
        .collect();
    if others.is_empty() {
        let any = services.iter().any(|service| service.life.is_there());
        return if any {
            vec![Finding::ok(
                CHECK,
                format!("what runs has this program's version, {ours}"),
            )]
        } else {
            Vec::new()
        };
    }
    vec![Finding::of(
        Severity::Warning,
        CHECK,
        format!("{}; this program is {ours}", others.join(", ")),
        "services of different versions share one database; an older one does not know what a newer one writes",
        "systemctl restart cloudflare-mt.target",
    )]
}
