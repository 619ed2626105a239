//! Probes of tunnels as Cloudflare counted them: how many passed, where the worst places are, and the course over time.
//!
//! Node `magicTransitTunnelHealthChecksAdaptiveGroups`. It knows tunnels by name only. A tunnel without a row was not
//! probed or not counted: that is no data, and neither healthy nor down.

use std::time::Duration;

use domain::time::{floor_to, minus, rfc3339_seconds};
use graphql_client::GraphQLQuery;
use jiff::Timestamp;

use crate::budget::CallKind;
use crate::client::CloudflareClient;
use crate::error::CfError;

/// Rows of each part of an answer.
const LIMIT: u32 = 10_000;

/// The window of the figures.
pub const WINDOW: Duration = Duration::from_secs(3_600);

/// The window of the course.
pub const COURSE: Duration = Duration::from_secs(86_400);

/// Probes of one tunnel with one result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Tunnel.
    pub tunnel: String,
    /// `ok`, or what went wrong.
    pub result: String,
    /// Whether customer traffic was seen on it within six hours.
    pub active: bool,
    /// Probes.
    pub count: u64,
}

/// One place that probes a tunnel.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Tunnel.
    pub tunnel: String,
    /// Three letters.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Average of 0 down, 0.5 degraded, 1 healthy.
    pub state: f64,
    /// Probes.
    pub count: u64,
}

/// Probes of one tunnel in fifteen minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Its beginning.
    pub at: Timestamp,
    /// Tunnel.
    pub tunnel: String,
    /// Whether they passed.
    pub passed: bool,
    /// Probes.
    pub count: u64,
}

/// A complete, readable answer.
#[derive(Debug, Clone, PartialEq)]
pub struct TunnelHealth {
    /// End of the windows.
    pub to: Timestamp,
    /// By tunnel and result, the last hour.
    pub totals: Vec<Counted>,
    /// Worst first, the last hour.
    pub places: Vec<Place>,
    /// Oldest first, the last day.
    pub course: Vec<Stretch>,
    /// Whether `totals` was cut at the row limit: then figures are too small and none may be shown.
    pub totals_cut: bool,
    /// Whether healthy places are missing from `places`.
    pub places_cut: bool,
    /// Whether the newest part of `course` is missing.
    pub course_cut: bool,
}

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "graphql/schema.graphql",
    query_path = "graphql/tunnel_health.graphql",
    custom_scalars_module = "crate::graphql::scalars",
    response_derives = "Debug"
)]
struct TunnelHealthQuery;

impl CloudflareClient {
    /// Probes of all tunnels in the last hour, and their course over the last day.
    ///
    /// # Errors
    /// [`CfError`], for anything but a complete and readable answer.
    pub async fn tunnel_health(&self, now: Timestamp) -> Result<TunnelHealth, CfError> {
        let variables = tunnel_health_query::Variables {
            account: self.account_id().to_owned(),
            from: rfc3339_seconds(minus(now, WINDOW)),
            since: rfc3339_seconds(floor_to(minus(now, COURSE), Duration::from_secs(900))),
            to: rfc3339_seconds(now),
            limit: u64::from(LIMIT),
        };
        let answered = self
            .query::<TunnelHealthQuery>("read tunnel health", CallKind::Analytics, variables)
            .await?;
        let incoming = answered.incoming;
        let viewer = incoming.present("viewer", answered.data.viewer)?;
        let account = incoming.only_account(viewer.accounts)?;
        let cut = |rows: usize| rows >= LIMIT as usize;
        let course = account.course.iter().map(|row| {
            Ok(Stretch {
                at: incoming.row_instant("datetimeFifteenMinutes", &row.dimensions.datetime_fifteen_minutes, now)?,
                tunnel: row.dimensions.tunnel_name.clone(),
                passed: row.dimensions.result_status == "ok",
                count: row.count,
            })
        });
        Ok(TunnelHealth {
            to: now,
            totals_cut: cut(account.totals.len()),
            places_cut: cut(account.places.len()),
            course_cut: cut(account.course.len()),
            course: course.collect::<Result<_, CfError>>()?,
            totals: account
                .totals
                .into_iter()
                .map(|row| Counted {
                    tunnel: row.dimensions.tunnel_name,
                    result: row.dimensions.result_status,
                    active: row.dimensions.active > 0,
                    count: row.count,
                })
                .collect(),
            places: account
                .places
                .into_iter()
                .map(|row| Place {
                    tunnel: row.dimensions.tunnel_name,
                    code: row.dimensions.edge_colo_code,
                    name: row.dimensions.edge_colo_name,
                    state: row.avg.tunnel_state,
                    count: row.count,
                })
                .collect(),
        })
    }
}
