//! Dropped traffic of each prefix of ours, minute by minute, for plots and incidents.
//!
//! Cloudflare adds it up, so that a flood of rows costs nothing here. What a network's row may mean follows the same rule
//! as the withdraw decision: the most specific prefix of ours around it, and every one inside it.

use std::collections::{BTreeMap, BTreeSet};

use cf_api::graphql::minutes::{MinuteRow, MinutesRequest};
use db::series::{Difference, MINUTE, Minute, Point};
use db::{DbError, WriteTx};
use domain::prefix::{Prefix, PrefixMap, owners_of};
use domain::time::{ceil_to, floor_to, plus, since};
use jiff::Timestamp;

use crate::feed::Source;
use crate::fetch::tell_truncated;
use crate::keep::{End, finish};
use crate::peaks::a_second;
use crate::poll::{Parts, PollError, PollReport};
use crate::reach::Node;
use crate::reading::{Ask, Polled, Reading};
use crate::split::{Judged, Split};
use crate::window::{Span, beyond, plan_in};

/// Reads the minutes.
#[derive(Debug)]
pub struct Minutes {
    reading: Reading,
}

/// Prefix, minute and system, to packets, bits and samples.
pub type Sums = BTreeMap<(Prefix, Timestamp, String), (u64, u64, u64)>;

/// What one span's answers add up to.
#[derive(Debug, Default)]
pub struct Read {
    /// Dropped traffic.
    pub sums: Sums,
    /// Parts of which rows are missing.
    pub truncated: Vec<Span>,
    /// How many queries it took.
    pub queries: u32,
}

/// Asks for the dropped traffic of `own` in a span.
///
/// # Errors
/// The first failure of any query.
pub async fn read(ask: &Ask, span: Span, own: &[Prefix]) -> Result<Read, PollError> {
    let owners: PrefixMap<()> = own.iter().map(|prefix| (*prefix, ())).collect();
    let mut split = Split::new(span, MINUTE);
    let mut read = Read::default();
    while let Some(part) = split.part() {
        let request = MinutesRequest {
            from: part.from,
            to: part.to,
            limit: ask.reach.page,
        };
        let answer = ask.api.dropped_minutes(request, ask.now).await?;
        (ask.progress)();
        match split.judge(answer.truncated) {
            Judged::Halved => continue,
            Judged::Complete => {}
            Judged::Truncated => {
                tell_truncated(Node::Traffic.as_str(), part, ask.reach.page);
                read.truncated.push(part);
            }
        }
        for row in &answer.rows {
            add(&mut read.sums, &owners, row);
        }
    }
    read.queries = split.queries();
    Ok(read)
}

impl Minutes {
    /// One that has not polled yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            reading: Reading::new(parts, Node::Traffic, Source::minutes()),
        }
    }

    /// Returns how many amounts were new or changed.
    async fn keep(
        &self,
        span: Span,
        own: Vec<Prefix>,
        read: &Read,
        mark: Option<Timestamp>,
        lost: Option<Span>,
    ) -> Result<u64, PollError> {
        let minute = |((prefix, at, system), (packets, bits, samples)): (&(Prefix, Timestamp, String), &_)| Minute {
            prefix: *prefix,
            at: *at,
            system: system.clone(),
            packets: *packets,
            bits: *bits,
            samples: *samples,
        };
        let answer: Vec<Minute> = read.sums.iter().map(minute).collect();
        let (db, truncated) = (&self.reading.parts.db, read.truncated.clone());
        let difference = db
            .read("minutes.difference", move |tx| {
                let is_complete =
                    |minute: Timestamp| truncated.iter().all(|part| minute < part.from || part.to <= minute);
                db::series::difference(tx, span.from, span.to, &own, answer, is_complete)
            })
            .await?;
        let changed = difference.changed.len() as u64;
        let (source, now) = (self.reading.source.clone(), self.reading.parts.clock.now());
        let truncated = beyond(&read.truncated, mark);
        db.write("minutes.keep", move |tx| {
            if !difference.is_empty() {
                db::series::apply(tx, &difference)?;
                raise_peaks(tx, span, &difference, now)?;
            }
            let end = End {
                to: None,
                lost,
                truncated: &truncated,
            };
            finish(tx, &source, &end, now)
        })
        .await?;
        Ok(changed)
    }
}

impl Polled for Minutes {
    fn reading(&mut self) -> &mut Reading {
        &mut self.reading
    }

    /// Reads from the newest known minute, with an overlap, and stores what changed.
    async fn attempt(&mut self) -> Result<PollReport, PollError> {
        let begun = self.reading.begin(db::series::newest_minute).await?;
        if !begun.in_contract {
            return Ok(PollReport::of_no_contract());
        }
        let ask = self.reading.ask();
        // The minutes themselves are the mark: there is one for each that was read, calm or not.
        let mark = begun.more.map(|minute| plus(minute, MINUTE));
        let plan = plan_in(MINUTE, mark, ask.now, &self.reading.parts.policy, &ask.reach);
        let mut report = PollReport::planned(&plan);
        let mut lost = plan.lost;
        for &span in &plan.spans {
            let read = read(&ask, span, &begun.own).await?;
            report.queries += read.queries;
            report.kept.new += self.keep(span, begun.own.clone(), &read, mark, lost.take()).await?;
            self.reading.succeeded();
            if report.to.is_none() {
                plan.tell_oddities(&self.reading.source, mark);
            }
            report.to = Some(span.to);
            report.truncated.extend(read.truncated);
        }
        Ok(report)
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
