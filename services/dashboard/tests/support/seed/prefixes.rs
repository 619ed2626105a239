//! Ten prefixes, each in another state, as the automation would have left them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{
    ATTACKED, CALM, DIRECT, EXPOSED, HELD, MINUTE, NOT_MANAGED, PROPAGATING, PROTECTED, Timestamp, UNKNOWN, UNREADABLE,
    Words, minus, plus, prefix,
};
use db::decisions::{self, Now};
use db::{DbError, WriteTx, inventory};
use domain::bgp::{BgpPrefix, BgpState, Epoch};
use domain::calm::{CalmTrack, TrafficUnknown, WindowSum};
use domain::decision::{Block, Decision, Mode, NextAction, PrefixState, Unknown, Verdict};
use domain::ids::{BgpPrefixId, PrefixId};
use domain::units::{Bits, Packets};

/// A prefix as read and judged.
struct Seen<'a> {
    cidr: &'a str,
    description: &'a str,
    /// Since when it is advertised or withdrawn, in seconds.
    changed_s: u64,
    advertised: bool,
    verdict: Option<Verdict>,
    blocks: Vec<Block>,
    /// Dropped packets per second and bits per second, and samples.
    dropped: Option<(u64, u64, u64)>,
    /// Proven calm of 15 minutes, in seconds.
    proven_s: Option<u64>,
    managed: bool,
    signalled: bool,
}

impl Default for Seen<'_> {
    fn default() -> Self {
        Self {
            cidr: "",
            description: "",
            changed_s: 47 * MINUTE,
            advertised: true,
            verdict: None,
            blocks: vec![],
            dropped: None,
            proven_s: None,
            managed: true,
            signalled: false,
        }
    }
}

pub(super) fn all(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<(), DbError> {
    let ahead = |seconds| plus(now, Duration::from_secs(seconds));
    let behind = |seconds| minus(now, Duration::from_secs(seconds));
    let seen = [
        Seen {
            cidr: ATTACKED,
            description: &words.description,
            verdict: Some(Verdict::Attack),
            dropped: Some((610_000, 4_100_000_000, 812)),
            proven_s: Some(0),
            ..Seen::default()
        },
        Seen {
            cidr: CALM,
            description: "DMZ",
            changed_s: 3 * 3_600,
            verdict: Some(Verdict::Calm {
                since: behind(708),
                due: ahead(491),
            }),
            dropped: Some((0, 0, 0)),
            proven_s: Some(409),
            ..Seen::default()
        },
        Seen {
            cidr: HELD,
            description: "Colocation",
            verdict: Some(Verdict::Calm {
                since: behind(1_500),
                due: ahead(30),
            }),
            blocks: vec![Block::Held {
                by: words.actor.clone(),
                reason: words.reason.clone(),
                until: Some(ahead(4 * 3_600)),
                everywhere: false,
            }],
            dropped: Some((40, 320_000, 3)),
            proven_s: Some(870),
            ..Seen::default()
        },
        Seen {
            cidr: UNKNOWN,
            description: "Mail and DNS",
            changed_s: 6 * 3_600,
            verdict: Some(Verdict::Unknown {
                because: Unknown::Data(TrafficUnknown::Stale { age_s: 1_140 }),
                since: behind(12 * MINUTE),
            }),
            ..Seen::default()
        },
        Seen {
            cidr: PROPAGATING,
            description: "Hosting, IPv6",
            changed_s: 130,
            verdict: Some(Verdict::Propagating { until: ahead(290) }),
            ..Seen::default()
        },
        Seen {
            cidr: PROTECTED,
            description: "Voice",
            changed_s: 5 * 3_600,
            verdict: Some(Verdict::Blocked {
                by: vec![Block::NoDirectRoute {
                    reason: "the last good check is 14 min old".into(),
                }],
            }),
            blocks: vec![Block::NoDirectRoute {
                reason: "the last good check is 14 min old".into(),
            }],
            dropped: Some((0, 0, 0)),
            proven_s: Some(900),
            ..Seen::default()
        },
        Seen {
            cidr: DIRECT,
            description: "Office",
            changed_s: 9 * 86_400,
            advertised: false,
            verdict: Some(Verdict::Direct),
            ..Seen::default()
        },
        Seen {
            cidr: NOT_MANAGED,
            description: "Backbone, by BGP signalling",
            changed_s: 40 * 86_400,
            verdict: Some(Verdict::NotManaged),
            managed: false,
            signalled: true,
            ..Seen::default()
        },
        Seen {
            cidr: EXPOSED,
            description: "Laboratory",
            changed_s: 20 * 86_400,
            advertised: false,
            verdict: Some(Verdict::Direct),
            ..Seen::default()
        },
        Seen {
            cidr: UNREADABLE,
            description: "Archive",
            ..Seen::default()
        },
    ];
    for one in &seen {
        let at = behind(if one.verdict.is_none() { 26 * MINUTE } else { 41 });
        inventory::observed(tx, &bgp_prefix(one, now), one.managed, at)?;
        if let Some(verdict) = &one.verdict {
            decisions::publish(tx, &answer(one, verdict, now), None)?;
        }
    }
    inventory::failed(tx, prefix(UNREADABLE), &words.error, behind(25 * MINUTE))
}

fn bgp_state(one: &Seen<'_>, now: Timestamp) -> BgpState {
    BgpState {
        advertised: Some(one.advertised),
        advertised_modified_at: Some(minus(now, Duration::from_secs(one.changed_s))),
        on_demand_enabled: true,
        locked: false,
        bgp_signalled: one.signalled,
        prepend: None,
        auto_advertise_withdraw: false,
    }
}

fn bgp_prefix(one: &Seen<'_>, now: Timestamp) -> BgpPrefix {
    BgpPrefix {
        prefix: prefix(one.cidr),
        parent_id: PrefixId::new("2af39739cc4e3b5910c918468bb89828"),
        id: BgpPrefixId::new("7009ba364c7a5760798ceb430e603b74"),
        asn: Some(64_500),
        description: one.description.to_owned(),
        state: bgp_state(one, now),
    }
}

/// The automation's answer of 41 seconds ago.
fn answer(one: &Seen<'_>, verdict: &Verdict, now: Timestamp) -> Now {
    let at = minus(now, Duration::from_secs(41));
    let epoch = minus(now, Duration::from_secs(one.changed_s));
    let settled = minus(at, Duration::from_secs(300));
    let lookback = Duration::from_secs(300);
    let latest = one.dropped.map(|(pps, bps, samples)| {
        let (packets, bits) = (Packets(pps * 300), Bits(bps * 300));
        WindowSum {
            ends_at: settled,
            packets,
            bits,
            samples,
            packet_rate: packets.per(lookback),
            bit_rate: bits.per(lookback),
        }
    });
    let calm = one.proven_s.map(|proven| CalmTrack {
        epoch: Epoch(epoch),
        calm_since: minus(settled, Duration::from_secs(proven)),
        verified_until: settled,
        saw_rows: true,
        newest_row: Some(settled),
        rows_from: None,
        attacked: false,
    });
    let attacked = matches!(verdict, Verdict::Attack);
    Now {
        prefix: prefix(one.cidr),
        at,
        decision: Decision {
            verdict: verdict.clone(),
            state: PrefixState {
                calm,
                peak: latest.filter(|_| attacked),
                systems: if attacked {
                    BTreeSet::from(["dosd".to_owned()])
                } else {
                    BTreeSet::new()
                },
                ..PrefixState::default()
            },
            effects: vec![],
            blocks: one.blocks.clone(),
            next: NextAction::default(),
            calm_period: Duration::from_secs(900),
            settled_until: Some(settled),
            latest,
            noise: false,
            restless: false,
            decided_at: at,
        },
        bgp: Some(bgp_state(one, now)),
        managed: one.managed,
        mode: Mode::Act,
    }
}
