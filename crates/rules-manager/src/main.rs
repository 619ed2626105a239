//! `cloudflare-rules-manager`: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::command::parse::<rules_manager::Cli>() {
        Ok(arguments) => rules_manager::run(arguments),
        Err(code) => code,
    }
}
