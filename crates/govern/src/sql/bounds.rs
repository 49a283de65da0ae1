//! Bounds on statements, enforced on the token stream: before anything recurses into it.

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::error::GovernError;

pub(super) const DIALECT: GenericDialect = GenericDialect {};

/// How large a statement may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParseLimits {
    /// Bytes of text.
    pub max_bytes: usize,
    /// Nesting of parentheses, brackets, CASE and the like.
    pub max_depth: usize,
    /// Depth of chains of operators (`a + b + c …`, `… OR …`) with what they hold; and the number of joins and set
    /// operations of the whole statement.
    pub max_chain: usize,
}

impl Default for ParseLimits {
    fn default() -> Self {
        ParseLimits { max_bytes: 256 * 1024, max_depth: 48, max_chain: 256 }
    }
}

/// The statement's tokens, with `?` numbered.
pub(super) fn tokens(sql: &str, limits: &ParseLimits) -> Result<Vec<TokenWithSpan>, GovernError> {
    if sql.len() > limits.max_bytes {
        return Err(GovernError::TooLarge { bytes: sql.len(), limit: limits.max_bytes });
    }
    let mut tokens = Tokenizer::new(&DIALECT, sql)
        .tokenize_with_location()
        .map_err(|error| GovernError::Syntax { message: error.to_string() })?;
    check_depth(&tokens, limits)?;
    number_placeholders(&mut tokens)?;
    Ok(tokens)
}

/// What stands between two parentheses, up to now.
#[derive(Default)]
struct Level {
    /// AND and OR: they bind loosest, so that each makes a chain one deeper.
    loose: usize,
    /// Other operators since the last of those, and the most that there were between two.
    tight: usize,
    most_tight: usize,
    /// The deepest parenthesis of this item.
    deepest: usize,
    /// The deepest item before: a comma begins a new one.
    items: usize,
}

impl Level {
    fn item(&self) -> usize {
        self.loose + self.most_tight.max(self.tight) + self.deepest
    }

    fn depth(&self) -> usize {
        self.item().max(self.items) + 1
    }
}

/// An upper bound on the depth of the syntax tree, in one pass.
fn check_depth(tokens: &[TokenWithSpan], limits: &ParseLimits) -> Result<(), GovernError> {
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    let mut steps = 0_usize;
    for token in tokens {
        match weigh(&token.token) {
            Weight::Open => outer.push(std::mem::take(&mut level)),
            Weight::Close => {
                if let Some(around) = outer.pop() {
                    let depth = level.depth();
                    level = around;
                    level.deepest = level.deepest.max(depth);
                }
            }
            Weight::Separator => level = Level { items: level.items.max(level.item()), ..Level::default() },
            Weight::Loose => {
                level.loose += 1;
                level.most_tight = level.most_tight.max(level.tight);
                level.tight = 0;
            }
            Weight::Tight => level.tight += 1,
            Weight::Step => steps += 1,
            Weight::Nothing => {}
        }
        if outer.len() >= limits.max_depth {
            return Err(GovernError::TooDeep { limit: limits.max_depth });
        }
        if level.depth() > limits.max_chain || steps > limits.max_chain {
            return Err(GovernError::TooDeep { limit: limits.max_chain });
        }
    }
    // Parentheses that are left open do not parse.
    Ok(())
}

enum Weight {
    Open,
    Close,
    Separator,
    Loose,
    Tight,
    /// Deepens the plan wherever it stands.
    Step,
    Nothing,
}

fn weigh(token: &Token) -> Weight {
    match token {
        Token::LParen | Token::LBracket | Token::LBrace => Weight::Open,
        Token::RParen | Token::RBracket | Token::RBrace => Weight::Close,
        Token::Comma | Token::SemiColon => Weight::Separator,
        Token::Word(word) => match word.keyword {
            Keyword::CASE => Weight::Open,
            Keyword::END => Weight::Close,
            Keyword::AND | Keyword::OR => Weight::Loose,
            Keyword::NOT
            | Keyword::XOR
            | Keyword::IS
            | Keyword::IN
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::SIMILAR
            | Keyword::RLIKE
            | Keyword::REGEXP
            | Keyword::BETWEEN
            | Keyword::DIV
            | Keyword::COLLATE
            | Keyword::AT
            | Keyword::OVERLAPS
            | Keyword::MATCH
            | Keyword::INTERVAL => Weight::Tight,
            Keyword::UNION
            | Keyword::INTERSECT
            | Keyword::EXCEPT
            | Keyword::MINUS
            | Keyword::JOIN
            | Keyword::EXPLAIN
            | Keyword::DESCRIBE
            | Keyword::DESC => Weight::Step,
            // Words of which long lists are usual; whatever else nests by words costs the parser's own counter.
            _ => Weight::Nothing,
        },
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Whitespace(_)
        | Token::Period
        | Token::Placeholder(_)
        | Token::EOF => Weight::Nothing,
        Token::VerticalBarRightAngleBracket => Weight::Step,
        // Every other token is an operator or rare: counting it is cheap and safe.
        _ => Weight::Tight,
    }
}

/// `?` becomes `$1`, `$2`, … in the order of the text; mixing both kinds is an error.
fn number_placeholders(tokens: &mut [TokenWithSpan]) -> Result<(), GovernError> {
    let (mut next, mut numbered) = (0_usize, false);
    for token in tokens {
        let Token::Placeholder(name) = &mut token.token else { continue };
        if name == "?" {
            next += 1;
            *name = format!("${next}");
        } else {
            numbered = true;
        }
    }
    if next > 0 && numbered {
        let message = "both `?` and numbered parameters are used; use one kind".into();
        return Err(GovernError::Syntax { message });
    }
    Ok(())
}

/// The parser's error, with its own depth limit told as ours.
pub(super) fn parser_error(error: DataFusionError, limits: &ParseLimits) -> GovernError {
    match error.find_root() {
        DataFusionError::SQL(inner, _) => match inner.as_ref() {
            ParserError::RecursionLimitExceeded => GovernError::TooDeep { limit: limits.max_depth },
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
                GovernError::Syntax { message: message.clone() }
            }
        },
        other => GovernError::Syntax { message: other.message().into_owned() },
    }
}
