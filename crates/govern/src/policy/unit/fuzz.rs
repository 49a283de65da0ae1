//! Cedar's own authorizer against the row filters, on random policies and rows.
//!
//! `PORTCULLIS_FUZZ_POLICIES` sets how many policy sets are tried, `PORTCULLIS_FUZZ_SEED` where they start.

mod generate;
mod rows;

use cedar_policy::pst::{BinaryOp, Expr as Cedar, UnaryOp};
use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Effect, Entities, PolicySet, Request, Schema, Validator,
};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::create_physical_expr;

use self::generate::Rng;
use self::rows::Rows;
use super::*;
use crate::policy::cedar_schema::{self, PolicyTable};
use crate::policy::check::Checker;
use crate::policy::columns::RowColumns;
use crate::policy::decide::combine_with;
use crate::policy::entities::{self, EntityData};
use crate::policy::missing::{Ghosts, Missing};
use crate::policy::translate::{Untranslatable, is_boolean_form, no_row, or, translate};
use crate::policy::{load, partial, vocabulary_file};

type Translate = fn(&Cedar, bool, &RowColumns) -> Result<Expr, Untranslatable>;

/// How many row checks were made, and over what.
#[derive(Debug, Default)]
struct Tally {
    sets: usize,
    refused: usize,
    rows: usize,
    shown: usize,
    erring: usize,
}

/// Tries random policy sets; the first mismatch, if there is one.
fn fuzz(seed: u64, sets: usize, translate: Translate) -> Result<Tally, String> {
    let world = World::new(seed);
    let mut rng = Rng::new(seed);
    let mut tally = Tally::default();
    while tally.sets < sets {
        world.one(&rng.policies(), translate, &mut tally)?;
        assert!(tally.refused < 20 * (tally.sets + 10), "almost all policies are refused: {tally:?}");
    }
    Ok(tally)
}

struct World {
    table: PolicyTable,
    vocabulary: crate::policy::Vocabulary,
    schema: Schema,
    validator: Validator,
    subject: Subject,
    /// By the seed, so that the runs have both.
    breaks_glass: bool,
    known: Vec<EntityData>,
    rows: Rows,
    /// For each row, with everything that is known beside it.
    entities: Vec<Entities>,
}

impl World {
    fn new(seed: u64) -> Self {
        let tables = cedar_schema::policy_tables([rows::table()].iter()).unwrap();
        let vocabulary = vocabulary_file::read(Some(&SourceFile::new("v.yaml", VOCABULARY))).unwrap();
        // Some columns as if the gateway enforced NOT NULL: so policies read them unguarded, and a NULL is an error.
        let mut text = cedar_schema::generate(&tables, &vocabulary, &Ghosts::default());
        for (name, cedar_type) in rows::UNGUARDED {
            let optional = format!("\"{name}\"?: {cedar_type}");
            assert!(text.contains(&optional), "{text}");
            text = text.replace(&optional, &format!("\"{name}\": {cedar_type}"));
        }
        let schema = Schema::from_cedarschema_str(&text).unwrap().0;
        let table = tables.into_values().next().unwrap();
        let subject = ana();
        let principal = entities::principal(&subject, &vocabulary).unwrap();
        let known: Vec<EntityData> = principal.into_iter().chain(entities::table(&table).unwrap()).collect();
        let rows = Rows::random(&mut Rng::new(seed ^ 0x5eed), 120);
        let entities = (0..rows.len()).map(|row| rows.entities(row, &known)).collect();
        let (validator, breaks_glass) = (Validator::new(schema.clone()), seed % 2 == 1);
        World { entities, table, vocabulary, validator, schema, subject, breaks_glass, known, rows }
    }

    fn one(&self, text: &str, translate: Translate, tally: &mut Tally) -> Result<(), String> {
        let policies = load::parse(&[SourceFile::new("p.cedar", text)]).map_err(|f| lines(&f))?;
        let tables = [(self.table.id.clone(), self.table.clone())].into();
        let catalogue = Catalogue::default();
        let missing = Missing::new(&catalogue);
        let checker = Checker { tables: &tables, vocabulary: &self.vocabulary, schema: &self.schema, missing };
        let mut set = PolicySet::new();
        for policy in policies {
            let clauses = policy.policy.to_pst().unwrap().body().clauses().clone();
            // Warnings are let pass here: `false && …` is as good a policy as others.
            let validity = load::validate(&policy, &self.validator);
            let invalid = validity.findings.iter().any(|f| f.code != "policy-suspicious");
            if invalid || !checker.check(&policy, &clauses).findings.is_empty() {
                tally.refused += 1;
                return Ok(());
            }
            set.add(policy.policy).unwrap();
        }
        let shown = self.filtered(&set, translate)?;
        let wanted = self.authorized(&set, tally);
        tally.sets += 1;
        for (row, (got, want)) in shown.iter().zip(&wanted).enumerate() {
            tally.rows += 1;
            tally.shown += usize::from(*want);
            if got != want {
                let row = self.rows.describe(row);
                return Err(format!("Cedar says {want}, the filter says {got}, for\n{row}\nand\n{text}"));
            }
        }
        Ok(())
    }

    fn context(&self) -> Context {
        let now = entities::now(&self.subject, true).unwrap();
        entities::context(&self.subject, &self.vocabulary, self.breaks_glass, now).unwrap()
    }

    /// What the row filter keeps.
    fn filtered(&self, set: &PolicySet, translate: Translate) -> Result<Vec<bool>, String> {
        let uid = self.known[0].uid.clone();
        let context = self.context();
        let beside = entities::table(&self.table).unwrap();
        let rows = partial::Rows::new(&self.table.row_type, &beside, &self.schema)?;
        let who = self.known.iter().filter(|entity| beside.iter().all(|other| other.uid != entity.uid));
        let left = match partial::residuals(set, &self.schema, &uid, context, who, &rows) {
            Ok(left) => left,
            // Undecided: nothing is shown.
            Err(reason) if reason.contains("cannot be evaluated") => return Ok(vec![false; self.rows.len()]),
            Err(reason) => return Err(reason),
        };
        // What passes the checks at load always has a filter.
        let filter = combine_with(left, &self.table, translate)?;
        let expr = filter.expr.unwrap_or_else(|| lit(true));
        let plain = evaluate(&self.rows.batch, &expr, false)?;
        let simplified = evaluate(&self.rows.batch, &expr, true)?;
        if plain != simplified {
            return Err(format!("DataFusion simplifies {expr} to something else"));
        }
        Ok(plain)
    }

    /// What Cedar's authorizer allows, row by row. A forbid that errs denies.
    fn authorized(&self, set: &PolicySet, tally: &mut Tally) -> Vec<bool> {
        let action = entities::uid("Action", "readRow").unwrap();
        let row = entities::uid(&self.table.row_type, rows::ROW_ID).unwrap();
        let context = self.context();
        let request = Request::new(self.known[0].uid.clone(), action, row, context, None).unwrap();
        let authorizer = Authorizer::new();
        let decide = |entities: &Entities| {
            let response = authorizer.is_authorized(&request, set, entities);
            let mut errors = response.diagnostics().errors().peekable();
            tally.erring += usize::from(errors.peek().is_some());
            let forbids = |AuthorizationError::PolicyEvaluationError(e): &AuthorizationError| {
                set.policy(e.policy_id()).is_some_and(|p| p.effect() == Effect::Forbid)
            };
            response.decision() == Decision::Allow && !errors.any(forbids)
        };
        self.entities.iter().map(decide).collect()
    }
}

fn casts(expr: &Expr) -> usize {
    let mut casts = 0;
    let _ = expr.apply(|e| {
        casts += usize::from(matches!(e, Expr::Cast(_) | Expr::TryCast(_)));
        Ok(TreeNodeRecursion::Continue)
    });
    casts
}

/// The rows for which an expression is TRUE, as DataFusion evaluates it.
fn evaluate(batch: &RecordBatch, expr: &Expr, simplify: bool) -> Result<Vec<bool>, String> {
    let schema = Arc::new(DFSchema::try_from(batch.schema().as_ref().clone()).unwrap());
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(schema.clone()).build());
    let coerced = simplifier.coerce(expr.clone(), &schema).map_err(|e| e.to_string())?;
    if casts(&coerced) != casts(expr) {
        return Err(format!("a cast was needed: {expr} became {coerced}"));
    }
    let expr = if simplify { simplifier.simplify(coerced).map_err(|e| e.to_string())? } else { coerced };
    let physical = create_physical_expr(&expr, &schema, &Default::default(), &PhysicalPlanningContext::default());
    let value = physical.and_then(|e| e.evaluate(batch)).map_err(|e| format!("{expr}: {e}"))?;
    let array = value.into_array(batch.num_rows()).map_err(|e| e.to_string())?;
    Ok(array.as_boolean().iter().map(|v| v == Some(true)).collect())
}

#[expect(clippy::disallowed_methods, reason = "the fuzz is steered by the environment")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn filters_keep_what_cedar_allows() {
    let seed = setting("PORTCULLIS_FUZZ_SEED").unwrap_or(20_261_121);
    let sets = setting("PORTCULLIS_FUZZ_POLICIES").unwrap_or(200);
    println!("PORTCULLIS_FUZZ_SEED={seed} PORTCULLIS_FUZZ_POLICIES={sets}");
    let tally = fuzz(seed, usize::try_from(sets).unwrap(), translate).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    println!("{tally:?}");
    assert!(tally.shown > 0 && tally.shown < tally.rows, "{tally:?}");
    assert!(tally.erring > 0, "no policy erred: {tally:?}");
}

/// What one writes first: NOT for `!`, AND for `&&`, OR for `||`.
fn naive(e: &Cedar, truth: bool, columns: &RowColumns) -> Result<Expr, Untranslatable> {
    if !truth {
        return Ok(Expr::Not(Box::new(naive(e, true, columns)?)));
    }
    match e {
        Cedar::UnaryOp { op: UnaryOp::Not, expr } => Ok(Expr::Not(Box::new(naive(expr, true, columns)?))),
        Cedar::BinaryOp { op: BinaryOp::And, left, right } => {
            Ok(naive(left, true, columns)?.and(naive(right, true, columns)?))
        }
        Cedar::BinaryOp { op: BinaryOp::Or, left, right } => {
            Ok(naive(left, true, columns)?.or(naive(right, true, columns)?))
        }
        _ => translate(e, true, columns),
    }
}

/// F(a || b) without the F of one side.
fn forgetful(e: &Cedar, truth: bool, columns: &RowColumns) -> Result<Expr, Untranslatable> {
    match e {
        Cedar::BinaryOp { op: BinaryOp::Or, left, right } if !truth && is_boolean_form(right) => {
            Ok(or(forgetful(left, false, columns)?, no_row()))
        }
        _ => translate(e, truth, columns),
    }
}

#[test]
fn a_wrong_translation_is_caught() {
    for (name, wrong) in [("naive", naive as Translate), ("forgetful", forgetful)] {
        let caught = fuzz(1, 300, wrong);
        assert!(caught.as_ref().is_err_and(|e| e.contains("Cedar says")), "{name}: {caught:?}");
    }
}
