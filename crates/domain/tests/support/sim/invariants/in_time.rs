//! What must happen in the end: withdrawals in time, advertises at once, records exactly once.

use domain::brakes;
use domain::intent::{Act, IntentState};

use super::super::fault::{Group, Kind};
use super::super::journal::Told;
use super::super::schedule::{Item, clock};
use super::super::stage::Stage;

impl Stage {
    /// Looks at what is due, once a minute.
    pub fn check_minute(&mut self) {
        self.check.met.seconds += 60;
        let excess = |packets: u64| packets * 5 > self.schedule.policy.traffic.min_packets.0;
        let minute = (self.t / 60 - 1) as usize;
        let under_attack = self
            .edge
            .nets
            .iter()
            .any(|net| net.minutes.get(minute).is_some_and(|row| excess(row.packets)));
        self.check.met.attack_minutes += i64::from(under_attack);
        for index in 0..self.schedule.prefixes.len() {
            self.withdrawn_in_time(index);
        }
        self.advertised_at_once();
    }

    /// Looks back at the whole run.
    pub fn check_end(&mut self) {
        let mut made = Vec::new();
        for (index, changes) in self.edge.changes.iter().enumerate() {
            for change in changes
                .iter()
                .filter(|change| !change.advertised && change.t < self.t - 1_200)
            {
                made.extend(change.by.map(|id| (index, id, change.t)));
            }
        }
        let ids: Vec<_> = self
            .check
            .sent
            .iter()
            .filter(|sent| sent.act == Act::Withdraw)
            .map(|sent| sent.id)
            .collect();
        for id in ids {
            let records = self.journal.records(id);
            self.check.met.records += records as u64;
            if records > 1 {
                self.check
                    .broken("recorded_once", self.t, format!("intent {id} has {records} records"));
            }
        }
        self.records_are_true();
        for (index, id, when) in made {
            let state = self.journal.entry(id).map(|entry| entry.state);
            let unresolved = state == Some(IntentState::Unresolved)
                && self.check.told.iter().any(|(_, _, told)| *told == Told::Unresolved(id));
            let open = state.is_some_and(IntentState::is_open);
            if self.journal.records(id) == 0
                && !unresolved
                && !(open && self.trouble_end(index, self.t) > self.t - 1_200)
            {
                let name = self.check.names[index];
                let words = format!(
                    "{name} was withdrawn at {} by intent {id}, which is {state:?}",
                    clock(when)
                );
                self.check.broken("recorded_once", self.t, words);
            }
        }
    }

    fn records_are_true(&mut self) {
        if self.schedule.has(Kind::ReadOld) {
            return;
        }
        for (t, _, told) in self.check.told.clone() {
            let Told::Acted(id) = told else { continue };
            let Some(entry) = self.journal.entry(id).filter(|entry| entry.act == Act::Withdraw) else {
                continue;
            };
            let sent = self
                .check
                .sent
                .iter()
                .filter(|sent| sent.id == id)
                .map(|sent| sent.t)
                .min()
                .unwrap_or(t);
            let changes = &self.edge.changes[self.index_of(entry.prefix)];
            let was_withdrawn = changes
                .iter()
                .any(|change| !change.advertised && change.t >= sent && change.t <= t)
                || changes
                    .iter()
                    .rfind(|change| change.t <= sent)
                    .is_some_and(|change| !change.advertised);
            if !was_withdrawn {
                self.check
                    .broken("record_is_true", t, format!("intent {id} is recorded as done"));
            }
        }
    }

    /// Until when trouble may keep the prefix advertised, as far as events up to `t` say.
    fn trouble_end(&self, index: usize, t: i64) -> i64 {
        let mut end = 0;
        for (number, item) in self.schedule.items.iter().enumerate() {
            let mut item = *item;
            if item.step.is_some() {
                // It happens when the step is reached.
                let Some(fired) = self.fired[number] else { continue };
                item.from = fired;
            }
            if item.from <= t {
                end = end.max(self.trouble_of(&item, index));
            }
        }
        for (when, _, told) in &self.check.told {
            if matches!(told, Told::MassCalm(prefixes) if prefixes.contains(&self.check.names[index])) {
                end = end.max(*when);
            }
        }
        end
    }

    fn trouble_of(&self, item: &Item, index: usize) -> i64 {
        let policy = &self.schedule.policy;
        let two_cycles = 2 * self.schedule.cycle_s + 60;
        let veto = policy.open_alert_veto.as_secs() as i64;
        let shortest = policy.min_advertised.as_secs() as i64;
        let ours = item.prefix == index;
        match item.kind {
            Kind::Attack => 0,
            Kind::Hold if !ours => 0,
            Kind::HoldUntil if !ours => 0,
            Kind::HoldUntil => item.from + item.n.max(600) + two_cycles,
            Kind::Advertise if ours => item.from + shortest + 1_500,
            // A withdrawal that an advertisement followed at once stays open, and others wait for it.
            Kind::Advertise | Kind::ForeignAdvertise | Kind::ForeignRenewal => item.from + 1_200,
            Kind::Withdraw | Kind::Force => item.from + 1_200,
            Kind::AlertOpen => item.until.min(item.from + veto),
            Kind::AlertUnresolved => item.until.min(item.from + veto),
            Kind::AlertWithoutEnd => item.from + veto,
            Kind::AlertOldTs => item.from + (veto - item.n).max(0),
            Kind::Crash | Kind::Stop => item.from + item.n + 120,
            Kind::Restart => item.from + 60,
            Kind::ClockStep | Kind::CloudflareClock => item.until + item.n.abs() + 4_800,
            Kind::AnalyticsTooLate => item.until + 900 + item.n,
            Kind::ConfigCalm => item.until + 300,
            _ if item.kind.lasts() => match item.kind.group() {
                Group::Analytics => item.until + 420,
                Group::Calling => item.until + 1_100 + item.n,
                Group::Reading | Group::Cloudflare => item.until + 560 + item.n,
                _ => item.until + 120,
            },
            _ => item.from + 60,
        }
    }

    fn withdrawn_in_time(&mut self, index: usize) {
        let (t, policy) = (self.t, &self.schedule.policy);
        let state = self.edge.now(index);
        let on = |kind| self.edge.on(kind, t).is_some();
        if !state.advertised || on(Kind::ConfigMode) || on(Kind::ConfigPaused) || on(Kind::ConfigUnlisted) {
            return;
        }
        let secs = |duration: std::time::Duration| duration.as_secs() as i64;
        let own: Vec<_> = self
            .check
            .marked
            .iter()
            .filter(|marked| marked.0 == index)
            .map(|marked| marked.1)
            .collect();
        let all: Vec<_> = self.check.marked.iter().map(|marked| marked.1).collect();
        let period = secs(brakes::calm_period(policy.calm_period, &own, self.now()));
        if brakes::hourly_limit(&all, policy.max_withdrawals_per_hour, self.now()).is_some() {
            return;
        }
        let cycle = self.schedule.cycle_s;
        let lookback = secs(policy.traffic.lookback);
        let quiet = self.edge.last_drop(index) + lookback;
        let limit_passed = self.limit_passed(&all);
        let begins = self
            .trouble_end(index, t)
            .max(state.since + secs(policy.traffic.propagation))
            .max(state.since + secs(policy.min_advertised) - period)
            .max(quiet)
            .max(limit_passed);
        // One at a time: every other prefix may go first.
        let others = (self.schedule.prefixes.len() as i64 - 1) * (2 * cycle + 20);
        let due = begins + period + lookback + secs(policy.traffic.settle) + 60 + 2 * cycle + 30 + others;
        if t > due {
            let name = self.check.names[index];
            let words = format!(
                "{name} is advertised since {}, due at {}, all well since {}",
                clock(state.since),
                clock(due),
                clock(begins)
            );
            self.check.broken("withdrawn_in_time", t, words);
        }
    }

    /// When the hourly limit was last reached, it held until an hour after the oldest of those.
    fn limit_passed(&self, all: &[jiff::Timestamp]) -> i64 {
        let limit = self.schedule.policy.max_withdrawals_per_hour as usize;
        if all.len() < limit {
            return 0;
        }
        all.windows(limit.max(1))
            .map(|window| crate::support::secs(window[0]) + 3_600)
            .filter(|end| *end <= self.t)
            .max()
            .unwrap_or(0)
    }

    /// An advertise is sent within two minutes, unless nothing can be read, stored or sent.
    fn advertised_at_once(&mut self) {
        const WITHIN_S: i64 = 120;
        let t = self.t;
        for asked in self.check.asked.clone() {
            if asked.act != Act::Advertise || t < asked.t + WITHIN_S || t >= asked.t + WITHIN_S + 60 {
                continue;
            }
            let hinders = |(number, item): (usize, &Item)| {
                let group = item.kind.group();
                let kind = matches!(
                    group,
                    Group::Reading
                        | Group::Calling
                        | Group::Process
                        | Group::Clock
                        | Group::Cloudflare
                        | Group::Configuration
                );
                let until = if item.kind.lasts() { item.until } else { item.from };
                let until = self.fired[number].map_or(until, |fired| fired + item.n + 60);
                kind && item.kind != Kind::SecondDaemon && item.from <= t && until + 90 >= asked.t
            };
            if self.schedule.items.iter().enumerate().any(hinders) {
                continue;
            }
            let sent = self.check.sent.iter().any(|sent| sent.id == asked.id);
            let state = self.journal.entry(asked.id).map(|entry| entry.state);
            if !sent && state != Some(IntentState::Done) {
                let words = format!("intent {} of {} is {state:?}", asked.id, clock(asked.t));
                self.check.broken("advertise_not_blocked", t, words);
            }
        }
    }
}
