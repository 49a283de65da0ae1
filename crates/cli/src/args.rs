//! The command line's surface. docs/cli.md is generated from it and held against it by a test.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use portcullis_gateway::config::Span;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused or failed: findings of level error, failed policy tests, a denied or failed query, no such user
  2  wrong usage: unknown options, no mesh directory";

const EXAMPLES: &str = "\
Examples:
  portcullis demo                                   a mesh with data, served on 127.0.0.1:32010
  portcullis check                                  everything that is wrong in this mesh directory
  portcullis query --as ana 'SELECT region, count(*) FROM orders.order_events GROUP BY region'
  portcullis explain --as ana 'SELECT * FROM orders.order_events'
  portcullis serve --tls-certificate cert.pem --tls-key key.pem";

/// A federated SQL gateway for data meshes: contracts in, governed rows out over Arrow Flight SQL.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"), disable_help_subcommand = true)]
pub struct Cli {
    /// The mesh directory: the one that holds portcullis.toml, catalogs/ and policies/.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = ".",
        env = "PORTCULLIS_MESH",
        hide_env_values = true
    )]
    pub mesh: PathBuf,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the demo mesh's tables (once), show what two people see of them, and serve them.
    #[command(after_help = "Examples:\n  portcullis demo\n  portcullis demo --rows 10000 --once")]
    Demo(DemoArgs),
    /// Serve the mesh over Arrow Flight SQL until SIGTERM or ctrl-c; running queries are given time to end.
    #[command(
        after_help = "Examples:\n  portcullis serve\n  portcullis --mesh /srv/mesh serve --listen 0.0.0.0:32010 --tls-certificate cert.pem --tls-key key.pem"
    )]
    Serve(ServeArgs),
    /// Ask the gateway that serves this mesh whether it takes queries, for health checks.
    #[command(
        after_help = "Asks /readyz on the HTTP port. Exits with 0 if it is ready; with 1 if it shuts down, cannot write its journal, or does not answer.\n\nExamples:\n  portcullis ready\n  portcullis ready --http 127.0.0.1:32011"
    )]
    Ready(ReadyArgs),
    /// Check contracts, connections, policies, their tests, users and configuration.
    #[command(after_help = "Prints `file:line:column: level[code]: message`. Exits with 1 if a finding is an error.")]
    Check(CheckArgs),
    /// Run one statement as a user, in this process.
    #[command(
        after_help = "Examples:\n  portcullis query --as ana 'SELECT count(*) FROM orders.order_events'\n  portcullis query --as frida --purpose fraud -f parquet -o flagged.parquet 'SELECT * FROM fintech_core.payment_transactions_enriched WHERE is_flagged'\n  echo 'SHOW TABLES' | portcullis query --as dev -"
    )]
    Query(QueryArgs),
    /// Say what a user may see of a statement's tables, and why; never a value.
    #[command(after_help = "Example:\n  portcullis explain --as ana 'SELECT * FROM customers.customer_profiles'")]
    Explain(ExplainArgs),
    /// Check, test, format, show, compare and try out access policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Search the audit journal.
    #[command(
        after_help = "Examples:\n  portcullis audit --user ana --limit 20\n  portcullis audit --table orders.order_events --since 2026-11-01 --status denied -f json"
    )]
    Audit(AuditArgs),
    /// Help with users.yaml.
    #[command(subcommand)]
    User(UserCommand),
    /// Make, list and revoke personal access tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Log in at an identity provider, on any device, and print the token for clients that take one.
    #[command(
        after_help = "Standard output has the token and nothing else. The gateway is not asked: it takes tokens of the issuers of its\nportcullis.toml, for the audience that is configured there.\n\nExamples:\n  portcullis login --issuer https://id.example.com/realms/mesh --client-id notebook > token\n  portcullis login --client-id notebook               the one issuer of this mesh directory's portcullis.toml"
    )]
    Login(LoginArgs),
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  portcullis completions bash > ~/.local/share/bash-completion/completions/portcullis"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Order events to make; the other tables follow from it.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000_000))]
    pub rows: u64,
    /// Stop after showing, without serving.
    #[arg(long)]
    pub once: bool,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:32010")]
    pub listen: SocketAddr,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen, instead of portcullis.toml's `listen.flight`.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Certificate chain (PEM), instead of `listen.tls_certificate`.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Private key (PEM), instead of `listen.tls_key`.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ReadyArgs {
    /// The HTTP port to ask, instead of portcullis.toml's `listen.http`.
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// How to print findings.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

#[derive(Debug, Args)]
pub struct Asking {
    /// The user to ask as (an entry of users.yaml).
    #[arg(long = "as", value_name = "USER")]
    pub user: String,
    /// The purpose to ask for.
    #[arg(long, value_name = "PURPOSE")]
    pub purpose: Option<String>,
    /// Break the glass, for this reason: see what policies open in an emergency only. It is recorded.
    #[arg(long, value_name = "REASON")]
    pub break_glass: Option<String>,
    /// Read tables as they were then, such as '2026-11-21 15:00:00' (in UTC), where the statement does not say otherwise.
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
    /// The statement; `-` reads it from standard input.
    pub sql: String,
}

#[derive(Debug, Args)]
pub struct QueryArgs {
    #[command(flatten)]
    pub asking: Asking,
    /// How to print rows.
    #[arg(short, long, value_enum, default_value_t = RowFormat::Table)]
    pub format: RowFormat,
    /// Where to write rows, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub asking: Asking,
    /// How to print the answer.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Check policies, their vocabulary and their tests; also find policies without effect.
    #[command(
        after_help = "Beside everything that keeps policies from loading, finds policies that apply to nothing (`policy-idle`) and\npermits without which nothing would change (`policy-shadowed`), for the users of users.yaml and a member of each\ngroup. Exits with 1 if a finding is an error."
    )]
    Check(CheckArgs),
    /// Run policies/tests/*.yaml.
    #[command(
        after_help = "Examples:\n  portcullis policy test --filter order_events\n  portcullis policy test --junit target/policies.xml"
    )]
    Test(PolicyTestArgs),
    /// Format policies/**/*.cedar in place.
    Fmt {
        /// Change nothing; fail if a file would change.
        #[arg(long)]
        check: bool,
    },
    /// Who sees what: for each user, group, purpose and table the rows and columns.
    #[command(after_help = "The text is stable: keep it in a file and review its changes with the policies.")]
    Matrix,
    /// What another set of policies changes: for whom, which rows and columns, tightened or loosened.
    #[command(
        after_help = "OLD and NEW are each a mesh directory, a directory of policies (with the contracts and users of --mesh), or\ngit:REVISION (this mesh directory as the local git repository has it there; nothing is fetched).\n\nExamples:\n  portcullis policy diff git:main . --fail-on loosened\n  portcullis policy diff policies proposal/policies -f json\n  portcullis policy diff policies proposal/policies --prove"
    )]
    Diff(DiffArgs),
    /// Try changed policies out on the statements of the audit journal.
    #[command(
        after_help = "Says which statements would be refused, permitted, or answered with other rows or columns. Nothing is executed.\nExits with 0 whatever it finds, with 1 if a set does not compile or the journal is damaged.\n\nExample:\n  portcullis policy simulate --all --policies proposal/policies --last 500"
    )]
    Simulate(SimulateArgs),
}

#[derive(Debug, Args)]
pub struct PolicyTestArgs {
    /// Only tests with this text in their name, user, table or file.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Write the results as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The policies of before.
    #[arg(value_name = "OLD")]
    pub old: String,
    /// The policies of after.
    #[arg(value_name = "NEW")]
    pub new: String,
    /// Exit with 1 if something is loosened (or changed in a way that may show more), or if anything changes.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub fail_on: Option<FailOn>,
    /// Also prove what the policies can change for any user, row and circumstance there could be, with the solver cvc5: the program
    /// of this name or path.
    #[arg(long, value_name = "CVC5", num_args = 0..=1, require_equals = true, default_missing_value = "cvc5")]
    pub prove: Option<PathBuf>,
    /// How to print changes.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// What makes a comparison fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Something may show more than before.
    Loosened,
    /// Anything is otherwise than before.
    Any,
}

#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Only this user's statements.
    #[arg(long = "as", value_name = "USER", required_unless_present = "all", conflicts_with = "all")]
    pub user: Option<String>,
    /// Everybody's statements.
    #[arg(long)]
    pub all: bool,
    /// The changed policies: a directory of policies, a mesh directory, or git:REVISION.
    #[arg(long, value_name = "DIR")]
    pub policies: String,
    /// At most so many statements, the newest first.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub last: usize,
    /// Only statements begun at or after this instant (`2026-11-01` or `2026-11-01T12:00:00Z`).
    #[arg(long, value_name = "TIME", value_parser = crate::commands::audit::instant)]
    pub since: Option<i64>,
    /// How to print the results.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only this user's queries.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Only queries of this table (`domain.table`) or domain.
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// Only queries begun at or after this instant (`2026-11-01` or `2026-11-01T12:00:00Z`).
    #[arg(long, value_name = "TIME", value_parser = crate::commands::audit::instant)]
    pub since: Option<i64>,
    /// Only queries begun before this instant.
    #[arg(long, value_name = "TIME", value_parser = crate::commands::audit::instant)]
    pub until: Option<i64>,
    /// Only queries that ended so: success, error, cancelled, denied, running, interrupted.
    #[arg(long, value_name = "OUTCOME")]
    pub status: Option<portcullis_audit::EntryStatus>,
    /// Only queries with this text in statement, purpose, reason, query id or policy id.
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// At most so many, the newest first.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// How to print them.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Print an argon2 hash for the `password` of an entry of users.yaml.
    #[command(after_help = "Without --password, the password is the first line of standard input.")]
    Hash {
        /// The password (visible in the shell's history: for tests).
        #[arg(long)]
        password: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The issuer's URL; without it, the one that portcullis.toml has.
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// The public client at the identity provider that people log in with; it must allow device codes.
    #[arg(long, value_name = "ID")]
    pub client_id: String,
    /// What to ask for.
    #[arg(long, value_name = "SCOPE", default_value = "openid")]
    pub scope: String,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it: now, and never again.
    #[command(
        after_help = "Standard output has the token and nothing else; the file of tokens (`identity.tokens`) has no token. A running gateway\naccepts it within `identity.revocation_age`.\n\nExample:\n  portcullis token create --user dev --domain orders --expires 30d --name 'nightly report' > token"
    )]
    Create(TokenArgs),
    /// List the tokens that there are or were; never the tokens themselves.
    List {
        /// Only this user's.
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// How to print them.
        #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
    /// Revoke tokens: running gateways refuse them within `identity.revocation_age`.
    #[command(after_help = "Examples:\n  portcullis token revoke 5b0c9d1e2f3a\n  portcullis token revoke --user dev")]
    Revoke {
        /// Ids of tokens.
        #[arg(value_name = "ID", required_unless_present = "user")]
        ids: Vec<String>,
        /// All of this user's.
        #[arg(long, value_name = "USER", conflicts_with = "ids")]
        user: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Whose it is to be: an entry of users.yaml.
    #[arg(long, value_name = "USER")]
    pub user: String,
    /// A domain that it is to be good for; give it several times for several.
    #[arg(long = "domain", value_name = "DOMAIN", required_unless_present = "all_domains")]
    pub domains: Vec<String>,
    /// Good for all domains, those to come included, and for tables of `system`.
    #[arg(long, conflicts_with = "domains")]
    pub all_domains: bool,
    /// How long it is to be valid: `12h`, `30d`.
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    pub expires: Span,
    /// What it is for.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub name: String,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// A table to read, of at most 1,000 rows.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object a line.
    Json,
    /// An Arrow IPC file.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// How lists are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Text to read.
    Table,
    /// JSON, one object a line.
    Json,
}
