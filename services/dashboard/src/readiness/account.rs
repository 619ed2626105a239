//! What concerns every prefix: credential, notifications, the receiver, the people, the budget of calls.

use std::time::Duration;

use cf_api::ErrorClass;
use domain::time::since;

use super::{Answer, Check, Facts};
use crate::overview::sign::Life;
use crate::overview::state::Tone;
use crate::words;

/// A token that ends sooner is to be renewed now.
const RENEW_BEFORE: Duration = Duration::from_secs(14 * 86_400);

/// Notifications that begin or accompany a diversion. Source: Cloudflare's alert types.
const WANTED: [(&str, &str); 4] = [
    ("advanced_ddos_attack_l4_alert", "attacks on network layer"),
    ("fbm_dosd_attack", "attacks seen by network monitoring"),
    ("fbm_volumetric_attack", "exceeded thresholds"),
    ("fbm_auto_advertisement", "automatic advertisements"),
];

/// The service that receives notifications.
const RECEIVER: &str = "cloudflare-webhook";

pub(super) fn checks(facts: &Facts<'_>) -> Vec<Check> {
    vec![
        credential(facts),
        permissions(facts),
        notifications(facts),
        receiver(facts),
        people(facts),
        budget(facts),
    ]
}

fn credential(facts: &Facts<'_>) -> Check {
    const WHAT: &str = "credential";
    let renew = "Make a new token at Cloudflare and put it into cloudflare.api_token.";
    let cloudflare = &facts.settings.cloudflare;
    if cloudflare.api_token.is_none() {
        return match cloudflare.global_key {
            Some(_) => Check::new(
                WHAT,
                Answer::Doubt,
                "A global API key is used: it works, may do everything, and does not say until when.",
                "Use an API token with the permissions of docs/10.",
            ),
            None => Check::new(
                WHAT,
                Answer::Stops,
                "There is no credential for Cloudflare: its own rules advertise, but nothing can be advertised or withdrawn from here.",
                "Set cloudflare.api_token in settings.json.",
            ),
        };
    }
    let Some(token) = facts.token.current() else {
        let why = facts.token.trouble().unwrap_or_default();
        let answer = match facts.token.class {
            Some(ErrorClass::Auth) => Answer::Stops,
            _ => Answer::Unknown,
        };
        return Check::new(WHAT, answer, format!("The token cannot be checked: {why}."), renew);
    };
    if !token.is_active() {
        let found = format!("The token is {}.", words::outside_up_to(&token.status, 20));
        return Check::new(WHAT, Answer::Stops, found, renew);
    }
    match token.expires_on {
        Some(ends) if ends <= facts.now => Check::new(WHAT, Answer::Stops, "The token has expired.", renew),
        Some(ends) if since(ends, facts.now) < RENEW_BEFORE => {
            let found = format!("The token is active and expires {}.", words::stamp(ends));
            Check::new(WHAT, Answer::Doubt, found, renew)
        }
        Some(ends) => Check::new(
            WHAT,
            Answer::Fine,
            format!("The token is active until {}.", words::stamp(ends)),
            "",
        ),
        None => Check::new(WHAT, Answer::Fine, "The token is active and has no end.", ""),
    }
}

/// What a token may do can only be seen by using it.
fn permissions(facts: &Facts<'_>) -> Check {
    const WHAT: &str = "permissions";
    let tunnels = facts
        .tunnels
        .iter()
        .map(|reading| ("Magic Transit Read", reading.class));
    let others = [
        ("Magic Transit Read", facts.routes.class),
        ("Account Analytics Read", facts.health.class),
        ("Notifications Read", facts.policies.class),
    ];
    let mut missing: Vec<&str> = tunnels
        .chain(others)
        .filter(|(_, class)| *class == Some(ErrorClass::Permission))
        .map(|(name, _)| name)
        .collect();
    missing.dedup();
    if missing.is_empty() {
        let found = "No read was refused. What the token may change is seen only when it changes something.";
        return Check::new(WHAT, Answer::Fine, found, "");
    }
    let found = format!("Cloudflare refuses reads: the token lacks {}.", missing.join(", "));
    Check::new(
        WHAT,
        Answer::Doubt,
        found,
        "Add the permissions to the token; cloudflare-mt doctor names them all.",
    )
}

fn notifications(facts: &Facts<'_>) -> Check {
    const WHAT: &str = "notifications";
    let remedy = "cloudflare-mt setup notifications makes the missing policies.";
    let Some(policies) = facts.policies.current() else {
        let why = facts.policies.trouble().unwrap_or_default();
        let found = format!("Cloudflare's notification policies cannot be read: {why}.");
        return Check::new(WHAT, Answer::Unknown, found, "Give the token Notifications Read.");
    };
    let reaches = |kind: &str| {
        let sent = |policy: &&cf_api::rest::alerting::AlertPolicy| {
            policy.enabled && policy.alert_type == kind && !policy.webhooks.is_empty()
        };
        policies
            .iter()
            .filter(sent)
            .map(|policy| policy.filters.is_empty())
            .max()
    };
    let missing: Vec<&str> = WANTED
        .iter()
        .filter(|(kind, _)| reaches(kind).is_none())
        .map(|(_, name)| *name)
        .collect();
    if !missing.is_empty() {
        let found = format!("No enabled policy posts to a webhook about {}.", missing.join(", "));
        return Check::new(WHAT, Answer::Doubt, found, remedy);
    }
    let limited: Vec<&str> = WANTED
        .iter()
        .filter(|(kind, _)| reaches(kind) == Some(false))
        .map(|(_, name)| *name)
        .collect();
    if limited.is_empty() {
        return Check::new(
            WHAT,
            Answer::Fine,
            "Every kind that matters is posted to a webhook.",
            "",
        );
    }
    let found = format!("The policies about {} are limited by filters.", limited.join(", "));
    Check::new(
        WHAT,
        Answer::Doubt,
        found,
        "See at Cloudflare that the filters let your prefixes through.",
    )
}

fn receiver(facts: &Facts<'_>) -> Check {
    const WHAT: &str = "receiver";
    let found = facts.overview.services.iter().find(|service| service.name == RECEIVER);
    let remedy = "See systemctl status cloudflare-webhook.";
    let Some(service) = found else {
        return Check::new(WHAT, Answer::Unknown, "The receiver was never seen.", remedy);
    };
    match service.life {
        Life::Running => {
            let last = match facts.overview.last_delivery_at {
                Some(at) => format!("The last notification came {} ago.", words::age_at(at, facts.now)),
                None => "No notification ever came: the way from Cloudflare is not proven.".to_owned(),
            };
            let answer = if facts.overview.last_delivery_at.is_some() {
                Answer::Fine
            } else {
                Answer::Doubt
            };
            Check::new(
                WHAT,
                answer,
                format!("It runs. {last}"),
                "Send a test from the destination at Cloudflare's dashboard.",
            )
        }
        life if life.is_there() => Check::new(WHAT, Answer::Doubt, format!("It is {}.", life.word()), remedy),
        life => Check::new(
            WHAT,
            Answer::Doubt,
            format!("It is {}: nobody would be told.", life.word()),
            remedy,
        ),
    }
}

fn people(facts: &Facts<'_>) -> Check {
    const WHAT: &str = "people";
    let remedy = "Send a test message from the settings page and see that it arrives.";
    let Some(messages) = &facts.overview.messages else {
        return Check::new(
            WHAT,
            Answer::Unknown,
            "The outbox cannot be read.",
            "See cloudflare-mt db check.",
        );
    };
    let answer = match messages.tone {
        Tone::Good => Answer::Fine,
        Tone::Unknown => Answer::Unknown,
        _ => Answer::Doubt,
    };
    Check::new(WHAT, answer, messages.detail.clone(), remedy)
}

fn budget(facts: &Facts<'_>) -> Check {
    const WHAT: &str = "budget of calls";
    let quotas = &facts.overview.quotas;
    if quotas.is_empty() {
        return Check::new(
            WHAT,
            Answer::Unknown,
            "The calls to Cloudflare cannot be counted.",
            "See cloudflare-mt db check.",
        );
    }
    let numbers: Vec<String> = quotas
        .iter()
        .map(|quota| format!("{} {} of {}", quota.name, quota.used, quota.of))
        .collect();
    let found = format!("In five minutes: {}.", numbers.join(", "));
    if let Some(until) = quotas.iter().filter_map(|quota| quota.locked_until).max() {
        let found = format!(
            "Cloudflare refuses calls until {}. {found}",
            words::said(until, facts.now)
        );
        return Check::new(WHAT, Answer::Doubt, found, "Find what else uses this account's API.");
    }
    let high = quotas.iter().any(|quota| quota.tone != Tone::Good);
    let answer = if high { Answer::Doubt } else { Answer::Fine };
    Check::new(WHAT, answer, found, "Find what else uses this account's API.")
}
