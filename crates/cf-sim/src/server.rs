//! The listener: reads a request, logs it, applies faults, asks the simulated service, sends the answer.
//!
//! An own accept loop instead of a framework's, because faults must be able to cut or reset a connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::faults::{FaultKind, Hit, Target};
use crate::request_log::RequestEntry;
use crate::wire::{Reply, Request};
use crate::world::World;
use crate::{control, graphql, rest, telegram};

/// Larger bodies are refused with 413.
const MAX_BODY: usize = 4 << 20;
/// Time for half a body to be sent before the connection breaks off; otherwise nothing of it would go out.
const FLUSH: Duration = Duration::from_millis(50);
/// Connections at a time; more wait.
const MAX_CONNECTIONS: usize = 512;

/// Accepts until `stop` becomes true, then drops all connections.
pub(crate) async fn serve(listener: TcpListener, world: Arc<World>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.wait_for(|s| *s) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&world)));
                }
            }
        }
    }
    connections.shutdown().await;
}

/// How a connection ends when a fault cuts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Cut {
    #[error("closed by a fault")]
    Close,
    #[error("reset by a fault")]
    Reset,
}

async fn connection(stream: TcpStream, world: Arc<World>) {
    let cut = Arc::new(std::sync::Mutex::new(None));
    let noted = Arc::clone(&cut);
    let service = service_fn(move |request| {
        let (world, noted) = (Arc::clone(&world), Arc::clone(&noted));
        async move {
            let answer = handle(request, &world).await;
            if let Err(how) = &answer
                && let Ok(mut slot) = noted.lock()
            {
                *slot = Some(*how);
            }
            answer
        }
    });
    let mut conn = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .serve_connection(TokioIo::new(stream), service);
    let ended = (&mut conn).await;
    let reset = cut.lock().is_ok_and(|c| *c == Some(Cut::Reset));
    if ended.is_err() && reset {
        // With a zero linger time closing sends RST instead of FIN.
        let stream = conn.into_parts().io.into_inner();
        let _ = stream.set_zero_linger();
    }
}

async fn handle(request: hyper::Request<Incoming>, world: &Arc<World>) -> Result<hyper::Response<Answer>, Cut> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(_) => {
            return Ok(answer(
                Reply::json(413, &serde_json::json!({"error": "body too large"})),
                false,
            ));
        }
    };
    let request = Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
    };
    if request.path == "/_sim" || request.path.starts_with("/_sim/") {
        return Ok(answer(control::handle(&request, world).await, false));
    }
    let surface = surface(&request.path);
    let now = Timestamp::now();
    let (seq, hits) = {
        let mut state = world.lock();
        let document = if surface == Target::Graphql {
            String::from_utf8_lossy(&request.body)
        } else {
            "".into()
        };
        let hits = state
            .faults
            .hits(surface, &request.method, &[&request.path, &document], now);
        let entry = RequestEntry {
            seq: 0,
            at: now,
            surface: word(surface).to_owned(),
            method: request.method.clone(),
            path: telegram::mask_token(&request.path),
            query: request.query.clone(),
            body: String::new(),
            status: None,
            faults: hits.iter().map(|h| h.id.clone()).collect(),
            user_agent: request.header("user-agent").unwrap_or_default().to_owned(),
        };
        (state.log.open(entry, &request.body), hits)
    };
    let result = faulted(&request, surface, hits, world).await;
    let status = result.as_ref().ok().map(|(reply, _)| reply.status);
    world.lock().log.update(seq, |e| e.status = status);
    let (reply, truncated) = result?;
    Ok(answer(reply, truncated))
}

async fn faulted(request: &Request, surface: Target, hits: Vec<Hit>, world: &Arc<World>) -> Result<(Reply, bool), Cut> {
    let mut decisive = None;
    for hit in hits {
        match hit.kind {
            FaultKind::Delay { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            _ => decisive = Some(hit),
        }
    }
    let Some(hit) = decisive else {
        return Ok((ask(request, surface, None, world).await, false));
    };
    // These change or cut the real answer, so the service is asked.
    let needs_answer = matches!(
        hit.kind,
        FaultKind::GraphqlErrorsWithData { .. }
            | FaultKind::EmptyRows
            | FaultKind::TruncateRows { .. }
            | FaultKind::StaleRows { .. }
            | FaultKind::TruncatedBody
            | FaultKind::IgnoreChange
    );
    let real = if needs_answer || hit.after_apply {
        Some(ask(request, surface, Some(&hit.kind), world).await)
    } else {
        None
    };
    match hit.kind {
        FaultKind::Hang => {
            std::future::pending::<Infallible>().await;
            Err(Cut::Close)
        }
        FaultKind::Refuse => Err(Cut::Close),
        FaultKind::Reset => Err(Cut::Reset),
        FaultKind::TruncatedBody => Ok((real.unwrap_or_else(|| Reply::json(200, &serde_json::json!({}))), true)),
        kind if needs_answer => Ok((real.unwrap_or_else(|| spoilt(&kind, surface, world)), false)),
        kind => Ok((spoilt(&kind, surface, world), false)),
    }
}

async fn ask(request: &Request, surface: Target, fault: Option<&FaultKind>, world: &Arc<World>) -> Reply {
    match surface {
        Target::Graphql => graphql::handle(request, fault, world),
        Target::Rest => rest::handle(request, fault, world).await,
        Target::Telegram => telegram::handle(request, world).await,
        Target::Webhook | Target::Any => Reply::json(404, &serde_json::json!({"error": "nothing is simulated here"})),
    }
}

/// The answer of a fault that does not need the real one.
fn spoilt(kind: &FaultKind, surface: Target, world: &World) -> Reply {
    use serde_json::json;
    let html = |status: u16| Reply {
        status,
        content_type: "text/html; charset=UTF-8",
        headers: Vec::new(),
        body: format!(
            "<!DOCTYPE html>\n<html><head><title>{status}</title></head><body><h1>Error {status}</h1></body></html>\n"
        )
        .into_bytes(),
    };
    match kind {
        FaultKind::Status {
            status,
            body: Some(body),
        } => Reply::json(*status, body),
        FaultKind::Status { status, body: None } if *status == 204 => Reply {
            status: 204,
            content_type: "application/json",
            headers: Vec::new(),
            body: Vec::new(),
        },
        FaultKind::Status { status, body: None } => match surface {
            Target::Telegram => telegram::error(*status, "Simulated failure"),
            _ if *status >= 500 => html(*status),
            Target::Graphql => graphql::errors_reply(*status, &["Internal server error".to_owned()]),
            _ => rest::failure(*status, 1000, "Simulated failure"),
        },
        FaultKind::RateLimited { retry_after } => {
            let reply = match surface {
                Target::Telegram => return telegram::flood(retry_after.unwrap_or(1)),
                Target::Graphql => graphql::errors_reply(
                    429,
                    &["rate limiter budget depleted, try again after 5 minutes".to_owned()],
                ),
                _ => rest::failure(
                    429,
                    10_429,
                    "Too many requests. Please consider throttling your request speed.",
                ),
            };
            match retry_after {
                Some(seconds) => reply.header("retry-after", seconds),
                None => reply,
            }
        }
        FaultKind::Garbage => Reply {
            status: 200,
            content_type: "application/json",
            headers: Vec::new(),
            body: vec![0x7b, 0x22, 0xff, 0xfe, 0x00, 0x5d, 0x7d, 0x0a, 0x80, 0x3c],
        },
        FaultKind::Html { status } => html(*status),
        FaultKind::GraphqlErrors { messages } => graphql::errors_reply(200, messages),
        FaultKind::Telegram {
            code,
            description,
            retry_after,
            migrate_to_chat_id,
        } => {
            if let Some(new) = migrate_to_chat_id {
                world.lock().chats.migrate(*new);
            }
            telegram::error_with(*code, description, *retry_after, *migrate_to_chat_id)
        }
        _ => Reply::json(500, &json!({"error": "this fault has no answer of its own here"})),
    }
}

fn surface(path: &str) -> Target {
    let under = |base: &str| path == base || path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    if under("/client/v4/graphql") {
        Target::Graphql
    } else if under("/client/v4") {
        Target::Rest
    } else if under("/telegram") {
        Target::Telegram
    } else {
        Target::Any
    }
}

fn word(surface: Target) -> &'static str {
    match surface {
        Target::Rest => "rest",
        Target::Graphql => "graphql",
        Target::Telegram => "telegram",
        Target::Webhook | Target::Any => "other",
    }
}

fn answer(reply: Reply, truncated: bool) -> hyper::Response<Answer> {
    let cut = truncated.then(|| Box::pin(tokio::time::sleep(FLUSH)));
    let length = reply.body.len();
    let mut response = hyper::Response::new(Answer {
        body: Some(reply.body.into()),
        cut,
    });
    *response.status_mut() =
        hyper::StatusCode::from_u16(reply.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static(reply.content_type),
    );
    if truncated {
        headers.insert(hyper::header::CONTENT_LENGTH, length.into());
    }
    for (name, value) in reply.headers {
        if let Ok(value) = hyper::header::HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

/// A body that can break off in the middle.
struct Answer {
    body: Option<Bytes>,
    /// Set for a body that breaks off: runs out when the first half is surely on its way.
    cut: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match (self.body.take(), &mut self.cut) {
            (Some(body), Some(_)) => Poll::Ready(Some(Ok(Frame::data(body.slice(..body.len() / 2))))),
            (Some(body), None) if !body.is_empty() => Poll::Ready(Some(Ok(Frame::data(body)))),
            (None, Some(sent)) => sent.as_mut().poll(context).map(|()| Some(Err(Cut::Close))),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && self.body.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.body, &self.cut) {
            (Some(body), None) => SizeHint::with_exact(body.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
