//! What to write instead of words that are not in the language, or not in overrides.

use super::field::{FIELDS, named};

/// For a word where a field was expected.
pub(super) fn for_field(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let text = match lower.as_str() {
        "ip.dst.port" | "dst.port" | "dstport" | "ip.dstport" | "port" | "dport" => {
            "ports belong to a protocol: tcp.dstport or udp.dstport"
        }
        "ip.src.port" | "src.port" | "srcport" | "ip.srcport" | "sport" => {
            "ports belong to a protocol: tcp.srcport or udp.srcport"
        }
        "ip.proto" | "proto" | "protocol" | "ip.protocol" => "the protocol is a number here: ip.proto.num eq 6",
        "ip" | "ip.addr" | "dst" | "ip.destination" | "destination" | "ip.dest" | "dst.ip" => {
            "the destination is ip.dst"
        }
        "src" | "ip.source" | "source" | "src.ip" => "the source is ip.src",
        "tcp.port" => "a port has a side: tcp.dstport or tcp.srcport",
        "udp.port" => "a port has a side: udp.dstport or udp.srcport",
        "tcp.flags.psh" => "the flag is tcp.flags.push",
        "tcp.flags.rst" => "the flag is tcp.flags.reset",
        "tcp" => "TCP is ip.proto.num eq 6",
        "udp" => "UDP is ip.proto.num eq 17",
        "icmp" | "icmp.type" | "icmp.code" => "ICMP is ip.proto.num eq 1; its types cannot be told apart here",
        "managed_challenge" | "js_challenge" | "challenge" | "skip" | "block" | "log" | "allow" | "drop"
        | "ddos_dynamic" | "execute" => {
            "an action stands beside the expression, not in it; overrides of this ruleset know block and log"
        }
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "in" | "contains" | "matches" | "wildcard" => {
            "the field stands before the operator, such as ip.dst eq 192.0.2.1"
        }
        "true" | "false" => "write it in small letters",
        "not" | "and" | "or" | "xor" if word != lower => "operators are written in small letters",
        "and" | "or" | "xor" => "it stands between two conditions",
        _ => return Some(guessed(word, &lower)),
    };
    Some(text.to_owned())
}

fn guessed(word: &str, lower: &str) -> String {
    if let Some(field) = named(lower)
        && word != lower
    {
        return format!("fields are written in small letters: {}", field.name);
    }
    for (begin, text) in [
        ("http.", "that is of HTTP requests; overrides see packets"),
        ("ssl", "that is of HTTP requests; overrides see packets"),
        (
            "cf.",
            "that is not known to overrides of the network-layer DDoS ruleset",
        ),
        (
            "ip.geoip.",
            "countries and networks of sources are not known to overrides",
        ),
        (
            "ip.src.",
            "countries and networks of sources are not known to overrides",
        ),
        ("ip.dst.", "of the destination, overrides know the address: ip.dst"),
    ] {
        if lower.starts_with(begin) {
            return text.to_owned();
        }
    }
    if lower.starts_with(|c: char| c.is_ascii_digit()) {
        return "the field stands before the value, such as ip.dst eq 192.0.2.1".to_owned();
    }
    let usable = FIELDS.iter().filter(|field| field.in_overrides());
    let nearest = usable
        .map(|field| (strsim::damerau_levenshtein(field.name, lower), field.name))
        .min();
    match nearest {
        Some((distance, name)) if distance <= 3 && distance < lower.len() => format!("did you mean {name}?"),
        _ => "fields are ip.dst, ip.proto.num, tcp.dstport, udp.dstport, tcp.flags and tcp.flags.syn and so on"
            .to_owned(),
    }
}

/// For a word or sign where an operator was expected.
pub(super) fn for_operator(word: &str, field: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let text = match lower.as_str() {
        "=" | "===" | "is" | "equal" | "equals" => "write eq or ==",
        "<>" | "isnt" | "neq" => "write ne or !=",
        "=>" | "gte" | "ge" | "geq" => "write ge or >=",
        "=<" | "lte" | "le" | "leq" => "write le or <=",
        "gt" | "lt" | "eq" | "ne" | "in" if word != lower => "operators are written in small letters",
        "not" => return Some(format!("not stands before the field: not {field} in {{...}}")),
        "like" | "starts_with" | "ends_with" => {
            "addresses are compared with eq, or with networks in a set: in {192.0.2.0/24}"
        }
        "between" => return Some(format!("write {field} in {{1024..65535}}")),
        "any" | "of" | "within" => return Some(format!("write {field} in {{...}}")),
        "^" | "|" | "~" | "%" | "+" | "-" | "*" => "numbers cannot be calculated with",
        "[" => "there are no lists of values in packets",
        _ => return None,
    };
    Some(text.to_owned())
}

/// For a word or sign where `and`, `or` or the end was expected.
pub(super) fn for_joint(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let text = match lower.as_str() {
        "and" | "or" | "xor" | "not" if word != lower => "operators are written in small letters",
        "&" => "write and or &&",
        "|" => "write or or ||",
        "^" => "write xor or ^^",
        "," | ";" => "conditions are joined by and or or",
        ")" => "there is no open bracket for it",
        "}" => "there is no open set for it",
        "==" | "eq" | "=" | "!=" | "ne" | "in" | "<" | ">" | "<=" | ">=" => {
            "a comparison has one field and one operator; join two by and"
        }
        "not" => "write and not",
        _ => "join two conditions by and or or",
    };
    Some(text.to_owned())
}
