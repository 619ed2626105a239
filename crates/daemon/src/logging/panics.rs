//! A panic as one log line instead of several on stderr, so that it is found by its event name like everything else.
//!
//! What becomes of the process is decided elsewhere: a panic in a loop ends it, one in a request handler does not.

use std::panic::PanicHookInfo;

/// From here on every panic of this process is logged. The standard text follows only when a backtrace was asked for.
pub(super) fn report_as_events() {
    let standard = std::panic::take_hook();
    let with_backtrace = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    std::panic::set_hook(Box::new(move |info| {
        log(info);
        if with_backtrace {
            standard(info);
        }
    }));
}

fn log(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let problem = info.payload_as_str().unwrap_or("a value that is not text");
    tracing::error!(
        event = "process.panicked",
        thread = thread.name().unwrap_or("unnamed"),
        at,
        problem
    );
}
