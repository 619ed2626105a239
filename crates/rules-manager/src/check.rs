//! `check` and `templates`: expressions without asking Cloudflare.

use cli::{Out, Table, Trouble, words};
use daemon::exit;
use rules::expression::{Expression, concerns};
use rules::template::{Simple, TEMPLATES, Template};
use serde_json::json;

/// Says whether a text is an expression.
///
/// # Errors
/// It is none: where and why.
pub fn expression(out: Out, text: &str) -> Result<u8, Trouble> {
    let read = Expression::parse(text);
    if out.is_json() {
        let (refusal, found) = match &read {
            Ok(expression) => (None, concerns(expression)),
            Err(refusal) => (Some(refusal), Vec::new()),
        };
        let found: Vec<_> = found
            .into_iter()
            .map(|it| json!({"kind": it.as_str(), "text": it.words()}))
            .collect();
        out.document(
            &json!({"schema": "cloudflare-mt/expression/1", "expression": text, "valid": read.is_ok(),
            "column": refusal.map(|it| it.column), "message": refusal.map(|it| &it.message),
            "hint": refusal.and_then(|it| it.hint.as_ref()), "concerns": found}),
        )?;
        return Ok(if read.is_ok() { exit::DONE } else { exit::FAILURE });
    }
    match read {
        Ok(expression) => {
            out.text("it is an expression\n")?;
            for concern in concerns(&expression) {
                out.text(&format!("note: {}\n", concern.words()))?;
            }
            Ok(exit::DONE)
        }
        Err(refusal) => {
            let text = format!("{refusal}\n{}", refusal.pointed(text));
            Err(Trouble::failed("expression.invalid", text))
        }
    }
}

/// Shows the services of the simple builder.
///
/// # Errors
/// When it cannot be written.
pub fn templates(out: Out) -> Result<u8, Trouble> {
    let condition = |template: &Template| {
        let made = Simple::of_template(template, Vec::new()).expression();
        made.map_or_else(|_| String::new(), |it| it.text().to_owned())
    };
    if out.is_json() {
        let all: Vec<_> = TEMPLATES
            .iter()
            .map(|it| json!({"id": it.id, "group": it.group, "label": it.label, "condition": condition(it), "rule": it.target}))
            .collect();
        out.document(&json!({"schema": "cloudflare-mt/templates/1", "templates": all}))?;
        return Ok(exit::DONE);
    }
    let mut table = Table::new(&["NAME", "SERVICE", "CONDITION", "RULE"]);
    for it in TEMPLATES {
        table.row([
            it.id.to_owned(),
            format!("{}: {}", it.group, it.label),
            condition(it),
            it.target.to_owned(),
        ]);
    }
    let mut text = table.render(out.screen());
    text.push_str(&format!("{}\n", words::counted(TEMPLATES.len(), "service", "services")));
    out.text(&text)?;
    Ok(exit::DONE)
}
