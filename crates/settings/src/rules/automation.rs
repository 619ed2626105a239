//! Rules about the automation: times that fit together, and statements about managed prefixes.

use std::time::Duration;

use domain::prefix::Prefix;

use super::Rules;
use crate::model::Mode;
use crate::print::format;
use crate::report::Code;

/// Cloudflare refuses a change of the advertisement sooner than this after the last one.
const CLOUDFLARE_COOL_DOWN: Duration = Duration::from_secs(15 * 60);

/// Shorter calm than this was never proven by anything: attacks pause for minutes.
const SHORT_CALM: Duration = Duration::from_secs(5 * 60);

/// Cloudflare's rows are usually complete after one to five minutes.
const SHORT_SETTLE: Duration = Duration::from_secs(2 * 60);

/// GraphQL queries that Cloudflare allows a user in five minutes, for everything together.
const QUERIES_PER_5_MIN: u64 = 300;

impl Rules<'_> {
    pub(super) fn automation_times(&mut self) {
        let get = |name: &str| self.duration(&format!("autowithdraw.{name}"));
        let (calm, check, lookback) = (get("calm_period"), get("check_interval"), get("attack_lookback"));
        let (settle, propagation) = (get("settle"), get("propagation"));
        let (unknown, overdue) = (get("unknown_alert_after"), get("overdue_after"));
        if let (Some(calm), Some(lookback)) = (calm, lookback)
            && lookback > calm
        {
            self.contradiction(
                "autowithdraw.attack_lookback",
                format!(
                    "a window longer than the calm period ({}) would see traffic from before the calm",
                    format(calm)
                ),
                "write at most autowithdraw.calm_period",
            );
        }
        if let (Some(calm), Some(check)) = (calm, check)
            && check > calm
        {
            self.contradiction(
                "autowithdraw.check_interval",
                format!(
                    "with one look in {} nothing is seen of a calm period of {}",
                    format(check),
                    format(calm)
                ),
                "write a fraction of autowithdraw.calm_period",
            );
        }
        if let (Some(unknown), Some(check)) = (unknown, check)
            && unknown < check
        {
            self.contradiction(
                "autowithdraw.unknown_alert_after",
                format!(
                    "evidence is read every {}: between two readings the automation would be announced as blind",
                    format(check)
                ),
                "write several times autowithdraw.check_interval",
            );
        }
        if let (Some(overdue), Some(calm), Some(settle), Some(propagation)) = (overdue, calm, settle, propagation)
            && overdue <= calm + settle + propagation
        {
            self.risky(
                "autowithdraw.overdue_after",
                format!(
                    "no withdrawal can come sooner than propagation + calm_period + settle = {}, so every one would be announced as overdue",
                    format(calm + settle + propagation)
                ),
                "write a longer time",
            );
        }
        self.short_times();
    }

    /// Times that Cloudflare's own delays make pointless or dangerous outside of tests.
    fn short_times(&mut self) {
        let short = |rules: &Self, path: &str, limit: Duration| rules.duration(path).is_some_and(|value| value < limit);
        if short(self, "autowithdraw.calm_period", SHORT_CALM) {
            self.risky(
                "autowithdraw.calm_period",
                "attacks pause for minutes: after so short a calm a prefix may be withdrawn in the middle of one",
                "write \"15m\" unless this is a test",
            );
        }
        if short(self, "autowithdraw.settle", SHORT_SETTLE) {
            self.risky(
                "autowithdraw.settle",
                "Cloudflare's rows arrive minutes late: minutes without rows yet would count as calm",
                "write \"5m\" unless this is a test",
            );
        }
        if short(self, "autowithdraw.min_advertised", CLOUDFLARE_COOL_DOWN) {
            self.risky(
                "autowithdraw.min_advertised",
                "Cloudflare refuses a change sooner than 15 minutes after the last one",
                "write \"15m\" unless this is a test",
            );
        }
        let check = self.duration("autowithdraw.check_interval");
        if let Some(check) = check.filter(|check| !check.is_zero()) {
            let queries = 300_000 / check.as_millis().max(1);
            if queries > u128::from(QUERIES_PER_5_MIN / 5) {
                self.risky(
                    "autowithdraw.check_interval",
                    format!("this takes {queries} of the {QUERIES_PER_5_MIN} queries that Cloudflare allows in 5 minutes for everything together"),
                    "write \"60s\" unless this is a test",
                );
            }
        }
    }

    pub(super) fn automation_limits(&mut self) {
        if self.duration("autowithdraw.open_alert_veto") == Some(Duration::ZERO) {
            self.risky(
                "autowithdraw.open_alert_veto",
                "attack alerts without END no longer block a withdrawal",
                "write \"60m\"",
            );
        }
        let zero = |path| self.values.count(path) == Some(&0);
        if zero("autowithdraw.min_dropped_packets") && zero("autowithdraw.min_dropped_bits") {
            self.risky(
                "autowithdraw.min_dropped_packets",
                "any dropped packet counts as an attack, so prefixes may never be withdrawn",
                "write the thresholds below which drops do not matter",
            );
        }
    }

    pub(super) fn managed_prefixes(&mut self) {
        let mapped = || self.mapping.iter().map(|entry| entry.prefix).collect();
        let listed = self.values.networks("autowithdraw.managed");
        let unreadable = if self.given("autowithdraw.managed") {
            listed.is_none()
        } else {
            self.mapping_is_broken
        };
        if unreadable {
            return;
        }
        let managed: Vec<Prefix> = listed.cloned().unwrap_or_else(mapped);
        let acts = self.values.mode("autowithdraw.mode") == Some(&Mode::Act);
        if managed.is_empty() {
            if acts {
                self.missing(
                    "autowithdraw.managed",
                    None,
                    "no prefix is managed: nothing is ever withdrawn by itself",
                    "list them here, or in prefix_mapping.json",
                );
            }
            return;
        }
        self.statements_about(&managed, acts);
    }

    /// `direct_route` and `no_traffic` against the managed prefixes.
    fn statements_about(&mut self, managed: &[Prefix], acts: bool) {
        let routes = self.values.routes("autowithdraw.direct_route").cloned();
        let broken = routes.is_none() && self.given("autowithdraw.direct_route");
        let routes = routes.unwrap_or_default();
        let foreign: Vec<Prefix> = routes
            .by_prefix
            .keys()
            .filter(|prefix| !managed.contains(prefix))
            .copied()
            .collect();
        if !foreign.is_empty() {
            self.risky(
                "autowithdraw.direct_route",
                format!(
                    "statements without effect, these prefixes are not managed: {}",
                    named(&foreign)
                ),
                "correct them, or add them to the managed prefixes",
            );
        }
        let silent: Vec<Prefix> = managed
            .iter()
            .filter(|prefix| !routes.by_prefix.contains_key(prefix))
            .copied()
            .collect();
        if acts && !broken && routes.every_other.is_none() && !silent.is_empty() {
            let site = self.site("autowithdraw.direct_route");
            self.problems.warning(
                Code::NotConfigured,
                &site,
                format!(
                    "nothing says how these managed prefixes are reachable after a withdrawal: {}",
                    named(&silent)
                ),
                "state it for each, or once for all: { \"*\": \"always_announced\" }",
            );
        }
        let quiet = self.values.networks("autowithdraw.no_traffic");
        let foreign: Vec<Prefix> = quiet
            .into_iter()
            .flatten()
            .filter(|prefix| !managed.contains(prefix))
            .copied()
            .collect();
        if !foreign.is_empty() {
            self.risky(
                "autowithdraw.no_traffic",
                format!("without effect, these prefixes are not managed: {}", named(&foreign)),
                "correct them, or add them to the managed prefixes",
            );
        }
    }
}

/// The first few by name, the rest by number.
fn named(prefixes: &[Prefix]) -> String {
    const NAMED: usize = 5;
    let mut text = prefixes
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if prefixes.len() > NAMED {
        text.push_str(&format!(" and {} more", prefixes.len() - NAMED));
    }
    text
}
