//! `cloudflare-webhook`: arguments, settings, frame, run.

use std::process::ExitCode;
use std::sync::Arc;

use daemon::{PreboundListener, ServiceSpec, run_service};
use settings::{LoadOptions, Need};

const NEEDS: &[Need] = &[Need::WebhookSecret];

fn main() -> ExitCode {
    let spec = ServiceSpec {
        needs: NEEDS,
        // In a storm of alerts one thread reads requests and one writes.
        heaps: 2,
        ..ServiceSpec::new(
            "cloudflare-webhook",
            "Receives Cloudflare's notifications and stores them durably before answering.",
        )
    };
    run_service(&spec, |frame, loaded| async move {
        let listener = PreboundListener::bind(loaded.settings.webhook.listen, "webhook.listen")?;
        let directory = loaded.directory.clone();
        let reload = move || {
            let options = LoadOptions::of_process(Some(directory.clone()), NEEDS);
            settings::load(&options).map(|loaded| loaded.settings)
        };
        webhook::run(frame, loaded.settings, listener, Some(Arc::new(reload))).await
    })
}
