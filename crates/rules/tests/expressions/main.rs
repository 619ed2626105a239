//! The language of overrides by listed examples: what the documentation shows is taken, what is wrong is refused at its
//! place, and no text at all makes the parser panic.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use proptest::prelude::*;
use rules::expression::{DEEPEST, Expression, LONGEST, Refusal, Scope, concerns, covers};
use rules::template::{Simple, TEMPLATES};

const VALID: &str = include_str!("fixtures/valid.txt");
const MALFORMED: &str = include_str!("fixtures/malformed.txt");
const MARK: char = '¦';

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
}

#[test]
fn what_the_documentation_shows_is_taken() {
    let mut scope = Scope::DdosL4;
    let mut count = 0;
    for line in lines(VALID) {
        match line {
            "[overrides]" => scope = Scope::DdosL4,
            "[packets]" => scope = Scope::Packets,
            text => {
                Expression::parse_for(text, scope)
                    .unwrap_or_else(|refusal| panic!("{}\n{refusal}", refusal.pointed(text)));
                if scope == Scope::Packets && text.contains("ip.proto ") {
                    assert!(Expression::parse(text).is_err(), "{text}");
                }
                count += 1;
            }
        }
    }
    assert!(count >= 60, "{count}");
    for template in TEMPLATES {
        for destination in ["192.0.2.1/32", "2001:db8::/48"] {
            let simple = Simple::of_template(template, vec![destination.parse().unwrap()]);
            let text = simple.expression().unwrap().text().to_owned();
            assert!(Expression::parse(&text).is_ok(), "{text}");
        }
    }
}

#[test]
fn what_is_wrong_is_refused_at_its_place() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in lines(MALFORMED) {
        let place = line.find(MARK).expect(line);
        let text = line.replacen(MARK, "", 1);
        count += 1;
        match Expression::parse(&text) {
            Ok(_) => wrong.push(format!("taken: {text}")),
            Err(refusal) => {
                let place = if place >= text.trim_end().len() {
                    text.trim_end().len()
                } else {
                    place
                };
                if refusal.offset != place {
                    wrong.push(format!("{line}\n{}\n{refusal}", refusal.pointed(&text)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(count >= 200, "{count}");
}

fn refused(text: &str) -> Refusal {
    Expression::parse(text).expect_err(text)
}

#[test]
fn hints_say_what_to_write() {
    for (text, hint) in [
        ("ip.dst.port eq 80", "tcp.dstport or udp.dstport"),
        ("managed_challenge", "block and log"),
        ("js_challenge", "block and log"),
        ("skip", "block and log"),
        ("ip.proto eq \"tcp\"", "ip.proto.num"),
        ("ip.dst eq 192.0.2.0/24", "ip.dst in {192.0.2.0/24}"),
        ("ip.dst in {192.0.2.1/24}", "192.0.2.0/24"),
        ("tcp.dstport in {80,443}", "comma"),
        ("tcp.dstport in {80-90}", "two dots"),
        ("tcp.flags.syn == true", "tcp.flags.syn or not tcp.flags.syn"),
        ("ip.dst not in {192.0.2.1}", "not ip.dst in"),
        ("udp.dstprot eq 53", "did you mean udp.dstport?"),
        ("http.host eq \"a\"", "HTTP"),
        ("tcp.dstport eq https", "443"),
        ("(tcp.dstport eq 80", "character 1 is open"),
        ("ip.dst eq 192.0.2.1 AND tcp.flags.syn", "small letters"),
    ] {
        let refusal = refused(text);
        assert!(
            refusal.hint.as_deref().is_some_and(|it| it.contains(hint)),
            "{text}: {refusal:?}"
        );
    }
}

#[test]
fn depth_and_length_have_ends() {
    let nested = |depth: usize| format!("{}tcp.flags.syn{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Expression::parse(&nested(DEEPEST)).is_ok());
    let deep = refused(&nested(DEEPEST + 1));
    assert_eq!(
        (deep.offset, deep.message.contains("64")),
        (DEEPEST + 1, true),
        "{deep}"
    );
    assert!(refused(&"not ".repeat(900)).message.contains("deeper"));
    assert!(refused(&"!(".repeat(1_000)).message.contains("deeper"));
    let long = "tcp.flags.syn and ".repeat(400);
    let refusal = refused(&long);
    assert_eq!((refusal.column, refusal.offset), (LONGEST + 1, LONGEST));
    let networks: Vec<String> = (0..250).map(|n| format!("192.0.{n}.0/24")).collect();
    assert!(Expression::parse(&format!("ip.dst in {{{}}}", networks.join(" "))).is_ok());
    assert_eq!(refused("é and").column, 1);
    assert_eq!(refused("ip.dst eq 192.0.2.1 é").column, 21);
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "ip.dst",
            "tcp.dstport",
            "tcp.flags.syn",
            "ip.proto.num",
            "eq",
            "in",
            "{",
            "}",
            "(",
            ")",
            "and",
            "or",
            "not",
            "xor",
            "80",
            "192.0.2.1",
            "192.0.2.0/24",
            "2001:db8::1",
            "1..9",
            "\"x\"",
            "$l",
            "==",
            "&",
            "!",
            ",",
            "true",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_text_is_answered(pieces in prop::collection::vec(piece(), 0..24), spaced in any::<bool>()) {
        let text = pieces.join(if spaced { " " } else { "" });
        for scope in [Scope::DdosL4, Scope::Packets] {
            match Expression::parse_for(&text, scope) {
                Ok(expression) => {
                    let again = Expression::parse_for(expression.text(), scope).unwrap();
                    prop_assert_eq!(again.root(), expression.root());
                    prop_assert!(covers(expression.root(), expression.root()));
                    let _ = concerns(&expression);
                    let _ = Simple::of(&expression);
                }
                Err(refusal) => {
                    prop_assert!(text.is_char_boundary(refusal.offset) && refusal.offset + refusal.length <= text.len());
                    prop_assert!(!refusal.pointed(&text).is_empty());
                }
            }
        }
    }
}
