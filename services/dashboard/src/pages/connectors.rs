//! `/connectors`: tunnels and interconnects with the health of their probes, BGP, settings; `/connectors/KIND/ID`: changing
//! one, with the difference before it is sent.
//!
//! All of it works without script. What a person typed stays with them until the change is done.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use cf_api::rest::connectors::Link;
use cf_api::rest::tunnels::Tunnel;
use serde_json::Value;

use super::{Shell, go_to, main, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::api::connectors::{Connectors, port_words};
use crate::app::App;
use crate::asking::Asking;
use crate::connectors::edit::{DIRECTIONS, Difference, Editable, KINDS, LINK, RATES, Wanted};
use crate::connectors::{Health, Probes, send, unwatched};
use crate::overview::state::Tone;
use crate::upstream::Port;
use crate::words;

#[derive(Template)]
#[template(path = "connectors.html")]
struct Page {
    shell: Shell,
    all: Connectors,
    tunnels: Vec<Row>,
    links: Vec<LinkRow>,
    /// Ports over which no link runs.
    bare: Vec<Port>,
    troubles: Vec<(&'static str, String)>,
}

/// A tunnel as the table shows it.
struct Row {
    tunnel: Tunnel,
    probes: Probes,
    unwatched: Option<String>,
}

/// A link with its port.
struct LinkRow {
    link: Link,
    port: Option<Port>,
    probes: Probes,
}

/// `GET /connectors`
pub(crate) async fn page(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    let (overview, all) = (main::situation(&app).await?, Connectors::look(&app).await);
    let mut tunnels: Vec<Row> = all
        .known()
        .map(|tunnel| {
            let probes = all.probes(tunnel);
            Row {
                unwatched: unwatched(tunnel, &probes, &all.policies),
                tunnel: tunnel.clone(),
                probes,
            }
        })
        .collect();
    tunnels.sort_by_key(|row| (urgency(row.probes.health), row.tunnel.name.clone()));
    let ports = all.ports.value.as_deref().cloned().unwrap_or_default();
    let links: Vec<LinkRow> = all
        .links
        .value
        .iter()
        .flat_map(|links| links.iter())
        .map(|link| LinkRow {
            port: ports
                .iter()
                .find(|port| link.interconnect.as_deref() == Some(&port.interconnect.name))
                .cloned(),
            probes: all.probes_of_link(link),
            link: link.clone(),
        })
        .collect();
    let used = |port: &Port| {
        links
            .iter()
            .any(|row| row.link.interconnect.as_deref() == Some(&port.interconnect.name))
    };
    let bare = ports.iter().filter(|port| !used(port)).cloned().collect();
    let shell = Shell::over(&app, &member, &overview, "Connectors", "connectors");
    Ok(rendered(&Page {
        shell,
        tunnels,
        links,
        bare,
        troubles: all.troubles(),
        all,
    }))
}

/// What needs a person first.
fn urgency(health: Health) -> u8 {
    match health {
        Health::Down => 0,
        Health::Degraded => 1,
        Health::NoData => 2,
        Health::Healthy => 3,
    }
}

impl Page {
    /// How many of each, `?` where a list is missing.
    fn counts(&self) -> Vec<(&'static str, &'static str, usize)> {
        [Health::Down, Health::Degraded, Health::NoData, Health::Healthy]
            .into_iter()
            .map(|health| {
                let count = self.tunnels.iter().filter(|row| row.probes.health == health).count();
                (health.word(), health.tone().key(), count)
            })
            .filter(|(_, _, count)| *count > 0)
            .collect()
    }

    fn idle(&self) -> usize {
        self.tunnels.iter().filter(|row| row.unwatched.is_some()).count()
    }

    fn is_complete(&self) -> bool {
        self.all.tunnels.iter().all(|(_, reading)| reading.current().is_some())
    }

    fn short(&self, text: &str) -> String {
        words::outside_up_to(text, 60)
    }

    fn optional(&self, text: &Option<String>) -> String {
        text.as_deref().map_or_else(|| "–".to_owned(), |text| self.short(text))
    }

    fn number(&self, number: &Option<u64>) -> String {
        number.map_or_else(|| "–".to_owned(), |number| number.to_string())
    }

    /// What is probed and how often.
    fn probing(&self, tunnel: &Tunnel) -> String {
        let Some(check) = &tunnel.health_check else {
            return "not said".to_owned();
        };
        let on = match check.enabled {
            Some(true) => "on",
            Some(false) => return "off".to_owned(),
            None => "not said whether on",
        };
        let parts = [&check.rate, &check.kind, &check.direction];
        let mut words = vec![on.to_owned()];
        words.extend(parts.into_iter().flatten().map(|part| self.short(part)));
        words.extend(
            check
                .target
                .as_deref()
                .or(check.effective.as_deref())
                .map(|target| format!("to {}", self.short(target))),
        );
        words.join(", ")
    }

    fn bgp(&self, tunnel: &Tunnel) -> (String, &'static str) {
        let Some(status) = &tunnel.bgp_status else {
            let word = if tunnel.has_bgp {
                "configured, state not told"
            } else {
                "none"
            };
            let tone = if tunnel.has_bgp { Tone::Unknown } else { Tone::Plain };
            return (word.to_owned(), tone.key());
        };
        let word = match status.state.as_deref() {
            Some("BGP_UP") => ("up".to_owned(), Tone::Good),
            Some("BGP_DOWN") => ("down".to_owned(), Tone::Warn),
            Some("BGP_ESTABLISHING") => ("establishing".to_owned(), Tone::Warn),
            Some(other) => (self.short(other), Tone::Unknown),
            None => ("unknown".to_owned(), Tone::Unknown),
        };
        (word.0, word.1.key())
    }

    fn port(&self, port: &Option<Port>) -> (String, &'static str, Option<String>) {
        let (word, reason) = port_words(port.as_ref());
        let tone = match word.as_str() {
            "healthy" => Tone::Good,
            "down" | "unhealthy" | "pending" => Tone::Warn,
            _ => Tone::Unknown,
        };
        (word, tone.key(), reason)
    }

    fn bare_port(&self, port: &Port) -> (String, &'static str, Option<String>) {
        self.port(&Some(port.clone()))
    }

    fn lowest(&self, probes: &Probes) -> Option<String> {
        probes.lowest().map(|lowest| format!("{lowest:.1} %"))
    }

    fn percent(&self, state: &f64) -> String {
        format!("{:.0} %", state * 100.0)
    }
}

#[derive(Template)]
#[template(path = "connector.html")]
struct Form {
    shell: Shell,
    found: Editable,
    /// What the fields say: what the person wrote, or what is there.
    fields: Fields,
    /// The difference, when it is to be looked at before it is sent.
    review: Option<Review>,
    problem: Option<String>,
}

struct Review {
    differences: Vec<Difference>,
    moves: bool,
}

/// The fields as texts.
struct Fields {
    description: String,
    customer_endpoint: String,
    mtu: String,
    probe_enabled: String,
    probe_rate: String,
    probe_kind: String,
    probe_direction: String,
    probe_target: String,
    seen: String,
    confirm: String,
    reason: String,
}

impl Fields {
    fn of(found: &Editable, wanted: &Wanted) -> Self {
        let text = |written: &Option<String>, there: &str| written.clone().unwrap_or_else(|| there.to_owned());
        let value = |written: &Option<Value>, there: String| match written {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => there,
        };
        let probe = &found.probe;
        let of = |field: &Option<String>| field.clone().unwrap_or_default();
        Self {
            description: text(&wanted.description, &found.description),
            customer_endpoint: text(&wanted.customer_endpoint, &found.customer_endpoint),
            mtu: value(&wanted.mtu, found.mtu.map(|mtu| mtu.to_string()).unwrap_or_default()),
            probe_enabled: value(
                &wanted.probe_enabled,
                probe.enabled.map(|on| on.to_string()).unwrap_or_default(),
            ),
            probe_rate: text(&wanted.probe_rate, &of(&probe.rate)),
            probe_kind: text(&wanted.probe_kind, &of(&probe.kind)),
            probe_direction: text(&wanted.probe_direction, &of(&probe.direction)),
            probe_target: text(&wanted.probe_target, &of(&probe.target)),
            seen: if wanted.seen.is_empty() {
                found.seen.clone()
            } else {
                wanted.seen.clone()
            },
            confirm: of(&wanted.confirm),
            reason: of(&wanted.reason),
        }
    }
}

/// `GET /connectors/KIND/ID`
pub(crate) async fn form(
    State(app): State<App>,
    member: Member,
    Path((word, id)): Path<(String, String)>,
) -> Result<Response, Failure> {
    member.needs(db::users::Role::Operator)?;
    let found = send::find(&app, &word, &id).await?;
    shown(&app, &member, found, &Wanted::default(), None, None)
}

/// `POST /connectors/KIND/ID`
pub(crate) async fn submit(
    Path((word, id)): Path<(String, String)>,
    asking: Asking<Wanted>,
) -> Result<Response, Failure> {
    let (app, member, wanted) = (asking.app.clone(), asking.member.clone(), asking.fields.clone());
    let found = send::find_known(&app, &word, &id).await?;
    match wanted.act.as_deref() {
        Some("edit") => return shown(&app, &member, found, &wanted, None, None),
        Some("send") => {}
        _ => {
            let reviewed = found.edit(&wanted).map(|edit| Review {
                differences: edit.differences,
                moves: edit.moves,
            });
            return match reviewed {
                Ok(review) => shown(&app, &member, found, &wanted, Some(review), None),
                Err(wrong) => shown(&app, &member, found, &wanted, None, Some(send::problems(&wrong))),
            };
        }
    }
    match send::send(asking, (&word, &id)).await {
        Ok(_) => Ok(go_to("/connectors")),
        Err(failure) => {
            let review = found.edit(&wanted).ok().map(|edit| Review {
                differences: edit.differences,
                moves: edit.moves,
            });
            shown(&app, &member, found, &wanted, review, Some(failure))
        }
    }
}

/// The form with what was typed, and what is wrong with it.
fn shown(
    app: &App,
    member: &Member,
    found: Editable,
    wanted: &Wanted,
    review: Option<Review>,
    failure: Option<Failure>,
) -> Result<Response, Failure> {
    let shell = Shell::bare(app, member, "Change a connector", "connectors");
    let status = failure.as_ref().map_or(StatusCode::OK, Failure::status);
    let mut response = rendered(&Form {
        shell,
        fields: Fields::of(&found, wanted),
        found,
        review,
        problem: failure.map(|failure| failure.text().to_owned()),
    });
    *response.status_mut() = status;
    Ok(response)
}

impl Form {
    fn short(&self, text: &str) -> String {
        words::outside_up_to(text, 60)
    }

    fn same(&self, option: &str, chosen: &str) -> bool {
        option == chosen
    }

    fn is_link(&self) -> bool {
        self.found.word == LINK
    }

    fn choices(&self) -> [(&'static str, &'static str, &'static [&'static str], &str); 3] {
        let fields = &self.fields;
        [
            ("Rate", "probe_rate", &RATES, &fields.probe_rate),
            ("Kind", "probe_kind", &KINDS, &fields.probe_kind),
            ("Direction", "probe_direction", &DIRECTIONS, &fields.probe_direction),
        ]
    }

    /// Every field as it is sent on.
    fn hidden(&self) -> Vec<(&'static str, &str)> {
        let fields = &self.fields;
        let mut all = vec![("description", fields.description.as_str()), ("seen", &fields.seen)];
        if self.found.has_endpoint {
            all.push(("customer_endpoint", &fields.customer_endpoint));
        }
        if self.found.mtu.is_some() {
            all.push(("mtu", &fields.mtu));
        }
        if self.found.has_probe {
            all.extend([
                ("probe_enabled", fields.probe_enabled.as_str()),
                ("probe_rate", &fields.probe_rate),
                ("probe_kind", &fields.probe_kind),
                ("probe_direction", &fields.probe_direction),
                ("probe_target", &fields.probe_target),
            ]);
        }
        all
    }
}
