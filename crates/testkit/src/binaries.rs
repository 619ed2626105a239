//! Where cargo put the programs.
//!
//! Cargo builds the binaries of a package for that package's own tests only, so these come from
//! `cargo build --workspace --bins` (`scripts/test` runs it first), beside the test itself.

use std::path::PathBuf;

/// Names a folder with the programs, instead of the one beside the test.
pub const FOLDER_VARIABLE: &str = "CLOUDFLARE_MT_TEST_BINARIES";

/// Path of the program called `name`.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let folder = match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) => PathBuf::from(folder),
        None => {
            let test = std::env::current_exe().expect("our own path");
            // target/PROFILE/deps/TEST
            let deps = test.parent().expect("a folder");
            deps.parent().expect("the profile's folder").to_owned()
        }
    };
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} does not exist: run `cargo build --workspace --bins` first, or scripts/test",
        path.display()
    );
    path
}
