//! Merged values to typed ones: one function per kind of key, every fault reported where it is.
//!
//! Only single values are judged here; what several keys mean together is the business of
//! `rules`.

mod address;
mod network;
mod routes;
mod secret;
mod time;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::prefix::Prefix;
use secrecy::SecretString;

use crate::json::{Data, Node};
use crate::keys::{KEYS, Key, Kind};
use crate::merge::Merged;
use crate::model::{ChatId, Keep, MitigationSystems, Mode};
use crate::report::Code;
use crate::site::{Problems, Site};

pub(crate) use network::{read_prefix, report_overlaps};
pub(crate) use routes::{ALWAYS_ANNOUNCED, EVERY_OTHER, Routes};
pub(crate) use secret::{MASK, is_placeholder};

/// Lists longer than this are a mistake (a whole routing table, a wrong file).
const MAX_ITEMS: usize = 4_096;

/// A value in the type of its key.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Secrets(Vec<SecretString>),
    File(PathBuf),
    Duration(Duration),
    Keep(Keep),
    Count(u64),
    Flag(bool),
    Listen(SocketAddr),
    Networks(Vec<Prefix>),
    Mode(Mode),
    ChatId(ChatId),
    Systems(MitigationSystems),
    Routes(Routes),
}

/// The values that could be read. What is missing here was absent, or reported.
#[derive(Debug, Default)]
pub(crate) struct Values(BTreeMap<&'static str, Value>);

macro_rules! getters {
    ($($name:ident: $variant:ident -> $type:ty;)*) => {
        impl Values {
            $(pub(crate) fn $name(&self, path: &str) -> Option<&$type> {
                match self.0.get(path)? {
                    Value::$variant(value) => Some(value),
                    _ => None,
                }
            })*
        }
    };
}

getters! {
    text: Text -> String;
    secrets: Secrets -> Vec<SecretString>;
    file: File -> PathBuf;
    duration: Duration -> Duration;
    keep: Keep -> Keep;
    count: Count -> u64;
    flag: Flag -> bool;
    listen: Listen -> SocketAddr;
    networks: Networks -> Vec<Prefix>;
    mode: Mode -> Mode;
    chat_id: ChatId -> ChatId;
    systems: Systems -> MitigationSystems;
    routes: Routes -> Routes;
}

/// Reads every merged value. `accept_masked` lets the mask of a printed configuration pass as a
/// secret, for comparing printed configurations; programs never set it.
pub(crate) fn read_all(merged: &Merged, accept_masked: bool, problems: &mut Problems) -> Values {
    let mut values = Values::default();
    for key in KEYS {
        if let Some(sourced) = merged.get(key.path) {
            let site = merged.site(key.path);
            if let Some(value) = read(key, &sourced.node, &site, accept_masked, problems) {
                values.0.insert(key.path, value);
            }
        }
    }
    values
}

fn read(key: &Key, node: &Node, site: &Site, accept_masked: bool, problems: &mut Problems) -> Option<Value> {
    match key.kind {
        Kind::Identifier => identifier(key, node, site, problems).map(Value::Text),
        Kind::Text => line(key, node, site, problems).map(Value::Text),
        Kind::Email => email(key, node, site, problems).map(Value::Text),
        Kind::Secret | Kind::Secrets => secret::read(key, node, site, accept_masked, problems).map(Value::Secrets),
        Kind::ApiUrl | Kind::PublicUrl => address::read(key, node, site, problems).map(Value::Text),
        Kind::File => file(key, node, site, problems).map(Value::File),
        Kind::Duration { min, max } => {
            let duration = time::read(key, node, site, problems)?;
            time::in_range(duration, (min, max), site, problems).map(Value::Duration)
        }
        Kind::Keep => time::keep(key, node, site, problems).map(Value::Keep),
        Kind::Count { unit, min, max } => count(key, node, site, (unit, min, max), problems).map(Value::Count),
        Kind::Flag => match node.data {
            Data::Flag(flag) => Some(Value::Flag(flag)),
            _ => wrong_type(key, node, site, problems),
        },
        Kind::Listen => network::listen(key, node, site, problems).map(Value::Listen),
        Kind::Clients | Kind::Prefixes => network::list(key, node, site, problems).map(Value::Networks),
        Kind::Mode => mode(key, node, site, problems).map(Value::Mode),
        Kind::ChatId => chat_id(key, node, site, problems).map(Value::ChatId),
        Kind::Systems => systems(key, node, site, problems).map(Value::Systems),
        Kind::DirectRoutes => routes::read(key, node, site, problems).map(Value::Routes),
    }
}

/// Reports the type that was found and the one that is expected.
fn wrong_type<T>(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<T> {
    let remedy = match (key.kind, &node.data) {
        (Kind::Duration { .. }, Data::Number(number)) => {
            format!("add the unit: \"{number}s\" for seconds, \"{number}m\" for minutes")
        }
        (Kind::Keep, Data::Number(number)) => {
            format!("add the unit: \"{number}d\" for days")
        }
        (Kind::Listen, Data::Number(port)) => format!("write \"127.0.0.1:{port}\""),
        (Kind::Count { .. } | Kind::Flag, Data::Text(text)) if is_bare(key.kind, text) => {
            format!("write {} without quotation marks", text.trim())
        }
        (Kind::Clients | Kind::Prefixes, Data::Text(text)) => {
            format!("put it into brackets: [\"{}\"]", crate::site::cut(text))
        }
        _ => format!("write {}", key.kind.example()),
    };
    problems.error(
        Code::WrongType,
        site,
        format!("{} is expected, found {}", key.kind.expected(), node.data.found()),
        remedy,
    );
    None
}

fn is_bare(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::Flag => matches!(text.trim(), "true" | "false"),
        _ => text.trim().parse::<u64>().is_ok(),
    }
}

/// The text of a value, which must not be empty.
fn text<'a>(key: &Key, node: &'a Node, site: &Site, problems: &mut Problems) -> Option<&'a str> {
    let Data::Text(text) = &node.data else {
        return wrong_type(key, node, site, problems);
    };
    if text.trim().is_empty() {
        problems.error(
            Code::EmptyValue,
            site,
            "the value is empty",
            format!("write {}, or remove the key", key.kind.expected()),
        );
        return None;
    }
    Some(text)
}

fn placeholder(text: &str, site: &Site, problems: &mut Problems) -> bool {
    let found = is_placeholder(text);
    if found {
        problems.error(
            Code::Placeholder,
            site,
            "this is the placeholder of the example",
            "put your own value in its place",
        );
    }
    found
}

fn identifier(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<String> {
    let text = text(key, node, site, problems)?;
    if placeholder(text, site, problems) || !identifier_is_clean(text, site, problems) {
        return None;
    }
    Some(text.to_owned())
}

/// Whether a text can be an id of Cloudflare's: it becomes part of API addresses.
pub(crate) fn identifier_is_clean(text: &str, site: &Site, problems: &mut Problems) -> bool {
    let clean = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let length = text.chars().count();
    if !clean || length > 36 {
        problems.error(
            Code::InvalidValue,
            site,
            "an id has up to 36 letters, digits and hyphens and nothing else",
            "copy it from the Cloudflare dashboard (32 hexadecimal characters)",
        );
        return false;
    }
    let digits = text.chars().filter(|c| *c != '-');
    if digits.clone().count() != 32 || !digits.clone().all(|c| c.is_ascii_hexdigit()) {
        problems.warning(
            Code::RiskyValue,
            site,
            "ids of Cloudflare have 32 hexadecimal characters, this one has not",
            "compare it with the Cloudflare dashboard",
        );
    }
    true
}

/// A text of one line; may be empty.
fn line(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<String> {
    let Data::Text(text) = &node.data else {
        return wrong_type(key, node, site, problems);
    };
    if text.chars().any(char::is_control) || text.chars().count() > 200 {
        problems.error(
            Code::InvalidValue,
            site,
            "the text must be one line of at most 200 characters",
            "shorten it",
        );
        return None;
    }
    Some(text.trim().to_owned())
}

fn email(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<String> {
    let text = text(key, node, site, problems)?;
    if placeholder(text, site, problems) {
        return None;
    }
    let shape = text
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && text.chars().all(|c| c.is_ascii_graphic()));
    if !shape {
        problems.error(
            Code::InvalidValue,
            site,
            "this is not a mail address",
            "write the address of the Cloudflare user who owns the Global API key",
        );
        return None;
    }
    Some(text.to_owned())
}

fn file(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<PathBuf> {
    let text = text(key, node, site, problems)?;
    let path = Path::new(text);
    if !path.is_absolute() || text.ends_with('/') || text.contains('\0') {
        problems.error(
            Code::InvalidValue,
            site,
            "an absolute path of a file is expected: programs run in different folders and must mean the same file",
            "write it from / on",
        );
        return None;
    }
    Some(path.to_owned())
}

fn count(
    key: &Key,
    node: &Node,
    site: &Site,
    (unit, min, max): (&'static str, u64, u64),
    problems: &mut Problems,
) -> Option<u64> {
    let Data::Number(number) = &node.data else {
        return wrong_type(key, node, site, problems);
    };
    if let Some(number) = number.as_u64()
        && (min..=max).contains(&number)
    {
        return Some(number);
    }
    let fraction = number.as_u64().is_none() && number.as_i64().is_none();
    let unit = if unit.is_empty() {
        String::new()
    } else {
        format!(" {unit}")
    };
    problems.error(
        Code::OutOfRange,
        site,
        format!("a whole number between {min} and {max}{unit} is expected"),
        if fraction {
            "write it without fraction or exponent".to_owned()
        } else if number.as_u64().is_some_and(|number| number > max) {
            format!("write at most {max}")
        } else {
            format!("write at least {min}")
        },
    );
    None
}

fn mode(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<Mode> {
    let text = text(key, node, site, problems)?;
    let mode = Mode::from_word(text);
    if mode.is_none() {
        let meant = crate::nearest::nearest(text, Mode::WORDS);
        problems.error(
            Code::InvalidValue,
            site,
            "the mode is one of act, dry_run, paused",
            meant.map_or_else(
                || "\"dry_run\" records and announces without touching anything".to_owned(),
                |meant| format!("did you mean \"{meant}\"?"),
            ),
        );
    }
    mode
}

fn chat_id(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<ChatId> {
    let (number, text) = match &node.data {
        Data::Number(number) => (number.as_i64(), ""),
        Data::Text(_) => {
            let text = text(key, node, site, problems)?.trim();
            if placeholder(text, site, problems) {
                return None;
            }
            (text.parse().ok(), text)
        }
        _ => return wrong_type(key, node, site, problems),
    };
    if let Some(number) = number
        && number != 0
    {
        return Some(ChatId::Number(number));
    }
    let name = text.strip_prefix('@').unwrap_or_default();
    let clean = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !name.is_empty() && clean {
        return Some(ChatId::Channel(text.to_owned()));
    }
    problems.error(
        Code::InvalidValue,
        site,
        "a chat is a number, or @name of a public channel or group",
        "groups have negative numbers, supergroups begin with -100; cloudflare-mt setup notifications shows them",
    );
    None
}

fn systems(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<MitigationSystems> {
    let items = match &node.data {
        Data::Text(text) if text.trim() == "all" => return Some(MitigationSystems::All),
        Data::List(items) if !items.is_empty() && items.len() <= MAX_ITEMS => items,
        Data::List(_) => {
            problems.error(
                Code::OutOfRange,
                site,
                "a list without any system would count no drop at all as an attack",
                "write \"all\", or name the systems that count",
            );
            return None;
        }
        _ => return wrong_type(key, node, site, problems),
    };
    let mut names = Vec::new();
    for (position, item) in items.iter().enumerate() {
        match &item.data {
            Data::Text(name) if !name.trim().is_empty() => names.push(name.trim().to_owned()),
            other => problems.error(
                Code::WrongType,
                &site.part(&format!("[{position}]"), item, crate::site::cut(&item.compact())),
                format!("a name as text is expected, found {}", other.found()),
                "write a name such as \"dosd\"",
            ),
        }
    }
    (names.len() == items.len()).then_some(MitigationSystems::Only(names))
}
