//! The `portcullis` binary: streams, runtime and exit code around [`portcullis::run`].

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use portcullis::{FAILED, Streams};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            writeln!(std::io::stderr(), "error: cannot start the runtime: {error}").ok();
            return ExitCode::from(FAILED);
        }
    };
    let (mut out, mut err) = (std::io::BufWriter::new(std::io::stdout()), std::io::stderr());
    let interactive = err.is_terminal();
    let mut streams = Streams { out: &mut out, err: &mut err, interactive };
    let code = runtime.block_on(portcullis::run(std::env::args_os(), &mut streams));
    streams.out.flush().ok();
    ExitCode::from(code)
}
