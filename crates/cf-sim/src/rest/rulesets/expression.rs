//! The rule language, as far as the packet phases use it: parsing with a reason and a column, and evaluation.
//!
//! Documented for the rules language: `and`/`&&`, `or`/`||`, `xor`/`^^`, `not`/`!`, the comparisons by word and by sign,
//! and `in {…}` with addresses, networks, numbers and ranges. A network outside a set is refused, as there.

use std::net::IpAddr;

use ipnet::IpNet;

/// Longest expression of a DDoS override.
pub(super) const LONGEST: usize = 4_000;
/// Deepest nesting that is parsed.
const DEEPEST: usize = 100;

/// Why an expression is refused; the column counts from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) column: usize,
    pub(super) reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Address,
    Number,
    Flag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// What a set holds, or what a field is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    Network(IpNet),
    Addresses(IpAddr, IpAddr),
    Numbers(u64, u64),
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Always(bool),
    Flag(String),
    Compare(String, u8, IpAddr),
    Number(String, u8, u64),
    In(String, Vec<SetMember>),
    Not(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Xor(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
}

/// One member of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SetMember(Span);

/// What of a packet the rules look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packet {
    pub(crate) fields: Vec<(String, String)>,
}

/// Type of a field of the packet phases.
fn kind(field: &str) -> Option<Kind> {
    Some(match field {
        "ip.dst" | "ip.src" => Kind::Address,
        "ip.proto.num" | "ip.len" | "ip.ttl" | "tcp.dstport" | "tcp.srcport" | "udp.dstport" | "udp.srcport"
        | "tcp.flags" => Kind::Number,
        "tcp" | "udp" | "icmp" | "tcp.flags.ack" | "tcp.flags.fin" | "tcp.flags.push" | "tcp.flags.reset"
        | "tcp.flags.syn" | "tcp.flags.urg" => Kind::Flag,
        _ => return None,
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

/// Longest first, so that `<=` is not `<`.
const SIGNS: [&str; 15] = [
    "&&", "||", "^^", "==", "!=", "<=", ">=", "..", "<", ">", "!", "(", ")", "{", "}",
];

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Refusal> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        if let Some(sign) = SIGNS.into_iter().find(|s| text[at..].starts_with(s)) {
            found.push((at + 1, Token::Sign(sign)));
            at += sign.len();
            continue;
        }
        let rest = &text[at..];
        let ends = |(i, c): (usize, char)| {
            !(c.is_ascii_alphanumeric() || "._:/".contains(c)) || (c == '.' && rest[i..].starts_with(".."))
        };
        let length = rest.char_indices().find(|p| ends(*p)).map_or(rest.len(), |(i, _)| i);
        if length == 0 {
            return Err(refusal(at + 1, &format!("unexpected character {c:?}")));
        }
        found.push((at + 1, Token::Word(rest[..length].to_owned())));
        at += length;
    }
    Ok(found)
}

fn refusal(column: usize, reason: &str) -> Refusal {
    Refusal {
        column,
        reason: reason.to_owned(),
    }
}

/// Parses; what is refused says where and why.
pub(super) fn parse(text: &str) -> Result<Expression, Refusal> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        end: text.len() + 1,
    };
    let parsed = parser.either(0)?;
    match parser.tokens.get(parser.next) {
        None => Ok(parsed),
        Some((column, _)) => Err(refusal(*column, "unrecognised input")),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    end: usize,
}

impl Parser {
    fn take(&mut self) -> Option<(usize, Token)> {
        let token = self.tokens.get(self.next).cloned();
        self.next += usize::from(token.is_some());
        token
    }

    fn accept(&mut self, word: &str, sign: &str) -> bool {
        let there = match self.tokens.get(self.next) {
            Some((_, Token::Word(w))) => w == word,
            Some((_, Token::Sign(s))) => *s == sign,
            None => false,
        };
        self.next += usize::from(there);
        there
    }

    fn either(&mut self, depth: usize) -> Result<Expression, Refusal> {
        let mut left = self.exclusive(depth)?;
        while self.accept("or", "||") {
            left = Expression::Or(Box::new(left), Box::new(self.exclusive(depth)?));
        }
        Ok(left)
    }

    fn exclusive(&mut self, depth: usize) -> Result<Expression, Refusal> {
        let mut left = self.both(depth)?;
        while self.accept("xor", "^^") {
            left = Expression::Xor(Box::new(left), Box::new(self.both(depth)?));
        }
        Ok(left)
    }

    fn both(&mut self, depth: usize) -> Result<Expression, Refusal> {
        let mut left = self.single(depth)?;
        while self.accept("and", "&&") {
            left = Expression::And(Box::new(left), Box::new(self.single(depth)?));
        }
        Ok(left)
    }

    fn single(&mut self, depth: usize) -> Result<Expression, Refusal> {
        if depth > DEEPEST {
            return Err(refusal(self.end, "nested too deeply"));
        }
        if self.accept("not", "!") {
            return Ok(Expression::Not(Box::new(self.single(depth + 1)?)));
        }
        match self.take() {
            Some((_, Token::Sign("("))) => {
                let inner = self.either(depth + 1)?;
                match self.take() {
                    Some((_, Token::Sign(")"))) => Ok(inner),
                    Some((column, _)) => Err(refusal(column, "expected \")\"")),
                    None => Err(refusal(self.end, "expected \")\"")),
                }
            }
            Some((_, Token::Word(word))) if word == "true" => Ok(Expression::Always(true)),
            Some((_, Token::Word(word))) if word == "false" => Ok(Expression::Always(false)),
            Some((column, Token::Word(word))) => self.about(column, word),
            Some((column, Token::Sign(_))) => Err(refusal(column, "expected a field")),
            None => Err(refusal(self.end, "expected a field")),
        }
    }

    fn about(&mut self, column: usize, field: String) -> Result<Expression, Refusal> {
        let Some(kind) = kind(&field) else {
            return Err(refusal(column, &format!("unknown identifier {field}")));
        };
        if kind == Kind::Flag {
            return Ok(Expression::Flag(field));
        }
        let Some((column, operator)) = self.take() else {
            return Err(refusal(self.end, "expected a comparison"));
        };
        let word = match &operator {
            Token::Word(word) => word.as_str(),
            Token::Sign(sign) => sign,
        };
        if word == "in" {
            return Ok(Expression::In(field, self.set(kind)?));
        }
        let comparison = match word {
            "eq" | "==" => Comparison::Eq,
            "ne" | "!=" => Comparison::Ne,
            "lt" | "<" => Comparison::Lt,
            "le" | "<=" => Comparison::Le,
            "gt" | ">" => Comparison::Gt,
            "ge" | ">=" => Comparison::Ge,
            _ => return Err(refusal(column, "expected a comparison")),
        };
        match self.take() {
            Some((column, Token::Word(value))) => match literal(kind, &value) {
                Some(Span::Addresses(address, _)) => Ok(Expression::Compare(field, comparison as u8, address)),
                Some(Span::Numbers(number, _)) => Ok(Expression::Number(field, comparison as u8, number)),
                Some(Span::Network(_)) => Err(refusal(column, "a network is only allowed in a set, as in {…}")),
                None => Err(refusal(column, &format!("not a value of {field}"))),
            },
            Some((column, Token::Sign(_))) => Err(refusal(column, "expected a value")),
            None => Err(refusal(self.end, "expected a value")),
        }
    }

    fn set(&mut self, kind: Kind) -> Result<Vec<SetMember>, Refusal> {
        match self.take() {
            Some((_, Token::Sign("{"))) => {}
            Some((column, _)) => return Err(refusal(column, "expected \"{\"")),
            None => return Err(refusal(self.end, "expected \"{\"")),
        }
        let mut members = Vec::new();
        loop {
            match self.take() {
                Some((column, Token::Sign("}"))) if members.is_empty() => {
                    return Err(refusal(column, "an empty set"));
                }
                Some((_, Token::Sign("}"))) => return Ok(members),
                Some((column, Token::Word(value))) => {
                    let first = literal(kind, &value).ok_or_else(|| refusal(column, "not a value of this field"))?;
                    let span = if self.accept("", "..") {
                        self.range(column, kind, first)?
                    } else {
                        first
                    };
                    members.push(SetMember(span));
                }
                Some((column, Token::Sign(_))) => return Err(refusal(column, "expected a value or \"}\"")),
                None => return Err(refusal(self.end, "expected a value or \"}\"")),
            }
        }
    }

    fn range(&mut self, column: usize, kind: Kind, first: Span) -> Result<Span, Refusal> {
        let last = match self.take() {
            Some((_, Token::Word(value))) => literal(kind, &value),
            _ => None,
        };
        let span = match (first, last) {
            (Span::Numbers(a, _), Some(Span::Numbers(b, _))) if a <= b => Span::Numbers(a, b),
            (Span::Addresses(a, _), Some(Span::Addresses(b, _))) if a <= b && a.is_ipv4() == b.is_ipv4() => {
                Span::Addresses(a, b)
            }
            _ => return Err(refusal(column, "not a range")),
        };
        Ok(span)
    }
}

fn literal(kind: Kind, text: &str) -> Option<Span> {
    match kind {
        Kind::Address if text.contains('/') => {
            let network: IpNet = text.parse().ok()?;
            (network == network.trunc()).then_some(Span::Network(network))
        }
        Kind::Address => text.parse().ok().map(|a: IpAddr| Span::Addresses(a, a)),
        Kind::Number => number(text).map(|n| Span::Numbers(n, n)),
        Kind::Flag => None,
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

impl Expression {
    /// Whether a packet matches; a field that it does not have never does.
    pub(super) fn holds(&self, packet: &Packet) -> bool {
        let value = |field: &str| {
            packet
                .fields
                .iter()
                .find(|(name, _)| name == field)
                .map(|(_, v)| v.as_str())
        };
        let compared = |comparison: u8, order: std::cmp::Ordering| {
            [
                order.is_eq(),
                order.is_ne(),
                order.is_lt(),
                order.is_le(),
                order.is_gt(),
                order.is_ge(),
            ][usize::from(comparison)]
        };
        match self {
            Self::Always(value) => *value,
            Self::Flag(field) => value(field) == Some("true"),
            Self::Compare(field, comparison, wanted) => value(field)
                .and_then(|v| v.parse::<IpAddr>().ok())
                .is_some_and(|v| compared(*comparison, v.cmp(wanted))),
            Self::Number(field, comparison, wanted) => value(field)
                .and_then(number)
                .is_some_and(|v| compared(*comparison, v.cmp(wanted))),
            Self::In(field, members) => value(field).is_some_and(|v| members.iter().any(|m| m.has(v))),
            Self::Not(inner) => !inner.holds(packet),
            Self::And(a, b) => a.holds(packet) && b.holds(packet),
            Self::Xor(a, b) => a.holds(packet) != b.holds(packet),
            Self::Or(a, b) => a.holds(packet) || b.holds(packet),
        }
    }
}

impl SetMember {
    fn has(self, value: &str) -> bool {
        let address = || value.parse::<IpAddr>().ok();
        match self.0 {
            Span::Network(network) => address().is_some_and(|a| network.contains(&a)),
            Span::Addresses(a, b) => address().is_some_and(|v| v.is_ipv4() == a.is_ipv4() && (a..=b).contains(&v)),
            Span::Numbers(a, b) => number(value).is_some_and(|v| (a..=b).contains(&v)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(fields: &[(&str, &str)]) -> Packet {
        let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Packet {
            fields: fields.iter().map(own).collect(),
        }
    }

    #[test]
    fn what_is_documented_parses_and_matches() {
        let web = packet(&[
            ("ip.dst", "192.0.2.7"),
            ("ip.proto.num", "6"),
            ("tcp.dstport", "443"),
            ("tcp.flags.syn", "true"),
        ]);
        for (text, wanted) in [
            ("true", true),
            ("ip.dst in {192.0.2.0/24}", true),
            ("ip.dst eq 192.0.2.7 and tcp.dstport in {80 443}", true),
            (
                "(ip.dst == 192.0.2.8 || tcp.dstport in {400..450}) && not udp.dstport eq 53",
                true,
            ),
            ("ip.dst in {192.0.2.1..192.0.2.6 2001:db8::/32}", false),
            ("tcp.flags.syn and not tcp.flags.ack", true),
            ("tcp.dstport ge 444 or tcp.dstport < 443", false),
            ("ip.proto.num eq 6 xor tcp.dstport ne 443", true),
            ("udp.dstport ne 53", false),
        ] {
            assert_eq!(parse(text).map(|e| e.holds(&web)), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_column() {
        for (text, column) in [
            ("", 1),
            ("ip.dst.port eq 53", 1),
            ("ip.dst eq 192.0.2.0/24", 11),
            ("ip.dst in {192.0.2.1/24}", 12),
            ("ip.dst in {}", 12),
            ("tcp.dstport in {90..80}", 17),
            ("hello world } foo.bar eq", 1),
            ("(ip.dst eq 192.0.2.1", 21),
            ("ip.dst eq 192.0.2.1 and", 24),
            ("tcp.dstport eq web", 16),
            ("ip.dst eq 192.0.2.1 ; true", 21),
            ("ip.dst contains 192.0.2.1", 8),
        ] {
            assert_eq!(parse(text).map_err(|e| e.column), Err(column), "{text}");
        }
        assert!(parse(&"(".repeat(500)).is_err());
    }
}
