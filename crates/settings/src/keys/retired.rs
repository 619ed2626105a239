//! Keys that the predecessor's documents show and nothing reads. Somebody who set one believes
//! that it does something, so each gets the key that really does it.

/// What to tell somebody who set `path`: what is wrong, and what to do instead.
pub(crate) fn retired(path: &str) -> Option<(&'static str, &'static str)> {
    RETIRED
        .iter()
        .find(|(retired, ..)| *retired == path)
        .map(|(_, what, remedy)| (*what, *remedy))
}

const RETIRED: &[(&str, &str, &str)] = &[
    (
        "polling",
        "the predecessor's documents show this section; no program ever read it",
        "remove it; polling is set by analytics.poll_interval and autowithdraw.check_interval",
    ),
    (
        "polling.interval_seconds",
        "the predecessor's documents show this key; no program ever read it",
        "remove it; use analytics.poll_interval, or autowithdraw.check_interval, as text such as \"180s\"",
    ),
    (
        "polling.ddos_threshold_pps",
        "the predecessor's documents show this key; no program ever read it",
        "remove it; the thresholds are autowithdraw.min_dropped_packets and autowithdraw.min_dropped_bits, sums over autowithdraw.attack_lookback and not rates",
    ),
    (
        "webhook.secret",
        "the predecessor's documents show this key; no program ever read it: it protects nothing",
        "move the value to cloudflare.webhook_secret, unless it is there already",
    ),
    (
        "webhook.port",
        "the predecessor's documents show this key; no program ever read it",
        "remove it; use webhook.listen, such as \"127.0.0.1:8080\"",
    ),
    (
        "cloudflare.email",
        "the predecessor's documents show this key; no program ever read it",
        "rename it to cloudflare.auth_email if the Global API key is used, else remove it",
    ),
];
