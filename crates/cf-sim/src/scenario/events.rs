//! Events of the timeline: each happens when its time has come; one that goes on for a while happens bit by bit.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::json;

use super::alerts;
use super::file::EventKind;
use super::run::{Due, Running};
use super::streams::Step;
use crate::bindings::BindingSpec;
use crate::config::SimConfig;
use crate::prefixes::PrefixChange;
use crate::world::State;

/// How many of `count` parts, evenly spread over `over`, are due `passed` after the first.
fn parts_due(count: u32, over: Duration, passed: Duration) -> u32 {
    if over.is_zero() || passed >= over {
        return count;
    }
    let share = passed.as_secs_f64() / over.as_secs_f64();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and the count
    let done = (share * f64::from(count)).floor() as u32;
    (done + 1).min(count)
}

impl Running {
    pub(super) fn events(&mut self, state: &mut State, config: &SimConfig, step: Step, due: &mut Vec<Due>) {
        let scenario = Arc::clone(&self.scenario);
        for (index, event) in scenario.event.iter().enumerate() {
            if step.at < event.at {
                continue;
            }
            let passed = step.at - event.at;
            match &event.kind {
                EventKind::Storm { templates, count, over } => {
                    while self.events_done[index] < parts_due(*count, *over, passed) {
                        let number = self.events_done[index];
                        self.events_done[index] += 1;
                        let template = &templates[number as usize % templates.len()];
                        self.storm(template, number, config, step, due);
                    }
                }
                EventKind::ProviderWithdraws { cidrs, over, unbinds } => {
                    // Who is concerned is decided when it begins: what is advertised later is not.
                    let all = self.concerned.entry(index).or_insert_with(|| match cidrs.as_slice() {
                        [] => advertised(state),
                        given => given.to_vec(),
                    });
                    let all = all.clone();
                    let total = u32::try_from(all.len()).unwrap_or(u32::MAX);
                    while self.events_done[index] < parts_due(total, *over, passed) {
                        let cidr = all[self.events_done[index] as usize];
                        self.events_done[index] += 1;
                        self.provider_withdraws(cidr, *unbinds, state, step);
                    }
                }
                kind => {
                    if self.events_done[index] == 0 {
                        self.events_done[index] = 1;
                        self.happen(kind, state, config, step, due);
                    }
                }
            }
        }
    }

    fn provider_withdraws(&mut self, cidr: IpNet, unbinds: bool, state: &mut State, step: Step) {
        let change = PrefixChange {
            advertised: Some(false),
            ..PrefixChange::default()
        };
        if !state.prefixes.change(cidr, &change, step.now) {
            self.note(format!("{cidr} is not in the account"));
            return;
        }
        if unbinds {
            let spec = BindingSpec {
                cidr,
                service: None,
                provisioning: false,
            };
            state.bindings.change(&spec);
        }
        self.note(format!("Cloudflare withdraws {cidr}"));
    }

    fn storm(&mut self, template: &str, number: u32, config: &SimConfig, step: Step, due: &mut Vec<Due>) {
        let Some(body) = alerts::template(template, config, &mut self.dice, step.now) else {
            return;
        };
        // Every alert is about an address of its own where it has one; of its own attack it is anyway.
        let target = body["data"].get("target_ip").is_some().then(
            || json!({"target_ip": format!("203.0.113.{}", 1 + number % 254), "target_port": 1 + number % 60_000}),
        );
        self.send(alerts::amend(body, target.as_ref(), None), Duration::ZERO, due);
    }

    fn happen(&mut self, kind: &EventKind, state: &mut State, config: &SimConfig, step: Step, due: &mut Vec<Due>) {
        match kind {
            EventKind::Prefix { cidr, change } => {
                state.prefixes.change(*cidr, change, step.now);
                self.note(format!("somebody else changes {cidr}"));
            }
            EventKind::Tunnel {
                name,
                state: wanted,
                alert,
            } => {
                let Some(before) = self.tunnels.set(name, *wanted) else {
                    return;
                };
                self.note(format!(
                    "tunnel {name}: {} before, {} now",
                    before.word(),
                    wanted.word()
                ));
                if *alert {
                    let body = alerts::tunnel(config, &mut self.dice, step.now, name, (before.word(), wanted.word()));
                    self.send(body, Duration::ZERO, due);
                }
            }
            EventKind::Alert {
                template,
                data,
                envelope,
            } => {
                if let Some(body) = alerts::template(template, config, &mut self.dice, step.now) {
                    let body = alerts::amend(body, data.as_ref(), envelope.as_ref());
                    self.send(body, Duration::ZERO, due);
                }
            }
            EventKind::Fault { fault } => match state.faults.add(fault.clone(), step.now) {
                Ok(id) => self.note(format!("fault {id} begins: {:?} {:?}", fault.target, fault.kind)),
                Err(problem) => tracing::warn!(event = "sim.scenario.fault_refused", %problem),
            },
            EventKind::ClearFaults => {
                state.faults.clear();
                self.note("all faults end".to_owned());
            }
            EventKind::Storm { .. } | EventKind::ProviderWithdraws { .. } => {}
        }
    }
}

fn advertised(state: &State) -> Vec<IpNet> {
    let all = state.prefixes.rows.iter();
    all.filter(|p| p.advertised).map(|p| p.cidr).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_spread_evenly_and_none_is_left_out() {
        let (over, s) = (Duration::from_secs(100), Duration::from_secs);
        assert_eq!(parts_due(10, over, s(0)), 1);
        assert_eq!(parts_due(10, over, s(50)), 6);
        assert_eq!((parts_due(10, over, s(99)), parts_due(10, over, s(100))), (10, 10));
        assert_eq!(parts_due(10, Duration::ZERO, s(0)), 10);
        assert_eq!(parts_due(1, over, s(0)), 1);
    }
}
