//! The description as a page for people, `docs/51-http-api.md`.

use std::fmt::Write as _;

use serde_json::Value;

const HEAD: &str = "\
# HTTP API

What the dashboard's pages show, for programs. The same as an OpenAPI 3.1 document: `GET /api/openapi.json`. This page is
generated from it.

## Conventions

- Instants are RFC 3339 in UTC. What is not known is `null`, never 0 or `false`. Keys may be added; those that are here stay.
- Every answer has `success`. A failure is `{\"success\": false, \"error\": TEXT, \"code\": WORD}` with a status that says the
  same; `code` is stable, `error` is for people. 429 and some 503 have `Retry-After` and `retry_after_s`.
- Machines send `Authorization: Bearer TOKEN` with a token made on the settings page, and no cookie: both together are
  refused. People's sessions are cookies; a change then repeats the session's secret in `x-csrf-token`.
- Lists are newest first, a page at a time: `limit` (1 to 500) and `before`, which is the `next_before` of the answer before,
  as it was given. A page may be shorter than `limit`; the list ends where `next_before` is `null`. Filters without an
  index look through a bounded number of rows for one page: `searched_back_to` then says how far, and of what is older
  nothing is known before the next page. Rows that are added meanwhile shift nothing. Parameters that a list does not know, or values that it does not understand, are refused.
- `GET` answers carry an `ETag`; repeated in `If-None-Match` it is answered with 304 while nothing differs.
- `GET /health` and `GET /metrics` need no session; see the operators' pages.

## Signing in

`POST /login` with JSON `username`, `password` and, where a second factor is asked for, `code`: 200 with the cookie, 401
`invalid_credentials` or `second_factor_required`, 429 `too_many_attempts`. `POST /logout` ends the session.
";

/// The page.
pub(super) fn of(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    let paths = document["paths"].as_object().into_iter().flatten();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let _ = write!(page, "\n## {} {path}\n\n", method.to_uppercase());
            section(document, operation, &mut page);
        }
    }
    page
}

fn section(document: &Value, operation: &Value, page: &mut String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
    let _ = writeln!(page, "{}.", text(&operation["summary"]).trim_end_matches('.'));
    let description = text(&operation["description"]);
    if !description.is_empty() {
        let _ = writeln!(page, "\n{description}");
    }
    let parameters = operation["parameters"].as_array();
    if let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) {
        page.push_str("\n| Parameter | |\n|---|---|\n");
        for parameter in parameters {
            let _ = writeln!(
                page,
                "| `{}` | {} |",
                text(&parameter["name"]),
                text(&parameter["description"])
            );
        }
    }
    if let Some(body) = operation["requestBody"]["content"]["application/json"].get("schema") {
        fields(document, "Body", body, page);
    }
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let schema = answer["content"]["application/json"].get("schema");
        if let Some(schema) = schema.filter(|_| status.starts_with('2')) {
            fields(document, &format!("Answer {status}"), schema, page);
        }
    }
}

/// The keys of an object, those of the rows of a list after them.
fn fields(document: &Value, title: &str, schema: &Value, page: &mut String) {
    let mut keys = Vec::new();
    collect(document, schema, "", &mut keys);
    if keys.is_empty() {
        return;
    }
    let _ = write!(page, "\n| {title} | Type | |\n|---|---|---|\n");
    for (name, kind, text) in keys {
        let _ = writeln!(
            page,
            "| `{name}` | {kind} | {} |",
            text.replace('\n', " ").replace('|', "\\|")
        );
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        Some(name) => &document["components"]["schemas"][name],
        None => schema,
    }
}

fn collect(document: &Value, schema: &Value, prefix: &str, keys: &mut Vec<(String, String, String)>) {
    let schema = resolved(document, schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        collect(document, part, prefix, keys);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let name = format!("{prefix}{name}");
        let text = property["description"].as_str().unwrap_or_default().to_owned();
        let items = property.get("items").map(|items| resolved(document, items));
        keys.push((name.clone(), kind(document, property), text));
        // One level of rows is what a reader wants; the rest is in the document.
        if let Some(items) = items.filter(|items| prefix.is_empty() && items.get("properties").is_some()) {
            collect(document, items, &format!("{name}[]."), keys);
        }
        let inner = resolved(document, property);
        if prefix.is_empty() && inner.get("properties").is_some() {
            collect(document, inner, &format!("{name}."), keys);
        }
    }
}

fn kind(document: &Value, property: &Value) -> String {
    let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let format = property["format"].as_str().unwrap_or_default();
    let name = |word: &str| match (word, format) {
        ("string", "date-time") => "instant".to_owned(),
        (word, _) => word.to_owned(),
    };
    match &property["type"] {
        Value::String(word) => name(word),
        Value::Array(words) => {
            let words: Vec<String> = words.iter().map(|word| name(&of(word))).collect();
            words.join(" or ")
        }
        _ if property.get("$ref").is_some() => {
            let target = resolved(document, property);
            if target.get("enum").is_some() {
                "word".to_owned()
            } else {
                "object".to_owned()
            }
        }
        _ if property.get("oneOf").is_some() => "object or null".to_owned(),
        _ => "any".to_owned(),
    }
}
