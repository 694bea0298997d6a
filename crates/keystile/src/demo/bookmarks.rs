//! The sample API: bookmarks as JSON over HTTP, as an owner might have it before Keystile came.
//!
//! ```text
//! GET    /bookmarks?limit=20&after=7    a JSON array, by number
//! POST   /bookmarks                     {"url": "https://example.org", "title": "Mine"}  201
//! GET    /bookmarks/{id}
//! PUT    /bookmarks/{id}                replaces, needs both fields
//! PATCH  /bookmarks/{id}                changes what it names
//! DELETE /bookmarks/{id}                204
//! ```
//!
//! What is wrong with a request is answered as problem details (RFC 9457).
//!
//! # Not here
//!
//! Who may call, and how much: that is the gate's business.

mod answer;
mod input;
mod problem;
mod shelf;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderValue, LOCATION};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use answer::{Answer, json};
use input::{Change, checked, checked_title, checked_url, page, read};
use problem::Problem;
use shelf::{Draft, Shelf};

/// The API while it serves; dropping it closes its port and its connections.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) address: SocketAddr,
    tasks: JoinSet<()>,
}

impl Api {
    /// Serves the bookmarks of a file on a free port of this machine; a new file gets so many bookmarks.
    pub(super) async fn start(file: &Path, seeds: u32) -> anyhow::Result<Self> {
        let shelf = Arc::new(Shelf::open(file)?);
        if shelf.list(0, 1)?.is_empty() {
            for number in 1..=seeds {
                let url = format!("https://example.org/articles/{number}");
                shelf.add(Draft { url, title: format!("Article {number}") })?;
            }
        }
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, shelf));
        Ok(Self { address, tasks })
    }

    /// Ends it.
    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn serve(listener: TcpListener, shelf: Arc<Shelf>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, shelf.clone()));
                while connections.try_join_next().is_some() {}
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the sample API could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, shelf: Arc<Shelf>) {
    let service = service_fn(|request| {
        let shelf = shelf.clone();
        async move { Ok::<_, Infallible>(answer(&shelf, request).await.unwrap_or_else(Problem::render)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the sample API broke off");
    }
}

/// What a path names.
enum Place {
    All,
    One(i64),
}

impl Place {
    fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/bookmarks")?;
        if rest.is_empty() {
            return Some(Self::All);
        }
        let digits = rest.strip_prefix('/')?;
        let is_number =
            digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        digits.parse().ok().filter(|_| is_number).map(Self::One)
    }

    fn methods(&self) -> &'static str {
        match self {
            Self::All => "GET, HEAD, POST",
            Self::One(_) => "GET, HEAD, PUT, PATCH, DELETE",
        }
    }
}

async fn answer(shelf: &Shelf, request: Request<Incoming>) -> Result<Answer, Problem> {
    let (parts, body) = request.into_parts();
    let Some(place) = Place::of(parts.uri.path()) else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "There is /bookmarks and /bookmarks/{id}.",
        ));
    };
    match (&place, &parts.method) {
        // hyper leaves the body out where the method is HEAD.
        (Place::All, &Method::GET | &Method::HEAD) => {
            let (after, limit) = page(&parts.uri)?;
            Ok(json(StatusCode::OK, &shelf.list(after, limit)?))
        }
        (Place::All, &Method::POST) => {
            let draft: Draft = read(&parts.headers, body).await?;
            let added = shelf.add(checked(draft)?)?;
            let mut answer = json(StatusCode::CREATED, &added);
            let location = HeaderValue::try_from(format!("/bookmarks/{}", added.id));
            answer
                .headers_mut()
                .insert(LOCATION, location.expect("a path of digits is a field value"));
            Ok(answer)
        }
        (Place::One(id), &Method::GET | &Method::HEAD) => {
            let found = shelf.find(*id)?.ok_or_else(|| Problem::no_bookmark(*id))?;
            Ok(json(StatusCode::OK, &found))
        }
        (Place::One(id), &Method::PUT) => {
            let draft: Draft = read(&parts.headers, body).await?;
            let replaced = shelf.replace(*id, checked(draft)?)?;
            Ok(json(StatusCode::OK, &replaced.ok_or_else(|| Problem::no_bookmark(*id))?))
        }
        (Place::One(id), &Method::PATCH) => {
            let Change { url, title } = read(&parts.headers, body).await?;
            if url.is_none() && title.is_none() {
                return Err(Problem::bad("Name what is to change: url, title, or both."));
            }
            let (url, title) =
                (url.map(checked_url).transpose()?, title.map(checked_title).transpose()?);
            let changed = shelf.change(*id, url.as_deref(), title.as_deref())?;
            Ok(json(StatusCode::OK, &changed.ok_or_else(|| Problem::no_bookmark(*id))?))
        }
        (Place::One(id), &Method::DELETE) if shelf.delete(*id)? => {
            let mut answer = Answer::default();
            *answer.status_mut() = StatusCode::NO_CONTENT;
            Ok(answer)
        }
        (Place::One(id), &Method::DELETE) => Err(Problem::no_bookmark(*id)),
        (place, method) => Err(Problem::not_allowed(method, place.methods())),
    }
}
