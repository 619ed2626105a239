//! `export`: all rules in a file. Whole or not there at all; nothing is overwritten unasked.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use cli::{Out, Trouble, words};
use daemon::exit;

use crate::rules::Source;

/// Saves them.
///
/// # Errors
/// When they cannot be read, or the file cannot be written.
pub async fn run(source: &Source, out: Out, file: &Path, force: bool) -> Result<u8, Trouble> {
    let to_stdout = file == Path::new("-");
    // Before anything is asked for in vain.
    if !to_stdout && !force && file.symlink_metadata().is_ok() {
        let text = format!("{} exists already; nothing was written", file.display());
        return Err(Trouble::blocked("export.exists", text).remedy("choose another name, or add --force"));
    }
    let rules = source.read().await?;
    if to_stdout {
        out.document(&rules)?;
        return Ok(exit::DONE);
    }
    let text = serde_json::to_string_pretty(&rules)
        .map_err(|error| Trouble::failed("output.failed", format!("the rules have no JSON form: {error}")))?;
    write(file, &text, force).map_err(|error| {
        let what = format!("{} could not be written: {error}", file.display());
        Trouble::failed("output.failed", what)
    })?;
    let count = words::counted(rules.rules.len(), "rule", "rules");
    if out.is_json() {
        out.document(&serde_json::json!({
            "schema": "cloudflare-mt/mnm-export/1",
            "at": rules.at,
            "path": file,
            "rules": rules.rules.len(),
        }))?;
    } else {
        out.text(&format!("{count} saved in {}\n", file.display()))?;
    }
    Ok(exit::DONE)
}

/// Under another name first, so that a full disk leaves an existing file as it was.
fn write(file: &Path, text: &str, force: bool) -> io::Result<()> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = Path::new(&partial);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(partial)
        .and_then(|mut out| writeln!(out, "{text}").and_then(|()| out.sync_all()))
        .and_then(|()| {
            if force {
                fs::rename(partial, file)
            } else {
                // Fails when somebody was faster; a rename would replace theirs.
                fs::hard_link(partial, file)
            }
        });
    if !force || written.is_err() {
        // Best effort: it is ours, and its name says what it is.
        let _ = fs::remove_file(partial);
    }
    written
}
