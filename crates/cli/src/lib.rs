//! The `portcullis` command as a library: the binary calls [`run`], tests call it too.
//!
//! - **In:** arguments, a mesh directory.
//! - **Out:** text on the two given streams and an exit code. Rows come from a `Gateway`, in process or served.
//! - **Must never know:** how anything is decided. It reads no contract and no policy by itself.
//!
//! `args.rs` is the surface, `commands/` has a file for each command, `demo/` writes the demo's tables.

mod args;
mod commands;
pub mod demo;
pub mod log;
mod mesh;
mod output;

use std::ffi::OsString;
use std::io::Write;

use clap::{CommandFactory, Parser};

pub use commands::demo::ways_in;
pub use mesh::{Failure, open_mesh};

use args::{Cli, Command, UserCommand};

/// Done.
pub const OK: u8 = 0;
/// Refused or failed.
pub const FAILED: u8 = 1;
/// Wrong usage.
pub const USAGE: u8 = 2;

/// Stack of a worker thread: parsing, planning and running recurse as deep as a statement is nested. `govern` asks for
/// 16 MiB of it and maps a stack of its own where it finds less, which costs more than planning a short statement.
pub const STACK_BYTES: usize = 24 << 20;

/// Where a command writes to.
pub struct Streams<'a> {
    /// Results.
    pub out: &'a mut (dyn Write + Send),
    /// Errors and progress.
    pub err: &'a mut (dyn Write + Send),
    /// Whether somebody reads along: progress is shown.
    pub interactive: bool,
}

/// Runs the command that `arguments` (with the program's name in front) ask for, and returns the exit code.
pub async fn run(arguments: impl IntoIterator<Item = OsString>, streams: &mut Streams<'_>) -> u8 {
    // Fails only if a provider is installed already, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let text = error.render();
            if error.use_stderr() {
                write!(streams.err, "{text}").ok();
                return USAGE;
            }
            write!(streams.out, "{text}").ok();
            return OK;
        }
    };
    match dispatch(cli, streams).await {
        Ok(code) => code,
        Err(failure) => {
            failure.print(streams.err);
            failure.code()
        }
    }
}

async fn dispatch(cli: Cli, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let mesh = cli.mesh.as_path();
    match cli.command {
        Command::Demo(args) => commands::demo::run(mesh, &args, streams).await,
        Command::Serve(args) => commands::serve::run(mesh, args, streams).await,
        Command::Ready(args) => commands::ready::run(mesh, &args, streams).await,
        Command::Check(args) => commands::check::run(mesh, &args, streams),
        Command::Query(args) => commands::query::run(mesh, &args, streams).await,
        Command::Explain(args) => commands::explain::run(mesh, &args, streams).await,
        Command::Policy(command) => commands::policy::run(mesh, &command, streams).await,
        Command::Audit(args) => commands::audit::run(mesh, &args, streams),
        Command::User(UserCommand::Hash { password }) => commands::user::hash(password, streams),
        Command::Login(args) => commands::login::run(mesh, args, streams).await,
        Command::Token(command) => commands::token::run(mesh, command, streams),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut streams.out);
            Ok(OK)
        }
    }
}

/// The whole help, command by command, as docs/cli.md has it.
pub fn reference() -> String {
    let mut text = String::new();
    let mut root = Cli::command().term_width(110);
    root.build();
    describe(&mut root, &mut text);
    text
}

fn describe(command: &mut clap::Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or("portcullis").to_string();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("## `{name}`\n\n```text\n{}\n```\n\n", help.join("\n").trim_end()));
    for child in command.get_subcommands_mut() {
        describe(child, text);
    }
}

#[cfg(test)]
mod tests;
