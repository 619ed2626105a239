//! What surrounds every page: title, icon, status line, navigation, the session's secret for forms.

use std::time::Duration;

use jiff::Timestamp;

use crate::accounts::Member;
use crate::app::App;
use crate::assets;
use crate::html::{Countdown, Icon, Instant, Moment};
use crate::overview::Overview;
use crate::overview::prefix::{Deadline, believed_for};
use crate::overview::state::Tone;

/// The surroundings of a page.
pub(crate) struct Shell {
    /// In the tab.
    pub(crate) title: String,
    /// Which icon the tab shows.
    pub(crate) icon: &'static str,
    /// Path of style, scripts and icons.
    pub(crate) assets: &'static str,
    /// The operator's name, shown to people who are signed in.
    pub(crate) organisation: String,
    pub(crate) now: Timestamp,
    /// Nobody, on the pages before the login.
    pub(crate) person: Option<Person>,
    /// The secret of a session that still owes its second factor: nobody is signed in yet, but the form needs it.
    pub(crate) csrf_of_half: Option<String>,
    /// The status line; error pages have none.
    pub(crate) status: Option<StatusLine>,
    /// Grows with what the page shows.
    pub(crate) version: u64,
    /// Which entry of the navigation this page is.
    pub(crate) place: &'static str,
}

/// The signed-in person.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) may_operate: bool,
    pub(crate) csrf: String,
}

/// The parts of the status line.
pub(crate) struct StatusLine {
    pub(crate) protected: String,
    pub(crate) prefixes: usize,
    pub(crate) unknown: usize,
    pub(crate) attacked: String,
    pub(crate) attack_tone: Tone,
    pub(crate) exposed: usize,
    pub(crate) automation: &'static str,
    pub(crate) automation_tone: Tone,
    pub(crate) automation_detail: String,
    pub(crate) data_at: Option<Timestamp>,
    pub(crate) data_is_old: bool,
    /// Age in milliseconds at which the script marks the data as old.
    pub(crate) data_old_after_ms: u128,
    pub(crate) messages: &'static str,
    pub(crate) messages_tone: Tone,
    pub(crate) messages_detail: String,
}

impl Shell {
    /// For a page that needs no session.
    pub(crate) fn outside(app: &App, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            icon: "plain",
            assets: assets::base(),
            organisation: String::new(),
            now: app.now(),
            person: None,
            csrf_of_half: None,
            status: None,
            version: 0,
            place: "",
        }
    }

    /// For a page of a signed-in person that shows nothing of the situation.
    pub(crate) fn bare(app: &App, member: &Member, title: &str, place: &'static str) -> Self {
        let organisation = &app.settings().organisation;
        let name = if organisation.name.is_empty() {
            &organisation.brand
        } else {
            &organisation.name
        };
        let person = Person {
            name: crate::words::outside_up_to(member.name(), 40),
            role: member.role().as_str(),
            may_operate: member.may_operate(),
            csrf: member.session().csrf.clone(),
        };
        Self {
            organisation: crate::words::outside_up_to(name, 60),
            person: Some(person),
            place,
            ..Self::outside(app, title)
        }
    }

    /// For a page under the status line. `title` is put behind the situation.
    pub(crate) fn over(app: &App, member: &Member, overview: &Overview, title: &str, place: &'static str) -> Self {
        let bare = Self::bare(app, member, title, place);
        let title = match (title, bare.organisation.as_str()) {
            ("", "") => overview.status.title.clone(),
            ("", organisation) => format!("{} · {organisation}", overview.status.title),
            (title, _) => format!("{} · {title}", overview.status.title),
        };
        Self {
            title,
            icon: overview.status.worst.key(),
            status: Some(StatusLine::of(app, overview)),
            version: overview.version,
            now: overview.at,
            ..bare
        }
    }

    pub(crate) fn may_operate(&self) -> bool {
        self.person.as_ref().is_some_and(|person| person.may_operate)
    }

    pub(crate) fn csrf(&self) -> &str {
        let person = self.person.as_ref().map(|person| person.csrf.as_str());
        person.or(self.csrf_of_half.as_deref()).unwrap_or_default()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.now.as_millisecond()
    }

    pub(crate) fn utc(&self) -> String {
        crate::words::clock(self.now, self.now)
    }

    pub(crate) fn age(&self, at: impl Instant) -> Moment {
        Moment::age(at, self.now)
    }

    pub(crate) fn clock(&self, at: impl Instant) -> Moment {
        Moment::clock(at, self.now)
    }

    pub(crate) fn seconds(&self, at: impl Instant) -> Moment {
        Moment::seconds(at, self.now)
    }

    pub(crate) fn countdown(&self, deadline: &Deadline) -> Countdown {
        Countdown::to(deadline, self.now)
    }

    pub(crate) fn icon(&self, name: &'static str) -> Icon {
        Icon(name)
    }
}

impl StatusLine {
    fn of(app: &App, overview: &Overview) -> Self {
        let status = &overview.status;
        let believed: Duration = believed_for(&app.settings().autowithdraw);
        let attack_tone = match (status.under_attack, status.attack_uncertain) {
            (0, 0) => Tone::Plain,
            (0, _) => Tone::Unknown,
            _ => Tone::Attack,
        };
        let messages = overview.messages.as_ref();
        Self {
            protected: status.protected_words(),
            prefixes: status.prefixes,
            unknown: status.unknown,
            attacked: status.attack_words(),
            attack_tone,
            exposed: status.exposed,
            automation: overview.automation.word,
            automation_tone: overview.automation.tone,
            automation_detail: overview.automation.detail.clone(),
            data_at: status.data_at,
            data_is_old: status.data_is_old(believed, overview.at),
            data_old_after_ms: believed.as_millis(),
            messages: messages.map_or("unknown", |messages| messages.word),
            messages_tone: messages.map_or(Tone::Unknown, |messages| messages.tone),
            messages_detail: messages.map_or_else(
                || "The outbox could not be read.".to_owned(),
                |messages| messages.detail.clone(),
            ),
        }
    }
}
