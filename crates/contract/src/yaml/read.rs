//! Typed getters over nodes, with findings for what does not fit.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::load::{Entry, Node, Value, load};
use super::suggest::did_you_mean;
use crate::duration;
use crate::finding::{Finding, Level, Position};

/// The names of the findings that every file can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes {
    syntax: &'static str,
    unknown_key: &'static str,
    missing_key: &'static str,
    bad_value: &'static str,
}

impl Codes {
    /// For files that are no YAML, keys that mean nothing, keys that are missing, and values of the wrong kind.
    pub const fn new(
        syntax: &'static str,
        unknown_key: &'static str,
        missing_key: &'static str,
        bad_value: &'static str,
    ) -> Self {
        Self { syntax, unknown_key, missing_key, bad_value }
    }
}

/// Reads one file and collects what is wrong with it.
#[derive(Debug)]
pub struct Reader {
    file: Arc<str>,
    codes: Codes,
    findings: RefCell<Vec<Finding>>,
}

impl Reader {
    /// A reader for the file of this path (relative to the mesh directory).
    pub fn new(file: impl Into<Arc<str>>, codes: Codes) -> Self {
        Self { file: file.into(), codes, findings: RefCell::default() }
    }

    /// The file's path.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The file's one document. Nothing, and a finding, where the text is not YAML, repeats a key or is too large.
    pub fn parse(&self, text: &str) -> Option<Node> {
        match load(text) {
            Ok(node) => Some(node),
            Err(problems) => {
                for problem in problems {
                    let position = Position::at(self.file.clone(), problem.line, problem.column);
                    self.report(Finding::error(self.codes.syntax, position, problem.message));
                }
                None
            }
        }
    }

    /// Where a node starts.
    pub fn position(&self, node: &Node) -> Position {
        Position::at(self.file.clone(), node.line, node.column)
    }

    /// Adds a finding.
    pub fn report(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }

    /// Adds an error about a node.
    pub fn error(&self, node: &Node, code: &'static str, message: impl Into<String>) {
        self.report(Finding::error(code, self.position(node), message));
    }

    /// Whether there is an error so far.
    pub fn has_errors(&self) -> bool {
        self.findings.borrow().iter().any(Finding::is_error)
    }

    /// All findings, in the order of their places.
    pub fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by(|a, b| (&a.position, a.level, a.code).cmp(&(&b.position, b.level, b.code)));
        findings
    }

    /// The node as a mapping; `what` names it in messages (`output port`).
    pub fn mapping<'a>(&'a self, node: &'a Node, what: &str) -> Option<Mapping<'a>> {
        match &node.value {
            Value::Mapping(entries) => {
                Some(Mapping { reader: self, node, entries, what: what.to_owned(), known: RefCell::default() })
            }
            _ => self.wrong(node, what, "a mapping"),
        }
    }

    /// The node's items as a sequence.
    pub fn sequence<'a>(&self, node: &'a Node, what: &str) -> Option<&'a [Node]> {
        match &node.value {
            Value::Sequence(items) => Some(items),
            _ => self.wrong(node, what, "a list"),
        }
    }

    /// The node as text. Numbers and booleans are text too, as written.
    pub fn string(&self, node: &Node, what: &str) -> Option<String> {
        match node.text() {
            Some(text) if !node.is_null() && !text.trim().is_empty() => Some(text.to_owned()),
            Some(_) if !node.is_null() => {
                self.error(node, self.codes.bad_value, format!("{what} is empty"));
                None
            }
            _ => self.wrong(node, what, "text"),
        }
    }

    /// The node as `true` or `false`.
    pub fn boolean(&self, node: &Node, what: &str) -> Option<bool> {
        match &node.value {
            Value::Scalar(scalar) if scalar.plain => match scalar.text.as_str() {
                "true" | "True" | "TRUE" => Some(true),
                "false" | "False" | "FALSE" => Some(false),
                _ => self.wrong(node, what, "`true` or `false`"),
            },
            _ => self.wrong(node, what, "`true` or `false`"),
        }
    }

    /// The node as a whole number.
    pub fn integer(&self, node: &Node, what: &str) -> Option<i64> {
        match &node.value {
            Value::Scalar(scalar) if scalar.plain => match scalar.text.parse() {
                Ok(number) => Some(number),
                Err(_) => self.wrong(node, what, "a whole number"),
            },
            _ => self.wrong(node, what, "a whole number"),
        }
    }

    /// The node as text for each item; a single text is a list of one.
    pub fn strings(&self, node: &Node, what: &str) -> Vec<String> {
        match &node.value {
            Value::Sequence(items) => items.iter().filter_map(|item| self.string(item, what)).collect(),
            Value::Scalar(_) => self.string(node, what).into_iter().collect(),
            Value::Mapping(_) => self.wrong(node, what, "a list of texts").unwrap_or_default(),
        }
    }

    /// Reports a value of the wrong kind. The value is not repeated: it may be a secret.
    fn wrong<T>(&self, node: &Node, what: &str, wanted: &str) -> Option<T> {
        let message = match (node.kind(), wanted) {
            ("text", "`true` or `false`" | "a whole number" | "text") => format!("{what} must be {wanted}"),
            (kind, _) => format!("{what} must be {wanted}, not {kind}"),
        };
        self.error(node, self.codes.bad_value, message);
        None
    }
}

/// A mapping whose keys are taken out one by one.
#[derive(Debug)]
pub struct Mapping<'a> {
    reader: &'a Reader,
    node: &'a Node,
    entries: &'a [Entry],
    what: String,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Mapping<'a> {
    /// The reader it belongs to.
    pub fn reader(&self) -> &'a Reader {
        self.reader
    }

    /// The node it stands for.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// Where it starts.
    pub fn position(&self) -> Position {
        self.reader.position(self.node)
    }

    /// The value of a key, also where it is nothing (`key:`, `key: null`). Makes the key known.
    pub fn raw(&self, key: &'static str) -> Option<&'a Node> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The value of a key, unless it is nothing. Makes the key known.
    pub fn get(&self, key: &'static str) -> Option<&'a Node> {
        self.raw(key).filter(|node| !node.is_null())
    }

    /// The value of a key that must be there.
    pub fn require(&self, key: &'static str) -> Option<&'a Node> {
        let found = self.get(key);
        if found.is_none() {
            let message = format!("{} has no `{key}`", self.what);
            self.reader.error(self.node, self.reader.codes.missing_key, message);
        }
        found
    }

    /// The text of a key.
    pub fn string(&self, key: &'static str) -> Option<String> {
        self.get(key).and_then(|node| self.reader.string(node, &name(key)))
    }

    /// The text of a key that must be there.
    pub fn require_string(&self, key: &'static str) -> Option<String> {
        self.require(key).and_then(|node| self.reader.string(node, &name(key)))
    }

    /// The boolean of a key.
    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        self.get(key).and_then(|node| self.reader.boolean(node, &name(key)))
    }

    /// The whole number of a key.
    pub fn integer(&self, key: &'static str) -> Option<i64> {
        self.get(key).and_then(|node| self.reader.integer(node, &name(key)))
    }

    /// The duration of a key: `15m`, `24h`, `PT15M`.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        let node = self.get(key)?;
        let parsed = node.text().and_then(duration::parse);
        if parsed.is_none() {
            let finding = Finding::error(
                self.reader.codes.bad_value,
                self.reader.position(node),
                format!("{} is not a duration", name(key)),
            );
            self.reader.report(finding.with_hint("write `15m`, `24h`, `7d` or `PT15M`"));
        }
        parsed
    }

    /// The share of a key, 0 to 1: `99.9%`, `0.999` or `99.9`. What is above 1 is taken for per cent.
    pub fn share(&self, key: &'static str) -> Option<f64> {
        let node = self.get(key)?;
        let parsed = node.text().and_then(share);
        if parsed.is_none() {
            let message = format!("{} is not a share", name(key));
            let finding = Finding::error(self.reader.codes.bad_value, self.reader.position(node), message);
            self.reader.report(finding.with_hint("write `99.9%` or `0.999`"));
        }
        parsed
    }

    /// The texts of a key; a single text is a list of one.
    pub fn strings(&self, key: &'static str) -> Vec<String> {
        self.get(key).map(|node| self.reader.strings(node, &name(key))).unwrap_or_default()
    }

    /// The mapping of a key; `what` names it in messages.
    pub fn mapping(&self, key: &'static str, what: &str) -> Option<Mapping<'a>> {
        self.get(key).and_then(|node| self.reader.mapping(node, what))
    }

    /// The items of a key's sequence; none where the key is missing.
    pub fn items(&self, key: &'static str) -> &'a [Node] {
        self.get(key).and_then(|node| self.reader.sequence(node, &name(key))).unwrap_or_default()
    }

    /// One of several words, whatever their case.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let node = self.get(key)?;
        let text = self.reader.string(node, &name(key))?;
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text));
        if found.is_none() {
            self.unknown_word(node, key, &text, &choices.iter().map(|(word, _)| *word).collect::<Vec<_>>());
        }
        found.map(|(_, value)| *value)
    }

    /// Reports a word that is none of those known.
    pub fn unknown_word(&self, node: &Node, key: &str, given: &str, words: &[&str]) {
        let position = self.reader.position(node);
        let mut finding = Finding::error(self.reader.codes.bad_value, position, format!("unknown `{key}`: `{given}`"));
        finding.hint = did_you_mean(given, words);
        self.reader.report(finding);
    }

    /// All keys with their values, for mappings whose keys are names. Use this or [`Mapping::finish`], not both.
    pub fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// Reports the keys that nobody asked for. Keys that start with `x-` are left to their authors.
    pub fn finish(self, level: Level) {
        let known = self.known.into_inner();
        let unknown = self.entries.iter().filter(|e| !known.contains(&e.key.as_str()) && !e.key.starts_with("x-"));
        for entry in unknown {
            let position = Position::at(self.reader.file.clone(), entry.line, entry.column);
            let message = format!("unknown key `{}` in {}", entry.key, self.what);
            let mut finding = Finding::new(level, self.reader.codes.unknown_key, position, message);
            finding.hint = did_you_mean(&entry.key, &known);
            self.reader.report(finding);
        }
    }
}

fn name(key: &str) -> String {
    format!("`{key}`")
}

fn share(text: &str) -> Option<f64> {
    let (number, percent) = match text.trim().strip_suffix('%') {
        Some(number) => (number.trim_end(), true),
        None => (text.trim(), false),
    };
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value: f64 = number.parse().ok()?;
    let share = if percent || value > 1.0 { value / 100.0 } else { value };
    (0.0..=1.0).contains(&share).then_some(share)
}
