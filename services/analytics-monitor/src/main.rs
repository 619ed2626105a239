//! `cloudflare-analytics-monitor`: arguments, settings, frame, run.

use std::process::ExitCode;

use analytics_monitor::{args, command};
use daemon::PreboundListener;
use daemon::service::run_service_with;

fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    if args.once || args.test {
        return command::run(args);
    }
    let common = args.common.clone();
    run_service_with(&args::spec(), &common, |frame, loaded| async move {
        let mut settings = loaded.settings;
        args.apply(&mut settings)?;
        let listener = PreboundListener::bind(settings.analytics.listen, "analytics.listen")?;
        analytics_monitor::run(frame, settings, listener).await
    })
}
