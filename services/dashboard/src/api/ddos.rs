//! The network-layer DDoS rules and their overrides for programs, with the predecessor's keys, and what is in force per scope.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use cf_api::rest::rulesets::{EntryPoint, Rule};
use jiff::Timestamp;
use rules::effective::{Scope, scopes};
use rules::expression::{Expression, concerns};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::Failure;
use crate::app::App;
use crate::asking::{Asking, done};
use crate::overrides::setting::{self, Subject, Wanted as Setting};
use crate::protection::{self, Protection, version};
use crate::submission::Submission;

/// A managed rule as Cloudflare gives it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct DdosRuleRow {
    id: String,
    /// Short name
    r#ref: Option<String>,
    description: Option<String>,
    /// Cloudflare's own
    default_action: Option<String>,
    enabled: bool,
    categories: Vec<String>,
    /// To which it can be set
    allowed_actions: Vec<String>,
    is_editable: bool,
}

impl DdosRuleRow {
    fn of(rule: &Rule) -> Self {
        Self {
            id: rule.id.clone(),
            r#ref: rule.reference.clone(),
            description: rule.description.clone(),
            default_action: rule.action.clone(),
            enabled: rule.is_enabled(),
            categories: rule.categories.clone(),
            allowed_actions: rule.allowed_override_actions.clone(),
            is_editable: !rule.categories.iter().any(|category| category == "read-only"),
        }
    }
}

/// The rules and what is in force.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct DdosRules {
    success: bool,
    ruleset_name: Option<String>,
    /// null when they could never be read
    rules: Option<Vec<DdosRuleRow>>,
    total_rules: Option<usize>,
    /// What is in force per scope, the overrides in their order, Cloudflare's defaults last; null when not known
    #[cfg_attr(test, schema(value_type = Option<Vec<Value>>))]
    scopes: Option<Vec<Scope>>,
    /// A change repeats it as `seen`; `none` when there is no override
    version: Option<String>,
    last_updated: Option<String>,
    read_at: Option<Timestamp>,
    /// What could not be read, with why
    #[cfg_attr(test, schema(value_type = Value))]
    errors: BTreeMap<&'static str, String>,
}

/// Managed rules with what is in force in every scope
#[cfg_attr(test, utoipa::path(
    get, path = "/api/ddos-rules", operation_id = "list_ddos_rules", tag = "rules",
    responses((status = 200, body = DdosRules), crate::api::document::Failures)
))]
pub(crate) async fn list(State(app): State<App>) -> Json<DdosRules> {
    let (managed, point) = tokio::join!(app.upstream().managed(&app), app.upstream().overrides(&app));
    let both = managed.current().zip(point.current());
    let errors = [("rules", managed.trouble()), ("overrides", point.trouble())];
    let value = managed.value.as_deref();
    Json(DdosRules {
        success: true,
        ruleset_name: value.map(|ruleset| ruleset.summary.name.clone()),
        total_rules: value.map(|ruleset| ruleset.rules.len()),
        rules: value.map(|ruleset| ruleset.rules.iter().map(DdosRuleRow::of).collect()),
        scopes: both.map(|(managed, point)| scopes(managed, point.rules())),
        version: point.value.as_deref().map(version),
        last_updated: value.and_then(|ruleset| ruleset.summary.last_updated.clone()),
        read_at: managed.read_at.min(point.read_at),
        errors: errors
            .into_iter()
            .filter_map(|(name, trouble)| Some((name, trouble?)))
            .collect(),
    })
}

/// An override.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct OverrideRow {
    id: String,
    /// From 1, among all
    position: usize,
    description: String,
    expression: String,
    enabled: bool,
    /// As Cloudflare gave it
    overrides: Value,
    version: Option<String>,
    /// Until when it is meant to stand; null without end
    expires_at: Option<Timestamp>,
    /// Why it has no effect, in words: switched off, never reached, of another ruleset
    muted: Option<String>,
}

/// The overrides in their order.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct DdosOverrides {
    success: bool,
    /// All of them, also the one for everything; null when they could never be read
    overrides: Option<Vec<OverrideRow>>,
    total: Option<usize>,
    version: Option<String>,
    read_at: Option<Timestamp>,
    error: Option<String>,
}

/// Overrides in the order in which they are tried
#[cfg_attr(test, utoipa::path(
    get, path = "/api/ddos-overrides", operation_id = "list_ddos_overrides", tag = "rules",
    responses((status = 200, body = DdosOverrides), crate::api::document::Failures)
))]
pub(crate) async fn overrides(State(app): State<App>) -> Result<Json<DdosOverrides>, Failure> {
    let (read, managed) = tokio::join!(app.upstream().overrides(&app), app.upstream().managed(&app));
    let ends = protection::ends(&app).await?;
    let rows = read.value.as_deref().map(|point: &EntryPoint| {
        let scopes = managed.value.as_deref().map(|managed| scopes(managed, point.rules()));
        let scopes = scopes.unwrap_or_default();
        let rows = point.rules().iter().enumerate().map(|(number, rule)| OverrideRow {
            id: rule.id.clone(),
            position: number + 1,
            description: rule.description.clone().unwrap_or_default(),
            expression: rule.expression.clone().unwrap_or_default(),
            enabled: rule.is_enabled(),
            overrides: rule.overrides().map_or(Value::Null, |overrides| json!(overrides)),
            version: rule.version.clone(),
            expires_at: protection::end_of(&ends, &rule.id),
            muted: scopes
                .get(number)
                .and_then(|scope| protection::muted_words(scope, &scopes)),
        });
        rows.collect::<Vec<_>>()
    });
    Ok(Json(DdosOverrides {
        success: true,
        total: rows.as_ref().map(Vec::len),
        overrides: rows,
        version: read.value.as_deref().map(version),
        read_at: read.read_at,
        error: read.trouble(),
    }))
}

/// A text to be read.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct ExpressionText {
    #[cfg_attr(test, schema(example = "ip.dst in {192.0.2.0/24} and udp.dstport eq 53"))]
    expression: String,
}

/// What the parser says.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct ExpressionJudged {
    success: bool,
    valid: bool,
    /// What is wrong, with the character from 1
    error: Option<String>,
    column: Option<usize>,
    hint: Option<String>,
    /// What to know about a valid one
    notes: Vec<String>,
}

/// Reads an expression without sending it
#[cfg_attr(test, utoipa::path(
    post, path = "/api/ddos-overrides/validate", operation_id = "validate_expression", tag = "rules",
    request_body = ExpressionText,
    responses((status = 200, body = ExpressionJudged), crate::api::document::ChangeFailures)
))]
pub(crate) async fn validate(submission: Submission<ExpressionText>) -> Json<ExpressionJudged> {
    let judged = match Expression::parse(&submission.fields.expression) {
        Ok(parsed) => ExpressionJudged {
            success: true,
            valid: true,
            error: None,
            column: None,
            hint: None,
            notes: concerns(&parsed).into_iter().map(|concern| concern.words()).collect(),
        },
        Err(refusal) => ExpressionJudged {
            success: true,
            valid: false,
            error: Some(crate::words::outside(&refusal.to_string())),
            column: Some(refusal.column),
            hint: refusal.hint,
            notes: Vec::new(),
        },
    };
    Json(judged)
}

/// What is set, for a rule, a category or all rules.
#[cfg(test)]
#[derive(utoipa::ToSchema)]
#[allow(dead_code)]
pub(crate) struct SettingWanted {
    /// everywhere, or the id of an override
    scope: String,
    /// keep, reset, or one of the rule's allowed_actions
    action: Option<String>,
    /// keep, reset, default, medium, low, eoff
    sensitivity_level: Option<String>,
    /// version of the list
    seen: String,
    /// The rule's short name, the category, or `all rules`, when protection gets weaker everywhere
    confirm: Option<String>,
    reason: String,
}

/// Sets or resets exactly one managed rule in exactly one scope
///
/// Refused when the overrides are not of the version `seen`. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/ddos-rules/{id}/update", operation_id = "set_ddos_rule", tag = "rules",
    params(("id" = String, Path, description = "Of the managed rule", example = "599dab0942ff4898ac1b7797e954e98b")),
    request_body = SettingWanted,
    responses((status = 200, body = crate::api::document::ChangeDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn update(Path(id): Path<String>, asking: Asking<Setting>) -> Result<Response, Failure> {
    set(asking, Subject::Rule(id)).await
}

/// Sets or resets a category in exactly one scope
///
/// It holds for the category's rules that have no setting of their own. Refused when the overrides are not of the version
/// `seen`. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/ddos-categories/{name}/update", operation_id = "set_ddos_category", tag = "rules",
    params(("name" = String, Path, description = "Of the category", example = "udp")),
    request_body = SettingWanted,
    responses((status = 200, body = crate::api::document::ChangeDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn update_category(Path(name): Path<String>, asking: Asking<Setting>) -> Result<Response, Failure> {
    set(asking, Subject::Category(name)).await
}

/// Sets or resets all rules in exactly one scope
///
/// It holds for the rules that have no setting of their own and none of a category. Refused when the overrides are not of
/// the version `seen`. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/ddos-ruleset/update", operation_id = "set_ddos_ruleset", tag = "rules",
    request_body = SettingWanted,
    responses((status = 200, body = crate::api::document::ChangeDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn update_ruleset(asking: Asking<Setting>) -> Result<Response, Failure> {
    set(asking, Subject::Ruleset).await
}

async fn set(asking: Asking<Setting>, subject: Subject) -> Result<Response, Failure> {
    let protection = Protection::current(&asking.app).await?;
    done(setting::save(&asking, &protection, &subject).await?)
}
