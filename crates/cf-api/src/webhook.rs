//! Bodies of Cloudflare's notifications.
//!
//! Decoding never fails: an alert that we cannot read is still an alert. What cannot be understood
//! is kept as it came and named in `problems`; nothing is dropped, nothing is guessed to be calm.
//!
//! [`decode`] reads the envelope and puts it in normal form; [`to_alert`] reads `data` by alert
//! type into [`domain::alert::Alert`]. Authentication, storage and limits of body size are the
//! receiver's.

mod alert;
mod decode;
mod field;
mod quantity;

pub use alert::to_alert;
pub use decode::{Decoded, EventWord, Glance, NotJson, Notification, TEST_MARKER, decode, from_history, glance};
pub use quantity::{Quantity, Unit};
