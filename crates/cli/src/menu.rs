//! Menus and lines for people at a terminal, by inquire.
//!
//! Must hold: without a terminal there is no menu; Esc and the end of input are "back", Ctrl-C ends the program with 130;
//! the terminal is as before afterwards, also when a signal from elsewhere ends the program in the middle.

use std::fmt::Display;
use std::io;

use inquire::ui::RenderConfig;
use inquire::{InquireError, Select, Text};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::ask;
use crate::screen::Screen;
use crate::trouble::Trouble;

/// Lines of a menu shown at once.
const PAGE: usize = 14;

/// The terminal's modes, put back when dropped. It lives in the task and not in the thread that reads keys, because a
/// signal drops the one and leaves the other where it is.
struct Restore(Option<Termios>);

impl Restore {
    fn now() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // If this fails there is no terminal left to care about.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Lets the person choose one. `None` is "back".
///
/// # Errors
/// Ctrl-C, and a terminal that is none.
pub async fn choose<T>(question: &str, options: Vec<T>) -> Result<Option<T>, Trouble>
where
    T: Display + Send + 'static,
{
    let question = question.to_owned();
    asked(move |look| {
        Select::new(&question, options)
            .with_render_config(look)
            .with_page_size(PAGE)
            .with_help_message("arrows and Enter; Esc goes back")
            .prompt()
    })
    .await
}

/// Lets the person type a line. `None` is "back"; an empty line is `otherwise`.
///
/// # Errors
/// Ctrl-C, and a terminal that is none.
pub async fn line(question: &str, otherwise: &str) -> Result<Option<String>, Trouble> {
    let (question, otherwise) = (question.to_owned(), otherwise.to_owned());
    let typed = asked(move |look| {
        let mut text = Text::new(&question).with_render_config(look);
        if !otherwise.is_empty() {
            text = text.with_default(&otherwise);
        }
        text.prompt()
    });
    Ok(typed.await?.map(|typed| typed.trim().to_owned()))
}

async fn asked<T: Send + 'static>(
    prompt: impl FnOnce(RenderConfig<'static>) -> Result<T, InquireError> + Send + 'static,
) -> Result<Option<T>, Trouble> {
    if !ask::possible() {
        return Err(Trouble::usage("menu.impossible", "there is no terminal to ask at"));
    }
    let look = if Screen::stderr().has_colour() {
        RenderConfig::default_colored()
    } else {
        RenderConfig::empty()
    };
    let _restore = Restore::now();
    let answer = tokio::task::spawn_blocking(move || prompt(look)).await;
    match answer {
        Ok(Ok(chosen)) => Ok(Some(chosen)),
        Ok(Err(InquireError::OperationCanceled)) => Ok(None),
        Ok(Err(InquireError::OperationInterrupted)) => Err(Trouble::new(
            daemon::exit::INTERRUPTED,
            "interrupted",
            "interrupted; nothing was changed",
        )),
        // The terminal went away: nobody is there to answer.
        Ok(Err(InquireError::IO(_) | InquireError::NotTTY)) => Ok(None),
        Ok(Err(error)) => Err(Trouble::failed(
            "menu.failed",
            format!("the menu cannot be shown: {error}"),
        )),
        Err(_) => Err(Trouble::failed("menu.failed", "the menu cannot be shown")),
    }
}
