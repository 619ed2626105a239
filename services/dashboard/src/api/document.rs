//! The description of the API (OpenAPI 3.1), generated from the handlers and their types while the tests run, and kept as
//! `openapi.json`, which is what is served. So the service carries no generator, and a description that does not fit the
//! code fails a test.
//!
//! To write it anew after a change: `UPDATE_GENERATED=1 cargo test -p dashboard --lib document`.

mod reference;
mod shapes;
mod tests;

pub(crate) use shapes::*;

use serde::Serialize;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, SecurityRequirement};
use utoipa::{IntoParams, IntoResponses, ToSchema};

/// `since` and `until`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(crate) struct Span {
    /// Not before this instant; RFC 3339, without a zone it is UTC
    #[param(example = "2026-11-21T00:00:00Z")]
    since: Option<String>,
    /// Before this instant
    #[param(example = "2026-11-23T00:00:00Z")]
    until: Option<String>,
}

/// `limit` and `before`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(crate) struct Paging {
    /// Most rows
    #[param(minimum = 1, maximum = 500, example = 2)]
    limit: Option<u32>,
    /// next_before of an earlier answer, as it was given
    before: Option<String>,
}

/// `prefix`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(crate) struct OfPrefix {
    /// Exactly this network
    #[param(example = "203.0.113.0/24")]
    prefix: Option<String>,
}

/// `q`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(crate) struct Text {
    /// Anywhere in what a row says, without regard to the case of ASCII letters. A page looks through
    /// 1,000 rows, so it may be short: searched_back_to says how far it looked, the list ends where next_before is null
    #[param(example = "flood")]
    q: Option<String>,
}

/// Something was asked for that is not given.
#[derive(Serialize, ToSchema)]
#[allow(dead_code)]
pub(crate) struct FailureBody {
    /// false
    success: bool,
    /// One sentence for people
    error: String,
    /// A stable word for programs
    code: String,
    /// When to try again
    #[schema(nullable = false)]
    retry_after_s: Option<u64>,
}

/// What every request can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code)]
pub(crate) enum Failures {
    /// No session and no token
    #[response(status = 401)]
    Nobody(FailureBody),
    /// The role is too small, the network is not allowed, or a password must be set first
    #[response(status = 403)]
    NotAllowed(FailureBody),
    /// A defect; it has been logged
    #[response(status = 500)]
    Internal(FailureBody),
    /// The database does not answer, or it took too long
    #[response(status = 503)]
    Unavailable(FailureBody),
}

/// What a request for a list can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code)]
pub(crate) enum ListFailures {
    /// A parameter is unknown, repeated or not understood
    #[response(status = 400)]
    NotUnderstood(FailureBody),
    /// No session and no token
    #[response(status = 401)]
    Nobody(FailureBody),
    /// The role is too small, the network is not allowed, or a password must be set first
    #[response(status = 403)]
    NotAllowed(FailureBody),
    /// The database does not answer, or it took too long
    #[response(status = 503)]
    Unavailable(FailureBody),
}

/// What a request for one thing can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code)]
pub(crate) enum OneFailures {
    /// The id cannot be one
    #[response(status = 400)]
    NotUnderstood(FailureBody),
    /// No session and no token
    #[response(status = 401)]
    Nobody(FailureBody),
    /// There is no such thing
    #[response(status = 404)]
    Missing(FailureBody),
    /// The database does not answer, or it took too long
    #[response(status = 503)]
    Unavailable(FailureBody),
}

/// What a change can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code)]
pub(crate) enum ChangeFailures {
    /// The body is not understood, or something is missing in it
    #[response(status = 400)]
    NotUnderstood(FailureBody),
    /// No session and no token, or a wrong password
    #[response(status = 401)]
    Nobody(FailureBody),
    /// The role is too small, the session's secret is missing, or the request came from another site
    #[response(status = 403)]
    NotAllowed(FailureBody),
    /// There is no such thing
    #[response(status = 404)]
    Missing(FailureBody),
    /// Something stands against it: a hold, or somebody else's change
    #[response(status = 409)]
    Conflict(FailureBody),
    /// Too many attempts
    #[response(status = 429)]
    Wait(FailureBody),
    /// The database does not answer, or nobody would carry it out
    #[response(status = 503)]
    Unavailable(FailureBody),
}

/// The whole description.
fn document() -> OpenApi {
    let mut document = super::routes::described();
    document.info = InfoBuilder::new()
        .title("cloudflare-mt dashboard")
        .version(daemon::args::version())
        .description(Some(
            "What the pages show, for programs. Instants are RFC 3339 in UTC; what is not known is null. Every answer has \
             `success`; a failure is `{success: false, error, code}`. Keys may be added; those that are here stay.",
        ))
        .license(Some(LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build()))
        .build();
    let components = document.components.get_or_insert_default();
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
        "__Host-magic-transit",
        "The session of a person. A change repeats the session's secret in `x-csrf-token`.",
    ));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token made on the settings page. Never together with a cookie."))
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    let none: [&str; 0] = [];
    document.security = Some(vec![
        SecurityRequirement::new("session", none),
        SecurityRequirement::new("token", none),
    ]);
    document
}
