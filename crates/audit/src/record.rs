//! The shapes of the journal's lines.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What was decided about a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The query may run, with the filters and masks that the record names.
    Permitted,
    /// Policy refuses it.
    Denied,
    /// Policy could not be decided (an error in a policy, say), so it is refused.
    Undecided,
    /// It failed before there was anything to decide: a syntax error, an unknown table, a store that is away.
    Error,
}

impl Decision {
    /// The word used in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Permitted => "permitted",
            Decision::Denied => "denied",
            Decision::Undecided => "undecided",
            Decision::Error => "error",
        }
    }
}

/// How a column was disclosed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnAccess {
    /// The column's name.
    pub name: String,
    /// The rung of the disclosure ladder: `clear`, `partial`, `bucket`, `hash`, `redact`, `null`, `join-only`.
    pub mask: String,
}

/// One table of a query: what was read, under which decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableAccess {
    /// `domain.table`.
    pub name: String,
    /// The contract's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_version: Option<String>,
    /// The pinned snapshot: an Iceberg snapshot id or a Delta version. None where nothing was pinned (denied).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Whether a row filter applied.
    #[serde(default)]
    pub filtered: bool,
    /// The least number of entities of a group, where only aggregates were shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregates_of: Option<u64>,
    /// Whether the glass was broken for this table.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// The columns that the answer depends on, with their masks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnAccess>,
    /// Ids of the policies that decided, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// The first half of an entry: written before the first byte of the answer leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The query's id, which the client gets too.
    pub query_id: String,
    /// Who.
    pub principal: String,
    /// Who asked in the principal's stead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The groups the principal was in at that moment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Where from: the client's address, or None for the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// How the principal authenticated: `password`, `token`, `personal_token`, `oidc`, `local`.
    pub authentication: String,
    /// Which of the principal's credentials it was, where there may be several: the id of a personal access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The domains that the credential is good for, where it is not for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domains: Option<BTreeSet<String>>,
    /// The stated purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The reason for which the session broke the glass, while it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
    /// The statement with its literals taken out of the syntax tree.
    pub statement: String,
    /// The tables, in order of name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableAccess>,
    /// The version of the policies that decided.
    pub policy_version: String,
    /// What was decided.
    pub decision: Decision,
    /// Why, where it was not permitted. Never a value of a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a query ended, as the gateway reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All rows were delivered.
    Success,
    /// It failed.
    Error,
    /// The client went away, or the query was cancelled.
    Cancelled,
    /// It was refused.
    Denied,
}

/// The second half of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Rows that left the gateway.
    pub rows: u64,
    /// Bytes that left the gateway (of the Arrow buffers, before encoding).
    pub bytes: u64,
    /// The kind of error, where it failed.
    pub error_kind: Option<String>,
}

impl Outcome {
    /// An outcome without rows.
    pub fn of(status: Status) -> Outcome {
        Outcome { status, rows: 0, bytes: 0, error_kind: None }
    }

    /// An error of this kind, without rows.
    pub fn error(kind: impl Into<String>) -> Outcome {
        Outcome { error_kind: Some(kind.into()), ..Outcome::of(Status::Error) }
    }
}

/// How an entry stands when it is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryStatus {
    /// All rows were delivered.
    Success,
    /// It failed.
    Error,
    /// The client went away, or the query was cancelled.
    Cancelled,
    /// It was refused.
    Denied,
    /// It runs now.
    Running,
    /// The gateway stopped before it recorded the end.
    Interrupted,
}

impl EntryStatus {
    const ALL: [EntryStatus; 6] = [
        EntryStatus::Success,
        EntryStatus::Error,
        EntryStatus::Cancelled,
        EntryStatus::Denied,
        EntryStatus::Running,
        EntryStatus::Interrupted,
    ];

    /// The word used in the journal, in SQL and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryStatus::Success => "success",
            EntryStatus::Error => "error",
            EntryStatus::Cancelled => "cancelled",
            EntryStatus::Denied => "denied",
            EntryStatus::Running => "running",
            EntryStatus::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for EntryStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EntryStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<EntryStatus, String> {
        EntryStatus::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            format!("unknown outcome `{text}`: use success, error, cancelled, denied, running or interrupted")
        })
    }
}

impl From<Status> for EntryStatus {
    fn from(status: Status) -> EntryStatus {
        match status {
            Status::Success => EntryStatus::Success,
            Status::Error => EntryStatus::Error,
            Status::Cancelled => EntryStatus::Cancelled,
            Status::Denied => EntryStatus::Denied,
        }
    }
}

/// One query as found in the journal: its beginning and its end put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it began, as RFC 3339 in UTC.
    pub at: String,
    /// When it began, in milliseconds since 1970.
    pub at_ms: i64,
    /// What was recorded at the beginning.
    #[serde(flatten)]
    pub begin: Begin,
    /// How it ended.
    pub status: EntryStatus,
    /// Rows that left the gateway.
    pub rows: Option<u64>,
    /// Bytes that left the gateway.
    pub bytes: Option<u64>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The kind of error, where it failed.
    pub error_kind: Option<String>,
}

/// One line of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Line {
    /// A writer opened the journal. Entries before it that have no end are interrupted.
    Opened { at_ms: i64, version: String },
    /// A query begins.
    Begin {
        at: String,
        at_ms: i64,
        #[serde(flatten)]
        begin: Box<Begin>,
    },
    /// A query ended.
    End {
        at_ms: i64,
        query_id: String,
        status: Status,
        rows: u64,
        bytes: u64,
        duration_ms: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_kind: Option<String>,
    },
    /// Something that a reader of the journal should know.
    Note { at_ms: i64, text: String },
    /// The writer closed the journal in good order.
    Closed { at_ms: i64 },
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) => format!("{at:.3}"),
        Err(_) => ms.to_string(),
    }
}
