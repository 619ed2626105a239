//! Copies of messages by mail: a critical one alone, others collected into one mail.
//!
//! What must hold: nothing goes to another host without TLS; the connection and its TLS state live for one mail only, so
//! that a service that sends none pays nothing for it; user and password are in no text.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use super::{Parcel, Refusal};
use crate::words::Words;

/// How long one mail may take, all steps together.
const DEADLINE: Duration = Duration::from_secs(45);

/// Implicit TLS.
const SMTPS: u16 = 465;

/// Longest text kept of an error.
const LONGEST: usize = 240;

/// Longest subject, in characters.
const SUBJECT: usize = 150;

/// A mail server and two addresses.
#[derive(Clone)]
pub struct MailOutlet {
    /// Name or address of the server.
    pub host: String,
    /// Its port; 465 begins with TLS, others change to it, this host itself does without.
    pub port: u16,
    /// User and password.
    pub login: Option<(String, SecretString)>,
    /// Sender.
    pub from: String,
    /// Receiver.
    pub to: String,
}

impl fmt::Debug for MailOutlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailOutlet")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl MailOutlet {
    pub(super) async fn deliver(&self, parcels: &[Parcel]) -> Result<(), Refusal> {
        let message = self.message(parcels)?;
        let transport = self.transport()?;
        match tokio::time::timeout(DEADLINE, transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            // A refusal for good of one mail may be put right by a person (a full box, a wrong address); it is tried
            // until it is too old.
            Ok(Err(error)) => Err(later(&error)),
            Err(_) => Err(Refusal::Later {
                words: "no answer in time; it may have arrived".into(),
                wait: None,
            }),
        }
    }

    fn message(&self, parcels: &[Parcel]) -> Result<Message, Refusal> {
        let texts: Vec<String> = parcels.iter().map(|parcel| parcel.document.plain()).collect();
        let title = texts.first().and_then(|text| text.lines().next()).unwrap_or("Message");
        let subject = match texts.len() {
            0 | 1 => title.to_owned(),
            count => format!("{title} (and {} more)", count - 1),
        };
        let numbers: Vec<String> = parcels.iter().map(|parcel| parcel.row.id.to_string()).collect();
        let text = format!(
            "{}\n\nnotifications: {}\n",
            texts.join("\n\n----------------------------------------\n\n"),
            numbers.join(", ")
        );
        Message::builder()
            .from(mailbox(&self.from)?)
            .to(mailbox(&self.to)?)
            .subject(Words::outside(&subject, SUBJECT).as_str())
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| never(&error))
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, Refusal> {
        type Smtp = AsyncSmtpTransport<Tokio1Executor>;
        let builder = if self.port == SMTPS {
            Smtp::relay(&self.host).map_err(|error| later(&error))?
        } else if is_this_host(&self.host) {
            Smtp::builder_dangerous(&self.host)
        } else {
            Smtp::starttls_relay(&self.host).map_err(|error| later(&error))?
        };
        let mut builder = builder.port(self.port).timeout(Some(DEADLINE / 3));
        if let Some((user, password)) = &self.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(builder.build())
    }
}

fn is_this_host(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn mailbox(address: &str) -> Result<Mailbox, Refusal> {
    address.parse().map_err(|_| Refusal::Never {
        words: "the address of sender or receiver is none".into(),
    })
}

fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    Words::outside(&text, LONGEST).as_str().to_owned()
}

fn later(error: &dyn std::error::Error) -> Refusal {
    Refusal::Later {
        words: words(error),
        wait: None,
    }
}

fn never(error: &dyn std::error::Error) -> Refusal {
    Refusal::Never { words: words(error) }
}
