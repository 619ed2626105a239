//! What the process was given besides its files, as plain values.
//!
//! [`Environment::of_process`] is the only place of this crate that looks at the running process;
//! everything else works on a value that tests can make up.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::keys::VARIABLE_PREFIX;

/// Names the configuration folder when no `--config-dir` does.
pub const CONFIG_DIR_VARIABLE: &str = "CLOUDFLARE_MT_CONFIG_DIR";

/// The configuration folder when nothing names another.
pub const DEFAULT_CONFIG_DIR: &str = "/etc/cloudflare-mt";

/// Where systemd puts the credentials of a unit (systemd.exec, `LoadCredential=`).
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// The group that the installation gives the configuration to.
const SERVICE_GROUP: &str = "cloudflare-mt";

/// Variables and facts about the process that configuration depends on.
#[derive(Clone, Default)]
pub struct Environment {
    /// Variables by name; only ours and systemd's credentials folder are ever looked at.
    pub variables: BTreeMap<String, String>,
    /// Default of `organisation.server`.
    pub host_name: Option<String>,
    /// Groups whose members may read files with secrets; for any other group a warning is given.
    pub trusted_groups: Vec<u32>,
}

impl fmt::Debug for Environment {
    /// Names only: values can be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("host_name", &self.host_name)
            .field("trusted_groups", &self.trusted_groups)
            .finish()
    }
}

impl Environment {
    /// Looks at the running process once: its variables, its host name, its groups.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?;
                let ours = name.starts_with(VARIABLE_PREFIX) || name == CREDENTIALS_VARIABLE;
                ours.then(|| (name, value.to_string_lossy().into_owned()))
            })
            .collect();
        let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty());
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
        Self {
            variables,
            host_name,
            trusted_groups: trusted_groups(&status, &groups),
        }
    }

    /// The variable's value.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The folder of systemd credentials, if the unit has any.
    pub(crate) fn credentials(&self) -> Option<PathBuf> {
        self.variable(CREDENTIALS_VARIABLE)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    }

    /// The folder named by the variable, if it is set and not empty.
    pub(crate) fn config_dir(&self) -> Option<PathBuf> {
        self.variable(CONFIG_DIR_VARIABLE)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    }
}

/// Root's group, the service's group, and the groups of this process unless it is root's (root is
/// in groups like `adm`, whose members are people).
fn trusted_groups(status: &str, groups: &str) -> Vec<u32> {
    let numbers = |label: &str| -> Vec<u32> {
        status
            .lines()
            .find_map(|line| line.strip_prefix(label))
            .map(|rest| rest.split_whitespace().filter_map(|n| n.parse().ok()).collect())
            .unwrap_or_default()
    };
    let mut trusted = vec![0];
    if numbers("Uid:").first().is_some_and(|uid| *uid != 0) {
        trusted.extend(numbers("Gid:"));
        trusted.extend(numbers("Groups:"));
    }
    trusted.extend(groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == SERVICE_GROUP)
            .then(|| fields.nth(1)?.parse::<u32>().ok())
            .flatten()
    }));
    trusted.sort_unstable();
    trusted.dedup();
    trusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_group_is_trusted_and_roots_own_groups_are_not() {
        let groups = "root:x:0:\nadm:x:4:kim\ncloudflare-mt:x:990:\n";
        let root = "Name:\tx\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 4 \n";
        assert_eq!(trusted_groups(root, groups), [0, 990]);
        let service = "Uid:\t990\t990\t990\t990\nGid:\t991\t991\t991\t991\nGroups:\t12 \n";
        assert_eq!(trusted_groups(service, ""), [0, 12, 991]);
    }

    #[test]
    fn debug_shows_no_values() {
        let environment = Environment {
            variables: [("CLOUDFLARE_MT_CLOUDFLARE_API_TOKEN".to_owned(), "hush".to_owned())].into(),
            ..Environment::default()
        };
        assert!(!format!("{environment:?}").contains("hush"));
    }
}
