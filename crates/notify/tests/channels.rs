//! Copies to a web address and by mail: what arrives, what is tried again, and that one channel that is down delays
//! nothing else. Both servers are small listeners of this file.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::bench::{Bench, medium, raised};
use crate::support::couriers::{begun, copies, run, wait, wait_copy};
use db::outbox;
use domain::ids::NotificationId;
use domain::notice::{Facts, Mute, Priority};
use jiff::Timestamp;
use notify::channels::mail::MailOutlet;
use notify::channels::webhook::{WebhookOutlet, signature};
use notify::channels::{Outlet, Route};
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

type Shared<T> = Arc<Mutex<Vec<T>>>;

/// Answers POSTs with the listed statuses, then with 204; 0 never answers. Keeps header lines and body.
async fn hook(statuses: Vec<u16>) -> (String, Shared<(Vec<String>, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let got: Shared<(Vec<String>, String)> = Arc::default();
    let kept = Arc::clone(&got);
    tokio::spawn(async move {
        let mut statuses = statuses.into_iter();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let status = statuses.next().unwrap_or(204);
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let (mut headers, mut length) = (Vec::new(), 0);
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).await.unwrap_or(0) == 0 || line == "\r\n" {
                        break;
                    }
                    let line = line.trim_end().to_owned();
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                        length = value.parse().unwrap();
                    }
                    headers.push(line);
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                kept.lock().unwrap().push((headers, String::from_utf8(body).unwrap()));
                if status == 0 {
                    std::future::pending::<()>().await;
                }
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (url, got)
}

/// A mail server that refuses the first `refusals` mails for now. Keeps what it took.
async fn post_office(refusals: usize) -> (u16, Shared<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let got: Shared<String> = Arc::default();
    let kept = Arc::clone(&got);
    tokio::spawn(async move {
        let mut refused = 0;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let refuse = refused < refusals;
            refused += 1;
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                stream.write_all(b"220 test\r\n").await.unwrap();
                let mut mail = None::<String>;
                let mut line = String::new();
                while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                    let command = line.trim_end().to_owned();
                    line.clear();
                    let answer = match &mut mail {
                        Some(text) if command == "." => {
                            kept.lock().unwrap().push(std::mem::take(text));
                            mail = None;
                            "250 taken"
                        }
                        Some(text) => {
                            text.push_str(&command);
                            text.push('\n');
                            continue;
                        }
                        None if command.starts_with("EHLO") => "250 test",
                        None if command.starts_with("MAIL") && refuse => "451 come back later",
                        None if command == "DATA" => {
                            mail = Some(String::new());
                            "354 go on"
                        }
                        None if command == "QUIT" => "221 bye",
                        None => "250 fine",
                    };
                    if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, got)
}

fn client() -> Result<reqwest::Client, String> {
    Ok(reqwest::Client::builder().no_proxy().build().unwrap())
}

fn to_hook(url: &str) -> Outlet {
    let outlet = WebhookOutlet::new(url.to_owned(), SecretString::from("key"), client);
    Outlet::Webhook(outlet.within(Duration::from_millis(500)))
}

fn to_mail(port: u16) -> Outlet {
    Outlet::Mail(MailOutlet {
        host: "127.0.0.1".into(),
        port,
        login: None,
        from: "mt@example.net".into(),
        to: "noc@example.net".into(),
        place: None,
    })
}

#[tokio::test]
async fn a_web_address_gets_signed_json_until_it_takes_it() {
    let bench = Bench::new().await;
    let (old, _) = bench.enter(medium("before the channel was there")).await;
    let (url, got) = hook(vec![503, 0, 401, 200, 422]).await;
    let courier = run(&bench, to_hook(&url), Route::All, "a", Duration::ZERO);
    begun(&bench, "webhook").await;
    let (id, _) = bench
        .enter(raised("a title with \"quotes\" & <b>", Priority::High))
        .await;
    let copy = wait_copy(&bench, id, "sent").await;
    assert_eq!(copy.attempts, 4);
    let (headers, body) = got.lock().unwrap()[3].clone();
    let header = |name: &str| {
        let start = format!("{name}: ");
        headers
            .iter()
            .find_map(|line| {
                line.to_lowercase()
                    .starts_with(&start)
                    .then(|| line[start.len()..].to_owned())
            })
            .unwrap()
    };
    let stamp: i64 = header("x-mt-timestamp").parse().unwrap();
    assert_eq!(
        header("x-mt-signature"),
        signature(&SecretString::from("key"), stamp, &body)
    );
    assert_eq!(header("x-mt-notification"), id.to_string());
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["schema"], "cloudflare-mt/message/1");
    assert_eq!((&body["kind"], &body["priority"]), (&"raised".into(), &"high".into()));
    assert!(
        body["title"]
            .as_str()
            .unwrap()
            .contains("a title with \"quotes\" & <b>")
    );
    assert_eq!(body["facts"]["kind"], "raised");
    let shared = bench
        .db
        .read("test", |tx| outbox::channel(tx, "webhook"))
        .await
        .unwrap();
    assert_eq!((shared.failing_since, shared.blocked_because), (None, None));
    // What the address will never take is kept with the reason, and a person can have it tried again.
    let (refused, _) = bench.enter(medium("refused")).await;
    let copy = wait_copy(&bench, refused, "failed").await;
    assert_eq!(copy.reason.as_deref(), Some("HTTP 422"));
    bench
        .db
        .write("test", move |tx| {
            outbox::retry_copies(tx, refused, Timestamp::now()).map(drop)
        })
        .await
        .unwrap();
    wait_copy(&bench, refused, "sent").await;
    assert!(copies(&bench, old).await.is_empty());
    courier.stop().await;
}

#[tokio::test]
async fn urgencies_and_kinds_choose_and_muted_ones_are_not_copied() {
    let bench = Bench::new().await;
    let (url, got) = hook(Vec::new()).await;
    let route = Route::Only(vec!["critical".into()]);
    let courier = run(&bench, to_hook(&url), route, "a", Duration::ZERO);
    begun(&bench, "webhook").await;
    let mute = Mute {
        kind: "raised".into(),
        actor: "ana".into(),
        until: domain::time::plus(Timestamp::now(), Duration::from_secs(600)),
    };
    bench
        .db
        .write("test", move |tx| outbox::mute(tx, &mute, Timestamp::now()))
        .await
        .unwrap();
    let (muted, _) = bench.enter(medium("muted")).await;
    let test = Facts::SelfTest {
        actor: "ana".into(),
        note: "x".into(),
    };
    let (test, _) = bench.enter(test).await;
    let (urgent, _) = bench.enter(raised("urgent", Priority::Critical)).await;
    wait_copy(&bench, urgent, "sent").await;
    wait_copy(&bench, test, "sent").await;
    assert!(copies(&bench, muted).await.is_empty());
    assert_eq!(got.lock().unwrap().len(), 2);
    courier.stop().await;
}

#[tokio::test]
async fn mails_are_collected_and_critical_ones_are_not() {
    let bench = Bench::new().await;
    let (port, got) = post_office(2).await;
    let courier = run(&bench, to_mail(port), Route::All, "a", Duration::from_secs(3));
    begun(&bench, "mail").await;
    let (first, number) = bench.enter(medium("ä first: <b>\u{202E}")).await;
    let copy = wait_copy(&bench, first, "sent").await;
    assert!(copy.attempts >= 2, "{copy:?}");
    let mut collected = Vec::new();
    for index in 0..5 {
        collected.push(bench.enter(medium(&format!("more {index}"))).await.0);
    }
    let (urgent, _) = bench.enter(raised("urgent", Priority::Critical)).await;
    wait_copy(&bench, urgent, "sent").await;
    for id in &collected {
        wait_copy(&bench, *id, "sent").await;
    }
    courier.stop().await;
    let mails = got.lock().unwrap().clone();
    assert_eq!(mails.len(), 3, "{mails:#?}");
    assert!(mails[0].contains("From: mt@example.net") && mails[0].contains("To: noc@example.net"));
    let holds = |mail: &str, ids: &[NotificationId]| {
        let list: Vec<String> = ids.iter().map(ToString::to_string).collect();
        text_of(mail).contains(&format!("notifications: {}", list.join(", ")))
    };
    assert!(
        text_of(&mails[0]).contains(&number) && holds(&mails[0], &[first]),
        "{}",
        text_of(&mails[0])
    );
    assert!(
        holds(&mails[1], &[urgent]),
        "the critical one overtakes: {}",
        text_of(&mails[1])
    );
    assert!(holds(&mails[2], &collected), "{}", text_of(&mails[2]));
}

/// The text of a mail in base64 or quoted-printable form, as far as this test needs it.
fn text_of(mail: &str) -> String {
    let (head, body) = mail.split_once("\n\n").unwrap();
    if !head.to_lowercase().contains("base64") {
        return body.replace("=\n", "");
    }
    let digits: Vec<u8> = body
        .bytes()
        .filter_map(|c| match c {
            b'A'..=b'Z' => Some(c - b'A'),
            b'a'..=b'z' => Some(c - b'a' + 26),
            b'0'..=b'9' => Some(c - b'0' + 52),
            b'+' => Some(62),
            b'/' => Some(63),
            _ => None,
        })
        .collect();
    let bytes: Vec<u8> = digits
        .chunks(4)
        .flat_map(|four| {
            let word = four
                .iter()
                .chain([0; 4].iter())
                .take(4)
                .fold(0u32, |sum, six| sum << 6 | u32::from(*six));
            word.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn the_dead_mans_notice_goes_where_the_chat_cannot_be_reached() {
    let mut bench = Bench::new().await;
    bench.limits.stuck_after = Duration::from_millis(700);
    let conditions: Shared<bool> = Arc::default();
    let kept = Arc::clone(&conditions);
    bench.report = Arc::new(move |condition| {
        kept.lock()
            .unwrap()
            .push(matches!(condition, notify::drain::Condition::Works));
    });
    let (url, got) = hook(Vec::new()).await;
    let dead = hook(vec![500; 10_000]).await.0;
    // A channel that is down beside it, and the chat that is down: neither delays this one.
    let other = run(
        &bench,
        to_mail(
            dead.rsplit(':').next().unwrap()[..5]
                .trim_end_matches('/')
                .parse()
                .unwrap(),
        ),
        Route::All,
        "m",
        Duration::ZERO,
    );
    let courier = run(
        &bench,
        to_hook(&url),
        Route::Only(vec!["critical".into(), "high".into()]),
        "a",
        Duration::ZERO,
    );
    begun(&bench, "webhook").await;
    bench.telegram_error(403, "Forbidden: bot was kicked from the group chat", 1_000_000);
    let (waiting, _) = bench.enter(medium("waits")).await;
    let drain = bench.run("d");
    let texts = || -> Vec<String> { got.lock().unwrap().iter().map(|(_, body)| body.clone()).collect() };
    wait("the notice", async || {
        texts().iter().any(|text| text.contains("do not reach the chat"))
    })
    .await;
    wait("health", async || conditions.lock().unwrap().last() == Some(&false)).await;
    bench.sim.clear_faults();
    bench.wait_state(waiting, "sent").await;
    wait("the end", async || {
        texts().iter().any(|text| text.contains("reach the chat again after"))
    })
    .await;
    wait("health", async || conditions.lock().unwrap().last() == Some(&true)).await;
    let chat = || {
        bench
            .texts()
            .iter()
            .any(|text| text.contains("reach the chat again after"))
    };
    wait("the end in the chat", async || chat()).await;
    assert!(!bench.texts().iter().any(|text| text.contains("do not reach")));
    assert_eq!(
        texts()
            .iter()
            .filter(|text| text.contains("do not reach the chat"))
            .count(),
        1
    );
    for running in [other, courier] {
        running.stop().await;
    }
    drain.stop().await;
}
