//! Where copies of messages go beside the chat, and who may ask the bot.

use secrecy::SecretString;

use super::MitigationSystems;

/// Which messages a channel gets: all, or those whose kind or urgency is named.
pub type Selection = MitigationSystems;

/// A web address that gets messages as JSON.
#[derive(Debug, Clone)]
pub struct AlertWebhook {
    /// The address.
    pub url: String,
    /// Key of the signature.
    pub secret: SecretString,
    /// Which messages.
    pub send: Selection,
}

/// Messages by mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Name or address of the server.
    pub host: String,
    /// 465: TLS from the first byte. Any other: STARTTLS is demanded, except of this host itself.
    pub port: u16,
    /// User and password, for servers that ask for them.
    pub login: Option<(String, SecretString)>,
    /// Sender.
    pub from: String,
    /// Receiver.
    pub to: String,
    /// Which messages.
    pub send: Selection,
}
