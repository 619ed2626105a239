//! The way from a folder to [`Settings`]: raw documents, merged values, validated settings.

use std::path::{Path, PathBuf};

use crate::environment::{DEFAULT_CONFIG_DIR, Environment};
use crate::files::{self, Document};
use crate::legacy::{self, Legacy};
use crate::mapping::{self, MAPPING_FILE};
use crate::merge::{self, SETTINGS_FILE};
use crate::model::Settings;
use crate::provenance::Provenance;
use crate::report::{Code, ConfigReport, Problem, Severity};
use crate::rules::Rules;
use crate::site::{Problems, Site};
use crate::{CONFIG_DIR_VARIABLE, assemble, keys, values};

/// Something a program cannot work without although others can: its absence is an error for the
/// programs that name it, and a warning for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A credential for the Cloudflare API.
    CloudflareApi,
    /// A webhook secret (or the explicit permission to go without).
    WebhookSecret,
}

/// What to load, and for whom.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The folder given on the command line; else the variable
    /// [`CONFIG_DIR_VARIABLE`](crate::CONFIG_DIR_VARIABLE), else
    /// [`DEFAULT_CONFIG_DIR`](crate::DEFAULT_CONFIG_DIR).
    pub config_dir: Option<PathBuf>,
    /// Variables and facts of the process.
    pub environment: Environment,
    /// What the program cannot work without.
    pub needs: Vec<Need>,
    /// Accept the mask of a printed configuration as a secret. Only for comparing printed
    /// configurations; a program that set it would run with useless credentials.
    pub accept_masked_secrets: bool,
}

impl LoadOptions {
    /// For the running process: its environment is looked at here and nowhere else.
    pub fn of_process(config_dir: Option<PathBuf>, needs: &[Need]) -> Self {
        Self {
            config_dir,
            environment: Environment::of_process(),
            needs: needs.to_vec(),
            accept_masked_secrets: false,
        }
    }

    /// The folder that is read.
    pub fn directory(&self) -> PathBuf {
        self.config_dir
            .clone()
            .or_else(|| self.environment.config_dir())
            .unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG_DIR))
    }
}

/// Settings that can be used, and what somebody should know about them.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Problems that do not stop a start, in file order.
    pub warnings: Vec<Problem>,
    /// Where every value came from.
    pub provenance: Provenance,
    /// The folder that was read.
    pub directory: PathBuf,
}

impl Loaded {
    /// Warnings as a report, for printing.
    pub fn report(&self) -> ConfigReport {
        ConfigReport::new(&self.directory, self.warnings.clone())
    }

    /// What `--check-config` says: like a start, but unknown keys and variables fail, since they
    /// are typing errors more often than not.
    ///
    /// # Errors
    /// The report, with those problems as errors.
    pub fn check(&self) -> Result<(), ConfigReport> {
        if !self.warnings.iter().any(Problem::fails_check) {
            return Ok(());
        }
        let problems = self.warnings.iter().cloned().map(|mut problem| {
            if problem.fails_check() {
                problem.severity = Severity::Error;
            }
            problem
        });
        Err(ConfigReport::new(&self.directory, problems.collect()))
    }
}

/// Reads and checks the whole configuration.
///
/// # Errors
/// A [`ConfigReport`] with every problem that was found, warnings included, when at least one of
/// them makes the configuration unusable.
pub fn load(options: &LoadOptions) -> Result<Loaded, ConfigReport> {
    let directory = options.directory();
    let mut problems = Problems::default();
    let settings = attempt(options, &directory, &mut problems);
    match settings {
        Some((settings, provenance)) if !problems.any_error() => {
            let mut warnings = problems.0;
            crate::report::sort(&mut warnings);
            Ok(Loaded {
                settings,
                warnings,
                provenance,
                directory,
            })
        }
        _ => {
            if !problems.any_error() {
                problems.error(
                    Code::Internal,
                    &Site::file(&directory),
                    "the settings could not be put together although no fault was found",
                    "report this with the output of --check-config",
                );
            }
            Err(ConfigReport::new(&directory, problems.0))
        }
    }
}

fn attempt(options: &LoadOptions, directory: &Path, problems: &mut Problems) -> Option<(Settings, Provenance)> {
    let reader = Reader { options, directory };
    let document = reader.settings(problems);
    let main_is_usable = document.is_some();
    let merged = merge::merge(directory, document.as_ref(), &options.environment, problems);
    if let Some(document) = &document {
        reader.check_readers(document, problems);
    }
    let values = values::read_all(&merged, options.accept_masked_secrets, problems);
    let errors_before = error_count(problems);
    let mapping = reader.mapping(problems);
    let mapping_is_broken = error_count(problems) > errors_before;
    let legacy = reader.legacy(problems);
    if main_is_usable {
        Rules {
            merged: &merged,
            values: &values,
            mapping: &mapping,
            mapping_is_broken,
            needs: &options.needs,
            problems,
        }
        .check();
    }
    let host_name = options.environment.host_name.as_deref();
    let settings = assemble::assemble(&values, mapping, legacy, host_name)?;
    Some((settings, merged.provenance()))
}

fn error_count(problems: &Problems) -> usize {
    problems
        .0
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count()
}

/// Reads the files of one folder.
struct Reader<'a> {
    options: &'a LoadOptions,
    directory: &'a Path,
}

impl Reader<'_> {
    fn trusted_groups(&self) -> &[u32] {
        &self.options.environment.trusted_groups
    }

    fn document(&self, name: &str, severity: Severity, problems: &mut Problems) -> Option<Document> {
        let path = self.directory.join(name);
        files::read_document(&path, severity, self.trusted_groups(), problems)
    }

    fn settings(&self, problems: &mut Problems) -> Option<Document> {
        let before = problems.0.len();
        let document = self.document(SETTINGS_FILE, Severity::Error, problems);
        if document.is_none() && problems.0.len() == before {
            let path = self.directory.join(SETTINGS_FILE);
            let (what, remedy) = if self.directory.is_dir() {
                (
                    "there is no settings.json in this folder",
                    "copy settings.json.example to settings.json and put your values in".to_owned(),
                )
            } else {
                (
                    "the configuration folder does not exist",
                    format!("create it, or name another with --config-dir or {CONFIG_DIR_VARIABLE}"),
                )
            };
            problems.error(Code::FileMissing, &Site::file(&path), what, remedy);
        }
        document
    }

    /// Settings that name no secret may be read by everybody.
    fn check_readers(&self, document: &Document, problems: &mut Problems) {
        let holds_secrets = keys::KEYS
            .iter()
            .any(|key| key.kind.is_secret() && document.root.at(key.path).is_some());
        if holds_secrets {
            files::check_readers(&document.path, document.access, self.trusted_groups(), problems);
        }
    }

    fn mapping(&self, problems: &mut Problems) -> Vec<crate::model::MappedPrefix> {
        self.document(MAPPING_FILE, Severity::Error, problems)
            .map(|document| mapping::read(&document, problems))
            .unwrap_or_default()
    }

    fn legacy(&self, problems: &mut Problems) -> Legacy {
        let auth = self.document(legacy::AUTH_FILE, Severity::Warning, problems);
        if let Some(document) = &auth {
            files::check_readers(&document.path, document.access, self.trusted_groups(), problems);
        }
        Legacy {
            auth: auth.and_then(|document| legacy::read_auth(&document, problems)),
            dashboard_prefs: self
                .document(legacy::PREFERENCES_FILE, Severity::Warning, problems)
                .map(|document| legacy::read_preferences(&document, problems)),
        }
    }
}
