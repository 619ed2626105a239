//! Messages written out for review: both forms of every piece, each of them checked.

use std::fmt::Write;

use db::outbox::Notification;
use domain::notice::Facts;
use notify::Renderer;
use notify::context::Context;
use notify::document::Room;

use super::{checker, frame, now, row};

pub struct Shown(pub String);

impl Shown {
    pub fn new() -> Self {
        Self(String::new())
    }

    pub fn add(&mut self, name: &str, rows: &[Notification], context: &Context) {
        let pieces = Renderer::new(&frame())
            .message(rows, context, now())
            .pieces(Room::default());
        for (index, piece) in pieces.iter().enumerate() {
            let (html, plain) = (piece.html(), piece.plain());
            checker::check(&html, &plain).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            let part = if pieces.len() > 1 {
                format!(" (piece {})", index + 1)
            } else {
                String::new()
            };
            write!(self.0, "######## {name}{part}\n{html}\n-------- plain\n{plain}\n\n").unwrap();
        }
    }

    pub fn one(&mut self, name: &str, facts: Facts) {
        self.add(name, &[row(facts)], &Context::default());
    }
}
