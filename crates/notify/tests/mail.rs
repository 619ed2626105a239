//! Mail over TLS with a login, against a small server of this file: what is said before TLS and what never is, whose
//! certificate is taken, and what becomes of mails that a server refuses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::bench::{Bench, medium, raised};
use crate::support::couriers::{begun, copies, run, wait, wait_copy};
use db::outbox::Copy;
use domain::ids::NotificationId;
use domain::notice::Priority;
use notify::channels::mail::{MailOutlet, Place};
use notify::channels::{Outlet, Route};
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const NAME: &str = "mail.example.net";
const PASSWORD: &str = "canary-password-0001";

/// `\0user\0password` in base64, as RFC 4616 has it.
const LOGIN: &str = "AUTH PLAIN AG10AGNhbmFyeS1wYXNzd29yZC0wMDAx";

struct Certificate {
    pem: Vec<u8>,
    acceptor: TlsAcceptor,
}

fn certificate(name: &str) -> Certificate {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    Certificate {
        pem: made.cert.pem().into_bytes(),
        acceptor: TlsAcceptor::from(Arc::new(config)),
    }
}

/// How a server behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// TLS from the first byte.
    Implicit,
    /// Offers STARTTLS.
    Starttls,
    /// Does not.
    Bare,
}

/// What a server heard and took.
#[derive(Default)]
struct Heard {
    /// Commands before TLS.
    open: Vec<String>,
    /// Commands within TLS.
    sealed: Vec<String>,
    /// Mails taken.
    mails: Vec<String>,
}

type Shared = Arc<Mutex<Heard>>;

struct Server {
    place: Place,
    heard: Shared,
    /// Words in a mail for which it is refused for good.
    refused: Arc<Mutex<Option<&'static str>>>,
    /// Logins that are refused from now on.
    wrong_logins: Arc<Mutex<u32>>,
}

impl Server {
    async fn start(manner: Manner, name: &str) -> Self {
        let certificate = certificate(name);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            place: Place {
                address: listener.local_addr().unwrap(),
                trusted: certificate.pem,
            },
            heard: Shared::default(),
            refused: Arc::default(),
            wrong_logins: Arc::default(),
        };
        let (heard, refused, wrong) = (
            Arc::clone(&server.heard),
            Arc::clone(&server.refused),
            Arc::clone(&server.wrong_logins),
        );
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = certificate.acceptor.clone();
                let session = Session {
                    heard: Arc::clone(&heard),
                    refused: Arc::clone(&refused),
                    wrong: Arc::clone(&wrong),
                };
                tokio::spawn(async move {
                    let stream = match manner {
                        Manner::Implicit => stream,
                        _ => match session.open(stream, manner).await {
                            Some(stream) => stream,
                            None => return,
                        },
                    };
                    if let Ok(stream) = acceptor.accept(stream).await {
                        session.sealed(stream, manner == Manner::Implicit).await;
                    }
                });
            }
        });
        server
    }

    fn outlet(&self, manner: Manner) -> Outlet {
        Outlet::Mail(MailOutlet {
            host: NAME.into(),
            port: if manner == Manner::Implicit { 465 } else { 587 },
            login: Some(("mt".into(), SecretString::from(PASSWORD))),
            from: "mt@example.net".into(),
            to: "noc@example.net".into(),
            place: Some(self.place.clone()),
        })
    }

    fn mails(&self) -> Vec<String> {
        self.heard.lock().unwrap().mails.clone()
    }
}

struct Session {
    heard: Shared,
    refused: Arc<Mutex<Option<&'static str>>>,
    wrong: Arc<Mutex<u32>>,
}

impl Session {
    /// The part before TLS; gives the connection back when TLS is to begin.
    async fn open(&self, stream: tokio::net::TcpStream, manner: Manner) -> Option<tokio::net::TcpStream> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 test\r\n").await.ok()?;
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
            let command = line.trim_end().to_owned();
            line.clear();
            self.heard.lock().unwrap().open.push(command.clone());
            let answer = match command.as_str() {
                "STARTTLS" if manner == Manner::Starttls => {
                    stream.write_all(b"220 go\r\n").await.ok()?;
                    return Some(stream.into_inner());
                }
                "QUIT" => "221 bye",
                command if command.starts_with("EHLO") && manner == Manner::Starttls => {
                    "250-test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"
                }
                command if command.starts_with("EHLO") => "250-test\r\n250 AUTH PLAIN LOGIN",
                _ => "250 fine",
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        }
        None
    }

    async fn sealed(&self, stream: impl AsyncRead + AsyncWrite + Unpin, greets: bool) {
        let mut stream = BufReader::new(stream);
        if greets {
            stream.write_all(b"220 test\r\n").await.unwrap();
        }
        let mut mail = None::<String>;
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
            let command = line.trim_end_matches(['\r', '\n']).to_owned();
            line.clear();
            let answer = if let Some(text) = &mut mail {
                if command != "." {
                    text.push_str(&command);
                    text.push('\n');
                    continue;
                }
                let text = mail.take().unwrap();
                let refused = self
                    .refused
                    .lock()
                    .unwrap()
                    .is_some_and(|word| text_of(&text).contains(word));
                if refused {
                    "554 5.7.1 not in my house"
                } else {
                    self.heard.lock().unwrap().mails.push(text);
                    "250 taken"
                }
            } else {
                self.heard.lock().unwrap().sealed.push(command.clone());
                match command.as_str() {
                    "DATA" => {
                        mail = Some(String::new());
                        "354 go on"
                    }
                    "QUIT" => "221 bye",
                    LOGIN => {
                        let mut wrong = self.wrong.lock().unwrap();
                        if *wrong > 0 {
                            *wrong -= 1;
                            "535 5.7.8 who are you"
                        } else {
                            "235 welcome"
                        }
                    }
                    command if command.starts_with("EHLO") => "250-test\r\n250 AUTH PLAIN LOGIN",
                    command if command.starts_with("AUTH") => "535 5.7.8 that is no login",
                    _ => "250 fine",
                }
            };
            if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// The text of a mail that is not in base64.
fn text_of(mail: &str) -> String {
    mail.replace("=\n", "")
}

fn headers(mail: &str) -> Vec<String> {
    let (head, _) = mail.split_once("\n\n").unwrap();
    let unfolded = head.replace("\n ", " ").replace("\n\t", " ");
    unfolded.lines().map(str::to_owned).collect()
}

async fn wait_reason(bench: &Bench, id: NotificationId, words: &str) -> Copy {
    let has = |copy: &Copy| copy.reason.as_deref().is_some_and(|reason| reason.contains(words));
    wait(&format!("{id} waits because: {words}"), async || {
        copies(bench, id).await.first().is_some_and(has)
    })
    .await;
    copies(bench, id).await.remove(0)
}

#[tokio::test]
async fn nothing_is_said_before_tls_and_the_login_is_within() {
    for manner in [Manner::Starttls, Manner::Implicit] {
        let bench = Bench::new().await;
        let server = Server::start(manner, NAME).await;
        let courier = run(&bench, server.outlet(manner), Route::All, "a", Duration::ZERO);
        begun(&bench, "mail").await;
        let (id, number) = bench.enter(medium("sealed")).await;
        wait_copy(&bench, id, "sent").await;
        courier.stop().await;
        let heard = server.heard.lock().unwrap();
        assert_eq!(heard.mails.len(), 1);
        assert!(text_of(&heard.mails[0]).contains(&number), "{}", heard.mails[0]);
        let open: Vec<&str> = heard.open.iter().map(|line| line.split(' ').next().unwrap()).collect();
        match manner {
            Manner::Implicit => assert!(open.is_empty(), "{open:?}"),
            _ => assert_eq!(open, ["EHLO", "STARTTLS"]),
        }
        let sealed: Vec<&str> = heard
            .sealed
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(sealed[..2], ["EHLO", "AUTH"], "{sealed:?}");
        assert_eq!(heard.sealed[1], LOGIN);
        assert!(sealed.contains(&"MAIL") && sealed.contains(&"RCPT"), "{sealed:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_or_of_a_stranger_is_refused() {
    for manner in [Manner::Starttls, Manner::Implicit] {
        for (name, stranger, words) in [
            ("other.example.net", false, "not valid for name"),
            (NAME, true, "invalid peer certificate"),
        ] {
            let bench = Bench::new().await;
            let mut server = Server::start(manner, name).await;
            if stranger {
                server.place.trusted = certificate(NAME).pem;
            }
            let courier = run(&bench, server.outlet(manner), Route::All, "a", Duration::ZERO);
            begun(&bench, "mail").await;
            let (id, _) = bench.enter(raised("secret matter", Priority::Critical)).await;
            let copy = wait_reason(&bench, id, words).await;
            let reason = copy.reason.unwrap();
            assert!(
                reason.starts_with("the mail server's certificate is refused, nothing was sent: "),
                "{reason}"
            );
            assert_eq!(copy.state, "queued", "somebody may put it right");
            let channel = bench
                .db
                .read("test", |tx| db::outbox::channel(tx, "mail"))
                .await
                .unwrap();
            assert_eq!(channel.blocked_because, Some(reason));
            courier.stop().await;
            let heard = server.heard.lock().unwrap();
            assert!(heard.sealed.is_empty() && heard.mails.is_empty(), "{:?}", heard.sealed);
            assert!(
                heard
                    .open
                    .iter()
                    .all(|line| line.starts_with("EHLO") || line == "STARTTLS"),
                "{:?}",
                heard.open
            );
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_gets_neither_login_nor_mail() {
    let bench = Bench::new().await;
    let server = Server::start(Manner::Bare, NAME).await;
    let courier = run(&bench, server.outlet(Manner::Bare), Route::All, "a", Duration::ZERO);
    begun(&bench, "mail").await;
    let (id, _) = bench.enter(medium("secret matter")).await;
    let copy = wait_reason(&bench, id, "STARTTLS").await;
    assert_eq!(copy.state, "queued");
    courier.stop().await;
    let heard = server.heard.lock().unwrap();
    let said = heard.open.iter().all(|line| line.starts_with("EHLO") || line == "QUIT");
    assert!(said && heard.mails.is_empty(), "{:?}", heard.open);
}

#[tokio::test]
async fn a_refused_login_is_tried_again_and_shown_nowhere() {
    let bench = Bench::new().await;
    let server = Server::start(Manner::Starttls, NAME).await;
    *server.wrong_logins.lock().unwrap() = 1_000;
    let courier = run(&bench, server.outlet(Manner::Starttls), Route::All, "a", Duration::ZERO);
    begun(&bench, "mail").await;
    let mut ids = Vec::new();
    for index in 0..3 {
        ids.push(bench.enter(medium(&format!("waits {index}"))).await.0);
    }
    for id in &ids {
        let reason = wait_reason(&bench, *id, "who are you").await.reason.unwrap();
        assert!(!reason.contains("canary") && !reason.contains(&LOGIN[11..]), "{reason}");
    }
    assert!(server.mails().is_empty());
    *server.wrong_logins.lock().unwrap() = 0;
    for id in &ids {
        wait_copy(&bench, *id, "sent").await;
    }
    courier.stop().await;
    assert!(!server.mails().is_empty());
}

#[tokio::test]
async fn one_mail_that_is_refused_for_good_keeps_no_other_back() {
    let bench = Bench::new().await;
    let server = Server::start(Manner::Starttls, NAME).await;
    *server.refused.lock().unwrap() = Some("poison");
    // What is collected is sent together: all of it is there before the courier begins.
    let courier = run(
        &bench,
        server.outlet(Manner::Starttls),
        Route::All,
        "a",
        Duration::from_secs(600),
    );
    begun(&bench, "mail").await;
    courier.stop().await;
    let mut ids = Vec::new();
    for title in ["one", "two", "poison", "three", "four"] {
        ids.push(bench.enter(medium(title)).await.0);
    }
    let poison = ids.remove(2);
    let courier = run(
        &bench,
        server.outlet(Manner::Starttls),
        Route::All,
        "b",
        Duration::from_secs(600),
    );
    for id in &ids {
        wait_copy(&bench, *id, "sent").await;
    }
    wait_reason(&bench, poison, "not in my house").await;
    courier.stop().await;
    assert_eq!(server.mails().len(), ids.len(), "one by one");
}

#[tokio::test]
async fn outside_text_makes_no_header_and_no_command() {
    let bench = Bench::new().await;
    let server = Server::start(Manner::Starttls, NAME).await;
    let courier = run(&bench, server.outlet(Manner::Starttls), Route::All, "a", Duration::ZERO);
    begun(&bench, "mail").await;
    let hostile = [
        "x\r\nBcc: thief@example.org\r\nContent-Type: text/html\r\n\r\n<b>".to_owned(),
        "\n.\r\nMAIL FROM:<thief@example.org>\r\nRCPT TO:<thief@example.org>\r\nDATA\r\n".to_owned(),
        "=?utf-8?q?fake?= \u{202E}gnp.exe \u{85}Bcc: x\u{2028}Bcc: y ".repeat(40),
        "שלום ".repeat(100),
    ];
    for title in &hostile {
        let (id, _) = bench.enter(raised(title, Priority::Critical)).await;
        wait_copy(&bench, id, "sent").await;
    }
    courier.stop().await;
    let mails = server.mails();
    assert_eq!(mails.len(), hostile.len());
    for mail in &mails {
        let mut names: Vec<String> = headers(mail)
            .iter()
            .map(|line| line.split_once(": ").expect(line).0.to_lowercase())
            .collect();
        names.sort();
        names.retain(|name| name != "content-transfer-encoding");
        assert_eq!(
            names,
            ["content-type", "date", "from", "message-id", "subject", "to"],
            "{mail}"
        );
        assert!(
            headers(mail).contains(&"Content-Type: text/plain; charset=utf-8".to_owned()),
            "{mail}"
        );
        assert!(mail.lines().all(|line| line.len() <= 998), "RFC 5322, 2.1.1");
    }
    let heard = server.heard.lock().unwrap();
    let thieves = heard.sealed.iter().filter(|line| line.contains("thief"));
    assert_eq!(thieves.count(), 0);
    assert_eq!(
        heard.sealed.iter().filter(|line| line.starts_with("RCPT")).count(),
        hostile.len()
    );
}
