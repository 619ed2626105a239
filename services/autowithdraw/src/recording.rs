//! Writes what every cycle looked at as one line of JSON, when the settings ask for it.
//!
//! Bounded: so many files of so many bytes, the oldest goes first. Must hold: a recording that cannot be written costs
//! nothing but the recording; nothing of the decision waits for it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daemon::Streak;
use domain::decision::{Inputs, Policy, PrefixState};
use domain::recording::VERSION;
use jiff::Timestamp;
use serde::Serialize;
use settings::Settings;
use tokio::task::JoinHandle;

use crate::cycle::Cycle;

/// Name of the folder beside the database.
pub const FOLDER: &str = "recordings";

/// Name of the file that is being written; older ones have a number behind it.
pub const FILE: &str = "autowithdraw.jsonl";

/// Files kept, the current one included.
const FILES: u64 = 8;

/// [`domain::recording::RecordedCycle`] without copying it.
#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    at: Timestamp,
    prefixes: Vec<LinePrefix<'a>>,
}

#[derive(Serialize)]
struct LinePrefix<'a> {
    policy: &'a Policy,
    before: &'a PrefixState,
    inputs: &'a Inputs,
    verdict: String,
}

/// The recorder of one process.
#[derive(Debug)]
pub struct Recorder {
    file: PathBuf,
    file_limit: u64,
    under_way: Option<JoinHandle<io::Result<()>>>,
    failures: Streak,
}

impl Recorder {
    /// The recorder that the settings ask for.
    pub fn of(settings: &Settings) -> Option<Self> {
        let auto = &settings.autowithdraw;
        let beside = settings.database.path.parent().unwrap_or(Path::new("/"));
        auto.record_inputs
            .then(|| Self::new(&beside.join(FOLDER), auto.record_limit_mb.saturating_mul(1_000_000)))
    }

    fn new(folder: &Path, limit: u64) -> Self {
        Self {
            file: folder.join(FILE),
            file_limit: limit / FILES,
            under_way: None,
            failures: Streak::new(),
        }
    }

    /// The file that is being written.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Begins to write a cycle. While the last one is still being written this one is left out, which counts as a
    /// failure. `now` is monotonic.
    pub async fn record(&mut self, cycle: Arc<Cycle>, now: Duration) {
        if let Some(last) = self.under_way.take() {
            if !last.is_finished() {
                self.under_way = Some(last);
                self.failed("the last cycle is still being written", now);
                return;
            }
            match last.await {
                Ok(Ok(())) => {
                    if let Some(run) = self.failures.recovered(now) {
                        tracing::info!(event = "recording.recovered", failures = run.failures);
                    }
                }
                Ok(Err(error)) => self.failed(&error.to_string(), now),
                Err(error) => self.failed(&error.to_string(), now),
            }
        }
        let (file, limit) = (self.file.clone(), self.file_limit);
        self.under_way = Some(tokio::task::spawn_blocking(move || {
            append(&file, limit, &line(&cycle)?)
        }));
    }

    /// Waits for what is being written, at most `within`.
    pub async fn finish(&mut self, within: Duration) {
        if let Some(last) = self.under_way.take() {
            // Late is as good as never: the line is complete or not there.
            let _ = tokio::time::timeout(within, last).await;
        }
    }

    fn failed(&mut self, because: &str, now: Duration) {
        if let Some(run) = self.failures.failed(now) {
            let file = self.file.display();
            tracing::warn!(event = "recording.failed", failures = run.failures, file = %file, because);
        }
    }
}

fn line(cycle: &Cycle) -> io::Result<Vec<u8>> {
    let line = Line {
        version: VERSION,
        at: cycle.at,
        prefixes: cycle
            .answers
            .iter()
            .map(|answer| LinePrefix {
                policy: &answer.policy,
                before: &answer.before.state,
                inputs: &answer.inputs,
                verdict: answer.decision.verdict.key(),
            })
            .collect(),
    };
    let mut bytes = serde_json::to_vec(&line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn append(file: &Path, limit: u64, line: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let size = fs::metadata(file).map_or(0, |meta| meta.len());
    if size > 0 && size.saturating_add(line.len() as u64) > limit {
        turn_over(file)?;
    }
    let mut options = OpenOptions::new();
    let mut open = options.create(true).read(true).append(true).mode(0o600).open(file)?;
    if ends_within_a_line(&mut open)? {
        open.write_all(b"\n")?;
    }
    open.write_all(line)
}

/// Whether a process died while it wrote the last line.
fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}

fn turn_over(file: &Path) -> io::Result<()> {
    let older = |number: u64| {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..FILES - 1).rev() {
        match fs::rename(older(number), older(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(file, older(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bounded_and_the_oldest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep").join(FILE);
        for number in 0..100 {
            append(&file, 40, format!("line number {number:03}\n").as_bytes()).unwrap();
        }
        let mut names: Vec<PathBuf> = fs::read_dir(file.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        assert_eq!(names.len() as u64, FILES, "{names:?}");
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(text(&file), "line number 098\nline number 099\n");
        assert!(names.iter().all(|name| fs::metadata(name).unwrap().len() <= 40));
        assert_eq!(text(names.last().unwrap()), "line number 084\nline number 085\n");
    }

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        fs::write(&file, "{\"half").unwrap();
        append(&file, 1_000, b"whole\n").unwrap();
        append(&file, 1_000, b"whole\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "{\"half\nwhole\nwhole\n");
    }
}
