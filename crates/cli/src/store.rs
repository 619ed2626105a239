//! The database, opened as a command needs it. Blocking; it takes milliseconds.

use std::path::Path;

use db::{Db, OpenOptions};

use crate::trouble::Trouble;

/// For commands that only look: nothing is created, migrated or written.
///
/// # Errors
/// Why it cannot be read.
pub fn reading(path: &Path) -> Result<Db, Trouble> {
    Db::open(path, OpenOptions::read_only()).map_err(|error| Trouble::open(&error))
}

/// For commands that look and ask Cloudflare: where the file may be written, their calls are counted with everybody
/// else's; otherwise it is read. It is never created or migrated on the way.
///
/// # Errors
/// Why it cannot be read.
pub fn counting(path: &Path) -> Result<Db, Trouble> {
    // The first shows that the file exists in the schema we know; so the second only opens it.
    let reading = reading(path)?;
    let options = OpenOptions {
        readers: 1,
        ..OpenOptions::default()
    };
    Ok(Db::open(path, options).unwrap_or(reading))
}

/// For commands that change something: created or migrated if need be. Nothing is done that cannot be recorded.
///
/// # Errors
/// Why it cannot be written.
pub fn acting(path: &Path) -> Result<Db, Trouble> {
    Db::open(path, OpenOptions::default()).map_err(|error| Trouble::open(&error))
}
