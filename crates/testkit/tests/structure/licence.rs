//! SPDX licence expressions: `MIT OR (Apache-2.0 AND ISC)`, and the old `MIT/Apache-2.0`.

/// Whether an expression can be fulfilled with the licences of `allowed` alone.
pub(crate) fn permits(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let permitted = alternatives(&mut rest, allowed);
    assert!(rest.is_empty(), "not an SPDX expression: {expression}");
    permitted
}

fn alternatives(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut any = all_of(words, allowed);
    while take(words, "OR") {
        any |= all_of(words, allowed);
    }
    any
}

fn all_of(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut all = one(words, allowed);
    while take(words, "AND") {
        all &= one(words, allowed);
    }
    all
}

fn one(words: &mut &[&str], allowed: &[&str]) -> bool {
    if take(words, "(") {
        let inside = alternatives(words, allowed);
        assert!(take(words, ")"), "a bracket is not closed");
        return inside;
    }
    let (name, rest) = words.split_first().expect("a licence");
    *words = rest;
    if take(words, "WITH") {
        let (exception, rest) = words.split_first().expect("an exception");
        *words = rest;
        return allowed.contains(&format!("{name} WITH {exception}").as_str()) || allowed.contains(name);
    }
    allowed.contains(name)
}

fn take(words: &mut &[&str], word: &str) -> bool {
    match words.split_first() {
        Some((first, rest)) if *first == word => {
            *words = rest;
            true
        }
        _ => false,
    }
}

#[test]
fn expressions_are_read_as_spdx_defines_them() {
    let allowed = ["MIT", "ISC"];
    for (expression, permitted) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("MIT/GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 OR MIT AND ISC", true),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("(GPL-3.0 OR MIT) AND LGPL-2.1", false),
        ("ISC WITH LLVM-exception", true),
    ] {
        assert_eq!(permits(expression, &allowed), permitted, "{expression}");
    }
}
