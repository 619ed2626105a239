//! Tokens to a tree, by precedence: `not`, then `and`, then `xor`, then `or`.
//!
//! Must hold: nesting deeper than the limit is refused before it is entered, so no text can exhaust the stack; every
//! refusal has the place of the token that was not expected.

use super::field::{Field, Type, named};
use super::token::{Placed, Token, tokens};
use super::value::{self, Item, Literal};
use super::{DEEPEST, LONGEST, Node, Refusal, Relation, Scope, Subject, hint};

/// Reads a whole expression.
pub(super) fn expression(text: &str, scope: Scope) -> Result<Node, Refusal> {
    let length = text.chars().count();
    if length > LONGEST {
        let offset = text.char_indices().nth(LONGEST).map_or(text.len(), |(at, _)| at);
        return Err(Refusal {
            offset,
            length: text.len() - offset,
            column: LONGEST + 1,
            message: format!("it is {length} characters long; Cloudflare takes {LONGEST}"),
            hint: Some("networks in a set are shorter than single addresses".to_owned()),
        });
    }
    let mut parser = Parser {
        text,
        tokens: tokens(text),
        at: 0,
        scope,
    };
    if parser.tokens.is_empty() {
        return Err(parser.refuse("there is no expression", Some("true applies to everything".to_owned())));
    }
    let node = parser.any(0)?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.unexpected_joint("an end, and or or is expected")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Placed<'a>>,
    at: usize,
    scope: Scope,
}

type Step<T> = Result<T, Refusal>;

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).map(|it| it.token)
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    /// Takes the next token if it is one of these words or signs.
    fn take(&mut self, wanted: &[&str]) -> bool {
        let fits = matches!(self.peek(), Some(Token::Word(word) | Token::Sign(word)) if wanted.contains(&word));
        self.at += usize::from(fits);
        fits
    }

    /// A refusal at the next token, or at the end of the text.
    fn refuse(&self, message: impl Into<String>, hint: Option<String>) -> Refusal {
        self.refuse_at(self.at, message, hint)
    }

    fn refuse_at(&self, token: usize, message: impl Into<String>, hint: Option<String>) -> Refusal {
        let end = self.text.trim_end().len();
        let (offset, to) = self.tokens.get(token).map_or((end, end), |it| (it.from, it.to));
        Refusal {
            offset,
            length: to - offset,
            column: self.text.get(..offset).map_or(0, |before| before.chars().count()) + 1,
            message: message.into(),
            hint,
        }
    }

    fn shown(&self) -> String {
        match self.tokens.get(self.at) {
            None => "it ends here".to_owned(),
            Some(it) => {
                let word = self.text.get(it.from..it.to).unwrap_or_default();
                format!("'{}' is not expected here", value::short(word))
            }
        }
    }

    fn unexpected_joint(&self, expected: &str) -> Refusal {
        let hint = match self.peek() {
            Some(Token::Word(word) | Token::Sign(word)) => hint::for_joint(word),
            Some(Token::OpenText) => Some("the quote has no end".to_owned()),
            _ => Some("join two conditions by and or or".to_owned()),
        };
        self.refuse(format!("{}; {expected}", self.shown()), hint)
    }

    fn any(&mut self, depth: usize) -> Step<Node> {
        self.chain(depth, &["or", "||"], Self::exclusive, Node::Or)
    }

    fn exclusive(&mut self, depth: usize) -> Step<Node> {
        self.chain(depth, &["xor", "^^"], Self::all, Node::Xor)
    }

    fn all(&mut self, depth: usize) -> Step<Node> {
        self.chain(depth, &["and", "&&"], Self::unary, Node::And)
    }

    fn chain(
        &mut self,
        depth: usize,
        joint: &[&str],
        part: fn(&mut Self, usize) -> Step<Node>,
        join: fn(Vec<Node>) -> Node,
    ) -> Step<Node> {
        let first = part(self, depth)?;
        let mut parts = vec![first];
        while self.take(joint) {
            parts.push(part(self, depth)?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => join(parts),
        })
    }

    fn unary(&mut self, depth: usize) -> Step<Node> {
        if depth > DEEPEST {
            let message = format!("brackets and not are nested deeper than {DEEPEST}");
            return Err(self.refuse(message, Some("most brackets can be left out".to_owned())));
        }
        let open = self.at;
        if self.take(&["not", "!"]) {
            return Ok(Node::Not(Box::new(self.unary(depth + 1)?)));
        }
        if !self.take(&["("]) {
            return self.condition();
        }
        let inside = self.any(depth + 1)?;
        if self.take(&[")"]) {
            return Ok(inside);
        }
        if self.peek().is_some() {
            return Err(self.unexpected_joint("and, or or ) is expected"));
        }
        let at = self.tokens.get(open).map_or(0, |it| it.from);
        let column = self.text.get(..at).map_or(0, |before| before.chars().count()) + 1;
        Err(self.refuse(
            "a bracket is not closed",
            Some(format!("the one at character {column} is open")),
        ))
    }

    fn condition(&mut self) -> Step<Node> {
        if self.take(&["true"]) {
            return Ok(Node::Always(true));
        }
        if self.take(&["false"]) {
            return Ok(Node::Always(false));
        }
        let subject = self.subject()?;
        let (name, holds) = match &subject {
            Subject::Field(field) => (field.name, field.holds),
            Subject::BitSlice(field, _, _) => (field.name, Type::Number(u64::MAX)),
        };
        if let (Type::Flag, Subject::Field(field)) = (holds, &subject) {
            return self.flag(field);
        }
        if holds == Type::Raw {
            let hint = format!("write bit_slice({name}, 0, 8)");
            return Err(self.refuse(format!("{name} is a raw header"), Some(hint)));
        }
        self.comparison(subject, name, holds)
    }

    fn subject(&mut self) -> Step<Subject> {
        let word = match self.peek() {
            Some(Token::Word(word)) => word,
            Some(Token::Text(_) | Token::OpenText) => {
                return Err(self.refuse(
                    "a field is expected, not a text",
                    Some("fields have no quotes".to_owned()),
                ));
            }
            Some(Token::List(name)) => {
                let hint = format!("a list stands after in: ip.dst in ${name}");
                return Err(self.refuse("a field is expected, not a list", Some(hint)));
            }
            Some(Token::Sign(sign)) => {
                let hint = match sign {
                    "(" | ")" => Some("a condition stands between brackets".to_owned()),
                    "{" => Some("a set stands after in: ip.dst in {192.0.2.0/24}".to_owned()),
                    _ => hint::for_field("eq"),
                };
                return Err(self.refuse(format!("{}; a condition is expected", self.shown()), hint));
            }
            None => {
                return Err(self.refuse(
                    "it ends here; a condition is expected",
                    Some("such as ip.dst eq 192.0.2.1".to_owned()),
                ));
            }
        };
        let is_call = matches!(
            self.tokens.get(self.at + 1),
            Some(Placed {
                token: Token::Sign("("),
                ..
            })
        );
        if is_call {
            return self.call(word);
        }
        let Some(field) = named(word) else {
            let message = format!("'{}' is no field", value::short(word));
            return Err(self.refuse(message, hint::for_field(word)));
        };
        if self.scope == Scope::DdosL4 && !field.in_overrides() {
            let message = format!("{word} cannot be used in overrides of the network-layer DDoS ruleset");
            return Err(self.refuse(message, hint::for_field(word)));
        }
        self.at += 1;
        Ok(Subject::Field(field))
    }

    fn call(&mut self, word: &str) -> Step<Subject> {
        if word != "bit_slice" || self.scope == Scope::DdosL4 {
            if named(word).is_some() {
                self.at += 1;
                return Err(self.refuse("an operator is expected, not a bracket", hint::for_operator("eq", word)));
            }
            let message = format!("the function {}() is not known here", value::short(word));
            return Err(self.refuse(message, Some("overrides compare fields with values".to_owned())));
        }
        self.at += 2;
        let Some(Token::Word(name)) = self.peek() else {
            return Err(self.refuse("a raw header is expected", Some("bit_slice(tcp, 0, 8)".to_owned())));
        };
        let Some(field) = named(name).filter(|field| field.holds == Type::Raw) else {
            return Err(self.refuse("a raw header is expected", Some("ip, tcp, udp or icmp".to_owned())));
        };
        self.at += 1;
        let mut bounds = [0; 2];
        for bound in &mut bounds {
            if !self.take(&[","]) {
                return Err(self.refuse("a comma is expected", Some(format!("bit_slice({name}, 0, 8)"))));
            }
            let Some(Token::Word(word)) = self.peek() else {
                return Err(self.refuse("a number is expected", None));
            };
            *bound = match value::literal(word, "a bit", Type::Number(16_000)) {
                Ok(Literal::Number(number)) => number,
                Ok(_) => 0,
                Err((message, hint)) => return Err(self.refuse(message, hint)),
            };
            self.at += 1;
        }
        if !self.take(&[")"]) {
            return Err(self.refuse("a closing bracket is expected", None));
        }
        let [from, to] = bounds;
        Ok(Subject::BitSlice(field, from, to))
    }

    fn flag(&mut self, field: &'static Field) -> Step<Node> {
        let compared = match self.peek() {
            Some(Token::Sign("==" | "!=" | "=" | "<" | ">" | "<=" | ">=" | "&" | "~")) => true,
            Some(Token::Word(word)) => relation(word).is_some() || ["in", "strict", "is", "equals"].contains(&word),
            _ => false,
        };
        if compared {
            let hint = format!("write {0} or not {0}", field.name);
            return Err(self.refuse(format!("{} is yes or no by itself", field.name), Some(hint)));
        }
        Ok(Node::Flag(field))
    }

    fn comparison(&mut self, subject: Subject, name: &str, holds: Type) -> Step<Node> {
        let operator = self.at;
        if self.take(&["in"]) {
            return self.membership(subject, name, holds);
        }
        let found = match self.peek() {
            Some(Token::Word("strict")) => {
                self.at += 1;
                match self.peek() {
                    Some(Token::Word("wildcard")) => Some(Relation::StrictWildcard),
                    _ => None,
                }
            }
            Some(Token::Word(word) | Token::Sign(word)) => relation(word),
            _ => None,
        };
        let Some(relation) = found else {
            let word = match self.peek() {
                Some(Token::Word(word) | Token::Sign(word)) => word,
                _ => "",
            };
            let hint = hint::for_operator(word, name)
                .unwrap_or_else(|| "operators are eq, ne, lt, le, gt, ge and in".to_owned());
            return Err(self.refuse(format!("{}; an operator is expected", self.shown()), Some(hint)));
        };
        if !suits(relation, holds) {
            let (message, hint) = match holds {
                Type::Address => (
                    format!("{name} is an address: it is equal, not equal, or in a set"),
                    format!("write {name} in {{192.0.2.0/24}}"),
                ),
                _ => (
                    format!("{name} is not compared in this way"),
                    "numbers know eq, ne, lt, le, gt, ge and in".to_owned(),
                ),
            };
            return Err(self.refuse_at(operator, message, Some(hint)));
        }
        self.at += 1;
        let value = self.value(name, holds)?;
        Ok(Node::Compare(subject, relation, value))
    }

    fn value(&mut self, name: &str, holds: Type) -> Step<Literal> {
        let found = match self.peek() {
            Some(Token::Word(word)) if holds != Type::Text => value::literal(word, name, holds),
            Some(Token::Word(word)) => Err((
                format!("{name} is compared with a text"),
                Some(format!("put it in double quotes: \"{}\"", value::short(word))),
            )),
            Some(Token::Text(text)) if holds == Type::Text => Ok(Literal::Text(text.to_owned())),
            Some(Token::Text(text)) => Err((
                format!("{name} is not compared with a text"),
                Some(format!("leave the quotes out: {}", value::short(text))),
            )),
            Some(Token::OpenText) => Err(("the quote has no end".to_owned(), None)),
            Some(Token::Sign("{")) => Err((
                "one value is expected, not a set".to_owned(),
                Some(format!("write {name} in {{...}}")),
            )),
            Some(Token::Sign("-")) => Err(("numbers here are never negative".to_owned(), None)),
            Some(Token::Sign("'")) => Err(("a value has no quotes here".to_owned(), None)),
            Some(Token::List(list)) => Err((
                "one value is expected, not a list".to_owned(),
                Some(format!("write {name} in ${list}")),
            )),
            _ => {
                let wanted = named(name).map_or("a number", value::wanted);
                return Err(self.refuse(format!("{}; {wanted} is expected", self.shown()), None));
            }
        };
        let value = found.map_err(|(message, hint)| self.refuse(message, hint))?;
        self.at += 1;
        Ok(value)
    }

    fn membership(&mut self, subject: Subject, name: &str, holds: Type) -> Step<Node> {
        if let Some(Token::List(list)) = self.peek() {
            let good = !list.is_empty()
                && list
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b));
            if !good {
                let hint = "names of lists have small letters, digits and _".to_owned();
                return Err(self.refuse("this is no name of a list", Some(hint)));
            }
            if holds != Type::Address {
                let hint = format!("write the values: {name} in {{80 443}}");
                return Err(self.refuse("lists hold addresses", Some(hint)));
            }
            self.at += 1;
            return Ok(Node::InList(subject, list.to_owned()));
        }
        if !self.take(&["{"]) {
            let hint = match self.peek() {
                Some(Token::Word(word)) => format!("write {name} in {{{}}}", value::short(word)),
                Some(Token::Sign("(" | "[")) => "a set has curly brackets: {80 443}".to_owned(),
                _ => format!("write {name} in {{...}}"),
            };
            return Err(self.refuse(format!("{}; a set is expected", self.shown()), Some(hint)));
        }
        let mut items = Vec::new();
        loop {
            let found = match self.peek() {
                Some(Token::Sign("}")) if items.is_empty() => Err((
                    "the set is empty: it would never apply".to_owned(),
                    Some(format!("write values: {name} in {{...}}")),
                )),
                Some(Token::Sign("}")) => {
                    self.at += 1;
                    return Ok(Node::In(subject, items));
                }
                Some(Token::Word(word)) => value::item(word, name, holds),
                Some(Token::Text(text)) if holds == Type::Text => Ok(Item::Text(text.to_owned())),
                Some(Token::Text(text)) => Err((
                    format!("{name} is not compared with texts"),
                    Some(format!("leave the quotes out: {}", value::short(text))),
                )),
                Some(Token::Sign("," | ";")) => Err((
                    "values of a set are separated by spaces".to_owned(),
                    Some("leave the comma out".to_owned()),
                )),
                Some(Token::Sign("-")) => Err((
                    "this is no range".to_owned(),
                    Some("a range is written with two dots: 10000..20000".to_owned()),
                )),
                None => Err((
                    "the set is not closed".to_owned(),
                    Some("write } after the last value".to_owned()),
                )),
                _ => Err((format!("{}; a value or }} is expected", self.shown()), None)),
            };
            items.push(found.map_err(|(message, hint)| self.refuse(message, hint))?);
            self.next();
        }
    }
}

fn relation(word: &str) -> Option<Relation> {
    Some(match word {
        "eq" | "==" => Relation::Equal,
        "ne" | "!=" => Relation::NotEqual,
        "lt" | "<" => Relation::Less,
        "le" | "<=" => Relation::LessOrEqual,
        "gt" | ">" => Relation::Greater,
        "ge" | ">=" => Relation::GreaterOrEqual,
        "&" => Relation::AnyBit,
        "contains" => Relation::Contains,
        "matches" | "~" => Relation::Matches,
        "wildcard" => Relation::Wildcard,
        _ => return None,
    })
}

/// The table of "comparison operators": which types an operator is for.
fn suits(relation: Relation, holds: Type) -> bool {
    use Relation::{AnyBit, Contains, Equal, Matches, NotEqual, StrictWildcard, Wildcard};
    match relation {
        Equal | NotEqual => true,
        AnyBit => matches!(holds, Type::Number(_)),
        Contains | Matches | Wildcard | StrictWildcard => holds == Type::Text,
        _ => matches!(holds, Type::Number(_) | Type::Text),
    }
}
