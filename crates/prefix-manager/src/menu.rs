//! The menu of the program started bare at a terminal: every command with what it needs asked for.
//!
//! Must hold: it only gathers what the commands would be told; previews, questions and rules are theirs. A failure is
//! told and leads back to the menu.

use std::fmt;

use cli::{Trouble, menu, words};
use daemon::cli::Interrupts;
use domain::intent::Act;
use domain::prefix::Prefix;

use crate::args::{ActOptions, Asked, HoldArgs, HoldEnd, HoldTarget, ReleaseArgs, Target};
use crate::site::Site;
use crate::{act, history, hold, list, status};

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    StatusAll,
    StatusOne,
    Advertise,
    Withdraw,
    AdvertiseAll,
    WithdrawAll,
    List,
    Hold,
    Release,
    History,
    Leave,
}

impl Item {
    /// In the order that people know, with what is new behind it.
    const ALL: [Self; 11] = [
        Self::StatusAll,
        Self::StatusOne,
        Self::Advertise,
        Self::Withdraw,
        Self::AdvertiseAll,
        Self::WithdrawAll,
        Self::List,
        Self::Hold,
        Self::Release,
        Self::History,
        Self::Leave,
    ];
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StatusAll => "Status of all prefixes",
            Self::StatusOne => "Status of one prefix",
            Self::Advertise => "Advertise a prefix: protection on",
            Self::Withdraw => "Withdraw a prefix: traffic flows natively",
            Self::AdvertiseAll => "Advertise all listed prefixes",
            Self::WithdrawAll => "Withdraw all listed prefixes",
            Self::List => "List of prefixes",
            Self::Hold => "Hold a prefix: automation does not withdraw it",
            Self::Release => "Release a hold",
            Self::History => "What was done",
            Self::Leave => "Leave",
        })
    }
}

/// A prefix to choose, with its name.
struct Choice(Prefix, String);

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.0, self.1)
    }
}

/// Shows the menu until the person leaves. The exit code is that of the last command.
///
/// # Errors
/// Ctrl-C.
pub async fn run(site: &Site, interrupts: Interrupts) -> Result<u8, Trouble> {
    let mut last = daemon::exit::DONE;
    loop {
        let chosen = menu::choose("What shall be done?", Item::ALL.to_vec()).await?;
        let item = match chosen {
            None | Some(Item::Leave) => return Ok(last),
            Some(item) => item,
        };
        match one(site, item, &interrupts).await {
            Ok(Some(code)) => last = code,
            Ok(None) => {}
            Err(trouble) if trouble.exit == daemon::exit::INTERRUPTED => return Err(trouble),
            Err(trouble) => last = cli::frame::conclude(crate::PROGRAM, site.out, Err(trouble)),
        }
        site.out.aside("\n");
    }
}

/// `None` when the person went back.
async fn one(site: &Site, item: Item, interrupts: &Interrupts) -> Result<Option<u8>, Trouble> {
    let code = match item {
        Item::StatusAll => status::run(site, None).await?,
        Item::List => list::run(site).await?,
        Item::Leave => return Ok(None),
        Item::AdvertiseAll => acted(site, Act::Advertise, None, interrupts).await?,
        Item::WithdrawAll => acted(site, Act::Withdraw, None, interrupts).await?,
        Item::StatusOne | Item::Advertise | Item::Withdraw | Item::Hold | Item::Release | Item::History => {
            let Some(prefix) = prefix(site).await? else {
                return Ok(None);
            };
            match item {
                Item::Advertise => acted(site, Act::Advertise, Some(prefix), interrupts).await?,
                Item::Withdraw => acted(site, Act::Withdraw, Some(prefix), interrupts).await?,
                Item::History => history::run(site, Some(prefix), 20).await?,
                Item::Hold => return held(site, prefix).await,
                Item::Release => {
                    let target = HoldTarget {
                        prefix: Some(prefix),
                        all: false,
                    };
                    hold::release(site, ReleaseArgs { target }).await?
                }
                _ => status::run(site, Some(prefix)).await?,
            }
        }
    };
    Ok(Some(code))
}

/// One of the prefixes that are listed or known.
async fn prefix(site: &Site) -> Result<Option<Prefix>, Trouble> {
    let known = list::known(site).await?;
    if known.is_empty() {
        return Err(Trouble::failed("prefix.none_known", "no prefix is known yet"));
    }
    let choices = known
        .into_iter()
        .map(|(prefix, name)| Choice(prefix, words::outside(&name, 60)))
        .collect();
    let chosen = menu::choose("Which prefix?", choices).await?;
    Ok(chosen.map(|Choice(prefix, _)| prefix))
}

async fn reason(question: &str, otherwise: &str) -> Result<Option<String>, Trouble> {
    let typed = menu::line(question, otherwise).await?;
    Ok(typed.map(|typed| {
        let line = words::outside(&typed, 300);
        if line.is_empty() { otherwise.to_owned() } else { line }
    }))
}

async fn acted(site: &Site, act: Act, prefix: Option<Prefix>, interrupts: &Interrupts) -> Result<u8, Trouble> {
    let Some(reason) = reason("Why, for the record?", "by command line").await? else {
        return Err(Trouble::cancelled());
    };
    let asked = Asked {
        target: Target {
            prefix,
            all: prefix.is_none(),
        },
        options: ActOptions {
            reason,
            ..ActOptions::default()
        },
        force: false,
        emergency: false,
    };
    act::run(site, act, asked, interrupts.clone()).await
}

async fn held(site: &Site, prefix: Prefix) -> Result<Option<u8>, Trouble> {
    let Some(length) = menu::line("For how long (30m, 2h, 2d)?", "2h").await? else {
        return Ok(None);
    };
    let lasting = domain::duration::parse(&length)
        .map_err(|error| Trouble::usage("hold.duration", format!("{}: {error}", words::outside(&length, 40))))?;
    let Some(reason) = reason("Why, for everybody who wonders?", "by command line").await? else {
        return Ok(None);
    };
    let asked = HoldArgs {
        target: HoldTarget {
            prefix: Some(prefix),
            all: false,
        },
        end: HoldEnd {
            lasting: Some(lasting),
            until: None,
            until_released: false,
        },
        reason,
    };
    hold::hold(site, asked).await.map(Some)
}
