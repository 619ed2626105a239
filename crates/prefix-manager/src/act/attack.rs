//! Whether a prefix is under attack, right before somebody withdraws it: fresh traffic first, then alerts and what the
//! daemon says. Any of them can show an attack; only fresh traffic can show quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use assembly::evidence;
use cf_api::CloudflareClient;
use cf_api::graphql::traffic::TrafficRequest;
use cli::picture::Picture;
use cli::standing::believed_for;
use domain::alert::OpenAlert;
use domain::calm::{CalmTrack, TrafficAnswer, WindowSum, read_traffic};
use domain::decision::Verdict;
use domain::evidence::{PrefixTraffic, assign};
use domain::prefix::Prefix;
use domain::time::{ceil_to, floor_to, minus, since};
use jiff::Timestamp;
use settings::AutoWithdraw;

use super::targets::Read;
use crate::site::Site;

/// What is known about an attack.
#[derive(Debug, Clone, PartialEq)]
pub enum Danger {
    /// Drops exceed the thresholds, or an alert is open.
    Attack {
        /// Who says so.
        because: String,
        /// The newest look-back window, if it was read.
        latest: Option<WindowSum>,
    },
    /// Fresh traffic shows no attack.
    Quiet {
        /// The newest look-back window.
        latest: WindowSum,
        /// Rows are complete until then.
        settled_until: Option<Timestamp>,
    },
    /// Nobody can tell.
    Unknown {
        /// Why.
        because: String,
        /// The newest look-back window, if it was read.
        latest: Option<WindowSum>,
    },
}

/// Asks for the traffic of all advertised targets at once and judges each.
pub async fn assess(
    site: &Site,
    api: &CloudflareClient,
    reads: &[Read],
    picture: &Picture,
    now: Timestamp,
) -> BTreeMap<Prefix, Danger> {
    let settings = &site.settings.autowithdraw;
    // Traffic belongs to the most specific prefix that is advertised, also when that one is no target.
    let others = picture
        .entries
        .iter()
        .filter(|entry| entry.prefix.state.advertised == Some(true));
    let live = reads.iter().filter_map(|read| read.live.as_ref().ok());
    let withdrawn: BTreeSet<Prefix> = live
        .clone()
        .filter(|(found, _)| found.state.advertised == Some(false))
        .map(|(found, _)| found.prefix)
        .collect();
    let mut advertised: BTreeSet<Prefix> = others.map(|entry| entry.prefix.prefix).collect();
    advertised.extend(
        live.filter(|(found, _)| found.state.advertised == Some(true))
            .map(|(found, _)| found.prefix),
    );
    advertised.retain(|prefix| !withdrawn.contains(prefix));
    let advertised: Vec<Prefix> = advertised.into_iter().collect();
    let traffic = read(api, settings, &advertised, now).await;
    reads
        .iter()
        .filter_map(|read| {
            let (found, _) = read.live.as_ref().ok()?;
            let epoch = found.state.epoch()?;
            let share = match &traffic {
                Ok(shares) => shares
                    .get(&read.prefix)
                    .ok_or_else(|| "its traffic was not read".to_owned()),
                Err(error) => Err(error.clone()),
            };
            let policy = evidence::traffic_policy(settings, read.prefix);
            let seen = share.map(|share| read_traffic(share, &CalmTrack::begin(epoch, &policy), &policy, now));
            Some((read.prefix, judge(seen, read.prefix, picture, settings, now)))
        })
        .collect()
}

async fn read(
    api: &CloudflareClient,
    settings: &AutoWithdraw,
    advertised: &[Prefix],
    now: Timestamp,
) -> Result<BTreeMap<Prefix, PrefixTraffic>, String> {
    let resolution = evidence::resolution(settings.attack_lookback);
    let bucket = resolution.bucket();
    let from = floor_to(minus(now, settings.settle * 3 + settings.attack_lookback * 2), bucket);
    let request = TrafficRequest {
        from,
        recent_from: from,
        to: ceil_to(now, bucket),
        resolution,
        limit: evidence::ROW_LIMIT,
    };
    let answer = api.traffic(request, now).await.map_err(|error| error.to_string())?;
    Ok(assign(&answer.window, advertised, &evidence::systems(settings)))
}

fn judge(
    seen: Result<domain::calm::TrafficReading, String>,
    prefix: Prefix,
    picture: &Picture,
    settings: &AutoWithdraw,
    now: Timestamp,
) -> Danger {
    let latest = seen
        .as_ref()
        .ok()
        .map(|reading| reading.latest)
        .filter(|latest| *latest != WindowSum::default());
    let attack = |because: &str| Danger::Attack {
        because: because.to_owned(),
        latest,
    };
    if seen
        .as_ref()
        .is_ok_and(|reading| reading.answer == TrafficAnswer::Attack)
    {
        return attack("drops exceed both thresholds");
    }
    let open: Vec<String> = picture
        .alerts
        .iter()
        .filter(|alert| alert.concerns(prefix) && !alert.unresolved)
        .map(|alert| format!("#{}", alert.event))
        .collect();
    if !open.is_empty() {
        return attack(&format!("attack alert {} is open", open.join(", ")));
    }
    if let Some(answer) = picture.answer(prefix)
        && answer.decision.verdict == Verdict::Attack
        && since(now, answer.at) <= believed_for(settings)
    {
        return attack("the daemon says so");
    }
    if picture.alerts.iter().any(OpenAlert::is_unread) {
        return Danger::Unknown {
            because: "notifications of Cloudflare are received and not read yet".to_owned(),
            latest,
        };
    }
    match seen {
        Ok(reading) => match reading.answer {
            TrafficAnswer::Quiet { .. } => Danger::Quiet {
                latest: reading.latest,
                settled_until: reading.settled_until,
            },
            TrafficAnswer::Unknown(why) => Danger::Unknown {
                because: why.explain(),
                latest,
            },
            TrafficAnswer::Attack => attack("drops exceed both thresholds"),
        },
        Err(error) => Danger::Unknown {
            because: error,
            latest: None,
        },
    }
}

impl Danger {
    /// `4.10 Gbps and 610.00 kpps dropped over the newest 5 min, on 812 samples`; `None` where zero would only mean that
    /// nothing is known.
    pub fn rate(&self, lookback: Duration) -> Option<String> {
        let latest = match self {
            Self::Attack { latest, .. } | Self::Unknown { latest, .. } => {
                latest.as_ref().filter(|latest| latest.samples > 0)?
            }
            Self::Quiet { latest, .. } => latest,
        };
        let span = domain::duration::human(lookback);
        if latest.samples == 0 {
            return Some(format!("nothing was dropped over the newest {span}"));
        }
        let samples = domain::units::grouped(latest.samples);
        Some(format!(
            "{} and {} dropped over the newest {span}, on {samples} samples",
            latest.bit_rate, latest.packet_rate
        ))
    }
}
