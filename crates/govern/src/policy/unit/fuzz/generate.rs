//! Random policies.

/// xorshift64*: the same seed gives the same policies on every machine.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    pub(super) fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }

    /// One to three permits and up to two forbids.
    pub(super) fn policies(&mut self) -> String {
        let mut text = String::new();
        for (effect, count) in [("permit", 1 + self.below(3)), ("forbid", self.below(3))] {
            for n in 0..count {
                let depth = 1 + self.below(4);
                let condition = self.condition(depth);
                text += &super::row_policy(&format!("{effect}{n}"), effect, &condition);
            }
        }
        text
    }

    fn condition(&mut self, depth: u64) -> String {
        if depth == 0 || self.below(6) == 0 {
            return self.leaf();
        }
        let d = depth - 1;
        match self.below(8) {
            0..=1 => format!("({} && {})", self.condition(d), self.condition(d)),
            2..=3 => format!("({} || {})", self.condition(d), self.condition(d)),
            4..=5 => format!("!({})", self.condition(d)),
            6 => format!("(if {} then {} else {})", self.condition(d), self.condition(d), self.condition(d)),
            _ => format!("(({}) {} ({}))", self.condition(d), self.pick(&["==", "!="]), self.condition(d)),
        }
    }

    fn leaf(&mut self) -> String {
        let leaf = match self.below(17) {
            0 => format!("resource.n {} {}", self.op(), self.long()),
            1 => format!("resource.m {} resource.n", self.op()),
            2 => format!("resource.s {} {}", self.equality(), self.text()),
            3 => format!("resource.s like {}", self.pattern()),
            4 => "resource.ok".to_owned(),
            5 => format!("resource.ok {} {}", self.equality(), self.pick(&["true", "false", "resource.ok"])),
            6 => format!("resource.p.{}(decimal(\"{}\"))", self.decimal_op(), self.decimal()),
            7 => format!("resource.p {} {}", self.equality(), self.decimal_or_column()),
            8 => format!("resource.c.{}({})", self.decimal_op(), self.decimal_or_column()),
            9 => format!("resource.day {} {}", self.op(), self.datetime()),
            10 => format!("{} {} resource.ts", self.datetime(), self.op()),
            16 => format!("resource.ns {} {}", self.op(), self.datetime()),
            11 => self.list(),
            12 => self.membership(),
            13 => format!("resource has {}", self.pick(&["s", "o", "n", "labels", "day", "numbers"])),
            14 => format!("resource.o {} {}", self.op(), self.long()),
            _ => self.constant(),
        };
        // Optional columns are read behind a guard, of which there are several.
        for name in ["o", "labels", "numbers", "local"] {
            if leaf.contains(&format!("resource.{name}")) {
                return match self.below(4) {
                    0 => format!("(if resource has {name} then {leaf} else {})", self.pick(&["true", "false"])),
                    1 => format!("(!(resource has {name}) || {leaf})"),
                    _ => format!("(resource has {name} && {leaf})"),
                };
            }
        }
        leaf
    }

    fn op(&mut self) -> &'static str {
        self.pick(&["==", "!=", "<", "<=", ">", ">="])
    }

    fn equality(&mut self) -> &'static str {
        self.pick(&["==", "!="])
    }

    fn long(&mut self) -> &'static str {
        self.pick(&["-1", "0", "1", "2", "2147483647", "2147483648", "-2147483649"])
    }

    fn text(&mut self) -> &'static str {
        self.pick(&[r#""EU""#, r#""US""#, r#""a_b""#, r#""a%b""#, r#""it's""#, r#""""#, r#""é\\""#])
    }

    fn pattern(&mut self) -> &'static str {
        self.pick(&[
            r#""a*b""#,
            r#""*_*""#,
            r#""E*""#,
            r#""a%b""#,
            r#""*""#,
            r#""""#,
            r#""a_b""#,
            r#""*\\""#,
            r#""\**""#,
            r#""*\\*""#,
            r#""é*""#,
            r#""*%*""#,
        ])
    }

    fn decimal_op(&mut self) -> &'static str {
        self.pick(&["lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"])
    }

    fn decimal(&mut self) -> &'static str {
        self.pick(&[
            "0.0",
            "1.5",
            "1.005",
            "-1.005",
            "1.50",
            "999.99",
            "999.995",
            "-1000.0",
            "1.0049",
            "922337203685477.5807",
        ])
    }

    fn decimal_or_column(&mut self) -> String {
        match self.below(4) {
            0 => "resource.c".to_owned(),
            1 => "resource.p".to_owned(),
            _ => format!("decimal(\"{}\")", self.decimal()),
        }
    }

    fn datetime(&mut self) -> &'static str {
        self.pick(&[
            "datetime(\"2026-01-01\")",
            "datetime(\"2026-01-01T12:00:00Z\")",
            "datetime(\"2026-01-01T12:00:00.001Z\")",
            "datetime(\"1969-12-31T23:00:00Z\")",
            "datetime(\"1960-02-29\")",
            "datetime(\"2500-01-01\")",
            "datetime(\"0001-01-01\")",
            "context.now",
            "context.now.offset(duration(\"-36h\"))",
        ])
    }

    fn list(&mut self) -> String {
        match self.below(6) {
            0 => format!("resource.labels.contains({})", self.text()),
            1 => format!("resource.labels.containsAny([{}, {}])", self.text(), self.text()),
            2 => format!("resource.labels.containsAll([{}, {}])", self.text(), self.text()),
            3 => "resource.numbers.contains(1)".to_owned(),
            4 => "resource.numbers.containsAny([2, 3000000000])".to_owned(),
            _ => format!("[{}, {}].containsAny(resource.labels)", self.text(), self.text()),
        }
    }

    fn membership(&mut self) -> String {
        match self.below(5) {
            0 => format!("[{}, {}].contains(resource.s)", self.text(), self.text()),
            1 => "(principal has regions && principal.regions.contains(resource.s))".to_owned(),
            2 => "[1, 2, 3000000000].contains(resource.n)".to_owned(),
            3 => "[decimal(\"1.5\"), decimal(\"1.005\")].contains(resource.p)".to_owned(),
            _ => "[datetime(\"2026-01-01\"), datetime(\"2026-01-01T12:00:00Z\")].contains(resource.day)".to_owned(),
        }
    }

    /// Conditions that do not read the row, some of which err.
    fn constant(&mut self) -> String {
        self.pick(&[
            "true",
            "false",
            "principal has region",
            "context has purpose",
            "context.breakGlass",
            "(principal has clearance && principal.clearance + 9223372036854775807 > 0)",
            "(principal has clearance && resource.n < principal.clearance)",
            "resource is Row::shop_orders",
            "resource in Domain::\"shop\"",
            "resource in Domain::\"system\"",
        ])
        .to_owned()
    }
}
