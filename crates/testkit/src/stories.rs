//! Scenarios for the simulator in real seconds: ordinary traffic, and an attack with everything Cloudflare does about it.
//!
//! They are written for [`crate::Pace::fast`] and a simulator whose factor is 1.

use crate::site::PREFIX;

/// Ordinary traffic to [`PREFIX`], and to another prefix, so that the data set is never empty.
const BACKGROUND: &str = r#"
[[background]]
prefix = "203.0.113.0/24"
pps = 120000
mbps = 800

[[background]]
prefix = "198.51.100.0/24"
pps = 60000
mbps = 300
"#;

/// An attack after 2 s, for 8 s: alert and advertisement after 1 s each, the L3/4 alert when packets are dropped, END.
#[must_use]
pub fn attack() -> String {
    format!(
        r#"name = "attack"
duration = "30m"
{BACKGROUND}
[[attack]]
name = "udp-flood"
prefix = "{PREFIX}"
target_ip = "203.0.113.10"
target_port = 53
vector = "UDP flood"
protocol = "UDP"
start = "2s"
duration = "8s"
pps = 812500
mbps = 5120
detection = "1s"
l4_delay = "1s"
end_delay = "1s"
auto_advertise = {{ delay = "1s" }}
"#
    )
}

/// A quiet night: ordinary traffic, nothing is advertised.
#[must_use]
pub fn quiet() -> String {
    format!("name = \"quiet\"\nduration = \"30m\"\n{BACKGROUND}")
}

/// The attack is over: [`PREFIX`] is advertised since long and carries ordinary traffic only.
#[must_use]
pub fn calm() -> String {
    format!(
        r#"name = "calm"
duration = "30m"

[[prefix]]
cidr = "{PREFIX}"
advertised = true
{BACKGROUND}"#
    )
}
