//! Network monitoring rules for programs: the list with the predecessor's keys and what the rules leave open; create, edit,
//! delete.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use cf_api::rest::mnm::MnmRule;
use cf_api::rest::mnm_changes::MnmFields;
use db::users::Role;
use domain::prefix::Prefix;
use jiff::Timestamp;
use rules::mnm::{Gap, gaps};
use serde::Serialize;
#[cfg(test)]
use serde_json::Value;

use super::reason;
use crate::answer::Failure;
use crate::app::App;
use crate::asking::{Asking, done};
use crate::desk::at_desk;
use crate::monitoring::traffic::{self, DroppedOfRule};
use crate::monitoring::{self, Wanted};
use crate::words;

/// A rule.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct MonitoringRuleRow {
    id: Option<String>,
    name: String,
    prefixes: Vec<String>,
    /// threshold, zscore, advanced_ddos, or what else Cloudflare says
    r#type: String,
    automatic_advertisement: Option<bool>,
    /// bit/s
    bandwidth_threshold: Option<f64>,
    /// packet/s
    packet_threshold: Option<f64>,
    duration_s: Option<u64>,
    prefix_match: Option<String>,
    zscore_sensitivity: Option<String>,
    zscore_target: Option<String>,
    /// What was dropped of its prefixes, beside its thresholds
    dropped: DroppedOfRule,
    /// Names this state; a change repeats it
    seen: String,
}

impl MonitoringRuleRow {
    fn of(rule: &MnmRule, dropped: DroppedOfRule) -> Self {
        Self {
            id: rule.id.clone(),
            name: rule.name.clone(),
            prefixes: rule.prefixes.iter().map(ToString::to_string).collect(),
            r#type: rule.kind.clone().unwrap_or_else(|| "threshold".to_owned()),
            automatic_advertisement: rule.automatic_advertisement,
            bandwidth_threshold: rule.bandwidth_threshold_bps,
            packet_threshold: rule.packet_threshold_pps,
            duration_s: rule.duration.map(|duration| duration.as_secs()),
            prefix_match: rule.prefix_match.clone(),
            zscore_sensitivity: rule.zscore_sensitivity.clone(),
            zscore_target: rule.zscore_target.clone(),
            seen: monitoring::seen(rule),
            dropped,
        }
    }
}

/// The rules.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct MonitoringRules {
    success: bool,
    /// null when they could never be read
    total: Option<usize>,
    /// By type; every rule is in exactly one list
    #[cfg_attr(test, schema(value_type = Option<BTreeMap<String, Vec<MonitoringRuleRow>>>))]
    rules: Option<BTreeMap<String, Vec<MonitoringRuleRow>>>,
    /// What they leave open, in words; null when not known
    gaps: Option<Vec<String>>,
    read_at: Option<Timestamp>,
    /// Why the latest read failed
    error: Option<String>,
}

/// Prefixes of the inventory that can be advertised on demand.
///
/// # Errors
/// Those of the database.
pub(crate) async fn own_prefixes(app: &App) -> Result<Vec<Prefix>, Failure> {
    let overview = crate::pages::main::situation(app).await?;
    let views = overview
        .prefixes
        .iter()
        .filter(|view| view.on_demand_enabled != Some(false));
    Ok(views.map(|view| view.prefix).collect())
}

/// What the rules leave open for these prefixes.
pub(crate) fn open_gaps(prefixes: &[Prefix], rules: &[MnmRule]) -> Vec<Gap> {
    gaps(prefixes, rules)
}

/// Network monitoring rules, and what they leave open
#[cfg_attr(test, utoipa::path(
    get, path = "/api/mnm-rules", operation_id = "list_monitoring_rules", tag = "rules",
    responses((status = 200, body = MonitoringRules), crate::api::document::Failures)
))]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<MonitoringRules>, Failure> {
    listed(&app).await
}

/// The same under its other address
#[cfg_attr(test, utoipa::path(
    get, path = "/api/rules", operation_id = "list_rules", tag = "rules",
    responses((status = 200, body = MonitoringRules), crate::api::document::Failures)
))]
pub(crate) async fn list_again(State(app): State<App>) -> Result<Json<MonitoringRules>, Failure> {
    listed(&app).await
}

async fn listed(app: &App) -> Result<Json<MonitoringRules>, Failure> {
    let (prefixes, read) = (own_prefixes(app).await?, app.upstream().rules(app).await);
    let known = read.value.as_deref().cloned();
    let measured = traffic::measured(app, known.unwrap_or_default()).await?;
    let sorted = read.value.is_some().then(|| {
        let mut all: BTreeMap<String, Vec<MonitoringRuleRow>> = ["threshold", "zscore", "advanced_ddos"]
            .map(|kind| (kind.to_owned(), Vec::new()))
            .into();
        for (rule, dropped) in measured {
            let row = MonitoringRuleRow::of(&rule, dropped);
            all.entry(row.r#type.clone()).or_default().push(row);
        }
        all
    });
    Ok(Json(MonitoringRules {
        success: true,
        total: read.value.as_ref().map(|rules| rules.len()),
        rules: sorted,
        gaps: read
            .current()
            .map(|rules| open_gaps(&prefixes, rules).iter().map(Gap::words).collect()),
        read_at: read.read_at,
        error: read.trouble(),
    }))
}

/// A rule to be made or changed; for a change, what is absent stays.
#[cfg(test)]
#[derive(utoipa::ToSchema)]
#[allow(dead_code)]
pub(crate) struct MonitoringRuleWanted {
    /// A conforming one is made when it is empty
    name: Option<String>,
    /// bps, pps, zscore or advanced_ddos
    r#type: Option<String>,
    prefixes: Option<Vec<String>>,
    automatic_advertisement: Option<bool>,
    /// bit/s, or a text with its unit
    bandwidth_threshold: Option<Value>,
    /// packet/s, or a text with its unit
    packet_threshold: Option<Value>,
    /// Minutes: 1, 5, 10, 15, 20, 30, 45 or 60
    duration: Option<u64>,
    /// exact, subnet, supernet
    prefix_match: Option<String>,
    /// low, medium, high
    zscore_sensitivity: Option<String>,
    /// bits, packets
    zscore_target: Option<String>,
    /// As the list gave it; not for a new rule
    seen: Option<String>,
    /// The name, for a deletion
    confirm: Option<String>,
    reason: String,
}

/// Makes a rule
///
/// Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/mnm-rules", operation_id = "create_monitoring_rule", tag = "rules",
    request_body = MonitoringRuleWanted,
    responses((status = 200, body = crate::api::document::ChangeDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn create(asking: Asking<Wanted>) -> Result<Response, Failure> {
    done(save(&asking, None).await?)
}

/// Changes a rule
///
/// Only what differs is sent. Refused when it is not as `seen` says. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/mnm-rules/{id}", operation_id = "edit_monitoring_rule", tag = "rules",
    params(("id" = String, Path, description = "Of the rule", example = "c0000000000000000000000000000001")),
    request_body = MonitoringRuleWanted,
    responses((status = 200, body = crate::api::document::ChangeDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn edit(Path(id): Path<String>, asking: Asking<Wanted>) -> Result<Response, Failure> {
    done(save(&asking, Some(&id)).await?)
}

/// Deletes a rule
///
/// `confirm` repeats its name. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/mnm-rules/{id}", operation_id = "delete_monitoring_rule", tag = "rules",
    params(("id" = String, Path, description = "Of the rule", example = "c0000000000000000000000000000001")),
    request_body = MonitoringRuleWanted,
    responses((status = 200, body = crate::api::document::ChangeDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn delete(Path(id): Path<String>, asking: Asking<Wanted>) -> Result<Response, Failure> {
    done(remove(&asking, &id).await?)
}

/// The rule with this id as it was last read.
///
/// # Errors
/// 404 when it is not there, 503 when that is not known.
pub(crate) async fn find(app: &App, id: &str) -> Result<MnmRule, Failure> {
    find_in(app, id, false).await
}

/// The same, also when the latest read failed: for showing a form again, never for sending.
///
/// # Errors
/// As [`find`].
pub(crate) async fn find_known(app: &App, id: &str) -> Result<MnmRule, Failure> {
    find_in(app, id, true).await
}

async fn find_in(app: &App, id: &str, also_old: bool) -> Result<MnmRule, Failure> {
    let read = app.upstream().rules(app).await;
    let known = read.value.as_deref().filter(|_| also_old);
    let rules = read.current().or(known).ok_or_else(|| {
        let text = format!(
            "The rules cannot be read: {}. Nothing was sent.",
            read.trouble().unwrap_or_default()
        );
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "cloudflare_unreadable", text)
    })?;
    let found = rules.iter().find(|rule| rule.id.as_deref() == Some(id)).cloned();
    found.ok_or_else(|| Failure::not_found("There is no such rule."))
}

/// The rule that a form or program is about, if it is still what they saw.
async fn found(app: &App, id: &str, wanted: &Wanted) -> Result<(MnmRule, MnmFields), Failure> {
    let rule = find(app, id).await?;
    if wanted.seen != monitoring::seen(&rule) {
        let text = "Somebody changed this rule since you opened it; look at it again. Nothing was sent.";
        return Err(Failure::new(StatusCode::CONFLICT, "changed_meanwhile", text));
    }
    let fields = MnmFields::of(&rule).map_err(|why| {
        let text = words::outside(&format!(
            "This rule cannot be edited here without losing something: {why}."
        ));
        Failure::new(StatusCode::CONFLICT, "not_editable", text)
    })?;
    Ok((rule, fields))
}

/// All problems as one sentence each.
pub(crate) fn problems(wrong: &[(&'static str, String)]) -> Failure {
    let parts = wrong
        .iter()
        .map(|(field, why)| format!("{}: {why}.", words::sentence(&field.replace('_', " "))));
    let text = format!("{} Nothing was sent.", parts.collect::<Vec<_>>().join(" "));
    Failure::bad_request("invalid_value", words::outside_up_to(&text, 600))
}

/// Makes or changes a rule.
///
/// # Errors
/// 400 for what cannot be meant, 409 when it is not what the person saw or Cloudflare declines, 503 when it cannot be read
/// or the outcome is not known.
pub(crate) async fn save(asking: &Asking<Wanted>, id: Option<&str>) -> Result<String, Failure> {
    let (app, wanted) = (&asking.app, &asking.fields);
    asking.member.needs(Role::Operator)?;
    let why = reason::of(wanted.reason.as_deref())?;
    let Some(id) = id else {
        let fields = wanted.fields(None).map_err(|wrong| problems(&wrong))?;
        let name = fields.name.clone();
        at_desk(
            asking,
            why,
            |desk, by| async move { desk.create_mnm(&by, &fields).await },
        )
        .await?;
        return Ok(format!("The rule {name} is made."));
    };
    let (rule, before) = found(app, id, wanted).await?;
    let fields = wanted.fields(Some(&before)).map_err(|wrong| problems(&wrong))?;
    if fields == before {
        return Err(Failure::bad_request(
            "nothing_differs",
            "Nothing differs from what is there.",
        ));
    }
    let name = fields.name.clone();
    at_desk(asking, why, |desk, by| async move {
        desk.edit_mnm(&by, &rule, &fields).await
    })
    .await?;
    Ok(format!("The rule {} is changed.", words::outside_up_to(&name, 60)))
}

/// Deletes a rule whose name was typed.
///
/// # Errors
/// As [`save`].
pub(crate) async fn remove(asking: &Asking<Wanted>, id: &str) -> Result<String, Failure> {
    let (app, wanted) = (&asking.app, &asking.fields);
    asking.member.needs(Role::Operator)?;
    let why = reason::of(wanted.reason.as_deref())?;
    let (rule, _) = found(app, id, wanted).await?;
    let name = words::outside_up_to(&rule.name, 60);
    if wanted.confirm.as_deref().map(str::trim) != Some(rule.name.as_str()) {
        let text = format!("Type {name} to delete it: nothing watches its prefixes then. Nothing was sent.");
        return Err(Failure::bad_request("confirmation_required", text));
    }
    at_desk(asking, why, |desk, by| async move { desk.delete_mnm(&by, &rule).await }).await?;
    Ok(format!("The rule {name} is deleted."))
}
