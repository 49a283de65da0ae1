//! Typed expressions.

use super::{Generator, SCALARS, Scope, Ty};

/// How deep expressions nest.
const DEEPEST: usize = 4;

impl Generator<'_> {
    /// An expression of a type.
    pub(super) fn expr(&mut self, ty: Ty, scope: &Scope, depth: usize) -> String {
        let leaf = depth >= DEEPEST || !self.rng.once_in(2 + depth);
        if leaf {
            return self.leaf(ty, scope);
        }
        match self.rng.below(12) {
            0 => {
                let (when, then, other) = (
                    self.predicate(scope, depth + 1),
                    self.expr(ty, scope, depth + 1),
                    self.expr(ty, scope, depth + 1),
                );
                format!("CASE WHEN {when} THEN {then} ELSE {other} END")
            }
            1 => format!("coalesce({}, {})", self.expr(ty, scope, depth + 1), self.leaf(ty, scope)),
            2 if !self.common => format!("nullif({}, {})", self.expr(ty, scope, depth + 1), self.leaf(ty, scope)),
            3 if self.depth < 2 && !self.common => self.scalar_query(ty, scope),
            _ => self.compound(ty, scope, depth + 1),
        }
    }

    fn leaf(&mut self, ty: Ty, scope: &Scope) -> String {
        let fitting: Vec<&str> = scope.columns.iter().filter(|c| c.ty == ty).map(|c| c.sql.as_str()).collect();
        if fitting.is_empty() || self.rng.once_in(5) {
            return self.literal(ty);
        }
        (*self.rng.pick(&fitting)).to_owned()
    }

    pub(super) fn literal(&mut self, ty: Ty) -> String {
        let rng = &mut self.rng;
        let day = |rng: &mut super::Rng| {
            format!("{}-{:02}-{:02}", 1990 + rng.below(40), 1 + rng.below(12), 1 + rng.below(28))
        };
        match ty {
            Ty::Bool => (*rng.pick(&["TRUE", "FALSE"])).into(),
            Ty::Int if !self.common && rng.once_in(12) => {
                (*rng.pick(&["9223372036854775807", "-2147483649", "0", "NULL"])).into()
            }
            Ty::Int => rng.range(-3, 60).to_string(),
            Ty::Dbl => format!("CAST({} AS DOUBLE)", rng.range(-40, 900) as f64 / 8.0),
            Ty::Dec => format!("CAST({}.{:02} AS DECIMAL(12,2))", rng.below(200), rng.below(100)),
            Ty::Date => format!("DATE '{}'", day(rng)),
            Ty::Time => {
                let time = format!("TIME '{:02}:{:02}:00'", rng.below(24), rng.below(60));
                // A column of times has microseconds, a literal nanoseconds, and the two cannot be compared.
                if rng.once_in(8) { time } else { format!("arrow_cast({time}, 'Time64(Microsecond)')") }
            }
            Ty::Ts => format!("TIMESTAMP '{} {:02}:30:00'", day(rng), rng.below(24)),
            Ty::Tz => format!("CAST('{}T{:02}:30:00Z' AS TIMESTAMP WITH TIME ZONE)", day(rng), rng.below(24)),
            Ty::Text => {
                let words =
                    ["EU", "US", "APAC", "1", "12", "a", "open", "%a%", "NEEDLE", "", "[redacted]", "****", "x y"];
                format!("'{}'", rng.pick(&words))
            }
            Ty::Bin => (*rng.pick(&["X'00ff'", "X''", "X'4e4545444c45'"])).into(),
            Ty::Uuid => "arrow_cast(X'07070707070707070707070707070707', 'FixedSizeBinary(16)')".into(),
            Ty::Longs => (*rng.pick(&["[1, 2, 3]", "[]", "[42, NULL]"])).into(),
            Ty::Texts => (*rng.pick(&["['a', 'b']", "['NEEDLE']"])).into(),
            Ty::Place => "named_struct('city', 'x', 'zip', 1)".into(),
            Ty::Tags => "MAP {'a': '1'}".into(),
            Ty::Interval => format!("INTERVAL '{} {}'", rng.below(40), rng.pick(&["day", "month", "hour", "year"])),
        }
    }

    fn compound(&mut self, ty: Ty, scope: &Scope, depth: usize) -> String {
        if !self.common
            && self.rng.once_in(10)
            && let Some(fallible) = self.fallible(ty, scope, depth)
        {
            return fallible;
        }
        if !self.common && self.rng.once_in(4) {
            return self.call(Some(ty), scope, depth);
        }
        let same = self.expr(ty, scope, depth);
        match ty {
            Ty::Bool => self.predicate(scope, depth),
            Ty::Int => match self.rng.below(8) {
                0 => format!("({same} + {})", self.small()),
                1 => format!("({same} - {})", self.small()),
                2 => format!("({same} * {})", self.small()),
                3 => format!("length({})", self.expr(Ty::Text, scope, depth)),
                4 => format!("CAST(extract({} FROM {}) AS BIGINT)", self.part(), self.expr(Ty::Date, scope, depth)),
                5 => format!("abs({same})"),
                6 if !self.common => format!("CAST({} AS BIGINT)", self.leaf(Ty::Bool, scope)),
                _ => same,
            },
            Ty::Dec => match self.rng.below(4) {
                0 => format!("({same} + {})", self.leaf(Ty::Dec, scope)),
                1 => format!("({same} - {})", self.leaf(Ty::Dec, scope)),
                2 => format!("CAST({} AS DECIMAL(20,2))", self.small()),
                _ => same,
            },
            Ty::Dbl => match self.rng.below(5) {
                0 => format!("({same} * {})", self.leaf(Ty::Dbl, scope)),
                1 => format!("({same} / {})", self.leaf(Ty::Dbl, scope)),
                2 => format!("sqrt({same})"),
                3 => format!("CAST({} AS DOUBLE)", self.leaf(Ty::Int, scope)),
                _ => format!("round({same}, 2)"),
            },
            Ty::Text => match self.rng.below(10) {
                0 => format!("upper({same})"),
                1 => format!("lower({same})"),
                2 => format!("({same} || {})", self.leaf(Ty::Text, scope)),
                3 => format!("substr({same}, {}, {})", 1 + self.rng.below(4), self.rng.below(9)),
                4 => format!("replace({same}, {}, 'z')", self.literal(Ty::Text)),
                5 => format!("trim({same})"),
                6 => {
                    let other =
                        if self.common { *self.rng.pick(&[Ty::Int, Ty::Text]) } else { *self.rng.pick(SCALARS) };
                    format!("CAST({} AS VARCHAR)", self.leaf(other, scope))
                }
                7 => format!("left({same}, {})", self.rng.below(8)),
                8 if !self.common => format!("array_to_string({}, ',')", self.leaf(Ty::Texts, scope)),
                _ => format!("reverse({same})"),
            },
            Ty::Date => match self.rng.below(3) {
                0 => format!("CAST({} AS DATE)", self.leaf(Ty::Ts, scope)),
                1 => format!("CAST(date_trunc('month', {}) AS DATE)", self.leaf(Ty::Ts, scope)),
                _ => same,
            },
            Ty::Ts | Ty::Tz => match self.rng.below(3) {
                0 => format!("date_trunc('{}', {same})", self.part()),
                1 if !self.common => format!("({same} + {})", self.literal(Ty::Interval)),
                _ => same,
            },
            _ if self.common => same,
            _ => self.call(Some(ty), scope, depth),
        }
    }

    /// An expression that fails on some values.
    pub(super) fn fallible(&mut self, ty: Ty, scope: &Scope, depth: usize) -> Option<String> {
        let text = self.expr(Ty::Text, scope, depth);
        let int = self.expr(Ty::Int, scope, depth);
        Some(match ty {
            Ty::Int => match self.rng.below(9) {
                0 => format!("CAST({text} AS BIGINT)"),
                1 => format!("CAST({text} AS INT)"),
                2 => format!("CAST({int} AS INT)"),
                3 => format!("CAST({int} AS SMALLINT)"),
                4 => format!("({} / ({int} - {}))", self.small(), self.small()),
                5 => format!("({} % ({int} - {}))", self.small(), self.small()),
                6 => format!("CAST({} AS BIGINT)", self.expr(Ty::Dbl, scope, depth)),
                7 => format!("arrow_cast({text}, 'Int32')"),
                _ => format!("CAST({} AS TINYINT)", self.expr(Ty::Dec, scope, depth)),
            },
            Ty::Dbl => format!("CAST({text} AS DOUBLE)"),
            Ty::Dec => match self.rng.below(3) {
                0 => format!("CAST({text} AS DECIMAL(10,2))"),
                1 => format!("({} / {})", self.leaf(Ty::Dec, scope), self.expr(Ty::Dec, scope, depth)),
                _ => format!("CAST({int} AS DECIMAL(4,2))"),
            },
            Ty::Date => format!("CAST({text} AS DATE)"),
            Ty::Ts => format!("CAST({text} AS TIMESTAMP)"),
            Ty::Tz => format!("CAST({text} AS TIMESTAMP WITH TIME ZONE)"),
            Ty::Time => format!("CAST({text} AS TIME)"),
            Ty::Bool => match self.rng.below(4) {
                0 => format!("regexp_like('NEEDLE1', {text})"),
                1 => format!("CAST({text} AS BOOLEAN)"),
                2 => format!("('a' SIMILAR TO {text})"),
                _ => format!("('NEEDLE7' ~ {text})"),
            },
            Ty::Text => match self.rng.below(4) {
                0 => format!("substr({text}, 1, {int})"),
                1 => format!("regexp_replace({text}, {}, '')", self.leaf(Ty::Text, scope)),
                2 => format!("chr({int})"),
                _ => format!("arrow_cast(decode({text}, 'hex'), 'Utf8')"),
            },
            Ty::Bin => format!("decode({text}, '{}')", self.rng.pick(&["hex", "base64"])),
            _ => return None,
        })
    }

    /// A condition.
    pub(super) fn predicate(&mut self, scope: &Scope, depth: usize) -> String {
        if depth < DEEPEST && self.rng.once_in(4) {
            let (left, right) = (self.predicate(scope, depth + 1), self.predicate(scope, depth + 1));
            return format!("({left} {} {right})", self.rng.pick(&["AND", "OR", "OR"]));
        }
        if !self.common && self.rng.once_in(28) {
            let fallible = *self.rng.pick(&[Ty::Int, Ty::Int, Ty::Date, Ty::Dec, Ty::Dbl, Ty::Bool]);
            if let Some(left) = self.fallible(fallible, scope, depth + 1) {
                return match fallible {
                    Ty::Bool => left,
                    _ => format!("{left} {} {}", self.comparison(), self.literal(fallible)),
                };
            }
        }
        if !self.common && self.depth < 2 && self.rng.once_in(9) {
            return self.query_predicate(scope);
        }
        let ty = self.of_scope(scope);
        let left = self.expr(ty, scope, depth + 1);
        match self.rng.below(11) {
            0 => format!("{left} IS {}NULL", self.rng.pick(&["", "NOT ", "NOT "])),
            1 => {
                let (a, b) = (self.literal(ty), self.literal(ty));
                format!("{left} {}IN ({a}, {b})", self.rng.pick(&["", "NOT ", "NOT "]))
            }
            2 if !matches!(ty, Ty::Bool | Ty::Bin | Ty::Uuid | Ty::Longs | Ty::Texts | Ty::Place | Ty::Tags) => {
                format!("{left} BETWEEN {} AND {}", self.literal(ty), self.leaf(ty, scope))
            }
            3 | 4 => {
                let text = self.expr(Ty::Text, scope, depth + 1);
                let operators: &[&str] =
                    if self.common { &["LIKE", "NOT LIKE"] } else { &["LIKE", "NOT LIKE", "ILIKE", "~", "!~*"] };
                format!(
                    "{text} {} '{}'",
                    self.rng.pick(operators),
                    self.rng.pick(&["%1%", "1%", "NEEDLE%", "_", "%a", "E."])
                )
            }
            5 => format!("NOT ({})", self.predicate(scope, depth + 2)),
            6 if ty == Ty::Bool => left,
            7 if !self.common => {
                format!("({left} IS {}DISTINCT FROM {})", self.rng.pick(&["", "NOT "]), self.leaf(ty, scope))
            }
            8 if !self.common => {
                let fitting = scope.columns.iter().any(|c| c.ty == Ty::Longs);
                if fitting {
                    let list = self.leaf(Ty::Longs, scope);
                    format!("array_has({list}, {})", self.small())
                } else {
                    format!("{left} = {}", self.leaf(ty, scope))
                }
            }
            _ if matches!(ty, Ty::Place | Ty::Tags) => format!("{left} IS NOT NULL"),
            _ => format!("{left} {} {}", self.comparison(), self.leaf(ty, scope)),
        }
    }

    pub(super) fn comparison(&mut self) -> &'static str {
        self.rng.pick::<&str>(&["=", "<>", "<>", "<", "<=", "<=", ">", ">=", ">="])
    }

    pub(super) fn small(&mut self) -> String {
        self.rng.range(0, 12).to_string()
    }

    pub(super) fn part(&mut self) -> &'static str {
        self.rng.pick::<&str>(&["year", "month", "day"])
    }

    /// A type that the scope has a column of.
    pub(super) fn of_scope(&mut self, scope: &Scope) -> Ty {
        match scope.columns.is_empty() {
            true => *self.rng.pick(SCALARS),
            false => self.rng.pick(&scope.columns).ty,
        }
    }
}
