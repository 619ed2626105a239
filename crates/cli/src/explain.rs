//! Why the next action for a prefix is what it is: evidence, verdict, what blocks, what comes next, each with its time
//! and source. Everything is read from the database; nothing is asked outside.

use std::time::Duration;

use db::incidents::Incident;
use db::intents::{Attempt, Intent};
use db::{Db, DbError, ReadTx};
use domain::decision::{DirectRoute, Inputs, NextAction};
use domain::duration::human;
use domain::evidence::{Observed, PrefixTraffic};
use domain::ids::EvidenceId;
use domain::prefix::Prefix;
use domain::units::{Bits, Packets};
use jiff::Timestamp;
use serde::Serialize;
use settings::Settings;

use crate::elsewhere::{self, Elsewhere, in_place};
use crate::life::Service;
use crate::picture::{self, Picture};
use crate::report;
use crate::screen::{Ink, Screen, ink};
use crate::standing::{Standing, judge};
use crate::table::{Table, fields};
use crate::trouble::Trouble;
use crate::words::{self, LONG, clock, stamp};

/// Changes of the verdict, and acts, that are shown.
const MOST: u32 = 10;

/// A link of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// When it was so.
    pub at: Option<Timestamp>,
    /// Who says so.
    pub source: String,
    /// What.
    pub text: String,
}

/// A change of the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Stable name of the new verdict.
    pub verdict: String,
    /// What was to happen next.
    pub next: String,
}

/// An act with its attempts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActView {
    /// The intent.
    pub intent: Intent,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}

/// Everything known about why a prefix stands as it does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Name and version of this shape.
    pub schema: &'static str,
    /// When it was put together.
    pub at: Timestamp,
    /// The result.
    pub standing: Standing,
    /// A change that no act of ours explains and that is still in place.
    pub changed_elsewhere: Option<Elsewhere>,
    /// The daemon.
    pub daemon: Service,
    /// What the daemon's answer rests on.
    pub evidence: Vec<Link>,
    /// The newest changes of the verdict, newest first.
    pub changes: Vec<Change>,
    /// The newest acts, newest first.
    pub acts: Vec<ActView>,
    /// The incident it belongs to.
    pub incident: Option<Incident>,
}

/// What one transaction reads.
struct Found {
    picture: Picture,
    evidence: Option<(EvidenceId, Option<String>)>,
    changes: Vec<Change>,
    acts: Vec<ActView>,
    incident: Option<Incident>,
}

/// Explains a prefix.
///
/// # Errors
/// When it is not known or the database cannot be read.
pub async fn prefix(db: &Db, settings: &Settings, prefix: Prefix, now: Timestamp) -> Result<Explanation, Trouble> {
    let veto = settings.autowithdraw.open_alert_veto;
    let found = db
        .read("explain", move |tx| find(tx, prefix, veto, now))
        .await
        .map_err(|error| Trouble::database("the prefix cannot be explained", &error))?;
    let daemon = found.picture.daemon(now);
    let known = match found.picture.entry(prefix) {
        Some(entry) => picture::of_entry(entry, settings),
        None if settings.managed_prefixes().contains(&prefix) => {
            picture::never_seen(prefix, settings, "it is listed, but was never seen at Cloudflare")
        }
        None => return Err(unknown_prefix(prefix, &found.picture)),
    };
    let standing = judge(&known, &found.picture.sight(&daemon, settings, now));
    let changed = in_place(&found.picture.foreign, std::slice::from_ref(&standing), now);
    Ok(Explanation {
        changed_elsewhere: changed.into_iter().next(),
        schema: "cloudflare-mt/explain-prefix/1",
        at: now,
        evidence: found
            .evidence
            .map(|(id, body)| links(id, body.as_deref(), prefix, now))
            .unwrap_or_default(),
        standing,
        daemon,
        changes: found.changes,
        acts: found.acts,
        incident: found.incident,
    })
}

/// The end of a command that was asked about a prefix nobody knows; names those that are near.
pub fn unknown_prefix(prefix: Prefix, picture: &Picture) -> Trouble {
    let near: Vec<String> = picture
        .entries
        .iter()
        .map(|entry| entry.prefix.prefix)
        .filter(|known| known.overlaps(prefix))
        .take(5)
        .map(|known| known.to_string())
        .collect();
    let remedy = if near.is_empty() {
        "'cloudflare-prefix-manager list' shows the known ones".to_owned()
    } else {
        format!("known and overlapping: {}", near.join(", "))
    };
    Trouble::failed(
        "prefix.unknown",
        format!("{prefix} is not a known prefix of this account"),
    )
    .remedy(remedy)
}

fn find(tx: &ReadTx<'_>, prefix: Prefix, veto: Duration, now: Timestamp) -> Result<Found, DbError> {
    let evidence = match db::trace::current_evidence(tx, prefix)? {
        Some(id) => Some((id, db::decisions::evidence(tx, id)?)),
        None => None,
    };
    let changes = db::decisions::newest(tx, prefix, MOST)?
        .into_iter()
        .map(|row| Change {
            at: row.at,
            verdict: row.verdict,
            next: next_of(&row.next),
        })
        .collect();
    let mut acts = Vec::new();
    for intent in db::intents::newest(tx, Some(prefix), MOST)? {
        let attempts = db::intents::attempts(tx, intent.id)?;
        acts.push(ActView { intent, attempts });
    }
    let incident = match db::incidents::current(tx, prefix)? {
        Some(id) => db::incidents::get(tx, id)?,
        None => None,
    };
    Ok(Found {
        picture: Picture::read_in(tx, veto, now)?,
        evidence,
        changes,
        acts,
        incident,
    })
}

fn next_of(next: &serde_json::Value) -> String {
    if next.get("kind").is_some()
        && let Ok(next) = serde_json::from_value::<NextAction>(next.clone())
    {
        return format!("{}: {}", next.action(), words::outside(&next.because(), LONG));
    }
    // Stored by an earlier version, as text; or by a later one.
    let part = |key: &str| words::outside(next.get(key).and_then(|value| value.as_str()).unwrap_or_default(), LONG);
    format!("{}: {}", part("action"), part("because"))
}

/// The inputs of the last decision, link by link.
fn links(id: EvidenceId, body: Option<&str>, prefix: Prefix, now: Timestamp) -> Vec<Link> {
    let alone = |text: String| {
        vec![Link {
            at: None,
            source: format!("evidence {id}"),
            text,
        }]
    };
    let Some(body) = body else {
        return alone("its record is not kept any more".to_owned());
    };
    match inputs_of(body, prefix) {
        Ok(Some(inputs)) => describe(&inputs, now),
        Ok(None) => alone(format!("its record does not speak of {prefix}")),
        Err(error) => alone(format!("its record cannot be read by this version: {error}")),
    }
}

fn inputs_of(body: &str, prefix: Prefix) -> Result<Option<Inputs>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Record {
        inputs: Vec<Inputs>,
    }
    let record: Record = serde_json::from_str(body)?;
    Ok(record.inputs.into_iter().find(|inputs| inputs.prefix == prefix))
}

/// What a decision looked at, link by link.
pub fn describe(inputs: &Inputs, now: Timestamp) -> Vec<Link> {
    let mut links = Vec::new();
    let mut add = |at: Option<Timestamp>, source: &str, text: String| {
        links.push(Link {
            at,
            source: source.to_owned(),
            text: words::outside(&text, LONG),
        });
    };
    match &inputs.bgp {
        Observed::Unavailable { reason } => add(None, "Cloudflare API", format!("BGP state not read: {reason}")),
        Observed::Known { value, at } => {
            let since = value.advertised_modified_at.map_or_else(
                || "since when is not said".to_owned(),
                |at| format!("since {}", clock(at, now)),
            );
            let flag = match value.advertised {
                Some(true) => format!("advertised {since}"),
                Some(false) => format!("withdrawn {since}"),
                None => "whether it is advertised is not said".to_owned(),
            };
            let refuses = value
                .refuses_control()
                .map(|why| format!("; {}", why.explain()))
                .unwrap_or_default();
            add(Some(*at), "Cloudflare API", flag + &refuses);
        }
    }
    match &inputs.traffic {
        Observed::Unavailable { reason } => add(None, "Cloudflare analytics", format!("traffic not read: {reason}")),
        Observed::Known { value, at } => add(Some(*at), "Cloudflare analytics", traffic(value, now)),
    }
    match &inputs.alerts {
        Observed::Unavailable { reason } => add(None, "alert ledger", format!("open alerts not known: {reason}")),
        Observed::Known { value, at } => {
            let open: Vec<String> = value
                .iter()
                .filter(|alert| alert.concerns(inputs.prefix))
                .map(|alert| match alert.is_unread() {
                    true => format!("notifications since {} not read yet", clock(alert.since, now)),
                    false => format!("#{} ({}) since {}", alert.event, alert.kind, clock(alert.since, now)),
                })
                .collect();
            let text = if open.is_empty() {
                "no attack alert is open".to_owned()
            } else {
                open.join(", ")
            };
            add(Some(*at), "alert ledger", text);
        }
    }
    if let Some(hold) = &inputs.hold {
        let hold = crate::standing::HoldView::from(hold);
        add(Some(hold.since), "hold", hold.sentence(now));
    }
    let route = match &inputs.direct_route {
        DirectRoute::AlwaysAnnounced => (None, "the operator always announces it".to_owned()),
        DirectRoute::Checked { at } => (Some(*at), "its check succeeded".to_owned()),
        DirectRoute::NotDeclared => (None, "nobody has stated how it is reachable once withdrawn".to_owned()),
        DirectRoute::NotProven { reason } => (None, format!("not proven: {reason}")),
    };
    add(route.0, "direct route", route.1);
    links
}

fn traffic(traffic: &PrefixTraffic, now: Timestamp) -> String {
    let packets: Packets = traffic.drops.values().map(|dropped| dropped.packets).sum();
    let bits: Bits = traffic.drops.values().map(|dropped| dropped.bits).sum();
    let samples = traffic
        .drops
        .values()
        .fold(0_u64, |sum, dropped| sum.saturating_add(dropped.samples));
    let newest = traffic.newest_row.map_or_else(
        || "the account has no row at all".to_owned(),
        |at| format!("the newest row of the account is of {}", words::stamp(at)),
    );
    let mut text = format!(
        "{} to {}: dropped {packets} and {bits} on {} samples, passed {}; {newest}",
        stamp(traffic.from),
        stamp(traffic.to),
        domain::units::grouped(samples),
        traffic.passed_packets,
    );
    let mut remark = |what: &str| {
        text.push_str("; ");
        text.push_str(what);
    };
    if traffic.truncated {
        remark("the answer was cut at its row limit");
    }
    if !traffic.saw_rows {
        remark("not one row belongs to the prefix");
    }
    if traffic.max_sample_interval > 0 {
        remark(&format!(
            "one packet in {} is sampled",
            domain::units::grouped(traffic.max_sample_interval)
        ));
    }
    if now < traffic.to {
        remark("the last minute is not over");
    }
    text
}

/// Links as a table.
pub fn links_table(links: &[Link], screen: Screen) -> String {
    let mut table = Table::new(&["WHEN (UTC)", "SOURCE", "EVIDENCE"]);
    for link in links {
        let at = link.at.map_or_else(|| "-".to_owned(), stamp);
        table.row([at, link.source.clone(), link.text.clone()]);
    }
    table.render(screen)
}

impl Explanation {
    /// The explanation as text: state first, then the chain that leads to it.
    pub fn text(&self, screen: Screen) -> String {
        let now = self.at;
        let heading = |words: &str| format!("\n{}\n", ink(Ink::Strong, words));
        let mut text = report::detail(&self.standing, &self.daemon, now, screen);
        if let Some(change) = &self.changed_elsewhere {
            text.push_str(&heading("Changed elsewhere"));
            text.push_str(&elsewhere::lines(std::slice::from_ref(change), now));
        }
        text.push_str(&heading("Evidence of the daemon's last answer"));
        if self.evidence.is_empty() {
            text.push_str("none: the daemon has not answered for it\n");
        }
        text.push_str(&links_table(&self.evidence, screen));
        if let Some(answer) = &self.standing.answer {
            text.push_str(&heading("Verdict, what blocks, what comes next"));
            let mut rows = vec![("verdict", answer.verdict.clone())];
            if let (Some(since), Some(proven)) = (answer.calm_since, answer.calm_proven_s) {
                let proven = human(Duration::from_secs(proven));
                let wanted = human(Duration::from_secs(answer.calm_period_s));
                rows.push((
                    "calm",
                    format!("since {}, {proven} of {wanted} proven", clock(since, now)),
                ));
            }
            for block in &answer.blocks {
                let end = block
                    .until
                    .map_or_else(String::new, |until| format!(" (until {})", clock(until, now)));
                rows.push(("blocks", format!("{}{end}", block.text)));
            }
            let when = answer
                .next
                .not_before
                .map_or_else(String::new, |at| format!(" not before {}", clock(at, now)));
            rows.push(("next", format!("{}{when}: {}", answer.next.action, answer.next.because)));
            text.push_str(&fields(&rows, screen));
        }
        if let Some(incident) = &self.incident {
            text.push_str(&heading("Incident"));
            let title = words::outside(&incident.title, 100);
            text.push_str(&format!(
                "{}: {title}, began {}\n",
                incident.id,
                clock(incident.began_at, now)
            ));
        }
        if !self.changes.is_empty() {
            text.push_str(&heading("Changes of the verdict, newest first"));
            let mut table = Table::new(&["WHEN (UTC)", "VERDICT", "NEXT"]);
            for change in &self.changes {
                table.row([stamp(change.at), change.verdict.clone(), change.next.clone()]);
            }
            text.push_str(&table.render(screen));
        }
        if !self.acts.is_empty() {
            text.push_str(&heading("Acts, newest first"));
            text.push_str(&acts_table(&self.acts, screen));
        }
        text
    }
}

/// Acts as a table: who, why, what became of it.
pub fn acts_table(acts: &[ActView], screen: Screen) -> String {
    let mut table = Table::new(&["WHEN (UTC)", "ACT", "PREFIX", "BY", "STATE", "REASON", "OUTCOME"]);
    for ActView { intent, attempts } in acts {
        let last = attempts
            .last()
            .map(|attempt| format!("{} {}: {}", attempt.step, attempt.class, attempt.words));
        let outcome = intent.outcome_words.clone().or(last).unwrap_or_default();
        table.row([
            stamp(intent.created_at),
            format!("{} {}", intent.act, intent.id),
            intent.prefix.to_string(),
            words::outside(&by(intent), 60),
            intent.state.to_string(),
            words::outside(&intent.reason, 160),
            words::outside(&outcome, 160),
        ]);
    }
    table.render(screen)
}

/// `ana@noc` or `autowithdraw`.
pub fn by(intent: &Intent) -> String {
    match &intent.origin {
        domain::intent::Origin::Automatic => "autowithdraw".to_owned(),
        domain::intent::Origin::Person { actor, .. } => actor.clone(),
    }
}
