//! Events of the analytics monitor (`analytics-monitor`) and of the GeoIP databases (`geoip`), sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::warn(
        "alert_history.alert.recovered",
        "An alert that the receiver did not get was taken from Cloudflare's notification history. `number` is its event.",
        "Nothing for this alert: it is in the record, its incident and the vetoes. See alert_history.recovered.",
    ),
    EventDef::debug(
        "alert_history.compared",
        "A turn of catching up is complete: how many alerts were delivered, and how many had to be recovered.",
    ),
    EventDef::warn(
        "alert_history.cursor.ahead",
        "The moment up to which alerts are known lies in the future: a clock was wrong. One day is compared again.",
        "Check the time of this host.",
    ),
    EventDef::error(
        "alert_history.gap",
        "Alerts were not compared since `since`, and Cloudflare may no longer have the history of that time. People are told.",
        "Nothing brings it back. Find out why the monitor did not run.",
    ),
    EventDef::info(
        "alert_history.read_again",
        "The notification history can be read again; nothing was skipped.",
    ),
    EventDef::warn(
        "alert_history.recovered",
        "Alerts that the receiver did not get were recovered; people get one summary.",
        "Find out why the receiver did not get them: its log and health, the proxy in front of it, the destination's last failure at Cloudflare.",
    ),
    EventDef::error(
        "alert_history.truncated",
        "More alerts were dispatched within one second than Cloudflare gives out; some of them may be missing.",
        "Look at the notification history in Cloudflare's dashboard for the second before `before`.",
    ),
    EventDef::warn(
        "alert_history.unread",
        "Cloudflare's notification history cannot be read or stored: alerts that the receiver does not get are not recovered. The cursor stays.",
        "Read `error`; grant the token Notifications: Read.",
    ),
    EventDef::warn(
        "alerts.not_resolved",
        "Open alerts without a known prefix could not be looked at again; they go on vetoing every prefix.",
        "Check the database if it repeats.",
    ),
    EventDef::info(
        "alerts.resolved",
        "An open alert that could not be tied to prefixes now can, by the rule list or the discovered prefixes; it vetoes only `prefixes`.",
    ),
    EventDef::error(
        "cron_watchdog.silent",
        "The watchdog of cron has not looked after the services for a quarter of an hour, and people were told. Nobody restarts what does not work.",
        "`systemctl status cron`, /etc/cron.d/cloudflare-services-watchdog, `journalctl -t cloudflare-services-watchdog`.",
    ),
    EventDef::warn(
        "cron_watchdog.unknown",
        "It could not be read or stored when the watchdog of cron last looked.",
        "Check the database: `cloudflare-mt db check`, free space, permissions.",
    ),
    EventDef::warn(
        "geoip.database.gone",
        "The file of a GeoIP database is no longer there. The copy in memory stays in use until the next start.",
        "Put the file named by `path` back, or remove it from the configuration.",
    ),
    EventDef::info(
        "geoip.database.loaded",
        "A GeoIP database was read for the first time or anew, with what it calls itself and when it was built.",
    ),
    EventDef::warn(
        "geoip.database.refused",
        "The file of a GeoIP database cannot be used. The one before stays in use, else the next candidate; places may be missing.",
        "Read `why`; get the file named by `path` again. It is tried again as soon as it changes.",
    ),
    EventDef::debug(
        "hostnames.looked_up",
        "Host names of attacking addresses were looked up.",
    ),
    EventDef::warn(
        "hostnames.no_resolver",
        "It cannot be found out which name servers to ask; host names of attacking addresses stay empty until the next start.",
        "Read `error`; check /etc/resolv.conf, name a server in analytics.dns_server, or switch analytics.reverse_dns off.",
    ),
    EventDef::warn(
        "hostnames.not_kept",
        "Host names could not be read from the database or stored in it.",
        "Check the database if it repeats.",
    ),
    EventDef::warn(
        "hostnames.unanswered",
        "Name servers answered for none of the attacking addresses that were asked about. Each is asked again after 15 minutes.",
        "If host names are wanted, check the name servers of this host; otherwise switch analytics.reverse_dns off.",
    ),
    EventDef::error(
        "mitigations.failure.not_recorded",
        "It could not be stored that the attack analytics fail, so people may not be told about it.",
        "Check the database: free space, permissions, locks.",
    ),
    EventDef::error(
        "mitigations.feed.blind",
        "Nothing could be read from the attack analytics for so long that people were told. What they would show is unknown, not calm.",
        "Read `error`: token permission (Account Analytics: Read), network, Cloudflare's status page.",
    ),
    EventDef::error(
        "mitigations.gap.lost",
        "The monitor was away for longer than Cloudflare keeps its analytics: the time between `from` and `to` is missing from the record.",
        "Nothing brings it back. Find out why the monitor did not run.",
    ),
    EventDef::info(
        "mitigations.limits.read",
        "What the account's plan allows for a query, at the start and whenever it has changed.",
    ),
    EventDef::warn(
        "mitigations.limits.unread",
        "The limits of the account could not be read; polls go on with the last known or with cautious ones.",
        "Read `error`; if polls fail as well, mitigations.poll.failed says more.",
    ),
    EventDef::warn(
        "mitigations.networks.unknown",
        "No prefix is known to be ours, so every attack is announced.",
        "Set analytics.my_prefixes or fill prefix_mapping.json, or see why the automation discovers no prefixes.",
    ),
    EventDef::warn(
        "mitigations.page.truncated",
        "Between `from` and `to` there are more rows than Cloudflare gives out; the record of that time is incomplete.",
        "Nothing: the attack is larger than its record. Totals of that time are too low.",
    ),
    EventDef::warn(
        "mitigations.poll.failed",
        "The attack analytics could not be read or stored; nothing was skipped, the next poll begins at the same place.",
        "Read `error`; if it lasts, mitigations.feed.blind follows and people are told.",
    ),
    EventDef::info(
        "mitigations.poll.recovered",
        "Polls of the attack analytics succeed again.",
    ),
    EventDef::debug("mitigations.polled", "A poll of the attack analytics has ended well."),
    EventDef::info(
        "mitigations.stored",
        "A poll found rows of dropped traffic that were not known.",
    ),
    EventDef::warn(
        "mitigations.watermark.ahead",
        "The stored mark up to where everything was read lies in the future: the clock was wrong then, or is now.",
        "Check the clock of this host (`timedatectl`).",
    ),
    EventDef::info(
        "monitoring_rules.recovered",
        "The network monitoring rules can be read again.",
    ),
    EventDef::warn(
        "monitoring_rules.unread",
        "The network monitoring rules cannot be read; an alert that names only its rule is tied to prefixes by the last known ones.",
        "Grant the token Magic Network Monitoring: Read, unless the account has no network monitoring.",
    ),
    EventDef::warn(
        "process.stop.not_announced",
        "The message about an orderly stop could not be queued. The stop itself is not affected.",
        "Check the database if it repeats.",
    ),
    EventDef::error(
        "witness.blind",
        "A source beside the DDoS rules (`witness`) could not be read for so long that people are told. What it dropped meanwhile is read later.",
        "Read `error`; check the token's permission Account Analytics: Read and Cloudflare's status page, or take the source out of analytics.witnesses.",
    ),
    EventDef::warn(
        "witness.poll.failed",
        "A source beside the DDoS rules (`witness`) could not be read; its watermark stays, and it is read again soon.",
        "Read `error`; if it lasts, witness.blind follows and people are told.",
    ),
    EventDef::info(
        "witness.poll.recovered",
        "A source beside the DDoS rules is read again, after so many failures.",
    ),
];
