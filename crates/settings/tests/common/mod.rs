//! A configuration folder of one's own for each test, readable by its owner only.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use settings::{Environment, LoadOptions, Need};
use tempfile::TempDir;

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

pub(crate) struct Folder {
    folder: TempDir,
    pub(crate) variables: BTreeMap<String, String>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            variables: BTreeMap::new(),
        }
    }

    /// A folder with this `settings.json`.
    pub(crate) fn with(settings: &str) -> Self {
        let mut folder = Self::new();
        folder.write("settings.json", settings);
        folder
    }

    /// A copy with the modes that an installation gives; `environment.txt` holds variables.
    pub(crate) fn copy_of(case: &Path) -> Self {
        let mut folder = Self::new();
        folder.copy(case, "");
        folder
    }

    fn copy(&mut self, from: &Path, below: &str) {
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                self.copy(&path, &format!("{below}{name}/"));
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            match name {
                "report.txt" | "printed.json" => {}
                "environment.txt" => {
                    let directory = self.path().to_str().unwrap().to_owned();
                    for line in text.lines() {
                        let (name, value) = line.split_once('=').unwrap();
                        let value = value.replace("{DIR}", &directory);
                        self.variables.insert(name.to_owned(), value);
                    }
                }
                _ => self.write(&format!("{below}{name}"), &text),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&mut self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        self.chmod(name, 0o600);
    }

    pub(crate) fn chmod(&self, name: &str, mode: u32) {
        let path = self.path().join(name);
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn options(&self, needs: &[Need]) -> LoadOptions {
        LoadOptions {
            config_dir: Some(self.path().to_owned()),
            environment: Environment {
                variables: self.variables.clone(),
                host_name: Some("mt1.example".to_owned()),
                trusted_groups: Vec::new(),
            },
            needs: needs.to_vec(),
            accept_masked_secrets: false,
        }
    }

    /// A report with the folder's name made constant.
    pub(crate) fn shown(&self, report: &str) -> String {
        report.replace(self.path().to_str().unwrap(), "/etc/cloudflare-mt")
    }
}
