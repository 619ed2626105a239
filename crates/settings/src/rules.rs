//! What several settings mean together: contradictions are errors, consequences are warnings.
//!
//! Every rule looks only at values that could be read, so it adds to a report with other faults
//! without repeating them. Errors are for what cannot work or can do harm by itself; a warning is
//! for what somebody may want, for a test for instance, and should know.

use std::time::Duration;

use domain::duration::format;
use domain::prefix::Prefix;

use crate::Need;
use crate::merge::Merged;
use crate::model::{MappedPrefix, Mode};
use crate::report::Code;
use crate::site::{Problems, Site};
use crate::values::Values;

/// Cloudflare refuses a change of the advertisement sooner than this after the last one.
const CLOUDFLARE_COOL_DOWN: Duration = Duration::from_secs(15 * 60);

/// Shorter calm than this was never proven by anything: attacks pause for minutes.
const SHORT_CALM: Duration = Duration::from_secs(5 * 60);

/// Cloudflare's rows are usually complete after one to five minutes.
const SHORT_SETTLE: Duration = Duration::from_secs(2 * 60);

/// GraphQL queries that Cloudflare allows a user in five minutes, for everything together.
const QUERIES_PER_5_MIN: u64 = 300;

/// Everything the rules look at.
pub(crate) struct Rules<'a> {
    pub(crate) merged: &'a Merged,
    pub(crate) values: &'a Values,
    pub(crate) mapping: &'a [MappedPrefix],
    /// The mapping file has entries that could not be read: conclusions from it would be wrong.
    pub(crate) mapping_is_broken: bool,
    pub(crate) needs: &'a [Need],
    pub(crate) problems: &'a mut Problems,
}

impl Rules<'_> {
    /// Applies all of them.
    pub(crate) fn check(mut self) {
        self.account();
        self.credentials();
        self.telegram();
        self.webhook_secret();
        self.listeners();
        self.proxies();
        self.sessions();
        self.analytics();
        self.automation_times();
        self.automation_limits();
        self.managed_prefixes();
    }

    fn site(&self, path: &str) -> Site {
        self.merged.site(path)
    }

    fn given(&self, path: &str) -> bool {
        self.merged.is_given(path)
    }

    fn duration(&self, path: &str) -> Option<Duration> {
        self.values.duration(path).copied()
    }

    fn contradiction(&mut self, path: &str, what: String, remedy: &str) {
        let site = self.site(path);
        self.problems.error(Code::Contradiction, &site, what, remedy);
    }

    fn risky(&mut self, path: &str, what: impl Into<String>, remedy: &str) {
        let site = self.site(path);
        self.problems.warning(Code::RiskyValue, &site, what, remedy);
    }

    /// An error for programs that need it, else a warning.
    fn missing(&mut self, path: &str, need: Option<Need>, what: &str, remedy: &str) {
        let site = self.site(path);
        if need.is_some_and(|need| self.needs.contains(&need)) {
            self.problems.error(Code::MissingKey, &site, what, remedy);
        } else {
            self.problems.warning(Code::NotConfigured, &site, what, remedy);
        }
    }

    fn account(&mut self) {
        if !self.given("cloudflare.account_id") {
            let site = self.site("cloudflare.account_id");
            self.problems.error(
                Code::MissingKey,
                &site,
                "the key is missing and has no default",
                "write the id of your Cloudflare account (32 hexadecimal characters)",
            );
        }
    }

    fn credentials(&mut self) {
        let email = self.given("cloudflare.auth_email");
        let key = self.given("cloudflare.global_api_key");
        let remedy = "write both, or remove both and use cloudflare.api_token";
        match (email, key) {
            (true, false) => self.contradiction(
                "cloudflare.auth_email",
                "auth_email is of use only together with global_api_key".to_owned(),
                remedy,
            ),
            (false, true) => self.contradiction(
                "cloudflare.global_api_key",
                "global_api_key is of use only together with auth_email".to_owned(),
                remedy,
            ),
            (false, false) if !self.given("cloudflare.api_token") => self.missing(
                "cloudflare.api_token",
                Some(Need::CloudflareApi),
                "there is no credential for the Cloudflare API: nothing can be seen or done there",
                "write a token with the permissions that docs/10-install.md lists",
            ),
            _ => {}
        }
    }

    fn telegram(&mut self) {
        let half = "a chat needs both bot_token and chat_id";
        match (self.given("telegram.bot_token"), self.given("telegram.chat_id")) {
            (true, false) => self.telegram_half("telegram.chat_id", half),
            (false, true) => self.telegram_half("telegram.bot_token", half),
            (false, false) => self.missing(
                "telegram.bot_token",
                None,
                "Telegram is not configured: nobody is told about attacks and withdrawals",
                "write telegram.bot_token and telegram.chat_id",
            ),
            (true, true) => {}
        }
    }

    fn telegram_half(&mut self, path: &str, what: &str) {
        let site = self.site(path);
        self.problems
            .error(Code::MissingKey, &site, what, "write both, or remove both");
    }

    fn webhook_secret(&mut self) {
        if self.given("cloudflare.webhook_secret") {
            return;
        }
        match self.values.flag("webhook.allow_without_secret") {
            Some(true) => self.risky(
                "webhook.allow_without_secret",
                "there is no webhook secret: everybody who reaches the receiver can invent and end attacks",
                "write cloudflare.webhook_secret and remove this key",
            ),
            _ => self.missing(
                "cloudflare.webhook_secret",
                Some(Need::WebhookSecret),
                "there is no webhook secret, and the receiver refuses to start without one",
                "write the secret of the notification destination",
            ),
        }
    }

    fn listeners(&mut self) {
        let paths = [
            "webhook.listen",
            "dashboard.listen",
            "analytics.listen",
            "autowithdraw.listen",
        ];
        for (position, path) in paths.iter().enumerate() {
            let Some(address) = self.values.listen(path).copied() else {
                continue;
            };
            let taken = paths.iter().take(position).find(|other| {
                self.values.listen(other).is_some_and(|other| {
                    let any = other.ip().is_unspecified() || address.ip().is_unspecified();
                    address.port() != 0 && other.port() == address.port() && (other.ip() == address.ip() || any)
                })
            });
            if let Some(other) = taken {
                // Whoever was written by hand is the one to change.
                let (at, other) = if self.given(path) {
                    (*path, *other)
                } else {
                    (*other, *path)
                };
                self.contradiction(
                    at,
                    format!("{other} uses the same address and port"),
                    "give each service its own port",
                );
            }
        }
        for (listen, allowed) in [
            ("webhook.listen", "webhook.allowed_sources"),
            ("dashboard.listen", "dashboard.allowed_networks"),
        ] {
            let open = self
                .values
                .listen(listen)
                .is_some_and(|address| !address.ip().is_loopback());
            let anybody = self.values.networks(allowed).is_some_and(Vec::is_empty);
            if open && anybody {
                self.risky(
                    listen,
                    format!("the service answers plain HTTP to everybody who reaches it: {allowed} is empty"),
                    "listen on 127.0.0.1 behind a TLS proxy, or list who may connect",
                );
            }
        }
    }

    fn proxies(&mut self) {
        for path in ["webhook.trusted_proxies", "dashboard.trusted_proxies"] {
            let all = self
                .values
                .networks(path)
                .is_some_and(|list| list.iter().any(|prefix| prefix.length() == 0));
            if all {
                self.risky(
                    path,
                    "every client can forge its address, so allow lists and login throttling mean nothing",
                    "list the addresses of your proxies",
                );
            }
        }
    }

    fn sessions(&mut self) {
        if let (Some(idle), Some(max)) = (
            self.duration("dashboard.session_idle"),
            self.duration("dashboard.session_max"),
        ) && idle > max
        {
            self.contradiction(
                "dashboard.session_idle",
                format!(
                    "sessions end after session_max ({}) in any case, so they cannot be idle for longer",
                    format(max)
                ),
                "write at most session_max",
            );
        }
    }

    fn analytics(&mut self) {
        let (Some(poll), Some(lookback), Some(settle)) = (
            self.duration("analytics.poll_interval"),
            self.duration("analytics.lookback"),
            self.duration("analytics.settle"),
        ) else {
            return;
        };
        if settle >= lookback {
            self.contradiction(
                "analytics.settle",
                format!(
                    "the window of a poll begins lookback ({}) ago and would end before it begins",
                    format(lookback)
                ),
                "write less than analytics.lookback",
            );
        } else if lookback < poll {
            self.risky(
                "analytics.lookback",
                format!(
                    "polls come every {}, so rows that arrive later than that are seen once or never",
                    format(poll)
                ),
                "write at least twice analytics.poll_interval",
            );
        }
    }

    fn automation_times(&mut self) {
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

    fn automation_limits(&mut self) {
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

    fn managed_prefixes(&mut self) {
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
