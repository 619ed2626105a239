//! The spans that bound an execution, and what proves that the caller is the one automatic actor.

use std::time::Duration;

use domain::decision::Mode;
pub use domain::intent::Limits;

/// Proof that the caller is the one automatic actor, asked for right before the call.
pub trait Actor: Send + Sync {
    /// Name of the lease.
    fn lease_name(&self) -> &str;
    /// Owner as stored in the lease.
    fn lease_owner(&self) -> &str;
    /// Time since our progressing loop last bumped it, on our own monotonic clock.
    fn since_bump(&self) -> Duration;
    /// The mode automation runs in.
    fn mode(&self) -> Mode;
}
