//! Bodies of notices about what automation sees, decides and waits for, and about changes that are not ours.

use std::time::Duration;

use db::outbox::Notification;
use domain::bgp::BgpState;
use domain::binding::BindingChange;
use domain::duration::human;
use domain::notice::Facts;
use domain::prefix::Prefix;
use domain::time::{for_people, since};
use jiff::Timestamp;

use super::{limit, minutes};
use crate::context::Context;
use crate::document::{Document, Line};
use crate::words::Words;

pub(super) fn body(document: &mut Document, facts: &Facts, row: &Notification, context: &Context, now: Timestamp) {
    match facts {
        Facts::AutomationBlind {
            because,
            since: from,
            prefix,
        } => {
            reason(document, because);
            span(document, "Blind", *from, row.created_at);
            document.push("It holds the advertisement and withdraws nothing while it cannot see.");
            explain(document, *prefix);
        }
        Facts::AutomationSighted { since: from, .. } => {
            document.field("Was blind from", *from);
            document.push("Calm is measured anew from what can be read.");
        }
        Facts::WouldWithdraw { calm_s, prefix } => {
            document.field("Calm proven", human(Duration::from_secs(*calm_s)));
            document.push("Automation runs dry: it does nothing. Withdraw by hand if you agree:");
            document.push(Line::new().code(format!("cloudflare-prefix-manager withdraw {prefix}")));
        }
        Facts::Overdue {
            since: from,
            because,
            prefix,
        } => {
            document.field("Advertised since", *from);
            reason(document, because);
            document.push("Traffic takes the way through Cloudflare until it is withdrawn. Said once a day.");
            explain(document, *prefix);
        }
        Facts::LimitReached { until, prefix } => {
            document.field("Waits until", *until);
            document.push("So many automatic withdrawals within an hour are unusual; by hand it can be done at once:");
            document.push(Line::new().code(format!("cloudflare-prefix-manager withdraw {prefix}")));
        }
        Facts::MassCalm { prefixes } => {
            document.push(
                "Several prefixes looked calm at once right after analytics could not be read. That is more likely wrong than right, so nothing is withdrawn and calm is proven again.",
            );
            list(document, "Prefixes", prefixes);
        }
        Facts::ForeignChange { before, after, prefix } => foreign_change(document, *prefix, before, after),
        Facts::ProviderEvent {
            withdrawn,
            advertised,
            changed,
        } => {
            list(document, "Withdrawn", withdrawn);
            list(document, "Advertised", advertised);
            list(document, "Changed", changed);
            document.push("No act of ours explains it. So many at once point to one cause at the provider or to another tool: find it before anything is changed back.");
            if !withdrawn.is_empty() {
                document.push(
                    Line::from("How they stand, and how to advertise again: ").code("cloudflare-prefix-manager status"),
                );
            }
        }
        Facts::BindingsChanged { changes, .. } => bindings(document, changes),
        Facts::Reattack { withdrawn_at, prefix } => {
            document.field("Withdrawn", *withdrawn_at);
            document.push("Protection was taken off shortly before. If it is not back by itself, advertise now:");
            document.push(Line::new().code(format!("cloudflare-prefix-manager advertise {prefix}")));
        }
        Facts::HoldEnding {
            prefix,
            actor,
            reason: why,
            until,
        } => {
            hold_ending(document, *prefix, *until, context, now);
            document.maybe("Set by", Words::present(Some(actor), limit::NAME));
            document.maybe("Reason", Words::present(Some(why), limit::VALUE));
        }
        _ => {}
    }
}

/// Up to a dozen prefixes under a label, nothing when there are none.
fn list(document: &mut Document, label: &'static str, prefixes: &[Prefix]) {
    const SHOWN: usize = 12;
    if prefixes.is_empty() {
        return;
    }
    document.entry(label, Line::new().codes(prefixes.iter().take(SHOWN).copied()));
    if prefixes.len() > SHOWN {
        document.push(format!("and {} more", prefixes.len() - SHOWN));
    }
}

fn reason(document: &mut Document, because: &str) {
    document.maybe("Because", Words::present(Some(because), limit::VALUE));
}

fn span(document: &mut Document, label: &'static str, from: Timestamp, written: Timestamp) {
    document.entry(
        label,
        Line::from("since ")
            .code(from)
            .text(format!(", {} so far", minutes(since(written, from)))),
    );
}

fn explain(document: &mut Document, prefix: Prefix) {
    document.push(Line::from("Evidence: ").code(format!("cloudflare-autowithdraw explain {prefix}")));
}

fn foreign_change(document: &mut Document, prefix: Prefix, before: &BgpState, after: &BgpState) {
    let yes = |value: bool| if value { "yes" } else { "no" };
    let maybe = |value: Option<bool>| value.map_or("unknown", yes);
    let prepend = |value: Option<u8>| value.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
    let changes = [
        (
            "advertised",
            maybe(before.advertised).to_owned(),
            maybe(after.advertised).to_owned(),
        ),
        (
            "on demand",
            yes(before.on_demand_enabled).to_owned(),
            yes(after.on_demand_enabled).to_owned(),
        ),
        ("locked", yes(before.locked).to_owned(), yes(after.locked).to_owned()),
        (
            "steered by BGP",
            yes(before.bgp_signalled).to_owned(),
            yes(after.bgp_signalled).to_owned(),
        ),
        (
            "follows the routing table",
            yes(before.auto_advertise_withdraw).to_owned(),
            yes(after.auto_advertise_withdraw).to_owned(),
        ),
        ("prepends", prepend(before.prepend), prepend(after.prepend)),
    ];
    for (what, old, new) in changes.into_iter().filter(|(_, old, new)| old != new) {
        document.push(Line::from(what).text(": ").code(old).text(" → ").code(new));
    }
    document.maybe("Changed", after.advertised_modified_at);
    document.push("No act of ours explains it. Find out who did it before anything is changed back.");
    if after.advertised == Some(false) && before.advertised != Some(false) {
        let again = format!("cloudflare-prefix-manager advertise {prefix}");
        document.push(Line::from("To advertise again: ").code(again));
    }
}

/// Which service took the traffic of a network, and which does now.
fn bindings(document: &mut Document, changes: &[BindingChange]) {
    const SHOWN: usize = 12;
    let service = |words: &Option<String>| match words {
        Some(words) => Words::outside(words, limit::NAME),
        None => Words::outside("none", limit::NAME),
    };
    for change in changes.iter().take(SHOWN) {
        let line = Line::new().code(change.network).text(": ");
        document.push(
            line.code(service(&change.before))
                .text(" → ")
                .code(service(&change.after)),
        );
    }
    if changes.len() > SHOWN {
        document.push(format!("and {} more", changes.len() - SHOWN));
    }
    document.push("What is not bound to Magic Transit is not protected by it, whether it is advertised or not.");
    document.push("The product never changes bindings. Find out who did it, in Cloudflare's audit log.");
}

fn hold_ending(document: &mut Document, prefix: Option<Prefix>, until: Timestamp, context: &Context, now: Timestamp) {
    let held = context.holds.as_ref().map(|holds| {
        holds
            .iter()
            .any(|hold| hold.prefix == prefix && hold.until == Some(until))
    });
    match held {
        Some(false) if now < until => {
            document.push(Line::new().bold("Released or changed meanwhile."));
        }
        _ if now >= until => {
            document.push(Line::new().bold(format!("It has ended {}.", for_people(until))));
        }
        _ => document.push(format!("In {} automation may act again.", minutes(since(until, now)))),
    }
    if now < until {
        let what = match prefix {
            Some(prefix) => format!("cloudflare-prefix-manager hold {prefix} --for 2h --reason ..."),
            None => "cloudflare-prefix-manager hold --for 2h --reason ...".to_owned(),
        };
        document.push(Line::from("To go on holding: ").code(what));
    }
}
