//! From policy files to policies with ids and places.
//!
//! Each statement is parsed and validated by itself, so that one mistake does not hide the others and every finding can
//! say where it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::{Policy, PolicyId, PolicySet, Schema, Template, ValidationMode, ValidationWarning, Validator};
use miette::Diagnostic;
use portcullis_contract::{Finding, Position, SourceFile};

/// A policy, with the text that it came from.
#[derive(Debug, Clone)]
pub(crate) struct LoadedPolicy {
    pub(crate) id: String,
    pub(crate) policy: Policy,
    pub(crate) place: Place,
}

/// A statement's place in its file.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    file: Arc<str>,
    text: Arc<str>,
    /// Byte offset of the statement, comments before it included.
    start: usize,
    end: usize,
}

impl Place {
    /// Where the statement itself begins.
    pub(crate) fn position(&self) -> Position {
        let body = self.statement();
        self.at(body.len() - skip_comments(body).len())
    }

    /// Where a piece of text first stands in the statement; its beginning if it does not.
    pub(crate) fn find(&self, needle: &str) -> Position {
        let body = skip_comments(self.statement());
        let lead = self.statement().len() - body.len();
        self.at(lead + body.find(needle).unwrap_or(0))
    }

    /// The statement without the comments before it.
    pub(crate) fn text(&self) -> String {
        skip_comments(self.statement()).to_owned()
    }

    fn statement(&self) -> &str {
        self.text.get(self.start..self.end).unwrap_or_default()
    }

    /// A byte offset within the statement as line and column.
    fn at(&self, offset: usize) -> Position {
        let before = self.text.get(..self.start + offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Position::at(self.file.clone(), u32::try_from(line).unwrap_or(0), u32::try_from(column).unwrap_or(0))
    }
}

/// Parses all files. Policies come back in order of file and place.
pub(crate) fn parse(files: &[SourceFile]) -> Result<Vec<LoadedPolicy>, Vec<Finding>> {
    let mut files: Vec<&SourceFile> = files.iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut policies: Vec<LoadedPolicy> = Vec::new();
    let mut seen: BTreeMap<String, Position> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in files {
        for place in statements(file) {
            match parse_one(place) {
                Err(found) => findings.extend(found),
                Ok(policy) => {
                    let position = policy.place.position();
                    if let Some(first) = seen.get(&policy.id) {
                        let message = format!("the id `{}` is taken by the policy at {first}", policy.id);
                        findings
                            .push(Finding::error("policy-id", position, message).with_hint("give it another `@id`"));
                    } else {
                        seen.insert(policy.id.clone(), position);
                        policies.push(policy);
                    }
                }
            }
        }
    }
    if findings.is_empty() { Ok(policies) } else { Err(findings) }
}

fn parse_one(place: Place) -> Result<LoadedPolicy, Vec<Finding>> {
    let text = place.statement();
    let policy = match Policy::parse(None, text) {
        Ok(policy) => policy,
        Err(_) if Template::parse(None, text).is_ok_and(|t| t.slots().next().is_some()) => {
            let finding = Finding::error("policy-template", place.position(), "policy templates are not read");
            return Err(vec![finding.with_hint("replace `?principal` and `?resource` by what they stand for")]);
        }
        Err(errors) => {
            return Err(errors.iter().map(|e| diagnostic("policy-syntax", &place, e)).collect());
        }
    };
    let Some(id) = policy.annotation("id").map(str::to_owned) else {
        let finding = Finding::error("policy-id", place.position(), "policy without `@id`");
        return Err(vec![finding.with_hint("write `@id(\"…\")` before it: the audit names policies by it")]);
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if id.is_empty() || id.len() > 100 || !id.chars().all(allowed) {
        let finding = Finding::error("policy-id", place.position(), format!("`{id}` is not usable as an id"));
        return Err(vec![finding.with_hint("use up to 100 letters, digits, `-`, `_`, `.` and `:`")]);
    }
    let policy = policy.new_id(PolicyId::new(&id));
    Ok(LoadedPolicy { id, policy, place })
}

/// What validation says about a policy.
#[derive(Debug, Default)]
pub(crate) struct Validity {
    pub(crate) findings: Vec<Finding>,
    /// All that is wrong is that it can never apply to anything that is served.
    pub(crate) only_impossible: bool,
}

/// Strict validation; a warning counts as an error.
pub(crate) fn validate(policy: &LoadedPolicy, validator: &Validator) -> Validity {
    let mut set = PolicySet::new();
    if let Err(e) = set.add(policy.policy.clone()) {
        let finding = Finding::error("policy-invalid", policy.place.position(), lowercase(&e.to_string()));
        return Validity { findings: vec![finding], only_impossible: false };
    }
    let result = validator.validate(&set, ValidationMode::Strict);
    let is_impossible = |w: &ValidationWarning| matches!(w, ValidationWarning::ImpossiblePolicy(_));
    let only_impossible =
        result.validation_errors().next().is_none() && result.validation_warnings().all(is_impossible);
    let errors = result.validation_errors().map(|e| diagnostic("policy-invalid", &policy.place, e));
    let warnings = result.validation_warnings().map(|w| diagnostic("policy-suspicious", &policy.place, w));
    let mut findings: Vec<Finding> = errors.chain(warnings).collect();
    findings.sort_by(|a, b| (&a.position, &a.message).cmp(&(&b.position, &b.message)));
    findings.dedup();
    Validity { findings, only_impossible }
}

/// The validator for a generated schema.
pub(crate) fn validator(schema: &Schema) -> Validator {
    Validator::new(schema.clone())
}

fn diagnostic(code: &'static str, place: &Place, error: &dyn Diagnostic) -> Finding {
    let label = error.labels().and_then(|mut labels| labels.next());
    let position = label.as_ref().map_or_else(|| place.position(), |label| place.at(label.offset()));
    let mut message = lowercase(&error.to_string());
    // Parse errors say what they expected in their label.
    if let Some(text) = label.as_ref().and_then(|l| l.label()).filter(|text| !message.contains(text)) {
        message = format!("{message}: {text}");
    }
    let finding = Finding::error(code, position, message);
    match error.help() {
        Some(help) => finding.with_hint(lowercase(&help.to_string())),
        None => finding,
    }
}

/// Cedar's message in the house's grammar.
fn lowercase(message: &str) -> String {
    let message = message.trim_end_matches('.');
    let mut chars = message.chars();
    match (chars.next(), message.chars().nth(1)) {
        (Some(first), Some(second)) if first.is_ascii_uppercase() && second.is_ascii_lowercase() => {
            first.to_ascii_lowercase().to_string() + chars.as_str()
        }
        _ => message.to_owned(),
    }
}

/// Splits a file at the semicolons outside of strings and comments.
fn statements(file: &SourceFile) -> Vec<Place> {
    let path: Arc<str> = file.path.as_str().into();
    let text: Arc<str> = file.text.as_str().into();
    let mut places = Vec::new();
    let mut start = 0;
    let mut rest = file.text.char_indices().peekable();
    while let Some((offset, c)) = rest.next() {
        match c {
            '"' => {
                while let Some((_, inside)) = rest.next() {
                    match inside {
                        '\\' => drop(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if rest.peek().is_some_and(|(_, next)| *next == '/') => {
                while rest.next_if(|(_, inside)| *inside != '\n').is_some() {}
            }
            ';' => {
                places.push(Place { file: path.clone(), text: text.clone(), start, end: offset + 1 });
                start = offset + 1;
            }
            _ => {}
        }
    }
    let tail = Place { file: path, text, start, end: file.text.len() };
    if !skip_comments(tail.statement()).is_empty() {
        places.push(tail);
    }
    places
}

/// What follows leading white space and comments.
fn skip_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    while rest.starts_with("//") {
        rest = rest.split_once('\n').map_or("", |(_, after)| after).trim_start();
    }
    rest
}
