//! Typed values to [`Settings`]: every field named once, every default already in its place.

use crate::keys::KEYS;
use crate::legacy::Legacy;
use crate::model::{
    AlertWebhook, Analytics, AutoWithdraw, Cloudflare, Dashboard, Database, GeoIp, GlobalKey, Mail, MappedPrefix,
    Organisation, Retention, Settings, Telegram, Webhook,
};
use crate::values::Values;
use domain::units::{Bits, Packets};

/// Section of the retention keys; the rest of such a path is the table's name.
const RETENTION: &str = "database.retention.";

/// The settings, or `None` when a key without value was needed. Callers have reported why; if they
/// have not, the key table and this file disagree.
pub(crate) fn assemble(
    values: &Values,
    mapping: Vec<MappedPrefix>,
    legacy: Legacy,
    host_name: Option<&str>,
) -> Option<Settings> {
    Some(Settings {
        cloudflare: cloudflare(values)?,
        telegram: telegram(values)?,
        alert_webhook: alert_webhook(values)?,
        mail: mail(values)?,
        database: Database {
            path: values.file("database.path")?.clone(),
            retention: retention(values)?,
        },
        webhook: Webhook {
            listen: *values.listen("webhook.listen")?,
            trusted_proxies: values.networks("webhook.trusted_proxies")?.clone(),
            allowed_sources: values.networks("webhook.allowed_sources")?.clone(),
            max_body: usize::try_from(*values.count("webhook.max_body")?).ok()?,
            allow_without_secret: *values.flag("webhook.allow_without_secret")?,
        },
        dashboard: Dashboard {
            listen: *values.listen("dashboard.listen")?,
            allowed_networks: values.networks("dashboard.allowed_networks")?.clone(),
            trusted_proxies: values.networks("dashboard.trusted_proxies")?.clone(),
            public_url: values.text("dashboard.public_url").cloned(),
            session_idle: *values.duration("dashboard.session_idle")?,
            session_max: *values.duration("dashboard.session_max")?,
        },
        analytics: analytics(values)?,
        autowithdraw: autowithdraw(values)?,
        geoip: GeoIp {
            city_db: values.file("geoip.city_db").cloned(),
            asn_db: values.file("geoip.asn_db").cloned(),
        },
        organisation: Organisation {
            name: values.text("organisation.name")?.clone(),
            brand: values.text("organisation.brand")?.clone(),
            server: values
                .text("organisation.server")
                .map(String::as_str)
                .or(host_name)
                .unwrap_or("unnamed host")
                .to_owned(),
        },
        mapping,
        legacy,
    })
}

fn cloudflare(values: &Values) -> Option<Cloudflare> {
    let secret = |path| values.secrets(path).and_then(|list| list.first()).cloned();
    let email = values.text("cloudflare.auth_email").cloned();
    Some(Cloudflare {
        account_id: values.text("cloudflare.account_id")?.clone(),
        api_token: secret("cloudflare.api_token"),
        webhook_secret: values.secrets("cloudflare.webhook_secret").cloned().unwrap_or_default(),
        api_base_url: values.text("cloudflare.api_base_url")?.clone(),
        global_key: email
            .zip(secret("cloudflare.global_api_key"))
            .map(|(email, key)| GlobalKey { email, key }),
    })
}

/// `Some(None)` when no chat is configured; `rules` has seen to it that both keys or none are.
fn telegram(values: &Values) -> Option<Option<Telegram>> {
    let (Some(token), Some(chat_id)) = (
        values.secrets("telegram.bot_token").and_then(|list| list.first()),
        values.chat_id("telegram.chat_id"),
    ) else {
        return Some(None);
    };
    let message_thread_id = match values.count("telegram.message_thread_id") {
        Some(id) => Some(i32::try_from(*id).ok()?),
        None => None,
    };
    Some(Some(Telegram {
        bot_token: token.clone(),
        chat_id: chat_id.clone(),
        message_thread_id,
        api_url: values.text("telegram.api_url")?.clone(),
        max_age: *values.duration("telegram.max_age")?,
        operators: crate::rules::operators(values.text("telegram.operators").map_or("", String::as_str)).ok()?,
    }))
}

/// `Some(None)` when there is none; `rules` has seen to it that what belongs together is there.
fn alert_webhook(values: &Values) -> Option<Option<AlertWebhook>> {
    let secret = values.secrets("alert_webhook.secret").and_then(|list| list.first());
    let (Some(url), Some(secret)) = (values.text("alert_webhook.url"), secret) else {
        return Some(None);
    };
    Some(Some(AlertWebhook {
        url: url.clone(),
        secret: secret.clone(),
        send: values.systems("alert_webhook.send")?.clone(),
    }))
}

/// `Some(None)` when there is none, as above.
fn mail(values: &Values) -> Option<Option<Mail>> {
    let (Some(host), Some(from), Some(to)) = (
        values.text("mail.host"),
        values.text("mail.from"),
        values.text("mail.to"),
    ) else {
        return Some(None);
    };
    let password = values.secrets("mail.password").and_then(|list| list.first());
    Some(Some(Mail {
        host: host.clone(),
        port: u16::try_from(*values.count("mail.port")?).ok()?,
        login: values.text("mail.user").cloned().zip(password.cloned()),
        from: from.clone(),
        to: to.clone(),
        send: values.systems("mail.send")?.clone(),
    }))
}

fn retention(values: &Values) -> Option<Retention> {
    KEYS.iter()
        .filter_map(|key| Some((key.path, key.path.strip_prefix(RETENTION)?)))
        .map(|(path, table)| Some((table, *values.keep(path)?)))
        .collect::<Option<_>>()
        .map(Retention)
}

fn analytics(values: &Values) -> Option<Analytics> {
    Some(Analytics {
        listen: *values.listen("analytics.listen")?,
        poll_interval: *values.duration("analytics.poll_interval")?,
        lookback: *values.duration("analytics.lookback")?,
        settle: *values.duration("analytics.settle")?,
        min_packets: *values.count("analytics.min_packets")?,
        my_prefixes: values.networks("analytics.my_prefixes").cloned(),
        anycast_prefixes: values.networks("analytics.anycast_prefixes")?.clone(),
        witnesses: values.systems("analytics.witnesses")?.clone(),
        announced_witnesses: values.systems("analytics.announced_witnesses")?.clone(),
        reverse_dns: *values.flag("analytics.reverse_dns")?,
        dns_server: values.listen("analytics.dns_server").copied(),
    })
}

fn autowithdraw(values: &Values) -> Option<AutoWithdraw> {
    let duration = |name: &str| values.duration(&format!("autowithdraw.{name}")).copied();
    let routes = values.routes("autowithdraw.direct_route").cloned().unwrap_or_default();
    let per_hour = *values.count("autowithdraw.max_withdrawals_per_hour")?;
    Some(AutoWithdraw {
        listen: *values.listen("autowithdraw.listen")?,
        mode: *values.mode("autowithdraw.mode")?,
        managed: values.networks("autowithdraw.managed").cloned(),
        check_interval: duration("check_interval")?,
        calm_period: duration("calm_period")?,
        attack_lookback: duration("attack_lookback")?,
        settle: duration("settle")?,
        propagation: duration("propagation")?,
        min_samples: *values.count("autowithdraw.min_samples")?,
        min_dropped_packets: Packets(*values.count("autowithdraw.min_dropped_packets")?),
        min_dropped_bits: Bits(*values.count("autowithdraw.min_dropped_bits")?),
        min_dropped_pps: *values.count("autowithdraw.min_dropped_pps")?,
        min_dropped_bps: *values.count("autowithdraw.min_dropped_bps")?,
        calm_threshold_percent: u8::try_from(*values.count("autowithdraw.calm_threshold_percent")?).ok()?,
        mitigation_systems: values.systems("autowithdraw.mitigation_systems")?.clone(),
        no_traffic: values.networks("autowithdraw.no_traffic")?.clone(),
        min_advertised: duration("min_advertised")?,
        max_withdrawals_per_hour: u32::try_from(per_hour).ok()?,
        open_alert_veto: duration("open_alert_veto")?,
        unknown_alert_after: duration("unknown_alert_after")?,
        overdue_after: duration("overdue_after")?,
        record_inputs: *values.flag("autowithdraw.record_inputs")?,
        record_limit_mb: *values.count("autowithdraw.record_limit_mb")?,
        direct_routes: routes.by_prefix,
        direct_route_default: routes.every_other,
    })
}
