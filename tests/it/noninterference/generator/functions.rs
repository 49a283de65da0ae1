//! Calls of all functions that the session has.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::Volatility;
use datafusion::logical_expr::type_coercion::functions::{UDFCoercionExt, fields_with_udf};
use portcullis_govern::plan::function_names;

use super::{Generator, Scope, Ty};
use crate::noninterference::rng::Rng;

/// Arguments that a number says the size of an answer by.
const SIZED: &[&str] = &[
    "repeat",
    "lpad",
    "rpad",
    "array_repeat",
    "list_repeat",
    "array_resize",
    "list_resize",
    "generate_series",
    "range",
    "space",
];

/// A function, and the types of arguments that it takes.
struct Function {
    name: String,
    kind: Call,
    takes: Vec<Vec<Ty>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Scalar,
    HigherOrder,
    Aggregate,
    Window,
}

const TYPES: &[Ty] = &[
    Ty::Bool,
    Ty::Int,
    Ty::Dbl,
    Ty::Dec,
    Ty::Date,
    Ty::Time,
    Ty::Ts,
    Ty::Tz,
    Ty::Text,
    Ty::Bin,
    Ty::Uuid,
    Ty::Longs,
    Ty::Texts,
    Ty::Place,
    Ty::Tags,
    Ty::Interval,
];

fn field(ty: Ty) -> FieldRef {
    let list = |item| DataType::new_list(item, true);
    let data_type = match ty {
        Ty::Bool => DataType::Boolean,
        Ty::Int => DataType::Int64,
        Ty::Dbl => DataType::Float64,
        Ty::Dec => DataType::Decimal128(12, 2),
        Ty::Date => DataType::Date32,
        Ty::Time => DataType::Time64(TimeUnit::Microsecond),
        Ty::Ts => DataType::Timestamp(TimeUnit::Microsecond, None),
        Ty::Tz => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        Ty::Text => DataType::Utf8View,
        Ty::Bin => DataType::BinaryView,
        Ty::Uuid => DataType::FixedSizeBinary(16),
        Ty::Longs => list(DataType::Int64),
        Ty::Texts => list(DataType::Utf8View),
        Ty::Place => DataType::Struct(Fields::from(vec![
            Field::new("city", DataType::Utf8View, true),
            Field::new("zip", DataType::Int32, true),
        ])),
        Ty::Tags => {
            let entry = Fields::from(vec![
                Field::new("key", DataType::Utf8, false),
                Field::new("value", DataType::Utf8View, true),
            ]);
            DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry), false)), false)
        }
        Ty::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
    };
    Arc::new(Field::new("x", data_type, true))
}

/// Lists of arguments that the function's own signature takes.
fn takes<F: UDFCoercionExt>(function: &F, rng: &mut Rng) -> Vec<Vec<Ty>> {
    let mut tried: Vec<Vec<Ty>> = vec![Vec::new()];
    tried.extend(TYPES.iter().map(|ty| vec![*ty]));
    tried.extend(TYPES.iter().flat_map(|a| TYPES.iter().map(|b| vec![*a, *b])));
    for length in [3, 3, 3, 4] {
        tried.extend((0..60).map(|_| (0..length).map(|_| *rng.pick(TYPES)).collect::<Vec<_>>()));
        // Of one type, or of one beside numbers: what functions of many arguments mostly take.
        tried.extend(TYPES.iter().map(|ty| vec![*ty; length]));
        tried.extend(TYPES.iter().map(|ty| [vec![*ty], vec![Ty::Int; length - 1]].concat()));
        tried.extend(TYPES.iter().map(|ty| [vec![*ty; length - 1], vec![Ty::Int]].concat()));
        tried.extend(TYPES.iter().map(|ty| [vec![Ty::Text; length - 1], vec![*ty]].concat()));
    }
    tried.retain(|types| {
        let fields: Vec<FieldRef> = types.iter().map(|ty| field(*ty)).collect();
        fields_with_udf(&fields, function).is_ok()
    });
    tried
}

static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let mut rng = Rng::new(0, &[6]);
    let served = function_names();
    let mut all: BTreeMap<String, (Call, Vec<Vec<Ty>>)> = BTreeMap::new();
    macro_rules! add {
        ($functions:expr, $kind:expr) => {
            for function in $functions {
                // What differs from call to call (random(), now()) differs between worlds as well.
                if function.signature().volatility == Volatility::Immutable {
                    all.insert(function.name().to_owned(), ($kind, takes(function.as_ref(), &mut rng)));
                }
            }
        };
    }
    add!(SessionStateDefaults::default_scalar_functions(), Call::Scalar);
    add!(SessionStateDefaults::default_aggregate_functions(), Call::Aggregate);
    add!(SessionStateDefaults::default_window_functions(), Call::Window);
    for function in SessionStateDefaults::default_higher_order_functions() {
        all.insert(function.name().to_owned(), (Call::HigherOrder, vec![vec![Ty::Longs], vec![Ty::Texts]]));
    }
    all.retain(|name, (_, takes)| served.contains(name) && !takes.is_empty());
    all.into_iter().map(|(name, (kind, takes))| Function { name, kind, takes }).collect()
});

impl Generator<'_> {
    fn function(&mut self, kind: Call) -> &'static Function {
        let of_kind: Vec<&'static Function> = FUNCTIONS.iter().filter(|function| function.kind == kind).collect();
        self.rng.pick::<&'static Function>(&of_kind)
    }

    /// A call of any scalar function, as an expression of the type if one is wanted.
    pub(super) fn call(&mut self, wanted: Option<Ty>, scope: &Scope, depth: usize) -> String {
        let call = match self.rng.once_in(200) {
            true => self.higher_order(scope),
            false => {
                let function = self.function(Call::Scalar);
                self.applied(function, scope, depth)
            }
        };
        match wanted {
            None => call,
            // The type that comes back is not known here: an expression of the wanted one that depends on it.
            Some(Ty::Bool) => format!("({call} IS NULL)"),
            Some(Ty::Int) => format!("length(CAST({call} AS VARCHAR))"),
            Some(Ty::Text) => format!("CAST({call} AS VARCHAR)"),
            Some(ty) => format!(
                "CASE WHEN {call} IS NULL THEN {} ELSE {} END",
                self.expr(ty, scope, depth + 2),
                self.literal(ty)
            ),
        }
    }

    fn higher_order(&mut self, scope: &Scope) -> String {
        let function = self.function(Call::HigherOrder);
        let list = self.expr(Ty::Longs, scope, 9);
        let body = match self.rng.below(3) {
            0 => format!("v > {}", self.small()),
            1 => format!("10 / (v - {}) > 0", self.small()),
            _ => "CAST(v AS INT) > 0".to_owned(),
        };
        format!("{}({list}, v -> {body})", function.name)
    }

    fn applied(&mut self, function: &Function, scope: &Scope, depth: usize) -> String {
        // What the scope has columns for is asked for first.
        let has = |ty: &Ty| scope.columns.iter().any(|column| column.ty == *ty);
        let mut types = self.rng.pick(&function.takes).clone();
        for _ in 0..4 {
            if types.iter().all(has) {
                break;
            }
            types = self.rng.pick(&function.takes).clone();
        }
        let mut arguments = Vec::new();
        for (at, ty) in types.iter().enumerate() {
            arguments.push(self.argument(&function.name, at, *ty, scope, depth));
        }
        format!("{}({})", function.name, arguments.join(", "))
    }

    fn argument(&mut self, function: &str, at: usize, ty: Ty, scope: &Scope, depth: usize) -> String {
        let word = match (function, at, ty) {
            ("date_part" | "date_trunc" | "datepart" | "datetrunc", 0, Ty::Text) => Some(self.part()),
            ("encode" | "decode", 1, _) => Some(*self.rng.pick(&["hex", "base64"])),
            ("digest", 1, _) => Some(*self.rng.pick(&["sha256", "md5", "blake3"])),
            ("arrow_cast" | "arrow_try_cast", 1, _) => {
                Some(*self.rng.pick(&["Utf8", "Int32", "Float64", "LargeUtf8", "Dictionary(Int32, Utf8)"]))
            }
            ("get_field", 1, _) => Some(*self.rng.pick(&["city", "zip"])),
            ("named_struct", 0 | 2, _) => Some(*self.rng.pick(&["p", "q"])),
            _ => None,
        };
        if let Some(word) = word {
            return format!("'{word}'");
        }
        match ty {
            // A number that says how much comes back must be small.
            Ty::Int if SIZED.contains(&function) => self.rng.range(-2, 15).to_string(),
            _ => self.expr(ty, scope, depth + 2),
        }
    }

    /// An aggregate over the scope.
    pub(super) fn aggregate(&mut self, scope: &Scope) -> String {
        let text = match self.rng.below(10) {
            0 | 1 => "count(*)".to_owned(),
            2 => format!("count(DISTINCT {})", self.of_any(scope)),
            3 => format!("sum({})", self.expr(*self.rng.clone().pick(&[Ty::Int, Ty::Dec, Ty::Dbl]), scope, 2)),
            4 => format!("{}({})", self.rng.pick(&["min", "max"]), self.of_any(scope)),
            5 => format!("avg({})", self.expr(Ty::Int, scope, 2)),
            6 => {
                let order = self.of_any(scope);
                format!("array_agg({} ORDER BY {order})", self.of_any(scope))
            }
            _ => {
                let function = self.function(Call::Aggregate);
                self.applied(function, scope, 2)
            }
        };
        match self.rng.below(6) {
            0 => format!("{text} FILTER (WHERE {})", self.predicate(scope, 2)),
            _ => text,
        }
    }

    /// A window function over the scope.
    pub(super) fn window(&mut self, scope: &Scope) -> String {
        let call = match self.rng.below(5) {
            0 => (*self.rng.pick(&[
                "row_number()",
                "rank()",
                "dense_rank()",
                "percent_rank()",
                "cume_dist()",
                "ntile(3)",
            ]))
            .to_owned(),
            1 => format!("{}({}, {})", self.rng.pick(&["lag", "lead"]), self.of_any(scope), 1 + self.rng.below(3)),
            2 => format!(
                "{}({})",
                self.rng.pick(&["first_value", "last_value", "min", "max", "count"]),
                self.of_any(scope)
            ),
            3 => {
                let function = self.function(Call::Window);
                self.applied(function, scope, 2)
            }
            _ => format!("sum({})", self.expr(Ty::Int, scope, 2)),
        };
        let mut over = String::new();
        if self.rng.once_in(2) {
            over += &format!("PARTITION BY {} ", self.of_any(scope));
        }
        if !self.rng.once_in(4) {
            over += &format!("ORDER BY {}{}", self.of_any(scope), self.rng.pick(&["", " DESC", " NULLS FIRST"]));
            if self.rng.once_in(3) {
                over += *self.rng.pick(&[
                    " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
                    " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING",
                    " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
                    " GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
                ]);
            }
        }
        format!("{call} OVER ({over})")
    }

    /// An expression of a type that the scope has.
    pub(super) fn of_any(&mut self, scope: &Scope) -> String {
        let ty = self.of_scope(scope);
        self.expr(ty, scope, 2)
    }
}
