//! The one table of all keys of `settings.json`.
//!
//! The loader, the JSON Schema, the Markdown reference, the names of environment variables and of
//! credentials are all derived from it, so none can know a key that another does not. Adding a
//! setting means one row in `table`, its field in the model, its line in `assemble` and in `print`
//! (tests name the one that was forgotten).

mod retired;
mod table;

pub(crate) use retired::retired;
pub(crate) use table::KEYS;

/// What a key's value may be. Limits are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An id that becomes part of API addresses.
    Identifier,
    /// Text of one line for people.
    Text,
    /// A mail address.
    Email,
    /// A secret.
    Secret,
    /// A secret, or a list of up to two.
    Secrets,
    /// An http or https address to which secrets are sent: plain http only on private networks.
    ApiUrl,
    /// An http or https address that people open.
    PublicUrl,
    /// An absolute path of a file.
    File,
    /// A duration as text, between two others.
    Duration { min: &'static str, max: &'static str },
    /// A duration as text, or `forever`.
    Keep,
    /// A whole number of something.
    Count { unit: &'static str, min: u64, max: u64 },
    /// true or false.
    Flag,
    /// `address:port`.
    Listen,
    /// Networks or single addresses of clients.
    Clients,
    /// Announced networks: always with their length.
    Prefixes,
    /// One of the words of `Mode`.
    Mode,
    /// A number, or `@name`.
    ChatId,
    /// `all`, or a list of names.
    Systems,
    /// An object: network or `*` to statement.
    DirectRoutes,
}

impl Kind {
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Secrets)
    }

    /// What is expected, as a noun phrase for messages and the reference.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Identifier => "an identifier as text",
            Self::Text => "a text",
            Self::Email => "a mail address as text",
            Self::Secret => "a secret as text",
            Self::Secrets => "a secret as text, or a list of up to two",
            Self::ApiUrl | Self::PublicUrl => "an http(s) address as text",
            Self::File => "an absolute path as text",
            Self::Duration { .. } => "a duration as text such as \"90s\" or \"15m\"",
            Self::Keep => "a duration as text such as \"400d\", or \"forever\"",
            Self::Count { .. } => "a whole number",
            Self::Flag => "true or false",
            Self::Listen => "\"address:port\" as text",
            Self::Clients => "a list of networks or addresses as text",
            Self::Prefixes => "a list of networks as text",
            Self::Mode => "\"act\", \"dry_run\" or \"paused\"",
            Self::ChatId => "a whole number, or \"@name\"",
            Self::Systems => "\"all\", or a list of names",
            Self::DirectRoutes => "an object from network (or \"*\") to statement",
        }
    }

    /// A value that would be accepted, as JSON, for remedies.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Identifier | Self::Secret | Self::Text => "the text in quotation marks",
            Self::Secrets => "[\"new secret\", \"old secret\"], or one alone in quotation marks",
            Self::Email => "\"noc@example.net\"",
            Self::ApiUrl | Self::PublicUrl => "\"https://host.example/path\"",
            Self::File => "\"/absolute/path\"",
            Self::Duration { .. } => "\"15m\"",
            Self::Keep => "\"400d\" or \"forever\"",
            Self::Count { .. } => "the digits alone, such as 10",
            Self::Flag => "true or false without quotation marks",
            Self::Listen => "\"127.0.0.1:8080\" or \"[::1]:8080\"",
            Self::Clients => "[\"192.0.2.1\", \"2001:db8::/32\"]",
            Self::Prefixes => "[\"203.0.113.0/24\", \"2001:db8::/48\"]",
            Self::Mode => "\"act\", \"dry_run\" or \"paused\"",
            Self::ChatId => "-1001234567890 or \"@name\"",
            Self::Systems => "\"all\" or [\"dosd\", \"flowtrackd\"]",
            Self::DirectRoutes => "{ \"*\": \"always_announced\" }",
        }
    }
}

/// What holds when a key is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It must not be.
    Required,
    /// Nothing is set; the text says what that means.
    Means(&'static str),
    /// This text.
    Text(&'static str),
    /// This number.
    Number(u64),
    /// This flag.
    Flag(bool),
    /// This list of texts.
    List(&'static [&'static str]),
}

impl Absent {
    /// The default as JSON; `None` where nothing is set.
    pub(crate) fn json(self) -> Option<serde_json::Value> {
        match self {
            Self::Required | Self::Means(_) => None,
            Self::Text(text) => Some(text.into()),
            Self::Number(number) => Some(number.into()),
            Self::Flag(flag) => Some(flag.into()),
            Self::List(items) => Some(items.to_vec().into()),
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Sections and name, joined with dots.
    pub(crate) path: &'static str,
    /// What the value may be.
    pub(crate) kind: Kind,
    /// What holds without it.
    pub(crate) absent: Absent,
    /// What it does, for the reference and the schema.
    pub(crate) meaning: &'static str,
}

impl Key {
    /// `CLOUDFLARE_MT_<SECTION>_<KEY>`.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.replace('.', "_")).to_uppercase()
    }

    /// The sibling key that names a file holding the secret.
    pub(crate) fn file_path(&self) -> Option<String> {
        self.kind.is_secret().then(|| format!("{}_file", self.path))
    }
}

/// How our environment variables begin.
pub(crate) const VARIABLE_PREFIX: &str = "CLOUDFLARE_MT_";

/// Variables of that prefix that are no keys: the folder, and the log filter of the daemons.
pub(crate) const OTHER_VARIABLES: [&str; 2] = [crate::CONFIG_DIR_VARIABLE, "CLOUDFLARE_MT_LOG"];

/// The row with this path.
pub(crate) fn key(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// What stands at a path of the document.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Known {
    /// A key of the table.
    Key,
    /// The `_file` sibling of a secret.
    SecretFile,
    /// An object that holds keys.
    Section,
    /// Nothing we know.
    Nothing,
}

/// What the table says about a path.
pub(crate) fn known(path: &str) -> Known {
    if key(path).is_some() {
        return Known::Key;
    }
    if KEYS.iter().any(|key| key.file_path().as_deref() == Some(path)) {
        return Known::SecretFile;
    }
    let section = format!("{path}.");
    if KEYS.iter().any(|key| key.path.starts_with(&section)) {
        return Known::Section;
    }
    Known::Nothing
}

/// Every path that may stand in the file: sections, keys and `_file` siblings.
pub(crate) fn all_paths() -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for key in KEYS {
        for (dot, _) in key.path.match_indices('.') {
            let section = key.path.get(..dot).unwrap_or_default().to_owned();
            if !paths.contains(&section) {
                paths.push(section);
            }
        }
        paths.push(key.path.to_owned());
        paths.extend(key.file_path());
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_variables_are_unique() {
        let mut names: Vec<String> = Vec::new();
        for key in KEYS {
            names.push(key.variable());
            names.extend(key.file_path().map(|_| format!("{}_FILE", key.variable())));
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(names.contains(&"CLOUDFLARE_MT_DATABASE_RETENTION_AUDIT".to_owned()));
    }

    #[test]
    fn the_table_knows_keys_sections_and_siblings() {
        assert!(matches!(known("autowithdraw.calm_period"), Known::Key));
        assert!(matches!(known("cloudflare.api_token_file"), Known::SecretFile));
        assert!(matches!(known("database.retention"), Known::Section));
        assert!(matches!(known("database.path_file"), Known::Nothing));
        assert!(matches!(known("data"), Known::Nothing));
    }

    #[test]
    fn meanings_are_sentences() {
        for key in KEYS {
            assert!(key.meaning.ends_with('.'), "{}", key.path);
            assert!(!key.meaning.contains('|'), "{} breaks the table", key.path);
        }
    }
}
