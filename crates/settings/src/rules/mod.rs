//! What several settings mean together: contradictions are errors, consequences are warnings.
//!
//! Every rule looks only at values that could be read, so it adds to a report with other faults
//! without repeating them. Errors are for what cannot work or can do harm by itself; a warning is
//! for what somebody may want, for a test for instance, and should know.

mod automation;

use std::time::Duration;

use crate::Need;
use crate::merge::Merged;
use crate::model::MappedPrefix;
use crate::print::format;
use crate::report::Code;
use crate::site::{Problems, Site};
use crate::values::Values;

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
        self.channels();
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

    fn channels(&mut self) {
        for needed in [
            ["alert_webhook.url", "alert_webhook.secret"].as_slice(),
            &["mail.host", "mail.from", "mail.to"],
        ] {
            let missing: Vec<&str> = needed.iter().copied().filter(|path| !self.given(path)).collect();
            if let Some(first) = missing.first().filter(|_| missing.len() < needed.len()) {
                let site = self.site(first);
                let what = format!("{} belong together", needed.join(", "));
                self.problems.error(
                    Code::MissingKey,
                    &site,
                    what,
                    "write all of them, or remove all of them",
                );
            }
        }
        match (self.given("mail.user"), self.given("mail.password")) {
            (true, false) | (false, true) => self.contradiction(
                "mail.user",
                "a login at the mail server needs both user and password".to_owned(),
                "write both, or remove both",
            ),
            _ => {}
        }
        if let Some(text) = self.values.text("telegram.operators")
            && let Err(wrong) = operators(text)
        {
            let what = format!("{wrong:?} is not the number of a Telegram user");
            self.contradiction("telegram.operators", what, "write numbers with commas between them");
        }
        let words = |path| match self.values.systems(path) {
            Some(crate::model::MitigationSystems::Only(names)) => names.clone(),
            _ => Vec::new(),
        };
        for path in ["alert_webhook.send", "mail.send"] {
            let known = |name: &&String| name.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !name.is_empty();
            if let Some(wrong) = words(path).iter().find(|name| !known(name)) {
                let what = format!("{wrong:?} is neither an urgency nor a kind of message");
                self.contradiction(path, what, "write such as [\"critical\", \"high\", \"withdrawn\"]");
                return;
            }
            let urgency = |name: &str| domain::notice::Priority::ALL.iter().any(|known| known.as_str() == name);
            let unknown = |name: &&String| !urgency(name) && !domain::notice::KINDS.contains(&name.as_str());
            if let Some(unknown) = words(path).iter().find(|name| unknown(name)) {
                let what = format!("{unknown:?} is no kind of message of this version: nothing is sent because of it");
                self.risky(path, what, "docs/32-messages.md lists the kinds");
            }
        }
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
        let witnesses = ["dosd", "advanced_tcp", "advanced_dns", "magic_firewall"];
        for (path, more) in [
            ("analytics.witnesses", &["attacks", "series"][..]),
            ("analytics.announced_witnesses", &[]),
        ] {
            let Some(crate::model::MitigationSystems::Only(names)) = self.values.systems(path) else {
                continue;
            };
            let known: Vec<&str> = witnesses.iter().chain(more).copied().collect();
            if let Some(wrong) = names.iter().find(|name| !known.contains(&name.as_str())) {
                let what = format!("{wrong:?} is none of {}", known.join(", "));
                self.contradiction(path, what, "write \"all\", or a list of these words");
            }
        }
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
}

/// Numbers of users, separated by commas.
///
/// # Errors
/// The first part that is none.
pub(crate) fn operators(text: &str) -> Result<Vec<u64>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| part.parse::<u64>().map_err(|_| part.to_owned()))
        .collect()
}
