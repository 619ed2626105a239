//! The session cookie: HttpOnly, SameSite=Strict, never in the clear beyond this machine.
//!
//! Behind https the name begins with `__Host-`: browsers then refuse it without `Secure`, with a domain or with another
//! path (RFC 6265bis section 4.1.3.2), so no neighbouring host can plant one. Without https it has a plain name, and
//! the dashboard serves this machine only.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use daemon::exit::ConfigRefused;
use settings::Dashboard;

const SECURE_NAME: &str = "__Host-magic-transit";
const PLAIN_NAME: &str = "magic-transit";

/// A session's secret has this many hex digits; what is longer or shorter is not looked up.
const SECRET_DIGITS: usize = 64;

/// How the cookie is written and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CookieStyle {
    /// People come over https.
    Secure,
    /// Only from this machine.
    Plain,
}

impl CookieStyle {
    /// The style that the configuration leads to.
    ///
    /// # Errors
    /// When sessions would cross a network in the clear.
    pub(crate) fn of(dashboard: &Dashboard) -> Result<Self, ConfigRefused> {
        let https = dashboard
            .public_url
            .as_ref()
            .is_some_and(|url| url.starts_with("https://"));
        if https {
            return Ok(Self::Secure);
        }
        if dashboard.listen.ip().to_canonical().is_loopback() {
            return Ok(Self::Plain);
        }
        Err(ConfigRefused {
            problem: format!(
                "dashboard.listen is {}, which other machines reach, but dashboard.public_url is not an https address: \
                 passwords and sessions would cross the network in the clear",
                dashboard.listen
            ),
            remedy: "put a TLS proxy in front and set dashboard.public_url to its https:// address, or set \
                     dashboard.listen to 127.0.0.1:8081"
                .to_owned(),
        })
    }

    /// Whether people come over https.
    pub(crate) fn is_secure(self) -> bool {
        self == Self::Secure
    }

    fn name(self) -> &'static str {
        match self {
            Self::Secure => SECURE_NAME,
            Self::Plain => PLAIN_NAME,
        }
    }

    fn write(self, value: &str, lives: Duration) -> Option<HeaderValue> {
        let secure = if self.is_secure() { "; Secure" } else { "" };
        let (name, seconds) = (self.name(), lives.as_secs());
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Hands a session to the browser.
    pub(crate) fn give(self, headers: &mut HeaderMap, secret: &str, lives: Duration) {
        headers.extend(self.write(secret, lives).map(|value| (header::SET_COOKIE, value)));
    }

    /// Takes it back.
    pub(crate) fn take(self, headers: &mut HeaderMap) {
        headers.extend(self.write("", Duration::ZERO).map(|value| (header::SET_COOKIE, value)));
    }

    /// The secret that a request brings. Two cookies of the name are none: somebody planted one of them.
    pub(crate) fn read(self, headers: &HeaderMap) -> Option<&str> {
        let mut found = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name())
            .map(|(_, value)| value);
        let secret = found.next()?;
        let well_formed = secret.len() == SECRET_DIGITS && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
        (well_formed && found.next().is_none()).then_some(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard(listen: &str, public_url: Option<&str>) -> Dashboard {
        Dashboard {
            listen: listen.parse().unwrap(),
            allowed_networks: vec![],
            trusted_proxies: vec![],
            public_url: public_url.map(str::to_owned),
            session_idle: Duration::from_secs(60),
            session_max: Duration::from_secs(600),
        }
    }

    #[test]
    fn no_session_crosses_a_network_in_the_clear() {
        let style = |listen, url| CookieStyle::of(&dashboard(listen, url));
        assert_eq!(style("127.0.0.1:8081", None), Ok(CookieStyle::Plain));
        assert_eq!(
            style("[::1]:8081", Some("http://localhost:8081")),
            Ok(CookieStyle::Plain)
        );
        assert_eq!(
            style("0.0.0.0:8081", Some("https://noc.example.net")),
            Ok(CookieStyle::Secure)
        );
        assert_eq!(
            style("127.0.0.1:8081", Some("https://noc.example.net")),
            Ok(CookieStyle::Secure)
        );
        let refused = style("192.0.2.1:8081", Some("http://noc.example.net")).unwrap_err();
        assert!(refused.remedy.contains("dashboard.public_url"), "{refused}");
        assert!(style("[::]:8081", None).is_err());
    }

    #[test]
    fn written_and_read() {
        let secret = "ab".repeat(32);
        let mut headers = HeaderMap::new();
        CookieStyle::Secure.give(&mut headers, &secret, Duration::from_secs(60));
        let written = headers[header::SET_COOKIE].to_str().unwrap();
        assert_eq!(
            written,
            format!("__Host-magic-transit={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure")
        );
        let read = |cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookie.parse().unwrap());
            CookieStyle::Secure.read(&headers).map(str::to_owned)
        };
        assert_eq!(
            read(&format!("a=b; __Host-magic-transit={secret}")),
            Some(secret.clone())
        );
        assert_eq!(read(&format!("magic-transit={secret}")), None);
        assert_eq!(read("__Host-magic-transit=short"), None);
        let twice = format!(
            "__Host-magic-transit={secret}; __Host-magic-transit={}",
            "cd".repeat(32)
        );
        assert_eq!(read(&twice), None);
    }
}
