//! Claiming an address, with errors that say what to do.
//!
//! Addresses are claimed before READY, so a taken port is a failed start that names it and not a service that runs
//! unheard. Tests claim port 0 and ask where they landed.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that the kernel keeps until they are taken. The usual 128 overflow when alerts come in a burst, and who is turned away
/// tries again only after a second. The kernel's own limit (`net.core.somaxconn`) applies as well.
const WAITING: u32 = 1024;

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
    /// To be called where tokio runs.
    ///
    /// # Errors
    /// When the address is taken, not this machine's, or not allowed.
    pub fn bind(address: SocketAddr, setting: &str) -> Result<Self, ListenError> {
        let refused = |source: io::Error| ListenError {
            address,
            setting: setting.to_owned(),
            remedy: remedy(address, &source),
            source,
        };
        let listener = listen(address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// The address that was claimed, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // The port of a service that ended a moment ago is free again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
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
        let listener = PreboundListener::bind(local(0), "webhook.listen").expect("binds");
        assert_ne!(listener.address().port(), 0);
    }

    #[tokio::test]
    async fn a_taken_port_says_which_and_what_to_do() {
        let first = PreboundListener::bind(local(0), "webhook.listen").expect("binds");
        let error = PreboundListener::bind(first.address(), "webhook.listen").expect_err("taken");
        let text = crate::logging::cause_chain(&error);
        let port = first.address().port();
        assert!(
            text.contains(&format!("cannot listen on 127.0.0.1:{port} (set by webhook.listen)")),
            "{text}"
        );
        assert!(text.contains(&format!("ss -ltnp 'sport = :{port}'")), "{text}");
        assert!(text.contains("in use"), "{text}");
    }

    /// With the usual queue of 128 the rest would be turned away and try again after a second, for ever.
    #[tokio::test]
    async fn a_burst_of_connections_waits_in_the_queue_until_it_is_taken() {
        let listener = PreboundListener::bind(local(0), "webhook.listen").expect("binds");
        let kernel = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("Linux says");
        let burst = kernel.trim().parse().unwrap_or(128).min(300_usize);
        let mut open = Vec::new();
        for number in 0..burst {
            let connecting = TcpStream::connect(listener.address());
            let connected = tokio::time::timeout(std::time::Duration::from_secs(30), connecting).await;
            open.push(connected.unwrap_or_else(|_| panic!("connection {number} is turned away")));
        }
        assert!(open.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn a_foreign_address_says_so() {
        let error = PreboundListener::bind("192.0.2.1:8080".parse().expect("an address"), "webhook.listen")
            .expect_err("not ours");
        assert!(
            error.to_string().contains("192.0.2.1 is no address of this machine"),
            "{error}"
        );
    }
}
