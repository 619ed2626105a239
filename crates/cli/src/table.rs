//! A table without lines, fitted to the terminal: narrow ones wrap inside the cells.

use comfy_table::{ContentArrangement, presets};

use crate::screen::{Ink, Screen, ink};

/// Columns with headings. Cells may hold marks of [`crate::ink`].
#[derive(Debug)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(headings: &[&str]) -> Self {
        Self {
            headings: headings.iter().map(|heading| (*heading).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines, with marks; empty without rows.
    pub fn render(&self, screen: Screen) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(self.headings.iter().map(|heading| ink(Ink::Strong, heading)));
        for row in &self.rows {
            table.add_row(row);
        }
        match screen.width() {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(width.max(40));
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Names and values in two aligned columns, values wrapped beside their name.
pub fn fields(fields: &[(&str, String)], screen: Screen) -> String {
    let widest = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let room = screen
        .width()
        .map(|width| usize::from(width).saturating_sub(widest + 2).max(20));
    let mut text = String::new();
    for (name, value) in fields {
        for (index, line) in wrapped(value, room).into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            let padding = " ".repeat(widest - name.chars().count() + 2);
            let name = if name.is_empty() {
                String::new()
            } else {
                ink(Ink::Faint, name)
            };
            text.push_str(format!("{name}{padding}{line}").trim_end());
            text.push('\n');
        }
    }
    text
}

/// Breaks at spaces; marks count as nothing because they are combined with their words.
fn wrapped(text: &str, room: Option<usize>) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let Some(room) = room else {
            lines.push(paragraph.to_owned());
            continue;
        };
        let (mut line, mut used) = (String::new(), 0);
        for word in paragraph.split(' ') {
            let width = Screen::plain().fit(word).chars().count();
            if used > 0 && used + 1 + width > room {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += width;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["PREFIX", "STATE", "NEXT"]);
        table.row([
            "203.0.113.0/24".to_owned(),
            ink(Ink::Attack, "under attack"),
            "hold the advertisement, because the attack goes on and on and on".to_owned(),
        ]);
        table.row(["192.0.2.0/24", "direct", "nothing"]);
        table
    }

    #[test]
    fn a_pipe_gets_one_line_a_row() {
        let text = Screen::plain().fit(&table().render(Screen::plain()));
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.lines()
                .nth(1)
                .is_some_and(|line| line.ends_with("on and on and on")),
            "{text}"
        );
    }

    #[test]
    fn a_terminal_gets_lines_that_fit() {
        let screen = Screen::of_width(60);
        let text = screen.fit(&table().render(screen));
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.contains("203.0.113.0/24") && text.contains("under"), "{text}");
        let fields = fields(&[("next", "word ".repeat(40)), ("because", "x".to_owned())], screen);
        let text = screen.fit(&fields);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.starts_with("next     word"), "{text}");
    }

    #[test]
    fn nothing_to_show_is_no_lines() {
        assert_eq!(Table::new(&["A"]).render(Screen::plain()), "");
    }
}
