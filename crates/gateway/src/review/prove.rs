//! What another set of policies can change for any user, row and circumstance there could be, by proof: Cedar's symbolic compiler
//! makes a formula of both sets, and the solver cvc5 looks for something that they answer differently.
//!
//! It is about the policies alone. Contracts (their ceilings, roles and purposes) and the order of levels are left to
//! [`super::policy_diff`], which asks about the people there are.

use std::path::Path;
use std::time::Duration;

use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicySet, Env};
use serde_json::Value;
use tokio::process::Command;

use super::PolicySet;
use crate::error::{ErrorKind, GatewayError};

/// The longest that the solver looks for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was proved of one kind of request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Proved {
    /// The action, such as `readRow`.
    pub action: String,
    /// The type of what it is done to, such as `Row::orders_order_events`.
    pub resource: String,
    /// A made-up request that the new policies alone allow; `None`: there is none.
    pub gained: Option<String>,
    /// A made-up request that the old policies alone allow; `None`: there is none.
    pub lost: Option<String>,
    /// Why nothing was proved, if so: then `gained` and `lost` say nothing.
    pub undecided: Option<String>,
}

impl Proved {
    /// Whether nothing changes.
    pub fn is_same(&self) -> bool {
        self.gained.is_none() && self.lost.is_none() && self.undecided.is_none()
    }

    /// Whether somebody could be allowed more, as far as can be told.
    pub fn may_gain(&self) -> bool {
        self.gained.is_some() || self.undecided.is_some()
    }
}

/// Compares two sets of policies for every kind of request that their words allow, in order. `program`: cvc5, by name or path.
///
/// # Errors
///
/// `InvalidArgument` if one of the sets does not compile, or they have not the same contracts and vocabulary; `Unavailable` if the
/// solver cannot be started.
pub async fn policy_proof(old: &PolicySet, new: &PolicySet, program: &Path) -> Result<Vec<Proved>, GatewayError> {
    let (old, new) = (old.compile()?, new.compile()?);
    if old.snapshot.cedar_schema() != new.snapshot.cedar_schema() {
        let message = "the two sets have different contracts or vocabularies, and a proof is about the policies of the same: compare \
                       two directories of policies over one mesh";
        return Err(GatewayError::invalid(message));
    }
    let mut compiler = solver(program)?;
    let schema = old.snapshot.schema();
    let mut proved = Vec::new();
    for kind in schema.request_envs() {
        let action: &str = kind.action().id().unescaped();
        let about = |set: &super::Compiled| set.snapshot.policies_about(action).map_err(GatewayError::internal);
        let (before, after) = (about(&old)?, about(&new)?);
        let nothing = Proved {
            action: action.to_owned(),
            resource: kind.resource().to_string(),
            gained: None,
            lost: None,
            undecided: None,
        };
        if before == after {
            proved.push(nothing);
            continue;
        }
        let compiled =
            |policies: &_| CompiledPolicySet::compile(policies, &kind, schema).map_err(|error| error.to_string());
        let answer = match (compiled(&before), compiled(&after)) {
            (Ok(before), Ok(after)) => differences(&mut compiler, &before, &after).await,
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        proved.push(match answer {
            Ok((gained, lost)) => Proved { gained, lost, ..nothing },
            Err(error) => {
                // A solver that has given up answers no more.
                compiler = solver(program)?;
                Proved { undecided: Some(error), ..nothing }
            }
        });
    }
    proved.sort_by(|a, b| (&a.action, &a.resource).cmp(&(&b.action, &b.resource)));
    Ok(proved)
}

fn solver(program: &Path) -> Result<CedarSymCompiler<LocalSolver>, GatewayError> {
    let unavailable = |error: &dyn std::fmt::Display| {
        let message =
            format!("the solver `{}` cannot be started: {error}; install cvc5, or name its program", program.display());
        GatewayError::new(ErrorKind::Unavailable, message)
    };
    let mut command = Command::new(program);
    command.args(["--lang", "smt"]).arg(format!("--tlimit={}", PATIENCE.as_millis())).kill_on_drop(true);
    let solver = LocalSolver::from_command(&mut command).map_err(|error| unavailable(&error))?;
    CedarSymCompiler::new(solver).map_err(|error| unavailable(&error))
}

/// What the second set alone allows, and what the first alone allows.
async fn differences(
    compiler: &mut CedarSymCompiler<LocalSolver>,
    before: &CompiledPolicySet,
    after: &CompiledPolicySet,
) -> Result<(Option<String>, Option<String>), String> {
    let mut example = async |some, others| {
        let found = compiler.check_implies_with_counterexample_opt(some, others).await;
        found.map(|example| example.map(|example| described(&example))).map_err(|error| error.to_string())
    };
    Ok((example(after, before).await?, example(before, after).await?))
}

/// A request in one line: who, on what, under which circumstances.
fn described(example: &Env) -> String {
    let request = &example.request;
    let entity = |uid| example.entities.get(uid).and_then(|entity| entity.to_json_value().ok());
    let (who, what) = (request.principal(), request.resource());
    let who = named(who.map(ToString::to_string), who.and_then(entity).as_ref());
    let what = named(what.map(ToString::to_string), what.and_then(entity).as_ref());
    let context = request.context().and_then(|context| context.to_json_value().ok()).unwrap_or_default();
    format!("{who} on {what}, context {context}")
}

/// `Kind::"id" in [ancestors] with {attributes}`.
fn named(name: Option<String>, entity: Option<&Value>) -> String {
    let parents = entity.and_then(|entity| entity.get("parents")?.as_array());
    let parents = parents.into_iter().flatten();
    let parents =
        parents.filter_map(|parent| Some(format!("{}::{}", parent.get("type")?.as_str()?, parent.get("id")?)));
    let parents: Vec<String> = parents.collect();
    let within = if parents.is_empty() { String::new() } else { format!(" in [{}]", parents.join(", ")) };
    let attributes =
        entity.and_then(|entity| entity.get("attrs")).filter(|attributes| **attributes != serde_json::json!({}));
    let with = attributes.map(|attributes| format!(" with {attributes}")).unwrap_or_default();
    format!("{}{within}{with}", name.unwrap_or_default())
}
