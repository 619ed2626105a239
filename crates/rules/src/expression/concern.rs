//! What to think about in an expression that is correct.

use super::field::{Advice, Field};
use super::reach::{Protocols, families, protocols};
use super::{Expression, Node, Subject};

/// Something an operator should know before saving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// No packet can have all of it.
    NeverApplies,
    /// It works only if the attack's fingerprint happens to hold this field: attacks come from many sources.
    Unreliable(&'static Field),
    /// It is for all destinations of the account.
    EveryDestination,
    /// It rests on a list, which can be changed elsewhere.
    UsesList,
}

impl Concern {
    /// Stable word for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverApplies => "never_applies",
            Self::Unreliable(_) => "unreliable_field",
            Self::EveryDestination => "every_destination",
            Self::UsesList => "uses_list",
        }
    }

    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::NeverApplies => "no packet can meet all of these conditions".to_owned(),
            Self::Unreliable(field) => format!(
                "{} is compared with the fingerprint of the attack and is often not part of it: Cloudflare does not recommend it",
                field.name
            ),
            Self::EveryDestination => "it applies to all destinations of the account".to_owned(),
            Self::UsesList => "it depends on a list that is changed elsewhere".to_owned(),
        }
    }
}

/// What to think about, each once.
pub fn concerns(expression: &Expression) -> Vec<Concern> {
    let root = expression.root();
    let mut found = Vec::new();
    if protocols(root) == Protocols::NONE || families(root) == (false, false) {
        found.push(Concern::NeverApplies);
    }
    let mut has_destination = false;
    let mut stack = vec![root];
    while let Some(node) = stack.pop() {
        let mut field: Option<&'static Field> = None;
        match node {
            Node::Not(inside) => stack.push(inside),
            Node::And(parts) | Node::Or(parts) | Node::Xor(parts) => stack.extend(parts.iter().rev()),
            Node::Flag(of) => field = Some(of),
            Node::Compare(Subject::Field(of), ..) | Node::In(Subject::Field(of), _) => field = Some(of),
            Node::InList(Subject::Field(of), _) => {
                field = Some(of);
                if !found.contains(&Concern::UsesList) {
                    found.push(Concern::UsesList);
                }
            }
            _ => {}
        }
        let Some(field) = field else { continue };
        has_destination |= field.name == "ip.dst";
        let concern = Concern::Unreliable(field);
        if field.advice == Advice::Unreliable && !found.contains(&concern) {
            found.push(concern);
        }
    }
    if !has_destination {
        found.push(Concern::EveryDestination);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concerns_by_expression() {
        let words = |text: &str| -> Vec<&str> {
            let expression = Expression::parse(text).expect(text);
            concerns(&expression).into_iter().map(Concern::as_str).collect()
        };
        assert_eq!(words("ip.dst eq 192.0.2.1 and tcp.dstport eq 80"), [""; 0]);
        assert_eq!(
            words("ip.dst eq 192.0.2.1 and ip.src eq 198.51.100.1"),
            ["unreliable_field"]
        );
        assert_eq!(words("tcp.dstport eq 80"), ["every_destination"]);
        assert_eq!(
            words("ip.dst in $web and ip.len gt 9"),
            ["uses_list", "unreliable_field"]
        );
        assert_eq!(
            words("ip.dst eq 192.0.2.1 and tcp.dstport eq 80 and udp.dstport eq 53"),
            ["never_applies"]
        );
    }
}
