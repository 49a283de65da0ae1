//! How large a query becomes once its common table expressions stand where they are used: a dozen of them can ask for
//! a billion scans.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart, Query, Visit, Visitor};

use crate::error::GovernError;

/// The greatest number of tables in the expanded query.
const MAX_EXPANDED: usize = 1024;

/// Refuses queries that expand beyond the limit.
pub(super) fn check(query: &Query) -> Result<(), GovernError> {
    match query.visit(&mut Expansion::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(GovernError::refused(
            format!("a query that expands to more than {MAX_EXPANDED} tables"),
            "common table expressions are expanded wherever they are named; name them less often",
        )),
    }
}

#[derive(Default)]
struct Expansion {
    queries: Vec<Frame>,
}

/// A query that is being visited.
#[derive(Default)]
struct Frame {
    /// Tables counted so far.
    size: usize,
    /// Sizes of its common table expressions so far, by name.
    known: HashMap<String, usize>,
    /// Its common table expressions by the address of their query.
    coming: HashMap<usize, String>,
}

fn address(query: &Query) -> usize {
    std::ptr::from_ref(query).addr()
}

impl Visitor for Expansion {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        let coming = tables.map(|cte| (address(&cte.query), cte.alias.name.value.to_ascii_lowercase())).collect();
        self.queries.push(Frame { coming, ..Frame::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let size = self.queries.pop().map_or(0, |frame| frame.size);
        if let Some(parent) = self.queries.last_mut() {
            match parent.coming.get(&address(query)) {
                Some(name) => {
                    parent.known.insert(name.clone(), size);
                }
                None => parent.size = parent.size.saturating_add(size),
            }
        }
        if size > MAX_EXPANDED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        let size = match name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] => {
                let name = ident.value.to_ascii_lowercase();
                self.queries.iter().rev().find_map(|frame| frame.known.get(&name).copied()).unwrap_or(1)
            }
            _ => 1,
        };
        if let Some(frame) = self.queries.last_mut() {
            frame.size = frame.size.saturating_add(size.max(1));
        }
        ControlFlow::Continue(())
    }
}
