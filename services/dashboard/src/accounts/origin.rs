//! Changes only from our own pages.
//!
//! Browsers say where a request comes from (`Sec-Fetch-Site`, `Origin`); programs without a browser say nothing and
//! cannot be tricked by a page either. Together with `SameSite=Strict` and the session's secret in every change
//! ([`super::member`]) this is the third lock on the same door; it also covers `/login`, where there is no session yet.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::answer::Failure;
use crate::app::App;

const FETCH_SITE: &str = "sec-fetch-site";

/// Turns away what a foreign page sent.
pub(crate) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let public_url = app.settings().dashboard.public_url.as_deref();
    if changes && !is_ours(request.headers(), public_url) {
        app.counters().refused_changes.inc();
        let path = request.uri().path();
        tracing::warn!(event = "dashboard.change.refused", path, because = "foreign origin");
        let text = "The request came from another site and was refused.";
        return Failure::forbidden("foreign_origin", text).into_response();
    }
    next.run(request).await
}

fn is_ours(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text(FETCH_SITE) {
        return site == "same-origin";
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else {
        return true;
    };
    // Behind a proxy `Host` may be our own loopback address, so the configured address counts as well.
    let configured = public_url
        .and_then(|url| url::Url::parse(url).ok())
        .map(|url| url.origin().ascii_serialization());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    configured.is_some_and(|ours| ours == origin) || (authority.is_some() && authority == text(header::HOST.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        is_ours(&headers, Some("https://noc.example.net/"))
    }

    #[test]
    fn only_our_own_pages_and_programs_may_change_anything() {
        assert!(ours(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://noc.example.net")
        ]));
        assert!(ours(&[
            ("origin", "https://noc.example.net"),
            ("host", "127.0.0.1:8081")
        ]));
        assert!(ours(&[("origin", "http://127.0.0.1:8081"), ("host", "127.0.0.1:8081")]));
        assert!(ours(&[("host", "127.0.0.1:8081")]), "no browser");
        assert!(!ours(&[("sec-fetch-site", "cross-site")]));
        assert!(!ours(&[
            ("sec-fetch-site", "same-site"),
            ("origin", "https://noc.example.net")
        ]));
        assert!(!ours(&[("sec-fetch-site", "none")]));
        assert!(!ours(&[("origin", "null"), ("host", "127.0.0.1:8081")]));
        assert!(!ours(&[("origin", "https://evil.example"), ("host", "127.0.0.1:8081")]));
        assert!(!ours(&[
            ("origin", "http://noc.example.net"),
            ("host", "127.0.0.1:8081")
        ]));
    }
}
