//! Sending a change of a tunnel or a link: read anew, compared with what the person saw, sent once, read back.

use cf_api::rest::tunnels::TunnelKind;
use cf_api::{CfError, CloudflareClient};
use db::users::Role;

use super::edit::{Edit, Editable, LINK, Wanted, Wrong};
use crate::answer::Failure;
use crate::api::reason;
use crate::app::App;
use crate::asking::Asking;
use crate::upstream::change::{self, Act, Done, Trouble};
use crate::upstream::said;
use crate::words;

/// The action in the audit.
const ACTION: &str = "connector.change";

/// The tunnel or link that an address names, as it was last read.
///
/// # Errors
/// 404 when it is not there, 503 when that is not known.
pub(crate) async fn find(app: &App, word: &str, id: &str) -> Result<Editable, Failure> {
    find_in(app, word, id, false).await
}

/// The same, also when the latest read failed: for showing a form again, never for sending.
///
/// # Errors
/// As [`find`].
pub(crate) async fn find_known(app: &App, word: &str, id: &str) -> Result<Editable, Failure> {
    find_in(app, word, id, true).await
}

async fn find_in(app: &App, word: &str, id: &str, also_old: bool) -> Result<Editable, Failure> {
    let unread = |why: Option<String>| {
        let why = why.unwrap_or_default();
        let text = format!("Cloudflare cannot be asked about it: {why}.");
        Failure::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "cloudflare_unreadable",
            text,
        )
    };
    let none = || Failure::not_found("There is no such tunnel or interconnect.");
    if word == LINK {
        let read = app.upstream().links(app).await;
        let known = read.value.as_deref().filter(|_| also_old);
        let links = read.current().or(known).ok_or_else(|| unread(read.trouble()))?;
        let link = links.iter().find(|link| link.id == id).ok_or_else(none)?;
        return Ok(Editable::of_link(link));
    }
    let kind = TunnelKind::from_word(word).ok_or_else(none)?;
    let read = app.upstream().tunnels(app, kind).await;
    let known = read.value.as_deref().filter(|_| also_old);
    let tunnels = read.current().or(known).ok_or_else(|| unread(read.trouble()))?;
    let tunnel = tunnels.iter().find(|tunnel| tunnel.id == id).ok_or_else(none)?;
    Ok(Editable::of_tunnel(tunnel))
}

/// The kind of the tunnel with this id, for addresses that do not say it.
///
/// # Errors
/// 404 when no list has it, 503 when a list cannot be read.
pub(crate) async fn kind_of(app: &App, id: &str) -> Result<&'static str, Failure> {
    let mut unread = None;
    for kind in TunnelKind::ALL {
        match find(app, kind.as_str(), id).await {
            Ok(found) => return Ok(found.word),
            Err(failure) if failure.code() == "not_found" => {}
            Err(failure) => unread = Some(failure),
        }
    }
    Err(unread.unwrap_or_else(|| Failure::not_found("There is no such tunnel.")))
}

/// All problems as one sentence each.
pub(crate) fn problems(wrong: &[Wrong]) -> Failure {
    let text: Vec<String> = wrong
        .iter()
        .map(|wrong| match wrong.field {
            "" => wrong.text.clone(),
            field => format!("{}: {}", words::sentence(&field.replace('_', " ")), wrong.text),
        })
        .collect();
    Failure::bad_request("invalid_value", format!("{} Nothing was sent.", text.join(" ")))
}

/// Whether the person typed what this change wants typed.
fn confirmed(found: &Editable, edit: &Edit, wanted: &Wanted) -> Result<(), Failure> {
    if !edit.moves || wanted.confirm.as_deref().map(str::trim) == Some(found.name.as_str()) {
        return Ok(());
    }
    let text = format!(
        "Type {} to move its endpoint: traffic through it stops until your router agrees. Nothing was sent.",
        words::outside_up_to(&found.name, 40)
    );
    Err(Failure::bad_request("confirmation_required", text))
}

/// Changes it.
///
/// # Errors
/// 400 for what cannot be meant, 409 when it is not what the person saw or Cloudflare declines, 503 when it cannot be read
/// or the outcome is not known.
pub(crate) async fn send(asking: Asking<Wanted>, (word, id): (&str, &str)) -> Result<Done, Failure> {
    let (app, wanted) = (&asking.app, asking.fields.clone());
    asking.member.needs(Role::Operator)?;
    let why = reason::of(wanted.reason.as_deref())?;
    if wanted.seen.is_empty() {
        let text = "Say in seen which state is to be changed; the list names it.";
        return Err(Failure::bad_request("bad_fields", text));
    }
    let found = find(app, word, id).await?;
    let edit = found.edit(&wanted).map_err(|wrong| problems(&wrong))?;
    confirmed(&found, &edit, &wanted)?;
    let act = Act {
        action: ACTION,
        subject: format!("{} {}", found.word, words::outside_up_to(&found.name, 60)),
        wanted: difference_words(&edit),
        reason: why,
    };
    let api = app.upstream().client(app).map_err(|error| {
        let text = words::outside(&format!("{error:#}."));
        Failure::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "no_credential", text)
    })?;
    let (kind, id) = (found.kind, id.to_owned());
    let outcome = change::carry_out(&asking, act, |before| async move {
        let now = read(&api, kind, &id).await.map_err(Trouble::Unread)?;
        before.was(now.state());
        if now.seen != wanted.seen {
            let text = "Somebody changed it since you opened it; look at it again. Nothing was sent.";
            return Err(Trouble::Changed(text.to_owned()));
        }
        let edit = now
            .edit(&wanted)
            .map_err(|wrong| Trouble::NotSensible(problems(&wrong).text().to_owned()))?;
        let sent = match kind {
            Some(kind) => api.put_tunnel(kind, &id, &edit.body).await,
            None => api.put_link(&id, &edit.body).await,
        };
        sent.map_err(Trouble::Cloudflare)?;
        match read(&api, kind, &id).await {
            Ok(after) => {
                let missing = after.missing(&edit);
                if !missing.is_empty() {
                    let text = format!(
                        "Cloudflare took the request, but did not change {}. Look at it again.",
                        missing.join(", ")
                    );
                    return Err(Trouble::NotAsAsked(text));
                }
                Ok(Done {
                    after: Some(after.state()),
                    told: format!("{} is changed.", words::outside_up_to(&after.name, 40)),
                })
            }
            Err(error) => Ok(Done {
                after: None,
                told: format!(
                    "Cloudflare took the change, but it could not be read back: {}.",
                    said(&error)
                ),
            }),
        }
    })
    .await;
    match kind {
        Some(kind) => app.upstream().tunnels_changed(kind),
        None => app.upstream().links_changed(),
    }
    outcome
}

async fn read(api: &CloudflareClient, kind: Option<TunnelKind>, id: &str) -> Result<Editable, CfError> {
    Ok(match kind {
        Some(kind) => Editable::of_tunnel(&api.get_tunnel(kind, id).await?),
        None => Editable::of_link(&api.get_link(id).await?),
    })
}

fn difference_words(edit: &Edit) -> String {
    let parts = edit
        .differences
        .iter()
        .map(|difference| format!("{}: {} -> {}", difference.what, difference.before, difference.after));
    parts.collect::<Vec<_>>().join("; ")
}
