//! Claiming an address, with errors that say what to do.
//!
//! Addresses are claimed before READY, so a taken port is a failed start that names it and not a service that runs
//! unheard. Tests claim port 0 and ask where they landed.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// An address that is ours and takes connections into the kernel's queue until it is served.
#[derive(Debug)]
pub struct PreboundListener {
    listener: TcpListener,
    address: SocketAddr,
}

/// An address could not be claimed.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (set by {setting}): {remedy}")]
pub struct ListenError {
    /// The address asked for.
    pub address: SocketAddr,
    /// The key that sets it, for example `webhook.listen`.
    pub setting: String,
    /// What is in the way and what to do.
    remedy: String,
    #[source]
    source: io::Error,
}

impl PreboundListener {
    /// Claims `address`, which `setting` (a key such as `webhook.listen`) asks for. Port 0 takes any free one.
    ///
    /// # Errors
    /// When the address is taken, not this machine's, or not allowed.
    pub async fn bind(address: SocketAddr, setting: &str) -> Result<Self, ListenError> {
        let refused = |source: io::Error| ListenError {
            address,
            setting: setting.to_owned(),
            remedy: remedy(address, &source),
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// The address that was claimed, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn remedy(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program, or another copy of this one, holds the port; `ss -ltnp 'sport = :{port}'` names it; \
             stop it or choose another port"
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "{} is no address of this machine; `ip address` lists them; choose one of them or 0.0.0.0",
            address.ip()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "port {port} needs a privilege the program does not have; choose a port from 1024 up, or grant \
             CAP_NET_BIND_SERVICE in the unit"
        ),
        _ => "the system refused".to_owned(),
    }
}

/// Where connections come from. A trait so that tests can make accepting fail.
pub(super) trait Accept: Send + 'static {
    /// The next connection. Dropping the future loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send;
}

impl Accept for PreboundListener {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[tokio::test]
    async fn port_0_lands_somewhere() {
        let listener = PreboundListener::bind(local(0), "webhook.listen").await.expect("binds");
        assert_ne!(listener.address().port(), 0);
    }

    #[tokio::test]
    async fn a_taken_port_says_which_and_what_to_do() {
        let first = PreboundListener::bind(local(0), "webhook.listen").await.expect("binds");
        let error = PreboundListener::bind(first.address(), "webhook.listen")
            .await
            .expect_err("taken");
        let text = crate::logging::cause_chain(&error);
        let port = first.address().port();
        assert!(
            text.contains(&format!("cannot listen on 127.0.0.1:{port} (set by webhook.listen)")),
            "{text}"
        );
        assert!(text.contains(&format!("ss -ltnp 'sport = :{port}'")), "{text}");
        assert!(text.contains("in use"), "{text}");
    }

    #[tokio::test]
    async fn a_foreign_address_says_so() {
        let error = PreboundListener::bind("192.0.2.1:8080".parse().expect("an address"), "webhook.listen")
            .await
            .expect_err("not ours");
        assert!(
            error.to_string().contains("192.0.2.1 is no address of this machine"),
            "{error}"
        );
    }
}
