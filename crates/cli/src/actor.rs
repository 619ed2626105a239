//! Who sits at the terminal, for the record: `user@host`.
//!
//! The login's user survives `su` and `sudo` (the kernel keeps it, `/proc/self/loginuid`); without it the user of the
//! process counts, and behind root whom sudo names. Environment variables that anybody may set are the last resort.

use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Command;

/// The login user id of a process that no login started (`(uid_t) -1`, proc(5)).
const NO_LOGIN: &str = "4294967295";

/// Longest name that is recorded.
const LONGEST: usize = 64;

/// A user directory on a network that is under attack may not answer; nobody waits for it.
const DIRECTORY_LIMIT: Duration = Duration::from_secs(1);

/// `user@host`, sanitised.
pub async fn of_this_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!(
        "{}@{}",
        clean(&user().await, "unknown"),
        clean(host.trim(), "localhost")
    )
}

/// A row of the audit for what was done at a shell, without what differs: before, after, reason.
pub fn audit_row(via: &str, actor: &str, (action, subject): (&str, &str), at: Timestamp) -> db::audit::Entry {
    db::audit::Entry {
        at,
        actor: actor.to_owned(),
        role: "shell".to_owned(),
        via: via.to_owned(),
        address: None,
        action: action.to_owned(),
        subject: subject.to_owned(),
        before: None,
        after: None,
        reason: None,
        result: "ok".to_owned(),
    }
}

async fn user() -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let login = Some(login.trim()).filter(|uid| !uid.is_empty() && *uid != NO_LOGIN);
    if let Some(login) = login
        && let Some(name) = name_of(login).await
    {
        return name;
    }
    let uid = rustix::process::getuid();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if uid.is_root()
        && let Some(name) = variable("SUDO_USER")
    {
        return name;
    }
    let uid = uid.as_raw().to_string();
    match name_of(&uid).await {
        Some(name) => name,
        None => variable("LOGNAME").or_else(|| variable("USER")).unwrap_or(uid),
    }
}

/// The name of a user id from whatever directory the host uses.
async fn name_of(uid: &str) -> Option<String> {
    let asked = Command::new("getent")
        .args(["passwd", uid])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let answer = tokio::time::timeout(DIRECTORY_LIMIT, asked).await.ok()?.ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    let name = text.split(':').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn clean(name: &str, otherwise: &str) -> String {
    let clean: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '$'))
        .take(LONGEST)
        .collect();
    if clean.is_empty() { otherwise.to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_plain() {
        assert_eq!(clean("ana", "x"), "ana");
        assert_eq!(clean("a\u{1b}[2J b;rm\n", "x"), "a2Jbrm");
        assert_eq!(clean("\u{202e}", "unknown"), "unknown");
        assert_eq!(clean(&"n".repeat(200), "x").len(), LONGEST);
        let actor = of_this_process().await;
        assert!(
            actor
                .split_once('@')
                .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()),
            "{actor}"
        );
    }
}
