//! Scrubbing changes no value, whatever the slices and nulls.

use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::compute::{cast, concat, nullif};
use proptest::prelude::*;

use super::arrays::{ROWS, Values};
use super::scrubbed;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn values_stay(start in 0..ROWS, len in 0..ROWS, nulls in proptest::collection::vec(any::<bool>(), ROWS)) {
        let len = len.min(ROWS - start);
        let batch = Values { hidden: &|i| nulls[i], world: 1 }.batch().slice(start, len);
        let hide = BooleanArray::from(nulls).slice(start, len);
        for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
            // Nulls over what is there, where Arrow can do that for the type.
            let column = nullif(column, &hide).unwrap_or_else(|_| Arc::clone(column));
            let one = RecordBatch::try_from_iter_with_nullable([(field.name(), Arc::clone(&column), true)]).unwrap();
            let rebuilt = scrubbed(&one);
            rebuilt.column(0).to_data().validate_full().unwrap();
            // Comparing arrays of Arrow is comparing values; `concat` of one array copies it.
            let expected = cast(&concat(&[column.as_ref()]).unwrap(), rebuilt.column(0).data_type()).unwrap();
            prop_assert_eq!(rebuilt.column(0), &expected, "{}", field.name());
        }
    }
}
