//! The control socket: how the command line reaches a running server.
//!
//! A Unix socket in the data directory, for this user and root only. One line in, one line out, as
//! [`mod@exchange`] has them, with blanks before the answer while the server is at it. Who asks is
//! what the kernel says of the other side.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use keystile_engine::Engine;
use keystile_engine::command::wire::WireCommand;
use keystile_engine::command::{Failure, FailureKind};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::account;
use crate::exchange::{self, Answer, Received};

/// How long a command line may take to send its line, and to take more of the answer.
const TURN_MAX: Duration = Duration::from_secs(30);
/// What it has to take in that time.
const PART_BYTES: usize = 64 * 1024;
/// The longest request line. Commands are small; the longest are parts of an account that is taken over, in which
/// what gateways are told of a service may have a mebibyte.
const REQUEST_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// How often a server that works on a command says that it still does.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// How long the command line waits for a server that says nothing.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Where the socket of a data directory is.
pub fn socket_path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// The longest path that the address of a socket holds (`sun_path`, with its end).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Gives the socket's address to `work`: where its path is too long for one, a short way through the
/// folder, opened for as long as that takes.
fn at_socket<T>(data: &Path, work: impl FnOnce(&Path) -> std::io::Result<T>) -> std::io::Result<T> {
    let path = socket_path(data);
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return work(&path);
    }
    let folder = File::open(data)?;
    work(&socket_path(Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd()))))
}

fn connect(data: &Path) -> std::io::Result<BlockingStream> {
    at_socket(data, |path| BlockingStream::connect(path))
}

/// Whether a server listens on the socket of a data directory.
pub fn is_served(data: &Path) -> bool {
    !matches!(connect_in_time(data), Ok(Err(_)))
}

/// Listens on the socket of a data directory that this process holds.
pub fn bind(data: &Path) -> std::io::Result<UnixListener> {
    let path = socket_path(data);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // The directory is closed to others (0700), so nobody reaches the socket before its own mode is set.
    let listener = at_socket(data, |path| UnixListener::bind(path))?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Listens and serves commands for ever. Where the socket cannot be made, because the disk takes no writes, that
/// is tried again until it can; the server goes on without.
pub async fn listen_and_serve(data: PathBuf, engine: Arc<Engine>) {
    let mut is_told = false;
    loop {
        match bind(&data) {
            Ok(listener) => return serve(listener, engine).await,
            Err(error) if !is_told => {
                tracing::error!(%error, "the control socket cannot be made; commands do not reach this server until it can");
                is_told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Serves commands for ever.
pub async fn serve(listener: UnixListener, engine: Arc<Engine>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let engine = engine.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer_one(stream, engine).await {
                        tracing::debug!(%error, "a command line left early");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a command line could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer_one(mut stream: UnixStream, engine: Arc<Engine>) -> std::io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let principal = account::of(uid);
    let (reading, mut writing) = stream.split();
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(reading.take(REQUEST_BYTES_MAX));
    tokio::time::timeout(TURN_MAX, reader.read_line(&mut line)).await??;
    let received = Received::read(&line);
    let answer = match &received.command {
        // The socket's mode says so too; but that is a file's, and anybody who owns the folder changes it.
        Ok(_) if !account::may_command(uid) => Err(Failure {
            kind: FailureKind::Invalid,
            message: format!("uid {uid} may not give commands to this server"),
            help: Some(
                "run the command as the user that the server runs as, or as root".to_owned(),
            ),
        }),
        Ok(command) => {
            let (store, command) = (engine.store().clone(), command.clone());
            // A task of its own: what has been begun is done whether or not the command line waits.
            let work = tokio::spawn(async move { engine.execute_wire(&principal, command).await });
            let work = store.unless_hung(work);
            let mut work = std::pin::pin!(work);
            loop {
                match tokio::time::timeout(SIGN_OF_LIFE, &mut work).await {
                    Ok(Ok(answer)) => break answer.map_err(std::io::Error::other)?,
                    Ok(Err(error)) => break Err(error.into()),
                    // A blank before the JSON: whoever waits knows that it is still at it.
                    Err(_) => writing.write_all(b" ").await?,
                }
            }
        }
        Err(failure) => Err(failure.clone()),
    };
    // A long list is taken in parts.
    for part in received.answer_line(&answer)?.chunks(PART_BYTES) {
        tokio::time::timeout(TURN_MAX, writing.write_all(part)).await??;
    }
    Ok(())
}

/// Connects in a thread of its own: a server that takes nobody up keeps whoever connects waiting.
fn connect_in_time(data: &Path) -> Result<std::io::Result<BlockingStream>, RecvTimeoutError> {
    let (sender, connected) = std::sync::mpsc::channel();
    let data = data.to_owned();
    std::thread::spawn(move || sender.send(connect(&data)));
    connected.recv_timeout(SILENCE_MAX)
}

/// Sends a command to the server of a data directory; `None` when no server runs there.
pub fn send(data: &Path, command: &WireCommand) -> Option<Result<Answer, Failure>> {
    let answer = match connect_in_time(data) {
        Ok(Err(_)) => return None,
        Ok(Ok(stream)) => exchange(stream, command),
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    };
    Some(answer.unwrap_or_else(|error| Err(match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Failure {
            kind: FailureKind::Unavailable,
            message: format!(
                "the server of {} runs, but does not answer; whether it still does what was asked is not known",
                data.display()
            ),
            help: Some("see its log, and whether its disk answers".to_owned()),
        },
        _ => Failure {
            kind: FailureKind::Fault,
            message: format!("the server broke off: {error}"),
            help: Some("see its log".to_owned()),
        },
    })))
}

fn exchange(
    mut stream: BlockingStream,
    command: &WireCommand,
) -> std::io::Result<Result<Answer, Failure>> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    stream.write_all(&exchange::request_line(command)?)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    exchange::read_answer(&answer)
}
