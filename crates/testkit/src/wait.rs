//! Level-triggered waits: something is looked at again and again until it holds or a limit has passed. Nothing here
//! sleeps for a time in the hope that it was enough.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Time between two looks. Short against every limit; a look costs about a millisecond.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Waits until `look` finds something and returns it.
///
/// # Panics
/// When `limit` passes first; `what` says what was waited for.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    match within(limit, &mut look).await {
        Some(found) => found,
        None => panic!("waited {limit:?} in vain: {what}"),
    }
}

/// Waits until `look` finds something; `None` when `limit` passes first.
pub async fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    within_async(limit, move || std::future::ready(look())).await
}

/// [`until`] for a look that itself waits.
///
/// # Panics
/// When `limit` passes first.
pub async fn until_async<T, F>(what: &str, limit: Duration, look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    match within_async(limit, look).await {
        Some(found) => found,
        None => panic!("waited {limit:?} in vain: {what}"),
    }
}

async fn within_async<T, F>(limit: Duration, mut look: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Watches that `broken` finds nothing for the whole of `span`: the opposite of [`until`]. A test that uses it needs
/// another one, or a later part, that shows the same thing happening without the cause.
///
/// # Panics
/// With what was found.
pub async fn never(what: &str, span: Duration, mut broken: impl FnMut() -> Option<String>) {
    if let Some(found) = within(span, &mut broken).await {
        panic!("{what}: {found}");
    }
}
