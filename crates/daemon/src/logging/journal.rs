//! Events to systemd's journal over its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
//!
//! Every field becomes a journal field (`journalctl EVENT=... PREFIX=203.0.113.0/24`), and MESSAGE is the whole line,
//! because `journalctl` shows nothing at all for an entry without one. That, and a socket that a test can own, is why
//! the ready-made tracing-journald layer is not used: it sends only an event's own message, which ours leave empty.
//! When the journal does not take an entry, the line goes to stderr, so an entry is never lost in silence.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::console::{LineSink, write_stderr};
use super::text::{Record, head};

/// Where journald listens; see systemd-journald.service(8).
pub(super) const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// A journal that hangs must not hang us: after this long the line goes to stderr instead.
const SEND_LIMIT: Duration = Duration::from_millis(250);

/// Longest value of a journal field, in bytes.
const MAX_FIELD: usize = 16 * 1024;

/// `EMSGSIZE` on Linux: the datagram is larger than the socket's send buffer.
const MESSAGE_TOO_LONG: i32 = 90;

/// Sends every event to the journal.
pub(super) struct JournalLayer {
    socket: UnixDatagram,
    path: PathBuf,
    identifier: String,
    fallback: LineSink,
}

impl JournalLayer {
    /// Opens a socket towards `path`.
    ///
    /// # Errors
    /// When no socket can be made or nobody listens at `path`.
    pub(super) fn open(path: &Path, identifier: &str) -> io::Result<Self> {
        Self::with_fallback(path, identifier, Box::new(write_stderr))
    }

    fn with_fallback(path: &Path, identifier: &str, fallback: LineSink) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_LIMIT))?;
        // An empty datagram is ignored by journald; it shows now, not at the first error, whether anybody listens.
        socket.send_to(&[], path)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            identifier: identifier.to_owned(),
            fallback,
        })
    }

    fn send(&self, metadata: &Metadata<'_>, record: &Record) -> io::Result<()> {
        let full = entry(&self.identifier, metadata, record, true);
        match self.socket.send_to(&full, &self.path) {
            Err(error) if error.raw_os_error() == Some(MESSAGE_TOO_LONG) => {
                // The line itself is bounded, so the entry without the single fields fits.
                let short = entry(&self.identifier, metadata, record, false);
                self.socket.send_to(&short, &self.path).map(drop)
            }
            sent => sent.map(drop),
        }
    }
}

impl<S: Subscriber> Layer<S> for JournalLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let record = Record::of(event);
        if self.send(event.metadata(), &record).is_err() {
            // stderr is a stream into the journal as well; `<3>` is how a priority is given there (sd-daemon(3)).
            let priority = priority(*event.metadata().level());
            (self.fallback)(&format!("<{priority}>{}\n", record.line()));
        }
    }
}

/// Syslog priorities, syslog(3): 3 error, 4 warning, 6 informational, 7 debug.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

fn entry(identifier: &str, metadata: &Metadata<'_>, record: &Record, with_fields: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    put(&mut out, "MESSAGE", &record.line());
    put(&mut out, "PRIORITY", &priority(*metadata.level()).to_string());
    put(&mut out, "SYSLOG_IDENTIFIER", identifier);
    put(&mut out, "EVENT", record.name());
    let target = record.library.as_deref().unwrap_or(metadata.target());
    put(&mut out, "TARGET", target);
    if let Some(file) = metadata.file() {
        put(&mut out, "CODE_FILE", file);
    }
    if let Some(line) = metadata.line() {
        put(&mut out, "CODE_LINE", &line.to_string());
    }
    if with_fields {
        for (key, value) in &record.fields {
            put(&mut out, &field_name(key), head(value, MAX_FIELD));
        }
    }
    out
}

/// The length-encoded form: it can hold any bytes, so no value can end its field and begin another.
fn put(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// Journal field names are upper case, begin with a letter and have at most 64 characters. Names the journal itself
/// gives a meaning (systemd.journal-fields(7)) get an `F_` in front, so that a field of ours never poses as one.
fn field_name(key: &str) -> String {
    const RESERVED: [&str; 13] = [
        "MESSAGE",
        "MESSAGE_ID",
        "PRIORITY",
        "EVENT",
        "TARGET",
        "ERRNO",
        "TID",
        "UNIT",
        "USER_UNIT",
        "INVOCATION_ID",
        "USER_INVOCATION_ID",
        "DOCUMENTATION",
        "CODE_FUNC",
    ];
    let mut name: String = key
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .take(60)
        .collect();
    let owned_by_journal = RESERVED.contains(&name.as_str())
        || ["CODE_", "SYSLOG_", "OBJECT_", "COREDUMP_"]
            .iter()
            .any(|p| name.starts_with(p));
    if owned_by_journal || !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        name.insert_str(0, "F_");
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::prelude::*;

    use super::*;

    /// Reads an entry back, as journald would.
    fn parse(mut bytes: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|b| *b == b'\n').expect("a field name");
            let name = String::from_utf8(bytes[..end].to_vec()).expect("ascii");
            let length: [u8; 8] = bytes[end + 1..end + 9].try_into().expect("eight bytes");
            let length = usize::try_from(u64::from_le_bytes(length)).expect("fits");
            let value = bytes[end + 9..end + 9 + length].to_vec();
            assert_eq!(bytes[end + 9 + length], b'\n');
            bytes = &bytes[end + 10 + length..];
            let twice = fields.insert(name, String::from_utf8(value).expect("utf-8"));
            assert_eq!(twice, None, "no field twice");
        }
        fields
    }

    struct Journal {
        socket: UnixDatagram,
        _dir: tempfile::TempDir,
        path: PathBuf,
    }

    impl Journal {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("journal");
            let socket = UnixDatagram::bind(&path).expect("binds");
            socket.set_read_timeout(Some(Duration::from_secs(5))).expect("sets");
            Self {
                socket,
                _dir: dir,
                path,
            }
        }

        fn next(&self) -> BTreeMap<String, String> {
            let mut buffer = vec![0; 256 * 1024];
            loop {
                let length = self.socket.recv(&mut buffer).expect("a datagram in time");
                if length > 0 {
                    return parse(&buffer[..length]);
                }
            }
        }
    }

    #[test]
    fn an_entry_has_message_priority_and_fields() {
        let journal = Journal::new();
        let layer = JournalLayer::open(&journal.path, "cloudflare-webhook").expect("opens");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(
                event = "test.a.b",
                prefix = "203.0.113.0/24",
                text = "x\nPRIORITY=0",
                priority = 9,
                "note"
            );
        });
        let entry = journal.next();
        let field = |name: &str| entry.get(name).map(String::as_str);
        assert_eq!(field("EVENT"), Some("test.a.b"));
        assert_eq!(field("PRIORITY"), Some("4"));
        assert_eq!(field("SYSLOG_IDENTIFIER"), Some("cloudflare-webhook"));
        assert_eq!(field("PREFIX"), Some("203.0.113.0/24"));
        assert_eq!(field("TEXT"), Some("x\nPRIORITY=0"));
        assert_eq!(field("F_PRIORITY"), Some("9"));
        assert_eq!(
            field("MESSAGE"),
            Some(r#"event=test.a.b prefix=203.0.113.0/24 text="x\nPRIORITY=0" priority=9 msg=note"#)
        );
        assert!(field("CODE_FILE").is_some_and(|file| file.ends_with("journal.rs")));
    }

    #[test]
    fn an_entry_too_large_for_a_datagram_keeps_its_line() {
        let journal = Journal::new();
        let layer = JournalLayer::open(&journal.path, "x").expect("opens");
        let big = "z".repeat(MAX_FIELD);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(
                event = "test.big",
                a = big,
                b = big,
                c = big,
                d = big,
                e = big,
                f = big,
                g = big,
                h = big,
                i = big,
                j = big,
                k = big,
                l = big,
                m = big,
                n = big,
                o = big,
                p = big,
                q = big,
                r = big,
                s = big,
                t = big
            );
        });
        let entry = journal.next();
        assert_eq!(entry.get("EVENT").map(String::as_str), Some("test.big"));
        assert!(entry["MESSAGE"].starts_with("event=test.big a=\"zzz"));
    }

    #[test]
    fn a_journal_that_went_away_leaves_the_line_on_stderr() {
        let journal = Journal::new();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&lines);
        let fallback = Box::new(move |line: &str| copy.lock().expect("not poisoned").push(line.to_owned()));
        let layer = JournalLayer::with_fallback(&journal.path, "x", fallback).expect("opens");
        drop(journal);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::error!(event = "test.gone");
        });
        assert_eq!(*lines.lock().expect("not poisoned"), ["<3>event=test.gone\n"]);
    }

    #[test]
    fn nobody_listening_is_an_error_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(JournalLayer::open(&dir.path().join("nothing"), "x").is_err());
    }

    #[test]
    fn names_are_what_the_journal_accepts() {
        assert_eq!(field_name("calm_s"), "CALM_S");
        assert_eq!(field_name("http.status"), "HTTP_STATUS");
        assert_eq!(field_name("_x"), "F__X");
        assert_eq!(field_name("9lives"), "F_9LIVES");
        assert_eq!(field_name("code_file"), "F_CODE_FILE");
        assert!(field_name(&"k".repeat(100)).len() <= 64);
    }
}
