//! Which path leads where, and what every request passes on its way.
//!
//! From the outside in: headers, compression, the form of failures, the client's address, the origin of changes, the deadline, and
//! for everything but login, static files and health the gate of sessions.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use crate::accounts::second_factor::{enrol, login as factor_login};
use crate::accounts::{change_password, channels, login, machines, member, origin, people, sessions};
use crate::answer::{self, Failure};
use crate::app::App;
use crate::{api, assets, client, condense, headers, pages};

/// No answer takes longer to begin. Proxies commonly give up after 30 s, and a person long before.
const DEADLINE: Duration = Duration::from_secs(10);

/// Everything the dashboard answers.
pub(crate) fn router(app: &App) -> Router {
    let public = Router::new()
        .route("/login", get(login::form).post(login::submit))
        .route("/assets/{hash}/{*name}", get(assets::serve));
    let all = Router::new()
        .merge(people())
        .merge(api::routes::programs())
        .route_layer(from_fn_with_state(app.clone(), member::gate))
        .merge(public)
        .fallback(answer::no_route)
        .method_not_allowed_fallback(answer::no_method)
        .with_state(app.clone())
        .merge(daemon::health::routes(app.frame()));
    all.layer(from_fn(in_time))
        .layer(from_fn_with_state(app.clone(), origin::check))
        .layer(from_fn_with_state(app.clone(), client::admit))
        .layer(from_fn_with_state(app.clone(), answer::dress))
        .layer(from_fn(condense::answers))
        .layer(from_fn_with_state(app.clone(), headers::add))
}

/// Pages.
fn people() -> Router<App> {
    Router::new()
        .route("/", get(pages::main::page))
        .route("/incidents", get(pages::incidents::page))
        .route("/incidents/{id}", get(pages::incident::page))
        .route("/traffic", get(pages::measured::page))
        .route("/design", get(pages::design::page))
        .route("/password", get(change_password::form).post(change_password::submit))
        .route("/logout", post(login::logout))
        .route("/second-factor", get(factor_login::form).post(factor_login::submit))
        .route("/audit", get(pages::audit::page))
        .route("/connectors", get(pages::connectors::page))
        .route(
            "/connectors/{kind}/{id}",
            get(pages::connectors::form).post(pages::connectors::submit),
        )
        .route("/mnm-rules", get(pages::mnm_rules::page))
        .route(
            "/mnm-rules/new",
            get(pages::mnm_rules::blank).post(pages::mnm_rules::make),
        )
        .route(
            "/mnm-rules/{id}",
            get(pages::mnm_rules::form).post(pages::mnm_rules::submit),
        )
        .route("/ddos-rules", get(pages::ddos_rules::page))
        .route("/ddos-rules/{action}", get(pages::ddos_rules::of_action))
        .route(
            "/ddos-rules/rule/{id}",
            get(pages::ddos_setting::rule).post(pages::ddos_setting::submit_rule),
        )
        .route(
            "/ddos-rules/category/{name}",
            get(pages::ddos_setting::category).post(pages::ddos_setting::submit_category),
        )
        .route(
            "/ddos-rules/ruleset",
            get(pages::ddos_setting::ruleset).post(pages::ddos_setting::submit_ruleset),
        )
        .route(
            "/ddos-rules/order",
            get(pages::ddos_rules::order_of_now).post(pages::ddos_rules::order),
        )
        .route(
            "/ddos-rules/override/new",
            get(pages::ddos_override::blank).post(pages::ddos_override::make),
        )
        .route(
            "/ddos-rules/override/{id}",
            get(pages::ddos_override::form).post(pages::ddos_override::submit),
        )
        .route(
            "/rule-changes",
            get(pages::rule_changes::page).post(pages::rule_changes::undo),
        )
        .route("/readiness", get(pages::readiness::page))
        .route("/settings", get(pages::settings::page))
        .route("/settings/second-factor", get(enrol::form).post(enrol::submit))
        .route("/settings/sessions", post(sessions::submit))
        .route("/settings/accounts", post(people::submit))
        .route("/settings/tokens", post(machines::submit))
        .route("/settings/mutes", post(channels::mute))
        .route("/settings/channel-test", post(channels::test))
}

/// Ends what takes too long. A stream has begun its answer long before and is not touched.
async fn in_time(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let limit_s = DEADLINE.as_secs();
            tracing::warn!(event = "dashboard.request.overdue", path, limit_s);
            let text = "The answer took too long and was given up.";
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "overdue", text).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_is_given_up_at_the_deadline() {
        let router: Router = Router::new()
            .route("/", get(std::future::pending::<StatusCode>))
            .layer(from_fn(in_time));
        let began = tokio::time::Instant::now();
        let request = Request::new(Body::empty());
        let answer = router.oneshot(request).await.unwrap_or_else(|never| match never {});
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(began.elapsed(), DEADLINE);
    }
}
