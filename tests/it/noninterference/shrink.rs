//! From a statement that betrays something to a short one that still does.

use std::future::Future;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Tries at most.
const TRIES: usize = 600;

/// Takes tokens away as long as `fails` holds: groups in parentheses first, then ever smaller runs.
pub async fn shrink<F: Future<Output = bool>>(sql: &str, mut fails: impl FnMut(String) -> F) -> String {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else { return sql.to_owned() };
    let mut kept: Vec<String> = tokens
        .iter()
        .filter(|token| !matches!(token, Token::Whitespace(_) | Token::EOF))
        .map(Token::to_string)
        .collect();
    let mut tries = 0;
    loop {
        let before = kept.len();
        for candidate_size in sizes(kept.len()) {
            let mut at = 0;
            while at + candidate_size <= kept.len() && tries < TRIES {
                let mut shorter = kept.clone();
                shorter.drain(at..at + candidate_size);
                tries += 1;
                match balanced(&shorter) && fails(joined(&shorter)).await {
                    true => kept = shorter,
                    false => at += 1,
                }
            }
        }
        let mut at = 0;
        while at < kept.len() && tries < TRIES {
            let Some(end) = closing(&kept, at) else {
                at += 1;
                continue;
            };
            let mut constant = kept.clone();
            constant.splice(at..=end, ["1".to_owned()]);
            tries += 1;
            if end > at + 1 && fails(joined(&constant)).await {
                kept = constant;
            }
            at += 1;
        }
        if kept.len() == before || tries >= TRIES {
            return joined(&kept);
        }
    }
}

fn sizes(length: usize) -> impl Iterator<Item = usize> {
    let largest = (length / 2).max(1);
    std::iter::successors(Some(largest), |size| (*size > 1).then_some(size / 2))
}

fn joined(tokens: &[String]) -> String {
    tokens.join(" ").replace(" . ", ".").replace(" (", "(")
}

fn balanced(tokens: &[String]) -> bool {
    let mut open = 0_i32;
    for token in tokens {
        open += i32::from(token == "(") - i32::from(token == ")");
        if open < 0 {
            return false;
        }
    }
    open == 0
}

/// The parenthesis that closes the one at `at`.
fn closing(tokens: &[String], at: usize) -> Option<usize> {
    if tokens[at] != "(" {
        return None;
    }
    let mut open = 0;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        open += i32::from(token == "(") - i32::from(token == ")");
        if open == 0 {
            return Some(place);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::shrink;

    #[tokio::test]
    async fn what_does_not_matter_is_taken_away() {
        let sql =
            "SELECT a, (b + c) AS x FROM t AS t JOIN u AS u ON (t.a = u.b) WHERE bad(t.a) > 3 AND t.z IS NOT NULL";
        let short = shrink(sql, |sql| async move { sql.contains("bad") && sql.contains("SELECT") }).await;
        assert_eq!(short, "SELECT bad");
    }
}
