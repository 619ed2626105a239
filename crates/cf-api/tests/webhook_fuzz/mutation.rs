//! Changes to a body: of its JSON where it is JSON, of its bytes at any rate.

use serde_json::{Map, Number, Value, json};

/// A small generator (splitmix64), so that a printed seed repeats a run exactly.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Texts that have broken parsers of numbers, times, networks, links and names.
const TEXTS: [&str; 44] = [
    "",
    " ",
    "0",
    "-1",
    "-0.0",
    "1e308",
    "1e-400",
    "NaN",
    "inf",
    "99999999999999999999999",
    "20,000 pps",
    "6.4Gb/s",
    "800.00 rps",
    "-5 Mbps",
    "1.2.3 kpps",
    "٣ pps",
    "pps",
    "\u{0}",
    "\u{202e}gnp",
    "a\r\nb",
    "é",
    "😀",
    "\u{FEFF}x",
    "192.0.2.1",
    "192.0.2.1/33",
    "::ffff:192.0.2.1",
    "fe80::1%eth0",
    "[2001:db8::1]:53",
    "0.0.0.0/0",
    "::/0",
    "2024-01-15T08:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "-9999-01-01T00:00:00Z",
    "1970-01-01 00:00:00 +0000 UTC",
    "2024-02-30 00:00:00 +0000 UTC m=+0.1",
    "dash.cloudflare.com",
    "https://dash.cloudflare.com@evil.example/",
    "javascript:alert(1)",
    "ALERT_STATE_EVENT_END",
    "INCIDENT_STATUS_RESOLVED",
    "MAGIC_TUNNEL_STATUS_UP",
    "{\"target_ip\":\"192.0.2.1\"}",
    "[[[[",
    "null",
];

fn hostile(dice: &mut Dice) -> Value {
    match dice.below(12) {
        0 => Value::Null,
        1 => json!(dice.below(2) == 0),
        2 => json!(dice.next()),
        3 => json!(i64::MIN + i64::try_from(dice.below(9)).unwrap()),
        4 => Number::from_f64(f64::from_bits(dice.next())).map_or(Value::Null, Value::Number),
        5 => json!([]),
        6 => json!({}),
        7 => json!([hostile(dice), hostile(dice)]),
        8 => json!({*dice.pick(&TEXTS): hostile(dice)}),
        9 => Value::String((*dice.pick(&TEXTS)).repeat(1 + dice.below(40) * dice.below(10))),
        _ => Value::String((*dice.pick(&TEXTS)).to_owned()),
    }
}

/// Every value inside, in order; number `at` is changed.
fn change(value: &mut Value, at: &mut usize, with: &mut dyn FnMut(&mut Value)) {
    if *at == 0 {
        with(value);
        *at = usize::MAX;
        return;
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| {
            if *at != usize::MAX {
                change(item, at, with);
            }
        }),
        Value::Object(fields) => fields.values_mut().for_each(|field| {
            if *at != usize::MAX {
                change(field, at, with);
            }
        }),
        _ => {}
    }
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

fn any_inside(value: &Value, dice: &mut Dice) -> Value {
    let mut found = Value::Null;
    let mut copy = value.clone();
    change(&mut copy, &mut dice.below(size(value)), &mut |inside| {
        found = inside.clone()
    });
    found
}

fn of_json(mut body: Value, other: &Value, dice: &mut Dice) -> Value {
    let mut at = dice.below(size(&body));
    let what = dice.below(9);
    let (new, donated) = (hostile(dice), any_inside(other, dice));
    let (index, key) = (dice.next(), (*dice.pick(&TEXTS)).to_owned());
    change(&mut body, &mut at, &mut |value| {
        let pick = |length: usize| usize::try_from(index % length.max(1) as u64).unwrap();
        match (what, &mut *value) {
            (0, Value::Object(fields)) => {
                let name = fields.keys().nth(pick(fields.len())).cloned();
                name.and_then(|name| fields.remove(&name));
            }
            (1, Value::Object(fields)) => {
                fields.insert(key.clone(), new.clone());
            }
            (2, Value::Object(fields)) => {
                // The value of one field under the name of another.
                let names: Vec<String> = fields.keys().cloned().collect();
                if let (Some(from), Some(to)) = (names.get(pick(names.len())), names.last()) {
                    let moved = fields[from].clone();
                    fields.insert(to.clone(), moved);
                }
            }
            (3, Value::Array(items)) => items.push(new.clone()),
            (4, value) => *value = json!([value.take()]),
            (5, value) => *value = Value::String(value.to_string()),
            (6, value) => *value = donated.clone(),
            (7, Value::String(text)) => text.push_str(&key),
            (8, Value::Object(fields)) => {
                if let Value::Object(more) = donated.clone() {
                    fields.extend(more);
                }
            }
            (_, value) => *value = new.clone(),
        }
    });
    body
}

/// A changed body; `other` lends parts of itself.
pub(crate) fn of(body: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    if dice.below(4) > 0
        && let Ok(value) = serde_json::from_slice::<Value>(body)
    {
        let lender = serde_json::from_slice(other).unwrap_or_else(|_| Value::Object(Map::new()));
        return of_json(value, &lender, dice).to_string().into_bytes();
    }
    let mut bytes = body.to_vec();
    let at = dice.below(bytes.len() + 1);
    match dice.below(6) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, u8::try_from(dice.below(256)).unwrap()),
        2 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        3 => drop(bytes.splice(at..at, other.iter().copied().take(dice.below(other.len() + 1)))),
        4 => {
            let end = (at + dice.below(40)).min(bytes.len());
            bytes.drain(at..end);
        }
        _ => bytes.extend(std::iter::repeat_n(*dice.pick(b"[{\" \\0"), dice.below(300))),
    }
    bytes
}
