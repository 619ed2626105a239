//! `cloudflare-prefix-manager`: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::command::parse::<prefix_manager::Cli>() {
        Ok(arguments) => prefix_manager::run(arguments),
        Err(code) => code,
    }
}
