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
        unread: None,
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
    let nanos = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Nanosecond, zone.map(Into::into));
    for (from, to, allowed) in [
        (DataType::Int32, DataType::Int64, true),
        (DataType::Int64, DataType::Int32, false),
        (DataType::Int32, DataType::Float64, false),
        (DataType::Float32, DataType::Float64, true),
        (DataType::Decimal128(8, 2), DataType::Decimal128(10, 2), true),
        (DataType::Decimal128(8, 2), DataType::Decimal128(8, 3), false),
        (DataType::Decimal128(10, 2), DataType::Decimal128(8, 2), false),
        (nanos(None), micros(None), false),
        (micros(None), nanos(None), false),
        (nanos(Some("UTC")), nanos(Some("+00:00")), true),
        (nanos(None), nanos(Some("+00:00")), false),
        (micros(Some("UTC")), micros(Some("+00:00")), true),
        (micros(None), micros(Some("+00:00")), false),
        (micros(Some("Europe/Paris")), micros(Some("+00:00")), false),
        (DataType::FixedSizeBinary(16), DataType::Utf8View, false),
        (DataType::Date32, micros(None), false),
        (DataType::Null, DataType::Utf8View, true),
        (DataType::Null, DataType::Struct(Fields::empty()), false),
        (DataType::Utf8View, DataType::Null, false),
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

/// Fields as `id:name` or `id:name{…}`, `?` for no origin.
fn shown(fields: &[TableField]) -> String {
    let one = |field: &TableField| {
        let id = field.id.map_or("?".to_string(), |id| id.to_string());
        let inner = if field.children.is_empty() { String::new() } else { format!("{{{}}}", shown(&field.children)) };
        format!("{id}:{}={}{inner}", field.name, field.physical.join("/"))
    };
    fields.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn fields_of_then_are_found_by_identity_under_the_names_of_now() {
    let of = |id: i32, name: &str, data_type: DataType, children: Vec<TableField>| TableField {
        id: Some(id),
        children,
        default: (!data_type.is_nested()).then(|| ScalarValue::from(i64::from(id))),
        ..field(name, data_type)
    };
    let long = || DataType::Int64;
    let nested = || DataType::Struct(Fields::empty());
    let now = [
        of(1, "renamed", long(), vec![]),
        of(9, "again", long(), vec![]),
        of(4, "item", nested(), vec![of(5, "code", long(), vec![]), of(8, "count", long(), vec![])]),
        of(10, "late", nested(), vec![of(11, "inner", long(), vec![])]),
    ];
    let then = [
        of(2, "again", long(), vec![]),
        of(1, "old", DataType::Int32, vec![]),
        of(4, "thing", nested(), vec![of(6, "count", long(), vec![]), of(5, "sku", long(), vec![])]),
        of(3, "late", long(), vec![]),
    ];
    let same = |one: &TableField, other: &TableField| one.id == other.id;
    let fields = as_of(&now, &then, &same);
    assert_eq!(shown(&fields), "1:renamed=p_old ?:again= 4:item=p_thing{5:code=p_sku ?:count=} ?:late={?:inner=}");
    assert_eq!((fields[0].data_type.clone(), fields[1].default.clone()), (long(), None));
    let item = Fields::from(vec![Field::new("count", long(), true), Field::new("code", long(), true)]);
    let late = Fields::from(vec![Field::new("inner", long(), true)]);
    let columns = bound(
        vec![
            Field::new("again", long(), true),
            Field::new("late", DataType::Struct(late), true),
            Field::new("item", DataType::Struct(item), true),
            Field::new("renamed", long(), true),
        ],
        &fields,
    )
    .unwrap();
    assert_eq!(columns.iter().map(|column| column.origin.is_absent()).collect::<Vec<_>>(), [true, true, false, false]);
    assert!(columns[2].origin.children[0].is_absent() && !columns[2].origin.children[1].is_absent());
}

#[test]
fn a_field_that_had_another_type_is_refused() {
    let mapped = |from: DataType, to: DataType| {
        let fields = as_of(&[field("a", to.clone())], &[field("a", from)], &|one, other| one.name == other.name);
        bound(vec![Field::new("a", to, true)], &fields).is_ok()
    };
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    for (from, to, allowed) in [
        (DataType::Int8, DataType::Int64, true),
        (DataType::Int32, DataType::Float64, true),
        (DataType::Int64, DataType::Float64, false),
        (DataType::Int64, DataType::Int32, false),
        (DataType::Int32, DataType::Decimal128(10, 0), true),
        (DataType::Int32, DataType::Decimal128(10, 1), false),
        (DataType::Int64, DataType::Decimal128(22, 2), true),
        (DataType::Decimal128(8, 2), DataType::Decimal128(10, 4), true),
        (DataType::Decimal128(8, 2), DataType::Decimal128(9, 4), false),
        (DataType::Date32, micros.clone(), true),
        (micros.clone(), DataType::Timestamp(TimeUnit::Nanosecond, None), false),
        (DataType::Utf8View, DataType::Int64, false),
        (DataType::Int64, DataType::Utf8View, false),
        (DataType::Struct(Fields::empty()), DataType::Utf8View, false),
    ] {
        assert_eq!(mapped(from.clone(), to.clone()), allowed, "{from} to {to}");
    }
}
