//! `cloudflare-dashboard`: arguments, settings, frame, run.

use std::process::ExitCode;

use daemon::{PreboundListener, ServiceSpec, run_service};

fn main() -> ExitCode {
    let spec = ServiceSpec::new("cloudflare-dashboard", "Serves the web dashboard and its JSON API.");
    run_service(&spec, |frame, loaded| async move {
        let listener = PreboundListener::bind(loaded.settings.dashboard.listen, "dashboard.listen")?;
        dashboard::run(frame, loaded.settings, listener).await
    })
}
