//! What is wrong with a file of the mesh directory, and where.

use std::fmt;
use std::sync::Arc;

/// A text file of the mesh directory, already read by somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path relative to the mesh directory, with `/` between its parts.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// A source file from its path and its text.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// How much a finding weighs. Errors withhold what they are about; the rest is advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What the finding is about is not served.
    Error,
    /// Served, but probably not as meant.
    Warning,
    /// Worth knowing.
    Info,
}

impl Level {
    /// `error`, `warning` or `info`.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place in a file. Lines and columns count from 1; line 0 means the whole file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Path relative to the mesh directory.
    pub file: Arc<str>,
    /// Line, from 1; 0 for the whole file.
    pub line: u32,
    /// Column in characters, from 1; 0 for the whole line or file.
    pub column: u32,
}

impl Position {
    /// The whole file.
    pub fn file(file: impl Into<Arc<str>>) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }

    /// A line and column of a file.
    pub fn at(file: impl Into<Arc<str>>, line: u32, column: u32) -> Self {
        Self { file: file.into(), line, column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printable(&self.file))?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.line > 0 && self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// Something to tell the author of a file.
///
/// Displayed as `catalogs/x.yaml:3:5: error[contract-unknown-key]: message (hint: …)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Weight.
    pub level: Level,
    /// A stable name for this kind of finding, such as `contract-unknown-key`.
    pub code: &'static str,
    /// Where.
    pub position: Position,
    /// What is wrong: lower case, no trailing stop, the offending name in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    /// A finding without a hint.
    pub fn new(level: Level, code: &'static str, position: Position, message: impl Into<String>) -> Self {
        Self { level, code, position, message: message.into(), hint: None }
    }

    /// A finding of level error.
    pub fn error(code: &'static str, position: Position, message: impl Into<String>) -> Self {
        Self::new(Level::Error, code, position, message)
    }

    /// A finding of level warning.
    pub fn warning(code: &'static str, position: Position, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, code, position, message)
    }

    /// The same finding with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether this finding withholds what it is about.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}[{}]: {}", self.position, self.level, self.code, Printable(&self.message))?;
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {})", Printable(hint))?;
        }
        Ok(())
    }
}

/// Text from a file, shown without its control characters: a finding may not steer a terminal or forge a line.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            // Bidirectional overrides can make a line read differently from what it says.
            if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
            {
                write!(f, "{}", c.escape_default())?;
            } else {
                fmt::Write::write_char(f, c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_place_code_message_and_hint() {
        let at = Position::at("catalogs/x.yaml", 3, 5);
        let finding =
            Finding::error("contract-unknown-key", at, "unknown key `nmae`").with_hint("did you mean `name`?");
        let text = "catalogs/x.yaml:3:5: error[contract-unknown-key]: unknown key `nmae` (hint: did you mean `name`?)";
        assert_eq!(finding.to_string(), text);
    }

    #[test]
    fn a_whole_file_has_no_line() {
        let finding = Finding::warning("contract-domain", Position::file("a.yaml"), "m");
        assert_eq!(finding.to_string(), "a.yaml: warning[contract-domain]: m");
        assert!(!finding.is_error());
    }

    #[test]
    fn control_characters_are_escaped() {
        let finding = Finding::error("c", Position::file("a\n.yaml"), "key `\u{1b}[31m\u{202e}`");
        assert_eq!(finding.to_string(), "a\\n.yaml: error[c]: key `\\u{1b}[31m\\u{202e}`");
    }
}
