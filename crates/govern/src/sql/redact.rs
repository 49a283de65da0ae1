//! Statements without their literals, for logs and audit.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Ident, Select, Value, ValueWithSpan, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Whitespace, Word};

use super::bounds::DIALECT;

/// What stands for a statement that cannot be shown without its literals.
pub const REDACTED: &str = "<redacted>";

/// Replaces each literal of the tree, renders it, and then keeps of the text only what cannot be a literal: names,
/// keywords, operators and parameters.
pub(super) fn redacted(statement: &ast::Statement, prefix: &str) -> String {
    let mut statement = statement.clone();
    let _: ControlFlow<()> = statement.visit(&mut Literals);
    scrub(&format!("{prefix}{statement}"), |_| true).unwrap_or_else(|| REDACTED.to_string())
}

/// A redacted statement without its names in quotes. Where a statement is wrong, such a name may be a value in the wrong quotes: `email = "a@b.c"`.
pub fn without_quoted_names(redacted: &str) -> String {
    scrub(redacted, |word| word.quote_style.is_none()).unwrap_or_else(|| REDACTED.to_string())
}

struct Literals;

impl VisitorMut for Literals {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        select.optimizer_hints.clear();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Identifier(name) = expr {
            quoted(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        if !matches!(value.value, Value::Placeholder(_) | Value::Null) {
            value.value = Value::Placeholder("?".into());
        }
        ControlFlow::Continue(())
    }
}

/// A name in single quotes is a literal as far as we are concerned.
fn quoted(name: &mut Ident) {
    if name.quote_style == Some('\'') {
        *name = Ident::new("?");
    }
}

/// The text with `?` for every token that may hold a value, and for words that are not kept; `None` if it is not SQL.
fn scrub(text: &str, keeps: impl Fn(&Word) -> bool) -> Option<String> {
    let tokens = Tokenizer::new(&DIALECT, text).tokenize().ok()?;
    let mut kept = String::with_capacity(text.len());
    for token in tokens {
        match token {
            Token::Whitespace(Whitespace::Space | Whitespace::Newline | Whitespace::Tab) => kept.push(' '),
            Token::Whitespace(_) | Token::EOF => {}
            Token::Placeholder(name) if is_parameter(&name) => kept.push_str(&name),
            Token::Word(word) if word.quote_style.is_none_or(|quote| quote != '\'') && keeps(&word) => {
                kept.push_str(&written(&word));
            }
            token if is_symbol(&token) => kept.push_str(&token.to_string()),
            _ => kept.push('?'),
        }
    }
    Some(kept)
}

/// A word as it is read again: quotes within quotes are doubled.
fn written(word: &Word) -> String {
    match word.quote_style {
        Some(quote) if quote != '[' => {
            let doubled = word.value.replace(quote, &format!("{quote}{quote}"));
            format!("{quote}{doubled}{quote}")
        }
        _ => word.to_string(),
    }
}

fn is_parameter(name: &str) -> bool {
    name == "?" || name.strip_prefix('$').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a token is made of punctuation alone.
fn is_symbol(token: &Token) -> bool {
    !matches!(
        token,
        Token::Number(..)
            | Token::Char(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Word(_)
    ) && token.to_string().chars().all(|char| char.is_ascii_punctuation() && !matches!(char, '\'' | '"' | '`' | '$'))
}
