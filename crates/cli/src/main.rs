//! The `portcullis` binary: streams, runtime and exit code around [`portcullis::run`].

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use portcullis::{FAILED, STACK_BYTES, Streams, log};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Query engines allocate and free many large buffers on many threads; this allocator gives memory back and scales with cores.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let lines = log::layer(log::Format::from_env(), log::filter_from_env(), std::io::stderr);
    tracing_subscriber::registry().with(lines).init();
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
