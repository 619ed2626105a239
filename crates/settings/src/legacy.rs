//! Files of the predecessor that are imported into the database once.
//!
//! Nothing depends on them once imported, so nothing in them can stop a start.

use secrecy::SecretString;

use crate::files::Document;
use crate::json::{Data, Node};
use crate::report::{Code, Place};
use crate::site::{Problems, Site, cut};
use crate::values::is_placeholder;

/// What was found beside `settings.json` for a one-time import.
#[derive(Debug, Clone, Default)]
pub struct Legacy {
    /// `auth.json`: the dashboard's only account.
    pub auth: Option<LegacyAuth>,
    /// `dashboard_prefs.json`.
    pub dashboard_prefs: Option<LegacyPreferences>,
}

/// The predecessor's only dashboard account.
#[derive(Debug, Clone)]
pub struct LegacyAuth {
    /// Login name.
    pub username: String,
    /// A bcrypt hash, `$2b$…`.
    pub password_hash: SecretString,
    /// When the password was changed last, as the file writes it.
    pub last_changed: Option<String>,
}

/// The predecessor's dashboard preferences, one set for everybody; absent keys have its defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyPreferences {
    /// Only attacks on own prefixes are announced. Default true.
    pub my_prefixes_only: bool,
    /// `all`, `when_protected` or `auto_collapse`. Default `all`.
    pub analytics_display_mode: String,
    /// Default true.
    pub analytics_auto_collapse: bool,
    /// Default 20.
    pub analytics_show_count: u64,
}

impl Default for LegacyPreferences {
    fn default() -> Self {
        Self {
            my_prefixes_only: true,
            analytics_display_mode: "all".to_owned(),
            analytics_auto_collapse: true,
            analytics_show_count: 20,
        }
    }
}

/// Name of the file with the account.
pub(crate) const AUTH_FILE: &str = "auth.json";

/// Name of the file with the preferences.
pub(crate) const PREFERENCES_FILE: &str = "dashboard_prefs.json";

const DISPLAY_MODES: [&str; 3] = ["all", "when_protected", "auto_collapse"];

/// The account, if it can be imported. Problems are warnings: nothing depends on this file.
pub(crate) fn read_auth(document: &Document, problems: &mut Problems) -> Option<LegacyAuth> {
    let text = |name: &str| match &document.root.at(name)?.data {
        Data::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
        _ => None,
    };
    let mut refuse = |key: &str, what: &str| {
        let line = document.root.at(key).map_or(1, |node| node.line);
        problems.warning(
            Code::LegacyFile,
            &Site::key(Place::line(&document.path, line), key),
            format!("{what}, so this account is not imported"),
            "remove the file, or create the account with cloudflare-mt user add",
        );
        None
    };
    let Some(username) = text("username") else {
        return refuse("username", "the name is missing or empty");
    };
    let Some(hash) = text("password_hash") else {
        return refuse("password_hash", "the hash is missing or empty");
    };
    if !is_bcrypt(hash) {
        let what = if is_placeholder(hash) {
            "the hash is the placeholder of the example"
        } else {
            "the hash is not one of bcrypt"
        };
        return refuse("password_hash", what);
    }
    Some(LegacyAuth {
        username: username.to_owned(),
        password_hash: SecretString::from(hash),
        last_changed: text("last_changed").map(str::to_owned),
    })
}

/// `$2a$`, `$2b$` or `$2y$`, two digits of cost, 53 characters of salt and hash.
fn is_bcrypt(hash: &str) -> bool {
    let mut parts = hash.split('$').skip(1);
    let (version, cost, rest) = (parts.next(), parts.next(), parts.next());
    matches!(version, Some("2a" | "2b" | "2y"))
        && cost.is_some_and(|cost| cost.len() == 2 && cost.parse().is_ok_and(|cost: u8| (4..=31).contains(&cost)))
        && rest.is_some_and(|rest| {
            rest.len() == 53
                && rest
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '/'))
        })
        && parts.next().is_none()
        && hash.starts_with('$')
}

/// The preferences; a value that cannot be read keeps the predecessor's default and a warning.
pub(crate) fn read_preferences(document: &Document, problems: &mut Problems) -> LegacyPreferences {
    let mut unusable = |name: &str, node: &Node| {
        let site = Site::key(Place::line(&document.path, node.line), name);
        problems.warning(
            Code::LegacyFile,
            &site.with_value(cut(&node.compact())),
            "the value cannot be imported; the predecessor's default is taken",
            "correct it, or set the preference in the dashboard",
        );
    };
    let mut preferences = LegacyPreferences::default();
    for (name, target) in [
        ("my_prefixes_only", &mut preferences.my_prefixes_only),
        ("analytics_auto_collapse", &mut preferences.analytics_auto_collapse),
    ] {
        match document.root.at(name) {
            Some(Node {
                data: Data::Flag(flag), ..
            }) => *target = *flag,
            Some(node) => unusable(name, node),
            None => {}
        }
    }
    if let Some(node) = document.root.at("analytics_display_mode") {
        match &node.data {
            Data::Text(mode) if DISPLAY_MODES.contains(&mode.as_str()) => {
                preferences.analytics_display_mode.clone_from(mode);
            }
            _ => unusable("analytics_display_mode", node),
        }
    }
    if let Some(node) = document.root.at("analytics_show_count") {
        let count = match &node.data {
            Data::Number(number) => number.as_u64().filter(|count| (1..=1_000).contains(count)),
            _ => None,
        };
        match count {
            Some(count) => preferences.analytics_show_count = count,
            None => unusable("analytics_show_count", node),
        }
    }
    preferences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bcrypt_hashes_are_recognised() {
        let rest = "N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
        for version in ["2a", "2b", "2y"] {
            assert!(is_bcrypt(&format!("${version}$12${rest}")));
        }
        for hash in [
            "",
            "REPLACE_ME",
            "$2b$12$short",
            "$2b$3$x",
            "x$2b$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
            "$1$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        ] {
            assert!(!is_bcrypt(hash), "{hash}");
        }
    }
}
