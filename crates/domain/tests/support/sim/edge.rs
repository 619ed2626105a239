//! What truly happens at Cloudflare's edge, and what Cloudflare answers when it is asked: the state
//! of each advertisement with its history, dropped and passed traffic minute by minute, calls that
//! are made, lost, late or lied about.

use std::time::Duration;

use domain::bgp::BgpState;
use domain::evidence::{DropRow, PassedRow, TrafficWindow};
use domain::ids::IntentId;
use domain::prefix::Prefix;
use domain::units::{Bits, Packets};
use jiff::Timestamp;

use super::fault::Kind;
use super::schedule::{Item, Schedule};
use crate::support::{at, p, secs};

/// Packets that one sample stands for.
pub const INTERVAL: u64 = 1_000;

/// Dropped traffic of one subnet, stamped with one minute.
#[derive(Debug, Clone, Copy, Default)]
pub struct Minute {
    pub packets: u64,
    pub visible_at: i64,
    /// The stated ingest delay was broken for it.
    pub too_late: bool,
    pub passes: bool,
    pub passed_visible_at: i64,
}

#[derive(Debug)]
pub struct Net {
    pub net: Prefix,
    pub owner: usize,
    pub minutes: Vec<Minute>,
}

/// A change of an advertisement.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub t: i64,
    pub advertised: bool,
    pub since: i64,
    /// The call that made it.
    pub by: Option<IntentId>,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    Accepted,
    RefusedForNow(Option<u64>),
    RefusedForGood,
    Lost,
}

#[derive(Debug)]
pub struct Edge {
    index: Vec<Vec<Item>>,
    delay_s: i64,
    settle_s: i64,
    pub nets: Vec<Net>,
    /// Per prefix, oldest first; never empty.
    pub changes: Vec<Vec<Change>>,
    pending: Vec<(i64, usize, bool, IntentId)>,
    minute: i64,
    newest: Vec<(i64, i64)>,
}

const ACCOUNT: &str = "192.0.2.0/24";

impl Edge {
    pub fn new(schedule: &Schedule) -> Self {
        let mut index = vec![vec![]; super::fault::TABLE.len()];
        for item in &schedule.items {
            index[item.kind as usize].push(*item);
        }
        let mut nets = Vec::new();
        for (owner, (_, of)) in schedule.prefixes.iter().enumerate() {
            nets.extend(of.iter().map(|net| Net {
                net: *net,
                owner,
                minutes: vec![Minute::default(); (schedule.end_s / 60 + 20) as usize],
            }));
        }
        let first = Change {
            t: -7_200,
            advertised: false,
            since: -7_200,
            by: None,
        };
        Self {
            index,
            delay_s: schedule.delay_s,
            settle_s: schedule.policy.traffic.settle.as_secs() as i64,
            nets,
            changes: vec![vec![first]; schedule.prefixes.len()],
            pending: vec![],
            minute: 0,
            newest: vec![],
        }
    }

    /// The event of this kind that is on at `t`.
    pub fn on(&self, kind: Kind, t: i64) -> Option<Item> {
        self.index[kind as usize].iter().find(|item| item.is_on(t)).copied()
    }

    /// The event of this kind that is on for one prefix.
    pub fn on_for(&self, kind: Kind, prefix: usize, t: i64) -> Option<Item> {
        let of = self.index[kind as usize].iter();
        of.filter(|item| item.prefix == prefix)
            .find(|item| item.is_on(t))
            .copied()
    }

    /// The state of an advertisement at `t`.
    pub fn state_at(&self, prefix: usize, t: i64) -> Change {
        let changes = &self.changes[prefix];
        changes
            .iter()
            .rfind(|change| change.t <= t)
            .copied()
            .unwrap_or(changes[0])
    }

    pub fn now(&self, prefix: usize) -> Change {
        self.changes[prefix][self.changes[prefix].len() - 1]
    }

    pub fn change(&mut self, prefix: usize, advertised: bool, t: i64, by: Option<IntentId>) {
        if self.now(prefix).advertised != advertised {
            self.renew(prefix, advertised, t, by);
        }
    }

    pub fn renew(&mut self, prefix: usize, advertised: bool, t: i64, by: Option<IntentId>) {
        let since = t + self.clock(t);
        self.changes[prefix].push(Change {
            t,
            advertised,
            since,
            by,
        });
    }

    /// By how much Cloudflare's clock is wrong.
    fn clock(&self, t: i64) -> i64 {
        self.on(Kind::CloudflareClock, t).map_or(0, |item| item.n)
    }

    pub fn next_pending(&self) -> Option<i64> {
        self.pending.iter().map(|pending| pending.0).min()
    }

    /// Lets time pass: late changes happen, traffic flows.
    pub fn advance(&mut self, t: i64) {
        self.pending.sort_by_key(|pending| pending.0);
        while let Some((when, prefix, advertised, by)) = self.pending.first().copied().filter(|next| next.0 <= t) {
            self.pending.remove(0);
            self.change(prefix, advertised, when, Some(by));
        }
        while (self.minute + 1) * 60 <= t {
            self.flow(self.minute);
            self.minute += 1;
        }
    }

    fn flow(&mut self, minute: i64) {
        let begin = minute * 60;
        let stamp = (begin + self.clock(begin)).div_euclid(60);
        let visible_at = begin + 60 + self.delay_s;
        self.newest.push((visible_at, stamp * 60));
        if stamp < 0 {
            return;
        }
        for index in 0..self.nets.len() {
            let owner = self.nets[index].owner;
            if !self.state_at(owner, begin).advertised
                || self.on_for(Kind::AnalyticsSilentPrefix, owner, begin).is_some()
            {
                continue;
            }
            let mut packets = 0;
            for attack in &self.index[Kind::Attack as usize] {
                let of_owner: Vec<usize> = (0..self.nets.len())
                    .filter(|net| self.nets[*net].owner == owner)
                    .collect();
                let target = of_owner[attack.from as usize / 60 % of_owner.len()];
                if attack.prefix == owner && target == index && attack.is_on(begin) {
                    packets += attack.n as u64;
                }
            }
            let late = self
                .on(Kind::AnalyticsLate, begin)
                .map(|_| begin + 60 + self.settle_s - 10);
            let too_late = self
                .on(Kind::AnalyticsTooLate, begin)
                .map(|item| begin + 60 + self.settle_s + item.n);
            let Some(row) = self.nets[index].minutes.get_mut(stamp as usize) else {
                continue;
            };
            row.packets += packets;
            row.visible_at = row
                .visible_at
                .max(late.unwrap_or(visible_at).max(too_late.unwrap_or(visible_at)));
            row.too_late |= too_late.is_some();
            row.passes = true;
            row.passed_visible_at = visible_at;
        }
    }

    /// The analytics answer to a question asked at the true time `t`.
    pub fn answer(
        &self,
        from: Timestamp,
        to: Timestamp,
        bucket: Duration,
        t: i64,
    ) -> Result<TrafficWindow, &'static str> {
        const FAILS: [(Kind, &str); 8] = [
            (Kind::AnalyticsTimeout, "timed out"),
            (Kind::AnalyticsTooMany, "HTTP 429"),
            (Kind::AnalyticsServerError, "HTTP 502"),
            (Kind::AnalyticsReset, "connection reset"),
            (Kind::AnalyticsKeyRevoked, "HTTP 403"),
            (Kind::AnalyticsErrors, "errors in the answer"),
            (Kind::AnalyticsRenamed, "the answer has another shape"),
            (Kind::AnalyticsHalf, "a dataset is missing in the answer"),
        ];
        if let Some((_, because)) = FAILS.iter().find(|(kind, _)| self.on(*kind, t).is_some()) {
            return Err(because);
        }
        let mut seen_at = t;
        if let Some(item) = self.on(Kind::AnalyticsFrozen, t) {
            seen_at = item.from;
        }
        if let Some(item) = self.on(Kind::AnalyticsOldAnswer, t) {
            seen_at -= item.n;
        }
        let newest = self
            .newest
            .iter()
            .rev()
            .take(600)
            .filter(|row| row.0 <= seen_at)
            .map(|row| row.1)
            .max();
        let mut window = TrafficWindow {
            from,
            to,
            bucket,
            newest_row: newest.map(at),
            drops: vec![],
            drops_truncated: false,
            passed: vec![PassedRow {
                subnet: p(ACCOUNT),
                sample_interval: INTERVAL,
                packets: Packets(1_000_000),
                bits: Bits(8_000_000_000),
            }],
            passed_truncated: false,
        };
        if self.on(Kind::AnalyticsEmpty, t).is_some() {
            window.newest_row = None;
            window.passed.clear();
            return Ok(window);
        }
        let interval = self.on(Kind::AnalyticsCoarse, t).map_or(INTERVAL, |item| item.n as u64);
        let wide = self.on(Kind::AnalyticsWideRows, t).is_some();
        let (first, last) = (secs(from).max(0) / 60, (secs(to).max(0) + 59) / 60);
        for net in &self.nets {
            let mut passed = 0;
            let minutes = net.minutes.iter().enumerate().take(last as usize).skip(first as usize);
            for (minute, row) in minutes {
                passed += u64::from(row.passes && row.passed_visible_at <= seen_at);
                if row.packets > 0 && row.visible_at <= seen_at {
                    window.drops.push(DropRow {
                        at: at(minute as i64 * 60),
                        subnet: if wide { wider(net.net) } else { net.net },
                        system: "dosd".into(),
                        sample_interval: interval,
                        packets: Packets(row.packets),
                        bits: Bits(row.packets * 8_000),
                    });
                }
            }
            if passed > 0 {
                window.passed.push(PassedRow {
                    subnet: net.net,
                    sample_interval: interval,
                    packets: Packets(passed * 10_000),
                    bits: Bits(passed * 80_000_000),
                });
            }
        }
        if let Some(item) = self.on(Kind::AnalyticsTruncated, t) {
            window.drops.sort_by_key(|row| std::cmp::Reverse(row.packets));
            window.drops.truncate(item.n as usize);
            window.drops_truncated = true;
        }
        if let Some(item) = self.on(Kind::AnalyticsFuture, t) {
            window.newest_row = Some(at(t + item.n));
        }
        Ok(window)
    }

    /// What a read of the prefix shows at the true time `t`.
    pub fn read(&self, prefix: usize, t: i64) -> BgpState {
        let seen_at = self.on(Kind::ReadOld, t).map_or(t, |item| t - item.n);
        let state = self.state_at(prefix, seen_at);
        let on = |kind| self.on_for(kind, prefix, t);
        let mut since = Some(at(state.since));
        if on(Kind::SinceMissing).is_some() {
            since = None;
        }
        if let Some(item) = on(Kind::SinceInFuture) {
            since = Some(at(t + item.n));
        }
        BgpState {
            advertised: Some(state.advertised).filter(|_| on(Kind::FlagMissing).is_none()),
            advertised_modified_at: since,
            on_demand_enabled: on(Kind::NotOnDemand).is_none(),
            locked: on(Kind::Locked).is_some(),
            bgp_signalled: on(Kind::BgpSignalled).is_some(),
            prepend: Some(on(Kind::PrependChanged).map_or(0, |item| item.n as u8)),
            auto_advertise_withdraw: false,
        }
    }

    /// A call reaches the wire at `t`: what is answered, and after how many seconds.
    pub fn call(&mut self, prefix: usize, wanted: bool, t: i64, by: IntentId) -> (Answer, i64) {
        const LOST_AFTER: i64 = 10;
        let on = |kind| self.on(kind, t);
        let done_in = |edge: &mut Self, s: i64| edge.pending.push((t + s, prefix, wanted, by));
        if on(Kind::CallRefusedForGood).is_some() {
            return (Answer::RefusedForGood, 1);
        }
        if on(Kind::CallRefusedForNow).is_some() {
            return (Answer::RefusedForNow(None), 1);
        }
        if let Some(item) = on(Kind::CallTooMany) {
            return (Answer::RefusedForNow(Some(item.n as u64)), 1);
        }
        if on(Kind::CallLostBefore).is_some() {
            return (Answer::Lost, LOST_AFTER);
        }
        if on(Kind::CallErrorNotDone).is_some() {
            return (Answer::Lost, 1);
        }
        if on(Kind::CallLied).is_some() {
            return (Answer::Accepted, 1);
        }
        if on(Kind::CallLostAfter).is_some() {
            done_in(self, 1);
            return (Answer::Lost, LOST_AFTER);
        }
        if on(Kind::CallErrorButDone).is_some() {
            done_in(self, 1);
            return (Answer::Lost, 1);
        }
        if let Some(item) = on(Kind::CallDoneLate) {
            done_in(self, item.n);
            return (Answer::Accepted, 1);
        }
        if let Some(item) = on(Kind::CallSlow) {
            done_in(self, item.n / 2);
            return (Answer::Accepted, item.n);
        }
        done_in(self, 1);
        (Answer::Accepted, 2)
    }

    /// Whether the look-back window of `window_s` that ends at `end` (data time) was an attack on
    /// `prefix` in the epoch since `since`, by rows that were readable at `readable_at` at the latest.
    pub fn was_attack(
        &self,
        prefix: usize,
        (since, end, window_s): (i64, i64, i64),
        min_packets: u64,
        readable_at: i64,
    ) -> bool {
        let first = (end - window_s).max(since.div_euclid(60) * 60).max(0) / 60;
        let last = (end.max(0) / 60) as usize;
        let mut packets = 0;
        for net in self.nets.iter().filter(|net| net.owner == prefix) {
            let minutes = net.minutes.iter().take(last).skip(first as usize);
            let counts = |row: &&Minute| row.visible_at <= readable_at && !(row.too_late && row.packets > 0);
            packets += minutes.filter(counts).map(|row| row.packets).sum::<u64>();
        }
        packets > min_packets
    }

    /// End of the last minute up to now in which anything was dropped for the prefix.
    pub fn last_drop(&self, prefix: usize) -> i64 {
        let last = |net: &Net| net.minutes.iter().rposition(|row| row.packets > 0);
        let of = self.nets.iter().filter(|net| net.owner == prefix);
        of.filter_map(last).max().map_or(-1, |minute| (minute as i64 + 1) * 60)
    }
}

/// The network twice as wide.
fn wider(net: Prefix) -> Prefix {
    net.net().supernet().map_or(net, |wide| p(&wide.to_string()))
}
