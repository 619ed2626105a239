//! `cloudflare-mt`: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::command::parse::<mt_admin::Cli>() {
        Ok(arguments) => mt_admin::run(arguments),
        Err(code) => code,
    }
}
