//! Bodies of notices about our own acts on BGP: done, refused, unresolved.

use std::time::Duration;

use domain::duration::human;
use domain::intent::{Act, Origin};
use domain::notice::Facts;
use domain::time::since;
use domain::units::Packets;

use super::{limit, minutes};
use crate::document::{Document, Line};
use crate::words::Words;

pub(super) fn body(document: &mut Document, facts: &Facts) {
    match facts {
        Facts::Acted {
            act,
            description,
            origin,
            reason,
            advertised_at,
            changed_at,
            calm_s,
            peak,
            systems,
            ..
        } => {
            document.maybe("Name", Words::present(Some(description), limit::NAME));
            by(document, origin);
            document.maybe("Reason", Words::present(Some(reason), limit::VALUE));
            document.field(
                if *act == Act::Withdraw {
                    "Withdrawn"
                } else {
                    "Advertised"
                },
                *changed_at,
            );
            if let Some(since_when) = advertised_at.filter(|_| *act == Act::Withdraw) {
                let lasted = minutes(since(*changed_at, since_when));
                document.push(Line::from("Was advertised for ").code(lasted));
            }
            if let Some(seconds) = calm_s {
                document.field("Calm proven", human(Duration::from_secs(*seconds)));
            }
            if let Some(peak) = peak {
                let line = Line::new()
                    .code(peak.packet_rate.to_string())
                    .text(" · ")
                    .code(peak.bit_rate.to_string());
                document.entry(
                    "Peak",
                    line.text(format!(", {} and {} in the window", Packets(peak.packets.0), peak.bits)),
                );
            }
            if !systems.is_empty() {
                let names = systems.iter().take(8).map(|system| Words::outside(system, limit::NAME));
                document.entry("Dropped by", Line::new().codes(names));
            }
            document.push(match act {
                // Source: Cloudflare's documentation of BGP prefix propagation.
                Act::Withdraw => "Traffic goes back to its direct way within about 15 min.",
                Act::Advertise => "Protection is complete 2 to 7 min after that; it stays until withdrawn.",
            });
        }
        Facts::ActRefused {
            act,
            prefix,
            origin,
            class,
            words,
            retry_at,
        } => {
            by(document, origin);
            document.entry("Refused", Line::new().code(Words::outside(words, limit::VALUE)));
            document.maybe("Class", Words::present(Some(&class.replace('_', " ")), limit::NAME));
            match retry_at {
                Some(at) => document.field("Tried again", *at),
                None => {
                    let act = act.as_str();
                    document.push(
                        Line::new()
                            .bold("A person must act: ")
                            .text("it is not tried again. ")
                            .code(format!("cloudflare-prefix-manager {act} {prefix}")),
                    );
                }
            }
        }
        Facts::ActUnresolved {
            act,
            prefix,
            origin,
            last_read,
            sent_at,
        } => {
            by(document, origin);
            document.field("Call made", *sent_at);
            document.entry("Last read", Line::new().code(Words::outside(last_read, limit::VALUE)));
            document.push(
                Line::new()
                    .bold("A person must look: ")
                    .text("no reading showed the wanted state, and the call is never repeated blindly. ")
                    .code(format!("cloudflare-prefix-manager status {prefix}")),
            );
            if *act == Act::Advertise {
                document.push("Until a reading shows it, do not count on protection.");
            }
        }
        _ => {}
    }
}

fn by(document: &mut Document, origin: &Origin) {
    match origin {
        Origin::Automatic => document.field("By", "automation"),
        Origin::Person { actor, via } => {
            let via = Words::outside(&via.replace('_', " "), limit::NAME);
            document.entry(
                "By",
                Line::new()
                    .code(Words::outside(actor, limit::NAME))
                    .text(", ")
                    .code(via),
            );
        }
    }
}
