//! What the server can do, as `GetSqlInfo` tells it. Every code of the protocol has an answer: a gap is a null pointer
//! in DBeaver and Tableau.
//!
//! The value's kind (text, flag, 64-bit number, 32-bit bitmask) is what the Java reference server sends, since the JDBC
//! driver casts to it; for some codes the protocol's text says otherwise.

use std::collections::BTreeMap;

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity, SqlSupportedGroupBy,
    SqlSupportedResultSetConcurrency, SqlSupportedResultSetType, SqlSupportedSubqueries, SqlSupportedTransaction,
    SqlSupportedUnions, SqlSupportsConvert as Convert, SqlTransactionIsolationLevel, SupportedSqlGrammar,
};
use portcullis_gateway::Config;

/// Words with a meaning of their own beyond those of SQL:2003.
const KEYWORDS: &[&str] = &["ANTI", "EXPLAIN", "ILIKE", "QUALIFY", "SEMI", "SHOW"];
pub(super) const NUMERIC_FUNCTIONS: &[&str] = &[
    "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "cos", "cot", "degrees", "exp", "floor", "ln", "log",
    "log10", "log2", "pi", "power", "radians", "random", "round", "signum", "sin", "sqrt", "tan", "trunc",
];
pub(super) const STRING_FUNCTIONS: &[&str] = &[
    "ascii",
    "bit_length",
    "btrim",
    "char_length",
    "chr",
    "concat",
    "concat_ws",
    "ends_with",
    "initcap",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "octet_length",
    "regexp_like",
    "regexp_replace",
    "repeat",
    "replace",
    "reverse",
    "right",
    "rpad",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
    "translate",
    "upper",
];
pub(super) const SYSTEM_FUNCTIONS: &[&str] = &["coalesce", "nullif", "nvl"];
pub(super) const DATETIME_FUNCTIONS: &[&str] = &[
    "current_date",
    "current_time",
    "date_bin",
    "date_part",
    "date_trunc",
    "from_unixtime",
    "make_date",
    "now",
    "to_char",
    "to_date",
    "to_timestamp",
    "to_unixtime",
];

const FLAGS: &[(SqlInfo, bool)] = &[
    (SqlInfo::FlightSqlServerReadOnly, true),
    (SqlInfo::FlightSqlServerSql, true),
    (SqlInfo::FlightSqlServerSubstrait, false),
    (SqlInfo::FlightSqlServerCancel, false),
    (SqlInfo::FlightSqlServerBulkIngestion, false),
    (SqlInfo::FlightSqlServerIngestTransactionsSupported, false),
    (SqlInfo::SqlDdlCatalog, false),
    (SqlInfo::SqlDdlSchema, false),
    (SqlInfo::SqlDdlTable, false),
    // What may be discovered need not be open to queries.
    (SqlInfo::SqlAllTablesAreSelectable, false),
    (SqlInfo::SqlSupportsColumnAliasing, true),
    (SqlInfo::SqlNullPlusNullIsNull, true),
    (SqlInfo::SqlSupportsTableCorrelationNames, true),
    (SqlInfo::SqlSupportsDifferentTableCorrelationNames, false),
    (SqlInfo::SqlSupportsExpressionsInOrderBy, true),
    (SqlInfo::SqlSupportsOrderByUnrelated, true),
    (SqlInfo::SqlSupportsLikeEscapeClause, true),
    (SqlInfo::SqlSupportsNonNullableColumns, false),
    (SqlInfo::SqlSupportsIntegrityEnhancementFacility, false),
    (SqlInfo::SqlCatalogAtStart, true),
    (SqlInfo::SqlSelectForUpdateSupported, false),
    (SqlInfo::SqlStoredProceduresSupported, false),
    (SqlInfo::SqlCorrelatedSubqueriesSupported, true),
    (SqlInfo::SqlMaxRowSizeIncludesBlobs, true),
    (SqlInfo::SqlTransactionsSupported, false),
    (SqlInfo::SqlDataDefinitionCausesTransactionCommit, false),
    (SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false),
    (SqlInfo::SqlBatchUpdatesSupported, false),
    (SqlInfo::SqlSavepointsSupported, false),
    (SqlInfo::SqlNamedParametersSupported, false),
    (SqlInfo::SqlLocatorsUpdateCopy, false),
    (SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false),
];

const TEXTS: &[(SqlInfo, &str)] = &[
    (SqlInfo::FlightSqlServerName, "Portcullis"),
    (SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION")),
    (SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION),
    (SqlInfo::FlightSqlServerSubstraitMinVersion, ""),
    (SqlInfo::FlightSqlServerSubstraitMaxVersion, ""),
    (SqlInfo::SqlIdentifierQuoteChar, "\""),
    (SqlInfo::SqlSearchStringEscape, "\\"),
    (SqlInfo::SqlExtraNameCharacters, ""),
    (SqlInfo::SqlSchemaTerm, "domain"),
    (SqlInfo::SqlProcedureTerm, "procedure"),
    (SqlInfo::SqlCatalogTerm, "catalog"),
];

/// Limits of which there are none, or none that is known: 0 says so.
const UNLIMITED: &[SqlInfo] = &[
    SqlInfo::SqlMaxBinaryLiteralLength,
    SqlInfo::SqlMaxCharLiteralLength,
    SqlInfo::SqlMaxColumnNameLength,
    SqlInfo::SqlMaxColumnsInGroupBy,
    SqlInfo::SqlMaxColumnsInIndex,
    SqlInfo::SqlMaxColumnsInOrderBy,
    SqlInfo::SqlMaxColumnsInSelect,
    SqlInfo::SqlMaxColumnsInTable,
    SqlInfo::SqlMaxConnections,
    SqlInfo::SqlMaxCursorNameLength,
    SqlInfo::SqlMaxIndexLength,
    SqlInfo::SqlDbSchemaNameLength,
    SqlInfo::SqlMaxProcedureNameLength,
    SqlInfo::SqlMaxCatalogNameLength,
    SqlInfo::SqlMaxRowSize,
    SqlInfo::SqlMaxStatements,
    SqlInfo::SqlMaxTableNameLength,
    SqlInfo::SqlMaxTablesInSelect,
    SqlInfo::SqlMaxUsernameLength,
];

const LISTS: &[(SqlInfo, &[&str])] = &[
    (SqlInfo::SqlKeywords, KEYWORDS),
    (SqlInfo::SqlNumericFunctions, NUMERIC_FUNCTIONS),
    (SqlInfo::SqlStringFunctions, STRING_FUNCTIONS),
    (SqlInfo::SqlSystemFunctions, SYSTEM_FUNCTIONS),
    (SqlInfo::SqlDatetimeFunctions, DATETIME_FUNCTIONS),
];

/// Enumerations and bitmasks.
fn codes() -> [(SqlInfo, i32); 20] {
    [
        (SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32),
        (SqlInfo::FlightSqlServerTransactionTimeout, 0),
        (SqlInfo::SqlIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32),
        // As written; the protocol has no word for it.
        (SqlInfo::SqlQuotedIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32),
        (SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32),
        (
            SqlInfo::SqlSupportedGroupBy,
            mask(&[
                SqlSupportedGroupBy::SqlGroupByUnrelated as i32,
                SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32,
            ]),
        ),
        (
            SqlInfo::SqlSupportedGrammar,
            mask(&[SupportedSqlGrammar::SqlMinimumGrammar as i32, SupportedSqlGrammar::SqlCoreGrammar as i32]),
        ),
        // Entry level: bit 0 of SupportedAnsi92SqlGrammarLevel.
        (SqlInfo::SqlAnsi92SupportedLevel, 1),
        (
            SqlInfo::SqlOuterJoinsSupportLevel,
            mask(&[
                SqlOuterJoinsSupportLevel::SqlLimitedOuterJoins as i32,
                SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32,
            ]),
        ),
        (SqlInfo::SqlSchemasSupportedActions, 0),
        (SqlInfo::SqlCatalogsSupportedActions, 0),
        (SqlInfo::SqlSupportedPositionedCommands, 0),
        (
            SqlInfo::SqlSupportedSubqueries,
            mask(&[
                SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
                SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
                SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
            ]),
        ),
        (
            SqlInfo::SqlSupportedUnions,
            mask(&[SqlSupportedUnions::SqlUnion as i32, SqlSupportedUnions::SqlUnionAll as i32]),
        ),
        (
            SqlInfo::SqlSupportedTransactionsIsolationLevels,
            mask(&[SqlTransactionIsolationLevel::SqlTransactionNone as i32]),
        ),
        (SqlInfo::SqlSupportedResultSetTypes, mask(&[SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32])),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, 0),
        (
            SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly,
            mask(&[SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly as i32]),
        ),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0),
    ]
}

/// All that there is to tell.
pub(super) fn all(config: &Config) -> Result<SqlInfoData, FlightError> {
    let mut infos = SqlInfoDataBuilder::new();
    for (info, flag) in FLAGS {
        infos.append(*info, *flag);
    }
    for (info, text) in TEXTS {
        infos.append(*info, *text);
    }
    for info in UNLIMITED {
        infos.append(*info, 0_i64);
    }
    for (info, list) in LISTS {
        infos.append(*info, *list);
    }
    for (info, code) in codes() {
        infos.append(info, code);
    }
    // The JDBC driver wants this one as a 64-bit number.
    infos.append(
        SqlInfo::SqlDefaultTransactionIsolation,
        i64::from(SqlTransactionIsolationLevel::SqlTransactionNone as i32),
    );
    infos.append(SqlInfo::SqlSupportsConvert, conversions());
    infos.append(SqlInfo::SqlMaxStatementLength, i64::try_from(config.limits.statement.bytes()).unwrap_or(0));
    let lifetime = config.identity.handle_lifetime.duration();
    infos.append(SqlInfo::FlightSqlServerStatementTimeout, i32::try_from(lifetime.as_millis()).unwrap_or(i32::MAX));
    infos.build()
}

fn mask(bits: &[i32]) -> i32 {
    bits.iter().fold(0, |mask, bit| mask | (1 << bit))
}

/// What CAST can turn into what.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    let numbers = [
        Convert::SqlConvertBigint,
        Convert::SqlConvertDecimal,
        Convert::SqlConvertFloat,
        Convert::SqlConvertInteger,
        Convert::SqlConvertNumeric,
        Convert::SqlConvertReal,
        Convert::SqlConvertSmallint,
        Convert::SqlConvertTinyint,
    ];
    let texts = [Convert::SqlConvertChar, Convert::SqlConvertVarchar];
    let binaries = [Convert::SqlConvertBinary, Convert::SqlConvertVarbinary];
    let (bit, date) = ([Convert::SqlConvertBit], [Convert::SqlConvertDate]);
    let (time, timestamp) = ([Convert::SqlConvertTime], [Convert::SqlConvertTimestamp]);
    let groups: [(&[Convert], &[&[Convert]]); 7] = [
        (&numbers, &[&bit, &numbers, &texts]),
        (&texts, &[&bit, &numbers, &texts, &binaries, &date, &time, &timestamp]),
        (&binaries, &[&binaries, &texts]),
        (&bit, &[&bit, &numbers, &texts]),
        (&date, &[&date, &texts, &timestamp]),
        (&time, &[&texts, &time]),
        (&timestamp, &[&date, &texts, &time, &timestamp]),
    ];
    let mut conversions = BTreeMap::new();
    for (from, to) in groups {
        let mut to: Vec<i32> = to.iter().copied().flatten().map(|to| *to as i32).collect();
        to.sort_unstable();
        conversions.extend(from.iter().map(|from| (*from as i32, to.clone())));
    }
    conversions
}
