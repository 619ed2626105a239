//! Style, scripts and icons: compiled in compressed, cached by browsers for good.
//!
//! All files live under one path that contains a hash over all of them, `/assets/HASH/live.js`. So the scripts find one
//! another by relative imports, and a page never mixes files of two versions.

use std::io::{self, Read as _};
use std::sync::OnceLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use flate2::read::GzDecoder;

use crate::answer::Failure;

// Made by the build script: `FILES` and `VERSION`.
include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A year; the path changes with the content.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Where pages find the files: `/assets/HASH`.
pub(crate) fn base() -> &'static str {
    static BASE: OnceLock<String> = OnceLock::new();
    BASE.get_or_init(|| format!("/assets/{VERSION}"))
}

/// One file, compressed where the browser takes that.
pub(crate) async fn serve(Path((hash, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if hash != VERSION {
        return Failure::not_found("This file belongs to another version of the dashboard. Reload the page.")
            .into_response();
    }
    let Some((_, small)) = FILES.iter().find(|(known, _)| *known == name) else {
        return Failure::not_found("There is no such file.").into_response();
    };
    let mut response = if takes_gzip(&headers) {
        let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        (StatusCode::OK, encoding, Body::from(*small)).into_response()
    } else {
        match inflated(small) {
            Ok(bytes) => Body::from(bytes).into_response(),
            Err(error) => return Failure::internal(&error).into_response(),
        }
    };
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(&name)));
    answer.insert(header::CACHE_CONTROL, FOR_GOOD);
    answer.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// What was compiled in compressed, as it was.
pub(crate) fn inflated(small: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(small).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .filter_map(|offer| offer.trim().split_once(';').map_or(Some((offer.trim(), "")), Some))
        .any(|(name, weight)| name.eq_ignore_ascii_case("gzip") && !weight.replace(' ', "").eq_ignore_ascii_case("q=0"))
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_kind_and_is_what_it_was() {
        assert!(FILES.len() > 15, "{}", FILES.len());
        for (name, small) in FILES {
            assert_ne!(kind(name), "application/octet-stream", "{name}");
            let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("assets")
                .join(name);
            assert_eq!(inflated(small).unwrap(), std::fs::read(file).unwrap(), "{name}");
        }
        assert_eq!(base().len(), "/assets/".len() + 16);
    }

    #[test]
    fn compression_is_asked_for_by_name() {
        let takes = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            takes_gzip(&headers)
        };
        assert!(takes("gzip, deflate, br"));
        assert!(takes("br;q=1.0, gzip; q=0.8"));
        assert!(!takes("br"));
        assert!(!takes("gzip;q=0"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
