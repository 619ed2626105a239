//! Text fit for where it goes: colour only on a terminal whose user wants it, width of that terminal.
//!
//! Colour only repeats what the word says. It travels inside the text as invisible marks of no width, so that tables can
//! be laid out first; [`Screen::fit`] turns the marks into escape sequences or drops them. Text from outside has lost all
//! such characters in [`crate::words::outside`] and cannot bring marks of its own.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

/// How a word looks on a terminal with colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Headings.
    Strong,
    /// What matters less.
    Faint,
    /// An attack, and nothing else.
    Attack,
    /// Protected or propagating.
    Shield,
    /// Calm.
    Calm,
    /// A person's word, or something a person should look at.
    Warn,
}

const END: char = '\u{2060}';

impl Ink {
    const ALL: [Self; 6] = [
        Self::Strong,
        Self::Faint,
        Self::Attack,
        Self::Shield,
        Self::Calm,
        Self::Warn,
    ];

    fn mark(self) -> char {
        match self {
            Self::Strong => '\u{2061}',
            Self::Faint => '\u{2062}',
            Self::Attack => '\u{2063}',
            Self::Shield => '\u{2064}',
            Self::Calm => '\u{206a}',
            Self::Warn => '\u{206b}',
        }
    }

    /// ECMA-48 "select graphic rendition"; 8 colours, so that the user's theme decides about contrast.
    fn sequence(self) -> &'static str {
        match self {
            Self::Strong => "\u{1b}[1m",
            Self::Faint => "\u{1b}[2m",
            Self::Attack => "\u{1b}[1;31m",
            Self::Shield => "\u{1b}[34m",
            Self::Calm => "\u{1b}[32m",
            Self::Warn => "\u{1b}[33m",
        }
    }
}

/// Marks every word of `text` separately, so that a table may break the line between any two.
pub fn ink(ink: Ink, text: &str) -> String {
    let marked: Vec<String> = text
        .split(' ')
        .map(|word| {
            if word.is_empty() {
                String::new()
            } else {
                format!("{}{word}{END}", ink.mark())
            }
        })
        .collect();
    marked.join(" ")
}

/// Where text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    colour: bool,
    width: Option<u16>,
}

impl Screen {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::of(&io::stdout())
    }

    /// Standard error, where questions and progress go.
    pub fn stderr() -> Self {
        Self::of(&io::stderr())
    }

    /// A file or a pipe: no colour, and lines as long as they need to be, so that tools can cut and search them.
    pub fn plain() -> Self {
        Self {
            colour: false,
            width: None,
        }
    }

    /// A terminal of this width without colour.
    pub fn of_width(width: u16) -> Self {
        Self {
            colour: false,
            width: Some(width),
        }
    }

    fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        if !stream.is_terminal() {
            return Self::plain();
        }
        // https://no-color.org: set and not empty means no.
        let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let width = rustix::termios::tcgetwinsize(stream).map_or(0, |size| size.ws_col);
        Self {
            colour: !declined && !dumb,
            // 0 is what a terminal that does not know its size says.
            width: Some(if width == 0 { 80 } else { width }),
        }
    }

    /// Whether words are coloured.
    pub fn has_colour(self) -> bool {
        self.colour
    }

    /// Columns; `None` where lines may be as long as they like.
    pub fn width(self) -> Option<u16> {
        self.width
    }

    /// Turns the marks of [`ink`] into what this place can show. Neighbouring words of one look share their sequences.
    pub fn fit(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut on: Option<Ink> = None;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if let Some(begins) = of_mark(c) {
                if self.colour && on != Some(begins) {
                    out.push_str(begins.sequence());
                }
                on = Some(begins);
            } else if c == END {
                let mut ahead = chars.clone();
                let goes_on = ahead.next() == Some(' ') && ahead.next().and_then(of_mark) == on;
                if !goes_on {
                    on = None;
                    if self.colour {
                        out.push_str("\u{1b}[0m");
                    }
                }
            } else {
                out.push(c);
            }
        }
        out
    }
}

fn of_mark(c: char) -> Option<Ink> {
    Ink::ALL.into_iter().find(|ink| ink.mark() == c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_colour_or_nothing() {
        let text = format!("a {} b", ink(Ink::Attack, "under attack"));
        assert_eq!(Screen::plain().fit(&text), "a under attack b");
        let colourful = Screen {
            colour: true,
            width: None,
        };
        assert_eq!(colourful.fit(&text), "a \u{1b}[1;31munder attack\u{1b}[0m b");
        let two = format!("{} {}", ink(Ink::Attack, "a"), ink(Ink::Calm, "b"));
        assert_eq!(colourful.fit(&two), "\u{1b}[1;31ma\u{1b}[0m \u{1b}[32mb\u{1b}[0m");
    }
}
