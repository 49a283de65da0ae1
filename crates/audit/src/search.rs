//! Search over the segments of a journal, one segment in memory at a time.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::vec;

use crate::error::AuditError;
use crate::record::{Entry, EntryStatus, Line, rfc3339};
use crate::segment::{self, Segment};

/// Segments that end this much before `since` are not opened (clocks may step back a little).
const CLOCK_MARGIN_MS: i64 = 3_600_000;

/// In which order entries are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By their beginning, the newest first.
    #[default]
    NewestFirst,
    /// By their beginning, the oldest first.
    OldestFirst,
}

/// Which entries are wanted. All conditions must hold; an empty query finds everything.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The principal's id.
    pub principal: Option<String>,
    /// A table, as `domain.table`, or a whole domain, as `domain`.
    pub table: Option<String>,
    /// Begun at or after this instant (milliseconds since 1970).
    pub since_ms: Option<i64>,
    /// Begun before this instant (milliseconds since 1970).
    pub until_ms: Option<i64>,
    /// How it ended.
    pub status: Option<EntryStatus>,
    /// A text that occurs in the statement, purpose, reason, query id or a policy's id (upper and lower case alike).
    pub text: Option<String>,
    /// At most so many entries.
    pub limit: Option<usize>,
    /// The order.
    pub order: Order,
}

impl Query {
    fn matches(&self, entry: &Entry) -> bool {
        let begin = &entry.begin;
        let in_domain = |name: &str, wanted: &str| {
            name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
        };
        self.principal.as_ref().is_none_or(|id| *id == begin.principal)
            && self.since_ms.is_none_or(|since| entry.at_ms >= since)
            && self.until_ms.is_none_or(|until| entry.at_ms < until)
            && self.status.is_none_or(|status| status == entry.status)
            && self.table.as_ref().is_none_or(|wanted| begin.tables.iter().any(|table| in_domain(&table.name, wanted)))
            && self.text.as_ref().is_none_or(|text| mentions(entry, &text.to_lowercase()))
    }
}

fn mentions(entry: &Entry, text: &str) -> bool {
    let begin = &entry.begin;
    let texts = [Some(&begin.statement), Some(&begin.query_id), begin.purpose.as_ref(), begin.reason.as_ref()];
    let policies = begin.tables.iter().flat_map(|table| &table.policies);
    texts.into_iter().flatten().chain(policies).any(|candidate| candidate.to_lowercase().contains(text))
}

/// Searches the journal in `dir`, which may be in use by a gateway at the same time. A directory that does not exist
/// has no entries. Lines that cannot be read come as [`AuditError::Damaged`], and the search goes on after them.
///
/// # Errors
///
/// [`AuditError::Io`] if the directory cannot be listed.
pub fn search(dir: &Path, query: &Query) -> Result<Search, AuditError> {
    let strands = segment::strands(dir)?.iter().map(|strand| Strand::open(strand, query)).collect::<Result<_, _>>()?;
    Ok(Search { query: query.clone(), strands, left: query.limit.unwrap_or(usize::MAX) })
}

/// The entries found, as an iterator.
#[derive(Debug)]
pub struct Search {
    query: Query,
    strands: Vec<Strand>,
    left: usize,
}

impl Iterator for Search {
    type Item = Result<Entry, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            match self.step() {
                Some(Ok(entry)) if self.query.matches(&entry) => {
                    self.left -= 1;
                    return Some(Ok(entry));
                }
                Some(Ok(_)) => {}
                other => return other,
            }
        }
        None
    }
}

impl Search {
    /// The next entry of all strands, whether it is wanted or not.
    fn step(&mut self) -> Option<Result<Entry, AuditError>> {
        for strand in &mut self.strands {
            if strand.head.is_none() {
                match strand.step() {
                    Some(Ok(entry)) => strand.head = Some(entry),
                    Some(Err(error)) => return Some(Err(error)),
                    None => {}
                }
            }
        }
        let heads = self.strands.iter_mut().filter(|strand| strand.head.is_some());
        let at = |strand: &&mut Strand| strand.head.as_ref().map(|entry| entry.at_ms);
        let next = match self.query.order {
            Order::NewestFirst => heads.max_by_key(at),
            Order::OldestFirst => heads.min_by_key(at),
        };
        next.and_then(|strand| strand.head.take()).map(Ok)
    }
}

/// What one writer after the other wrote into one directory.
#[derive(Debug)]
struct Strand {
    order: Order,
    segments: VecDeque<Segment>,
    lines: vec::IntoIter<(usize, Vec<u8>)>,
    path: PathBuf,
    /// Newest first: what an entry without an end is, at this point of the journal.
    unfinished: EntryStatus,
    live: bool,
    /// Newest first: ends whose beginning is still to come.
    ends: HashMap<String, Line>,
    /// Oldest first: entries in order, of which the first may still wait for its end.
    waiting: VecDeque<Entry>,
    done: bool,
    /// The entry that waits to be merged with those of other strands.
    head: Option<Entry>,
}

impl Strand {
    fn open(dir: &Path, query: &Query) -> Result<Strand, AuditError> {
        // The lock is looked at first: what is without an end in a journal that nobody writes is interrupted.
        let live = segment::is_locked(dir);
        let mut segments: VecDeque<Segment> = segment::list(dir)?.into();
        if let Some(since) = query.since_ms {
            // A segment ends where the next one begins.
            while segments.get(1).is_some_and(|next| next.begun_ms.saturating_add(CLOCK_MARGIN_MS) < since) {
                segments.pop_front();
            }
        }
        Ok(Strand {
            order: query.order,
            segments,
            lines: Vec::new().into_iter(),
            path: PathBuf::new(),
            unfinished: if live { EntryStatus::Running } else { EntryStatus::Interrupted },
            live,
            ends: HashMap::new(),
            waiting: VecDeque::new(),
            done: false,
            head: None,
        })
    }

    /// The next entry, whether it is wanted or not.
    fn step(&mut self) -> Option<Result<Entry, AuditError>> {
        loop {
            if let Some(entry) = self.settled() {
                return Some(Ok(entry));
            }
            match self.line()? {
                Ok(line) => {
                    if let Some(entry) = self.take(line) {
                        return Some(Ok(entry));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Oldest first: the entry in front, if its end is known.
    fn settled(&mut self) -> Option<Entry> {
        self.waiting.pop_front_if(|entry| entry.status != EntryStatus::Running || self.done)
    }

    fn take(&mut self, line: Line) -> Option<Entry> {
        match self.order {
            Order::NewestFirst => self.take_backwards(line),
            Order::OldestFirst => {
                self.take_forwards(line);
                None
            }
        }
    }

    fn take_backwards(&mut self, line: Line) -> Option<Entry> {
        match line {
            Line::Opened { .. } => self.unfinished = EntryStatus::Interrupted,
            Line::End { ref query_id, .. } => drop(self.ends.insert(query_id.clone(), line)),
            Line::Begin { at, at_ms, begin } => {
                let end = self.ends.remove(&begin.query_id);
                let mut entry = unfinished(at, at_ms, *begin, self.unfinished);
                end.into_iter().for_each(|end| finish(&mut entry, end));
                return Some(entry);
            }
            Line::Note { .. } | Line::Closed { .. } => {}
        }
        None
    }

    fn take_forwards(&mut self, line: Line) {
        match line {
            Line::Opened { .. } => self.interrupt_waiting(),
            Line::End { ref query_id, .. } => {
                let entry = self.waiting.iter_mut().find(|entry| entry.begin.query_id == *query_id);
                entry.into_iter().for_each(|entry| finish(entry, line.clone()));
            }
            Line::Begin { at, at_ms, begin } => {
                self.waiting.push_back(unfinished(at, at_ms, *begin, EntryStatus::Running));
            }
            Line::Note { .. } | Line::Closed { .. } => {}
        }
    }

    fn interrupt_waiting(&mut self) {
        for entry in self.waiting.iter_mut().filter(|entry| entry.status == EntryStatus::Running) {
            entry.status = EntryStatus::Interrupted;
        }
    }

    /// The next line in the order of the search.
    fn line(&mut self) -> Option<Result<Line, AuditError>> {
        loop {
            let next = match self.order {
                Order::NewestFirst => self.lines.next_back(),
                Order::OldestFirst => self.lines.next(),
            };
            if let Some((number, bytes)) = next {
                return Some(serde_json::from_slice(&bytes).map_err(|error| AuditError::Damaged {
                    segment: self.path.clone(),
                    line: number,
                    reason: error.to_string(),
                }));
            }
            let segment = match self.order {
                Order::NewestFirst => self.segments.pop_back(),
                Order::OldestFirst => self.segments.pop_front(),
            };
            let Some(segment) = segment else { return self.finish_waiting() };
            match std::fs::read(&segment.path) {
                Ok(bytes) => self.lines = split(&bytes).into_iter(),
                Err(error) => return Some(Err(AuditError::io("read", &segment.path)(error))),
            }
            self.path = segment.path;
        }
    }

    /// At the end of the journal: what waits still runs, or was interrupted. Gives one last turn if anything waits.
    fn finish_waiting(&mut self) -> Option<Result<Line, AuditError>> {
        if std::mem::replace(&mut self.done, true) || self.waiting.is_empty() {
            return None;
        }
        if !self.live {
            self.interrupt_waiting();
        }
        Some(Ok(Line::Note { at_ms: 0, text: String::new() }))
    }
}

/// The whole lines with their numbers. A last line without its end is being written just now, or torn: left out.
fn split(bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |at| bytes.get(..at).unwrap_or(&[]));
    let lines = whole.split(|byte| *byte == b'\n').enumerate();
    lines.filter(|(_, line)| !line.is_empty()).map(|(at, line)| (at + 1, line.to_vec())).collect()
}

fn unfinished(at: String, at_ms: i64, begin: crate::record::Begin, status: EntryStatus) -> Entry {
    let at = if at.is_empty() { rfc3339(at_ms) } else { at };
    Entry { at, at_ms, begin, status, rows: None, bytes: None, duration_ms: None, error_kind: None }
}

fn finish(entry: &mut Entry, end: Line) {
    if let Line::End { status, rows, bytes, duration_ms, error_kind, .. } = end {
        entry.status = status.into();
        entry.rows = Some(rows);
        entry.bytes = Some(bytes);
        entry.duration_ms = Some(duration_ms);
        entry.error_kind = error_kind;
    }
}
