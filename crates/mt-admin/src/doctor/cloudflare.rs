//! The credential, Cloudflare's clock and the analytics, by calls that change nothing.
//!
//! What cannot be shown without a change is whether the token may write. The journal of acts shows it where an act was
//! accepted lately.

use std::time::Duration;

use cf_api::CloudflareClient;
use cf_api::rest::clock::ClockReading;
use domain::time::minus;
use jiff::Timestamp;
use settings::Settings;

use super::finding::{Finding, Severity};
use cli::words::clock;

/// A clock that is off by more shifts windows of evidence noticeably.
const OFF_WARNING_S: f64 = 2.0;

/// From here on fresh data looks old or lies in the future: no verdict is reliable.
const OFF_CRITICAL_S: f64 = 30.0;

/// A token that ends sooner needs somebody to make a new one.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 86_400);

/// How far back an accepted act shows that the token may write.
const SHOWN_WITHIN: Duration = Duration::from_secs(90 * 86_400);

const BLIND: &str = "without Cloudflare nothing is seen and nothing can be withdrawn or advertised from here; \
                     what is advertised stays so";

/// Whether the credential is alive.
pub async fn credential(api: &CloudflareClient, settings: &Settings, now: Timestamp) -> Vec<Finding> {
    const CHECK: &str = "cloudflare.credential";
    if settings.cloudflare.api_token.is_none() {
        return vec![Finding::of(
            Severity::Warning,
            CHECK,
            "the global API key is used",
            "whoever gets hold of it owns the whole account, not only these prefixes",
            "make an API token with the permissions of docs/70-security.md and set cloudflare.api_token",
        )];
    }
    let status = match api.verify_token().await {
        Ok(status) => status,
        Err(error) => return vec![Finding::cloudflare(CHECK, &error, BLIND, "it was made with")],
    };
    if !status.is_active() {
        let word = cli::words::outside(&status.status, 40);
        return vec![Finding::of(
            Severity::Critical,
            CHECK,
            format!("Cloudflare says that the API token is {word}"),
            BLIND,
            "make a new token at Cloudflare and set cloudflare.api_token",
        )];
    }
    match status.expires_on {
        Some(end) if minus(end, EXPIRES_SOON) <= now => vec![Finding::of(
            Severity::Warning,
            CHECK,
            format!("the API token expires {}", clock(end, now)),
            format!("from then on {BLIND}"),
            "make a new token in time, or extend this one at Cloudflare",
        )],
        Some(end) => vec![Finding::ok(
            CHECK,
            format!("the API token is active and expires {}", clock(end, now)),
        )],
        None => vec![Finding::ok(CHECK, "the API token is active and does not expire")],
    }
}

/// Whether the token may change advertisements, as far as the journal shows.
pub fn may_write(accepted: Option<Timestamp>, now: Timestamp) -> Finding {
    const CHECK: &str = "cloudflare.may_write";
    match accepted.filter(|at| *at >= minus(now, SHOWN_WITHIN)) {
        Some(at) => Finding::ok(
            CHECK,
            format!("Cloudflare accepted a change of ours {}", clock(at, now)),
        ),
        None => Finding::of(
            Severity::Info,
            CHECK,
            "nothing shows whether the token may advertise and withdraw: no harmless call tells it",
            "a missing permission would show at the first withdrawal; protection stays on then",
            "a drill on a prefix without customers shows it: cloudflare-mt drill --help",
        ),
    }
}

/// Whether our clock agrees with Cloudflare's.
pub async fn time(api: &CloudflareClient, limit: Duration) -> Vec<Finding> {
    match api.read_clock(limit).await {
        Ok(reading) => vec![judge_clock(&reading)],
        Err(error) => vec![Finding::unknown(
            "cloudflare.clock",
            error.to_string(),
            "a clock that is wrong makes fresh data look old; nothing would be withdrawn",
        )],
    }
}

fn judge_clock(reading: &ClockReading) -> Finding {
    const CHECK: &str = "cloudflare.clock";
    let off = reading.off_by_s();
    let side = if off > 0.0 { "ahead of" } else { "behind" };
    let text = format!("this host's clock is {:.0} s {side} Cloudflare's", off.abs());
    let remedy = "let the host keep its time by NTP: timedatectl status";
    if off.abs() >= OFF_CRITICAL_S {
        let means = "data looks older or newer than it is: verdicts become unknown and nothing is withdrawn; \
                     times in messages are wrong";
        Finding::of(Severity::Critical, CHECK, text, means, remedy)
    } else if off.abs() >= OFF_WARNING_S {
        let means = "windows of evidence are shifted by as much; times in messages are wrong";
        Finding::of(Severity::Warning, CHECK, text, means, remedy)
    } else {
        Finding::ok(CHECK, "this host's clock agrees with Cloudflare's")
    }
}

/// Whether the evidence that withdrawals rest on can be asked for.
pub async fn analytics(api: &CloudflareClient) -> Vec<Finding> {
    const CHECK: &str = "cloudflare.analytics";
    const MEANS: &str = "no evidence: every verdict is unknown, and nothing is withdrawn by itself";
    let limits = match api.node_limits().await {
        Ok(limits) => limits,
        Err(error) => {
            return vec![Finding::cloudflare(CHECK, &error, MEANS, "Account Analytics: Read")];
        }
    };
    let mut findings = Vec::new();
    if !limits.traffic.enabled {
        findings.push(Finding::of(
            Severity::Critical,
            CHECK,
            "the account has no Magic Transit network analytics",
            MEANS,
            "ask Cloudflare to enable network analytics for the account",
        ));
    }
    if !limits.mitigations.enabled {
        findings.push(Finding::of(
            Severity::Warning,
            CHECK,
            "the account has no record of DDoS mitigations (dosdNetworkAnalyticsAdaptiveGroups)",
            "attacks are seen by their traffic alone; messages lack vectors and sources",
            "ask Cloudflare to enable it for the account",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "evidence and mitigations can be asked for"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off() {
        let date: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        let off = |seconds: i64| {
            let ours = Timestamp::from_second(date.as_second() + seconds).unwrap();
            judge_clock(&ClockReading {
                date,
                asked_at: ours,
                answered_at: ours,
            })
        };
        assert_eq!(off(0).severity, Severity::Ok);
        assert_eq!(off(2).severity, Severity::Ok);
        assert_eq!(off(9).severity, Severity::Warning);
        assert_eq!(off(-45).severity, Severity::Critical);
        assert!(off(-45).text.contains("45 s behind"), "{:?}", off(-45));
        assert!(off(61).text.contains("60 s ahead of"), "{:?}", off(61));
    }

    #[test]
    fn only_a_late_act_shows_that_the_token_may_write() {
        let now: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        let ago = |days: u64| Some(minus(now, Duration::from_secs(days * 86_400)));
        assert_eq!(may_write(ago(3), now).severity, Severity::Ok);
        assert_eq!(may_write(ago(200), now).severity, Severity::Info);
        assert_eq!(may_write(None, now).severity, Severity::Info);
    }
}
