//! Answers made small: compressed where the browser takes that, and not sent again to a program that has them. A handler
//! that can mark its answer before it is written does that itself ([`unless_known`]) and saves the writing.
//!
//! Only whole answers are touched: what is written while it is read (live streams, exports) passes as it is. Compressing
//! secrets beside text of an attacker's choice tells their length (BREACH); that needs requests of the person's from a
//! foreign page, and with `SameSite=Strict` those carry no session and are answered with nothing secret.

use std::io::Write as _;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::assets::takes_gzip;

/// Larger answers pass as they are. A page of 500 rows has some 300 KB.
const LARGEST: u64 = 2 * 1024 * 1024;

/// Smaller ones fit into one packet anyway.
const SMALLEST: usize = 1_024;

/// Compresses and marks the answer of a reading request.
pub(crate) async fn answers(request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET;
    let of_api = request.uri().path().starts_with("/api/");
    let has = request
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .cloned()
        .collect::<Vec<_>>();
    let small = takes_gzip(request.headers());
    let response = next.run(request).await;
    let marked = reads && of_api && response.status() == StatusCode::OK;
    if !is_whole(&response) || !(marked || small) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        // It was in memory already; there is nothing that could fail.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if marked && !parts.headers.contains_key(header::ETAG) {
        let tag = tag(&bytes);
        let known = has.iter().any(|value| names(value, &tag));
        if let Ok(value) = HeaderValue::try_from(&tag) {
            parts.headers.insert(header::ETAG, value);
        }
        if known {
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(header::CONTENT_TYPE);
            parts.headers.remove(header::CONTENT_LENGTH);
            return Response::from_parts(parts, Body::empty());
        }
    }
    let body = if small { gzip(&mut parts.headers, bytes) } else { bytes };
    Response::from_parts(parts, Body::from(body))
}

/// Text that is in memory from end to end and not compressed yet.
fn is_whole(response: &Response) -> bool {
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let is_text = kind.is_some_and(|kind| kind.starts_with("text/html") || kind.starts_with("application/json"));
    let size = response.body().size_hint().exact();
    is_text && size.is_some_and(|size| size <= LARGEST) && !response.headers().contains_key(header::CONTENT_ENCODING)
}

/// A weak one: the same text compressed is the same answer.
fn tag(bytes: &[u8]) -> String {
    format!("W/\"{}\"", &hex::encode(Sha256::digest(bytes))[..24])
}

/// The answer that `write` gives, marked with `tag`; nothing is written for a program that has it.
pub(crate) fn unless_known(headers: &HeaderMap, tag: &str, write: impl FnOnce() -> Response) -> Response {
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|value| names(value, tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        write()
    };
    if let Ok(value) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// Whether `If-None-Match` names the tag.
fn names(value: &HeaderValue, tag: &str) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    value.trim() == "*" || value.split(',').any(|known| bare(known) == bare(tag))
}

fn gzip(headers: &mut HeaderMap, bytes: Bytes) -> Bytes {
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    if bytes.len() < SMALLEST {
        return bytes;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    let Ok(small) = encoder.write_all(&bytes).and_then(|()| encoder.finish()) else {
        return bytes;
    };
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.remove(header::CONTENT_LENGTH);
    Bytes::from(small)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(path: &str, headers: &[(&str, &str)]) -> Response {
        let json = || async { ([(header::CONTENT_TYPE, "application/json")], "{\"a\":1}".repeat(500)) };
        let router = Router::new()
            .route("/api/list", get(json))
            .route("/page", get(json))
            .route(
                "/api/event",
                get(|| async { Body::from_stream(futures_util::stream::empty::<Result<Bytes, std::io::Error>>()) }),
            )
            .layer(from_fn(answers));
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        router.oneshot(request).await.unwrap_or_else(|never| match never {})
    }

    #[tokio::test]
    async fn what_a_program_has_is_not_sent_again() {
        let first = ask("/api/list", &[]).await;
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        let again = ask("/api/list", &[("if-none-match", &format!("\"x\", {tag}"))]).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()[header::ETAG], tag.as_str());
        assert!(to_bytes(again.into_body(), 10).await.unwrap().is_empty());
        assert_eq!(
            ask("/api/list", &[("if-none-match", "\"x\"")]).await.status(),
            StatusCode::OK
        );
        assert!(
            !ask("/page", &[]).await.headers().contains_key(header::ETAG),
            "pages carry a secret of the session"
        );
    }

    #[tokio::test]
    async fn text_is_compressed_for_who_takes_that() {
        let small = ask("/page", &[("accept-encoding", "gzip")]).await;
        assert_eq!(small.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(small.headers()[header::VARY], "accept-encoding");
        let bytes = to_bytes(small.into_body(), 10_000).await.unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
        assert_eq!(text, "{\"a\":1}".repeat(500));
        assert!(bytes.len() < text.len() / 10);
        assert!(!ask("/page", &[]).await.headers().contains_key(header::CONTENT_ENCODING));
        let streamed = ask("/api/event", &[("accept-encoding", "gzip")]).await;
        assert!(!streamed.headers().contains_key(header::CONTENT_ENCODING));
    }
}
