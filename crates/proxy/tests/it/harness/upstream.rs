//! An upstream that writes down every request that reached it, over HTTP/1.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::caller::Stream;
use super::wire::{Content, Wire, field};

/// A request that reached the upstream, at least its head.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The how-manieth connection it came on.
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether its body came to its end.
    pub(crate) is_whole: bool,
}

impl Seen {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }
}

/// All requests that reached an upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    pub(crate) fn push(&self, seen: Seen) {
        self.0.lock().unwrap().push(seen);
    }

    pub(crate) fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }
}

/// What the upstream does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Sends these bytes, and reads on.
    Bytes(Vec<u8>),
    /// Sends these bytes and ends the connection.
    Last(Vec<u8>),
    /// Ends the connection without a word.
    Close,
    /// Resets the connection.
    Reset,
    /// Reads on, says nothing.
    Never,
    /// Waits first.
    After(Duration, Box<Reply>),
    /// Waits until the test adds a permit.
    Held(Arc<Semaphore>, Box<Reply>),
}

impl Reply {
    pub(crate) fn status(status: &str, body: &str) -> Self {
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        Self::Bytes(text.into_bytes())
    }

    pub(crate) fn ok() -> Self {
        Self::status("200 OK", "ok")
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self::After(wait, Box::new(self))
    }

    pub(crate) fn once_released(self, release: &Arc<Semaphore>) -> Self {
        Self::Held(release.clone(), Box::new(self))
    }
}

/// A listening upstream; it ends when it is dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) log: Log,
    is_tls: bool,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    /// An upstream that answers each request by a function of it.
    pub(crate) async fn start(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, reply).await
    }

    /// An upstream that answers everything with `200 ok`.
    pub(crate) async fn ok() -> Self {
        Self::start(|_| Reply::ok()).await
    }

    /// The same over TLS.
    pub(crate) async fn start_tls(
        acceptor: TlsAcceptor,
        reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(Some(acceptor), reply).await
    }

    async fn start_with(
        acceptor: Option<TlsAcceptor>,
        reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let reply = Arc::new(reply);
        let is_tls = acceptor.is_some();
        let mut upstream = Self::raw(move |stream, number, log| {
            let (reply, acceptor) = (reply.clone(), acceptor.clone());
            async move {
                match acceptor {
                    None => serve(Wire::new(stream), number, &log, &*reply).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(Wire::new(stream), number, &log, &*reply).await;
                        }
                    }
                }
            }
        })
        .await;
        upstream.is_tls = is_tls;
        upstream
    }

    /// An upstream whose connections are served by a function of the socket and its number.
    pub(crate) async fn raw<F>(serve: impl Fn(TcpStream, usize, Log) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (log, connections) = (Log::default(), Arc::new(AtomicUsize::new(0)));
        let (kept, count) = (log.clone(), connections.clone());
        let task = tokio::spawn(async move {
            // Connections end with the upstream.
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let number = count.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, number, kept.clone()));
            }
        });
        Self { address, log, is_tls: false, connections, task }
    }

    pub(crate) fn with_tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    pub(crate) fn origin(&self) -> String {
        format!("http{}://{}", if self.is_tls { "s" } else { "" }, self.address)
    }

    /// The origin by name, which is what certificates speak of.
    pub(crate) fn named_origin(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.all()
    }

    /// `METHOD target` of everything that reached it.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect()
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A port that nobody listens on.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn serve<S: Linger>(
    mut wire: Wire<S>,
    connection: usize,
    log: &Log,
    reply: &(impl Fn(&Seen) -> Reply + ?Sized),
) {
    while let Some(head) = wire.head().await {
        let mut line = head.first_line.split(' ').map(str::to_owned);
        let (method, target) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
        if head.field("expect").is_some() {
            let _ = wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        let content = wire.framed(&head).await;
        let Content { bytes: body, trailers, is_whole } =
            content.unwrap_or(Content { is_whole: true, ..Content::default() });
        let seen =
            Seen { connection, method, target, fields: head.fields, body, trailers, is_whole };
        log.push(seen.clone());
        if !is_whole || !act(&mut wire, reply(&seen)).await {
            return;
        }
    }
}

/// Whether the connection goes on.
async fn act<S: Linger>(wire: &mut Wire<S>, mut reply: Reply) -> bool {
    loop {
        reply = match reply {
            Reply::After(wait, then) => {
                tokio::time::sleep(wait).await;
                *then
            }
            Reply::Held(release, then) => {
                drop(release.acquire().await);
                *then
            }
            other => break reply_with(wire, other).await,
        };
    }
}

async fn reply_with<S: Linger>(wire: &mut Wire<S>, reply: Reply) -> bool {
    match reply {
        Reply::Bytes(bytes) => wire.write(&bytes).await.is_ok(),
        Reply::Last(bytes) => {
            let _ = wire.write(&bytes).await;
            false
        }
        Reply::Close => false,
        Reply::Reset => {
            wire.stream.reset_at_end();
            false
        }
        Reply::Never => true,
        Reply::After(..) | Reply::Held(..) => unreachable!("unwrapped above"),
    }
}

trait Linger: Stream {
    /// Makes the end of the connection a reset.
    fn reset_at_end(&self);
}

impl Linger for TcpStream {
    fn reset_at_end(&self) {
        SockRef::from(self).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl Linger for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset_at_end(&self) {
        self.get_ref().0.reset_at_end();
    }
}
