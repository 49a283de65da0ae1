//! The log: which lines there are, and how they look.

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

impl Format {
    /// What `PORTCULLIS_LOG_FORMAT` says; text without it.
    pub fn from_env() -> Format {
        if std::env::var("PORTCULLIS_LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("json")) {
            Format::Json
        } else {
            Format::Text
        }
    }
}

/// The lines that `PORTCULLIS_LOG` asks for; warnings without it.
pub fn filter_from_env() -> EnvFilter {
    EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"))
}

/// Our own lines only: those of parsers and planners below quote statements and their literals.
pub fn layer<S, W>(format: Format, filter: EnvFilter, writer: W) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let ours = filter_fn(|event| event.target().starts_with("portcullis"));
    let log = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    let log = match format {
        Format::Text => log.boxed(),
        Format::Json => log.json().flatten_event(true).boxed(),
    };
    log.with_filter(filter.and(ours))
}
