//! Text to tokens, each with its place. A winnow grammar without recursion: no text can make it deep or slow.

use winnow::ascii::multispace0;
use winnow::combinator::{alt, delimited, preceded, repeat};
use winnow::stream::Location;
use winnow::token::{any, rest, take_till, take_until, take_while};
use winnow::{LocatingSlice, ModalResult, Parser};

/// A piece of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A field, an operator's word, a number, an address, a range.
    Word(&'a str),
    /// `==`, `&&`, `(`, ... and whatever has no meaning.
    Sign(&'a str),
    /// `$name`, without the dollar.
    List(&'a str),
    /// A quoted text, without the quotes.
    Text(&'a str),
    /// A quote without its end.
    OpenText,
}

/// A token and where it stands, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed<'a> {
    pub(super) token: Token<'a>,
    pub(super) from: usize,
    pub(super) to: usize,
}

type Input<'a> = LocatingSlice<&'a str>;

/// All tokens of `text`. Every text has tokens: what means nothing becomes a sign of its own.
pub(super) fn tokens(text: &str) -> Vec<Placed<'_>> {
    let mut input = LocatingSlice::new(text);
    let mut all = Vec::new();
    loop {
        let spaces: ModalResult<&str> = multispace0.parse_next(&mut input);
        if spaces.is_err() || input.is_empty() {
            return all;
        }
        let from = input.current_token_start();
        let Ok(token) = token(&mut input) else { return all };
        all.push(Placed {
            token,
            from,
            to: input.current_token_start(),
        });
    }
}

fn token<'a>(input: &mut Input<'a>) -> ModalResult<Token<'a>> {
    alt((raw_text, quoted, open_text, word, list, sign)).parse_next(input)
}

/// Numbers, addresses and networks are words too: only the field says which of them is meant.
fn word<'a>(input: &mut Input<'a>) -> ModalResult<Token<'a>> {
    take_while(1.., |c: char| c.is_ascii_alphanumeric() || "_.:/".contains(c))
        .map(Token::Word)
        .parse_next(input)
}

fn list<'a>(input: &mut Input<'a>) -> ModalResult<Token<'a>> {
    let name = take_while(0.., |c: char| c.is_ascii_alphanumeric() || "_.".contains(c));
    preceded('$', name).map(Token::List).parse_next(input)
}

fn sign<'a>(input: &mut Input<'a>) -> ModalResult<Token<'a>> {
    let known = alt(("==", "!=", "<=", ">=", "&&", "||", "^^"));
    // Not in the language; kept together for the hint.
    let mistaken = alt(("=>", "=<", "<>"));
    alt((known, mistaken, any.take())).map(Token::Sign).parse_next(input)
}

/// `"..."` with `\"` and `\\`.
fn quoted<'a>(input: &mut Input<'a>) -> ModalResult<Token<'a>> {
    let piece = alt((take_till(1.., ['"', '\\']).void(), ('\\', any).void()));
    let body = repeat::<_, _, (), _, _>(0.., piece).take();
    delimited('"', body, '"').map(Token::Text).parse_next(input)
}

fn open_text<'a>(input: &mut Input<'a>) -> ModalResult<Token<'a>> {
    ('"', rest).map(|_| Token::OpenText).parse_next(input)
}

/// `r"..."`, `r#"..."#`: no escapes inside.
fn raw_text<'a>(input: &mut Input<'a>) -> ModalResult<Token<'a>> {
    let hashes: &str = delimited('r', take_while(0..=255, '#'), '"').parse_next(input)?;
    let end = format!("\"{hashes}");
    let body: &str = take_until(0.., end.as_str()).parse_next(input)?;
    let _: &str = end.as_str().parse_next(input)?;
    Ok(Token::Text(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_tokens_in_their_places() {
        let text = "(ip.dst in {192.0.2.0/24 2001:db8::1}) && x==\"a\\\"b\" $l r#\"q\"u\"# é\"";
        let found = tokens(text);
        let words: Vec<Token<'_>> = found.iter().map(|it| it.token).collect();
        use Token::{List, OpenText, Sign, Text, Word};
        assert_eq!(
            words,
            [
                Sign("("),
                Word("ip.dst"),
                Word("in"),
                Sign("{"),
                Word("192.0.2.0/24"),
                Word("2001:db8::1"),
                Sign("}"),
                Sign(")"),
                Sign("&&"),
                Word("x"),
                Sign("=="),
                Text("a\\\"b"),
                List("l"),
                Text("q\"u"),
                Sign("é"),
                OpenText,
            ]
        );
        assert!(found.windows(2).all(|pair| pair[0].to <= pair[1].from));
        assert_eq!(found.last().map(|it| it.to), Some(text.len()));
    }
}
