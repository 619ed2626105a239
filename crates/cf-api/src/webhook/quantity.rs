//! Numbers as notifications write them: `812500`, `"812.5 kpps"`, `"20,000 pps"`, `"6.4Gb/s"`.

use serde_json::Value;

/// What a number counts, as far as its text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// No unit was written.
    Plain,
    /// Packets per second.
    Packets,
    /// Bits per second (bytes are converted).
    Bits,
    /// Requests per second.
    Requests,
}

/// A number in base units (no kilo, no mega) with its unit. Finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantity {
    /// In base units.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
}

impl Quantity {
    /// Reads a JSON number or a text. `None` when it is neither.
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Self::checked(number.as_f64()?, Unit::Plain),
            Value::String(text) => Self::from_text(text),
            _ => None,
        }
    }

    /// Reads a number with optional thousands commas, scale and unit.
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = number_end(text);
        let (number, unit) = text.split_at(end);
        let value: f64 = without_thousands(number)?.parse().ok()?;
        let (scale, unit) = read_unit(unit.trim())?;
        Self::checked(value * scale, unit)
    }

    fn checked(value: f64, unit: Unit) -> Option<Self> {
        (value.is_finite() && value >= 0.0).then_some(Self { value, unit })
    }
}

/// Where the number at the beginning of `text` ends. An `e` belongs to it only before digits.
fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut end = 0;
    while let Some(byte) = bytes.get(end) {
        let in_number = match byte {
            b'0'..=b'9' | b'.' | b',' => true,
            b'+' | b'-' => end == 0 || matches!(bytes.get(end - 1), Some(b'e' | b'E')),
            b'e' | b'E' => {
                end > 0
                    && matches!(
                        (bytes.get(end + 1), bytes.get(end + 2)),
                        (Some(b'0'..=b'9'), _) | (Some(b'+' | b'-'), Some(b'0'..=b'9'))
                    )
            }
            _ => false,
        };
        if !in_number {
            break;
        }
        end += 1;
    }
    end
}

/// Removes commas that separate groups of three. Any other comma makes the number ambiguous
/// (`812,5`), which is no number.
fn without_thousands(number: &str) -> Option<String> {
    if !number.contains(',') {
        return Some(number.to_owned());
    }
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let well_formed = (1..=3).contains(&first.len())
        && groups.all(|group| group.len() == 3)
        && !fraction.is_some_and(|fraction| fraction.contains(','));
    well_formed.then(|| number.replace(',', ""))
}

/// Scale and unit of `kpps`, `Gb/s`, `requests per second`, `M`, or nothing.
fn read_unit(text: &str) -> Option<(f64, Unit)> {
    if let Some(unit) = base_unit(text) {
        return Some(unit);
    }
    let mut rest = text.chars();
    let scale = match rest.next()? {
        'k' | 'K' => 1e3,
        'm' | 'M' => 1e6,
        'g' | 'G' => 1e9,
        't' | 'T' => 1e12,
        _ => return None,
    };
    let (factor, unit) = base_unit(rest.as_str().trim_start())?;
    Some((scale * factor, unit))
}

fn base_unit(text: &str) -> Option<(f64, Unit)> {
    // The case of "b" tells bits from bytes; everything else ignores case.
    match text {
        "Bps" | "B/s" => return Some((8.0, Unit::Bits)),
        _ => {}
    }
    let unit = match text.to_ascii_lowercase().as_str() {
        "" => Unit::Plain,
        "pps" | "p/s" | "packets" | "packets/s" | "packets/sec" | "packets per second" => Unit::Packets,
        "bps" | "b/s" | "bit/s" | "bits" | "bits/s" | "bits/sec" | "bits per second" => Unit::Bits,
        "rps" | "r/s" | "req/s" | "requests" | "requests/s" | "requests per second" => Unit::Requests,
        "bytes/s" => return Some((8.0, Unit::Bits)),
        _ => return None,
    };
    Some((1.0, unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_seen_spellings() {
        for (written, value, unit) in [
            (json!(812_500), 812_500.0, Unit::Plain),
            (json!(0.5), 0.5, Unit::Plain),
            (json!("5120"), 5_120.0, Unit::Plain),
            (json!("812.5 kpps"), 812_500.0, Unit::Packets),
            (json!("800.00 rps"), 800.0, Unit::Requests),
            (json!("20,000 pps"), 20_000.0, Unit::Packets),
            (json!("1,234,567.5"), 1_234_567.5, Unit::Plain),
            (json!("6.4Gb/s"), 6.4e9, Unit::Bits),
            (json!("10 Gbps"), 1e10, Unit::Bits),
            (json!("1.5 GB/s"), 1.2e10, Unit::Bits),
            (json!("500K pps"), 500_000.0, Unit::Packets),
            (json!("2M"), 2e6, Unit::Plain),
            (json!("1e6 bps"), 1e6, Unit::Bits),
            (json!(" 3 Mpps "), 3e6, Unit::Packets),
            (json!("7 packets per second"), 7.0, Unit::Packets),
        ] {
            let read = Quantity::from_json(&written);
            assert_eq!(read, Some(Quantity { value, unit }), "{written}");
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for written in [
            json!(null),
            json!(""),
            json!("many"),
            json!("812,5 kpps"),
            json!("1,23,456"),
            json!(",5"),
            json!("-3"),
            json!("NaN"),
            json!("inf"),
            json!("1e999"),
            json!("5 parsecs"),
            json!("1.2.3"),
            json!([1]),
            json!({"n": 1}),
            json!(true),
        ] {
            assert_eq!(Quantity::from_json(&written), None, "{written}");
        }
    }
}
