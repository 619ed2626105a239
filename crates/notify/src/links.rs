//! Which addresses a message may make clickable: Cloudflare's dashboard, its status page, and our own dashboard.
//!
//! Anything else is shown as text at most. A link is written from the parsed address, never from the text that came in.

use url::{Host, Url};

/// Hosts outside that may be linked to, over https only.
const HOSTS: [&str; 2] = ["dash.cloudflare.com", "www.cloudflarestatus.com"];

/// Longest address; longer ones are not made for people.
const LONGEST: usize = 512;

/// The hosts that may be linked to.
#[derive(Debug, Clone, Default)]
pub struct Links {
    own: Option<Url>,
}

impl Links {
    /// `public_url` is where people reach our dashboard; nothing of ours is linked without a usable one.
    pub fn new(public_url: Option<&str>) -> Self {
        let own = public_url.and_then(|text| Url::parse(text.trim()).ok()).filter(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        });
        Self { own }
    }

    /// The address in its normal form, if it may be linked to.
    pub fn allow(&self, text: &str) -> Option<String> {
        if text.len() > LONGEST {
            return None;
        }
        let url = Url::parse(text.trim()).ok()?;
        let plain = url.username().is_empty() && url.password().is_none();
        let outside = url.scheme() == "https"
            && url.port().is_none()
            && matches!(url.host(), Some(Host::Domain(host)) if HOSTS.contains(&host));
        let ours = self.own.as_ref().is_some_and(|own| own.origin() == url.origin());
        // Percent-encoding lengthens.
        (plain && (outside || ours) && url.as_str().len() <= 3 * LONGEST).then(|| url.into())
    }

    /// A page of our dashboard; `path` comes without a leading slash and is our own text.
    pub fn own_page(&self, path: &str) -> Option<String> {
        let own = self.own.as_ref()?;
        let base = own.as_str().trim_end_matches('/');
        self.allow(&format!("{base}/{path}"))
    }

    /// The page of an incident at Cloudflare's status site; ids of any other shape are not linked.
    pub fn provider_incident(&self, id: &str) -> Option<String> {
        let fits = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !fits {
            return None;
        }
        self.allow(&format!("https://www.cloudflarestatus.com/incidents/{id}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_hosts_over_https_and_our_own_origin() {
        let links = Links::new(Some("https://mt.example.net:8443/console/"));
        for good in [
            "https://dash.cloudflare.com/a?b=\"c\"&d",
            "https://DASH.cloudflare.com/x",
            "https://www.cloudflarestatus.com/",
            "https://mt.example.net:8443/other",
        ] {
            assert!(links.allow(good).is_some(), "{good}");
        }
        for bad in [
            "http://dash.cloudflare.com/",
            "https://dash.cloudflare.com.evil.example/",
            "https://dash.cloudflare.com@evil.example/",
            "https://user:pw@dash.cloudflare.com/",
            "https://dash.cloudflare.com:8443/",
            "https://evil.example/dash.cloudflare.com",
            "javascript:alert(1)",
            "//dash.cloudflare.com/x",
            "https://mt.example.net/other",
            "tg://user?id=1",
            "",
        ] {
            assert_eq!(links.allow(bad), None, "{bad}");
        }
        let quoted = links.allow("https://dash.cloudflare.com/a?b=\"<c>'").unwrap();
        assert!(!quoted.contains(['"', '<', '>']), "{quoted}");
        assert_eq!(
            links.allow(&format!("https://dash.cloudflare.com/{}", "x".repeat(600))),
            None
        );
    }

    #[test]
    fn pages_of_ours_lie_below_the_public_address() {
        let links = Links::new(Some("https://mt.example.net/console/"));
        assert_eq!(
            links.own_page("incidents/7").as_deref(),
            Some("https://mt.example.net/console/incidents/7")
        );
        assert_eq!(Links::new(None).own_page("incidents/7"), None);
        assert_eq!(Links::new(Some("not an address")).own_page("x"), None);
        assert_eq!(links.provider_incident("a/../b"), None);
        assert!(links.provider_incident("p4x2k").is_some());
    }
}
