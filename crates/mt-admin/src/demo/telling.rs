//! Lines and progress on the screen: one line a step, overwritten while it is waited for on a terminal, and now and then
//! a line of its own elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use cli::{Ink, Screen, Table, ink};
use settings::Settings;
use tokio::time::Instant;

use super::verdict::Line;

/// Where no line can be overwritten, progress is told this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Name of the file with the first login, beside the database; the dashboard writes it.
const LOGIN_FILE: &str = "dashboard-first-login.txt";

/// Longest text of one line, in characters.
const LONGEST: usize = 300;

/// Clears the line and returns to its begin (ECMA-48 EL, CR).
const AGAIN: &str = "\r\u{1b}[2K";

/// Tells the story.
#[derive(Debug)]
pub struct Telling {
    screen: Screen,
    live: bool,
    began: Instant,
    told: Instant,
    /// A line that is overwritten stands on the screen.
    pending: bool,
}

impl Default for Telling {
    fn default() -> Self {
        Self::new()
    }
}

impl Telling {
    /// Begins now.
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            screen: Screen::stdout(),
            live: std::io::stdout().is_terminal(),
            began: now,
            told: now,
            pending: false,
        }
    }

    fn say(&mut self, text: &str) {
        let text = if self.pending {
            format!("{AGAIN}{text}\n")
        } else {
            format!("{text}\n")
        };
        self.pending = false;
        self.write(&text);
    }

    /// A reader that went away has seen enough; the exit code still tells the outcome.
    fn write(&self, text: &str) {
        let _ = daemon::output::print(&self.screen.fit(text));
    }

    fn clock(&self) -> String {
        format!("{:>6.1} s", self.began.elapsed().as_secs_f64())
    }

    /// A heading with a blank line before it.
    pub fn heading(&mut self, text: &str) {
        self.say(&format!("\n{}", ink(Ink::Strong, text)));
    }

    /// A name and its value.
    pub fn fact(&mut self, name: &str, value: &str) {
        self.say(&format!("  {name:<18} {value}"));
    }

    /// Something one needs to know.
    pub fn highlight(&mut self, text: &str) {
        self.say(&format!("  {}", ink(Ink::Strong, text)));
    }

    /// A step begins.
    pub fn step(&mut self, number: usize, of: usize, title: &str) {
        let line = format!(
            "{}  {} {title}",
            self.clock(),
            ink(Ink::Strong, &format!("[{number}/{of}]"))
        );
        self.say(&line);
        self.told = Instant::now();
    }

    /// How it stands.
    pub fn progress(&mut self, text: &str) {
        let text = cli::words::outside(text, LONGEST);
        let line = format!("{}        ... {text}", self.clock());
        if self.live {
            let width = self.screen.width().map_or(usize::MAX, usize::from);
            let line: String = line.chars().take(width.saturating_sub(1)).collect();
            self.pending = true;
            self.write(&format!("{AGAIN}{line}"));
        } else if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            self.say(&line);
        }
    }

    /// It has happened.
    pub fn done(&mut self, text: &str) {
        let line = format!(
            "{}        {} {}",
            self.clock(),
            ink(Ink::Calm, "->"),
            cli::words::outside(text, LONGEST)
        );
        self.say(&line);
    }

    /// It has not.
    pub fn failed(&mut self, text: &str) {
        let line = format!("{}        {} {text}", self.clock(), ink(Ink::Attack, "FAILED:"));
        self.say(&line);
    }

    /// The comparison at the end.
    pub fn verdict(&mut self, lines: &[Line]) {
        self.heading("Verdict");
        let mut table = Table::new(&["", "SIMULATOR", "DATABASE", ""]);
        for line in lines {
            let mark = if line.holds() {
                ink(Ink::Calm, "agree")
            } else {
                let wanted = line.wanted.as_ref().map(|wanted| format!(", must be {wanted}"));
                ink(Ink::Attack, &format!("DIFFER{}", wanted.unwrap_or_default()))
            };
            table.row([line.what.to_owned(), line.outside.clone(), line.inside.clone(), mark]);
        }
        let table = table.render(self.screen);
        self.say(table.trim_end());
        let wrong = lines.iter().filter(|line| !line.holds()).count();
        let word = if wrong == 0 {
            ink(Ink::Calm, "What was sent, recorded and withdrawn agrees.")
        } else {
            ink(Ink::Attack, &format!("{wrong} of {} do not agree.", lines.len()))
        };
        self.say(&format!("\n{word} ({:.0} s)", self.began.elapsed().as_secs_f64()));
    }
}

/// Where to look and how to get in.
pub fn login(settings: &Settings) -> Vec<String> {
    let dashboard = settings.dashboard.listen;
    let mut lines = vec![format!("Open http://{dashboard}/")];
    let file = settings.database.path.with_file_name(LOGIN_FILE);
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let value = |name: &str| {
                text.lines()
                    .find_map(|line| line.strip_prefix(name))
                    .unwrap_or("?")
                    .trim()
                    .to_owned()
            };
            lines.push(format!(
                "Login {} with password {}",
                value("account:"),
                value("password:")
            ));
        }
        Err(error) => lines.push(format!("The first login is in {} ({error})", file.display())),
    }
    lines
}
