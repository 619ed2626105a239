//! `cloudflare-sim`: a simulated Cloudflare and Telegram.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    cf_sim::run_cli().await
}
