//! `cloudflare-autowithdraw`: arguments, settings, frame, run. Without a command it is the daemon.

use std::process::ExitCode;

use autowithdraw::commands::{self, Asked};
use daemon::service::run_service_from;
use daemon::{PreboundListener, ServiceSpec};
use settings::Need;

fn main() -> ExitCode {
    let arguments = match commands::asked(std::env::args_os()) {
        Ok(Asked::Daemon(arguments)) => arguments,
        Ok(Asked::Command(command)) => return command.run(),
        Err(code) => return code,
    };
    let spec = ServiceSpec {
        needs: &[Need::CloudflareApi],
        drain: autowithdraw::service::DRAIN,
        ..ServiceSpec::new(commands::PROGRAM, commands::ABOUT)
    };
    run_service_from(&spec, arguments, |frame, loaded| async move {
        let listen = loaded.settings.autowithdraw.listen;
        let listener = PreboundListener::bind(listen, "autowithdraw.listen")?;
        autowithdraw::run(frame, loaded.settings, listener).await
    })
}
