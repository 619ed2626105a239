//! Bodies of Cloudflare's alerts, one layout per kind. The title already says what and where.

use std::time::Duration;

use domain::alert::{Alert, AlertKind, Phase};
use domain::duration::human;
use domain::prefix::Prefix;
use domain::time::since;
use domain::units::{BitsPerSecond, PacketsPerSecond};
use jiff::Timestamp;

use super::details::{Details, word};
use super::{limit, long_text, minutes};
use crate::context::Context;
use crate::document::{Document, Line};
use crate::links::Links;
use crate::words::Words;

/// Prefixes and results listed; more are counted.
const MOST_LISTED: usize = 12;

/// Longest identifier shown.
const ID: usize = 64;

/// Dispatch and reception further apart than this are worth a line.
const LATE_DELIVERY: Duration = Duration::from_secs(120);

pub(super) fn body(
    document: &mut Document,
    alert: &Alert,
    prefixes: &[Prefix],
    unresolved: bool,
    context: &Context,
    links: &Links,
    now: Timestamp,
) {
    let mut details = Details::of(alert);
    // Shown in every title or useless at night.
    details.take(&["severity"]);
    details.take(&["dashboard_link"]);
    match &alert.kind {
        kind if kind.is_attack() => attack(document, alert, prefixes, context, &mut details),
        AlertKind::AutoAdvertisement => auto_advertisement(document, alert),
        AlertKind::TunnelHealth => tunnel(document, &mut details),
        AlertKind::ProviderIncident => provider_incident(document, &mut details),
        AlertKind::HealthCheck => health_check(document, &mut details),
        AlertKind::BgpHijack => hijack(document, &mut details),
        AlertKind::Maintenance => maintenance(document, &mut details),
        _ => document.maybe("Policy", Words::present(alert.policy_name.as_deref(), limit::NAME)),
    }
    if unresolved && !alert.is_test && alert.kind.vetoes_withdrawal() && alert.phase != Phase::End {
        document.push(
            Line::new()
                .bold("Not tied to a prefix of ours.")
                .text(" While it is open it blocks every automatic withdrawal."),
        );
    }
    times(document, alert);
    details.list_rest(document);
    free_text(document, alert);
    link_as_text(document, alert, links);
    for problem in alert.problems.iter().take(MOST_LISTED) {
        document.push(Line::from("Could not be read: ").code(Words::outside(problem, limit::VALUE)));
    }
    // What stands open since then is in the section below; here only how long the whole thing took.
    if alert.phase == Phase::End
        && let Some(incident) = &context.incident
    {
        let lasted = since(alert.at().min(now), incident.began_at);
        document.push(format!("Lasted {}", minutes(lasted)));
    }
}

fn attack(document: &mut Document, alert: &Alert, prefixes: &[Prefix], context: &Context, details: &mut Details<'_>) {
    if prefixes.len() > 3 {
        listed(document, "Prefixes", prefixes);
    }
    let mut target = Line::new();
    if !alert.targets.is_empty() {
        target = target.codes(alert.targets.iter().take(MOST_LISTED).copied().map(host));
    }
    if let Some(host) = Words::present(alert.hostname.as_deref(), limit::NAME) {
        target = if target.is_blank() { target } else { target.text(", ") };
        target = target.code(host);
    }
    if let Some(port) = alert.target_port {
        target = apart(target).text(format!("port {port}"));
    }
    if let Some(protocol) = Words::present(alert.protocol.as_deref(), limit::NAME) {
        target = apart(target).code(protocol);
    }
    if !target.is_blank() {
        document.entry("Target", target);
    }
    let rate = rates(alert);
    if !rate.is_empty() {
        document.push(Line::from("Rate: ").bold(rate.join(" · ")));
    }
    if let Some(peak) = peak(alert, context) {
        document.field("Peak so far", peak);
    }
    document.maybe("Action", Words::present(alert.action.as_deref(), limit::NAME));
    document.maybe("Rule", rule(alert));
    document.maybe("Threshold", details.words(&["rule_threshold"]));
    document.maybe("Over", details.words(&["rule_duration"]));
    document.maybe("Sensitivity", details.words(&["rule_zscore_sensitivity"]));
    document.maybe("Highest rate", details.words(&["max_rate"]));
    for result in alert.advertise.iter().take(MOST_LISTED) {
        document.push(advertise_line(result));
    }
    document.maybe("Attack", Words::present(alert.attack_id.as_deref(), ID));
}

fn apart(line: Line) -> Line {
    if line.is_blank() { line } else { line.text(" ") }
}

/// A single address without its length, a network with it.
fn host(prefix: Prefix) -> Words {
    let net = prefix.net();
    if net.prefix_len() == net.max_prefix_len() {
        Words::from(net.addr().to_string())
    } else {
        Words::from(prefix)
    }
}

fn rates(alert: &Alert) -> Vec<String> {
    let real = |rate: Option<f64>| rate.filter(|rate| rate.is_finite() && *rate > 0.0);
    let mut shown = Vec::new();
    shown.extend(real(alert.packets_per_second).map(|rate| PacketsPerSecond(rate).to_string()));
    shown.extend(real(alert.bits_per_second).map(|rate| BitsPerSecond(rate).to_string()));
    shown.extend(real(alert.requests_per_second).map(|rate| format!("{rate:.0} requests/s")));
    shown
}

/// The incident's peak, where it is more than what this alert says.
fn peak(alert: &Alert, context: &Context) -> Option<String> {
    let incident = context.incident.as_ref()?;
    let above =
        |peak: Option<f64>, here: Option<f64>| peak.filter(|peak| peak.is_finite() && *peak > here.unwrap_or(0.0));
    let mut shown = Vec::new();
    shown.extend(above(incident.peak_pps, alert.packets_per_second).map(|rate| PacketsPerSecond(rate).to_string()));
    shown.extend(above(incident.peak_bps, alert.bits_per_second).map(|rate| BitsPerSecond(rate).to_string()));
    (!shown.is_empty()).then(|| shown.join(" · "))
}

fn rule(alert: &Alert) -> Option<Words> {
    Words::present(alert.rule_name.as_deref(), limit::NAME)
        .or_else(|| Words::present(alert.rule_id.as_deref(), ID))
        .or_else(|| Words::present(alert.policy_name.as_deref(), limit::NAME))
}

fn listed(document: &mut Document, label: &'static str, prefixes: &[Prefix]) {
    let line = Line::new().codes(prefixes.iter().take(MOST_LISTED).copied());
    let more = prefixes.len().saturating_sub(MOST_LISTED);
    document.entry(
        label,
        if more > 0 {
            line.text(format!(" and {more} more"))
        } else {
            line
        },
    );
}

fn advertise_line(result: &domain::alert::AdvertiseResult) -> Line {
    let words = Words::outside(result.status.words(), limit::NAME);
    let line = Line::from("Cloudflare reports ")
        .code(Words::outside(&result.written, limit::NAME))
        .text(": ");
    if result.status.needs_a_person() {
        line.bold(words)
    } else {
        line.text(words)
    }
}

fn auto_advertisement(document: &mut Document, alert: &Alert) {
    for result in alert.advertise.iter().take(MOST_LISTED) {
        document.push(advertise_line(result));
    }
    if alert.advertise.len() > MOST_LISTED {
        document.push(format!("and {} more in the log", alert.advertise.len() - MOST_LISTED));
    }
    for failed in alert
        .advertise
        .iter()
        .filter(|result| result.status.needs_a_person())
        .filter_map(|r| r.prefix)
        .take(3)
    {
        document.push(
            Line::new()
                .bold("Act now: ")
                .text("Cloudflare will not try again. ")
                .code(format!("cloudflare-prefix-manager advertise {failed}")),
        );
    }
    document.maybe("Rule", rule(alert));
    document.maybe("Attack type", Words::present(alert.vector.as_deref(), limit::NAME));
}

fn tunnel(document: &mut Document, details: &mut Details<'_>) {
    details.take(&["tunnel_name"]);
    let status = details.take(&["new_status", "tunnel_status", "status"]);
    if let Some(before) = details.take(&["previous_status"]) {
        let mut line = Line::new().code(Words::outside(&word(before, "MAGIC_TUNNEL_STATUS_"), limit::NAME));
        if let Some(status) = status {
            line = line
                .text(" → ")
                .code(Words::outside(&word(status, "MAGIC_TUNNEL_STATUS_"), limit::NAME));
        }
        document.entry("Health", line);
    }
    document.maybe("Site", details.words(&["mwan_site_name"]));
    document.maybe("Locations", details.words(&["pop_names"]));
    let (target, measured) = (details.words(&["slo"]), details.words(&["observed_slo"]));
    if let Some(measured) = measured {
        let line = Line::new().code(measured).text(" %");
        document.entry(
            "Healthy checks",
            match target {
                Some(target) => line.text(" of ").code(target).text(" % wanted"),
                None => line,
            },
        );
    } else {
        document.maybe("Wanted, % of checks", target);
    }
    document.maybe("When", details.time(&["event_ts"]));
    document.maybe("Tunnel id", details.words(&["tunnel_id"]));
}

fn provider_incident(document: &mut Document, details: &mut Details<'_>) {
    details.take(&["incident_name", "name"]);
    details.take(&["incident_status", "status"]);
    if let Some(impact) = details.take(&["incident_impact"]) {
        document.field("Impact", Words::outside(&word(impact, "INCIDENT_IMPACT_"), limit::NAME));
    }
    document.maybe("Parts", details.words(&["affected_components"]));
    document.maybe("Created", details.time(&["incident_created_at", "created_at"]));
    let id = details.words(&["incident_id", "id"]);
    if let Some(message) = details.take(&["message"]) {
        long_text(document, message);
    }
    document.maybe("Cloudflare's number", id);
}

fn health_check(document: &mut Document, details: &mut Details<'_>) {
    details.take(&["health_check_name", "name"]);
    details.take(&["new_health_status", "new_status", "status"]);
    document.maybe("Before", details.words(&["old_status"]));
    document.maybe("Reason", details.words(&["reason"]));
    let (expected, received) = (details.words(&["expected_codes"]), details.words(&["actual_code"]));
    if let Some(received) = received {
        let line = Line::new().code(received);
        document.entry(
            "Answer",
            match expected {
                Some(expected) => line.text(", expected ").code(expected),
                None => line,
            },
        );
    } else {
        document.maybe("Expected", expected);
    }
    document.maybe("Origin", details.words(&["origin_ip"]));
    document.maybe("Failing from", details.words(&["failing_regions"]));
    document.maybe("Zone", details.words(&["zone_name"]));
    document.maybe("When", details.time(&["status_change_time", "time"]));
    document.maybe("Check id", details.words(&["health_check_id"]));
}

fn hijack(document: &mut Document, details: &mut Details<'_>) {
    document.maybe("Hijacked", details.words(&["prefix_hijacked"]));
    document.maybe("Ours", details.words(&["prefix_configured"]));
    document.maybe("Announced by AS", details.words(&["hijack_as"]));
    document.maybe("ASNs seen", details.words(&["ASNs_seen"]));
    document.maybe("Detected", details.time(&["alert_start_time"]));
    document.maybe("Title", details.words(&["alert_title"]));
    document.maybe("More", details.words(&["additional_info"]));
    document.push(
        Line::new().bold("What it means: ").text("somebody else announces this network; traffic may not reach you or Cloudflare. Ask that AS or its upstreams to stop."),
    );
}

fn maintenance(document: &mut Document, details: &mut Details<'_>) {
    details.take(&["airport_code", "cni_id"]);
    details.take(&["event_type"]);
    document.maybe("From", details.time(&["scheduled_start"]));
    document.maybe("To", details.time(&["scheduled_end"]));
    document.maybe("Number", details.words(&["maintenance_id"]));
}

fn times(document: &mut Document, alert: &Alert) {
    let label = match alert.phase {
        Phase::End => "Ended",
        Phase::Update => "Reported",
        Phase::Start => "Began",
    };
    match (&alert.phase, alert.started_at) {
        (Phase::Start, Some(started)) => document.field("Began", started),
        (_, Some(started)) => {
            document.field("Began", started);
            document.field(label, alert.at());
        }
        (Phase::Start, None) => document.field("Reported", alert.at()),
        (_, None) => document.field(label, alert.at()),
    }
    if let Some(sent) = alert.sent_at {
        let late = since(alert.received_at, sent);
        if late > LATE_DELIVERY {
            document.push(format!(
                "Received {} after Cloudflare sent it",
                human(Duration::from_secs(late.as_secs()))
            ));
        }
    }
}

/// Cloudflare's sentence: whole where we have no layout, short where the fields say it better, left out where they do.
fn free_text(document: &mut Document, alert: &Alert) {
    let Some(text) = &alert.text else { return };
    let spoken_for = alert.kind.is_attack() && (alert.vector.is_some() || !rates(alert).is_empty());
    if spoken_for {
        return;
    }
    document.gap();
    long_text(document, text);
}

/// A link that may not be clickable is still shown.
fn link_as_text(document: &mut Document, alert: &Alert, links: &Links) {
    if let Some(link) = &alert.link
        && links.allow(link).is_none()
    {
        document.maybe("Link", Words::present(Some(link), limit::VALUE));
    }
}

/// The status page of a provider incident.
pub(super) fn status_page(alert: &Alert, links: &Links) -> Option<String> {
    if alert.kind != AlertKind::ProviderIncident {
        return None;
    }
    Details::of(alert)
        .take(&["incident_id", "id"])
        .and_then(|id| links.provider_incident(id.trim()))
}
