//! Equality of settings apart from the content of secrets.
//!
//! Secrets are compared only by whether and how often they are there. The structs are taken apart
//! by name, so a field that is added and forgotten here does not compile.

use crate::legacy::{Legacy, LegacyAuth};
use crate::model::{AlertWebhook, Cloudflare, GlobalKey, Mail, Settings, Telegram};

impl Settings {
    /// Whether both say the same apart from the content of secrets.
    pub fn same_except_secrets(&self, other: &Self) -> bool {
        let Self {
            cloudflare,
            telegram,
            alert_webhook,
            mail,
            database,
            webhook,
            dashboard,
            analytics,
            autowithdraw,
            geoip,
            organisation,
            mapping,
            legacy,
        } = self;
        cloudflare.same_except_secrets(&other.cloudflare)
            && both(
                telegram.as_ref(),
                other.telegram.as_ref(),
                Telegram::same_except_secrets,
            )
            && both(alert_webhook.as_ref(), other.alert_webhook.as_ref(), |one, other| {
                let AlertWebhook { url, secret: _, send } = one;
                *url == other.url && *send == other.send
            })
            && both(mail.as_ref(), other.mail.as_ref(), |one, other| {
                let Mail {
                    host,
                    port,
                    login,
                    from,
                    to,
                    send,
                } = one;
                let user = |login: &Option<(String, _)>| login.as_ref().map(|(user, _)| user.clone());
                *host == other.host
                    && *port == other.port
                    && user(login) == user(&other.login)
                    && *from == other.from
                    && *to == other.to
                    && *send == other.send
            })
            && *database == other.database
            && *webhook == other.webhook
            && *dashboard == other.dashboard
            && *analytics == other.analytics
            && *autowithdraw == other.autowithdraw
            && *geoip == other.geoip
            && *organisation == other.organisation
            && *mapping == other.mapping
            && legacy.same_except_secrets(&other.legacy)
    }
}

impl Cloudflare {
    fn same_except_secrets(&self, other: &Self) -> bool {
        let Self {
            account_id,
            api_token,
            webhook_secret,
            api_base_url,
            global_key,
        } = self;
        *account_id == other.account_id
            && api_token.is_some() == other.api_token.is_some()
            && webhook_secret.len() == other.webhook_secret.len()
            && *api_base_url == other.api_base_url
            && both(global_key.as_ref(), other.global_key.as_ref(), |one, other| {
                let GlobalKey { email, key: _ } = one;
                *email == other.email
            })
    }
}

impl Telegram {
    fn same_except_secrets(&self, other: &Self) -> bool {
        let Self {
            bot_token: _,
            chat_id,
            message_thread_id,
            api_url,
            max_age,
            operators,
        } = self;
        *chat_id == other.chat_id
            && *message_thread_id == other.message_thread_id
            && *api_url == other.api_url
            && *max_age == other.max_age
            && *operators == other.operators
    }
}

impl Legacy {
    fn same_except_secrets(&self, other: &Self) -> bool {
        let Self { auth, dashboard_prefs } = self;
        *dashboard_prefs == other.dashboard_prefs
            && both(auth.as_ref(), other.auth.as_ref(), |one, other| {
                let LegacyAuth {
                    username,
                    password_hash: _,
                    last_changed,
                } = one;
                *username == other.username && *last_changed == other.last_changed
            })
    }
}

fn both<T>(one: Option<&T>, other: Option<&T>, same: impl Fn(&T, &T) -> bool) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (None, None) => true,
        _ => false,
    }
}
