//! `cloudflare-sim`: a simulated Cloudflare and Telegram.

/// Errors are printed once, as a chain, and end the process with 1.
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    cf_sim::run_cli().await
}
