//! The rows: every key with its kind, limits, default and meaning. Order is that of the reference.

use super::{Absent, Key, Kind};
use Absent::{Flag, List, Means, Number, Required, Text};

const fn row(path: &'static str, kind: Kind, absent: Absent, meaning: &'static str) -> Key {
    Key {
        path,
        kind,
        absent,
        meaning,
    }
}

const fn duration(min: &'static str, max: &'static str) -> Kind {
    Kind::Duration { min, max }
}

const fn count(unit: &'static str, min: u64, max: u64) -> Kind {
    Kind::Count { unit, min, max }
}

const LOOPBACK: Absent = List(&["127.0.0.0/8", "::1/128"]);

/// Cloudflare's own addresses that attacks are seen on: the three networks the predecessor
/// excluded, and Cloudflare's published IPv6 networks (cloudflare.com/ips).
const ANYCAST: Absent = List(&[
    "162.159.0.0/16",
    "172.64.0.0/13",
    "104.16.0.0/13",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
]);

/// Every key of `settings.json`.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    row("cloudflare.account_id", Kind::Identifier, Required,
        "Id of the Cloudflare account that holds the prefixes."),
    row("cloudflare.api_token", Kind::Secret, Means("the Global API key is used, if there is one"),
        "API token, sent as `Authorization: Bearer`. Preferred wherever it is present."),
    row("cloudflare.webhook_secret", Kind::Secrets, Means("the receiver refuses to start"),
        "Secret of the notification destination, compared with `cf-webhook-auth`. Two in a list while one replaces the other: both are accepted."),
    row("cloudflare.api_base_url", Kind::ApiUrl, Text("https://api.cloudflare.com/client/v4"),
        "Base address of the Cloudflare API; GraphQL is found under it. Changed only for the simulator or a proxy."),
    row("cloudflare.auth_email", Kind::Email, Means("no fallback"),
        "User of the Global API key. Needed only with `global_api_key`."),
    row("cloudflare.global_api_key", Kind::Secret, Means("no fallback"),
        "Global API key, used only where no `api_token` is configured. It can do everything the user can: prefer a token."),

    row("telegram.bot_token", Kind::Secret, Means("no messages are sent"),
        "Token of the bot that sends messages."),
    row("telegram.chat_id", Kind::ChatId, Means("no messages are sent"),
        "Chat that receives them: a number (negative for groups), or `@name` of a public channel."),
    row("telegram.message_thread_id", count("", 1, i32::MAX as u64), Means("the chat itself"),
        "Topic of a forum group."),
    row("telegram.api_url", Kind::ApiUrl, Text("https://api.telegram.org"),
        "Base address of the Bot API, without the token."),
    row("telegram.max_age", duration("1s", "365d"), Text("24h"),
        "A message that could not be sent for this long is no longer sent singly; it is counted in a summary and stays in the database."),

    row("telegram.operators", Kind::Text, Means("the bot listens to nobody"),
        "Numbers of the Telegram users whom the bot answers, separated by commas: `/status`, `/prefixes`, `/incident`, `/mute KIND FOR`. It only ever reads, apart from muting."),

    row("alert_webhook.url", Kind::ApiUrl, Means("no copies to a web address"),
        "Address that gets a copy of each message as JSON, signed with the secret. It gets them also while the chat cannot be reached."),
    row("alert_webhook.secret", Kind::Secret, Means("no copies to a web address"),
        "Key of the signature (HMAC-SHA256) in the header `X-Mt-Signature`."),
    row("alert_webhook.send", Kind::Systems, Text("all"),
        "Which messages: `all`, or a list of urgencies (`critical`, `high`, `medium`, `info`) and kinds (such as `withdrawn`)."),

    row("mail.host", Kind::Text, Means("no copies by mail"),
        "Name or address of the mail server."),
    row("mail.port", count("", 1, 65535), Number(465),
        "465: TLS from the first byte. Any other port: STARTTLS is demanded, except of this host itself (localhost)."),
    row("mail.user", Kind::Text, Means("no login"),
        "User at the mail server."),
    row("mail.password", Kind::Secret, Means("no login"),
        "Password at the mail server."),
    row("mail.from", Kind::Email, Means("no copies by mail"),
        "Address that mails come from."),
    row("mail.to", Kind::Email, Means("no copies by mail"),
        "Address that mails go to; several people are reached by the address of a list."),
    row("mail.send", Kind::Systems, List(&["critical", "high"]),
        "Which messages: `all`, or a list of urgencies (`critical`, `high`, `medium`, `info`) and kinds (such as `withdrawn`)."),

    row("database.path", Kind::File, Text("/var/lib/cloudflare-mt/magic_transit.db"),
        "The SQLite file that all programs share. Its folder must be writable for them."),
    row("database.retention.attack_events", Kind::Keep, Text("forever"),
        "How long rows of the operator's log are kept."),
    row("database.retention.withdrawal_history", Kind::Keep, Text("forever"),
        "How long the record of withdrawals is kept."),
    row("database.retention.incidents", Kind::Keep, Text("forever"),
        "How long incidents are kept."),
    row("database.retention.audit", Kind::Keep, Text("forever"),
        "How long the record of changes by people is kept."),
    row("database.retention.webhook_events", Kind::Keep, Text("400d"),
        "How long received notifications are kept, with their bodies."),
    row("database.retention.network_analytics_events", Kind::Keep, Text("400d"),
        "How long polled attack events are kept."),
    row("database.retention.notifications", Kind::Keep, Text("180d"),
        "How long sent and suppressed messages are kept."),
    row("database.retention.decisions", Kind::Keep, Text("90d"),
        "How long the automation's decisions are kept."),
    row("database.retention.evidence", Kind::Keep, Text("30d"),
        "How long the evidence behind decisions is kept."),

    row("webhook.listen", Kind::Listen, Text("127.0.0.1:8080"),
        "Address and port of the receiver. A TLS proxy stands in front of it."),
    row("webhook.trusted_proxies", Kind::Clients, LOOPBACK,
        "Proxies whose `X-Forwarded-For` is believed."),
    row("webhook.allowed_sources", Kind::Clients, List(&[]),
        "Clients that may post. An empty list means any; the secret still decides. The word `cloudflare` stands for the \
         IPv4 networks that Cloudflare publishes, as of this version."),
    row("webhook.max_body", count("bytes", 1_024, 67_108_864), Number(1_048_576),
        "Largest body that is read. A larger one is answered 413; a stub of it is stored and announced."),
    row("webhook.allow_without_secret", Kind::Flag, Flag(false),
        "Start the receiver although no `cloudflare.webhook_secret` is configured. Everybody who reaches the port can then invent or end attacks."),

    row("dashboard.listen", Kind::Listen, Text("127.0.0.1:8081"),
        "Address and port of the dashboard. A TLS proxy stands in front of it."),
    row("dashboard.allowed_networks", Kind::Clients, List(&[]),
        "Clients that may reach the dashboard. An empty list means any; login still decides."),
    row("dashboard.trusted_proxies", Kind::Clients, LOOPBACK,
        "Proxies whose `X-Forwarded-For` is believed."),
    row("dashboard.public_url", Kind::PublicUrl, Means("messages carry no links"),
        "The address people use. Links in messages begin with it."),
    row("dashboard.session_idle", duration("1s", "30d"), Text("12h"),
        "A session ends when it was not used for this long."),
    row("dashboard.session_max", duration("1s", "90d"), Text("7d"),
        "A session ends this long after its login in any case."),

    row("analytics.listen", Kind::Listen, Text("127.0.0.1:8082"),
        "Address and port of health and metrics of the analytics monitor."),
    row("analytics.poll_interval", duration("100ms", "1h"), Text("5m"),
        "Time between two polls of Cloudflare's attack analytics."),
    row("analytics.lookback", duration("1s", "24h"), Text("15m"),
        "How far back each poll reads again, for rows that arrive or grow late."),
    row("analytics.settle", duration("0s", "1h"), Text("1m"),
        "Age below which Cloudflare's rows may still be missing; a poll's window ends this long ago."),
    row("analytics.min_packets", count("packets", 0, 1_000_000_000_000), Number(1),
        "Events with fewer dropped packets are stored but not announced."),
    row("analytics.my_prefixes", Kind::Prefixes, Means("the networks of prefix_mapping.json"),
        "Own networks. Attacks on them are announced; others only if the dashboard's switch says so."),
    row("analytics.anycast_prefixes", Kind::Prefixes, ANYCAST,
        "Cloudflare's own addresses, never taken for our own."),

    row("autowithdraw.listen", Kind::Listen, Text("127.0.0.1:8083"),
        "Address and port of health and metrics of the automation."),
    row("autowithdraw.mode", Kind::Mode, Text("act"),
        "`act` withdraws; `dry_run` records and announces what it would do; `paused` only shows."),
    row("autowithdraw.managed", Kind::Prefixes, Means("the networks of prefix_mapping.json"),
        "The prefixes it may touch. All others are shown as not managed. An empty list means none."),
    row("autowithdraw.check_interval", duration("100ms", "10m"), Text("60s"),
        "Time between two evaluations. Each costs one analytics query, of 300 per 5 minutes."),
    row("autowithdraw.calm_period", duration("1s", "24h"), Text("15m"),
        "Proven calm that must precede a withdrawal, measured in the time of the data."),
    row("autowithdraw.attack_lookback", duration("1s", "1h"), Text("5m"),
        "Window over which dropped traffic is summed up and compared with the thresholds."),
    row("autowithdraw.settle", duration("0s", "1h"), Text("5m"),
        "Age below which Cloudflare's rows may still be missing. Younger minutes can show an attack, never calm."),
    row("autowithdraw.propagation", duration("0s", "1h"), Text("7m"),
        "Time an advertisement needs to take effect everywhere. The calm clock starts after it."),
    row("autowithdraw.min_samples", count("samples", 1, 1_000_000), Number(2),
        "An excess that rests on fewer samples is shown as noise, not as attack."),
    row("autowithdraw.min_dropped_packets", count("packets", 0, 1_000_000_000_000_000), Number(5_000),
        "Dropped packets over the look-back window that must be exceeded, together with `min_dropped_bits`, for an attack."),
    row("autowithdraw.min_dropped_bits", count("bits", 0, 1_000_000_000_000_000_000), Number(10_000_000),
        "Dropped bits over the look-back window that must be exceeded, together with `min_dropped_packets`, for an attack."),
    row("autowithdraw.mitigation_systems", Kind::Systems, Text("all"),
        "Whose drops count: `all`, or a list of Cloudflare's names such as `dosd`, `flowtrackd`, `magic-firewall`."),
    row("autowithdraw.no_traffic", Kind::Prefixes, List(&[]),
        "Prefixes that carry no traffic even while advertised. For them an empty answer is calm; for all others it is unknown and never calm."),
    row("autowithdraw.min_advertised", duration("0s", "24h"), Text("15m"),
        "Shortest time a prefix stays advertised. Cloudflare refuses a change sooner than 15 minutes after the last."),
    row("autowithdraw.max_withdrawals_per_hour", count("withdrawals", 1, 60), Number(10),
        "Automatic withdrawals per hour over all prefixes. Reaching it is announced."),
    row("autowithdraw.open_alert_veto", duration("0s", "24h"), Text("60m"),
        "How long an attack alert without its END blocks a withdrawal. It does not stop the calm clock."),
    row("autowithdraw.unknown_alert_after", duration("1s", "24h"), Text("10m"),
        "Evidence missing for this long is announced as automation blind."),
    row("autowithdraw.overdue_after", duration("1s", "30d"), Text("2h"),
        "A prefix advertised for this long without a withdrawal is announced as overdue, with the reason."),
    row("autowithdraw.record_inputs", Kind::Flag, Flag(false),
        "Whether everything that decisions look at is recorded, one line a cycle, in the folder `recordings` beside the database. `cloudflare-mt replay` decides it again."),
    row("autowithdraw.record_limit_mb", count("megabytes", 8, 1_000_000), Number(1_000),
        "Size of all recordings together. The oldest file goes first."),
    row("autowithdraw.direct_route", Kind::DirectRoutes, Means("unknown for every prefix"),
        "How each managed prefix is reachable without Cloudflare, by network, or `*` for all others: `\"always_announced\"`, `{\"url\": …}` (must answer 2xx) or `{\"command\": [program, argument, …]}` (must exit 0), the last two with an optional `timeout` (`\"10s\"`)."),

    row("geoip.city_db", Kind::File, Means("the first of the search order that exists"),
        "City database in MaxMind's format. It is read again when the file changes."),
    row("geoip.asn_db", Kind::File, Means("the first of the search order that exists"),
        "ASN database in MaxMind's format. It is read again when the file changes."),

    row("organisation.name", Kind::Text, Text(""),
        "The operator's name in messages and pages."),
    row("organisation.brand", Kind::Text, Text("Cloudflare Magic Transit"),
        "First line of every message."),
    row("organisation.server", Kind::Text, Means("the host name"),
        "Name of this server in messages."),
];
