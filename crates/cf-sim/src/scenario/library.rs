//! The scenarios that are built in. Each is a file below `scenarios`, and says what must have happened at its end.

/// Name and text; in the order in which they are listed.
pub(super) const EMBEDDED: [(&str, &str); 18] = [
    ("demo", include_str!("../../scenarios/demo.toml")),
    ("quiet", include_str!("../../scenarios/quiet.toml")),
    ("ipv6", include_str!("../../scenarios/ipv6.toml")),
    ("two-prefixes", include_str!("../../scenarios/two-prefixes.toml")),
    ("multi-vector", include_str!("../../scenarios/multi-vector.toml")),
    ("carpet-bombing", include_str!("../../scenarios/carpet-bombing.toml")),
    ("pulse-wave", include_str!("../../scenarios/pulse-wave.toml")),
    ("slow-drip", include_str!("../../scenarios/slow-drip.toml")),
    ("re-attack", include_str!("../../scenarios/re-attack.toml")),
    (
        "layered-mitigation",
        include_str!("../../scenarios/layered-mitigation.toml"),
    ),
    ("rules-detect", include_str!("../../scenarios/rules-detect.toml")),
    (
        "advertise-trouble",
        include_str!("../../scenarios/advertise-trouble.toml"),
    ),
    (
        "provider-withdrawal",
        include_str!("../../scenarios/provider-withdrawal.toml"),
    ),
    (
        "analytics-outage",
        include_str!("../../scenarios/analytics-outage.toml"),
    ),
    ("alert-storm", include_str!("../../scenarios/alert-storm.toml")),
    ("tunnel-trouble", include_str!("../../scenarios/tunnel-trouble.toml")),
    ("hijack", include_str!("../../scenarios/hijack.toml")),
    ("bad-day", include_str!("../../scenarios/bad-day.toml")),
];
