//! The floor of the comparison: a layer-4 relay that looks at nothing.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::args::Args;

/// Accepts on `--listen` and copies both ways to `--to`, one upstream connection per caller.
pub async fn run(args: &Args) -> Outcome<()> {
    let listen: u16 = args.required("--listen")?.parse()?;
    let to: u16 = args.required("--to")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", listen)).await?;
    loop {
        let (caller, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A broken connection ends its own copy and nothing else; the load generator counts it.
            let _ = pass(caller, to).await;
        });
    }
}

async fn pass(mut caller: TcpStream, to: u16) -> std::io::Result<()> {
    let mut upstream = TcpStream::connect(("127.0.0.1", to)).await?;
    caller.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    copy_bidirectional(&mut caller, &mut upstream).await?;
    Ok(())
}
