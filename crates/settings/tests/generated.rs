//! The committed schema and reference are what the key table says. Regenerate with
//! `UPDATE_GENERATED=1 cargo test -p settings --test generated`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn unchanged(path: &str, wanted: &str) {
    let file = repository().join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&file, wanted).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == wanted,
        "{path} is not what the key table says; run UPDATE_GENERATED=1 cargo test -p settings --test generated"
    );
}

#[test]
fn schema_is_unchanged() {
    unchanged("config/settings.schema.json", &settings::json_schema());
}

#[test]
fn reference_is_unchanged() {
    unchanged("docs/30-configuration.md", &settings::reference_markdown());
}
