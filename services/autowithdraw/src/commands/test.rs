//! `test`: whether what the daemon needs of Cloudflare answers, and what was dropped in the last hour. Only looks.

use std::collections::BTreeMap;
use std::time::Duration;

use cf_api::CloudflareClient;
use cf_api::graphql::traffic::{Resolution, TrafficRequest};
use cli::words::{LONG, age, outside};
use cli::{Ink, Out, Table, Trouble, ink};
use daemon::exit;
use domain::prefix::Prefix;
use domain::time::{ceil_to, floor_to, minus};
use domain::units::{Bits, Packets};
use jiff::Timestamp;
use serde::Serialize;

/// How far back dropped traffic is shown.
const LOOKED_BACK: Duration = Duration::from_secs(3_600);

/// Rows asked for at most.
const ROW_LIMIT: u32 = 10_000;

/// Subnets shown in text.
const SHOWN: usize = 10;

/// What dropped traffic to one subnet.
#[derive(Debug, Serialize)]
struct Dropped {
    subnet: Prefix,
    system: String,
    packets: Packets,
    bits: Bits,
    mean_mbps: f64,
}

#[derive(Debug, Serialize)]
struct Tested {
    schema: &'static str,
    at: Timestamp,
    works: bool,
    /// Prefixes listed; `null` when they could not be.
    prefixes: Option<usize>,
    prefixes_error: Option<String>,
    /// The newest row of the dataset.
    newest_row: Option<Timestamp>,
    /// The dropped rows were cut at the row limit.
    truncated: bool,
    dropped: Vec<Dropped>,
    traffic_error: Option<String>,
}

/// Asks and shows.
///
/// # Errors
/// When the result cannot be printed.
pub(super) async fn run(out: Out, api: &CloudflareClient, now: Timestamp) -> Result<u8, Trouble> {
    let minute = Resolution::Minute.bucket();
    let from = floor_to(minus(now, LOOKED_BACK), minute);
    let request = TrafficRequest {
        from,
        recent_from: from,
        to: ceil_to(now, minute),
        resolution: Resolution::Minute,
        limit: ROW_LIMIT,
    };
    let (listed, traffic) = tokio::join!(api.list_prefixes(), api.traffic(request, now));
    let mut tested = Tested {
        schema: "cloudflare-mt/autowithdraw-test/1",
        at: now,
        works: listed.is_ok() && traffic.is_ok(),
        prefixes: listed.as_ref().ok().map(Vec::len),
        prefixes_error: listed.err().map(|error| outside(&error.to_string(), LONG)),
        newest_row: None,
        truncated: false,
        dropped: Vec::new(),
        traffic_error: None,
    };
    match traffic {
        Ok(answer) => {
            tested.newest_row = answer.window.newest_row;
            tested.truncated = answer.window.drops_truncated;
            let mut sums: BTreeMap<(Prefix, String), (Packets, Bits)> = BTreeMap::new();
            for row in answer.window.drops {
                let sum = sums.entry((row.subnet, outside(&row.system, 40))).or_default();
                sum.0 += row.packets;
                sum.1 += row.bits;
            }
            let mean = |bits: Bits| (bits.0 as f64 / LOOKED_BACK.as_secs_f64() / 1e4).round() / 100.0;
            let sums = sums.into_iter().map(|((subnet, system), (packets, bits))| Dropped {
                subnet,
                system,
                packets,
                bits,
                mean_mbps: mean(bits),
            });
            tested.dropped = sums.collect();
            tested.dropped.sort_by_key(|one| std::cmp::Reverse(one.packets));
        }
        Err(error) => tested.traffic_error = Some(outside(&error.to_string(), LONG)),
    }
    if out.is_json() {
        out.document(&tested)?;
    } else {
        out.text(&text(&tested, out))?;
    }
    Ok(if tested.works { exit::DONE } else { exit::FAILURE })
}

fn text(tested: &Tested, out: Out) -> String {
    let failed = |what: &str, error: &str| ink(Ink::Warn, &format!("{what}: FAILED: {error}")) + "\n";
    let mut text = match (&tested.prefixes_error, tested.prefixes) {
        (Some(error), _) => failed("prefixes", error),
        (None, listed) => format!("prefixes: {} listed\n", listed.unwrap_or_default()),
    };
    match (&tested.traffic_error, tested.newest_row) {
        (Some(error), _) => text.push_str(&failed("analytics", error)),
        (None, Some(newest)) => text.push_str(&format!(
            "analytics: the newest row is {} old\n",
            age(newest, tested.at)
        )),
        (None, None) => text.push_str(&ink(
            Ink::Warn,
            "analytics: answered, but the account has no row in the last hour\n",
        )),
    }
    if tested.traffic_error.is_some() {
        return text;
    }
    if tested.dropped.is_empty() {
        text.push_str("nothing was dropped in the last hour\n");
        return text;
    }
    let mut table = Table::new(&["SUBNET", "SYSTEM", "DROPPED IN THE LAST HOUR", "MEAN"]);
    for one in tested.dropped.iter().take(SHOWN) {
        let system = if one.system.is_empty() { "-" } else { &one.system };
        table.row([
            one.subnet.to_string(),
            system.to_owned(),
            format!("{} in {}", one.bits, one.packets),
            format!("{} Mbps", one.mean_mbps),
        ]);
    }
    text.push_str(&table.render(out.screen()));
    if tested.dropped.len() > SHOWN {
        text.push_str(&format!("and {} more\n", tested.dropped.len() - SHOWN));
    }
    if tested.truncated {
        text.push_str(&ink(Ink::Warn, "the answer was cut at its row limit\n"));
    }
    text
}
