//! Questions to the person at the terminal.
//!
//! Must hold: without a terminal nothing is asked; the end of input is a no; a password is never shown, and the terminal
//! is as before when the question is over, also after Ctrl-C.

use std::io::{self, BufRead, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;

use crate::frame::Out;
use crate::trouble::Trouble;

/// Longest answer that is read, in bytes.
const LONGEST: usize = 4_096;

/// Whether somebody is there to answer: questions go to stderr, answers come from stdin.
pub fn possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for yes or no; anything but `y` or `yes` is a no.
///
/// # Errors
/// When the answer cannot be read.
pub async fn yes(out: Out, question: &str) -> Result<bool, Trouble> {
    out.aside(&format!("{question} [y/N] "));
    let answer = line().await?.unwrap_or_default().to_lowercase();
    Ok(matches!(answer.as_str(), "y" | "yes"))
}

/// Asks to type `wanted`.
///
/// # Errors
/// When the answer cannot be read.
pub async fn typed(out: Out, question: &str, wanted: &str) -> Result<bool, Trouble> {
    out.aside(&format!("{question} "));
    Ok(line().await?.as_deref() == Some(wanted))
}

/// Asks for a line of text. `None` when there is no more input.
///
/// # Errors
/// When the answer cannot be read.
pub async fn text(out: Out, question: &str) -> Result<Option<String>, Trouble> {
    out.aside(&format!("{question} "));
    line().await
}

/// Asks for a password without showing it.
///
/// # Errors
/// When the terminal cannot be set up, or the person pressed Ctrl-C.
pub async fn password(out: Out, question: &str) -> Result<SecretString, Trouble> {
    let question = format!("{question} ");
    // The echo is off before the question is seen: whoever answers it at once is not shown either.
    let typed = on_a_thread(move || read_hidden(|| out.aside(&question))).await;
    out.aside("\n");
    typed
}

/// The first line of standard input, for `--password-stdin`. The line end is not part of it.
///
/// # Errors
/// When it cannot be read or is empty.
pub async fn password_from_stdin() -> Result<SecretString, Trouble> {
    match line_exactly().await? {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line)),
        _ => Err(Trouble::usage(
            "password.empty",
            "there is no password on standard input",
        )),
    }
}

async fn line() -> Result<Option<String>, Trouble> {
    Ok(line_exactly().await?.map(|line| line.trim().to_owned()))
}

async fn line_exactly() -> Result<Option<String>, Trouble> {
    on_a_thread(|| {
        let mut bytes = Vec::new();
        let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        io::stdin()
            .lock()
            .take(limit)
            .read_until(b'\n', &mut bytes)
            .map_err(|error| unreadable(&error))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()))
    })
    .await
}

/// The wait for a person must not hold up the thread that hears Ctrl-C.
async fn on_a_thread<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|_| Err(Trouble::failed("input.failed", "the answer could not be read")))
}

fn unreadable(error: &io::Error) -> Trouble {
    Trouble::failed("input.failed", format!("the answer could not be read: {error}"))
}

/// The terminal's modes, restored when dropped.
struct Restore(Termios);

impl Drop for Restore {
    fn drop(&mut self) {
        // If this fails there is no terminal left to care about.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Byte by byte, with the control keys handled here: a Ctrl-C that became a signal would end the process with the echo
/// still off.
fn read_hidden(ask: impl FnOnce()) -> Result<SecretString, Trouble> {
    let terminal = io::stdin();
    let before = tcgetattr(&terminal).map_err(|error| unreadable(&error.into()))?;
    let restore = Restore(before.clone());
    let mut hidden = before;
    hidden.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    tcsetattr(&terminal, OptionalActions::Flush, &hidden).map_err(|error| unreadable(&error.into()))?;
    ask();
    let typed = collect(terminal.lock());
    drop(restore);
    typed
}

fn collect(input: impl BufRead) -> Result<SecretString, Trouble> {
    let mut typed: Vec<u8> = Vec::new();
    for byte in input.bytes() {
        match byte.map_err(|error| unreadable(&error))? {
            b'\r' | b'\n' => return password_of(typed),
            // Ctrl-C and Ctrl-\.
            3 | 28 => {
                return Err(Trouble::new(
                    daemon::exit::INTERRUPTED,
                    "interrupted",
                    "interrupted; nothing was changed",
                ));
            }
            // Ctrl-D.
            4 => return password_of(typed),
            // Ctrl-U.
            21 => typed.clear(),
            // Backspace takes a whole character.
            8 | 127 => while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            byte if typed.len() < LONGEST => typed.push(byte),
            _ => return Err(Trouble::usage("password.too_long", "the password is too long")),
        }
    }
    password_of(typed)
}

fn password_of(typed: Vec<u8>) -> Result<SecretString, Trouble> {
    String::from_utf8(typed)
        .map(SecretString::from)
        .map_err(|_| Trouble::usage("password.not_utf8", "the password is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn typed(keys: &str) -> Result<String, u8> {
        collect(keys.as_bytes())
            .map(|password| password.expose_secret().to_owned())
            .map_err(|trouble| trouble.exit)
    }

    #[test]
    fn control_keys_of_a_hidden_line() {
        assert_eq!(typed("secret\rrest"), Ok("secret".into()));
        assert_eq!(typed("ab\u{7f}c\n"), Ok("ac".into()));
        assert_eq!(typed("aé\u{8}b\n"), Ok("ab".into()));
        assert_eq!(typed("wrong\u{15}right\n"), Ok("right".into()));
        assert_eq!(typed("half\u{3}"), Err(130));
        assert_eq!(typed("end"), Ok("end".into()));
    }
}
