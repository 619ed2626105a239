//! `cloudflare-autowithdraw`: arguments, settings, frame, run.

use std::process::ExitCode;

use daemon::{PreboundListener, ServiceSpec, run_service};
use settings::Need;

fn main() -> ExitCode {
    let spec = ServiceSpec {
        needs: &[Need::CloudflareApi],
        drain: autowithdraw::service::DRAIN,
        ..ServiceSpec::new(
            "cloudflare-autowithdraw",
            "Withdraws prefixes from Cloudflare when calm is proven, and only then.",
        )
    };
    run_service(&spec, |frame, loaded| async move {
        let listen = loaded.settings.autowithdraw.listen;
        let listener = PreboundListener::bind(listen, "autowithdraw.listen").await?;
        autowithdraw::run(frame, loaded.settings, listener).await
    })
}
