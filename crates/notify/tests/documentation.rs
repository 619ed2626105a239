//! What people can name in settings and in the chat is in the documentation.

use domain::notice::KINDS;

#[test]
fn every_kind_is_documented_and_no_other() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/32-messages.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("\n## Kinds\n").expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let table = section.lines().filter(|line| line.starts_with('|'));
    let mut listed: Vec<&str> = table.flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
    listed.sort_unstable();
    assert_eq!(listed, KINDS);
}
