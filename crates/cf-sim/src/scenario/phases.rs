//! Attack phases, each once: detected (volumetric alert) -> auto-advertised -> mitigated at Cloudflare (L3/4 START) -> over
//! -> END alerts; and what the rules of Network Monitoring find, where they are the ones who detect.
//!
//! Traffic reaches Cloudflare only as far as the prefix is advertised and the advertisement has propagated. Of the same
//! target and vector Cloudflare tells once within an hour: a second attack is silent, and so is its end.

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::alerts::{self, Facts};
use super::attack::Attack;
use super::file::Detection;
use super::monitoring::Finding;
use super::run::{AttackPhase, Due, Retry, Running};
use super::streams::Step;
use crate::config::SimConfig;
use crate::quota::plus;
use crate::rest::mnm::rule_name;
use crate::world::State;

/// How long Cloudflare says nothing more of the same attack.
const SILENCE: Duration = Duration::from_secs(3600);
/// After `Delayed`, the next try.
const TRY_AGAIN: Duration = Duration::from_secs(60);

impl Running {
    fn facts(&self, index: usize, attack: &Attack, now: Timestamp) -> Facts {
        let run = &self.attacks[index];
        Facts {
            attack_id: run.attack_id.clone(),
            correlation_id: run.correlation_id.clone(),
            vector: attack.vector.clone(),
            protocol: attack.protocol.clone(),
            rule_name: attack.rule_name.clone(),
            mnm_rule: rule_name(attack.prefix.trunc()),
            target_ip: attack.target_ip.to_string(),
            target_port: attack.target_port,
            prefix: attack.prefix.trunc().to_string(),
            pps: attack.pps,
            mbps: attack.mbps,
            started: self.began[index],
            auto_advertised: attack.auto_advertise.enabled,
            now,
            ..Facts::blank()
        }
    }

    pub(super) fn advance(
        &mut self,
        index: usize,
        state: &mut State,
        config: &SimConfig,
        step: Step,
        due: &mut Vec<Due>,
    ) {
        let scenario = std::sync::Arc::clone(&self.scenario);
        let attack = &scenario.attack[index];
        let (at, now) = (step.at, step.now);
        let after = attack.webhook_delay.div_f64(self.factor);
        let end = attack.start + attack.duration;
        if self.attacks[index].phase == AttackPhase::Waiting && at >= attack.start {
            self.attacks[index].phase = AttackPhase::Running;
            self.began[index] = now;
            self.note(format!(
                "attack {} begins: {} on {}",
                attack.name, attack.vector, attack.prefix
            ));
        }
        if scenario.detection == Detection::Scripted {
            self.scripted(index, attack, state, config, step, due);
        }
        if self.streams.dropped(index) && self.attacks[index].first_drop.is_none() {
            self.attacks[index].first_drop = Some(at);
            self.note(format!("attack {}: Cloudflare drops packets", attack.name));
        }
        let run = &self.attacks[index];
        if !run.l4_due
            && run.phase < AttackPhase::Over
            && run.first_drop.is_some_and(|first| at >= first + attack.l4_delay)
        {
            let run = &mut self.attacks[index];
            run.phase = run.phase.max(AttackPhase::Mitigated);
            run.l4_due = true;
            if attack.is_told() {
                let key = (attack.target_ip.to_string(), attack.vector.clone());
                if self.told.get(&key).is_some_and(|last| at < *last + SILENCE) {
                    self.note(format!("attack {}: told of within the hour, no alert", attack.name));
                } else {
                    self.told.insert(key, at);
                    self.attacks[index].l4_sent = true;
                    let facts = self.facts(index, attack, now);
                    self.send(alerts::l4(config, &facts, alerts::START), after, due);
                }
            }
        }
        let run = &mut self.attacks[index];
        if run.phase > AttackPhase::Waiting && run.phase < AttackPhase::Over && at >= end {
            run.phase = AttackPhase::Over;
            self.note(format!("attack {} is over", attack.name));
        }
        if self.attacks[index].phase == AttackPhase::Over && at >= end + attack.end_delay {
            self.attacks[index].phase = AttackPhase::Ended;
            self.streams.close_attack(index, state, now);
            let (l4, volumetric) = (self.attacks[index].l4_sent, self.attacks[index].volumetric_sent);
            let facts = self.facts(index, attack, now);
            if attack.end_alerts && l4 {
                self.send(alerts::l4(config, &facts, alerts::END), after, due);
            }
            if attack.end_alerts && volumetric {
                self.send(alerts::volumetric(config, &facts, alerts::END), after, due);
            }
        }
    }

    /// Detection and automatic advertisement as the attack itself says.
    fn scripted(
        &mut self,
        index: usize,
        attack: &Attack,
        state: &mut State,
        config: &SimConfig,
        step: Step,
        due: &mut Vec<Due>,
    ) {
        let (at, now) = (step.at, step.now);
        let after = attack.webhook_delay.div_f64(self.factor);
        let run = &mut self.attacks[index];
        if run.phase == AttackPhase::Running
            && at >= attack.start + attack.detection
            && attack.detection < attack.duration
        {
            run.phase = AttackPhase::Detected;
            if attack.volumetric_alert {
                run.volumetric_sent = true;
                let facts = self.facts(index, attack, now);
                self.send(alerts::volumetric(config, &facts, alerts::START), after, due);
            }
        }
        let auto = &attack.auto_advertise;
        let run = &self.attacks[index];
        let try_at = run.retry_at.unwrap_or(attack.start + attack.detection + auto.delay);
        if run.phase < AttackPhase::Detected || !auto.enabled || run.advertise_done || at < try_at {
            return;
        }
        let networks = std::iter::once(attack.prefix).chain(auto.also.iter().copied());
        let forced = auto.status.as_deref().filter(|_| run.retry_at.is_none());
        let statuses: Vec<(String, String)> = networks
            .map(|n| (n.trunc().to_string(), advertise(n, forced, state, now)))
            .collect();
        let run = &mut self.attacks[index];
        match (forced, auto.retry_after_s) {
            (Some(_), Some(wait)) => run.retry_at = Some(at + Duration::from_secs(wait)),
            _ => run.advertise_done = true,
        }
        let facts = self.facts(index, attack, now);
        self.send(alerts::auto_advertisement(config, &facts, &statuses), after, due);
    }

    /// Detection and automatic advertisement by the account's rules.
    pub(super) fn detect(&mut self, state: &mut State, config: &SimConfig, step: Step, due: &mut Vec<Due>) {
        let scenario = std::sync::Arc::clone(&self.scenario);
        let found = self
            .monitoring
            .judge(&state.rules.rules, self.streams.seen(), &scenario, step, &mut self.dice);
        for finding in found {
            for (index, attack) in scenario.attack.iter().enumerate() {
                let its = finding.prefixes.iter().any(|net| net.contains(&attack.prefix));
                let run = &mut self.attacks[index];
                if finding.is_start && its && run.phase == AttackPhase::Running {
                    run.phase = AttackPhase::Detected;
                }
            }
            let facts = self.facts_of(&finding, step.now);
            let event = if finding.is_start { alerts::START } else { alerts::END };
            let body = if finding.attack.is_some() {
                alerts::dosd(config, &facts, event)
            } else {
                alerts::volumetric(config, &facts, event)
            };
            self.send(body, Duration::ZERO, due);
            if finding.is_start && !finding.advertises.is_empty() {
                self.retries.push(Retry {
                    rule: finding.rule,
                    networks: finding.advertises,
                    at: step.at,
                });
            }
        }
        let (now_due, later) = std::mem::take(&mut self.retries)
            .into_iter()
            .partition::<Vec<Retry>, _>(|retry| retry.at <= step.at);
        self.retries = later;
        for retry in now_due {
            let statuses: Vec<(String, String)> = retry
                .networks
                .iter()
                .map(|n| (n.trunc().to_string(), advertise(*n, None, state, step.now)))
                .collect();
            let facts = Facts {
                mnm_rule: retry.rule.clone(),
                correlation_id: self.dice.uuid(),
                started: step.now,
                now: step.now,
                ..Facts::blank()
            };
            self.send(
                alerts::auto_advertisement(config, &facts, &statuses),
                Duration::ZERO,
                due,
            );
            let is_late = |status: &(String, String)| status.1 == "Delayed";
            let networks: Vec<IpNet> = retry
                .networks
                .iter()
                .zip(&statuses)
                .filter(|(_, status)| is_late(status))
                .map(|(network, _)| *network)
                .collect();
            if !networks.is_empty() {
                self.retries.push(Retry {
                    networks,
                    at: step.at + TRY_AGAIN,
                    ..retry
                });
            }
        }
    }

    fn facts_of(&self, finding: &Finding, now: Timestamp) -> Facts {
        let attack = finding
            .attack
            .and_then(|index| Some((index, self.scenario.attack.get(index)?)));
        let mut facts = match attack {
            Some((index, attack)) => self.facts(index, attack, now),
            None => Facts {
                started: plus(now, Duration::ZERO),
                now,
                ..Facts::blank()
            },
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // rates are positive and far below
        let whole = |rate: f64| rate.max(0.0).round() as u64;
        facts.correlation_id.clone_from(&finding.correlation);
        facts.mnm_rule.clone_from(&finding.rule);
        facts.pps = whole(finding.pps);
        facts.mbps = whole(finding.bps / 1e6);
        facts.auto_advertised = !finding.advertises.is_empty();
        facts.threshold.clone_from(&finding.threshold);
        facts.duration.clone_from(&finding.duration);
        facts.sensitivity.clone_from(&finding.sensitivity);
        facts
    }
}

/// Advertises on behalf of Network Monitoring and says how that went, in the documented words.
fn advertise(network: IpNet, forced: Option<&str>, state: &mut State, now: Timestamp) -> String {
    use crate::prefixes::Refusal;
    if let Some(word) = forced {
        return word.to_owned();
    }
    let Some(index) = state.prefixes.rows.iter().position(|p| p.cidr == network.trunc()) else {
        return "Error".to_owned();
    };
    match state.prefixes.advertise(index, true, now) {
        Ok(true) => "Advertised",
        Ok(false) => "Already Advertised",
        Err(Refusal::Locked) => "Locked",
        Err(Refusal::TooSoon { .. }) => "Delayed",
        Err(_) => "Could not Advertise",
    }
    .to_owned()
}
