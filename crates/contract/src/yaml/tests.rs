use super::*;
use crate::finding::Level;

const CODES: Codes = Codes::new("syntax", "unknown-key", "missing-key", "bad-value");

/// Reads a person with all getters and compares the findings, one on each line.
fn check(text: &str, expected: &str) {
    let reader = Reader::new("f.yaml", CODES);
    if let Some(root) = reader.parse(text)
        && let Some(person) = reader.mapping(&root, "person")
    {
        person.require_string("name");
        person.integer("age");
        person.boolean("active");
        person.duration("wait");
        person.share("part");
        person.strings("groups");
        person.choice("level", &[("low", 1), ("high", 2)]);
        person.items("list");
        if let Some(home) = person.mapping("home", "home") {
            home.string("street");
            home.finish(Level::Warning);
        }
        person.finish(Level::Error);
    }
    let shown: Vec<String> = reader.into_findings().iter().map(ToString::to_string).collect();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(shown, expected, "{text}");
}

#[test]
fn all_well() {
    check("name: 12\nage: 7\nactive: true\nwait: PT5M\npart: 99.9%\ngroups: [a, 'b']\nlevel: LOW\nlist: []", "");
    check("\u{feff}name: x\nage: ~\nactive:\ngroups: one\nhome: {street: s}\nx-mine: {a: [1]}", "");
}

#[test]
fn wrong_kinds() {
    check("[]", "f.yaml:1:1: error[bad-value]: person must be a mapping, not a list");
    check("name: ''", "f.yaml:1:7: error[bad-value]: `name` is empty");
    check("name: [a]", "f.yaml:1:7: error[bad-value]: `name` must be text, not a list");
    check("age: 3", "f.yaml:1:1: error[missing-key]: person has no `name`");
    check(
        "name: x\nage: '7'\nactive: yes\nwait: 5\npart: 101\ngroups: {a: b}\nlevel: hihg\nlist: 3\nhome: [1]",
        "f.yaml:2:6: error[bad-value]: `age` must be a whole number
         f.yaml:3:9: error[bad-value]: `active` must be `true` or `false`
         f.yaml:4:7: error[bad-value]: `wait` is not a duration (hint: write `15m`, `24h`, `7d` or `PT15M`)
         f.yaml:5:7: error[bad-value]: `part` is not a share (hint: write `99.9%` or `0.999`)
         f.yaml:6:9: error[bad-value]: `groups` must be a list of texts, not a mapping
         f.yaml:7:8: error[bad-value]: unknown `level`: `hihg` (hint: did you mean `high`?)
         f.yaml:8:7: error[bad-value]: `list` must be a list, not text
         f.yaml:9:7: error[bad-value]: home must be a mapping, not a list",
    );
}

#[test]
fn unknown_keys() {
    check(
        "name: x\nAge: 3\nzzz: 1\nhome:\n  stret: s",
        "f.yaml:2:1: error[unknown-key]: unknown key `Age` in person (hint: did you mean `age`?)
         f.yaml:3:1: error[unknown-key]: unknown key `zzz` in person \
         (hint: known: active, age, groups, home, level, list, name, part, wait)
         f.yaml:5:3: warning[unknown-key]: unknown key `stret` in home (hint: did you mean `street`?)",
    );
}

#[test]
fn broken_text() {
    check("", "f.yaml:1:1: error[syntax]: file is empty");
    check("# nothing\n", "f.yaml:1:1: error[syntax]: file is empty");
    check("name: x\n---\nname: y", "f.yaml:2:1: error[syntax]: a file holds one YAML document");
    check("name: x\nname: y", "f.yaml:2:1: error[syntax]: key `name` is given twice, first on line 1");
    check("? [a]\n: b", "f.yaml:1:3: error[syntax]: a key must be text");
    check("name: !secret x", "f.yaml:1:7: error[syntax]: tag `!secret` has no meaning here");
    check("name: &a [*a]", "f.yaml:1:11: error[syntax]: alias refers to itself");
}

#[test]
fn a_large_file_is_refused() {
    let text = format!("name: {}", "x".repeat(5 << 20));
    check(&text, "f.yaml: error[syntax]: file is larger than 4 MiB");
}

#[test]
fn depth_and_aliases_are_bounded() {
    let reader = Reader::new("f.yaml", CODES);
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        assert!(reader.parse(&text).is_none());
    }
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(reader.parse(&bomb).is_none());
    let deep = (1..=40).fold(String::from("a0: &a0 [[[x]]]\n"), |text, level| {
        format!("{text}a{level}: &a{level} [[[*a{}]]]\n", level - 1)
    });
    assert!(reader.parse(&deep).is_none());
    let messages: Vec<String> = reader.into_findings().into_iter().map(|finding| finding.message).collect();
    let nested = "values are nested deeper than 64 levels";
    // Found by the scanner, before there is a value.
    let scanner = "this is not YAML: recursion limit exceeded";
    let many = "file has more than 400000 values, those of its aliases included";
    assert_eq!(messages, [nested, scanner, scanner, many, nested]);
}

#[test]
fn aliases_repeat_values() {
    let reader = Reader::new("f.yaml", CODES);
    let root = reader.parse("a: &x {k: [1, 2]}\nb: *x").unwrap();
    let map = reader.mapping(&root, "root").unwrap();
    assert_eq!(map.get("a").map(|node| &node.value), map.get("b").map(|node| &node.value));
}

#[test]
fn scalars_keep_their_text() {
    let reader = Reader::new("f.yaml", CODES);
    let root = reader.parse("a: 1.10\nb: !!str null\nc: 0x10\nd: |\n  two\n  lines\nnull: key").unwrap();
    let map = reader.mapping(&root, "root").unwrap();
    assert_eq!(map.string("a").as_deref(), Some("1.10"));
    assert_eq!(map.string("b").as_deref(), Some("null"));
    assert_eq!(map.string("c").as_deref(), Some("0x10"));
    assert_eq!(map.string("d").as_deref(), Some("two\nlines\n"));
    assert_eq!(map.string("null").as_deref(), Some("key"));
}

#[test]
fn a_wrong_value_is_not_repeated() {
    let reader = Reader::new("f.yaml", CODES);
    let root = reader.parse("age: hunter2").unwrap();
    reader.mapping(&root, "user").unwrap().integer("age");
    assert!(!format!("{:?}", reader.into_findings()).contains("hunter2"));
}

#[test]
fn nearest_names() {
    assert_eq!(nearest("output_ports", ["outputPorts", "inputPorts"]), Some("outputPorts"));
    assert_eq!(nearest("maskng", ["masking", "name"]), Some("masking"));
    assert_eq!(nearest("nmae", ["name", "type"]), Some("name"));
    assert_eq!(nearest("colour", ["name", "type"]), None);
    assert_eq!(nearest("", ["name"]), None);
    assert_eq!(nearest(&"n".repeat(100_000), ["name"]), None);
}
