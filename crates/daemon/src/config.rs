//! Loading the configuration before anything else happens, and answering `--check-config` and `--print-config`.
//!
//! The frame knows of the configuration only that it can be loaded, reported on and printed ([`Configuration`]); what is
//! in it is the services' business.

use std::path::Path;
use std::process::ExitCode;

use crate::args::CommonArgs;
use crate::exit;
use crate::output;

/// A validated configuration of a program.
pub trait Configuration: Sized + Send + 'static {
    /// Reads the files in `dir` and the environment, all problems at once.
    ///
    /// # Errors
    /// The report to show when a program cannot work with what is there.
    fn load(dir: &Path) -> Result<Self, BadConfig>;

    /// Findings that do not prevent a start but deserve a look, such as unknown keys or a file others can read. They
    /// are logged at start and make `--check-config` fail where [`Finding::fails_check`] says so.
    fn findings(&self) -> Vec<Finding>;

    /// What is in effect, as text with secrets masked and a newline at the end.
    fn printed(&self) -> String;
}

/// The configuration cannot be used. The text is the full report, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{report}")]
pub struct BadConfig {
    /// Every problem with file, key, value and remedy.
    pub report: String,
}

/// A remark about a configuration that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found, where, and what to do, on one line.
    pub text: String,
    /// Whether `--check-config` fails because of it.
    pub fails_check: bool,
}

/// Loads the configuration and answers `--check-config` and `--print-config`. `Err` is the exit code when that was all,
/// or when the configuration cannot be used and its report has been printed.
///
/// # Errors
/// When there is nothing to start.
pub fn load_or_answer<C: Configuration>(args: &CommonArgs) -> Result<C, ExitCode> {
    let config = match C::load(&args.config_dir) {
        Ok(config) => config,
        Err(bad) => {
            output::complain(&with_newline(bad.report));
            return Err(ExitCode::from(exit::BAD_CONFIG));
        }
    };
    if args.check_config {
        return Err(ExitCode::from(check(&config, &args.config_dir)));
    }
    if args.print_config {
        return Err(ExitCode::from(print_out(&config.printed())));
    }
    Ok(config)
}

fn check<C: Configuration>(config: &C, dir: &Path) -> u8 {
    let findings = config.findings();
    for finding in &findings {
        output::complain(&with_newline(finding.text.clone()));
    }
    if findings.iter().any(|finding| finding.fails_check) {
        return exit::BAD_CONFIG;
    }
    print_out(&format!("{}: the configuration is good\n", dir.display()))
}

fn print_out(text: &str) -> u8 {
    match output::print(text) {
        Ok(()) => exit::DONE,
        Err(error) => {
            output::complain(&format!("cannot write to standard output: {error}\n"));
            exit::FAILURE
        }
    }
}

fn with_newline(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{parse_service, service_command};

    #[derive(Debug)]
    struct Fake {
        findings: Vec<Finding>,
    }

    impl Configuration for Fake {
        fn load(dir: &Path) -> Result<Self, BadConfig> {
            let finding = |fails_check| Finding {
                text: "settings.json: unknown key `webhok`".into(),
                fails_check,
            };
            match dir.to_str() {
                Some("good") => Ok(Self { findings: vec![] }),
                Some("remark") => Ok(Self { findings: vec![finding(false)] }),
                Some("unknown-key") => Ok(Self { findings: vec![finding(true)] }),
                _ => Err(BadConfig { report: "settings.json is missing".into() }),
            }
        }

        fn findings(&self) -> Vec<Finding> {
            self.findings.clone()
        }

        fn printed(&self) -> String {
            "{}\n".into()
        }
    }

    fn outcome(arguments: &[&str]) -> Result<Fake, ExitCode> {
        let argv = std::iter::once(&"cloudflare-test").chain(arguments);
        let command = service_command("cloudflare-test", "Does nothing.", &[]);
        load_or_answer(&parse_service(command, argv).expect("understood"))
    }

    #[test]
    fn only_a_good_configuration_without_questions_starts() {
        assert!(outcome(&["--config-dir", "good"]).is_ok());
        assert!(outcome(&["--config-dir", "unknown-key"]).is_ok(), "a remark does not prevent the start");
        let cases: [(&[&str], u8); 6] = [
            (&["--config-dir", "nowhere"], exit::BAD_CONFIG),
            (&["--config-dir", "nowhere", "--check-config"], exit::BAD_CONFIG),
            (&["--config-dir", "good", "--check-config"], exit::DONE),
            (&["--config-dir", "remark", "--check-config"], exit::DONE),
            (&["--config-dir", "unknown-key", "--check-config"], exit::BAD_CONFIG),
            (&["--config-dir", "unknown-key", "--print-config"], exit::DONE),
        ];
        for (arguments, code) in cases {
            assert_eq!(outcome(arguments).expect_err("no start"), ExitCode::from(code), "{arguments:?}");
        }
    }
}
