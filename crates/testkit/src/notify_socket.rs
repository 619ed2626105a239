//! The end of a NOTIFY_SOCKET that the test owns: what a service tells its manager, with the time it took.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UnixDatagram;
use tokio::task::JoinHandle;

/// Longest message kept; ours are far shorter.
const LONGEST: usize = 4_096;

/// One message with its time since the manager was made.
#[derive(Debug, Clone)]
pub struct Message {
    /// Since the start.
    pub after: Duration,
    /// As sent, such as `READY=1`.
    pub text: String,
}

/// Listens on a socket of its own until it is dropped.
#[derive(Debug)]
pub struct Manager {
    path: PathBuf,
    messages: Arc<Mutex<Vec<Message>>>,
    task: JoinHandle<()>,
}

impl Manager {
    /// Listens at `path`, which must not exist.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn listen(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        let messages = Arc::new(Mutex::new(Vec::new()));
        let (kept, began) = (Arc::clone(&messages), Instant::now());
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; LONGEST];
            while let Ok(length) = socket.recv(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let after = began.elapsed();
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Message { after, text });
            }
        });
        Ok(Self {
            path: path.to_owned(),
            messages,
            task,
        })
    }

    /// The socket's address.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When a message containing `part` came, if one did.
    #[must_use]
    pub fn heard(&self, part: &str) -> Option<Duration> {
        self.messages()
            .into_iter()
            .find(|m| m.text.contains(part))
            .map(|m| m.after)
    }

    /// The last plain words about what the service does.
    #[must_use]
    pub fn status(&self) -> Option<String> {
        let messages = self.messages();
        let lines = messages.iter().rev().flat_map(|message| message.text.lines().rev());
        lines
            .filter_map(|line| line.strip_prefix("STATUS="))
            .map(str::to_owned)
            .next()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}
