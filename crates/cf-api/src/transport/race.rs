//! Happy Eyeballs (RFC 8305) over whole connections: TCP and TLS together.
//!
//! reqwest races TCP only, with a fixed delay, so an address that accepts TCP and then says nothing
//! holds a request until its deadline. Here each address is a complete attempt of reqwest's own
//! connector. The first starts at once, the next after [`RaceLayer::attempt_delay`] or as soon as
//! one fails, families alternating; the first finished connection wins and the others are dropped.
//! The winning family goes first next time.
//!
//! Invariants: nothing of a request is written before the race is over; every attempt ends with
//! the race; the whole takes at most [`RaceLayer::deadline`].

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::Url;
use tokio::time::{Instant, sleep_until, timeout_at};
use tower::{BoxError, Layer, Service, ServiceExt as _};

use super::harvest::Harvester;
use super::lookup::{Lookup, confined};

/// More addresses than this are not tried in one connection: the last would start only after
/// 1.25 s and gain nothing.
const MAX_ATTEMPTS: usize = 6;

/// Hosts remembered by [`Families`]. The product talks to two or three.
const MAX_HOSTS: usize = 64;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn of(address: IpAddr) -> Self {
        if address.is_ipv6() { Self::V6 } else { Self::V4 }
    }
}

/// Which family last worked for a host.
#[derive(Default)]
pub(super) struct Families {
    by_host: Mutex<HashMap<String, Family>>,
}

impl Families {
    pub(super) fn get(&self, host: &str) -> Option<Family> {
        self.by_host
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(host)
            .copied()
    }

    /// Returns whether that is a change.
    fn set(&self, host: &str, family: Family) -> bool {
        let mut by_host = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        if by_host.len() >= MAX_HOSTS && !by_host.contains_key(host) {
            by_host.clear();
        }
        by_host
            .insert(host.to_owned(), family)
            .is_some_and(|before| before != family)
    }
}

/// The order of attempts: families alternate, starting with `first` if there is such an address,
/// else with the family that the resolver put first. Inside a family the resolver's order stays.
fn attempt_order(addresses: &[IpAddr], first: Option<Family>) -> Vec<IpAddr> {
    let Some(leading) = first
        .filter(|family| addresses.iter().any(|a| Family::of(*a) == *family))
        .or_else(|| addresses.first().map(|a| Family::of(*a)))
    else {
        return Vec::new();
    };
    let (mut ahead, mut behind): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|a| Family::of(**a) == leading);
    // Both families keep a place even when one has many addresses.
    ahead.truncate(MAX_ATTEMPTS);
    behind.truncate(MAX_ATTEMPTS);
    let (mut ahead, mut behind) = (ahead.into_iter(), behind.into_iter());
    let mut order = Vec::with_capacity(MAX_ATTEMPTS);
    loop {
        let before = order.len();
        order.extend(ahead.next());
        order.extend(behind.next());
        if order.len() == before || order.len() >= MAX_ATTEMPTS {
            order.truncate(MAX_ATTEMPTS);
            return order;
        }
    }
}

/// The origin that a connection token stands for, learnt from how it prints: `Name(https://host/)`.
fn origin_of(token: &impl Debug) -> Option<Url> {
    let printed = format!("{token:?}");
    let (_name, uri) = printed.strip_suffix(')')?.split_once('(')?;
    let origin = Url::parse(uri).ok()?;
    (matches!(origin.scheme(), "http" | "https") && origin.host_str().is_some()).then_some(origin)
}

#[derive(Clone)]
pub(super) struct RaceLayer {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) families: Arc<Families>,
    pub(super) harvester: Harvester,
    pub(super) attempt_delay: Duration,
    pub(super) deadline: Duration,
}

impl<S> Layer<S> for RaceLayer {
    type Service = Race<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Race {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone)]
pub(super) struct Race<S> {
    inner: S,
    layer: RaceLayer,
}

impl<S, R> Service<R> for Race<S>
where
    S: Service<R, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    R: Debug + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Every attempt asks its own clone.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, token: R) -> Self::Future {
        let inner = self.inner.clone();
        let layer = self.layer.clone();
        Box::pin(async move { layer.connect(inner, token).await })
    }
}

impl RaceLayer {
    async fn connect<S, R>(self, inner: S, token: R) -> Result<S::Response, BoxError>
    where
        S: Service<R, Error = BoxError> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Response: Send + 'static,
        R: Debug + Send + Sync + 'static,
    {
        let deadline = Instant::now() + self.deadline;
        let Some(origin) = origin_of(&token) else {
            return within(deadline, "the connection", inner.oneshot(token)).await;
        };
        // An address in the URL needs no lookup and has no rival.
        let host = match origin.host_str() {
            Some(host) if origin.domain().is_some() => host.to_owned(),
            _ => return within(deadline, "the connection", inner.oneshot(token)).await,
        };
        let looking_up = self.lookup.lookup(&host);
        let found = within(deadline, "the name lookup", async {
            looking_up.await.map_err(BoxError::from)
        })
        .await?;
        let order = attempt_order(&found, self.families.get(&host));
        if order.is_empty() {
            return Err(format!("{host} has no address").into());
        }
        let attempts = self.attempts(token, &origin, &order).await;
        if attempts.len() < order.len() {
            tracing::debug!(event = "transport.race.unavailable", host);
        }
        let (winner, connection) = self
            .race(inner, attempts, deadline)
            .await
            .map_err(|lost| lost.into_error(&host))?;
        if self.families.set(&host, Family::of(winner)) || Some(&winner) != order.first() {
            tracing::debug!(event = "transport.race.won", host, %winner);
        }
        Ok(connection)
    }

    /// One attempt per address. Should tokens run out, the last attempt gets all addresses that
    /// are left, and reqwest's connector goes through those by itself.
    async fn attempts<R>(&self, token: R, origin: &Url, order: &[IpAddr]) -> Vec<Attempt<R>>
    where
        R: Debug + Send + Sync + 'static,
    {
        let mut attempts = Vec::with_capacity(order.len());
        let mut left = order;
        while let [first, rest @ ..] = left
            && !rest.is_empty()
            && let Some(token) = self.harvester.another(&token, origin).await
        {
            attempts.push(Attempt {
                token,
                first: *first,
                addresses: [*first].into(),
            });
            left = rest;
        }
        if let Some(first) = left.first() {
            attempts.push(Attempt {
                token,
                first: *first,
                addresses: left.into(),
            });
        }
        attempts
    }

    async fn race<S, R>(
        &self,
        inner: S,
        attempts: Vec<Attempt<R>>,
        deadline: Instant,
    ) -> Result<(IpAddr, S::Response), Lost>
    where
        S: Service<R, Error = BoxError> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Response: Send + 'static,
        R: Send + 'static,
    {
        let mut lost = Lost::default();
        let mut waiting = attempts.into_iter();
        let mut running = FuturesUnordered::new();
        let mut start_next = Instant::now();
        loop {
            if Instant::now() >= start_next
                && let Some(attempt) = waiting.next()
            {
                let address = attempt.first;
                let connecting = confined(attempt.addresses, inner.clone().oneshot(attempt.token));
                running.push(async move { (address, connecting.await) });
                lost.started.push(address);
                start_next = Instant::now() + self.attempt_delay;
            }
            let more_to_start = waiting.len() > 0;
            if running.is_empty() && !more_to_start {
                return Err(lost);
            }
            tokio::select! {
                biased;
                Some((address, outcome)) = running.next() => match outcome {
                    Ok(connection) => return Ok((address, connection)),
                    Err(error) => {
                        lost.failed.push((address, error));
                        start_next = Instant::now();
                    }
                },
                () = sleep_until(start_next), if more_to_start => {}
                () = sleep_until(deadline) => return Err(lost),
            }
        }
    }
}

/// A connection to be tried.
struct Attempt<R> {
    token: R,
    /// The address it is known by.
    first: IpAddr,
    /// All it may use; more than one only when tokens ran out.
    addresses: Arc<[IpAddr]>,
}

/// What became of the attempts of a race nobody won.
#[derive(Default)]
struct Lost {
    started: Vec<IpAddr>,
    failed: Vec<(IpAddr, BoxError)>,
}

impl Lost {
    /// One error that names every address and its fate.
    fn into_error(self, host: &str) -> BoxError {
        let mut text = format!("no address of {host} could be connected:");
        for address in &self.started {
            let fate = self.failed.iter().find(|(failed, _)| failed == address);
            // Writing into a String cannot fail.
            let _ = match fate {
                Some((_, error)) => write!(text, " {address}: {}.", chain(error.as_ref())),
                None => write!(text, " {address}: no answer in time."),
            };
        }
        text.into()
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let _ = write!(text, ": {inner}");
        source = inner.source();
    }
    text
}

async fn within<T>(
    deadline: Instant,
    what: &str,
    work: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    match timeout_at(deadline, work).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(format!("{what} took too long").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_from_the_preferred_one() {
        let found = addresses(&["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"]);
        assert_eq!(
            attempt_order(&found, None),
            addresses(&["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"])
        );
        assert_eq!(
            attempt_order(&found, Some(Family::V4)),
            addresses(&["192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"])
        );
        let only_v4 = addresses(&["192.0.2.1", "192.0.2.2"]);
        assert_eq!(attempt_order(&only_v4, Some(Family::V6)), only_v4);
        assert!(attempt_order(&[], Some(Family::V6)).is_empty());
    }

    #[test]
    fn many_addresses_of_one_family_leave_room_for_the_other() {
        let mut found: Vec<IpAddr> = (1..=20)
            .map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]))
            .collect();
        found.extend(addresses(&["192.0.2.1"]));
        let order = attempt_order(&found, None);
        assert_eq!(order.len(), MAX_ATTEMPTS);
        assert_eq!(order[1], addresses(&["192.0.2.1"])[0]);
    }

    #[test]
    fn the_origin_is_read_from_a_token_or_not_at_all() {
        #[derive(Debug)]
        #[allow(dead_code)]
        struct Token(&'static str);
        let origin = |text| origin_of(&Token(text)).map(|url| url.to_string());
        // A quoted text is not how reqwest's token prints.
        assert_eq!(origin("https://api.example/"), None);
        #[allow(dead_code)]
        struct Bare(&'static str);
        impl Debug for Bare {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "Bare({})", self.0)
            }
        }
        assert_eq!(
            origin_of(&Bare("https://api.example:8443/")).unwrap().port(),
            Some(8443)
        );
        assert!(origin_of(&Bare("ftp://api.example/")).is_none());
    }

    #[test]
    fn the_memory_of_families_is_bounded() {
        let families = Families::default();
        for n in 0..1_000 {
            families.set(&format!("h{n}.example"), Family::V6);
        }
        assert!(families.by_host.lock().unwrap().len() <= MAX_HOSTS);
        assert!(families.set("h999.example", Family::V4));
        assert_eq!(families.get("h999.example"), Some(Family::V4));
    }
}
