//! Changing overrides by programs: make, edit, delete, move, switch. The checks, the record and the way back are those of the
//! pages.

use axum::Json;
use axum::extract::Path;
use serde::{Deserialize, Serialize};

use crate::answer::Failure;
use crate::asking::{Asking, Said};
use crate::overrides::{self, Place, Plan, Wanted};
use crate::protection::Protection;

/// An override to be made or changed; for a change, what is absent stays.
#[cfg(test)]
#[derive(utoipa::ToSchema)]
#[allow(dead_code)]
pub(crate) struct OverrideWanted {
    /// Its name
    description: Option<String>,
    /// What it applies to; without it the fields below make one
    #[schema(example = "ip.dst in {192.0.2.0/24} and udp.dstport eq 53")]
    expression: Option<String>,
    /// A service of the templates, by its id
    service: Option<String>,
    /// Addresses and networks, with spaces between; so are the others
    destinations: Option<String>,
    /// 80 8000-8100
    tcp_ports: Option<String>,
    udp_ports: Option<String>,
    /// Numbers or names
    protocols: Option<String>,
    sources: Option<String>,
    source_ports: Option<String>,
    /// Managed rule, by id or short name; empty for all
    target_rule_id: Option<String>,
    /// block, log; empty sets none
    action: Option<String>,
    /// default, medium, low, eoff; empty sets none
    sensitivity_level: Option<String>,
    enabled: Option<bool>,
    /// Until when it stands; `never` takes an end away
    expires_at: Option<String>,
    /// version of the list
    seen: String,
    /// everywhere, when protection gets weaker for every destination; the name, for a deletion
    confirm: Option<String>,
    reason: String,
}

/// Where an override is to stand: one of direction, index, before, after.
#[cfg(test)]
#[derive(utoipa::ToSchema)]
#[allow(dead_code)]
pub(crate) struct OverridePlace {
    /// first, up, down, last
    direction: Option<String>,
    /// From 1, among all
    index: Option<u64>,
    /// Id of another
    before: Option<String>,
    /// Id of another, or first
    after: Option<String>,
    /// version of the list
    seen: String,
    /// everywhere, when protection gets weaker for every destination
    confirm: Option<String>,
    reason: String,
}

/// Where it is to go, as it came.
#[derive(Debug, Deserialize)]
pub(crate) struct Moved {
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    said: Said,
}

/// What was done.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct OverrideDone {
    success: bool,
    /// One sentence
    message: String,
    /// Of the override; null where Cloudflare's answer does not tell
    id: Option<String>,
    /// Of all overrides now; null when nothing but an end was changed
    version: Option<String>,
    /// What to know about it: never reached, unreliable conditions
    notes: Vec<String>,
}

async fn sent<F>(
    asking: &Asking<F>,
    protection: &Protection,
    plan: Plan,
    said: &Said,
) -> Result<Json<OverrideDone>, Failure> {
    let notes = plan.notes.clone();
    let sent = overrides::send(asking, protection, plan, said).await?;
    Ok(Json(OverrideDone {
        success: true,
        message: sent.told,
        id: sent.id,
        version: sent.version,
        notes,
    }))
}

/// Makes an override
///
/// It stands before the one for everything. Refused when the overrides are not of the version `seen`. Needs the role of an
/// operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/ddos-overrides", operation_id = "create_ddos_override", tag = "rules",
    request_body = OverrideWanted,
    responses((status = 200, body = OverrideDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn create(asking: Asking<Wanted>) -> Result<Json<OverrideDone>, Failure> {
    let protection = Protection::current(&asking.app).await?;
    let plan = overrides::change(&protection, None, &asking.fields, asking.app.now())?;
    sent(&asking, &protection, plan, &asking.fields.said).await
}

/// Changes an override, or switches it on or off
///
/// What is absent stays. Refused when the overrides are not of the version `seen`. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/ddos-overrides/{id}", operation_id = "edit_ddos_override", tag = "rules",
    params(("id" = String, Path, description = "Of the override", example = "c0000000000000000000000000000001")),
    request_body = OverrideWanted,
    responses((status = 200, body = OverrideDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn edit(Path(id): Path<String>, asking: Asking<Wanted>) -> Result<Json<OverrideDone>, Failure> {
    let protection = Protection::current(&asking.app).await?;
    let old = protection.existing(&id)?;
    let plan = overrides::change(&protection, Some(old), &asking.fields, asking.app.now())?;
    sent(&asking, &protection, plan, &asking.fields.said).await
}

/// Deletes an override
///
/// `confirm` repeats its name, or its id where it has none. Refused when the overrides are not of the version `seen`. Needs
/// the role of an operator.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/ddos-overrides/{id}", operation_id = "delete_ddos_override", tag = "rules",
    params(("id" = String, Path, description = "Of the override", example = "c0000000000000000000000000000001")),
    request_body = OverrideWanted,
    responses((status = 200, body = OverrideDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn delete(Path(id): Path<String>, asking: Asking<Wanted>) -> Result<Json<OverrideDone>, Failure> {
    let protection = Protection::current(&asking.app).await?;
    let plan = overrides::deletion(&protection, protection.existing(&id)?);
    sent(&asking, &protection, plan, &asking.fields.said).await
}

/// Moves an override among all
///
/// Refused when the overrides are not of the version `seen`. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/ddos-overrides/{id}/move", operation_id = "move_ddos_override", tag = "rules",
    params(("id" = String, Path, description = "Of the override", example = "c0000000000000000000000000000001")),
    request_body = OverridePlace,
    responses((status = 200, body = OverrideDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn move_it(Path(id): Path<String>, asking: Asking<Moved>) -> Result<Json<OverrideDone>, Failure> {
    let protection = Protection::current(&asking.app).await?;
    let plan = overrides::movement(&protection, protection.existing(&id)?, &asking.fields.place)?;
    sent(&asking, &protection, plan, &asking.fields.said).await
}
