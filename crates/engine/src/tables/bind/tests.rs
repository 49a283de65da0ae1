use datafusion::arrow::datatypes::{Field, Fields};

use super::*;

fn field(name: &str, data_type: DataType) -> TableField {
    TableField {
        name: name.into(),
        physical: vec![format!("p_{name}")],
        id: Some(7),
        data_type,
        children: Vec::new(),
        default: None,
    }
}

fn bound(declared: Vec<Field>, fields: &[TableField]) -> Result<Vec<Column>, String> {
    bind(&Schema::new(declared), fields).map_err(|fault| match fault {
        Fault::Withheld(text) => text,
        other => panic!("{other:?}"),
    })
}

#[test]
fn columns_are_found_by_name_then_by_the_only_similar_name() {
    let fields = [field("a", DataType::Int32), field("A", DataType::Int64), field("Bc", DataType::Utf8View)];
    let columns =
        bound(vec![Field::new("A", DataType::Int64, true), Field::new("bC", DataType::Utf8View, true)], &fields)
            .unwrap();
    assert_eq!(columns.iter().map(|column| column.origin.names[0].as_str()).collect::<Vec<_>>(), ["p_A", "p_Bc"]);
    let ambiguous = [field("x", DataType::Int32), field("X", DataType::Int32)];
    assert!(bound(vec![Field::new("x", DataType::Int32, true)], &ambiguous).is_ok());
    let ambiguous = [field("xY", DataType::Int32), field("Xy", DataType::Int32)];
    assert_eq!(
        bound(vec![Field::new("xy", DataType::Int32, true)], &ambiguous).unwrap_err(),
        "the contract declares a column `xy`, and the table has several whose names differ in case only"
    );
}

#[test]
fn only_widening_is_allowed() {
    let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    for (from, to, allowed) in [
        (DataType::Int32, DataType::Int64, true),
        (DataType::Int64, DataType::Int32, false),
        (DataType::Int32, DataType::Float64, false),
        (DataType::Float32, DataType::Float64, true),
        (DataType::Decimal128(8, 2), DataType::Decimal128(10, 2), true),
        (DataType::Decimal128(8, 2), DataType::Decimal128(8, 3), false),
        (DataType::Decimal128(10, 2), DataType::Decimal128(8, 2), false),
        (DataType::Timestamp(TimeUnit::Nanosecond, None), micros(None), true),
        (micros(Some("UTC")), micros(Some("+00:00")), true),
        (micros(None), micros(Some("+00:00")), false),
        (micros(Some("Europe/Paris")), micros(Some("+00:00")), false),
        (DataType::FixedSizeBinary(16), DataType::Utf8View, false),
        (DataType::Date32, micros(None), false),
        (DataType::Null, DataType::Utf8View, false),
        (DataType::Utf8View, DataType::Utf8, true),
    ] {
        assert_eq!(widens(&from, &to), allowed, "{from} to {to}");
    }
}

#[test]
fn nested_fields_are_matched_too() {
    let declared = DataType::Struct(Fields::from(vec![Field::new("n", DataType::Int64, true)]));
    let mut table = field("s", DataType::Struct(Fields::empty()));
    table.children = vec![field("other", DataType::Utf8View), field("n", DataType::Int32)];
    let columns = bound(vec![Field::new("s", declared.clone(), true)], &[table.clone()]).unwrap();
    assert_eq!(columns[0].origin.children[0].names, ["p_n"]);
    table.children.pop();
    assert_eq!(
        bound(vec![Field::new("s", declared.clone(), true)], &[table.clone()]).unwrap_err(),
        "the contract declares a field `s.n` that the table does not have"
    );
    table.children.push(field("n", DataType::Utf8View));
    assert_eq!(
        bound(vec![Field::new("s", declared, true)], &[table]).unwrap_err(),
        "the contract declares the column `s.n` as `long`, and the table has it as `string`"
    );
}
