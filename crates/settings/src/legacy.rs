//! Files of the predecessor that are imported into the database once.

use secrecy::SecretString;

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
