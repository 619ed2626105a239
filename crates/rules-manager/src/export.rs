//! `export`: all rules in a file, as a rules file (TOML, YAML) or as JSON. Whole or not there at all; nothing is overwritten unasked.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use cli::{Out, Trouble, words};
use daemon::exit;
use rules::file::of_live;
use serde_json::{Value, json};

use crate::args::{ExportArgs, Form};
use crate::form;
use crate::source::{Source, read_ddos};

/// Saves them.
///
/// # Errors
/// When they cannot be read, or the file cannot be written.
pub async fn run(source: &Source, out: Out, asked: &ExportArgs) -> Result<u8, Trouble> {
    let file = asked.file.as_path();
    let to_stdout = file == Path::new("-");
    // Before anything is asked for in vain.
    if !to_stdout && !asked.force && file.symlink_metadata().is_ok() {
        let text = format!("{} exists already; nothing was written", file.display());
        return Err(Trouble::blocked("export.exists", text).remedy("choose another name, or add --force"));
    }
    let made = match form::of(file, asked.format).unwrap_or(Form::Json) {
        Form::Json => monitoring_rules(source).await?,
        form => rules_file(source, out, form).await?,
    };
    if to_stdout {
        out.text(&format!("{}\n", made.text.trim_end()))?;
        return Ok(exit::DONE);
    }
    write(file, made.text.trim_end(), asked.force).map_err(|error| {
        let what = format!("{} could not be written: {error}", file.display());
        Trouble::failed("output.failed", what)
    })?;
    if out.is_json() {
        let mut document = made.document;
        document["path"] = json!(file);
        document["rules"] = json!(made.rules);
        out.document(&document)?;
    } else {
        let count = words::counted(made.rules, "rule", "rules");
        out.text(&format!("{count} saved in {}\n", file.display()))?;
    }
    Ok(exit::DONE)
}

/// What is to be saved, and what `--json` says of it.
struct Made {
    text: String,
    rules: usize,
    document: Value,
}

/// Monitoring rules alone, as `list --json` prints them.
async fn monitoring_rules(source: &Source) -> Result<Made, Trouble> {
    let rules = source.read().await?;
    let text = serde_json::to_string_pretty(&rules)
        .map_err(|error| Trouble::failed("output.failed", format!("the rules have no JSON form: {error}")))?;
    Ok(Made {
        text,
        rules: rules.rules.len(),
        document: json!({"schema": "cloudflare-mt/mnm-export/1", "at": rules.at}),
    })
}

/// Everything that a rules file can hold.
async fn rules_file(source: &Source, out: Out, form: Form) -> Result<Made, Trouble> {
    let api = source.client()?;
    let mnm = source.read_by(&api).await?.raw;
    let (managed, point) = read_ddos(&api).await?;
    let (made, left_out) = of_live(&mnm, &managed, &point);
    for it in &left_out {
        out.aside(&format!("note: {}\n", words::outside(it, 300)));
    }
    let text = form::write(&made, form)
        .map_err(|error| Trouble::failed("output.failed", format!("the rules cannot be written so: {error}")))?;
    let rules = made.mnm.iter().flatten().count()
        + made.overrides.iter().flatten().count()
        + usize::from(made.global.is_some());
    Ok(Made {
        text,
        rules,
        document: json!({"schema": "cloudflare-mt/rules-export/1", "at": source.now(), "left_out": left_out}),
    })
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
