use super::*;

fn check(text: &str, expected: &str) {
    let shown = match text.parse::<FieldType>() {
        Ok(data_type) => data_type.to_string(),
        Err(error) => format!("error: {error}"),
    };
    assert_eq!(shown, expected, "{text}");
}

#[test]
fn synonyms() {
    for (given, name) in [
        ("bigint", "long"),
        ("VARCHAR(20)", "string"),
        ("varchar", "string"),
        ("string", "string"),
        ("Integer", "int"),
        ("smallint", "int"),
        ("double  precision", "double"),
        ("numeric(10, 2)", "decimal(10,2)"),
        ("decimal( 38 , 38 )", "decimal(38,38)"),
        ("decimal(5)", "decimal(5,0)"),
        ("timestamp with time zone", "timestamptz"),
        ("timestamp_ntz", "timestamp"),
        ("fixed[16]", "fixed(16)"),
        ("varbinary(8)", "binary"),
        ("array<string>", "list<string>"),
        ("map<string , long>", "map<string,long>"),
        ("struct<a: int, b c: list<map<string,decimal(9,2)>>>", "struct<a:int,b c:list<map<string,decimal(9,2)>>>"),
        (" uuid ", "uuid"),
    ] {
        check(given, name);
    }
}

#[test]
fn every_simple_name_reads_back() {
    for (name, data_type) in SIMPLE {
        assert_eq!(name.parse::<FieldType>().as_ref(), Ok(data_type), "{name}");
        assert_eq!(data_type.to_string().parse::<FieldType>().as_ref(), Ok(data_type));
    }
}

#[test]
fn what_is_wrong_with_the_text() {
    let decimal = "error: type `decimal` needs a precision of 1 to 38 and a scale of at most that: `decimal(12,2)`";
    for (given, message) in [
        ("strng", "error: unknown type `strng`"),
        ("list<strng>", "error: unknown type `strng`"),
        ("", "error: type `` cannot be read at `the end`"),
        ("int)", "error: type `int)` cannot be read at `)`"),
        ("int int", "error: unknown type `int int`"),
        ("list<int", "error: type `list<int` cannot be read at `the end`"),
        ("list", "error: type `list` needs an element type: `list<string>`"),
        ("map<int>", "error: type `map<int>` cannot be read at `>`"),
        ("struct<>", "error: type `struct<>` cannot be read at `>`"),
        ("struct<a: int, a: long>", "error: struct field `a` is declared twice"),
        ("decimal", decimal),
        ("decimal(39,2)", decimal),
        ("decimal(3,4)", decimal),
        ("decimal(0)", decimal),
        ("decimal(999999999999)", decimal),
        ("fixed(0)", "error: type `fixed` needs a length of 1 to 65536: `fixed(16)`"),
        ("varchar(x)", "error: type `varchar` needs a length, or none"),
    ] {
        check(given, message);
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}int{}", "list<".repeat(depth), ">".repeat(depth));
    assert!(nested(MAX_DEPTH).parse::<FieldType>().is_ok());
    assert_eq!(nested(MAX_DEPTH + 1).parse::<FieldType>(), Err(TypeError::TooLarge));
    assert_eq!(nested(1_000_000).parse::<FieldType>(), Err(TypeError::TooLarge));
}
