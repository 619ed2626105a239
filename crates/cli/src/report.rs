//! Standings as a table, in detail, and summed up in one line.

use jiff::Timestamp;

use crate::life::{Life, Service};
use crate::screen::{Ink, Screen, ink};
use crate::standing::{AtCloudflare, HoldView, Source, Standing, State};
use crate::table::{Table, fields};
use crate::words::{self, age, counted};

/// One row per prefix.
pub fn table(standings: &[Standing], now: Timestamp, screen: Screen) -> String {
    let mut table = Table::new(&["PREFIX", "NAME", "STATE", "AT CLOUDFLARE", "NEXT"]);
    for standing in standings {
        table.row([
            standing.prefix.to_string(),
            words::outside(&standing.description, 24),
            standing.state.inked(&standing.state_text),
            flag(&standing.cloudflare, now),
            standing.next.clone(),
        ]);
    }
    table.render(screen)
}

/// `advertised 26 min, live`.
fn flag(cloudflare: &AtCloudflare, now: Timestamp) -> String {
    let since = cloudflare
        .changed_at
        .map_or_else(String::new, |changed| format!(" {}", age(changed, now)));
    let flag = match cloudflare.advertised {
        Some(true) => format!("advertised{since}"),
        Some(false) => format!("withdrawn{since}"),
        None => "unknown".to_owned(),
    };
    format!("{flag}, {}", source(cloudflare, now))
}

fn source(cloudflare: &AtCloudflare, now: Timestamp) -> String {
    match (cloudflare.source, cloudflare.read_at) {
        (Source::Cloudflare, _) => "live".to_owned(),
        (Source::Database, Some(at)) => format!("read {} ago", age(at, now)),
        (Source::Database | Source::None, _) => "never read".to_owned(),
    }
}

/// Everything about one prefix.
pub fn detail(standing: &Standing, daemon: &Service, now: Timestamp, screen: Screen) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let mut title = ink(Ink::Strong, &standing.prefix.to_string());
    if !standing.description.is_empty() {
        title.push_str(&format!("  {}", standing.description));
    }
    rows.push(("state", standing.state.inked(&standing.state_text)));
    rows.push(("at Cloudflare", flag(&standing.cloudflare, now)));
    if let Some(changed) = standing.cloudflare.changed_at {
        rows.push(("changed at", words::stamp(changed) + " UTC"));
    }
    if let Some(error) = &standing.cloudflare.error {
        rows.push(("not read because", ink(Ink::Warn, error)));
    }
    if let Some(refuses) = &standing.cloudflare.refuses {
        rows.push(("cannot be changed", refuses.clone()));
    }
    rows.push(("under attack", attack(standing)));
    rows.push(("next", standing.next.clone()));
    if let Some(hold) = &standing.hold {
        rows.push(("hold", ink(Ink::Warn, &hold.sentence(now))));
    }
    if let Some(answer) = &standing.answer {
        let doubt = answer
            .doubt
            .as_ref()
            .map_or_else(String::new, |doubt| format!(", which does not count: {doubt}"));
        rows.push((
            "daemon says",
            format!("{}, {} ago{doubt}", answer.verdict, age(answer.decided_at, now)),
        ));
        rows.push(("mode", answer.mode.clone()));
        for block in &answer.blocks {
            rows.push(("blocked", block.text.clone()));
        }
        if let Some(peak) = &answer.peak {
            rows.push(("peak", format!("{} and {} dropped", peak.bit_rate, peak.packet_rate)));
        }
    }
    rows.push(("daemon", service(daemon, now)));
    if let Some(asn) = standing.asn {
        rows.push(("origin", format!("AS{asn}")));
    }
    rows.push((
        "automation",
        if standing.managed {
            "manages it"
        } else {
            "does not touch it"
        }
        .to_owned(),
    ));
    format!("{title}\n{}", fields(&rows, screen))
}

fn attack(standing: &Standing) -> String {
    let alerts: Vec<String> = standing.open_alerts.iter().map(|event| format!("#{event}")).collect();
    let mut alerts = if alerts.is_empty() {
        String::new()
    } else {
        format!("; open alerts {}", alerts.join(", "))
    };
    if standing.unread_notifications {
        alerts.push_str("; notifications of Cloudflare are received and not read yet");
    }
    let latest = standing.answer.as_ref().and_then(|answer| answer.latest);
    let dropped = latest.map_or_else(String::new, |latest| {
        format!(
            ": {} and {} dropped over the look-back",
            latest.bit_rate, latest.packet_rate
        )
    });
    match (standing.under_attack, standing.cloudflare.advertised) {
        (Some(true), _) => ink(Ink::Attack, "yes") + &dropped + &alerts,
        (Some(false), _) => format!("no{dropped}{alerts}"),
        (None, Some(false)) => format!("not visible while it is withdrawn{alerts}"),
        (None, _) => ink(Ink::Warn, "unknown") + &alerts,
    }
}

/// `running, seen 3 s ago: 2 of 5 advertised`.
pub fn service(service: &Service, now: Timestamp) -> String {
    let text = match service.seen_at {
        None => "never seen".to_owned(),
        Some(at) => {
            let doing = if service.doing.is_empty() {
                String::new()
            } else {
                format!(": {}", service.doing)
            };
            format!("{}, seen {} ago{doing}", service.life.word(), age(at, now))
        }
    };
    match service.life {
        Life::Running => text,
        _ => ink(Ink::Warn, &text),
    }
}

/// The lines below a table: how many, who watches, what is held.
pub fn foot(standings: &[Standing], daemon: &Service, holds: &[HoldView], now: Timestamp) -> String {
    let count = |wanted: &dyn Fn(&Standing) -> bool| standings.iter().filter(|standing| wanted(standing)).count();
    let advertised = count(&|standing| standing.cloudflare.advertised == Some(true));
    let mut parts = vec![format!(
        "{advertised} of {} advertised",
        counted(standings.len(), "prefix", "prefixes")
    )];
    let attacked = count(&|standing| standing.under_attack == Some(true));
    if attacked > 0 {
        parts.push(ink(Ink::Attack, &format!("{attacked} under attack")));
    }
    let unknown = count(&|standing| standing.state == State::Unknown);
    if unknown > 0 {
        parts.push(ink(Ink::Warn, &format!("{unknown} unknown")));
    }
    let mut text = format!("{}; times are UTC\n", parts.join(", "));
    text.push_str(&format!("{}: {}\n", daemon.service, self::service(daemon, now)));
    for hold in holds {
        text.push_str(&ink(Ink::Warn, &hold.sentence(now)));
        text.push('\n');
    }
    text
}
