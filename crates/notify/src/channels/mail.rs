//! Copies of messages by mail: a critical one alone, others collected into one mail.
//!
//! What must hold: nothing goes to another host without TLS, and to none whose certificate is not for its name; the
//! connection and its TLS state live for one mail only, so that a service that sends none pays nothing for it; user and
//! password are in no text, and outside text makes no header.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
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

/// Numbers in the identifier of a mail; the count stands for the rest.
const MOST_NUMBERS: usize = 2;

/// A mail server and two addresses.
#[derive(Clone)]
pub struct MailOutlet {
    /// Name or address of the server; its certificate must be for it.
    pub host: String,
    /// Its port; 465 begins with TLS, others change to it, this host itself does without.
    pub port: u16,
    /// User and password.
    pub login: Option<(String, SecretString)>,
    /// Sender.
    pub from: String,
    /// Receiver.
    pub to: String,
    /// For tests, which have a server of their own.
    pub place: Option<Place>,
}

/// A server elsewhere than its name says, with a certificate that the system does not trust.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it listens.
    pub address: SocketAddr,
    /// What is trusted besides, in PEM.
    pub trusted: Vec<u8>,
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
            Ok(Err(error)) if refuses_content(&error) => Err(Refusal::Content { words: words(&error) }),
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
        let from = mailbox(&self.from)?;
        let id = identifier(&numbers, from.email.domain());
        Message::builder()
            .from(from)
            .to(mailbox(&self.to)?)
            .message_id(Some(id))
            .subject(Words::outside(&subject, SUBJECT).as_str())
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| never(&error))
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, Refusal> {
        let at = self.place.as_ref().map(|place| place.address);
        let server = at.map_or_else(|| self.host.clone(), |at| at.ip().to_string());
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server)
            .tls(self.tls()?)
            .port(at.map_or(self.port, |at| at.port()))
            .timeout(Some(DEADLINE / 3));
        if let Some((user, password)) = &self.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(builder.build())
    }

    fn tls(&self) -> Result<Tls, Refusal> {
        if self.port != SMTPS && is_this_host(&self.host) {
            return Ok(Tls::None);
        }
        let mut parameters = TlsParameters::builder(self.host.clone());
        if let Some(place) = &self.place {
            let trusted = Certificate::from_pem(&place.trusted).map_err(|error| later(&error))?;
            parameters = parameters.add_root_certificate(trusted);
        }
        let parameters = parameters.build().map_err(|error| later(&error))?;
        Ok(if self.port == SMTPS {
            Tls::Wrapper(parameters)
        } else {
            Tls::Required(parameters)
        })
    }
}

/// A refusal for good of this mail (RFC 5321, 4.2.3: 55x), not of us: a wrong password is no fault of one of them.
fn refuses_content(error: &lettre::transport::smtp::Error) -> bool {
    error
        .status()
        .is_some_and(|code| (550..=559).contains(&u16::from(code)))
}

/// The same for every try of a mail, so that receivers recognise a repeat.
fn identifier(numbers: &[String], domain: &str) -> String {
    let mut named = numbers.iter().take(MOST_NUMBERS).cloned().collect::<Vec<_>>();
    if numbers.len() > MOST_NUMBERS {
        named.push(format!("{}", numbers.len()));
    }
    format!("<cloudflare-mt.notification.{}@{domain}>", named.join("."))
}

fn is_this_host(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A wrong address is put right by a person, and the mail is sent then.
fn mailbox(address: &str) -> Result<Mailbox, Refusal> {
    address.parse().map_err(|_| Refusal::Later {
        words: "the address of sender or receiver is none (mail.from, mail.to)".into(),
        wait: None,
    })
}

fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        // Some repeat what is below them.
        if !text.contains(&deeper.to_string()) {
            text = format!("{text}: {deeper}");
        }
        cause = deeper.source();
    }
    if text.contains("invalid peer certificate") {
        text = format!("the mail server's certificate is refused, nothing was sent: {text}");
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
