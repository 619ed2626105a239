//! Expressions of overrides, read the way Cloudflare's rules language documents them.
//!
//! What an operator types is refused here at once with the place and a hint; Cloudflare's own check (`dry_run`) follows.
//! Must hold: any text is answered, however deep or long; what is accepted is typed by the table of fields; nothing is
//! evaluated against packets.
//!
//! Source: developers.cloudflare.com, rules language (operators, values) and "Override expressions" of the network-layer
//! DDoS ruleset (fields, 4,000 characters).

mod concern;
mod field;
mod hint;
mod parse;
mod reach;
mod token;
mod value;

use std::fmt;

pub use concern::{Concern, concerns};
pub use field::{Advice, FIELDS, Field, Type};
pub use reach::{Protocols, covers, families, protocols};
pub use value::{Item, Literal};

/// Longest expression, in characters.
pub const LONGEST: usize = 4_000;

/// Deepest nesting of brackets and `not`.
pub const DEEPEST: usize = 64;

/// Where an expression is going to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Overrides of the network-layer DDoS ruleset.
    DdosL4,
    /// Any rule about packets that the documentation shows.
    Packets,
}

/// A relation between a field and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `eq`, `==`
    Equal,
    /// `ne`, `!=`
    NotEqual,
    /// `lt`, `<`
    Less,
    /// `le`, `<=`
    LessOrEqual,
    /// `gt`, `>`
    Greater,
    /// `ge`, `>=`
    GreaterOrEqual,
    /// `&`: any of these bits
    AnyBit,
    /// `contains`
    Contains,
    /// `matches`, `~`
    Matches,
    /// `wildcard`
    Wildcard,
    /// `strict wildcard`
    StrictWildcard,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A field.
    Field(&'static Field),
    /// `bit_slice(field, from, to)`: bits of a raw header as a number.
    BitSlice(&'static Field, u64, u64),
}

/// An expression's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// `true` or `false`.
    Always(bool),
    /// `not`
    Not(Box<Node>),
    /// `and` between two or more.
    And(Vec<Node>),
    /// `xor` between two or more.
    Xor(Vec<Node>),
    /// `or` between two or more.
    Or(Vec<Node>),
    /// A flag that is set.
    Flag(&'static Field),
    /// A comparison with one value.
    Compare(Subject, Relation, Literal),
    /// One of several values or ranges.
    In(Subject, Vec<Item>),
    /// One of a list kept at Cloudflare, by its name.
    InList(Subject, String),
}

/// An expression that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    text: String,
    root: Node,
}

impl Expression {
    /// Reads an override's expression.
    ///
    /// # Errors
    /// Where and why it is not one.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse_for(text, Scope::DdosL4)
    }

    /// Reads an expression for `scope`.
    ///
    /// # Errors
    /// Where and why it is not one.
    pub fn parse_for(text: &str, scope: Scope) -> Result<Self, Refusal> {
        let root = parse::expression(text, scope)?;
        Ok(Self {
            text: text.trim().to_owned(),
            root,
        })
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Whether it is `true`: applies to everything.
    pub fn is_everything(&self) -> bool {
        self.root == Node::Always(true)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is no expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {message}{}", self.column, hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
pub struct Refusal {
    /// First byte of what is wrong.
    pub offset: usize,
    /// Number of bytes that are wrong; 0 at the end of the text.
    pub length: usize,
    /// The same place as people count: characters from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Refusal {
    /// The text with a mark under what is wrong, for a terminal: two lines, cut around the place.
    pub fn pointed(&self, text: &str) -> String {
        const AROUND: usize = 50;
        let chars: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let at = self.column.saturating_sub(1).min(chars.len());
        let from = at.saturating_sub(AROUND);
        let to = (at + AROUND).min(chars.len());
        let shown: String = chars.get(from..to).unwrap_or_default().iter().collect();
        let marks = text
            .get(self.offset..self.offset + self.length)
            .map_or(1, |wrong| wrong.chars().count())
            .clamp(1, AROUND);
        format!("{shown}\n{}{}", " ".repeat(at - from), "^".repeat(marks))
    }
}
