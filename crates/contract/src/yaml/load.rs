//! Text to a tree of nodes with positions, bounded in every direction.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

/// Greatest size of a file in bytes.
const MAX_BYTES: usize = 4 << 20;
/// Greatest nesting of sequences and mappings.
const MAX_DEPTH: usize = 64;
/// Greatest number of nodes, counting what aliases repeat.
const MAX_NODES: usize = 400_000;

/// A value and where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The value.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text, a number, a boolean or nothing.
    Scalar(Scalar),
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping, in the order of the file, each key once.
    Mapping(Vec<Entry>),
}

/// The text of a scalar, and whether it stood there without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text, without quotes.
    pub text: String,
    /// Whether it stood there without quotes: only then it may be a number, a boolean or nothing.
    pub plain: bool,
}

/// A key of a mapping and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The key's line, from 1.
    pub line: u32,
    /// The key's column, from 1.
    pub column: u32,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Whether nothing is written here: no text, `~` or `null`, without quotes.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(s) if s.plain && matches!(s.text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a scalar, quoted or not.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(_) if self.is_null() => "nothing",
            Value::Scalar(_) => "text",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// Something wrong with the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
}

/// Reads the one document of a text. Nothing comes out when there is a problem.
pub(super) fn load(text: &str) -> Result<Node, Vec<Problem>> {
    if text.len() > MAX_BYTES {
        let message = format!("file is larger than {} MiB", MAX_BYTES >> 20);
        return Err(vec![Problem { line: 0, column: 0, message }]);
    }
    let mut loader = Loader::default();
    match loader.run(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        Err(problem) => Err(vec![problem]),
        Ok(()) if !loader.problems.is_empty() => Err(loader.problems),
        Ok(()) => loader.root.ok_or_else(|| vec![Problem { line: 1, column: 1, message: "file is empty".to_owned() }]),
    }
}

#[derive(Default)]
struct Loader {
    stack: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    nodes: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
}

/// A finished node that aliases may repeat, with its size and height.
struct Anchor {
    node: Node,
    size: Size,
}

#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    height: usize,
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    line: u32,
    column: u32,
    size: Size,
    items: Items,
}

enum Items {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, key: Option<(String, u32, u32)> },
}

impl Loader {
    fn run(&mut self, text: &str) -> Result<(), Problem> {
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| syntax(&error))?;
            self.event(event, &span.start)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, mark: &Marker) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => Err(problem(mark, "a file holds one YAML document")),
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(id) => {
                let Some(anchor) = self.anchors.get(&id) else {
                    return Err(problem(mark, "alias refers to itself"));
                };
                let size = anchor.size;
                self.reserve(size, mark)?;
                // Looked up again: the reservation needed the whole of `self`.
                let Some(node) = self.anchors.get(&id).map(|anchor| anchor.node.clone()) else {
                    return Ok(());
                };
                self.add(node, size)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.reserve(Size { nodes: 1, height: 0 }, mark)?;
                let plain = style == ScalarStyle::Plain && !is_text_tag(tag.as_deref(), mark)?;
                let value = Value::Scalar(Scalar { text: text.into_owned(), plain });
                self.finished(value, Size { nodes: 1, height: 0 }, anchor, mark)
            }
            Event::SequenceStart(anchor, tag) => {
                is_text_tag(tag.as_deref(), mark)?;
                self.open(anchor, Items::Sequence(Vec::new()), mark)
            }
            Event::MappingStart(anchor, tag) => {
                is_text_tag(tag.as_deref(), mark)?;
                self.open(anchor, Items::Mapping { entries: Vec::new(), key: None }, mark)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(mark),
        }
    }

    fn reserve(&mut self, size: Size, mark: &Marker) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(size.nodes);
        if self.nodes > MAX_NODES {
            return Err(problem(
                mark,
                &format!("file has more than {MAX_NODES} values, those of its aliases included"),
            ));
        }
        if self.stack.len() + size.height > MAX_DEPTH {
            return Err(problem(mark, &format!("values are nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, items: Items, mark: &Marker) -> Result<(), Problem> {
        self.reserve(Size { nodes: 1, height: 1 }, mark)?;
        let (line, column) = place(mark);
        self.stack.push(Open { anchor, line, column, size: Size { nodes: 1, height: 1 }, items });
        Ok(())
    }

    fn close(&mut self, mark: &Marker) -> Result<(), Problem> {
        let Some(open) = self.stack.pop() else { return Ok(()) };
        let value = match open.items {
            Items::Sequence(items) => Value::Sequence(items),
            Items::Mapping { entries, .. } => Value::Mapping(self.without_duplicates(entries)),
        };
        let node = Node { line: open.line, column: open.column, value };
        if open.anchor > 0 {
            self.reserve(Size { nodes: open.size.nodes, height: 0 }, mark)?;
            self.anchors.insert(open.anchor, Anchor { node: node.clone(), size: open.size });
        }
        self.add(node, open.size)
    }

    fn finished(&mut self, value: Value, size: Size, anchor: usize, mark: &Marker) -> Result<(), Problem> {
        let (line, column) = place(mark);
        let node = Node { line, column, value };
        if anchor > 0 {
            self.anchors.insert(anchor, Anchor { node: node.clone(), size });
        }
        self.add(node, size)
    }

    fn add(&mut self, node: Node, size: Size) -> Result<(), Problem> {
        let Some(parent) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.size.nodes = parent.size.nodes.saturating_add(size.nodes);
        parent.size.height = parent.size.height.max(size.height + 1);
        match &mut parent.items {
            Items::Sequence(items) => items.push(node),
            Items::Mapping { entries, key } => match key.take() {
                Some((key, line, column)) => entries.push(Entry { key, line, column, value: node }),
                None => match node {
                    Node { line, column, value: Value::Scalar(scalar) } => *key = Some((scalar.text, line, column)),
                    Node { line, column, .. } => {
                        return Err(Problem { line, column, message: "a key must be text".to_owned() });
                    }
                },
            },
        }
        Ok(())
    }

    fn without_duplicates(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut first: HashMap<&str, u32> = HashMap::with_capacity(entries.len());
        let problems = &mut self.problems;
        for entry in &entries {
            if let Some(line) = first.get(entry.key.as_str()) {
                let message = format!("key `{}` is given twice, first on line {line}", entry.key);
                problems.push(Problem { line: entry.line, column: entry.column, message });
            } else {
                first.insert(&entry.key, entry.line);
            }
        }
        entries
    }
}

/// Whether a tag makes text of a scalar (`!!str`); tags beyond YAML's core schema are refused.
fn is_text_tag(tag: Option<&Tag>, mark: &Marker) -> Result<bool, Problem> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix == "str"),
        Some(tag) => Err(problem(mark, &format!("tag `{}{}` has no meaning here", tag.handle, tag.suffix))),
    }
}

fn place(mark: &Marker) -> (u32, u32) {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (number(mark.line()), number(mark.col().saturating_add(1)))
}

fn problem(mark: &Marker, message: &str) -> Problem {
    let (line, column) = place(mark);
    Problem { line, column, message: message.to_owned() }
}

fn syntax(error: &saphyr_parser::ScanError) -> Problem {
    problem(error.marker(), &format!("this is not YAML: {}", error.info()))
}
