//! Makes a folder with settings and a database that shows every state, for looking at the pages by hand:
//!
//! ```text
//! cargo run -p dashboard --example seed -- FOLDER PORT
//! cargo run -p dashboard --bin cloudflare-dashboard -- --config-dir FOLDER
//! ```
//!
//! The first start writes the password of `admin` to `FOLDER/dashboard-first-login.txt`. With `beat` as a third argument
//! it goes on writing signs of life, so that the automation is not shown as silent.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/support/seed/mod.rs"]
mod seed;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use db::{Db, OpenOptions, heartbeats};
use domain::time::minus;
use jiff::Timestamp;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, port, rest @ ..] = arguments.as_slice() else {
        println!("usage: seed FOLDER PORT [beat]");
        return;
    };
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("settings.json");
    let settings = serde_json::json!({
        "cloudflare": {"account_id": "0123456789abcdef0123456789abcdef", "api_token": "not-a-token", "webhook_secret": "not-a-secret"},
        // A chat that swallows everything: nothing is sent from a seeded database.
        "telegram": {"bot_token": "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "chat_id": seed::CHAT, "api_url": "http://127.0.0.1:9"},
        "database": {"path": folder.join("magic_transit.db")},
        "dashboard": {"listen": format!("127.0.0.1:{port}")},
        "organisation": {"name": "Example Networks"},
    });
    fs::write(&file, settings.to_string()).expect("writes");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("changes the mode");
    let db = Db::open(folder.join("magic_transit.db"), OpenOptions::default()).expect("opens");
    let now = Timestamp::now();
    db.write("seed", move |tx| seed::fill(tx, &seed::Words::default(), now))
        .await
        .expect("fills");
    println!("seeded {}", folder.display());
    while rest.first().is_some_and(|word| word == "beat") {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let at = minus(Timestamp::now(), Duration::from_secs(2));
        let beats = move |tx: &db::WriteTx<'_>| {
            for mut beat in heartbeats::all(tx)?
                .into_iter()
                .filter(|beat| beat.service != "cloudflare-dashboard")
            {
                beat.beat_at = at;
                heartbeats::beat(tx, &beat)?;
            }
            Ok(())
        };
        db.write("beats", beats).await.expect("beats");
    }
}
