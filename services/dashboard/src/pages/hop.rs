//! A page that opens itself once more.
//!
//! A link in a message leads here from another site, and browsers then hold back the session's cookie
//! (`SameSite=Strict`). The second request comes from our own page and carries it.

use askama::Template;
use axum::http::Uri;
use axum::response::Response;

use super::rendered;

#[derive(Template)]
#[template(path = "hop.html")]
struct Page<'a> {
    address: &'a str,
}

/// The same address again, from here.
pub(crate) fn page(uri: &Uri) -> Response {
    let address = uri.path_and_query().map_or("/", |path| path.as_str());
    // `//host` would lead away; a request line cannot normally hold it, but nothing depends on that.
    let address = if address.starts_with("//") { "/" } else { address };
    rendered(&Page { address })
}
