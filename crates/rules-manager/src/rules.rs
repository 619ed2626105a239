//! Rules as the API gives them, under the API's own names, so that a saved file can be compared and read back.

use cf_api::rest::mnm::MnmRule;
use cf_api::{CloudflareClient, Deadlines};
use cli::Trouble;
use daemon::{SharedClock, SystemClock};
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::Serialize;
use settings::Settings;
use std::sync::Arc;
use std::time::Duration;

/// A person waits: shorter than what the services allow.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// Where rules come from.
#[derive(Debug)]
pub struct Source {
    settings: Settings,
    clock: SharedClock,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    /// Cloudflare's id.
    pub id: Option<String>,
    /// Name.
    pub name: String,
    /// `threshold`, `zscore` or `advanced_ddos`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Networks.
    pub prefixes: Vec<Prefix>,
    /// Whether Cloudflare advertises the networks by itself when it fires.
    pub automatic_advertisement: Option<bool>,
    /// Bit/s.
    pub bandwidth_threshold: Option<f64>,
    /// Packet/s.
    pub packet_threshold: Option<f64>,
    /// How long a threshold must be exceeded.
    pub duration: Option<String>,
    /// `exact`, `subnet` or `supernet`.
    pub prefix_match: Option<String>,
    /// `low`, `medium` or `high`.
    pub zscore_sensitivity: Option<String>,
    /// `bits` or `packets`.
    pub zscore_target: Option<String>,
}

impl From<MnmRule> for Rule {
    fn from(rule: MnmRule) -> Self {
        Self {
            id: rule.id,
            name: rule.name,
            // Rules older than the types have none and are thresholds.
            kind: rule.kind.unwrap_or_else(|| "threshold".to_owned()),
            prefixes: rule.prefixes,
            automatic_advertisement: rule.automatic_advertisement,
            bandwidth_threshold: rule.bandwidth_threshold_bps,
            packet_threshold: rule.packet_threshold_pps,
            duration: rule.duration.map(domain::duration::format),
            prefix_match: rule.prefix_match,
            zscore_sensitivity: rule.zscore_sensitivity,
            zscore_target: rule.zscore_target,
        }
    }
}

/// All rules at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Rules {
    /// Name and version of this shape.
    pub schema: &'static str,
    /// When they were read.
    pub at: Timestamp,
    /// The account.
    pub account_id: String,
    /// By name.
    pub rules: Vec<Rule>,
    /// Prefixes that the operator listed and no rule watches as a whole.
    pub not_watched: Vec<Prefix>,
}

impl Source {
    /// Nothing is connected yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            clock: SystemClock::shared(),
        }
    }

    /// Reads all rules.
    ///
    /// # Errors
    /// Why they could not be read.
    pub async fn read(&self) -> Result<Rules, Trouble> {
        let api = self.client()?;
        let found = api.list_mnm_rules().await.map_err(|error| crate::unavailable(&error))?;
        let mut rules: Vec<Rule> = found.into_iter().map(Rule::from).collect();
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        let watched = |prefix: &Prefix| {
            rules
                .iter()
                .flat_map(|rule| &rule.prefixes)
                .any(|net| net.contains(*prefix))
        };
        let not_watched = self
            .settings
            .managed_prefixes()
            .into_iter()
            .filter(|prefix| !watched(prefix))
            .collect();
        Ok(Rules {
            schema: "cloudflare-mt/mnm-rules/1",
            at: self.clock.now(),
            account_id: self.settings.cloudflare.account_id.clone(),
            rules,
            not_watched,
        })
    }

    fn client(&self) -> Result<CloudflareClient, Trouble> {
        let transport = assembly::parts::transport();
        // Where the database can be used, our calls are counted with everybody else's.
        let client = match cli::store::counting(&self.settings.database.path) {
            Ok(db) => {
                let owner = assembly::parts::owner_of(crate::PROGRAM, self.clock.now());
                assembly::parts::cloudflare(&self.settings, &transport, &db, &owner, &self.clock)
                    .map_err(|error| Trouble::failed("cloudflare.setup", cli::trouble::chain(error.as_ref())))?
            }
            Err(_) => {
                let credentials = assembly::parts::credentials(&self.settings)
                    .ok_or_else(|| Trouble::failed("cloudflare.setup", "no credential: set cloudflare.api_token"))?;
                let (clock, cloudflare) = (self.clock.clone(), &self.settings.cloudflare);
                let budget = cf_api::budget::RateBudget::alone(Arc::new(move || clock.now()));
                CloudflareClient::new(
                    transport,
                    &cloudflare.api_base_url,
                    &cloudflare.account_id,
                    credentials,
                    budget,
                )
                .map_err(|error| Trouble::failed("cloudflare.setup", cli::trouble::chain(&error)))?
            }
        };
        Ok(client.for_display().with_deadlines(Deadlines {
            read: READ_LIMIT,
            ..Deadlines::default()
        }))
    }
}
