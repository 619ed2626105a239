//! Where each setting came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where one value came from. Earlier sources of this list win over later ones, except that
/// `Default`, `HostName` and `Unset` only hold where nothing was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An environment variable.
    Variable {
        /// Its name.
        name: String,
    },
    /// A file named by a `…_file` key or variable.
    SecretFile {
        /// The file that holds the secret.
        path: PathBuf,
    },
    /// A systemd credential of the unit.
    Credential {
        /// Its name, which is the key.
        name: &'static str,
    },
    /// `settings.json`.
    File {
        /// The line, 1 is the first.
        line: u32,
    },
    /// The built-in default.
    Default,
    /// The host's name.
    HostName,
    /// Nothing is set and there is no default.
    Unset,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name } => write!(f, "environment {name}"),
            Self::SecretFile { path } => write!(f, "secret file {}", path.display()),
            Self::Credential { name } => write!(f, "systemd credential {name}"),
            Self::File { line } => write!(f, "settings.json:{line}"),
            Self::Default => f.write_str("default"),
            Self::HostName => f.write_str("host name"),
            Self::Unset => f.write_str("not set"),
        }
    }
}

/// Where every setting came from, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance(pub(crate) BTreeMap<&'static str, Origin>);

impl Provenance {
    /// Where the key's value came from; `None` for a path that is no key.
    pub fn of(&self, key: &str) -> Option<&Origin> {
        self.0.get(key)
    }

    /// Every key and its origin.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Origin)> {
        self.0.iter().map(|(key, origin)| (*key, origin))
    }
}
