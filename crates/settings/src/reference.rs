//! The configuration reference in Markdown, generated from the key table.

use std::fmt::Write;

use crate::keys::{Absent, KEYS, Key, Kind};
use crate::model::{ASN_SEARCH_ORDER, CITY_SEARCH_ORDER};
use crate::report::Code;
use crate::schema::section_meaning;

const INTRODUCTION: &str = r#"# Configuration reference

<!-- Generated from the key table in crates/settings. Change the table, then run:
     UPDATE_GENERATED=1 cargo test -p settings --test generated -->

All programs read one folder: the one given with `--config-dir`, else the one named by
`CLOUDFLARE_MT_CONFIG_DIR`, else `/etc/cloudflare-mt`.

| File | Needed | Holds |
|---|---|---|
| `settings.json` | yes | everything on this page |
| `prefix_mapping.json` | no | prefixes with ids, AS number and description; what is missing is discovered from the API |
| `auth.json`, `dashboard_prefs.json` | no | left by the predecessor; imported into the database once |

Files are JSON. A key whose value is `null` counts as absent. Names that begin with an underscore are
comments. `settings.schema.json` describes `settings.json` for editors
(`"$schema": "./settings.schema.json"`).

## Checking

`--check-config` of any program reads everything and reports **all** problems at once, each with file
and line, key, value (never a secret), what is wrong and what to do. Exit code 0 means good, 78 means
that the configuration cannot be used. Unknown keys are a warning when a program starts and a failure
of `--check-config`. `--print-config` shows every key with the value in effect, secrets masked; the
mask is refused when it is read back as a secret.

## Where a value comes from

The first of these that has the key wins:

1. the environment variable `CLOUDFLARE_MT_<SECTION>_<KEY>`, such as
   `CLOUDFLARE_MT_AUTOWITHDRAW_MODE=paused` or `CLOUDFLARE_MT_DATABASE_RETENTION_AUDIT=forever`.
   Lists are separated by commas or written as JSON; `direct_route` is written as JSON;
2. for secrets, the file named by `CLOUDFLARE_MT_<SECTION>_<KEY>_FILE`;
3. for secrets, a systemd credential whose name is the key, such as
   `LoadCredential=cloudflare.api_token:/etc/credstore/cloudflare.api_token` in the unit;
4. for secrets, the file named by the key with `_file` behind it, such as
   `"api_token_file": "secrets/api_token"` (relative to the configuration folder). Together with the
   key itself this is an error;
5. the key in `settings.json`;
6. the default below.

A secret file holds the secret as its only line; for `webhook_secret` one or two lines. Files that hold
secrets and can be read by others than their owner and the group `cloudflare-mt` get a warning.

## Kinds of values

- **Durations** are text: whole numbers with units, largest first: `"500ms"`, `"90s"`, `"15m"`,
  `"1h30m"`, `"24h"`, `"7d"`.
- **Networks** are written with their length, `"203.0.113.0/24"` or `"2001:db8::/32"`. Bits below the
  length are an error, repeated networks as well, in whatever spelling. Where *clients* are listed a
  single address may stand without length.
- **Listening addresses** are `"address:port"` with the address as number, `"[::1]:8080"` for IPv6.
- **Secrets** must not be empty, must not be a placeholder of the example and must not be the mask.
"#;

const MAPPING: &str = r#"## prefix_mapping.json

An object from network to entry; the object may stand inside `"prefixes"`. All shapes that the
predecessor read, shipped and documented are read alike.

| Key of an entry | Type | Meaning |
|---|---|---|
| `prefix_id`, `parent_prefix_id`, `id` | identifier | Id of the parent prefix. All three names mean the same; if several are given they must agree. |
| `bgp_prefix_id` | identifier | Id of the BGP prefix that is advertised and withdrawn. No two networks may share one. |
| `description` | text | What you call the prefix. |
| `asn` | number or text | Origin AS number: `64500`, `"64500"` or `"AS64500"`. |
| `note` | text | Free text. |

Every key may be left out. Without `autowithdraw.managed` the networks of this file are the managed
ones; without `analytics.my_prefixes` they are your own.

## Keys of the predecessor that nothing reads

`polling.interval_seconds`, `polling.ddos_threshold_pps`, `webhook.secret`, `webhook.port` and
`cloudflare.email` stand in the predecessor's documents and were never read by a program. They are
recognised, have no effect, and a warning names the key that does what they promise.
"#;

/// The whole page.
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut section = "";
    for key in KEYS {
        let own = section_of(key);
        if own != section {
            section = own;
            let name = own.rsplit('.').next().unwrap_or(own);
            let depth = "#".repeat(own.split('.').count() + 1);
            let _ = write!(
                page,
                "\n{depth} {own}\n\n{}\n\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n",
                section_meaning(name)
            );
        }
        row(&mut page, key);
    }
    page.push('\n');
    geoip(&mut page);
    page.push_str(MAPPING);
    codes(&mut page);
    page
}

/// Everything before the last dot.
fn section_of(key: &Key) -> &'static str {
    key.path.rsplit_once('.').map_or("", |(section, _)| section)
}

fn row(page: &mut String, key: &Key) {
    let name = key.path.rsplit('.').next().unwrap_or(key.path);
    let default = match key.absent {
        Absent::Required => "**required**".to_owned(),
        Absent::Means(meaning) => format!("not set: {meaning}"),
        Absent::Text("") => "empty".to_owned(),
        Absent::Text(text) => format!("`\"{text}\"`"),
        Absent::Number(number) => format!("`{number}`"),
        Absent::Flag(flag) => format!("`{flag}`"),
        Absent::List([]) => "`[]`".to_owned(),
        Absent::List(items) => items
            .iter()
            .map(|item| format!("`{item}`"))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let _ = writeln!(page, "| `{name}` | {} | {default} | {} |", value(key.kind), key.meaning);
}

fn value(kind: Kind) -> String {
    match kind {
        Kind::Identifier => "identifier".to_owned(),
        Kind::Text => "text of one line".to_owned(),
        Kind::Email => "mail address".to_owned(),
        Kind::Secret => "secret".to_owned(),
        Kind::Secrets => "secret, or list of up to two".to_owned(),
        Kind::ApiUrl => "https address (http only within private networks)".to_owned(),
        Kind::PublicUrl => "http(s) address".to_owned(),
        Kind::File => "absolute path".to_owned(),
        Kind::Duration { min, max } => format!("duration, {min} to {max}"),
        Kind::Keep => "duration from 1d, or `forever`".to_owned(),
        Kind::Count { unit, min, max } => format!("number, {min} to {max} {unit}").trim_end().to_owned(),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Listen => "address:port".to_owned(),
        Kind::Clients => "list of networks or addresses".to_owned(),
        Kind::Prefixes => "list of networks".to_owned(),
        Kind::Mode => "`act`, `dry_run` or `paused`".to_owned(),
        Kind::ChatId => "number, or `@name`".to_owned(),
        Kind::Systems => "`all`, or list of names".to_owned(),
        Kind::DirectRoutes => "object".to_owned(),
    }
}

fn geoip(page: &mut String) {
    for (what, order) in [("city", CITY_SEARCH_ORDER), ("ASN", ASN_SEARCH_ORDER)] {
        let files = order.map(|file| format!("`{file}`")).join(", ");
        let _ = writeln!(page, "Search order of the {what} database: {files}.\n");
    }
}

fn codes(page: &mut String) {
    page.push_str("\n## Problems and their codes\n\nThe codes are stable; logs, JSON output and runbooks use them.\n\n| Code | Meaning |\n|---|---|\n");
    for code in Code::ALL {
        let _ = writeln!(page, "| `{code}` | {} |", code.meaning());
    }
}
