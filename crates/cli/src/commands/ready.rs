//! `portcullis ready`: whether the gateway of this mesh takes queries, for health checks of containers without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::args::ReadyArgs;
use crate::mesh::{Failure, configuration};
use crate::{FAILED, OK, Streams};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest answer that is read; the real ones are a line.
const LONGEST: u64 = 4 << 10;

pub async fn run(mesh: &Path, args: &ReadyArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let listens = match args.http {
        Some(address) => address,
        None => configuration(mesh)?.listen.http.ok_or_else(|| {
            Failure::usage("`listen.http` is not set in portcullis.toml".to_owned(), "set it, or give --http ADDRESS")
        })?,
    };
    let answer = match tokio::time::timeout(PATIENCE, ask(reachable(listens))).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(Failure::failed(format!("nobody answers on `{listens}`: {error}"))),
        Err(_) => return Err(Failure::failed(format!("no answer on `{listens}` within {} s", PATIENCE.as_secs()))),
    };
    let text = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    writeln!(streams.out, "{text}")?;
    Ok(if answer.starts_with("HTTP/1.1 200 ") { OK } else { FAILED })
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Who listens on all addresses is asked on this machine's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
