//! Which notifications of Cloudflare the product lives on, and which destination is our receiver.

use cf_api::rest::alerting::{AlertPolicy, WebhookDestination};

/// The receiver's path; whoever puts a proxy in front keeps it.
pub const RECEIVER_PATH: &str = "/webhook/cloudflare";

/// A kind of notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Any of these serves; the first is the one to make.
    pub any_of: &'static [&'static str],
    /// What nobody would hear of without it.
    pub tells: &'static str,
}

/// Without these an attack, an advertisement or a broken way home would go by unseen.
pub const WANTED: [Wanted; 6] = [
    Wanted {
        any_of: &["advanced_ddos_attack_l4_alert", "dos_attack_l4"],
        tells: "attacks that Cloudflare mitigates",
    },
    Wanted {
        any_of: &["fbm_volumetric_attack"],
        tells: "attacks that network monitoring sees by its thresholds",
    },
    Wanted {
        any_of: &["fbm_dosd_attack"],
        tells: "attacks that network monitoring recognises",
    },
    Wanted {
        any_of: &["fbm_auto_advertisement"],
        tells: "prefixes that Cloudflare advertised by itself",
    },
    Wanted {
        any_of: &["magic_tunnel_health_check_event", "magic_wan_tunnel_health"],
        tells: "tunnels by which scrubbed traffic comes home",
    },
    Wanted {
        any_of: &["bgp_hijack_notification"],
        tells: "others that announce your prefixes",
    },
];

impl Wanted {
    /// The type that is made when there is none.
    pub fn to_make(&self) -> &'static str {
        self.any_of.first().copied().unwrap_or_default()
    }
}

/// The path of an address, without query and fragment.
pub fn path_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    Some(path.split(['?', '#']).next().unwrap_or(path))
}

/// The destinations that lead to our receiver: by its path, or by the address somebody named.
pub fn our_destinations<'a>(all: &'a [WebhookDestination], named: Option<&str>) -> Vec<&'a WebhookDestination> {
    let is_named = |url: &str| named.is_some_and(|named| url.trim_end_matches('/') == named.trim_end_matches('/'));
    let by_path = |url: &str| path_of(url).is_some_and(|path| path.trim_end_matches('/').ends_with(RECEIVER_PATH));
    all.iter()
        .filter(|found| match named {
            Some(_) => is_named(&found.url),
            None => by_path(&found.url),
        })
        .collect()
}

/// What is there for one kind of notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage<'a> {
    /// This enabled policy posts to our receiver.
    Covered(&'a AlertPolicy),
    /// This one would, but somebody switched it off.
    Disabled(&'a AlertPolicy),
    /// There are policies, but they tell somebody else.
    Elsewhere(&'a AlertPolicy),
    /// There is none.
    Missing,
}

/// Looks for a policy of these types that posts to one of `destinations`.
pub fn coverage<'a>(
    any_of: &[&str],
    policies: &'a [AlertPolicy],
    destinations: &[&WebhookDestination],
) -> Coverage<'a> {
    let of_type = || {
        policies
            .iter()
            .filter(|policy| any_of.contains(&policy.alert_type.as_str()))
    };
    let ours = |policy: &&AlertPolicy| {
        destinations
            .iter()
            .any(|destination| policy.webhooks.iter().any(|id| same_id(id, &destination.id)))
    };
    if let Some(policy) = of_type().filter(ours).find(|policy| policy.enabled) {
        return Coverage::Covered(policy);
    }
    if let Some(policy) = of_type().find(ours) {
        return Coverage::Disabled(policy);
    }
    of_type().next().map_or(Coverage::Missing, Coverage::Elsewhere)
}

/// Cloudflare writes the same id with and without hyphens.
fn same_id(a: &str, b: &str) -> bool {
    let plain = |id: &str| id.replace('-', "").to_ascii_lowercase();
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(id: &str, url: &str) -> WebhookDestination {
        WebhookDestination {
            id: id.into(),
            name: "Receiver".into(),
            url: url.into(),
            kind: None,
            last_success: None,
            last_failure: None,
        }
    }

    fn policy(kind: &str, enabled: bool, webhook: &str) -> AlertPolicy {
        AlertPolicy {
            id: "p".into(),
            name: kind.into(),
            alert_type: kind.into(),
            enabled,
            webhooks: vec![webhook.into()],
            filters: Default::default(),
        }
    }

    #[test]
    fn our_receiver_is_known_by_its_path_or_its_name() {
        let all = [
            destination("a", "https://mt.example.net/webhook/cloudflare"),
            destination("b", "https://chat.example.net/hooks/x"),
            destination("c", "https://mt.example.net/mt/webhook/cloudflare/?a=b"),
        ];
        let ids = |named| {
            our_destinations(&all, named)
                .iter()
                .map(|found| found.id.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(None), ["a", "c"]);
        assert_eq!(ids(Some("https://chat.example.net/hooks/x/")), ["b"]);
        assert_eq!(path_of("https://mt.example.net"), Some("/"));
        assert_eq!(path_of("nothing"), None);
    }

    #[test]
    fn a_policy_counts_only_if_it_is_on_and_posts_to_us() {
        let ours = destination("1234-5678", "https://mt.example.net/webhook/cloudflare");
        let ours = [&ours];
        let any = ["dos_attack_l4"];
        let of = |policies: &[AlertPolicy]| match coverage(&any, policies, &ours) {
            Coverage::Covered(_) => "covered",
            Coverage::Disabled(_) => "disabled",
            Coverage::Elsewhere(_) => "elsewhere",
            Coverage::Missing => "missing",
        };
        let (on, off) = (
            policy("dos_attack_l4", true, "12345678"),
            policy("dos_attack_l4", false, "12345678"),
        );
        let elsewhere = policy("dos_attack_l4", true, "9");
        let other = policy("radar_notification", true, "12345678");
        assert_eq!(of(&[]), "missing");
        assert_eq!(of(std::slice::from_ref(&other)), "missing");
        assert_eq!(of(&[other.clone(), elsewhere.clone()]), "elsewhere");
        assert_eq!(of(&[elsewhere.clone(), off.clone()]), "disabled");
        assert_eq!(of(&[elsewhere, off, on]), "covered");
    }
}
