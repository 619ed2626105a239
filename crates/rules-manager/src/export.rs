//! `export`: all rules in a file, as a rules file or as JSON. Whole or not there at all; nothing is overwritten unasked.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use cf_api::rest::rulesets::{MANAGED_DDOS_L4, Phase};
use cli::{Out, Trouble, words};
use daemon::exit;
use rules::file::of_live;

use crate::args::Format;
use crate::source::Source;

/// Saves them.
///
/// # Errors
/// When they cannot be read, or the file cannot be written.
pub async fn run(source: &Source, out: Out, file: &Path, force: bool, format: Option<Format>) -> Result<u8, Trouble> {
    let to_stdout = file == Path::new("-");
    // Before anything is asked for in vain.
    if !to_stdout && !force && file.symlink_metadata().is_ok() {
        let text = format!("{} exists already; nothing was written", file.display());
        return Err(Trouble::blocked("export.exists", text).remedy("choose another name, or add --force"));
    }
    let is_toml = file.extension().is_some_and(|it| it.eq_ignore_ascii_case("toml"));
    if format == Some(Format::Toml) || (format.is_none() && is_toml) {
        return rules_file(source, out, file, force, to_stdout).await;
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

/// Everything that a rules file can hold.
async fn rules_file(source: &Source, out: Out, file: &Path, force: bool, to_stdout: bool) -> Result<u8, Trouble> {
    let api = source.client()?;
    let mnm = source.read_by(&api).await?.raw;
    let unavailable = |error: cf_api::CfError| crate::unavailable(&error);
    let managed = api.get_ruleset(MANAGED_DDOS_L4).await.map_err(unavailable)?;
    let point = api.get_entry_point(Phase::DDOS_L4).await.map_err(unavailable)?;
    let (made, left_out) = of_live(&mnm, &managed, &point);
    for it in &left_out {
        out.aside(&format!("note: {}\n", words::outside(it, 300)));
    }
    let text = made
        .to_toml()
        .map_err(|error| Trouble::failed("output.failed", format!("the rules have no TOML form: {error}")))?;
    if to_stdout {
        out.text(&text)?;
        return Ok(exit::DONE);
    }
    write(file, text.trim_end(), force).map_err(|error| {
        let what = format!("{} could not be written: {error}", file.display());
        Trouble::failed("output.failed", what)
    })?;
    let count = made.mnm.iter().flatten().count()
        + made.overrides.iter().flatten().count()
        + usize::from(made.global.is_some());
    if out.is_json() {
        out.document(
            &serde_json::json!({"schema": "cloudflare-mt/rules-export/1", "at": source.now(), "path": file,
            "rules": count, "left_out": left_out}),
        )?;
    } else {
        out.text(&format!(
            "{} saved in {}\n",
            words::counted(count, "rule", "rules"),
            file.display()
        ))?;
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
