//! The form above a list of a page, and where its further pages lead.

use std::collections::BTreeMap;
use std::fmt::Display;

use axum::http::Uri;

use crate::api::listing::{List, PAGING};

/// What the fields of the form say. The list itself has understood them before.
pub(crate) struct Filters {
    path: &'static str,
    values: BTreeMap<String, String>,
    /// Those that are filled in, as a query.
    query: String,
    /// Whether the page begins with the newest row.
    pub(crate) is_first: bool,
    older: Option<String>,
}

impl Filters {
    /// Of a request for a page of `L` under `path`, whose next page begins at `next`.
    pub(crate) fn of<L: List>(path: &'static str, uri: &Uri, next: Option<impl Display>) -> Self {
        let mut found = Self {
            path,
            values: BTreeMap::new(),
            query: String::new(),
            is_first: true,
            older: None,
        };
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if name == PAGING[1] {
                found.is_first = value.is_empty();
            }
            if L::FILTERS.contains(&name.as_ref()) && !value.is_empty() {
                query.append_pair(&name, &value);
                found.values.insert(name.into_owned(), value.into_owned());
            }
        }
        found.query = query.finish();
        found.older = next.map(|before| found.address(&[("before", &before.to_string())]));
        found
    }

    fn address(&self, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(self.query.clone());
        query.extend_pairs(more);
        let query = query.finish();
        if query.is_empty() {
            return self.path.to_owned();
        }
        format!("{}?{query}", self.path)
    }

    /// What a field says.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// Whether any field is filled in.
    pub(crate) fn is_asked(&self) -> bool {
        !self.values.is_empty()
    }

    /// The newest page with the same filters.
    pub(crate) fn newest(&self) -> String {
        self.address(&[])
    }

    /// The next, older page.
    pub(crate) fn older(&self) -> Option<&str> {
        self.older.as_deref()
    }

    /// The whole list as a file: `csv` or `json`.
    pub(crate) fn file(&self, list: &str, ending: &str) -> String {
        format!("/api/export/{list}.{ending}?{}", self.query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::changes::Changes;

    #[test]
    fn further_pages_keep_what_was_asked() {
        let uri: Uri = "/audit?q=a%20b&actor=&before=7&limit=3".parse().unwrap();
        let filters = Filters::of::<Changes>("/audit", &uri, Some(4));
        assert!(!filters.is_first && filters.is_asked());
        assert_eq!((filters.value("q"), filters.value("actor")), ("a b", ""));
        assert_eq!(filters.older(), Some("/audit?q=a+b&before=4"));
        assert_eq!(filters.newest(), "/audit?q=a+b");
        assert_eq!(filters.file("audit", "csv"), "/api/export/audit.csv?q=a+b");
        let bare: Uri = "/audit".parse().unwrap();
        let filters = Filters::of::<Changes>("/audit", &bare, None::<i64>);
        assert!(filters.is_first && !filters.is_asked());
        assert_eq!((filters.newest().as_str(), filters.older()), ("/audit", None));
    }
}
