//! A mesh of one Iceberg table with a column of every type, and a user for every level of disclosure, who is granted
//! that level and no other: what `tests/slt/masks_by_type.slt` is about.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int32Array, Int32Builder, Int64Array, ListBuilder, MapBuilder, RecordBatch, StringArray,
    StringBuilder, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema};
use iceberg::io::LocalFsStorageFactory;
use iceberg::memory::{MEMORY_CATALOG_WAREHOUSE, MemoryCatalogBuilder};
use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, FormatVersion, Schema, Struct};
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{Catalog, CatalogBuilder, NamespaceIdent, TableCreation};
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use portcullis_gateway::Gateway;

use crate::support::{self, block_on};

/// The columns: the name, the contract's type, Iceberg's type. Nested fields are numbered after the columns, as Iceberg numbers them.
const COLUMNS: [(&str, &str, &str); 20] = [
    ("text", "string", r#""string""#),
    ("int", "int", r#""int""#),
    ("long", "long", r#""long""#),
    ("float", "float", r#""float""#),
    ("double", "double", r#""double""#),
    ("price", "decimal(9,2)", r#""decimal(9,2)""#),
    ("day", "date", r#""date""#),
    ("local", "timestamp", r#""timestamp""#),
    ("instant", "timestamptz", r#""timestamptz""#),
    ("local_ns", "timestamp_ns", r#""timestamp_ns""#),
    ("instant_ns", "timestamptz_ns", r#""timestamptz_ns""#),
    ("clock", "time", r#""time""#),
    ("flag", "boolean", r#""boolean""#),
    ("bytes", "binary", r#""binary""#),
    ("uuid", "uuid", r#""uuid""#),
    ("fixed4", "fixed(4)", r#""fixed[4]""#),
    ("fixed16", "fixed(16)", r#""fixed[16]""#),
    ("list", "list<string>", r#"{"type":"list","element-id":21,"element":"string","element-required":false}"#),
    (
        "map",
        "map<string,int>",
        r#"{"type":"map","key-id":22,"key":"string","value-id":23,"value":"int","value-required":false}"#,
    ),
    (
        "struct",
        "struct<street: string, number: int>",
        r#"{"type":"struct","fields":[{"id":24,"name":"street","required":false,"type":"string"},{"id":25,"name":"number","required":false,"type":"int"}]}"#,
    ),
];

const LEVELS: [&str; 6] = ["clear", "partial", "bucket", "hash", "redact", "null"];

/// The gateway over the mesh, written once for each run of the tests.
pub fn gateway() -> Arc<Gateway> {
    static GATEWAY: OnceLock<Arc<Gateway>> = OnceLock::new();
    Arc::clone(GATEWAY.get_or_init(|| {
        let open = || block_on(async { support::open(&write().await).await }).unwrap();
        let gateway = std::thread::scope(|scope| scope.spawn(open).join().unwrap());
        let errors: Vec<_> = gateway.findings().into_iter().filter(|finding| finding.is_error()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        gateway
    }))
}

async fn write() -> PathBuf {
    let mesh = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mesh-types-{}", std::process::id()));
    std::fs::remove_dir_all(&mesh).ok();
    let put = |name: &str, text: String| {
        let path = mesh.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let location = table(&mesh.join("lake")).await;
    let lake = mesh.join("lake").canonicalize().unwrap();
    put(
        "catalogs/connections.yaml",
        format!("connections: {{lake: {{type: directory, url: '{}'}}}}\n", lake.display()),
    );
    let fields: String =
        COLUMNS.iter().map(|(name, kind, _)| format!("    - {{name: {name}, type: '{kind}'}}\n")).collect();
    let head = "apiVersion: mesh.io/v1alpha1\nkind: DataProduct\nmetadata: {name: every, domain: types, version: 1}\n";
    let port = format!("outputPorts:\n  - {{name: table, type: iceberg-table, location: '{location}'}}\n");
    put("catalogs/types/every.yaml", format!("{head}{port}schema:\n  fields:\n{fields}"));
    let of = |line: fn(&str) -> String| LEVELS.iter().map(|level| line(level)).collect::<String>();
    put("policies/vocabulary.yaml", format!("groups:\n{}", of(|level| format!("  {level}s:\n"))));
    put("users.yaml", format!("users:\n{}", of(|level| format!("  {level}: {{groups: [{level}s]}}\n"))));
    let views = of(|level| {
        let action = format!("view{}{}", level[..1].to_uppercase(), &level[1..]);
        format!(
            "@id(\"{level}\") permit(principal in Group::\"{level}s\", action == Action::\"{action}\", resource);\n"
        )
    });
    let all = "@id(\"query\") permit(principal, action in [Action::\"discover\", Action::\"query\"], resource);\n\
               @id(\"rows\") permit(principal, action == Action::\"readRow\", resource);\n";
    put("policies/levels.cedar", format!("{all}{views}"));
    put("mask.key", "a key of the tests, and of nothing else".into());
    put("portcullis.toml", "[secrets]\nmask_key = { file = \"mask.key\" }\n".into());
    mesh
}

/// Writes the table and returns the address of its metadata.
async fn table(lake: &Path) -> String {
    std::fs::create_dir_all(lake).unwrap();
    let warehouse = format!("file://{}", lake.canonicalize().unwrap().display());
    let catalog = MemoryCatalogBuilder::default()
        .with_storage_factory(Arc::new(LocalFsStorageFactory))
        .load("memory", HashMap::from([(MEMORY_CATALOG_WAREHOUSE.to_string(), warehouse)]))
        .await
        .unwrap();
    let namespace = NamespaceIdent::new("types".into());
    catalog.create_namespace(&namespace, HashMap::new()).await.unwrap();
    let field = |(id, (name, _, kind)): (usize, &(&str, &str, &str))| {
        format!(r#"{{"id":{id},"name":"{name}","required":false,"type":{kind}}}"#)
    };
    let fields: Vec<_> = (1..).zip(&COLUMNS).map(field).collect();
    let schema = format!(r#"{{"type":"struct","schema-id":0,"fields":[{}]}}"#, fields.join(","));
    let schema: Schema = serde_json::from_str(&schema).unwrap();
    let creation =
        TableCreation::builder().name("every".into()).schema(schema).format_version(FormatVersion::V3).build();
    let table = catalog.create_table(&namespace, creation).await.unwrap();
    let address = format!("{}/data/rows.parquet", table.metadata().location());
    let path = PathBuf::from(address.strip_prefix("file://").unwrap());
    let rows = rows();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(address)
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::empty())
        .record_count(rows.num_rows() as u64)
        .file_size_in_bytes(std::fs::metadata(&path).unwrap().len())
        .build()
        .unwrap();
    let transaction = Transaction::new(&table);
    let transaction = transaction.fast_append().add_data_files(vec![file]).apply(transaction).unwrap();
    let table = transaction.commit(&catalog).await.unwrap();
    table.metadata_location().unwrap().to_string()
}

/// A row of ordinary values, one of those at the edges of what masks distinguish, and one of NULLs.
fn rows() -> RecordBatch {
    fn column(array: impl arrow::array::Array + 'static) -> ArrayRef {
        Arc::new(array)
    }
    let midnight = 19_782_i64 * 86_400_000_000;
    let moments = vec![Some(midnight + 49_510_123_456), Some(-1), None];
    let finest: Vec<_> = moments.iter().map(|micros| micros.map(|micros| micros * 1000 + 789)).collect();
    let fixed = |values: Vec<Option<Vec<u8>>>, width| {
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), width).unwrap()
    };
    let sixteen = || fixed(vec![Some((0..16).collect()), Some(vec![255; 16]), None], 16);
    let columns = vec![
        column(StringArray::from(vec![Some("Grüße an Ada Lövelace"), Some("Lovelace"), None])),
        column(Int32Array::from(vec![Some(1234), Some(-987), None])),
        column(Int64Array::from(vec![Some(9_876_543_210), Some(-5), None])),
        column(Float32Array::from(vec![Some(1234.5), Some(-0.75), None])),
        column(Float64Array::from(vec![Some(0.000_123), Some(-98_765.4), None])),
        column(Decimal128Array::from(vec![Some(123_456), Some(-99), None]).with_precision_and_scale(9, 2).unwrap()),
        column(Date32Array::from(vec![Some(19_782), Some(-1), None])),
        column(TimestampMicrosecondArray::from(moments.clone())),
        column(TimestampMicrosecondArray::from(moments).with_timezone("+00:00")),
        column(TimestampNanosecondArray::from(finest.clone())),
        column(TimestampNanosecondArray::from(finest).with_timezone("+00:00")),
        column(Time64MicrosecondArray::from(vec![Some(49_510_123_456), Some(0), None])),
        column(BooleanArray::from(vec![Some(true), Some(false), None])),
        column(BinaryArray::from(vec![Some(&b"\x00\xff\x10"[..]), Some(b""), None])),
        column(sixteen()),
        column(fixed(vec![Some(vec![1, 2, 3, 4]), Some(vec![0; 4]), None], 4)),
        column(sixteen()),
        column(lists()),
        column(maps()),
        column(structs()),
    ];
    let fields =
        (1..).zip(COLUMNS).zip(&columns).map(|((id, (name, ..)), array)| numbered(name, array.data_type(), id));
    let fields: Vec<Field> = fields.collect();
    let columns = columns.iter().zip(&fields).map(|(array, field)| cast(array, field.data_type()).unwrap()).collect();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).unwrap()
}

fn lists() -> arrow::array::ListArray {
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("a"), None]);
    lists.append_value([None::<&str>; 0]);
    lists.append_null();
    lists.finish()
}

fn maps() -> arrow::array::MapArray {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    maps.keys().append_value("k");
    maps.values().append_value(1);
    maps.append(true).unwrap();
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    maps.finish()
}

fn structs() -> StructArray {
    let fields =
        Fields::from(vec![Field::new("street", DataType::Utf8, true), Field::new("number", DataType::Int32, true)]);
    let streets: ArrayRef = Arc::new(StringArray::from(vec![Some("Elm Street"), None, None]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), Some(8), None]));
    StructArray::new(fields, vec![streets, numbers], Some(vec![true, true, false].into()))
}

/// A field with Iceberg's id, and those of what is nested in it.
fn numbered(name: &str, data_type: &DataType, id: i32) -> Field {
    let nested = |field: &Field, id| numbered(field.name(), field.data_type(), id).with_nullable(field.is_nullable());
    let data_type = match data_type {
        DataType::List(element) => DataType::List(Arc::new(nested(element, 21))),
        DataType::Map(entries, sorted) => {
            let DataType::Struct(fields) = entries.data_type() else { panic!("the entries of a map are structs") };
            let fields: Fields = (22..).zip(fields).map(|(id, field)| nested(field, id)).collect();
            DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(DataType::Struct(fields))), *sorted)
        }
        DataType::Struct(fields) => DataType::Struct((24..).zip(fields).map(|(id, field)| nested(field, id)).collect()),
        other => other.clone(),
    };
    let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string())]);
    Field::new(name, data_type, true).with_metadata(id)
}
