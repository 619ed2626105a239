//! Begin and end of attacks, from Cloudflare's attack analytics: another witness beside the notifications.
//!
//! Attacks that began since the last poll are looked for; those and all that have no end yet are then read whole, by id.
//! An incident's timeline is told of begin and end once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cf_api::graphql::attacks::{AttackRow, AttacksRequest};
use db::attack_spans::AttackSpan;
use db::incidents::Line;
use db::{DbError, WriteTx};
use domain::time::{minus, since};
use jiff::Timestamp;

use crate::feed::{self, Source};
use crate::keep::{incident_of, move_watermark, watermark_of};
use crate::networks::Networks;
use crate::poll::{Course, Failure, Parts, PollError, PollReport};
use crate::reach::{Limits, Node};
use crate::split::{Judged, Split};
use crate::window::plan;

/// An attack without end is asked for again for so long.
const FOLLOWED: Duration = Duration::from_secs(7 * 86_400);

/// Attacks followed at once.
const MOST_FOLLOWED: u32 = 200;

/// Ids of one query.
const IDS: usize = 50;

/// Queries by id of one poll.
const QUERIES: u32 = 20;

/// Targets kept of an attack.
const TARGETS: usize = 20;

/// Data about to expire may expire while we ask.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);

/// Polls the attacks, one poll after the other.
pub struct Attacks {
    parts: Parts,
    limits: Limits,
    course: Course,
    progress: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Attacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attacks")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Attacks {
    /// One that has not polled yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            limits: Limits::new(Node::Attacks),
            course: Course::new(Source::attacks()),
            progress: Arc::new(|| ()),
        }
    }

    /// Calls `progress` after each answer and each write.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn Fn() + Send + Sync>) -> Self {
        self.progress = progress;
        self
    }

    /// Reads attacks that are new or last, and stores what changed.
    ///
    /// # Errors
    /// Why not everything could be read and stored. Then the watermark has not moved.
    pub async fn poll_once(&mut self) -> Result<PollReport, Failure> {
        match self.attempt().await {
            Ok(report) => Ok(report),
            Err(error) => Err(self.course.failed(&self.parts, error).await),
        }
    }

    async fn attempt(&mut self) -> Result<PollReport, PollError> {
        let (source, now) = (self.course.source.clone(), self.parts.clock.now());
        let (watermark, failing, inventory, open) = self
            .parts
            .db
            .read("attacks.begin", move |tx| {
                Ok((
                    watermark_of(tx, &source)?,
                    feed::stored(tx, &source)?,
                    db::inventory::all(tx)?,
                    db::attack_spans::open(tx, minus(now, FOLLOWED), MOST_FOLLOWED)?,
                ))
            })
            .await?;
        self.course.restore(&self.parts, failing.as_deref());
        self.limits.renew(&self.parts.api, self.parts.clock.monotonic()).await;
        (self.progress)();
        if !self.limits.is_enabled() {
            return Ok(PollReport {
                not_in_contract: true,
                ..PollReport::default()
            });
        }
        let policy = &self.parts.policy;
        let plan = plan(watermark, now, policy, &self.limits.reach());
        let mut report = PollReport {
            from: plan.spans.first().map(|span| span.from),
            is_behind: plan.is_behind,
            ..PollReport::default()
        };
        let (Some(first), Some(last)) = (plan.spans.first().copied(), plan.spans.last().copied()) else {
            return Ok(report);
        };
        let mut wanted: BTreeMap<String, Timestamp> =
            open.into_iter().map(|span| (span.attack_id, span.began_at)).collect();
        for &span in &plan.spans {
            let mut split = Split::new(span, Duration::from_secs(1));
            while let Some(part) = split.part() {
                let request = AttacksRequest {
                    oldest: part.from,
                    from: part.from,
                    to: part.to,
                    ids: Vec::new(),
                    limit: self.limits.reach().page,
                };
                let answer = self.parts.api.attacks(&request, now).await?;
                (self.progress)();
                match split.judge(answer.truncated) {
                    Judged::Halved => continue,
                    Judged::Complete => {}
                    Judged::Truncated => report.truncated.push(part),
                }
                for row in answer.rows {
                    let began = wanted.entry(row.attack_id).or_insert(row.began_at);
                    *began = (*began).min(row.began_at);
                }
            }
            report.queries += split.queries();
        }
        let networks = Networks::new(
            policy
                .own
                .iter()
                .copied()
                .chain(inventory.iter().map(|entry| entry.prefix.prefix)),
            &policy.anycast,
        );
        let spans = self
            .read_whole(wanted, last.to.max(first.to), now, &networks, &mut report)
            .await?;
        let (source, to) = (self.course.source.clone(), last.to);
        report.kept.new = self
            .parts
            .db
            .write("attacks.keep", move |tx| {
                let changed = keep(tx, spans, now)?;
                move_watermark(tx, &source, to, now)?;
                feed::recovered(tx, &source, now)?;
                Ok(changed)
            })
            .await?;
        (self.progress)();
        report.to = Some(last.to);
        self.course.succeeded();
        Ok(report)
    }

    /// Everything about attacks of these ids that is still to be had.
    async fn read_whole(
        &self,
        wanted: BTreeMap<String, Timestamp>,
        to: Timestamp,
        now: Timestamp,
        networks: &Networks,
        report: &mut PollReport,
    ) -> Result<Vec<AttackSpan>, PollError> {
        let reach = self.limits.reach();
        let longest = reach
            .not_older_than
            .unwrap_or(reach.max_duration)
            .min(reach.max_duration);
        let oldest = minus(now, longest.saturating_sub(EXPIRY_MARGIN));
        let in_reach: Vec<(String, Timestamp)> = wanted.into_iter().filter(|(_, began)| *began >= oldest).collect();
        let mut chunks: Vec<Vec<(String, Timestamp)>> = in_reach.chunks(IDS).map(<[_]>::to_vec).collect();
        let (mut spans, mut queries) = (Vec::new(), 0);
        while let Some(chunk) = chunks.pop() {
            let Some(began) = chunk.iter().map(|(_, began)| *began).min() else {
                continue;
            };
            let request = AttacksRequest {
                oldest: began,
                from: to,
                to,
                ids: chunk.iter().map(|(id, _)| id.clone()).collect(),
                limit: reach.page,
            };
            let answer = self.parts.api.attacks(&request, now).await?;
            (self.progress)();
            queries += 1;
            if answer.truncated && chunk.len() > 1 && queries + 2 <= QUERIES {
                let (some, others) = chunk.split_at(chunk.len() / 2);
                chunks.push(some.to_vec());
                chunks.push(others.to_vec());
                continue;
            }
            spans.extend(whole(&answer.rows, !answer.truncated, networks, now));
        }
        report.queries += queries;
        Ok(spans)
    }
}

/// One span for each attack of these rows.
fn whole(rows: &[AttackRow], complete: bool, networks: &Networks, now: Timestamp) -> Vec<AttackSpan> {
    let mut attacks: BTreeMap<&str, Vec<&AttackRow>> = BTreeMap::new();
    for row in rows {
        attacks.entry(&row.attack_id).or_default().push(row);
    }
    let span = |(id, rows): (&str, Vec<&AttackRow>)| {
        let mut targets: BTreeMap<&str, u64> = BTreeMap::new();
        for row in &rows {
            if let Some(target) = &row.target {
                let packets = targets.entry(target).or_default();
                *packets = packets.saturating_add(row.packets.0);
            }
        }
        let mut targets: Vec<(&str, u64)> = targets.into_iter().collect();
        targets.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let sources: BTreeSet<&str> = rows.iter().filter_map(|row| row.source.as_deref()).collect();
        let ends = rows.iter().map(|row| row.ended_at);
        let sum = |amount: fn(&AttackRow) -> u64| rows.iter().fold(0, |sum: u64, row| sum.saturating_add(amount(row)));
        let own = |target: &str| networks.own_prefix(target.parse().ok()?);
        AttackSpan {
            attack_id: id.to_owned(),
            began_at: rows.iter().map(|row| row.began_at).min().unwrap_or(now),
            // It lasts while any part of it does.
            ended_at: ends.collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max()),
            vector: rows.iter().find_map(|row| row.vector.clone()),
            rule_name: rows.iter().find_map(|row| row.rule_name.clone()),
            mitigation: rows.iter().find_map(|row| row.mitigation.clone()),
            prefix: targets.iter().find_map(|(target, _)| own(target)),
            targets: targets
                .iter()
                .take(TARGETS)
                .map(|(target, _)| (*target).to_owned())
                .collect(),
            sources: sources.len() as u64,
            packets: sum(|row| row.packets.0),
            bits: sum(|row| row.bits.0),
            dropped_packets: sum(|row| row.dropped_packets.0),
            dropped_bits: sum(|row| row.dropped_bits.0),
            complete,
            incident: None,
            read_at: now,
        }
    };
    attacks.into_iter().map(span).collect()
}

/// Stores what changed and tells the incidents. Returns how many changed.
fn keep(tx: &WriteTx<'_>, spans: Vec<AttackSpan>, now: Timestamp) -> Result<u64, DbError> {
    let mut changed = 0;
    for span in spans {
        let known = db::attack_spans::get(tx, &span.attack_id)?;
        let span = AttackSpan {
            incident: incident_of(tx, &span.attack_id)?,
            read_at: known.as_ref().map_or(now, |known| known.read_at),
            ..span
        };
        if known.as_ref() == Some(&span) {
            continue;
        }
        changed += 1;
        db::attack_spans::store(
            tx,
            &AttackSpan {
                read_at: now,
                ..span.clone()
            },
        )?;
        tell(tx, known.as_ref(), &span, now)?;
    }
    Ok(changed)
}

fn tell(tx: &WriteTx<'_>, known: Option<&AttackSpan>, span: &AttackSpan, now: Timestamp) -> Result<(), DbError> {
    let Some(incident) = span.incident else {
        return Ok(());
    };
    let told = known.filter(|known| known.incident == Some(incident));
    let line = |at, kind: &str, text: String| Line {
        at,
        kind: kind.to_owned(),
        text,
        source: "attack analytics".to_owned(),
        actor: None,
        reference: None,
    };
    if told.is_none() {
        let what = span.vector.as_deref().unwrap_or("The attack");
        let text = format!("{what} began, as Cloudflare's attack analytics tell it");
        db::incidents::note(tx, incident, &line(span.began_at, "analytics_began", text), now)?;
    }
    if let Some(end) = span.ended_at
        && told.is_none_or(|told| told.ended_at.is_none())
    {
        let lasted = domain::duration::human(since(end, span.began_at));
        let text = format!("It ended after {lasted}, as Cloudflare's attack analytics tell it");
        db::incidents::note(tx, incident, &line(end, "analytics_ended", text), now)?;
    }
    Ok(())
}
