//! Begin and end of attacks, from Cloudflare's attack analytics: another witness beside the notifications.
//!
//! Attacks that began since the last poll are looked for; those and all that have no end yet are then read whole, by id.
//! An incident's timeline is told of begin and end once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cf_api::graphql::attacks::{AttackRow, AttacksRequest};
use db::attack_spans::AttackSpan;
use db::incidents::Line;
use db::{DbError, WriteTx};
use domain::time::{minus, since};
use jiff::Timestamp;

use crate::feed::Source;
use crate::fetch::tell_truncated;
use crate::keep::{End, finish, incident_of};
use crate::networks::Networks;
use crate::poll::{Parts, PollError, PollReport};
use crate::reach::Node;
use crate::reading::{Ask, Polled, Reading};
use crate::split::{Judged, Split};
use crate::window::{Span, beyond, plan};

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

/// Reads the attacks.
#[derive(Debug)]
pub struct Attacks {
    reading: Reading,
}

/// Attacks by id, with when each began.
pub type Wanted = BTreeMap<String, Timestamp>;

/// What answers say.
#[derive(Debug, Default)]
pub struct Read {
    /// Attacks, each whole as far as it is still to be had.
    pub attacks: Vec<AttackSpan>,
    /// Parts of which attacks are missing.
    pub truncated: Vec<Span>,
    /// How many queries it took.
    pub queries: u32,
}

impl Attacks {
    /// One that has not polled yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            reading: Reading::new(parts, Node::Attacks, Source::attacks()),
        }
    }
}

impl Polled for Attacks {
    fn reading(&mut self) -> &mut Reading {
        &mut self.reading
    }

    /// Reads attacks that are new or last, and stores what changed.
    async fn attempt(&mut self) -> Result<PollReport, PollError> {
        let oldest = minus(self.reading.parts.clock.now(), FOLLOWED);
        let begun = self
            .reading
            .begin(move |tx| db::attack_spans::open(tx, oldest, MOST_FOLLOWED))
            .await?;
        if !begun.in_contract {
            return Ok(PollReport::of_no_contract());
        }
        let policy = &self.reading.parts.policy;
        let ask = self.reading.ask();
        let plan = plan(begun.watermark, ask.now, policy, &ask.reach);
        let mut report = PollReport::planned(&plan);
        let Some(last) = plan.spans.last() else {
            return Ok(report);
        };
        let networks = begun.networks(&policy.anycast);
        let open = begun.more.into_iter().map(|span| (span.attack_id, span.began_at));
        let read = read(&ask, &plan.spans, open.collect(), &networks).await?;
        let (source, to, now) = (self.reading.source.clone(), last.to, ask.now);
        let (attacks, truncated, lost) = (read.attacks, beyond(&read.truncated, begun.watermark), plan.lost);
        report.kept.new = self
            .reading
            .parts
            .db
            .write("attacks.keep", move |tx| {
                let changed = keep(tx, attacks, now)?;
                let end = End {
                    to: Some(to),
                    lost,
                    truncated: &truncated,
                };
                finish(tx, &source, &end, now)?;
                Ok(changed)
            })
            .await?;
        self.reading.succeeded();
        plan.tell_oddities(&self.reading.source, begun.watermark);
        report.queries = read.queries;
        report.truncated = read.truncated;
        report.to = Some(to);
        Ok(report)
    }
}

/// Looks for attacks that began in the spans, and reads them and those of `wanted` whole.
///
/// # Errors
/// The first failure of any query.
pub async fn read(ask: &Ask, spans: &[Span], mut wanted: Wanted, networks: &Networks) -> Result<Read, PollError> {
    let mut read = Read::default();
    for &span in spans {
        let mut split = Split::new(span, Duration::from_secs(1));
        while let Some(part) = split.part() {
            let request = AttacksRequest {
                oldest: part.from,
                from: part.from,
                to: part.to,
                ids: Vec::new(),
                limit: ask.reach.page,
            };
            let answer = ask.api.attacks(&request, ask.now).await?;
            (ask.progress)();
            match split.judge(answer.truncated) {
                Judged::Halved => continue,
                Judged::Complete => {}
                Judged::Truncated => {
                    tell_truncated(Node::Attacks.as_str(), part, ask.reach.page);
                    read.truncated.push(part);
                }
            }
            for row in answer.rows {
                let began = wanted.entry(row.attack_id).or_insert(row.began_at);
                *began = (*began).min(row.began_at);
            }
        }
        read.queries += split.queries();
    }
    let Some(last) = spans.last() else { return Ok(read) };
    let (attacks, queries) = read_whole(ask, wanted, last.to, networks).await?;
    read.attacks = attacks;
    read.queries += queries;
    Ok(read)
}

/// Everything about attacks of these ids that is still to be had, and how many queries that took.
async fn read_whole(
    ask: &Ask,
    wanted: Wanted,
    to: Timestamp,
    networks: &Networks,
) -> Result<(Vec<AttackSpan>, u32), PollError> {
    let longest = ask
        .reach
        .not_older_than
        .unwrap_or(ask.reach.max_duration)
        .min(ask.reach.max_duration);
    let oldest = minus(ask.now, longest.saturating_sub(EXPIRY_MARGIN));
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
            limit: ask.reach.page,
        };
        let answer = ask.api.attacks(&request, ask.now).await?;
        (ask.progress)();
        queries += 1;
        if answer.truncated && chunk.len() > 1 && queries + 2 <= QUERIES {
            let (some, others) = chunk.split_at(chunk.len() / 2);
            chunks.push(some.to_vec());
            chunks.push(others.to_vec());
            continue;
        }
        spans.extend(whole(&answer.rows, !answer.truncated, networks, ask.now));
    }
    Ok((spans, queries))
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
