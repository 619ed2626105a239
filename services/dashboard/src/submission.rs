//! What a person or program sends with a change: a JSON object, or the fields of a form, read into one type.
//!
//! Forms make the pages work before their script is there. Every field of a form is text, so a type that is sent by
//! forms reads its numbers and instants from text.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::answer::Failure;

/// Largest body of a change, in bytes. A reason has a few hundred characters.
pub(crate) const LARGEST: usize = 16 * 1024;

/// The body of a change, and whether a form sent it: a form is answered with a page.
#[derive(Debug)]
pub(crate) struct Submission<T> {
    pub(crate) fields: T,
    pub(crate) by_form: bool,
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Submission<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        let by_form = is_form(content_type(request.headers()));
        if !by_form && !is_json(content_type(request.headers())) {
            let text = "Send application/json, or a form.";
            return Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                text,
            ));
        }
        let bytes = to_bytes(request.into_body(), LARGEST).await.map_err(|_| too_large())?;
        let value = if by_form {
            let pairs = url::form_urlencoded::parse(&bytes).into_owned();
            Value::Object(
                pairs
                    .map(|(name, value)| (name, Value::String(value)))
                    .collect::<Map<_, _>>(),
            )
        } else {
            serde_json::from_slice(&bytes).map_err(|_| Failure::bad_request("bad_json", "The body is not JSON."))?
        };
        if !value.is_object() {
            return Err(Failure::bad_request("bad_json", "The body is not a JSON object."));
        }
        let fields = serde_json::from_value(value).map_err(|error| {
            let text = crate::words::outside(&format!("The request cannot be read: {error}."));
            Failure::bad_request("bad_fields", text)
        })?;
        Ok(Self { fields, by_form })
    }
}

/// The body was cut at [`LARGEST`].
pub(crate) fn too_large() -> Failure {
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The request is too large.")
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn essence(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

/// Whether a content type is that of a form.
pub(crate) fn is_form(kind: &str) -> bool {
    essence(kind).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn is_json(kind: &str) -> bool {
    essence(kind).eq_ignore_ascii_case("application/json")
}
