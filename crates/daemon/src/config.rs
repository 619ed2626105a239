//! Loading the configuration before anything else happens, and answering `--check-config` and `--print-config`.
//!
//! What the settings mean and how a report reads is `settings`' business; here is only what a program does with them.

use std::process::ExitCode;

use settings::{ConfigReport, LoadOptions, Loaded, Need};

use crate::args::CommonArgs;
use crate::exit;
use crate::output;

/// Loads the configuration a program needs and answers `--check-config` and `--print-config`. `Err` is the exit code
/// when that was all, or when the configuration cannot be used and its report has been printed.
///
/// # Errors
/// When there is nothing to start.
pub fn load_or_answer(args: &CommonArgs, needs: &[Need]) -> Result<Loaded, ExitCode> {
    let options = LoadOptions::of_process(Some(args.config_dir.clone()), needs);
    answer(args, settings::load(&options)).map_err(ExitCode::from)
}

fn answer(args: &CommonArgs, loaded: Result<Loaded, ConfigReport>) -> Result<Loaded, u8> {
    let loaded = loaded.map_err(|report| refuse(&report))?;
    if args.check_config {
        return Err(match loaded.check() {
            Ok(()) => show(&loaded.report().to_string()),
            Err(report) => refuse(&report),
        });
    }
    if args.print_config {
        return Err(show(&settings::print_config(&loaded.settings)));
    }
    Ok(loaded)
}

fn refuse(report: &ConfigReport) -> u8 {
    output::complain(&report.to_string());
    report.exit_code()
}

fn show(text: &str) -> u8 {
    match output::print(text) {
        Ok(()) => exit::DONE,
        Err(error) => {
            output::complain(&format!("cannot write to standard output: {error}\n"));
            exit::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use settings::Environment;

    use super::*;
    use crate::args::{parse_service, service_command};

    /// What the program does with this `settings.json` and these arguments: start, or this exit code.
    fn outcome(settings_json: Option<&str>, arguments: &[&str]) -> Result<(), u8> {
        let dir = tempfile::tempdir().expect("a directory");
        if let Some(text) = settings_json {
            fs::write(dir.path().join("settings.json"), text).expect("writes");
        }
        let argv = std::iter::once(&"cloudflare-test").chain(arguments);
        let args = parse_service(service_command("cloudflare-test", "Does nothing.", &[]), argv).expect("understood");
        let options = LoadOptions {
            config_dir: Some(dir.path().to_owned()),
            environment: Environment::default(),
            ..LoadOptions::default()
        };
        answer(&args, settings::load(&options)).map(drop)
    }

    #[test]
    fn only_a_good_configuration_without_questions_starts() {
        let account = r#""cloudflare": {"account_id": "00112233445566778899aabbccddeeff"}"#;
        let (good, unknown_key) = (format!("{{{account}}}"), format!(r#"{{{account}, "webhok": {{}}}}"#));
        let (good, unknown_key, broken) = (Some(good.as_str()), Some(unknown_key.as_str()), Some("{"));
        assert_eq!(outcome(good, &[]), Ok(()));
        assert_eq!(outcome(good, &["--check-config"]), Err(exit::DONE));
        assert_eq!(outcome(good, &["--print-config"]), Err(exit::DONE));
        assert_eq!(
            outcome(unknown_key, &[]),
            Ok(()),
            "a typing error does not prevent the start"
        );
        assert_eq!(outcome(unknown_key, &["--check-config"]), Err(exit::BAD_CONFIG));
        assert_eq!(outcome(broken, &[]), Err(exit::BAD_CONFIG));
        assert_eq!(outcome(broken, &["--print-config"]), Err(exit::BAD_CONFIG));
    }
}
