//! CSV (RFC 4180) that no spreadsheet takes for a program.

use serde_json::Value;

/// One value as a cell. Text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV
/// injection"): numbers of ours do not, they are no text.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        Value::Array(values) => {
            let words: Vec<String> = values
                .iter()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .collect();
            quoted(&words.join(" "))
        }
        Value::Object(_) => quoted(&value.to_string()),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let guard = if text
        .trim_start()
        .starts_with(['=', '+', '-', '@', '\t', '\r', '|', '%', '＝', '＋', '－', '＠'])
        || text.starts_with(['\t', '\r', '\n'])
    {
        "'"
    } else {
        ""
    };
    if guard.is_empty() && !text.contains(['"', ',', ';', '\r', '\n', '\t', '\'']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

/// A line of cells.
pub(super) fn line(cells: impl Iterator<Item = String>, text: &mut String) {
    for (position, cell) in cells.enumerate() {
        if position > 0 {
            text.push(',');
        }
        text.push_str(&cell);
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_text() {
        for hostile in [
            "=cmd|'/C calc'!A0",
            "+1+1",
            "-2+3",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            " =1",
            "＝1+1",
            "%0A",
        ] {
            let cell = cell(&json!(hostile));
            assert!(cell.starts_with("\"'"), "{hostile}: {cell}");
        }
        assert_eq!(cell(&json!(-5)), "-5", "a number stays one");
        assert_eq!(cell(&json!("203.0.113.0/24")), "203.0.113.0/24");
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let mut text = String::new();
        let values = [
            json!("a,b"),
            json!("say \"no\""),
            json!("two\nlines"),
            json!(null),
            json!(true),
            json!(["x", "y"]),
        ];
        line(values.iter().map(cell), &mut text);
        assert_eq!(text, "\"a,b\",\"say \"\"no\"\"\",\"two\nlines\",,true,x y\r\n");
    }
}
