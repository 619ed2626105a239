//! Advertise and withdraw by a person: filed in the journal with name and reason, then carried out by [`crate::hands`].
//!
//! Must hold: nothing is sent from here; a withdrawal asks for the prefix typed out, and respects holds unless told
//! otherwise; an advertise is refused by no rule of ours (Cloudflare decides); the answer comes when the wish is
//! durable, and says who carries it out.

mod wanted;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use db::users::Role;
use domain::intent::Act;
use prefix_ops::request::{self, RequestError};
use prefix_ops::{Request, Requested};
use serde_json::json;

use self::wanted::{Asked, Wanted};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::overview::prefix::PrefixView;
use crate::submission::Submission;
use crate::{pages, words};

/// How the journal, the audit and the predecessor's columns name this program.
const VIA: &str = "dashboard";

/// Advertises a prefix
///
/// Refused by no rule of ours. The answer comes when the wish is durable. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/prefixes/advertise", operation_id = "advertise", tag = "acts",
    request_body = crate::api::document::ActWanted,
    responses((status = 202, body = crate::api::document::ActFiled), crate::api::document::ChangeFailures)
))]
pub(crate) async fn advertise(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    let asked = submission.fields.asked(Act::Advertise, None)?;
    act(&app, &client, &member, asked, submission.by_form).await
}

/// Withdraws a prefix
///
/// `confirm` repeats the prefix. Refused while it is held, unless `force`. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/prefixes/withdraw", operation_id = "withdraw", tag = "acts",
    request_body = crate::api::document::ActWanted,
    responses((status = 202, body = crate::api::document::ActFiled), crate::api::document::ChangeFailures)
))]
pub(crate) async fn withdraw(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    let asked = submission.fields.asked(Act::Withdraw, None)?;
    act(&app, &client, &member, asked, submission.by_form).await
}

/// The same under the predecessor's addresses: `/api/prefix/{cidr}/advertise` and `/withdraw`
///
/// A body with reason and, for a withdrawal, confirmation is needed here as well.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/prefix/{path}", operation_id = "act_on_prefix", tag = "acts",
    params(("path" = String, Path, description = "A network, its slash plain or encoded, and /advertise or /withdraw", example = "203.0.113.0/24/advertise")),
    request_body = crate::api::document::ActWanted,
    responses((status = 202, body = crate::api::document::ActFiled), crate::api::document::ChangeFailures)
))]
pub(crate) async fn of_one(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    Path(path): Path<String>,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    let (prefix, wish) = match path.rsplit_once('/') {
        Some((prefix, "advertise")) => (prefix, Act::Advertise),
        Some((prefix, "withdraw")) => (prefix, Act::Withdraw),
        _ => return Err(Failure::not_found("There is nothing at this address.")),
    };
    let asked = submission.fields.asked(wish, Some(prefix))?;
    act(&app, &client, &member, asked, submission.by_form).await
}

async fn act(
    app: &App,
    client: &ClientAddr,
    member: &Member,
    asked: Asked,
    by_form: bool,
) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let overview = pages::main::situation(app).await?;
    let view = overview.prefixes.iter().find(|view| view.prefix == asked.prefix);
    asked.confirmed(view)?;
    let daemon_is_there = overview.automation.life.is_there();
    let carried_out_by = match (app.hands().can_act(), daemon_is_there) {
        (true, _) => "this dashboard carries it out",
        (false, true) => "cloudflare-autowithdraw carries it out within seconds",
        (false, false) if asked.act == Act::Withdraw => {
            let text = "Nothing was filed: this dashboard has no credential for Cloudflare, and cloudflare-autowithdraw is not there to carry it out.";
            return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "nobody_acts", text));
        }
        (false, false) => "NOBODY carries it out until cloudflare-autowithdraw runs",
    };
    let wish = Request {
        prefix: asked.prefix,
        act: asked.act,
        actor: member.name().to_owned(),
        via: VIA.to_owned(),
        address: Some(client.0.to_string()),
        reason: asked.reason.clone(),
        force: asked.force,
    };
    let filed = request::file(app.db(), wish, app.now()).await.map_err(refusal)?;
    app.hands().carry_out(filed.intent);
    app.changed();
    let prefix = asked.prefix.to_string();
    tracing::info!(
        event = "dashboard.act.filed",
        act = %asked.act,
        prefix,
        intent = filed.intent.0,
        actor = member.name(),
        forced = asked.force,
        reason = asked.reason
    );
    Ok(answer(by_form, &asked, filed, carried_out_by))
}

fn refusal(error: RequestError) -> Failure {
    match error {
        RequestError::Db(error) => error.into(),
        RequestError::Held { prefix, by, reason } => {
            let text = format!(
                "{prefix} is held by {}: {}. Nothing was filed; release the hold, or say that it is to be withdrawn all the same.",
                words::outside_up_to(&by, 40),
                words::outside(&reason)
            );
            Failure::new(StatusCode::CONFLICT, "prefix_held", text)
        }
        RequestError::UnknownPrefix(prefix) => {
            let text = format!("{prefix} is no prefix that was ever read from this account; nothing was filed.");
            Failure::new(StatusCode::NOT_FOUND, "unknown_prefix", text)
        }
    }
}

fn answer(by_form: bool, asked: &Asked, filed: Requested, carried_out_by: &str) -> Response {
    if by_form {
        return pages::go_to("/");
    }
    let cancelled = if filed.cancelled > 0 {
        " A withdrawal that was planned is cancelled."
    } else {
        ""
    };
    let message = format!(
        "{} {} is filed as intent {}; {carried_out_by}.{cancelled}",
        words::sentence(asked.act.as_str()),
        asked.prefix,
        filed.intent.0
    );
    let body = json!({
        "success": true,
        "message": message,
        "cidr": asked.prefix,
        "act": asked.act,
        "intent": filed.intent,
        "cancelled_withdrawals": filed.cancelled,
    });
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

impl Asked {
    /// Whether the person has said what this act wants said.
    fn confirmed(&self, view: Option<&PrefixView>) -> Result<(), Failure> {
        if self.act == Act::Advertise {
            return Ok(());
        }
        if view.is_some_and(|view| view.advertised == Some(false)) {
            let text = format!("{} is withdrawn already; nothing was filed.", self.prefix);
            return Err(Failure::new(StatusCode::CONFLICT, "already_withdrawn", text));
        }
        if self.typed.as_deref().map(str::trim) == Some(self.prefix.to_string().as_str()) {
            return Ok(());
        }
        let danger = match view {
            Some(view) if view.under_attack == Some(true) => "it is UNDER ATTACK",
            Some(view) if !view.open_alerts.is_empty() => "an attack alert is open for it",
            Some(view) if view.under_attack == Some(false) => "its traffic leaves the scrubbing",
            _ => "nobody can tell whether it is under attack",
        };
        let text = format!("Type {} to withdraw it: {danger}. Nothing was filed.", self.prefix);
        Err(Failure::bad_request("confirmation_required", text))
    }
}
