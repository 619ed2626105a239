//! A message as structure: lines of spans. HTML and plain text are written from it, so neither is ever made by taking
//! the other apart.
//!
//! What must hold: whatever the spans hold, the HTML is balanced, uses only `b`, `code` and `a`, and has `& < > "`
//! escaped; a link leads only where [`crate::links::Links`] allowed it; a piece stays below Telegram's limits.

mod split;

use crate::words::Words;

pub use split::Room;

/// A run of text of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Span {
    Text(String),
    Bold(String),
    /// Fixed width; Telegram makes nothing clickable in it, so this is the place for text from outside.
    Code(String),
    Link {
        text: String,
        url: String,
    },
}

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    spans: Vec<Span>,
}

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text in the ordinary look.
    #[must_use]
    pub fn text(self, words: impl Into<Words>) -> Self {
        self.with(Span::Text(words.into().as_str().to_owned()))
    }

    /// Adds text that stands out.
    #[must_use]
    pub fn bold(self, words: impl Into<Words>) -> Self {
        self.with(Span::Bold(words.into().as_str().to_owned()))
    }

    /// Adds a value, or anything from outside.
    #[must_use]
    pub fn code(self, words: impl Into<Words>) -> Self {
        self.with(Span::Code(words.into().as_str().to_owned()))
    }

    /// Adds a span; neighbours of one look become one.
    fn with(mut self, span: Span) -> Self {
        match (self.spans.last_mut(), span) {
            (Some(Span::Text(before)), Span::Text(text)) | (Some(Span::Bold(before)), Span::Bold(text)) => {
                before.push_str(&text);
            }
            (_, span) => self.spans.push(span),
        }
        self
    }

    /// Adds a link; `url` comes from [`crate::links::Links`].
    #[must_use]
    pub fn link(self, words: impl Into<Words>, url: String) -> Self {
        self.with(Span::Link {
            text: words.into().as_str().to_owned(),
            url,
        })
    }

    /// Adds everything of another line.
    #[must_use]
    pub fn then(self, other: Self) -> Self {
        other.spans.into_iter().fold(self, Self::with)
    }

    /// Adds values separated by `, `.
    #[must_use]
    pub fn codes<W: Into<Words>>(mut self, values: impl IntoIterator<Item = W>) -> Self {
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self = self.text(", ");
            }
            self = self.code(value);
        }
        self
    }

    /// The line in bold, values keep their look.
    #[must_use]
    pub fn emphasised(mut self) -> Self {
        for span in &mut self.spans {
            if let Span::Text(text) = span {
                *span = Span::Bold(std::mem::take(text));
            }
        }
        self
    }

    /// Whether it shows nothing.
    pub fn is_blank(&self) -> bool {
        self.spans.iter().all(|span| match span {
            Span::Text(text) | Span::Bold(text) | Span::Code(text) | Span::Link { text, .. } => text.trim().is_empty(),
        })
    }

    fn write_html(&self, out: &mut String) {
        for span in &self.spans {
            match span {
                Span::Text(text) => escape(text, out),
                Span::Bold(text) => tagged("b", text, out),
                Span::Code(text) => tagged("code", text, out),
                Span::Link { text, url } => {
                    out.push_str("<a href=\"");
                    escape(url, out);
                    out.push_str("\">");
                    escape(text, out);
                    out.push_str("</a>");
                }
            }
        }
    }

    fn write_plain(&self, out: &mut String) {
        for span in &self.spans {
            match span {
                Span::Text(text) | Span::Bold(text) | Span::Code(text) => out.push_str(text),
                Span::Link { text, url } => {
                    out.push_str(text);
                    out.push_str(": ");
                    out.push_str(url);
                }
            }
        }
    }
}

/// A text that stands in a line of its own.
impl<W: Into<Words>> From<W> for Line {
    fn from(words: W) -> Self {
        Self::new().text(words)
    }
}

fn tagged(tag: &str, text: &str, out: &mut String) {
    // An entity of blanks alone is refused or dropped, depending on the client.
    if text.trim().is_empty() {
        return escape(text, out);
    }
    out.push('<');
    out.push_str(tag);
    out.push('>');
    escape(text, out);
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
}

/// Telegram's HTML needs three characters escaped, and the quote inside attributes; escaping it everywhere is allowed.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

/// A whole message: its title and the lines below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    title: Line,
    reference: Words,
    lines: Vec<Line>,
    /// Last line of a piece; blank in a whole message.
    number: Line,
}

impl Document {
    /// A message that begins with `title`. `reference` names it in the parts of a long one, such as `#123`.
    pub fn new(title: Line, reference: impl Into<Words>) -> Self {
        Self {
            title,
            reference: reference.into(),
            lines: Vec::new(),
            number: Line::new(),
        }
    }

    /// Adds a line.
    pub fn push(&mut self, line: impl Into<Line>) {
        self.lines.push(line.into());
    }

    /// Adds `label: value` with the value as given from outside.
    pub fn field(&mut self, label: &'static str, value: impl Into<Words>) {
        let value = value.into();
        if !value.is_empty() {
            self.push(Line::new().text(label).text(": ").code(value));
        }
    }

    /// Adds `label: value` where there is a value.
    pub fn maybe(&mut self, label: &'static str, value: Option<impl Into<Words>>) {
        if let Some(value) = value {
            self.field(label, value);
        }
    }

    /// Adds `label: ` and a composed value.
    pub fn entry(&mut self, label: &'static str, value: impl Into<Line>) {
        self.push(Line::new().text(label).text(": ").then(value.into()));
    }

    /// Begins a section: an empty line unless there is one already.
    pub fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_blank()) {
            self.push(Line::new());
        }
    }

    /// The message in Telegram's HTML. Sent as it is only when it [fits](Document::pieces).
    pub fn html(&self) -> String {
        self.written(Line::write_html)
    }

    /// The message without markup.
    pub fn plain(&self) -> String {
        self.written(Line::write_plain)
    }

    fn written(&self, write: fn(&Line, &mut String)) -> String {
        let mut out = String::new();
        write(&self.title, &mut out);
        let shown = self
            .lines
            .iter()
            .rposition(|line| !line.is_blank())
            .map_or(0, |last| last + 1);
        let number = (!self.number.is_blank()).then_some(&self.number);
        for line in self.lines.iter().take(shown).chain(number) {
            out.push('\n');
            write(line, &mut out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_come_from_the_same_structure() {
        let mut document = Document::new(Line::new().bold("A <b>").code(Words::outside("x\"&y", 9)), "#1");
        document.push(Line::new().link("page", "https://dash.cloudflare.com/?a=1&b=2".to_owned()));
        document.gap();
        document.gap();
        document.field("Empty", Words::outside("", 9));
        document.maybe("Absent", None::<Words>);
        document.field("Value", 1_234u64);
        document.gap();
        assert_eq!(
            document.html(),
            "<b>A &lt;b&gt;</b><code>x&quot;&amp;y</code>\n\
             <a href=\"https://dash.cloudflare.com/?a=1&amp;b=2\">page</a>\n\nValue: <code>1,234</code>"
        );
        assert_eq!(
            document.plain(),
            "A <b>x\"&y\npage: https://dash.cloudflare.com/?a=1&b=2\n\nValue: 1,234"
        );
    }
}
