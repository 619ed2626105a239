//! Obtains a second connection token of reqwest, without any network.
//!
//! reqwest hands a connector layer one opaque token per connection: its type cannot be named, built
//! or cloned outside reqwest, and the connector consumes it. A race needs one per attempt. A second
//! client, whose only connector takes the token it is handed and then reports failure, yields as
//! many as wanted: a request to the same origin on it gets as far as asking for a connection.
//!
//! A token is used only if it prints exactly like the one it stands beside; whatever goes wrong
//! here means "no token", and the caller then connects without a race.

use std::any::Any;
use std::fmt::Debug;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use reqwest::Url;
use tower::{BoxError, Layer, Service};

type Slot = Arc<Mutex<Option<Box<dyn Any + Send>>>>;

tokio::task_local! {
    /// Where the token of the request running in this task goes.
    static SLOT: Slot;
}

#[derive(Clone)]
pub(super) struct Harvester {
    client: reqwest::Client,
}

impl Harvester {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            // It never reaches TLS, so it needs no trust store.
            .tls_built_in_root_certs(false)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connector_layer(TakeTokens)
            .build()?;
        Ok(Self { client })
    }

    /// Another token like `token`, whose origin is `origin`.
    pub(super) async fn another<R>(&self, token: &R, origin: &Url) -> Option<R>
    where
        R: Debug + Send + 'static,
    {
        let slot = Slot::default();
        // Always an error: the connector below refuses every connection.
        let _refused = SLOT
            .scope(Arc::clone(&slot), self.client.get(origin.clone()).send())
            .await;
        let taken = slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?
            .downcast::<R>()
            .ok()?;
        (format!("{taken:?}") == format!("{token:?}")).then_some(*taken)
    }
}

#[derive(Clone)]
struct TakeTokens;

impl<S> Layer<S> for TakeTokens {
    type Service = TokenTaker<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TokenTaker { _inner: inner }
    }
}

/// `_inner` is never called; it only lends its response type.
#[derive(Clone)]
struct TokenTaker<S> {
    _inner: S,
}

impl<S, R> Service<R> for TokenTaker<S>
where
    S: Service<R, Error = BoxError>,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Ready<Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, token: R) -> Self::Future {
        // Without a slot nobody asked: the token is dropped.
        let _unasked = SLOT.try_with(|slot| {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(token));
        });
        ready(Err("this client only yields connection tokens".into()))
    }
}
