//! Events of the dashboard (`dashboard`), sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::warn(
        "dashboard.account.changed",
        "An admin made, changed, disabled or reset an account.",
        "If nobody of yours did, disable the account that did it; the audit page says from where.",
    ),
    EventDef::warn(
        "dashboard.account.created",
        "There was no account: `admin` was created with a one-time password in the named file.",
        "Log in, set a password of your own, delete the file.",
    ),
    EventDef::info(
        "dashboard.account.imported",
        "The account of the previous system was taken over.",
    ),
    EventDef::info(
        "dashboard.act.closed",
        "An act that a person filed here is finished, with what came of it.",
    ),
    EventDef::error(
        "dashboard.act.failed",
        "An act that a person filed here cannot be followed any further; whoever claims it next goes on.",
        "`cloudflare-prefix-manager history PREFIX` shows what became of it.",
    ),
    EventDef::info(
        "dashboard.act.filed",
        "A person asked for an advertisement or a withdrawal; it is in the journal.",
    ),
    EventDef::error(
        "dashboard.act.impossible",
        "An act that a person filed here cannot be carried out here: there is no usable client for Cloudflare.",
        "See that cloudflare-autowithdraw runs, which carries it out; check the credential.",
    ),
    EventDef::warn(
        "dashboard.act.left_to_daemon",
        "An act that a person filed here is no longer followed here; cloudflare-autowithdraw goes on with it.",
        "See that cloudflare-autowithdraw runs; `cloudflare-prefix-manager history PREFIX` shows what became of it.",
    ),
    EventDef::info(
        "dashboard.announcements.changed",
        "Somebody chose whether only attacks on own prefixes are announced, or which networks these are (`listed` of them; 0: all prefixes of the account).",
    ),
    EventDef::info(
        "dashboard.change.asked",
        "A person asked for a change at Cloudflare; it is in the audit and is sent next.",
    ),
    EventDef::info(
        "dashboard.change.done",
        "A change at Cloudflare that a person asked for was made and read back.",
    ),
    EventDef::warn(
        "dashboard.change.failed",
        "A change at Cloudflare that a person asked for was not made, or it is not known whether it was; the audit says which.",
        "Look at what is there before anybody repeats it.",
    ),
    EventDef::warn(
        "dashboard.change.refused",
        "A request to change something did not come from our own pages, or without the session's secret; nothing was changed.",
        "If it repeats from inside, check dashboard.public_url and the reverse proxy's Host and Origin headers.",
    ),
    EventDef::error(
        "dashboard.change.unrecorded",
        "What came of a change at Cloudflare could not be written to the audit; that it was asked for is there.",
        "Check free space and `cloudflare-mt db check`; look at Cloudflare what was changed.",
    ),
    EventDef::debug(
        "dashboard.client.refused",
        "A client outside dashboard.allowed_networks was turned away.",
    ),
    EventDef::warn(
        "dashboard.cloudflare.unreadable",
        "Something that a page about rules, tunnels or readiness shows could not be read from Cloudflare; the page shows the last good state with its age.",
        "The class says why: permission and auth need another token, rate_limited waits, the others pass.",
    ),
    EventDef::warn(
        "dashboard.database.failed",
        "The database could not be read or written for a request; the page says so.",
        "Check free space, permissions and locks; `cloudflare-mt db check` helps.",
    ),
    EventDef::warn(
        "dashboard.export.broken",
        "A list could not be read to its end for a file; whoever asked for it sees that the file is cut off.",
        "Ask for it again, narrowed with `since` and `until`.",
    ),
    EventDef::info("dashboard.hold.released", "A person released a hold or pause."),
    EventDef::info("dashboard.hold.set", "A person set a hold or pause."),
    EventDef::info("dashboard.incident.acknowledged", "A person took note of an incident."),
    EventDef::info(
        "dashboard.incident.assigned",
        "An incident was given to somebody, or to nobody.",
    ),
    EventDef::info("dashboard.incident.noted", "A person wrote a note on an incident."),
    EventDef::warn(
        "dashboard.live.failed",
        "Open pages are not told of changes; they say that they are not live and ask by themselves.",
        "Check the database; it recovers by itself.",
    ),
    EventDef::info("dashboard.live.recovered", "Open pages are live again."),
    EventDef::warn(
        "dashboard.login.failed",
        "A login with a wrong name or password; further ones wait longer.",
        "If it is nobody of yours, look at `address`; `cloudflare-mt user list` shows the accounts.",
    ),
    EventDef::info("dashboard.login.succeeded", "A person logged in."),
    EventDef::debug(
        "dashboard.login.throttled",
        "A login came too soon after failed ones and was not tried.",
    ),
    EventDef::info(
        "dashboard.mute.changed",
        "A person silenced a kind of message for a while, or ended that.",
    ),
    EventDef::info(
        "dashboard.password.changed",
        "A password was changed; other sessions of the account ended.",
    ),
    EventDef::warn(
        "dashboard.password_file.kept",
        "The file with the one-time password could not be removed although it was used.",
        "Delete it by hand.",
    ),
    EventDef::debug(
        "dashboard.picture.part_failed",
        "A part of the main page could not be read; its card says so.",
    ),
    EventDef::info(
        "dashboard.preferences.imported",
        "The display and the announcement switch of the previous system were taken over.",
    ),
    EventDef::error(
        "dashboard.request.failed",
        "A request could not be answered because of a fault of this program.",
        "Report it with the lines around it; alarms and automation are not affected.",
    ),
    EventDef::warn(
        "dashboard.request.overdue",
        "A request took too long and was answered as such.",
        "Check the load of the machine and the size of the database.",
    ),
    EventDef::info(
        "dashboard.rule.changed",
        "A person changed a rule or an override at Cloudflare; backup and audit have it.",
    ),
    EventDef::warn(
        "dashboard.rule.unchanged",
        "A change of a rule or an override was not made, or it is not known whether it was (`outcome`).",
        "Read the rules again before anybody repeats it; the audit has the attempt.",
    ),
    EventDef::warn(
        "dashboard.second_factor.removed",
        "The second factor of an account was taken away: its password alone opens it.",
        "If its owner did not do that, disable the account and look at the audit.",
    ),
    EventDef::info(
        "dashboard.second_factor.set",
        "A second factor is asked for from now on.",
    ),
    EventDef::debug(
        "dashboard.session.touch_failed",
        "The last use of a session could not be stored; it may end early.",
    ),
    EventDef::warn(
        "dashboard.token.made",
        "An admin made a token with which a program may use the API.",
        "If nobody of yours did, revoke it on the settings page.",
    ),
    EventDef::warn(
        "dashboard.token.revoked",
        "An admin revoked the token of a program, which gets no answer any more.",
        "Give the program another one if it is still needed.",
    ),
];
