//! What became of each prefix, as text, as JSON and as exit code.

use cli::trouble::BLOCKED;
use cli::{Ink, Trouble, ink, words};
use daemon::exit;
use domain::ids::IntentId;
use domain::intent::Act;
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::Serialize;

use crate::site::Site;

/// What became of one prefix, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Result {
    /// A re-read showed it.
    Done,
    /// It was so already.
    Already,
    /// Filed; the daemon executes it.
    Filed,
    /// A rule of ours forbids it; nothing was filed.
    Blocked,
    /// Cloudflare, or the last check, refused.
    Refused,
    /// Cancelled by somebody before it was sent.
    Cancelled,
    /// Still open when the waiting was over.
    Open,
    /// Sent, and no re-read showed it in time.
    Unresolved,
    /// It could not be tried.
    Failed,
}

impl Result {
    /// All, as they are summed up.
    const ALL: [Self; 9] = [
        Self::Done,
        Self::Already,
        Self::Filed,
        Self::Blocked,
        Self::Refused,
        Self::Cancelled,
        Self::Open,
        Self::Unresolved,
        Self::Failed,
    ];

    /// The word people read behind a number.
    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Already => "so already",
            Self::Filed => "filed",
            Self::Blocked => "blocked by a rule",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Open => "not done yet",
            Self::Unresolved => "UNRESOLVED",
            Self::Failed => "FAILED",
        }
    }
}

/// What became of one prefix.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The prefix.
    pub prefix: Prefix,
    /// In one word.
    pub result: Result,
    /// Stable code.
    pub code: String,
    /// In a sentence.
    pub text: String,
    /// What to do.
    pub remedy: Option<String>,
    /// The intent, if one was filed.
    pub intent: Option<i64>,
    #[serde(skip)]
    exit: u8,
}

impl Outcome {
    /// An outcome with the exit code that goes with its word.
    pub fn of(prefix: Prefix, result: Result, code: &str, text: &str) -> Self {
        let exit = match result {
            Result::Done | Result::Already | Result::Filed => exit::DONE,
            Result::Blocked | Result::Refused | Result::Cancelled => BLOCKED,
            Result::Open | Result::Unresolved | Result::Failed => exit::FAILURE,
        };
        Self {
            prefix,
            result,
            code: code.to_owned(),
            text: words::outside(text, 1_000),
            remedy: None,
            intent: None,
            exit,
        }
    }

    /// It was so already.
    pub fn already(prefix: Prefix, text: &str) -> Self {
        Self::of(prefix, Result::Already, "already", text)
    }

    /// From what prevented it.
    pub fn trouble(prefix: Prefix, result: Result, trouble: &Trouble) -> Self {
        Self {
            remedy: trouble.remedy.clone(),
            exit: trouble.exit,
            ..Self::of(prefix, result, &trouble.code, &trouble.text)
        }
    }

    /// The same with its intent.
    #[must_use]
    pub fn intent(mut self, intent: IntentId) -> Self {
        self.intent = Some(intent.0);
        self
    }

    /// The same with what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: &str) -> Self {
        self.remedy = Some(remedy.to_owned());
        self
    }

    /// The same with another exit code.
    #[must_use]
    pub fn exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
pub struct Outcomes {
    schema: &'static str,
    at: Timestamp,
    act: Act,
    by: String,
    reason: String,
    results: Vec<Outcome>,
    exit_code: u8,
}

impl Outcomes {
    /// Nothing has become of anything yet.
    pub fn new(act: Act, by: &str, reason: &str, at: Timestamp) -> Self {
        Self {
            schema: "cloudflare-mt/prefix-act/1",
            at,
            act,
            by: by.to_owned(),
            reason: reason.to_owned(),
            results: Vec::new(),
            exit_code: exit::DONE,
        }
    }

    /// Adds one. A failure outweighs a block, a block outweighs success.
    pub fn add(&mut self, outcome: Outcome) {
        self.exit_code = match (self.exit_code, outcome.exit) {
            (exit::FAILURE, _) | (_, exit::FAILURE) => exit::FAILURE,
            (old, new) => old.max(new),
        };
        self.results.push(outcome);
    }

    /// Prints them: what went well to stdout, the rest to stderr.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn conclude(mut self, site: &Site) -> std::result::Result<u8, Trouble> {
        self.results.sort_by_key(|outcome| outcome.prefix);
        if site.out.is_json() {
            site.out.document(&self)?;
            return Ok(self.exit_code);
        }
        for outcome in &self.results {
            if outcome.exit == exit::DONE {
                site.out.text(&format!("{}\n", outcome.text))?;
                continue;
            }
            let mut text = format!("{}: {}\n", crate::PROGRAM, ink(Ink::Warn, &outcome.text));
            if let Some(remedy) = &outcome.remedy {
                text.push_str(&format!("  what to do: {remedy}\n"));
            }
            site.out.aside(&text);
        }
        if self.results.len() > 1 {
            let summed = Result::ALL.iter().filter_map(|word| {
                let count = self.results.iter().filter(|outcome| outcome.result == *word).count();
                (count > 0).then(|| format!("{count} {}", word.word()))
            });
            let summed: Vec<String> = summed.collect();
            let all = words::counted(self.results.len(), "prefix", "prefixes");
            site.out.aside(&format!("{all}: {}\n", summed.join(", ")));
        }
        Ok(self.exit_code)
    }
}
