//! The prefixes: what Cloudflare has, what the configuration says, whether they can be controlled, and whether network
//! monitoring watches them.

use std::collections::BTreeMap;

use cf_api::rest::mnm::MnmRule;
use cf_api::rest::prefixes::ParentPrefix;
use cf_api::{CfError, CloudflareClient};
use domain::bgp::{BgpPrefix, NotControllable};
use domain::prefix::Prefix;
use futures_util::stream::{self, StreamExt};
use settings::Settings;

use super::finding::{Finding, Severity};

/// Calls to Cloudflare at the same time.
const CONCURRENT: usize = 8;

const READ: &str = "IP Prefixes: Read (or Magic Transit: Read)";

/// What Cloudflare says about prefixes.
#[derive(Debug, Default)]
pub struct AtCloudflare {
    /// Everything that can be advertised.
    pub prefixes: BTreeMap<Prefix, BgpPrefix>,
    /// Onboarded, but not approved yet.
    pub pending: Vec<Prefix>,
    /// What went wrong.
    pub findings: Vec<Finding>,
    /// Whether `prefixes` is everything.
    pub complete: bool,
}

/// Asks for all of them.
pub async fn read(api: &CloudflareClient) -> AtCloudflare {
    const CHECK: &str = "cloudflare.prefixes";
    const MEANS: &str = "nobody can tell from here what is advertised; nothing is withdrawn by itself";
    let parents = match api.list_prefixes().await {
        Ok(parents) => parents,
        Err(error) => {
            return AtCloudflare {
                findings: vec![Finding::cloudflare(CHECK, &error, MEANS, READ)],
                ..AtCloudflare::default()
            };
        }
    };
    let pending = parents
        .iter()
        .filter(|parent| parent.approved.as_deref() == Some("P"))
        .map(|parent| parent.prefix)
        .collect();
    let answers: Vec<Result<Vec<BgpPrefix>, CfError>> = stream::iter(parents)
        .map(|parent: ParentPrefix| async move { api.list_bgp_prefixes(&parent.id, &parent.description).await })
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    let mut found = AtCloudflare {
        pending,
        complete: true,
        ..AtCloudflare::default()
    };
    for answer in answers {
        match answer {
            Ok(prefixes) => found
                .prefixes
                .extend(prefixes.into_iter().map(|prefix| (prefix.prefix, prefix))),
            Err(error) => {
                found.complete = false;
                found.findings.push(Finding::cloudflare(CHECK, &error, MEANS, READ));
            }
        }
    }
    if found.complete {
        let count = cli::words::counted(found.prefixes.len(), "prefix", "prefixes");
        found
            .findings
            .push(Finding::ok(CHECK, format!("Cloudflare has {count} of this account")));
    }
    found
}

/// Compares the configuration with what Cloudflare has.
pub fn compare(at_cloudflare: &AtCloudflare, settings: &Settings) -> Vec<Finding> {
    let managed = settings.managed_prefixes();
    let mut configured: Vec<Prefix> = managed.clone();
    configured.extend(settings.mapping.iter().map(|entry| entry.prefix));
    configured.sort();
    configured.dedup();
    let mut findings = Vec::new();
    if managed.is_empty() {
        findings.push(Finding::of(
            Severity::Critical,
            "prefixes.managed",
            "automation manages no prefix",
            "what Cloudflare advertises stays advertised until a person withdraws it",
            "list your prefixes in prefix_mapping.json, or in autowithdraw.managed",
        ));
    }
    for prefix in &configured {
        let is_managed = managed.contains(prefix);
        match at_cloudflare.prefixes.get(prefix) {
            Some(found) => findings.extend(one(found, is_managed, settings)),
            None if at_cloudflare.complete => findings.push(not_there(*prefix, is_managed, at_cloudflare)),
            None => findings.push(Finding::unknown(
                "prefixes.state",
                format!("{prefix} could not be read"),
                "whether it is advertised, and whether it can be changed, is not known",
            )),
        }
    }
    let unlisted: Vec<String> = at_cloudflare
        .prefixes
        .keys()
        .filter(|prefix| !configured.contains(prefix))
        .map(ToString::to_string)
        .collect();
    if !unlisted.is_empty() && !managed.is_empty() {
        findings.push(Finding::of(
            Severity::Info,
            "prefixes.mapping",
            format!(
                "Cloudflare has what the configuration does not name: {}",
                unlisted.join(", ")
            ),
            "automation does not touch it: once advertised it stays so until a person withdraws it",
            "list it in prefix_mapping.json if automation shall withdraw it",
        ));
    }
    if findings.is_empty() {
        let count = cli::words::counted(configured.len(), "configured prefix", "configured prefixes");
        findings.push(Finding::ok(
            "prefixes.mapping",
            format!("{count}: known to Cloudflare, controllable, with a stated direct route"),
        ));
    }
    findings
}

fn not_there(prefix: Prefix, is_managed: bool, at_cloudflare: &AtCloudflare) -> Finding {
    if at_cloudflare.pending.contains(&prefix) {
        return Finding::of(
            Severity::Warning,
            "prefixes.mapping",
            format!("{prefix} is onboarded at Cloudflare, but not approved yet"),
            "Cloudflare cannot advertise it: an attack on it would not be scrubbed",
            "ask Cloudflare for the state of the letter of authorisation",
        );
    }
    let inside: Vec<String> = at_cloudflare
        .prefixes
        .keys()
        .filter(|known| known.overlaps(prefix))
        .map(ToString::to_string)
        .collect();
    let near = if inside.is_empty() {
        String::new()
    } else {
        format!("; it has {}", inside.join(", "))
    };
    let severity = if is_managed {
        Severity::Critical
    } else {
        Severity::Warning
    };
    Finding::of(
        severity,
        "prefixes.mapping",
        format!("{prefix} is configured, but Cloudflare does not know it{near}"),
        "it is neither watched nor withdrawn, and an attack on it is not scrubbed by this account",
        "write it exactly as onboarded; 'cloudflare-prefix-manager list' shows the known ones",
    )
}

fn one(found: &BgpPrefix, is_managed: bool, settings: &Settings) -> Vec<Finding> {
    let prefix = found.prefix;
    let mut findings = Vec::new();
    if let Some(why) = found.state.refuses_control() {
        let remedy = match why {
            NotControllable::BgpSignalled => {
                "switch BGP control off at Cloudflare, or take it out of autowithdraw.managed"
            }
            NotControllable::Locked | NotControllable::NotOnDemand => {
                "only Cloudflare can change that; ask its support"
            }
        };
        let state = match found.state.advertised {
            Some(true) => "it is advertised and stays so",
            Some(false) => "it is withdrawn and stays so, also under attack",
            None => "whether it is advertised is not said",
        };
        findings.push(Finding::of(
            if is_managed || found.state.advertised != Some(true) {
                Severity::Critical
            } else {
                Severity::Warning
            },
            "prefixes.locked",
            format!("{prefix}: {}", why.explain()),
            format!("nobody here can advertise or withdraw it; {state}"),
            remedy,
        ));
    }
    if let Some(mapped) = settings.mapped(prefix) {
        let other_parent = mapped.prefix_id.as_ref().is_some_and(|id| *id != found.parent_id);
        let other_bgp = mapped.bgp_prefix_id.as_ref().is_some_and(|id| *id != found.id);
        if other_parent || other_bgp {
            findings.push(Finding::of(
                Severity::Warning,
                "prefixes.mapping",
                format!("the ids of {prefix} in prefix_mapping.json are not Cloudflare's"),
                "the services use what Cloudflare says; scripts that use the file act on something else",
                format!(
                    "prefix_id {}, bgp_prefix_id {}; or leave both out",
                    found.parent_id, found.id
                ),
            ));
        }
    }
    if is_managed && settings.autowithdraw.direct_route(prefix).is_none() {
        findings.push(Finding::of(
            Severity::Warning,
            "prefixes.direct_route",
            format!("nobody has stated how {prefix} is reachable once it is withdrawn"),
            "automation never withdraws it: without a route of its own it would be off the Internet",
            "state autowithdraw.direct_route for it, for example \"always_announced\"",
        ));
    }
    findings
}

/// Whether network monitoring watches every prefix, and advertises it by itself.
pub fn coverage(rules: &Result<Vec<MnmRule>, CfError>, settings: &Settings) -> Vec<Finding> {
    const CHECK: &str = "cloudflare.rules";
    let rules = match rules {
        Ok(rules) => rules,
        Err(error) => {
            let means = "whether network monitoring watches the prefixes is not known";
            return vec![Finding::cloudflare(
                CHECK,
                error,
                means,
                "Magic Network Monitoring: Read",
            )];
        }
    };
    let mut wanted = settings.managed_prefixes();
    wanted.extend(settings.my_prefixes());
    wanted.sort();
    wanted.dedup();
    let mut findings = Vec::new();
    let (mut unwatched, mut by_hand) = (Vec::new(), Vec::new());
    for prefix in &wanted {
        let mut watching = rules
            .iter()
            .filter(|rule| rule.prefixes.iter().any(|watched| watched.contains(*prefix)))
            .peekable();
        if watching.peek().is_none() {
            unwatched.push(prefix.to_string());
        } else if !watching.any(|rule| rule.automatic_advertisement == Some(true)) {
            by_hand.push(prefix.to_string());
        }
    }
    if !unwatched.is_empty() {
        findings.push(Finding::of(
            Severity::Critical,
            CHECK,
            format!("no network monitoring rule watches {}", unwatched.join(", ")),
            "an attack on it is not noticed while it is routed directly, and nothing advertises it",
            "add a rule: cloudflare-rules-manager --help",
        ));
    }
    if !by_hand.is_empty() {
        findings.push(Finding::of(
            Severity::Warning,
            CHECK,
            format!("no rule advertises {} by itself", by_hand.join(", ")),
            "an attack is announced, but a person must advertise: cloudflare-prefix-manager advertise",
            "switch automatic advertisement on in one of its rules, if it shall be automatic",
        ));
    }
    if findings.is_empty() && !wanted.is_empty() {
        let count = cli::words::counted(rules.len(), "rule watches", "rules watch");
        findings.push(Finding::ok(
            CHECK,
            format!("{count} all prefixes and advertise by themselves"),
        ));
    }
    findings
}
