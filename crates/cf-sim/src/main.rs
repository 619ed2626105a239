//! `cloudflare-sim`: a simulated Cloudflare and Telegram.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cf_sim::run_cli().await
}
