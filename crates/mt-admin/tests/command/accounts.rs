//! `user`: passwords that nobody sees, sessions that end, an administrator that stays.

use db::sessions::NewSession;
use db::users::Role;
use jiff::Timestamp;

use crate::support::{self, Terminal, filters};
use crate::world::{command, database, run, site};

const PASSWORD: &str = "four small brown foxes";

fn add(site: &testkit::Site, name: &str, role: &str) -> support::Run {
    let add = command(site, &["user", "add", name, "--role", role, "--password-stdin"]);
    support::run_with_input(add, &format!("{PASSWORD}\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_lives_from_add_to_disable() {
    let site = site().await;
    let added = add(&site, "ana", "admin");
    assert_eq!(added.code, 0, "{}", added.shown());
    assert_eq!(add(&site, "Ana", "viewer").code, 1, "names do not differ by case");
    let db = database(&site);
    let user = db
        .read("test", |tx| db::users::by_name(tx, "ana"))
        .await
        .unwrap()
        .unwrap();
    assert!(user.password_hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && user.role == Role::Admin);
    let now = Timestamp::now();
    db.write("test", move |tx| {
        let session = NewSession {
            token_hash: "0011",
            user_id: user.id,
            csrf: "x",
            expires_at: domain::time::plus(now, std::time::Duration::from_secs(3_600)),
            address: "192.0.2.1",
            agent: "test",
        };
        db::sessions::open(tx, &session, now)
    })
    .await
    .unwrap();
    let sessions =
        || run(&site, &["db", "query", "SELECT count(*) FROM sessions", "--json"]).json()["rows"][0][0].clone();
    assert_eq!(sessions(), 1);
    let new = command(
        &site,
        &["user", "passwd", "ana", "--password-stdin", "--must-change", "--json"],
    );
    let new = support::run_with_input(new, "another long password\n");
    assert_eq!(new.json()["user"]["must_change"], true, "{}", new.shown());
    assert_eq!(sessions(), 0, "a new password ends the sessions");
    let last = run(&site, &["user", "disable", "ana"]);
    assert_eq!(last.code, 3, "{}", last.shown());
    assert_eq!(add(&site, "kim", "admin").code, 0);
    assert_eq!(run(&site, &["user", "disable", "ana"]).code, 0);
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("user-list", run(&site, &["user", "list"]).shown());
        insta::assert_snapshot!("user-list-json", run(&site, &["user", "list", "--json"]).shown());
    });
    assert_eq!(run(&site, &["user", "enable", "ana"]).code, 0);
    assert_eq!(run(&site, &["user", "disable", "nobody"]).code, 1);
    let audit = db.read("test", |tx| db::audit::newest(tx, 10)).await.unwrap();
    let actions: Vec<&str> = audit.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "account.enable",
            "account.disable",
            "account.create",
            "account.password",
            "account.create"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_password_is_never_shown_and_is_asked_for_twice() {
    let site = site().await;
    let typed = |first: &str, second: Option<&str>| {
        let terminal = Terminal::start(command(&site, &["user", "add", "ana"]), 100);
        terminal.expect("New password for ana:").keys(&format!("{first}\r"));
        if let Some(second) = second {
            terminal.expect("Once more:").keys(&format!("{second}\r"));
        }
        terminal.end()
    };
    let (code, said) = typed("short", None);
    assert!(code == 2 && said.contains("at least 12 characters"), "{said}");
    let (code, said) = typed(PASSWORD, Some("something else entirely"));
    assert!(
        code == 2 && said.contains("differ") && !said.contains("foxes"),
        "{said}"
    );
    let (code, said) = typed(PASSWORD, Some(PASSWORD));
    assert!(
        code == 0 && said.contains("ana (viewer) was added") && !said.contains("foxes"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_at_the_password_changes_nothing_and_gives_the_terminal_back() {
    let site = site().await;
    let terminal = Terminal::start(command(&site, &["user", "add", "ana"]), 100);
    terminal.expect("New password for ana:").keys("half a pass\u{3}");
    let (code, said) = terminal.end();
    assert_eq!(code, 130, "{said}");
    assert!(!said.contains("half"), "{said}");
    assert!(run(&site, &["user", "list"]).stdout.contains("there is no account"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_nothing_is_asked() {
    let site = site().await;
    let refused = run(&site, &["user", "add", "ana"]);
    assert_eq!(refused.code, 2, "{}", refused.shown());
    assert!(refused.stderr.contains("--password-stdin"), "{}", refused.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_second_factor_is_dropped_by_a_person_with_a_reason() {
    let site = site().await;
    assert_eq!(add(&site, "ana", "admin").code, 0);
    let drop_it = |more: &[&str]| {
        let arguments = [
            &["user", "drop-second-factor", "ana", "--reason", "lost the phone"][..],
            more,
        ]
        .concat();
        command(&site, &arguments)
    };
    let none = support::run(drop_it(&[]));
    assert!(
        none.code == 0 && none.stdout.contains("has no second factor"),
        "{}",
        none.shown()
    );
    let db = database(&site);
    let now = Timestamp::now();
    db.write("test", move |tx| {
        let id = db::users::by_name(tx, "ana")?.unwrap().id;
        db::second_factor::begin(tx, id, "JBSWY3DPEHPK3PXP")?;
        db::second_factor::confirm(tx, id, "JBSWY3DPEHPK3PXP", 1, now)?;
        db::second_factor::set_recovery_codes(tx, id, &["hash".to_owned()])
    })
    .await
    .unwrap();
    let has_one = || run(&site, &["user", "list", "--json"]).json()["users"][0]["second_factor"].clone();
    assert_eq!(has_one(), true);
    let unasked = support::run(drop_it(&[]));
    assert_eq!(unasked.code, 2, "{}", unasked.shown());
    let hasty = Terminal::start(drop_it(&[]), 120);
    hasty
        .expect("Type ana to let its password alone be enough")
        .keys("yes\n");
    assert_eq!(hasty.end().0, 4);
    assert_eq!(has_one(), true);
    let sure = Terminal::start(drop_it(&[]), 120);
    sure.expect("be enough:").keys("ana\n");
    let (code, said) = sure.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(has_one(), false);
    let audit = run(
        &site,
        &[
            "db",
            "query",
            "SELECT action, subject, reason FROM audit ORDER BY id DESC LIMIT 1",
            "--json",
        ],
    );
    assert_eq!(
        audit.json()["rows"][0],
        serde_json::json!(["account.second_factor_drop", "ana", "lost the phone"])
    );
    let unknown = run(
        &site,
        &["user", "drop-second-factor", "nobody", "--reason", "x", "--yes"],
    );
    assert_eq!(unknown.code, 1, "{}", unknown.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_changes_and_the_last_administrator_keeps_theirs() {
    let site = site().await;
    assert_eq!(add(&site, "ana", "admin").code, 0);
    let last = run(&site, &["user", "role", "ana", "viewer"]);
    assert_eq!(last.code, 3, "{}", last.shown());
    assert_eq!(add(&site, "kim", "viewer").code, 0);
    let raised = run(&site, &["user", "role", "kim", "admin", "--json"]);
    assert_eq!(raised.json()["user"]["role"], "admin", "{}", raised.shown());
    assert_eq!(run(&site, &["user", "role", "ana", "viewer"]).code, 0);
}
