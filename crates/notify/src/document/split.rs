//! Cutting a message that is too long into numbered pieces, on line borders, without cutting a tag.
//!
//! Sizes are taken over both forms of a line, so that a piece fits whether it is sent as HTML or as plain text.

use super::{Document, Line, Span};
use crate::words::{self, Words};

/// What one message may hold. Source: Bot API, sendMessage: 4096 characters after entity parsing, counted in UTF-16
/// units; the raw argument may have 32,768 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// UTF-16 units of what is shown.
    pub units: usize,
    /// Bytes of what is sent.
    pub bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            units: 4_096,
            bytes: 32_000,
        }
    }
}

impl Room {
    /// Half of it, for a server that found a message too long all the same.
    #[must_use]
    pub fn half(self) -> Self {
        Self {
            units: self.units / 2,
            bytes: self.bytes / 2,
        }
    }

    fn less(self, size: Size) -> Self {
        Self {
            units: self.units.saturating_sub(size.units),
            bytes: self.bytes.saturating_sub(size.bytes),
        }
    }

    fn holds(self, size: Size) -> bool {
        size.units <= self.units && size.bytes <= self.bytes
    }
}

/// A message is cut into at most this many pieces; what is left is named as cut.
pub(crate) const MOST_PIECES: usize = 8;

/// What a line break adds.
const BREAK: Size = Size { units: 1, bytes: 1 };

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    units: usize,
    bytes: usize,
}

impl Size {
    fn of(line: &Line) -> Self {
        let (mut html, mut plain) = (String::new(), String::new());
        line.write_html(&mut html);
        line.write_plain(&mut plain);
        // Shown units of the HTML form are never more than those of the plain one, which spells links out.
        Self {
            units: plain.encode_utf16().count(),
            bytes: html.len().max(plain.len()),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            units: self.units + other.units,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl Document {
    /// The message as one piece if it fits, else as numbered pieces that each repeat the title.
    pub fn pieces(self, room: Room) -> Vec<Document> {
        if room.holds(self.size()) {
            return vec![self];
        }
        let Self {
            mut title,
            reference,
            lines,
            number: _,
        } = self;
        // The title must leave most of the room to the text.
        let quarter = Room {
            units: room.units / 4,
            bytes: room.bytes / 4,
        };
        if !quarter.holds(Size::of(&title)) {
            title = cut_line(&title, quarter).into_iter().next().unwrap_or_default();
        }
        let widest = Line::from(Words::outside(&format!("part 88 of 88 · {}", reference.as_str()), 60));
        let frame = Size::of(&title).plus(BREAK).plus(Size::of(&widest)).plus(BREAK);
        let room = room.less(frame);
        let mut bodies = pack(&lines, room);
        if bodies.len() > MOST_PIECES {
            bodies.truncate(MOST_PIECES);
            if let Some(last) = bodies.last_mut() {
                end_here(last, room);
            }
        }
        let count = bodies.len();
        bodies
            .into_iter()
            .enumerate()
            .map(|(index, lines)| {
                let number = format!("part {} of {count} · {}", index + 1, reference.as_str());
                let number = Line::from(Words::outside(&number, 60));
                Document {
                    title: title.clone(),
                    reference: reference.clone(),
                    lines,
                    number,
                }
            })
            .collect()
    }

    /// Smaller pieces of a message that a server found too long although it fits; `None` where that makes no sense.
    pub fn smaller(self) -> Option<Vec<Document>> {
        let size = self.size();
        // Below this a server that refuses would refuse everything.
        if size.units < 256 {
            return None;
        }
        let whole = Document {
            number: Line::new(),
            ..self
        };
        Some(whole.pieces(Room {
            units: size.units * 2 / 3,
            bytes: size.bytes * 2 / 3,
        }))
    }

    fn size(&self) -> Size {
        let number = (!self.number.is_blank()).then_some(&self.number);
        self.lines
            .iter()
            .chain(number)
            .fold(Size::of(&self.title), |sum, line| sum.plus(BREAK).plus(Size::of(line)))
    }
}

/// Says that something is missing, in place of as many lines as that takes.
fn end_here(body: &mut Vec<Line>, room: Room) {
    let note = Line::from("… cut here; the rest is in the dashboard's log.");
    let whole = |body: &[Line]| {
        body.iter()
            .fold(Size::default(), |sum, line| sum.plus(Size::of(line)).plus(BREAK))
    };
    while !room.holds(whole(body).plus(Size::of(&note)).plus(BREAK)) && body.pop().is_some() {}
    body.push(note);
}

/// Lines dealt out to bodies that each fit into `room`.
fn pack(lines: &[Line], room: Room) -> Vec<Vec<Line>> {
    let mut bodies: Vec<Vec<Line>> = Vec::new();
    let mut body: Vec<Line> = Vec::new();
    let mut used = Size::default();
    for whole in lines {
        for line in cut_line(whole, room.less(BREAK)) {
            let size = Size::of(&line).plus(BREAK);
            if !room.holds(used.plus(size)) {
                bodies.push(std::mem::take(&mut body));
                used = Size::default();
            }
            if body.is_empty() && line.is_blank() {
                continue;
            }
            used = used.plus(size);
            body.push(line);
        }
    }
    if !body.is_empty() {
        bodies.push(body);
    }
    bodies.retain(|body| body.iter().any(|line| !line.is_blank()));
    bodies
}

/// The line itself if it fits, else its spans dealt out to as many lines as it takes.
fn cut_line(line: &Line, room: Room) -> Vec<Line> {
    if room.holds(Size::of(line)) {
        return vec![line.clone()];
    }
    let mut lines = Vec::new();
    let mut current = Line::new();
    for span in &line.spans {
        for part in cut_span(span, room) {
            let extended = Line {
                spans: current.spans.iter().cloned().chain([part.clone()]).collect(),
            };
            if room.holds(Size::of(&extended)) {
                current = extended;
            } else {
                lines.push(std::mem::replace(&mut current, Line { spans: vec![part] }));
            }
        }
    }
    lines.push(current);
    lines.retain(|line| !line.is_blank());
    lines
}

/// The span itself if a line can hold it, else parts of it. A link that no line can hold becomes text.
fn cut_span(span: &Span, room: Room) -> Vec<Span> {
    let alone = |span: &Span| {
        Size::of(&Line {
            spans: vec![span.clone()],
        })
    };
    if room.holds(alone(span)) {
        return vec![span.clone()];
    }
    let (text, make): (&str, fn(String) -> Span) = match span {
        Span::Text(text) => (text, Span::Text),
        Span::Bold(text) => (text, Span::Bold),
        Span::Code(text) => (text, Span::Code),
        Span::Link { text, .. } => (text, Span::Text),
    };
    // Room for the longest tag around a part and for its isolate.
    let room = room.less(Size { units: 2, bytes: 24 });
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut size = Size::default();
    for c in text.chars() {
        let one = Size {
            units: c.len_utf16(),
            bytes: if c.is_ascii() { 6 } else { c.len_utf8() },
        };
        if !part.is_empty() && !room.holds(size.plus(one)) {
            let carried = after_last_blank(&mut part);
            parts.push(make(words::part(&part)));
            size = carried.chars().map(size_of).fold(Size::default(), Size::plus);
            part = carried;
        }
        part.push(c);
        size = size.plus(one);
    }
    if !part.is_empty() {
        parts.push(make(words::part(&part)));
    }
    parts
}

/// At most; an escaped quote takes six bytes.
fn size_of(c: char) -> Size {
    Size {
        units: c.len_utf16(),
        bytes: if c.is_ascii() { 6 } else { c.len_utf8() },
    }
}

/// Cuts a part at its last blank, if that lies in its second half, and returns what comes behind.
fn after_last_blank(part: &mut String) -> String {
    match part.rfind(' ') {
        Some(blank) if blank > part.len() / 2 => {
            let carried = part.split_off(blank + 1);
            part.pop();
            carried
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    fn document(lines: usize, text: &str) -> Document {
        let mut document = Document::new(Line::new().bold("Title"), "#7");
        for number in 0..lines {
            document.push(
                Line::new()
                    .text(format!("{number} "))
                    .code(Words::outside(text, 100_000)),
            );
        }
        document
    }

    #[test]
    fn what_fits_stays_whole() {
        let document = document(10, "x");
        assert_eq!(document.clone().pieces(Room::default()), vec![document]);
    }

    #[test]
    fn every_line_is_in_exactly_one_numbered_piece() {
        let pieces = document(200, &"word <&> ".repeat(5)).pieces(Room::default());
        assert!(pieces.len() > 1);
        let mut seen = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let (html, plain) = (piece.html(), piece.plain());
            assert!(
                units(&plain) <= 4_096 && html.len() <= 32_000,
                "{} units",
                units(&plain)
            );
            assert!(html.starts_with("<b>Title</b>\n"), "{html}");
            assert!(
                plain.ends_with(&format!("part {} of {} · #7", index + 1, pieces.len())),
                "{plain}"
            );
            let body: Vec<&str> = plain.lines().collect();
            seen.extend(
                body[1..body.len() - 1]
                    .iter()
                    .map(|line| line.split(' ').next().unwrap().to_owned()),
            );
        }
        assert_eq!(seen, (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn one_endless_line_is_cut_between_characters() {
        let emoji = "🛡".repeat(6_000);
        let pieces = document(1, &emoji).pieces(Room::default());
        assert!(pieces.iter().all(|piece| units(&piece.plain()) <= 4_096));
        let shown: usize = pieces.iter().map(|piece| piece.plain().matches('🛡').count()).sum();
        assert_eq!(shown, 6_000);
    }

    #[test]
    fn bytes_count_too() {
        let quotes = "\"".repeat(4_000);
        let pieces = document(2, &quotes).pieces(Room::default());
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.html().len() <= 32_000));
    }

    #[test]
    fn there_is_an_end_to_it() {
        let pieces = document(5_000, "text").pieces(Room {
            units: 300,
            bytes: 3_000,
        });
        assert_eq!(pieces.len(), MOST_PIECES);
        assert!(pieces[MOST_PIECES - 1].plain().contains("cut here"));
        assert!(pieces.iter().all(|piece| units(&piece.plain()) <= 300));
    }

    #[test]
    fn a_title_without_end_leaves_room_for_the_text() {
        let mut document = Document::new(Line::new().bold(Words::outside(&"t ".repeat(5_000), 100_000)), "#7");
        document.push("body");
        let pieces = document.pieces(Room::default());
        assert!(pieces.iter().all(|piece| units(&piece.plain()) <= 4_096));
        assert!(pieces[0].plain().contains("body"));
    }
}
