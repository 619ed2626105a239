//! `cloudflare-webhook`: arguments, settings, frame, run.

use std::process::ExitCode;

use daemon::{PreboundListener, ServiceSpec, run_service};
use settings::Need;

fn main() -> ExitCode {
    let spec = ServiceSpec {
        needs: &[Need::WebhookSecret],
        ..ServiceSpec::new(
            "cloudflare-webhook",
            "Receives Cloudflare's notifications and stores them durably before answering.",
        )
    };
    run_service(&spec, |frame, loaded| async move {
        let listener = PreboundListener::bind(loaded.settings.webhook.listen, "webhook.listen").await?;
        webhook::run(frame, loaded.settings, listener).await
    })
}
