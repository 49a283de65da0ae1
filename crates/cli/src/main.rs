//! The `portcullis` binary: streams, runtime and exit code around [`portcullis::run`].

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use portcullis::{FAILED, STACK_BYTES, Streams};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Query engines allocate and free many large buffers on many threads; this allocator gives memory back and scales with cores.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // Our own events only: those of parsers and planners below quote statements and their literals.
    let ours = filter_fn(|event| event.target().starts_with("portcullis"));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    tracing_subscriber::registry().with(log.with_filter(filter.and(ours))).init();
    std::panic::set_hook(Box::new(|panic| {
        // A panic's text may quote a value of a row; where it happened does not.
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!("a task panicked at {place}; only what it worked on is affected");
    }));
    let runtime = match tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()
    {
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
