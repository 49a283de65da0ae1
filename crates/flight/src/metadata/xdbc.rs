//! The types that results can have, as ODBC and JDBC know types. Power BI loads no table without this list.

use arrow::datatypes::SchemaRef;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

/// The schema of `GetXdbcTypeInfo`.
pub(super) fn schema() -> SchemaRef {
    XdbcTypeInfoDataBuilder::new().schema()
}

/// All types.
pub(super) fn all() -> Result<XdbcTypeInfoData, FlightError> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    let types = [
        boolean(),
        exact("TINYINT", XdbcDataType::XdbcTinyint, 3),
        exact("SMALLINT", XdbcDataType::XdbcSmallint, 5),
        exact("INTEGER", XdbcDataType::XdbcInteger, 10),
        exact("BIGINT", XdbcDataType::XdbcBigint, 19),
        decimal(),
        approximate("REAL", XdbcDataType::XdbcReal, 24),
        approximate("DOUBLE", XdbcDataType::XdbcDouble, 53),
        text("CHAR", XdbcDataType::XdbcChar),
        text("VARCHAR", XdbcDataType::XdbcVarchar),
        binary("BINARY", XdbcDataType::XdbcBinary),
        binary("VARBINARY", XdbcDataType::XdbcVarbinary),
        // The protocol's name for subcode 1 is "year", which it shares with ODBC's "date".
        datetime("DATE", XdbcDataType::XdbcDate, XdbcDatetimeSubcode::XdbcSubcodeYear, "DATE '", 10, 0),
        datetime("TIME", XdbcDataType::XdbcTime, XdbcDatetimeSubcode::XdbcSubcodeTime, "TIME '", 15, 6),
        datetime(
            "TIMESTAMP",
            XdbcDataType::XdbcTimestamp,
            XdbcDatetimeSubcode::XdbcSubcodeTimestamp,
            "TIMESTAMP '",
            26,
            6,
        ),
        datetime(
            "TIMESTAMP WITH TIME ZONE",
            XdbcDataType::XdbcTimestamp,
            XdbcDatetimeSubcode::XdbcSubcodeTimestampWithTimezone,
            "TIMESTAMPTZ '",
            32,
            6,
        ),
        nested("ARRAY"),
        nested("MAP"),
        nested("STRUCT"),
    ];
    for of in types {
        builder.append(of);
    }
    builder.build()
}

/// A type of which nothing special is to be said.
fn plain(name: &str, data_type: XdbcDataType) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size: None,
        literal_prefix: None,
        literal_suffix: None,
        create_params: None,
        nullable: Nullable::NullabilityNullable,
        case_sensitive: false,
        searchable: Searchable::Basic,
        unsigned_attribute: None,
        fixed_prec_scale: false,
        auto_increment: None,
        local_type_name: Some(name.to_owned()),
        minimum_scale: None,
        maximum_scale: None,
        sql_data_type: data_type,
        datetime_subcode: None,
        num_prec_radix: None,
        interval_precision: None,
    }
}

fn boolean() -> XdbcTypeInfo {
    XdbcTypeInfo { column_size: Some(1), ..plain("BOOLEAN", XdbcDataType::XdbcBit) }
}

fn exact(name: &str, data_type: XdbcDataType, digits: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        column_size: Some(digits),
        minimum_scale: Some(0),
        maximum_scale: Some(0),
        num_prec_radix: Some(10),
        ..number(name, data_type)
    }
}

fn approximate(name: &str, data_type: XdbcDataType, bits: i32) -> XdbcTypeInfo {
    XdbcTypeInfo { column_size: Some(bits), num_prec_radix: Some(2), ..number(name, data_type) }
}

fn decimal() -> XdbcTypeInfo {
    XdbcTypeInfo {
        column_size: Some(38),
        create_params: Some(vec!["precision".to_owned(), "scale".to_owned()]),
        minimum_scale: Some(0),
        maximum_scale: Some(38),
        num_prec_radix: Some(10),
        ..number("DECIMAL", XdbcDataType::XdbcDecimal)
    }
}

fn number(name: &str, data_type: XdbcDataType) -> XdbcTypeInfo {
    XdbcTypeInfo { unsigned_attribute: Some(false), auto_increment: Some(false), ..plain(name, data_type) }
}

fn text(name: &str, data_type: XdbcDataType) -> XdbcTypeInfo {
    XdbcTypeInfo {
        column_size: Some(i32::MAX),
        literal_prefix: Some("'".to_owned()),
        literal_suffix: Some("'".to_owned()),
        create_params: Some(vec!["length".to_owned()]),
        case_sensitive: true,
        searchable: Searchable::Full,
        ..plain(name, data_type)
    }
}

fn binary(name: &str, data_type: XdbcDataType) -> XdbcTypeInfo {
    XdbcTypeInfo {
        column_size: Some(i32::MAX),
        literal_prefix: Some("X'".to_owned()),
        literal_suffix: Some("'".to_owned()),
        ..plain(name, data_type)
    }
}

fn datetime(
    name: &str,
    data_type: XdbcDataType,
    subcode: XdbcDatetimeSubcode,
    prefix: &str,
    size: i32,
    digits: i32,
) -> XdbcTypeInfo {
    XdbcTypeInfo {
        column_size: Some(size),
        literal_prefix: Some(prefix.to_owned()),
        literal_suffix: Some("'".to_owned()),
        minimum_scale: Some(0),
        maximum_scale: Some(digits),
        sql_data_type: XdbcDataType::XdbcDatetime,
        datetime_subcode: Some(subcode),
        ..plain(name, data_type)
    }
}

fn nested(name: &str) -> XdbcTypeInfo {
    XdbcTypeInfo { searchable: Searchable::None, ..plain(name, XdbcDataType::XdbcUnknownType) }
}
