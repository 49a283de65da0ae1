//! What strict validation lets pass, and a row filter or the catalogue does not.

use std::collections::BTreeSet;

use cedar_policy::pst::{BinaryOp as B, Clause, Expr as Cedar, UnaryOp as U};
use cedar_policy::{ActionConstraint, EntityUid, Policy, ResourceConstraint, Schema};
use portcullis_contract::{Field, Finding, Withheld};

use super::cedar_schema::{PolicyTable, PolicyTables};
use super::columns::{RowColumn, comparable};
use super::decision::Disclosure;
use super::load::LoadedPolicy;
use super::missing::{self, Missing};
use super::translate::{is_boolean_form, is_contains, is_row, operator, row_attribute};
use super::vocabulary::{SYSTEM_DOMAIN, SYSTEM_TABLES, Vocabulary};
use super::walk::{mentions_row, subexpressions};

/// What policies are checked against.
pub(crate) struct Checker<'a> {
    pub(crate) tables: &'a PolicyTables,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) schema: &'a Schema,
    pub(crate) missing: Missing<'a>,
}

/// What came of checking a policy.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Errors, and warnings where a withheld contract is the reason.
    pub(crate) findings: Vec<Finding>,
    /// Whether a withheld contract is reason enough for the policy to apply to nothing that is served.
    pub(crate) may_be_idle: bool,
    /// Columns that a served table does not have, and no withheld contract explains.
    pub(crate) gone: Vec<Finding>,
}

/// A complaint about a place in a policy: the text to look for, what is wrong, what to do.
struct Complaint {
    about: String,
    message: String,
    hint: &'static str,
}

/// A name that nothing served has, and the contract that may be the reason.
struct Unknown<'a> {
    complaint: Complaint,
    name: String,
    withheld: Option<&'a Withheld>,
    /// Whether it is a column that a policy's rows might have.
    is_column: bool,
    /// Whether it is a column that a contract may have dropped.
    is_gone: bool,
}

impl Unknown<'_> {
    fn finding(self, policy: &LoadedPolicy) -> Finding {
        let Some(withheld) = self.withheld else { return self.complaint.finding(policy) };
        let (name, contract) = (self.name, withheld.position());
        let message = format!(
            "policy `{}` names {name}, which is missing because its contract is withheld: {contract}",
            policy.id
        );
        let finding = Finding::warning("policy-names-withheld", policy.place.find(&self.complaint.about), message);
        finding.with_hint("repair the contract; the policy stays in force for everything that is served")
    }
}

impl Complaint {
    fn finding(self, policy: &LoadedPolicy) -> Finding {
        Finding::error("policy-unsupported", policy.place.find(&self.about), self.message).with_hint(self.hint)
    }
}

impl Checked {
    fn add(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn report(&mut self, unknown: Unknown<'_>, policy: &LoadedPolicy) {
        let is_gone = unknown.is_gone && unknown.withheld.is_none();
        let finding = unknown.finding(policy);
        match is_gone {
            true if self.gone.contains(&finding) => {}
            true => self.gone.push(finding),
            false => self.add(finding),
        }
    }
}

impl<'a> Checker<'a> {
    /// All complaints about a policy that passed validation, or failed it only because nothing served is its matter.
    pub(crate) fn check(&self, policy: &LoadedPolicy, clauses: &[Clause]) -> Checked {
        let scope = self.missing.scope(&policy.policy, self.tables);
        let mut checked = Checked { may_be_idle: scope.is_some(), ..Checked::default() };
        for uid in policy.policy.entity_literals() {
            self.check_literal(&uid).into_iter().for_each(|unknown| checked.report(unknown, policy));
        }
        let rows = missing::row_types(&policy.policy, clauses).into_iter();
        rows.filter_map(|row| self.check_row_type(row)).for_each(|unknown| checked.report(unknown, policy));
        self.check_named_column(policy).into_iter().for_each(|c| checked.add(c.finding(policy)));
        let (mut tables, mut about_rows) = self.row_tables(policy);
        let shaped = tables.clone();
        if policy.policy.get_valid_request_envs(self.schema).next().is_none() && reads_rows(&policy.policy) {
            // An impossible policy is about nothing: what matters then is what it was meant for.
            (tables, about_rows) = (self.tables.values().collect(), true);
        }
        for clause in clauses {
            let (Clause::When(e) | Clause::Unless(e)) = clause;
            for mut unknown in self.check_has(e, &tables, about_rows) {
                if unknown.is_column {
                    unknown.withheld = scope.or(unknown.withheld);
                }
                checked.may_be_idle |= unknown.withheld.is_some();
                checked.report(unknown, policy);
            }
            for table in &shaped {
                if let Err(c) = (Shape { table }).truth(e) {
                    checked.add(c.finding(policy));
                }
            }
        }
        checked
    }

    /// The tables whose rows a policy can be about, and whether it is about rows at all.
    fn row_tables(&self, policy: &LoadedPolicy) -> (Vec<&'a PolicyTable>, bool) {
        let types = policy.policy.get_valid_request_envs(self.schema).map(|env| env.resource().to_string());
        let types: BTreeSet<String> = types.filter(|name| name.starts_with("Row::")).collect();
        (self.tables.values().filter(|table| types.contains(&table.row_type)).collect(), !types.is_empty())
    }

    fn check_literal(&self, uid: &EntityUid) -> Option<Unknown<'a>> {
        let kind = uid.type_name().to_string();
        let id: &str = uid.id().unescaped();
        let (known, withheld, hint) = match kind.as_str() {
            "Group" => {
                let known = self.vocabulary.groups.contains_key(id);
                (known, None, "declare it in policies/vocabulary.yaml under `groups`")
            }
            "Domain" => {
                let known = id == SYSTEM_DOMAIN || self.tables.values().any(|t| t.table.name.domain == id);
                (known, self.missing.domain(id), "name a domain as in SQL, such as `orders`")
            }
            "Table" => (self.knows_table(id), self.missing.table(id), "name a table as in SQL, `domain.table`"),
            "Column" => {
                let table = split_column(id).map(|(table, _)| table).filter(|table| !self.knows_table(table));
                let withheld = table.and_then(|table| self.missing.table(table));
                (self.field(id).is_some(), withheld, "name a column as `domain.table.column`")
            }
            _ if kind.starts_with("Row::") => (false, None, "rows have no names: compare columns instead"),
            // Users are the identity provider's; actions and enumerations are checked by the validator.
            _ => return None,
        };
        let about = format!("{kind}::\"{}\"", uid.id().escaped());
        let name = format!("`{about}`");
        let complaint = || Complaint { message: format!("there is no `{about}`"), about: about.clone(), hint };
        let is_gone = kind == "Column" && split_column(id).is_some_and(|(table, _)| self.tables.contains_key(table));
        (!known).then(|| Unknown { complaint: complaint(), name, withheld, is_column: false, is_gone })
    }

    /// A `Row` type that is declared only because policies name it.
    fn check_row_type(&self, name: String) -> Option<Unknown<'a>> {
        if self.tables.values().any(|table| table.row_type == name) {
            return None;
        }
        let message = format!("there is no `{name}`");
        let complaint = Complaint { about: name.clone(), message, hint: "name a table's rows as `Row::domain_table`" };
        let withheld = self.missing.row_type(&name);
        Some(Unknown { complaint, name: format!("`{name}`"), withheld, is_column: false, is_gone: false })
    }

    fn knows_table(&self, id: &str) -> bool {
        let system = id.split_once('.').is_some_and(|(d, t)| d == SYSTEM_DOMAIN && SYSTEM_TABLES.contains(&t));
        system || self.tables.contains_key(id)
    }

    fn field(&self, column_id: &str) -> Option<&Field> {
        let (table, column) = split_column(column_id)?;
        self.tables.get(table)?.table.field(column)
    }

    /// A policy that grants one column a mask that its type cannot carry.
    fn check_named_column(&self, policy: &LoadedPolicy) -> Option<Complaint> {
        let ResourceConstraint::Eq(resource) = policy.policy.resource_constraint() else { return None };
        let field = self.field(resource.id().unescaped()).filter(|_| resource.type_name().to_string() == "Column")?;
        let named = match policy.policy.action_constraint() {
            ActionConstraint::Any => return None,
            ActionConstraint::Eq(action) => vec![action],
            ActionConstraint::In(actions) => actions,
        };
        let names = |d: &Disclosure| named.iter().any(|action| Some::<&str>(action.id().unescaped()) == d.action());
        let level = Disclosure::LADDER.into_iter().filter(names).find(|d| !d.applies_to(&field.data_type))?;
        Some(Complaint {
            about: level.action().unwrap_or_default().to_owned(),
            message: format!("column `{}` is a {}, which has no level {level}", field.name, field.data_type),
            hint: "grant a level that the column's type has",
        })
    }

    /// `has` of something that nothing has: validation misses it inside `||`.
    fn check_has(&self, e: &Cedar, tables: &[&PolicyTable], about_rows: bool) -> Vec<Unknown<'a>> {
        let mut complaints = Vec::new();
        for inner in subexpressions(e) {
            let Cedar::HasAttr { expr, attrs } = inner else { continue };
            let name = attrs.head.as_str();
            use cedar_policy::pst::Var;
            let known = match expr.as_ref() {
                Cedar::Var(Var::Principal) => self.vocabulary.attributes.contains_key(name),
                Cedar::Var(Var::Context) => {
                    matches!(name, "purpose" | "now" | "authentication" | "breakGlass" | "ip" | "actor")
                }
                Cedar::Var(Var::Resource) if !about_rows => {
                    // Of a table or a column; or of a user, whom somebody may act for.
                    matches!(name, "name" | "classification" | "tags" | "owner")
                        || self.vocabulary.attributes.contains_key(name)
                }
                Cedar::Var(Var::Resource) => tables.iter().any(|table| table.columns.contains_key(name)),
                _ => true,
            };
            if !known {
                let untyped = tables.iter().find(|t| t.table.field(name).is_some());
                let message = match untyped {
                    Some(t) => format!("policies cannot read column `{name}` of `{}`: Cedar has no such type", t.id),
                    None => format!("nothing that this policy is about has `{name}`"),
                };
                let is_column = about_rows && matches!(expr.as_ref(), Cedar::Var(Var::Resource));
                let complaint = Complaint { about: format!("has {name}"), message, hint: "check the spelling" };
                let withheld = if is_column { self.missing.word(name) } else { None };
                complaints.push(Unknown {
                    complaint,
                    name: format!("column `{name}`"),
                    withheld,
                    is_column,
                    is_gone: is_column,
                });
            }
        }
        complaints
    }
}

/// Whether a policy's scope covers the reading of rows.
fn reads_rows(policy: &Policy) -> bool {
    let is_read = |action: &EntityUid| action.id().unescaped() == "readRow";
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(action) => is_read(&action),
        ActionConstraint::In(actions) => actions.iter().any(is_read),
    }
}

/// `domain.table.column` at its second point: only the column may have points of its own.
pub(crate) fn split_column(id: &str) -> Option<(&str, &str)> {
    let domain = id.find('.')?;
    let table = domain + 1 + id.get(domain + 1..)?.find('.')?;
    Some((id.get(..table)?, id.get(table + 1..)?))
}

/// Whether a condition on a table's rows has the shape of a row filter, whoever asks: whatever does not read the row
/// is a constant by the time a filter is made.
struct Shape<'a> {
    table: &'a PolicyTable,
}

type Shaped = Result<(), Complaint>;

impl Shape<'_> {
    fn truth(&self, e: &Cedar) -> Shaped {
        if !mentions_row(e) || row_attribute(e).is_some() {
            return Ok(());
        }
        match e {
            Cedar::UnaryOp { op: U::Not, expr } => self.truth(expr),
            Cedar::BinaryOp { op: B::And | B::Or, left, right } => self.truth(left).and_then(|()| self.truth(right)),
            Cedar::IfThenElse { cond, then_expr, else_expr } => {
                self.truth(cond).and_then(|()| self.truth(then_expr)).and_then(|()| self.truth(else_expr))
            }
            Cedar::HasAttr { expr, attrs } if is_row(expr) && attrs.tail.is_empty() => Ok(()),
            Cedar::Is { expr, in_expr, .. } if is_row(expr) => match in_expr {
                Some(ancestor) if mentions_row(ancestor) => Err(bad(e, "`in` a value of the row")),
                _ => Ok(()),
            },
            Cedar::BinaryOp { op: B::In, left, right } => {
                if is_row(left) && !mentions_row(right) {
                    Ok(())
                } else {
                    Err(bad(e, "`in` on a column"))
                }
            }
            Cedar::Like { expr, .. } => self.operand(expr),
            Cedar::BinaryOp { op, left, right } if is_contains(*op) => self.contains(e, *op, left, right),
            Cedar::BinaryOp { op: op @ (B::Eq | B::NotEq), left, right } => {
                if is_row(left) || is_row(right) {
                    return Err(bad(e, &format!("`{op}` on the row itself")));
                }
                if is_boolean_form(left) || is_boolean_form(right) {
                    return self.truth(left).and_then(|()| self.truth(right));
                }
                self.comparison(e, left, right)
            }
            Cedar::BinaryOp { op, left, right } if operator(*op, true).is_some() => self.comparison(e, left, right),
            _ => Err(bad(e, what(e))),
        }
    }

    fn comparison(&self, e: &Cedar, left: &Cedar, right: &Cedar) -> Shaped {
        self.operand(left)?;
        self.operand(right)?;
        match (self.column(left), self.column(right)) {
            (Some(l), Some(r)) if !comparable(l, r) => Err(bad(e, "comparing columns of different types")),
            (Some(c), _) | (_, Some(c)) if c.cedar.is_set() => Err(bad(e, "comparing a list as a whole")),
            _ => Ok(()),
        }
    }

    fn contains(&self, e: &Cedar, op: B, set: &Cedar, item: &Cedar) -> Shaped {
        self.operand(set)?;
        self.operand(item)?;
        match (mentions_row(set), mentions_row(item)) {
            (true, true) => Err(bad(e, "a column inside a list column")),
            (false, true) if op == B::ContainsAll => Err(bad(e, "`containsAll` of a list column")),
            _ => Ok(()),
        }
    }

    /// A column, or something that does not read the row.
    fn operand(&self, e: &Cedar) -> Shaped {
        if !mentions_row(e) || row_attribute(e).is_some() { Ok(()) } else { Err(bad(e, what(e))) }
    }

    /// Absent where the expression stands in a branch that is about another table.
    fn column(&self, e: &Cedar) -> Option<&RowColumn> {
        self.table.columns.get(row_attribute(e)?)
    }
}

fn what(e: &Cedar) -> &'static str {
    match e {
        Cedar::UnaryOp { op: U::IsEmpty, .. } => "`isEmpty` of a list column",
        Cedar::UnaryOp { .. } => "a computation on a column",
        Cedar::BinaryOp { op: B::Add | B::Sub | B::Mul, .. } => "arithmetic on a column",
        Cedar::BinaryOp { .. } => "a method of a column's value",
        Cedar::GetAttr { .. } => "an attribute of a column's value",
        Cedar::Set(_) => "a set that mixes columns and values",
        Cedar::IfThenElse { .. } => "a value that depends on the row",
        Cedar::Var(_) => "the row itself",
        _ => "this expression",
    }
}

fn bad(e: &Cedar, what: &str) -> Complaint {
    let about = subexpressions(e).find_map(|inner| row_attribute(inner).map(|name| format!("resource.{name}")));
    Complaint {
        about: about.unwrap_or_else(|| "resource".to_owned()),
        message: format!("a row filter cannot express {what}: `{e}`"),
        hint: "compare columns with constants, with attributes of `principal` and `context`, or with each other",
    }
}
