//! Plays a scenario cycle by cycle and writes down every change of a verdict (and of the start of
//! calm and of what stands in its way), with what is to happen next and why, and everything that
//! would be done (`*`), announced (`!`) or is seen to have changed at Cloudflare (`~`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use domain::alert::OpenAlert;
use domain::bgp::BgpState;
use domain::decision::{Block, Decision, Effect, Verdict};
use domain::evidence::Observed;
use domain::hold::Hold;
use domain::ids::HoldId;
use domain::prefix::Prefix;
use jiff::Timestamp;

use super::daemon::{Daemon, Readings};
use super::dataset::{Dataset, Row};
use super::scenario::{ACCOUNT, Act, Fault, Scenario};
use super::{advertised, at, p, secs, withdrawn};

struct Stage {
    scenario: Scenario,
    dataset: Dataset,
    daemon: Daemon,
    bgp: BTreeMap<Prefix, BgpState>,
    holds: Vec<Hold>,
    alerts: Vec<OpenAlert>,
    ahead_s: i64,
    filed: BTreeMap<Prefix, i64>,
    last: BTreeMap<Prefix, String>,
    text: String,
}

/// The transcript of a scenario.
pub fn play(mut scenario: Scenario) -> String {
    let mut rows = std::mem::take(&mut scenario.rows).into_iter().peekable();
    let mut stage = Stage {
        dataset: Dataset::default(),
        daemon: Daemon::default(),
        bgp: scenario.prefixes.iter().map(|prefix| (*prefix, withdrawn(0))).collect(),
        holds: vec![],
        alerts: vec![],
        ahead_s: 0,
        filed: BTreeMap::new(),
        last: BTreeMap::new(),
        text: String::new(),
        scenario,
    };
    let mut acts = std::mem::take(&mut stage.scenario.acts).into_iter().peekable();
    let mut was_down = false;
    let mut now_s = 0;
    while now_s < stage.scenario.end_s {
        now_s += stage.scenario.cycle_s;
        while let Some((when, act)) = acts.next_if(|(when, _)| *when <= now_s) {
            stage.act(when, act);
        }
        while let Some(row) = rows.next_if(|row| row.at < now_s) {
            stage.flow(row);
        }
        let is_down = stage
            .scenario
            .downs
            .iter()
            .any(|(begin, end)| (*begin..*end).contains(&now_s));
        if was_down && !is_down {
            stage.daemon.restart();
            stage.line(now_s, "the daemon is back, with what its file says");
        }
        was_down = is_down;
        if !is_down {
            stage.cycle(now_s);
        }
    }
    stage.text
}

impl Stage {
    fn line(&mut self, when: i64, text: &str) {
        let (hours, minutes, seconds) = (when / 3_600, when / 60 % 60, when % 60);
        writeln!(self.text, "{hours:02}:{minutes:02}:{seconds:02} {text}").unwrap();
    }

    /// Traffic shows where it went through Cloudflare.
    fn flow(&mut self, row: Row) {
        let is_advertised =
            |(prefix, state): (&Prefix, &BgpState)| state.advertised == Some(true) && prefix.contains(row.subnet);
        if row.subnet == p(ACCOUNT) || self.bgp.iter().any(is_advertised) {
            self.dataset.push(row);
        }
    }

    fn act(&mut self, when: i64, act: Act) {
        match act {
            Act::Advertise(prefix) => {
                self.bgp.insert(prefix, advertised(when));
            }
            Act::Withdraw(prefix) => {
                self.bgp.insert(prefix, withdrawn(when));
            }
            Act::Hold { prefix, until, by, why } => self.holds.push(Hold {
                id: HoldId(1),
                prefix,
                actor: by,
                reason: why,
                created_at: at(when),
                until: until.map(at),
            }),
            Act::Release(prefix) => self.holds.retain(|hold| hold.prefix != prefix),
            Act::Alert { prefix, event } => self.alerts.push(OpenAlert {
                event,
                kind: "dos_attack_l4".into(),
                since: at(when),
                prefixes: prefix.into_iter().collect(),
                unresolved: prefix.is_none(),
            }),
            Act::AlertEnd(event) => self.alerts.retain(|alert| alert.event != event),
            Act::Clock(ahead_s) => {
                self.ahead_s = ahead_s;
                self.line(when, &format!("our clock is {ahead_s:+} s wrong"));
            }
        }
    }

    fn cycle(&mut self, now_s: i64) {
        let now = at(now_s + self.ahead_s);
        let is_met = |kind: fn(&Fault) -> bool| {
            self.scenario
                .faults
                .iter()
                .any(|(begin, end, fault)| (*begin..*end).contains(&now_s) && kind(fault))
        };
        let readings = Readings {
            bgp: self
                .bgp
                .iter()
                .map(|(prefix, state)| {
                    let reading = if is_met(|fault| *fault == Fault::Bgp) {
                        Observed::unavailable("HTTP 503")
                    } else {
                        Observed::known(state.clone(), now)
                    };
                    (*prefix, reading)
                })
                .collect(),
            alerts: if is_met(|fault| *fault == Fault::Alerts) {
                Observed::unavailable("the webhook receiver does not beat")
            } else {
                Observed::known(self.alerts.clone(), now)
            },
            holds: self.holds.clone(),
            now,
        };
        let flaw = self.scenario.faults.iter().find_map(|(begin, end, fault)| match fault {
            Fault::Flaw(flaw) if (*begin..*end).contains(&now_s) => Some(*flaw),
            _ => None,
        });
        let traffic = if is_met(|fault| *fault == Fault::Traffic) {
            Observed::unavailable("the query timed out")
        } else {
            let from = self.daemon.read_from(&readings, &self.scenario.policy);
            let bucket = self.scenario.policy.traffic.bucket();
            Observed::known(self.dataset.answer(from, now, bucket, now_s, flaw), now)
        };
        let open_before = self.daemon.open_intents.clone();
        let (decisions, restarted) = self.daemon.cycle(&readings, traffic, &self.scenario.policy);
        if !restarted.is_empty() {
            let names: Vec<String> = restarted.iter().map(Prefix::to_string).collect();
            self.line(
                now_s,
                &format!("! calm starts anew after blindness: {}", names.join(", ")),
            );
        }
        for (prefix, decision) in &decisions {
            self.tell(now_s, *prefix, decision, open_before.contains(prefix));
        }
        self.execute(now_s, now);
    }

    fn tell(&mut self, now_s: i64, prefix: Prefix, decision: &Decision, had_intent: bool) {
        let mut key = decision.verdict.key();
        if decision.noise {
            key.push_str(" (noise)");
        }
        let mut shown = key.clone();
        if let Verdict::Calm { since, .. } = &decision.verdict {
            let blocks: Vec<&str> = decision.blocks.iter().map(Block::key).collect();
            shown = format!("{key} {since} {}", blocks.join("+"));
        }
        if self.last.insert(prefix, shown.clone()) != Some(shown) {
            let next = &decision.next;
            let when = next
                .not_before
                .map_or_else(String::new, |at| format!(" from {}", short(at)));
            let verdict = format!("{prefix} {key}: {}{when}, because {}", next.action(), next.because());
            self.line(now_s, &verdict);
        }
        for effect in &decision.effects {
            let said = match effect {
                Effect::BgpChanged { before: None, .. } => continue,
                Effect::CancelIntent { .. } if !had_intent => continue,
                Effect::CancelIntent { because } => format!("* the intent is cancelled: {because}"),
                Effect::IntendWithdrawal { .. } if self.filed.contains_key(&prefix) && had_intent => continue,
                Effect::IntendWithdrawal { epoch, calm_s } if self.daemon.open_intents.contains(&prefix) => {
                    self.filed.insert(prefix, now_s);
                    format!(
                        "* intends to withdraw what is advertised since {}, calm for {calm_s} s",
                        short(epoch.0)
                    )
                }
                Effect::IntendWithdrawal { .. } => continue,
                Effect::BgpChanged { after, .. } => match after.advertised {
                    Some(true) => "~ is advertised".to_owned(),
                    _ => "~ is withdrawn".to_owned(),
                },
                Effect::AnnounceBlind { because, since } => format!("! blind since {}: {because}", short(*since)),
                Effect::AnnounceSighted { since } => format!("! sees again, was blind since {}", short(*since)),
                Effect::AnnounceOverdue { since, because } => {
                    format!("! overdue, advertised since {}: {because}", short(*since))
                }
                Effect::AnnounceWouldWithdraw { calm_s } => format!("! would withdraw, calm for {calm_s} s"),
                Effect::AnnounceLimit { until } => format!("! the hourly limit holds until {}", short(*until)),
                Effect::AnnounceReattack { withdrawn_at } => {
                    format!("! attacked again after our withdrawal at {}", short(*withdrawn_at))
                }
            };
            self.line(now_s, &format!("{prefix} {said}"));
        }
        if !self.daemon.open_intents.contains(&prefix) {
            self.filed.remove(&prefix);
        }
    }

    fn execute(&mut self, now_s: i64, now: Timestamp) {
        for prefix in self.daemon.open_intents.clone() {
            let is_due = self
                .filed
                .get(&prefix)
                .is_some_and(|filed| now_s - filed >= self.scenario.executor_waits_s);
            if is_due {
                self.daemon.carried_out(prefix, now);
                self.filed.remove(&prefix);
                self.bgp.insert(prefix, withdrawn(now_s));
                self.line(now_s, &format!("{prefix} * withdrawn"));
            }
        }
    }
}

/// Time of day; scenarios begin at midnight and last less than a day or so.
fn short(instant: Timestamp) -> String {
    let seconds = secs(instant);
    format!(
        "{:02}:{:02}:{:02}",
        seconds.div_euclid(3_600),
        seconds.rem_euclid(3_600) / 60,
        seconds.rem_euclid(60)
    )
}
