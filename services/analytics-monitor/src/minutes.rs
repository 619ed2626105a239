//! Dropped traffic of each prefix of ours, minute by minute, for plots and incidents.
//!
//! Cloudflare adds it up, so that a flood of rows costs nothing here. What a network's row may mean follows the same rule
//! as the withdraw decision: the most specific prefix of ours around it, and every one inside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use cf_api::graphql::minutes::{MinuteRow, MinutesRequest};
use db::series::{Difference, MINUTE, Minute, Point};
use db::{DbError, WriteTx};
use domain::prefix::{Prefix, PrefixMap, owners_of};
use domain::time::{ceil_to, floor_to, plus, since};
use jiff::Timestamp;

use crate::feed::{self, Source};
use crate::peaks::a_second;
use crate::poll::{Course, Failure, Parts, PollError, PollReport};
use crate::reach::{Limits, Node};
use crate::split::{Judged, Split};
use crate::window::{Span, plan_in};

/// Polls the minutes, one poll after the other.
pub struct Minutes {
    parts: Parts,
    limits: Limits,
    course: Course,
    progress: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Minutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minutes")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Prefix, minute and system, to packets, bits and samples.
type Sums = BTreeMap<(Prefix, Timestamp, String), (u64, u64, u64)>;

impl Minutes {
    /// One that has not polled yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            limits: Limits::new(Node::Traffic),
            course: Course::new(Source::minutes()),
            progress: Arc::new(|| ()),
        }
    }

    /// Calls `progress` after each answer and each write.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn Fn() + Send + Sync>) -> Self {
        self.progress = progress;
        self
    }

    /// Reads the minutes from the newest known one, with an overlap, and stores what changed.
    ///
    /// # Errors
    /// Why not everything could be read and stored; minutes stored before the failure stay stored.
    pub async fn poll_once(&mut self) -> Result<PollReport, Failure> {
        match self.attempt().await {
            Ok(report) => Ok(report),
            Err(error) => Err(self.course.failed(&self.parts, error).await),
        }
    }

    async fn attempt(&mut self) -> Result<PollReport, PollError> {
        let source = self.course.source.clone();
        let (newest, failing, inventory) = self
            .parts
            .db
            .read("minutes.begin", move |tx| {
                Ok((
                    db::series::newest_minute(tx)?,
                    feed::stored(tx, &source)?,
                    db::inventory::all(tx)?,
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
        let mut own: Vec<Prefix> = self.parts.policy.own.clone();
        own.extend(inventory.iter().map(|entry| entry.prefix.prefix));
        own.sort();
        own.dedup();
        let owners: PrefixMap<()> = own.iter().map(|prefix| (*prefix, ())).collect();
        let now = self.parts.clock.now();
        let mark = newest.map(|minute| plus(minute, MINUTE));
        let plan = plan_in(MINUTE, mark, now, &self.parts.policy, &self.limits.reach());
        let mut report = PollReport {
            from: plan.spans.first().map(|span| span.from),
            is_behind: plan.is_behind,
            ..PollReport::default()
        };
        for &span in &plan.spans {
            let (sums, truncated, queries) = self.read(span, &owners, now).await?;
            report.queries += queries;
            report.kept.new += self.keep(span, own.clone(), sums, truncated.clone()).await?;
            report.to = Some(span.to);
            report.truncated.extend(truncated);
            self.course.succeeded();
        }
        Ok(report)
    }

    async fn read(
        &self,
        span: Span,
        owners: &PrefixMap<()>,
        now: Timestamp,
    ) -> Result<(Sums, Vec<Span>, u32), PollError> {
        let mut split = Split::new(span, MINUTE);
        let (mut sums, mut truncated) = (Sums::new(), Vec::new());
        while let Some(part) = split.part() {
            let request = MinutesRequest {
                from: part.from,
                to: part.to,
                limit: self.limits.reach().page,
            };
            let answer = self.parts.api.dropped_minutes(request, now).await?;
            (self.progress)();
            match split.judge(answer.truncated) {
                Judged::Halved => continue,
                Judged::Complete => {}
                Judged::Truncated => truncated.push(part),
            }
            for row in &answer.rows {
                add(&mut sums, owners, row);
            }
        }
        Ok((sums, truncated, split.queries()))
    }

    /// Returns how many amounts were new or changed.
    async fn keep(&self, span: Span, own: Vec<Prefix>, sums: Sums, truncated: Vec<Span>) -> Result<u64, PollError> {
        let answer: Vec<Minute> = sums
            .into_iter()
            .map(|((prefix, at, system), (packets, bits, samples))| Minute {
                prefix,
                at,
                system,
                packets,
                bits,
                samples,
            })
            .collect();
        let difference = self
            .parts
            .db
            .read("minutes.difference", move |tx| {
                let is_complete =
                    |minute: Timestamp| truncated.iter().all(|part| minute < part.from || part.to <= minute);
                db::series::difference(tx, span.from, span.to, &own, answer, is_complete)
            })
            .await?;
        let changed = difference.changed.len() as u64;
        let (source, now) = (self.course.source.clone(), self.parts.clock.now());
        self.parts
            .db
            .write("minutes.keep", move |tx| {
                if !difference.is_empty() {
                    db::series::apply(tx, &difference)?;
                    raise_peaks(tx, span, &difference, now)?;
                }
                feed::recovered(tx, &source, now)
            })
            .await?;
        (self.progress)();
        Ok(changed)
    }
}

fn add(sums: &mut Sums, owners: &PrefixMap<()>, row: &MinuteRow) {
    for owner in owners_of(owners, row.subnet) {
        let sum = sums.entry((owner, row.at, row.system.clone())).or_default();
        sum.0 = sum.0.saturating_add(row.packets.0);
        sum.1 = sum.1.saturating_add(row.bits.0);
        sum.2 = sum.2.saturating_add(row.packets.0.div_ceil(row.sample_interval.max(1)));
    }
}

/// The heaviest minute is a peak of the incident that the prefix is in, if that had begun.
fn raise_peaks(tx: &WriteTx<'_>, span: Span, difference: &Difference, now: Timestamp) -> Result<(), DbError> {
    let prefixes: BTreeSet<Prefix> = difference.changed.iter().map(|minute| minute.prefix).collect();
    for prefix in prefixes {
        let Some(id) = db::incidents::current(tx, prefix)? else {
            continue;
        };
        let Some(incident) = db::incidents::get(tx, id)? else {
            continue;
        };
        // What was dropped before its first minute, or after its end, is another attack's.
        let from = span.from.max(floor_to(incident.began_at, MINUTE));
        let to = incident
            .ended_at
            .map_or(span.to, |end| span.to.min(ceil_to(end, MINUTE)));
        if from >= to {
            continue;
        }
        let minutes = u32::try_from(since(to, from).as_secs() / 60 + 2).unwrap_or(u32::MAX);
        let points = db::series::series(tx, prefix, from, to, minutes)?;
        let most = |amount: fn(&Point) -> u64| points.iter().map(amount).max().unwrap_or(0);
        let peak = (most(|point| point.most_packets), most(|point| point.most_bits));
        if peak != (0, 0) {
            db::incidents::raise_peak(tx, id, a_second(peak.0), a_second(peak.1), now)?;
        }
    }
    Ok(())
}
