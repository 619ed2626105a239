//! Which packets a managed rule is about, and whether an expression fits it.
//!
//! The managed ruleset shows no expressions; short names (`UDP4-0002`) and categories tell. Must hold: a rule whose name
//! tells nothing fits everything, because a wrong refusal would keep people from an override they need.

use cf_api::rest::rulesets::Rule;

use crate::expression::{Expression, Protocols, families, protocols};

/// Whether an override for some packets can have an effect on a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It can.
    Fits,
    /// It cannot: why.
    Misfit(String),
}

/// Word at the begin of a short name or in a category, and the protocols it stands for.
const WORDS: [(&str, &[u8], &str); 11] = [
    ("tcp", &[6], "TCP"),
    ("udp", &[17], "UDP"),
    ("dns", &[6, 17], "DNS"),
    ("sip", &[6, 17], "SIP"),
    ("ntp", &[17], "NTP"),
    ("memcached", &[6, 17], "memcached"),
    ("icmp", &[1, 58], "ICMP"),
    ("gre", &[47], "GRE"),
    ("esp", &[50], "ESP"),
    ("ipsec", &[50, 51, 17], "IPsec"),
    ("quic", &[17], "QUIC"),
];

fn of_word(word: &str) -> Option<(Protocols, &'static str)> {
    let found = WORDS.iter().find(|(name, ..)| *name == word);
    found.map(|(_, numbers, label)| (Protocols::of(numbers), *label))
}

/// Letters of a short name, and the address family behind them: `UDP4-0002` is (`udp`, `4`).
fn parts(reference: &str) -> (String, Option<char>) {
    let head = reference.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let family = head.chars().last().filter(|last| matches!(last, '4' | '6'));
    let word = match family {
        Some(_) => head.get(..head.len() - 1).unwrap_or_default().to_owned(),
        None => head,
    };
    (word, family)
}

/// The protocols a managed rule is about, and their name.
fn about(rule: &Rule) -> (Protocols, &'static str) {
    let by_name = rule
        .reference
        .as_deref()
        .map(parts)
        .and_then(|(word, _)| of_word(&word));
    let by_category = || {
        rule.categories
            .iter()
            .find_map(|category| of_word(&category.to_ascii_lowercase()))
    };
    by_name.or_else(by_category).unwrap_or((Protocols::ALL, "any protocol"))
}

/// The protocols a managed rule is about; all where nothing tells.
pub fn protocols_of(rule: &Rule) -> Protocols {
    about(rule).0
}

/// Whether `expression` and `rule` can meet in a packet.
pub fn fit(rule: &Rule, expression: &Expression) -> Fit {
    let name = rule.reference.as_deref().unwrap_or(&rule.id);
    let (of_rule, label) = about(rule);
    let of_expression = protocols(expression.root());
    if of_rule.and(of_expression) == Protocols::NONE {
        return Fit::Misfit(format!("rule {name} is about {label}, the expression is not"));
    }
    let (four, six) = families(expression.root());
    match rule.reference.as_deref().map(parts) {
        Some((_, Some('4'))) if !four => {
            Fit::Misfit(format!("rule {name} is about IPv4, the expression is about IPv6"))
        }
        Some((_, Some('6'))) if !six => Fit::Misfit(format!("rule {name} is about IPv6, the expression is about IPv4")),
        _ => Fit::Fits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(reference: &str, category: &str) -> Rule {
        serde_json::from_value(serde_json::json!({"id": "a".repeat(32), "ref": reference, "categories": [category]}))
            .unwrap()
    }

    #[test]
    fn rules_and_expressions_that_cannot_meet() {
        for (reference, category, text, fits) in [
            ("TCP-0001", "generic", "ip.dst eq 192.0.2.1 and tcp.dstport eq 80", true),
            (
                "TCP-0001",
                "generic",
                "ip.dst eq 192.0.2.1 and udp.dstport eq 53",
                false,
            ),
            ("UDP4-0002", "sip", "udp.dstport eq 5060", true),
            (
                "UDP4-0002",
                "sip",
                "ip.dst eq 2001:db8::1 and udp.dstport eq 5060",
                false,
            ),
            ("ESP6-0001", "esp", "ip.proto.num eq 50 and ip.dst eq 192.0.2.1", false),
            ("ESP6-0001", "esp", "ip.proto.num eq 50 and ip.dst eq 2001:db8::1", true),
            ("UDP-0001", "generic", "ip.proto.num eq 1", false),
            ("ENT-0004", "advanced", "ip.proto.num eq 1", true),
            ("X-1", "gre", "tcp.flags.syn", false),
            ("DNS-0002", "udp", "udp.dstport eq 53", true),
            ("", "", "tcp.flags.syn", true),
        ] {
            let expression = Expression::parse(text).unwrap();
            assert_eq!(
                fit(&rule(reference, category), &expression) == Fit::Fits,
                fits,
                "{reference} {text}"
            );
        }
    }

    #[test]
    fn every_template_fits_its_target() {
        for template in crate::template::TEMPLATES.iter().filter(|it| !it.target.is_empty()) {
            let expression = crate::template::Simple::of_template(template, vec!["192.0.2.0/24".parse().unwrap()])
                .expression()
                .unwrap();
            assert_eq!(
                fit(&rule(template.target, ""), &expression),
                Fit::Fits,
                "{}",
                template.id
            );
        }
    }
}
