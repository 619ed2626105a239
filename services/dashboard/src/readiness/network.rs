//! What concerns one prefix: may it be switched, would an attack on it be noticed, does its traffic come back.

use std::net::IpAddr;
use std::time::Duration;

use cf_api::rest::tunnels::Tunnel;
use domain::bgp::NotControllable;
use domain::prefix::Prefix;
use domain::time::since;

use super::{Answer, Check, Facts, RULES_BELIEVED_FOR};
use crate::connectors::{Health, Probes};
use crate::overview::prefix::{PrefixView, believed_for};
use crate::picture::Unreadable;
use crate::words;

/// Cloudflare documents no wait between changes, but was seen to refuse soon after one; withdrawing takes so long to spread.
const SOON_AFTER_CHANGE: Duration = Duration::from_secs(15 * 60);

pub(super) fn checks(view: &PrefixView, facts: &Facts<'_>) -> Vec<Check> {
    vec![
        control(view, facts),
        rule(view, facts),
        cool_down(view, facts),
        way_back(view, facts),
    ]
}

/// What the database does not tell.
fn unreadable(what: &'static str, why: &Unreadable) -> Check {
    Check::new(what, Answer::Unknown, why.0.clone(), "See cloudflare-mt db check.")
}

/// Whether the API may switch it.
fn control(view: &PrefixView, facts: &Facts<'_>) -> Check {
    const WHAT: &str = "switch";
    let entries = match facts.inventory {
        Ok(entries) => entries,
        Err(why) => return unreadable(WHAT, why),
    };
    let never = "See that cloudflare-autowithdraw runs and that the prefix is of this account.";
    let Some(entry) = entries.iter().find(|entry| entry.prefix.prefix == view.prefix) else {
        return Check::new(WHAT, Answer::Unknown, "Its state was never read.", never);
    };
    let believed = believed_for(&facts.settings.autowithdraw);
    if since(facts.now, entry.read_at) > believed {
        let why = entry
            .error
            .as_deref()
            .map(|error| format!(": {}", words::outside(error)))
            .unwrap_or_default();
        let found = format!(
            "Its state was last read {} ago{why}.",
            words::age_at(entry.read_at, facts.now)
        );
        return Check::new(WHAT, Answer::Unknown, found, never);
    }
    let state = &entry.prefix.state;
    match state.refuses_control() {
        None => {
            let now = match state.advertised {
                Some(true) => "It is advertised now.",
                Some(false) => "It can be advertised.",
                None => {
                    return Check::new(
                        WHAT,
                        Answer::Unknown,
                        "Cloudflare does not say whether it is advertised.",
                        never,
                    );
                }
            };
            Check::new(WHAT, Answer::Fine, now, "")
        }
        Some(NotControllable::Locked) => Check::new(
            WHAT,
            Answer::Stops,
            "Cloudflare has locked its advertisement.",
            "Ask Cloudflare's support to unlock it.",
        ),
        Some(NotControllable::NotOnDemand) => Check::new(
            WHAT,
            Answer::Stops,
            "It is not enabled for advertisement on demand.",
            "Ask your account team to enable on-demand advertisement for it.",
        ),
        Some(NotControllable::BgpSignalled) => Check::new(
            WHAT,
            Answer::Doubt,
            "It is steered by BGP signalling: your routers divert it, nothing here can.",
            "See that the session that signals it is up.",
        ),
    }
}

/// Whether an attack on it would be noticed, and it advertised.
fn rule(view: &PrefixView, facts: &Facts<'_>) -> Check {
    const WHAT: &str = "monitoring rule";
    let rules = match facts.rules {
        Ok(rules) => rules,
        Err(why) => return unreadable(WHAT, why),
    };
    let Some(read_at) = rules.iter().map(|(_, read_at)| *read_at).min() else {
        return Check::new(
            WHAT,
            Answer::Unknown,
            "No rule was read yet, or there is none.",
            "See the page of rules.",
        );
    };
    if since(facts.now, read_at) > RULES_BELIEVED_FOR {
        let found = format!("The rules were last read {} ago.", words::age_at(read_at, facts.now));
        return Check::new(
            WHAT,
            Answer::Unknown,
            found,
            "See that cloudflare-analytics-monitor runs, which reads them.",
        );
    }
    let covering: Vec<_> = rules
        .iter()
        .map(|(rule, _)| rule)
        .filter(|rule| rule.prefixes.iter().any(|network| network.contains(view.prefix)))
        .collect();
    if covering.is_empty() {
        let found = "No rule names it: an attack would not be noticed by network monitoring.";
        return Check::new(WHAT, Answer::Stops, found, "Make a rule for it on the page of rules.");
    }
    let acting: Vec<_> = covering
        .iter()
        .filter(|rule| crate::overview::rules::advertises(rule))
        .collect();
    let Some(first) = acting.first() else {
        let found = format!(
            "{} notices an attack, but does not advertise by itself: somebody must.",
            words::outside_up_to(&covering[0].name, 60)
        );
        return Check::new(
            WHAT,
            Answer::Doubt,
            found,
            "Turn on automatic advertisement on the page of rules.",
        );
    };
    let together = acting.iter().map(|rule| rule.prefixes.len()).max().unwrap_or(1);
    let name = words::outside_up_to(&first.name, 60);
    if together > 1 {
        let found = format!(
            "{name} advertises it together with {} others, and sums their traffic.",
            together - 1
        );
        return Check::new(
            WHAT,
            Answer::Doubt,
            found,
            "Make one rule per prefix, unless that is wanted.",
        );
    }
    Check::new(
        WHAT,
        Answer::Fine,
        format!("{name} notices an attack and advertises it."),
        "",
    )
}

/// Whether Cloudflare may refuse because of a change just before.
fn cool_down(view: &PrefixView, facts: &Facts<'_>) -> Check {
    const WHAT: &str = "cool-down";
    let Some(changed) = view.advertised_changed_at else {
        let found = "When it was last changed is not known.";
        return Check::new(
            WHAT,
            Answer::Unknown,
            found,
            "Nothing: an advertisement is tried all the same, until it is done.",
        );
    };
    let age = since(facts.now, changed);
    if age < SOON_AFTER_CHANGE && view.advertised != Some(true) {
        let found = format!(
            "It was changed {} ago; soon after a change Cloudflare may refuse.",
            words::age(age)
        );
        return Check::new(
            WHAT,
            Answer::Doubt,
            found,
            "Nothing: an advertisement is tried again until it is taken.",
        );
    }
    Check::new(
        WHAT,
        Answer::Fine,
        format!("It was last changed {} ago.", words::age(age)),
        "",
    )
}

/// Whether scrubbed traffic finds its way back.
fn way_back(view: &PrefixView, facts: &Facts<'_>) -> Check {
    const WHAT: &str = "way back";
    let (Some(tunnels), Some(routes)) = (facts.all_tunnels(), facts.routes.current()) else {
        let mut why: Vec<String> = facts
            .tunnels
            .iter()
            .filter_map(crate::upstream::Reading::trouble)
            .collect();
        why.extend(facts.routes.trouble());
        why.dedup();
        let found = format!("Tunnels or routes cannot be read: {}.", why.join("; "));
        return Check::new(WHAT, Answer::Unknown, found, "Give the token Magic Transit Read.");
    };
    if tunnels.is_empty() {
        let found = "The account has no tunnel and no interconnect: scrubbed traffic has no way back.";
        return Check::new(WHAT, Answer::Stops, found, "Make a tunnel at Cloudflare.");
    }
    let covering: Vec<_> = routes
        .iter()
        .filter(|route| route.prefix.contains(view.prefix))
        .collect();
    if covering.is_empty() {
        let by_bgp = tunnels.iter().filter(|tunnel| tunnel.has_bgp).count();
        if by_bgp > 0 {
            let found = format!(
                "No static route covers it; {by_bgp} tunnels speak BGP and may have learnt one, which cannot be read."
            );
            return Check::new(WHAT, Answer::Doubt, found, "See Cloudflare's routing table for it.");
        }
        let found = "No static route covers it: scrubbed traffic has no way back.";
        return Check::new(WHAT, Answer::Stops, found, "Make a route to a tunnel at Cloudflare.");
    }
    let mut ways: Vec<(&Tunnel, Probes)> = Vec::new();
    for route in &covering {
        let hop: Option<IpAddr> = route.nexthop.as_deref().and_then(|hop| hop.parse().ok());
        let Some(hop) = hop else { continue };
        for tunnel in tunnels.iter().filter(|tunnel| leads_to(tunnel, hop)) {
            if !ways.iter().any(|(known, _)| known.id == tunnel.id) {
                let probes = Probes::of(&tunnel.name, tunnel.health_check.as_ref(), &facts.health, facts.now);
                ways.push((tunnel, probes));
            }
        }
    }
    if ways.is_empty() {
        let found = "A route covers it, but its next hop is in no tunnel that was read.";
        return Check::new(
            WHAT,
            Answer::Doubt,
            found,
            "Compare the routes with the page of connectors.",
        );
    }
    judged(WHAT, &ways)
}

fn judged(what: &'static str, ways: &[(&Tunnel, Probes)]) -> Check {
    let names = |wanted: Health| -> Vec<String> {
        let found = ways.iter().filter(|(_, probes)| probes.health == wanted);
        found
            .map(|(tunnel, _)| words::outside_up_to(&tunnel.name, 30))
            .collect()
    };
    let (healthy, degraded, down, dark) = (
        names(Health::Healthy),
        names(Health::Degraded),
        names(Health::Down),
        names(Health::NoData),
    );
    let remedy = "See the page of connectors.";
    if down.len() == ways.len() {
        return Check::new(
            what,
            Answer::Stops,
            format!("Every tunnel it is routed to is down: {}.", down.join(", ")),
            remedy,
        );
    }
    let mut parts = Vec::new();
    for (word, list) in [
        ("healthy", &healthy),
        ("degraded", &degraded),
        ("down", &down),
        ("no data", &dark),
    ] {
        if !list.is_empty() {
            parts.push(format!("{} {word}", list.join(", ")));
        }
    }
    let found = format!("Routed to {}.", parts.join("; "));
    let answer = match (healthy.len(), degraded.len() + down.len(), dark.len()) {
        (_, 0, 0) => Answer::Fine,
        (0, 0, _) => Answer::Unknown,
        _ => Answer::Doubt,
    };
    Check::new(what, answer, found, remedy)
}

/// Whether an address is the far end of a tunnel's inner network.
fn leads_to(tunnel: &Tunnel, hop: IpAddr) -> bool {
    let inner = [&tunnel.interface_address, &tunnel.interface_address6];
    inner.into_iter().flatten().any(|text| {
        let network: Option<Prefix> = text.parse().ok();
        network.is_some_and(|network| network.contains_addr(hop))
    })
}
