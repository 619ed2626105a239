//! `setup notifications`: the destination and the policies at Cloudflare that the receiver lives on.
//!
//! Must hold: what is there is left as it is, whoever made it; without `--apply` nothing is changed; whatever is made has
//! a row in the audit; running it again makes nothing twice, also after a lost answer, because it looks first.

use cf_api::rest::alerting::{AlertPolicy, NewAlertPolicy, WebhookDestination};
use cf_api::{CfError, CloudflareClient, ErrorClass};
use cli::{Ink, Table, Trouble, ask, ink, words};
use daemon::exit;
use db::Db;
use secrecy::SecretString;
use serde::Serialize;

use crate::alert_kinds::{Coverage, RECEIVER_PATH, WANTED, coverage, our_destinations, path_of};
use crate::args::{SetupCommand, SetupNotificationsArgs};
use crate::desk::Desk;

/// Name of what is made here.
const NAME: &str = "cloudflare-mt";

/// Where one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It is there, and works for the receiver.
    There,
    /// It is not there and can be made.
    Missing,
    /// Somebody switched it off; a person has to switch it on.
    Disabled,
    /// The account's plan does not have this alert.
    NotInPlan,
    /// It was made now.
    Made,
    /// Cloudflare refused to make it.
    Refused,
    /// Whether it was made is not known.
    Unknown,
}

impl State {
    fn word(self) -> String {
        match self {
            Self::There => "is there".to_owned(),
            Self::Missing => ink(Ink::Warn, "to be made"),
            Self::Disabled => ink(Ink::Warn, "switched off"),
            Self::NotInPlan => "not in the plan".to_owned(),
            Self::Made => ink(Ink::Calm, "made"),
            Self::Refused => ink(Ink::Attack, "refused"),
            Self::Unknown => ink(Ink::Warn, "unknown"),
        }
    }
}

/// One destination or policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Item {
    /// `destination`, or the type of the alert.
    what: String,
    state: State,
    /// What it is for, or why it is not there.
    words: String,
    /// Cloudflare's id, where it is known.
    id: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    at: jiff::Timestamp,
    /// Whether anything was to be changed.
    applied: bool,
    /// Where Cloudflare posts to.
    url: &'a str,
    items: &'a [Item],
}

/// Runs a command that sets something up at Cloudflare.
///
/// # Errors
/// What prevented it.
pub async fn run(desk: &Desk, command: SetupCommand) -> Result<u8, Trouble> {
    match command {
        SetupCommand::Notifications(asked) => notifications(desk, &asked).await,
    }
}

async fn notifications(desk: &Desk, asked: &SetupNotificationsArgs) -> Result<u8, Trouble> {
    if asked.apply && !asked.yes && !ask::possible() {
        let text = "to create notifications needs a confirmation, and there is no terminal to ask at; nothing was done";
        return Err(Trouble::usage("confirmation.impossible", text).remedy("add --yes if you are sure"));
    }
    let api = desk.cloudflare_uncounted(&assembly::parts::transport())?;
    let (destinations, policies, available) = tokio::join!(
        api.list_webhook_destinations(),
        api.list_alert_policies(),
        api.list_available_alerts(),
    );
    let destinations = destinations.map_err(|error| unread(&error))?;
    let policies = policies.map_err(|error| unread(&error))?;
    // Not every token may read this; then the plan is not known, and what it lacks is refused one by one.
    let available = available.ok();
    let url = url_of(asked.url.as_deref(), &destinations)?;
    let mut items = plan(&url, &destinations, &policies, available.as_deref(), &asked.also);
    let missing = items.iter().filter(|item| item.state == State::Missing).count();
    if asked.apply && missing > 0 {
        desk.out.aside(&table(&items, desk.out.aside_screen()));
        if !asked.yes && !ask::yes(desk.out, &format!("Create {missing} at Cloudflare, posting to {url}?")).await? {
            return Err(Trouble::cancelled());
        }
        let secret = desk
            .settings
            .cloudflare
            .webhook_secret
            .first()
            .cloned()
            .ok_or_else(|| {
                let text = "cloudflare.webhook_secret is not set: everybody could invent attacks";
                Trouble::failed("webhook.no_secret", text).remedy("set one of at least 32 random characters")
            })?;
        // Nothing is made that could not be recorded.
        let db = desk.acting()?;
        make(desk, &db, &api, &url, &secret, &mut items).await?;
    }
    report(desk, asked.apply, &url, &items)
}

fn unread(error: &CfError) -> Trouble {
    let trouble = Trouble::failed(
        "cloudflare.notifications",
        format!("what is there cannot be read, so nothing was changed: {error}"),
    );
    match error.class {
        ErrorClass::Permission => trouble.remedy("give the API token the permission Notifications: Read"),
        _ => trouble,
    }
}

/// The address that Cloudflare is to post to.
fn url_of(named: Option<&str>, destinations: &[WebhookDestination]) -> Result<String, Trouble> {
    let Some(named) = named else {
        let there = our_destinations(destinations, None).into_iter().next();
        return there.map(|there| there.url.clone()).ok_or_else(|| {
            let text = "no destination at Cloudflare leads to the receiver, and its public address is not known here";
            let remedy = "name it: --url https://mt.example.net/webhook/cloudflare";
            Trouble::usage("webhook.address_unknown", text).remedy(remedy)
        });
    };
    let wrong = |text: String| {
        Err(Trouble::usage("webhook.address", text).remedy("https://HOST/webhook/cloudflare, port 443 or 80"))
    };
    let Ok(url) = reqwest::Url::parse(named) else {
        return wrong(format!("{} is no address", words::outside(named, 200)));
    };
    let host = url.host_str().unwrap_or_default();
    let is_here = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
    if url.scheme() != "https" && !(url.scheme() == "http" && is_here) {
        return wrong("the address must begin with https://: the secret is sent with every message".to_owned());
    }
    if !path_of(named).is_some_and(|path| path.trim_end_matches('/').ends_with(RECEIVER_PATH)) {
        return wrong(format!(
            "the address must end in {RECEIVER_PATH}, where the receiver listens"
        ));
    }
    Ok(named.to_owned())
}

fn plan(
    url: &str,
    destinations: &[WebhookDestination],
    policies: &[AlertPolicy],
    available: Option<&[String]>,
    also: &[String],
) -> Vec<Item> {
    let ours = our_destinations(destinations, Some(url));
    let destination = ours.first();
    let mut items = vec![Item {
        what: "destination".to_owned(),
        state: destination.map_or(State::Missing, |_| State::There),
        words: destination.map_or_else(
            || format!("posts to {url} with the configured secret"),
            |found| format!("'{}'", words::outside(&found.name, 80)),
        ),
        id: destination.map(|found| found.id.clone()),
    }];
    let wanted = WANTED
        .iter()
        .map(|wanted| (wanted.any_of.to_vec(), wanted.tells.to_owned()));
    let also = also.iter().map(|kind| (vec![kind.as_str()], "asked for".to_owned()));
    for (any_of, tells) in wanted.chain(also) {
        items.push(policy(&any_of, &tells, policies, &ours, available));
    }
    items
}

fn policy(
    any_of: &[&str],
    tells: &str,
    policies: &[AlertPolicy],
    ours: &[&WebhookDestination],
    available: Option<&[String]>,
) -> Item {
    let item = |what: &str, state, words: String, id: Option<&String>| Item {
        what: what.to_owned(),
        state,
        words,
        id: id.cloned(),
    };
    let first = any_of.first().copied().unwrap_or_default();
    match coverage(any_of, policies, ours) {
        Coverage::Covered(found) => {
            let words = format!("'{}'", words::outside(&found.name, 80));
            item(&found.alert_type, State::There, words, Some(&found.id))
        }
        Coverage::Disabled(found) => {
            let words = format!(
                "'{}' was switched off by somebody: switch it on at Cloudflare, under Notifications",
                words::outside(&found.name, 80)
            );
            item(&found.alert_type, State::Disabled, words, Some(&found.id))
        }
        Coverage::Elsewhere(_) | Coverage::Missing => {
            let in_plan = |kind: &&&str| available.is_none_or(|all| all.iter().any(|one| one == **kind));
            match any_of.iter().find(in_plan) {
                Some(kind) => item(kind, State::Missing, tells.to_owned(), None),
                None => item(first, State::NotInPlan, tells.to_owned(), None),
            }
        }
    }
}

/// Makes what is missing: the destination first, because the policies need its id.
async fn make(
    desk: &Desk,
    db: &Db,
    api: &CloudflareClient,
    url: &str,
    secret: &SecretString,
    items: &mut [Item],
) -> Result<(), Trouble> {
    let actor = cli::actor::of_this_process().await;
    let mut destination: Option<String> = None;
    for item in items {
        let is_destination = item.what == "destination";
        if is_destination {
            destination.clone_from(&item.id);
        }
        if item.state != State::Missing {
            continue;
        }
        let made = if is_destination {
            api.create_webhook_destination(NAME, url, secret).await
        } else {
            let Some(destination) = &destination else {
                item.words = "not tried, because there is no destination".to_owned();
                continue;
            };
            let new = NewAlertPolicy {
                name: format!("{NAME} {}", item.what),
                description: format!("Tells cloudflare-mt of {}", item.words),
                alert_type: item.what.clone(),
                webhook: destination.clone(),
            };
            api.create_alert_policy(&new).await
        };
        match made {
            Ok(id) => {
                item.state = State::Made;
                if is_destination {
                    destination = Some(id.clone());
                }
                item.id = Some(id);
            }
            Err(error) => {
                item.state = if error.outcome_unknown() {
                    State::Unknown
                } else {
                    State::Refused
                };
                item.words = words::outside(&error.to_string(), words::LONG);
            }
        }
        record(desk, db, &actor, item).await?;
    }
    Ok(())
}

async fn record(desk: &Desk, db: &Db, actor: &str, item: &Item) -> Result<(), Trouble> {
    let entry = db::audit::Entry {
        at: desk.now(),
        actor: actor.to_owned(),
        role: "shell".to_owned(),
        via: crate::PROGRAM.to_owned(),
        address: None,
        action: "notification.setup".to_owned(),
        subject: item.what.clone(),
        before: None,
        after: item.id.clone(),
        reason: Some("setup notifications".to_owned()),
        result: match item.state {
            State::Made => "ok".to_owned(),
            State::Unknown => format!("unknown: {}", item.words),
            _ => format!("refused: {}", item.words),
        },
    };
    let what = format!("{} was made at Cloudflare, but not entered in the audit", item.what);
    db.write("setup.audit", move |tx| db::audit::append(tx, &entry))
        .await
        .map_err(|error| Trouble::database(&what, &error))
}

fn report(desk: &Desk, applied: bool, url: &str, items: &[Item]) -> Result<u8, Trouble> {
    let count = |state| items.iter().filter(|item| item.state == state).count();
    let bad = count(State::Refused) + count(State::Unknown);
    let code = if bad > 0 { exit::FAILURE } else { exit::DONE };
    if desk.out.is_json() {
        desk.out.document(&Report {
            schema: "cloudflare-mt/setup-notifications/1",
            at: desk.now(),
            applied,
            url,
            items,
        })?;
        return Ok(code);
    }
    desk.out.text(&table(items, desk.out.screen()))?;
    let (missing, made) = (count(State::Missing), count(State::Made));
    desk.out.text(&match (missing, made, bad) {
        (0, 0, 0) => "nothing is missing; nothing was changed\n".to_owned(),
        (0, made, 0) => format!("{made} made at Cloudflare\n"),
        (missing, 0, 0) => format!("nothing was changed; --apply creates the {missing} that are missing\n"),
        (_, made, bad) => format!("{made} made at Cloudflare, {bad} not; run it again when the reason is mended\n"),
    })?;
    Ok(code)
}

fn table(items: &[Item], screen: cli::Screen) -> String {
    let mut table = Table::new(&["WHAT", "STATE", "FOR"]);
    for item in items {
        table.row([
            words::outside(&item.what, 60),
            item.state.word(),
            words::outside(&item.words, words::LONG),
        ]);
    }
    table.render(screen)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mt.example.net/webhook/cloudflare";

    fn destination(url: &str) -> WebhookDestination {
        WebhookDestination {
            id: "d".into(),
            name: "Receiver".into(),
            url: url.into(),
            kind: None,
            last_success: None,
            last_failure: None,
        }
    }

    fn states(items: &[Item]) -> Vec<State> {
        items.iter().map(|item| item.state).collect()
    }

    #[test]
    fn an_address_is_https_and_leads_to_the_receiver() {
        let fine = |url: &str| url_of(Some(url), &[]).is_ok();
        assert!(fine(URL) && fine("http://127.0.0.1:8080/webhook/cloudflare"));
        for bad in [
            "mt.example.net",
            "http://mt.example.net/webhook/cloudflare",
            "https://mt.example.net/",
            "ftp://x/webhook/cloudflare",
        ] {
            assert!(!fine(bad), "{bad}");
        }
        assert_eq!(url_of(None, &[]).unwrap_err().exit, 2);
        assert_eq!(url_of(None, &[destination(URL)]).unwrap(), URL);
    }

    #[test]
    fn only_what_is_missing_is_to_be_made() {
        let nothing = plan(URL, &[], &[], None, &["incident_alert".into()]);
        assert!(
            states(&nothing).iter().all(|state| *state == State::Missing),
            "{nothing:?}"
        );
        assert_eq!(nothing.len(), WANTED.len() + 2);
        let policy = |kind: &str, enabled, webhook: &str| AlertPolicy {
            id: kind.into(),
            name: kind.into(),
            alert_type: kind.into(),
            enabled,
            webhooks: vec![webhook.into()],
            filters: Default::default(),
        };
        let mut policies: Vec<AlertPolicy> = WANTED.iter().map(|one| policy(one.to_make(), true, "d")).collect();
        let all = plan(URL, &[destination(URL)], &policies, None, &[]);
        assert!(states(&all).iter().all(|state| *state == State::There), "{all:?}");
        policies[0].enabled = false;
        policies[1].webhooks = vec!["another".into()];
        let some = plan(URL, &[destination(URL)], &policies, None, &[]);
        assert_eq!(states(&some)[1..3], [State::Disabled, State::Missing], "{some:?}");
    }

    #[test]
    fn what_the_plan_lacks_is_not_tried() {
        let available = ["dos_attack_l4".to_owned(), "fbm_dosd_attack".to_owned()];
        let items = plan(URL, &[], &[], Some(&available), &[]);
        assert_eq!(
            (items[1].what.as_str(), items[1].state),
            ("dos_attack_l4", State::Missing)
        );
        assert_eq!(items[2].state, State::NotInPlan);
        assert_eq!(items[3].state, State::Missing);
    }
}
