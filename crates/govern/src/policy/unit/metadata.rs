//! Metadata columns: for who sees the table whole.

use super::*;
use crate::policy::Disclosure;

const NAMES: [&str; 4] = ["_file", "_pos", "_ROW_ID", "_last_updated_sequence_number"];

/// A table of this format with a hashed column, one that is not, and all metadata columns.
fn shop(format: TableFormat) -> Vec<Arc<Table>> {
    let types = ["string", "long", "long", "long"];
    let fields = [masked("customer", "string", Masking::Hash), field("region", "string")];
    let fields = fields.into_iter().chain(NAMES.iter().zip(types).map(|(name, of)| field(name, of)));
    let aggregation = Some(portcullis_contract::Aggregation { entity: "region".to_owned(), at_least: 5 });
    let table =
        table_with("shop.orders", fields.collect(), |contract| contract.access.aggregation.clone_from(&aggregation));
    vec![Arc::new(Table { format, ..Table::clone(&table) })]
}

/// What is shown of them under these policies and the right to ask.
fn shown(format: TableFormat, policies: &str) -> Vec<Disclosure> {
    let tables = shop(format);
    let snapshot = compile_over(tables.clone(), policies).unwrap_or_else(|findings| panic!("{}", lines(&findings)));
    let decision = snapshot.decide(&ana(), &tables[0]);
    assert_eq!(decision.undecided, None);
    let of = |name: &&str| decision.columns.iter().find(|column| column.name == **name).unwrap().disclosure;
    NAMES.iter().map(of).collect()
}

const CLEAR: &str = "@id(\"v\") permit(principal, action == Action::\"viewClear\", resource);\n";
const VIEW: &str = "@id(\"v\") permit(principal, action in Action::\"view\", resource);\n";
const AGGREGATES: &str =
    "@id(\"a\") permit(principal, action in [Action::\"discover\", Action::\"aggregateOnly\"], resource);\n";
const ROWS: &str = "@id(\"r\") permit(principal, action == Action::\"readRow\", resource);\n";

#[test]
fn metadata_columns_are_for_who_sees_the_table_whole() {
    use TableFormat::{Delta, Iceberg};
    let some_rows = row_policy("r", "permit", "resource has region && resource.region == \"EU\"");
    let but = "@id(\"f\") forbid(principal, action == Action::\"readRow\", resource is Row::shop_orders)
        when { resource has region && resource.region == \"US\" };\n";
    let no_region =
        "@id(\"n\") forbid(principal, action in Action::\"view\", resource == Column::\"shop.orders.region\");";
    let clear = vec![Disclosure::Clear; 4];
    let denied = vec![Disclosure::Denied; 4];
    for (policies, expected) in [
        ([QUERY, ROWS, CLEAR].concat(), &clear),
        ([QUERY, &some_rows, CLEAR].concat(), &denied),
        ([QUERY, ROWS, but, CLEAR].concat(), &denied),
        // `customer` is hashed.
        ([QUERY, ROWS, VIEW].concat(), &denied),
        ([QUERY, ROWS, CLEAR, no_region].concat(), &denied),
        ([ROWS, CLEAR].concat(), &denied),
        ([AGGREGATES, ROWS, CLEAR].concat(), &denied),
        ([QUERY, CLEAR].concat(), &denied),
    ] {
        assert_eq!(shown(Iceberg, &policies), *expected, "{policies}");
    }
    // In other formats they are names like any others.
    assert_eq!(shown(Delta, &[QUERY, &some_rows, VIEW].concat()), clear);
}

#[test]
fn each_of_them_is_a_column_for_policies() {
    let but =
        "@id(\"n\") forbid(principal, action == Action::\"viewClear\", resource == Column::\"shop.orders._file\");
        @id(\"h\") permit(principal, action == Action::\"viewHash\", resource == Column::\"shop.orders._file\");";
    let mut expected = [Disclosure::Clear; 4];
    expected[0] = Disclosure::Hash;
    assert_eq!(shown(TableFormat::Iceberg, &[QUERY, ROWS, CLEAR, but].concat()), expected);
}
