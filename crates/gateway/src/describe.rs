//! What a statement will return and which parameters it takes, without running it.

use datafusion::arrow::datatypes::SchemaRef;

/// A planned statement.
#[derive(Debug, Clone)]
pub struct Described {
    /// The schema of the result, as on the wire: identical to that of every batch of [`crate::QueryStream`].
    pub schema: SchemaRef,
    /// One field for each parameter, in order, named `$1`, `$2`, …; empty if there are none.
    pub parameters: SchemaRef,
    /// Whether the statement only sets an option of the session and returns no rows.
    pub sets_option: bool,
}
