//! What traffic consists of, ranked, as an incident's page and the main page show it: vectors, targets, sources, countries,
//! networks, each with its share.

use db::incidents::{Share, Source};

use jiff::Timestamp;

use crate::app::App;
use crate::traffic::{Ranked, TOP_OF};
use crate::words;

/// Rankings with what they rest on.
pub(super) struct Rankings {
    pub(super) rankings: Vec<Bars>,
    /// Rows that were summed.
    rows: u64,
    /// From when on, when there are too many rows to sum them all.
    since: Option<Timestamp>,
    /// The newest row.
    pub(super) newest: Option<Timestamp>,
    /// Why there is nothing to show.
    pub(super) trouble: Option<String>,
}

impl Rankings {
    pub(super) fn of(ranked: &Ranked) -> Self {
        Self {
            rankings: bars(ranked),
            rows: ranked.parts.rows,
            since: ranked.parts.since.filter(|_| !ranked.parts.is_whole),
            newest: ranked.parts.newest,
            trouble: None,
        }
    }

    /// Of the attack traffic of the last hour.
    pub(super) async fn of_now(app: &App) -> Self {
        match app.curves().top(app).await {
            Ok(ranked) => Self::of(&ranked),
            Err(error) => Self {
                rankings: Vec::new(),
                rows: 0,
                since: None,
                newest: None,
                trouble: Some(words::outside(&error.to_string())),
            },
        }
    }

    /// What the amounts are: estimates, of how much.
    pub(super) fn basis(&self, now: Timestamp) -> String {
        let rows = words::counted(self.rows, "row");
        match self.since {
            None => format!("Estimated from the samples in {rows} of the analytics."),
            Some(at) => format!(
                "Estimated from the samples in the newest {rows} of the analytics, since {}; there are too many to sum all.",
                words::said_seconds(at, now)
            ),
        }
    }

    /// The time that counts as now.
    pub(super) fn of_last() -> String {
        domain::duration::human(TOP_OF)
    }
}

/// A ranking.
pub(super) struct Bars {
    pub(super) title: &'static str,
    pub(super) bars: Vec<Bar>,
}

/// A row of it.
pub(super) struct Bar {
    pub(super) name: String,
    /// What else is known of it: host name, network, country.
    pub(super) about: String,
    /// Length of the bar.
    pub(super) width: String,
    /// Packets and share, or that only an alert names it.
    pub(super) words: String,
}

/// All rankings; those of which nothing is known are left out.
fn bars(ranked: &Ranked) -> Vec<Bars> {
    let parts = &ranked.parts;
    let all = parts.packets;
    let shares = |title, shares: &[Share]| Bars {
        title,
        bars: shares.iter().map(|share| of_share(share, all)).collect(),
    };
    let sources = parts.sources.iter().map(|source| {
        let hostname = ranked.names.get(&source.address);
        of_source(source, hostname.map(String::as_str), all)
    });
    let rankings = [
        shares("Attack vectors", &parts.vectors),
        shares("Targets", &parts.targets),
        Bars {
            title: "Top sources",
            bars: sources.collect(),
        },
        shares("Source networks", &parts.networks),
        shares("Source countries", &parts.countries),
    ];
    rankings
        .into_iter()
        .filter(|ranking| !ranking.bars.is_empty())
        .collect()
}

fn of_share(share: &Share, all: u64) -> Bar {
    Bar {
        name: words::outside_up_to(&share.name, 80),
        about: String::new(),
        width: width(share.packets, all),
        words: amount(share.packets, all),
    }
}

fn of_source(source: &Source, hostname: Option<&str>, all: u64) -> Bar {
    let network = source.asn.map(|asn| {
        let name = source
            .asn_name
            .as_deref()
            .map(|name| words::outside_up_to(name, 40))
            .unwrap_or_default();
        format!("AS{asn} {name}").trim_end().to_owned()
    });
    let country = source
        .country
        .as_deref()
        .map(|country| words::outside_up_to(country, 20));
    let bogon = source
        .bogon
        .as_deref()
        .map(|why| format!("cannot be real: {}", words::outside_up_to(why, 60)));
    let hostname = hostname.map(|name| words::outside_up_to(name, 80));
    let about: Vec<String> = [country, network, hostname, bogon].into_iter().flatten().collect();
    Bar {
        name: words::outside_up_to(&source.address, 60),
        about: if about.is_empty() {
            "origin unknown".to_owned()
        } else {
            about.join(", ")
        },
        width: width(source.packets, all),
        words: amount(source.packets, all),
    }
}

fn part(packets: u64, all: u64) -> f64 {
    if all == 0 {
        0.0
    } else {
        packets as f64 / all as f64 * 100.0
    }
}

fn width(packets: u64, all: u64) -> String {
    format!("{:.1}%", part(packets, all).min(100.0))
}

fn amount(packets: u64, all: u64) -> String {
    match part(packets, all) {
        _ if packets == 0 => "named by alerts".to_owned(),
        share if share < 1.0 => format!("{}, below 1 %", in_short(packets)),
        share => format!("{}, {share:.0} %", in_short(packets)),
    }
}

/// `1.5 k packets`
fn in_short(packets: u64) -> String {
    let number = i64::try_from(packets).unwrap_or(i64::MAX);
    words::volume(None, Some(number)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_say_their_share() {
        assert_eq!(amount(1_500, 3_000), "1.5 k packets, 50 %");
        assert_eq!(amount(7, 3_000), "7 packets, below 1 %");
        assert_eq!(amount(0, 3_000), "named by alerts");
        assert_eq!(
            (width(1_500, 3_000), width(5, 0)),
            ("50.0%".to_owned(), "0.0%".to_owned())
        );
    }

    #[test]
    fn a_source_without_a_place_says_so() {
        let source = Source {
            address: "192.0.2.1".into(),
            country: None,
            asn: None,
            asn_name: None,
            bogon: None,
            packets: 1,
            bits: 1,
        };
        assert_eq!(of_source(&source, None, 1).about, "origin unknown");
        let known = Source {
            country: Some("NL".into()),
            asn: Some(64_500),
            asn_name: Some("Example".into()),
            ..source
        };
        assert_eq!(
            of_source(&known, Some("a.example"), 1).about,
            "NL, AS64500 Example, a.example"
        );
    }
}
