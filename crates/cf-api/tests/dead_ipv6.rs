//! A host whose IPv6 is dead, with real packets: two network namespaces joined by a veth pair.
//!
//! `drop.test` has an IPv6 address that no station answers to (frames go to a MAC address nobody
//! has, so the SYN vanishes); `silent.test` has one that accepts TCP and never speaks TLS. Both
//! have a good IPv4 address. The client runs in the other namespace as a process of its own, with
//! the real name lookup. Needs root and `ip netns`; without them the test says so and passes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::tls_server::{certificate, serve, silent};
use cf_api::{Transport, TransportConfig};
use tokio::net::{TcpListener, TcpStream};

const PORT: u16 = 8443;
const V4: &str = "10.77.0.2";
const V6_DROPPED: &str = "2001:db8:77::2";
const V6_SILENT: &str = "2001:db8:77::3";

fn ip(arguments: &str) -> Result<Output, String> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .map_err(|error| format!("ip cannot be run: {error}"))?;
    if output.status.success() {
        Ok(output)
    } else {
        let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(format!("ip {arguments}: {told}"))
    }
}

/// Two joined namespaces, removed with everything in them when dropped.
struct Namespaces {
    client: String,
    server: String,
    hosts: PathBuf,
    children: Vec<Child>,
}

impl Namespaces {
    fn new() -> Result<Self, String> {
        let id = std::process::id();
        let made = Self {
            client: format!("cfapi-c{id}"),
            server: format!("cfapi-s{id}"),
            hosts: PathBuf::from(format!("/etc/netns/cfapi-c{id}")),
            children: Vec::new(),
        };
        let (c, s) = (&made.client, &made.server);
        ip(&format!("netns add {c}"))?;
        ip(&format!("netns add {s}"))?;
        ip(&format!("link add vc netns {c} type veth peer name vs netns {s}"))?;
        ip(&format!("-n {c} addr add 10.77.0.1/24 dev vc"))?;
        ip(&format!("-n {c} addr add 2001:db8:77::1/64 dev vc nodad"))?;
        ip(&format!("-n {s} addr add {V4}/24 dev vs"))?;
        ip(&format!("-n {s} addr add {V6_DROPPED}/64 dev vs nodad"))?;
        ip(&format!("-n {s} addr add {V6_SILENT}/64 dev vs nodad"))?;
        for (namespace, device) in [(c, "vc"), (s, "vs")] {
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!("-n {namespace} link set {device} up"))?;
        }
        ip(&format!(
            "-n {c} neigh add {V6_DROPPED} lladdr 02:00:00:00:00:99 dev vc nud permanent"
        ))?;
        // `ip netns exec` shows these as /etc/hosts and so on.
        let write =
            |name: &str, text: String| std::fs::write(made.hosts.join(name), text).map_err(|error| error.to_string());
        std::fs::create_dir_all(&made.hosts).map_err(|error| error.to_string())?;
        write(
            "hosts",
            format!(
                "127.0.0.1 localhost\n{V6_DROPPED} drop.test\n{V4} drop.test\n\
                 {V6_SILENT} silent.test\n{V4} silent.test\n"
            ),
        )?;
        write("nsswitch.conf", "hosts: files\n".to_owned())?;
        Ok(made)
    }

    /// This test binary as `role` inside `namespace`.
    fn role(&self, namespace: &str, role: &str, folder: &Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", namespace])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", role, "--ignored", "--nocapture"])
            .env("DEAD_IPV6_FOLDER", folder)
            // A proxy of the environment must be ignored: nobody is there.
            .env("HTTPS_PROXY", "http://10.77.0.99:9")
            .env("https_proxy", "http://10.77.0.99:9")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = ip(&format!("netns del {}", self.client));
        let _ = ip(&format!("netns del {}", self.server));
        let _ = std::fs::remove_dir_all(&self.hosts);
    }
}

fn certificate_file(folder: &Path) -> PathBuf {
    folder.join("server.pem")
}

#[tokio::test]
async fn a_dead_ipv6_costs_a_fraction_of_a_second() {
    let mut namespaces = match Namespaces::new() {
        Ok(namespaces) => namespaces,
        Err(reason) => {
            eprintln!("SKIPPED: no network namespaces here ({reason})");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let server = namespaces
        .role(&namespaces.server, "dead_ipv6::role_server", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    namespaces.children.push(server);
    let limit = Instant::now() + Duration::from_secs(20);
    while !certificate_file(folder.path()).exists() {
        assert!(Instant::now() < limit, "the server did not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let output = namespaces
        .role(&namespaces.client, "dead_ipv6::role_client", folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}\n{errors}");
    for line in told.lines().filter(|line| line.starts_with("client:")) {
        println!("{line}");
    }
    assert_eq!(told.matches("client:").count(), 4, "{told}\n{errors}");
}

#[ignore = "started by the test above inside a namespace"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_server() {
    let folder = PathBuf::from(std::env::var_os("DEAD_IPV6_FOLDER").unwrap());
    let certificate = certificate(&["drop.test", "silent.test"]);
    // Listening on the dropped address too: only the network keeps clients from it.
    let dropped = TcpListener::bind((V6_DROPPED, PORT)).await.unwrap();
    serve(dropped, Some(certificate.acceptor.clone()), Duration::ZERO);
    silent(TcpListener::bind((V6_SILENT, PORT)).await.unwrap());
    let good = TcpListener::bind((V4, PORT)).await.unwrap();
    serve(good, Some(certificate.acceptor.clone()), Duration::ZERO);
    // Appears complete or not at all.
    std::fs::write(folder.join("making"), &certificate.pem).unwrap();
    std::fs::rename(folder.join("making"), certificate_file(&folder)).unwrap();
    std::future::pending::<()>().await;
}

#[ignore = "started by the test above inside a namespace"]
#[tokio::test]
async fn role_client() {
    let folder = PathBuf::from(std::env::var_os("DEAD_IPV6_FOLDER").unwrap());
    let pem = std::fs::read(certificate_file(&folder)).unwrap();

    // The scene is as described, or the rest would prove nothing.
    let connecting = TcpStream::connect((V6_DROPPED, PORT));
    let outcome = tokio::time::timeout(Duration::from_secs(1), connecting).await;
    assert!(outcome.is_err(), "the SYN is swallowed: {outcome:?}");
    TcpStream::connect((V6_SILENT, PORT)).await.unwrap();

    for host in ["drop.test", "silent.test"] {
        let found: Vec<_> = tokio::net::lookup_host((host, PORT)).await.unwrap().collect();
        assert!(found[0].is_ipv6(), "IPv6 is preferred: {found:?}");
        let transport = Transport::new(TransportConfig {
            extra_roots_pem: vec![pem.clone()],
            ..TransportConfig::default()
        });
        let client = transport.client().unwrap();
        for time in ["first", "second"] {
            let start = Instant::now();
            let response = client.get(format!("https://{host}:{PORT}/")).send().await.unwrap();
            let took = start.elapsed();
            assert_eq!(response.text().await.unwrap(), V4);
            println!("client: {host} {time} request took {} ms", took.as_millis());
            // 0.25 s head start, then nothing; the rest is room for a busy machine.
            assert!(took < Duration::from_millis(1_000), "{host} {time}: {took:?}");
        }
        assert_eq!(transport.last_family(host), Some(cf_api::transport::Family::V4));
    }
}
