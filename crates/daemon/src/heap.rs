//! As few heaps as a service needs. The C library gives each thread that allocates a heap of its own, which for a service that
//! mostly waits is a third of its own memory; it reads the limit only from the environment and only when a program
//! starts, so the program starts itself once more with it.
//!
//! Must hold: the process stays the same one (its id, its files, its place under the service manager); an operator's own
//! setting is left alone; where it does not work, the service runs as it is.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The C library's limit on the number of heaps. Source: mallopt(3).
const LIMIT: &str = "MALLOC_ARENA_MAX";

/// Goes on as the same program with so many heaps, unless the limit is set already. To be called before anything is opened.
pub(crate) fn keep_to(heaps: u8) {
    if env::var_os(LIMIT).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut arguments = env::args_os();
    let Some(name) = arguments.next() else { return };
    // It returns only when it failed, and then nothing has changed.
    let _ = Command::new(program)
        .arg0(name)
        .args(arguments)
        .env(LIMIT, heaps.to_string())
        .exec();
}
