//! Style, scripts and icons: compiled in, compressed once, cached by browsers for good.
//!
//! All files live under one path that contains a hash over all of them, `/assets/HASH/live.js`. So the scripts find one
//! another by relative imports, and a page never mixes files of two versions.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::OnceLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

use crate::answer::Failure;

#[derive(RustEmbed)]
#[folder = "assets"]
struct Files;

/// A year; the path changes with the content.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Where pages find the files: `/assets/HASH`.
pub(crate) fn base() -> &'static str {
    static BASE: OnceLock<String> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut hash = Sha256::new();
        for name in Files::iter() {
            if let Some(file) = Files::get(&name) {
                hash.update(name.as_bytes());
                hash.update(file.metadata.sha256_hash());
            }
        }
        format!("/assets/{}", &hex::encode(hash.finalize())[..16])
    })
}

/// One file, compressed where the browser takes that.
pub(crate) async fn serve(Path((hash, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if base().strip_prefix("/assets/") != Some(hash.as_str()) {
        return Failure::not_found("This file belongs to another version of the dashboard. Reload the page.")
            .into_response();
    }
    let Some(file) = Files::get(&name) else {
        return Failure::not_found("There is no such file.").into_response();
    };
    let mut response = match compressed(&name).filter(|_| takes_gzip(&headers)) {
        Some(small) => {
            let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
            (StatusCode::OK, encoding, Body::from(small)).into_response()
        }
        None => match file.data {
            Cow::Borrowed(bytes) => Body::from(bytes),
            Cow::Owned(bytes) => Body::from(bytes),
        }
        .into_response(),
    };
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(&name)));
    answer.insert(header::CACHE_CONTROL, FOR_GOOD);
    answer.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
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

/// The compressed form of a file; all of them together are some 20 KB, made when the first browser asks.
fn compressed(name: &str) -> Option<&'static [u8]> {
    static SMALL: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    let all = SMALL.get_or_init(|| {
        let made = Files::iter().filter_map(|name| {
            let file = Files::get(&name)?;
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&file.data).ok()?;
            let small = encoder.finish().ok()?;
            (small.len() < file.data.len()).then(|| (name.into_owned(), small))
        });
        made.collect()
    });
    all.iter()
        .find(|(known, _)| known == name)
        .map(|(_, small)| small.as_slice())
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
    fn every_file_has_a_kind_and_the_base_is_stable() {
        for name in Files::iter() {
            assert_ne!(kind(&name), "application/octet-stream", "{name}");
        }
        assert_eq!(base(), base());
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
