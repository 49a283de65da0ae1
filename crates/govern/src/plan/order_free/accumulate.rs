//! What DataFusion calls for each group, or for all rows, of an aggregate.

use std::fmt::Debug;
use std::mem::size_of;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Float64Array, ListArray, PrimitiveArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, internal_datafusion_err, internal_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::superaccumulator::{ALL, Superaccumulator};

/// The least bins whose sums are no worse than those of plain addition.
type Sums = Superaccumulator<2>;

/// The type of a sum's state.
pub(super) const STATE: DataType = DataType::FixedSizeBinary(Sums::SIZE as i32);

/// What becomes of a group's numbers.
pub(super) trait Total: Copy + Debug + Default + Send + Sync + 'static {
    fn add(&mut self, value: f64);
    fn merge(&mut self, other: &Self);
    /// `None` of no numbers.
    fn result(&self) -> Option<f64>;
    fn store(totals: &[Self]) -> Result<ArrayRef>;
    /// `None` where there is none.
    fn load(states: &ArrayRef) -> Result<Vec<Option<Self>>>;
}

/// `sum`, or `avg` if it is a mean.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum<const MEAN: bool>(Sums);

impl<const MEAN: bool> Total for Sum<MEAN> {
    fn add(&mut self, value: f64) {
        self.0.add(value);
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    fn result(&self) -> Option<f64> {
        result::<MEAN, _>(&self.0)
    }

    fn store(totals: &[Self]) -> Result<ArrayRef> {
        if totals.is_empty() {
            return Ok(Arc::new(FixedSizeBinaryArray::new_null(Sums::SIZE as i32, 0)));
        }
        let states = totals.iter().map(|total| total.0.to_bytes());
        Ok(Arc::new(FixedSizeBinaryArray::try_from_iter(states)?))
    }

    fn load(states: &ArrayRef) -> Result<Vec<Option<Self>>> {
        let Some(states) = states.as_fixed_size_binary_opt() else {
            return internal_err!("the state of a sum is of type {}", states.data_type());
        };
        states.iter().map(|state| state.map(|bytes| Sums::from_bytes(bytes).map(Sum)).transpose()).collect()
    }
}

fn result<const MEAN: bool, const BINS: usize>(total: &Superaccumulator<BINS>) -> Option<f64> {
    let sum = total.sum()?;
    Some(if MEAN { sum / total.count() as f64 } else { sum })
}

/// `max`, or `min` if it is not the largest: NaN is the largest number, and -0 smaller than 0.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extreme<const LARGEST: bool>(Option<f64>);

impl<const LARGEST: bool> Total for Extreme<LARGEST> {
    fn add(&mut self, value: f64) {
        let farther = |found: f64| match LARGEST {
            true => value.total_cmp(&found).is_gt(),
            false => value.total_cmp(&found).is_lt(),
        };
        if self.0.is_none_or(farther) {
            self.0 = Some(value);
        }
    }

    fn merge(&mut self, other: &Self) {
        if let Some(value) = other.0 {
            self.add(value);
        }
    }

    fn result(&self) -> Option<f64> {
        self.0
    }

    fn store(totals: &[Self]) -> Result<ArrayRef> {
        Ok(Arc::new(totals.iter().map(|total| total.0).collect::<Float64Array>()))
    }

    fn load(states: &ArrayRef) -> Result<Vec<Option<Self>>> {
        Ok(numbers(states)?.iter().map(|state| state.map(|value| Extreme(Some(value)))).collect())
    }
}

/// All groups of an aggregate.
#[derive(Debug)]
pub(super) struct Groups<T> {
    totals: Vec<T>,
    /// The type of results, and of states where they are numbers.
    data_type: DataType,
}

impl<T: Total> Groups<T> {
    pub fn new(data_type: &DataType) -> Self {
        Self { totals: Vec::new(), data_type: data_type.clone() }
    }

    /// States of numbers are of the results' type.
    fn stored(&self, totals: &[T]) -> Result<Vec<ArrayRef>> {
        let states = T::store(totals)?;
        Ok(vec![if states.data_type() == &STATE { states } else { cast(&states, &self.data_type)? }])
    }
}

impl<T: Total> GroupsAccumulator for Groups<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.totals.resize(total_num_groups, T::default());
        let values = numbers(only(values)?)?;
        for ((row, value), group) in values.iter().enumerate().zip(group_indices) {
            if let Some(value) = value.filter(|_| is_kept(opt_filter, row))
                && let Some(total) = self.totals.get_mut(*group)
            {
                total.add(value);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let totals = emit_to.take_needed(&mut self.totals);
        let results: Float64Array = totals.iter().map(Total::result).collect();
        typed(results, &self.data_type)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let totals = emit_to.take_needed(&mut self.totals);
        self.stored(&totals)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.totals.resize(total_num_groups, T::default());
        for (state, group) in T::load(only(values)?)?.iter().zip(group_indices) {
            if let (Some(state), Some(total)) = (state, self.totals.get_mut(*group)) {
                total.merge(state);
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = numbers(only(values)?)?;
        let alone = |(row, value): (usize, Option<f64>)| {
            let mut total = T::default();
            if let Some(value) = value.filter(|_| is_kept(opt_filter, row)) {
                total.add(value);
            }
            total
        };
        self.stored(&values.iter().enumerate().map(alone).collect::<Vec<T>>())
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<T>()
    }
}

/// One total of all rows.
#[derive(Debug, Default)]
pub(super) struct One<T>(T);

impl<T: Total> Accumulator for One<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        numbers(only(values)?)?.iter().flatten().for_each(|value| self.0.add(value));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.0.result()))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::try_from_array(&T::store(&[self.0])?, 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        T::load(only(states)?)?.iter().flatten().for_each(|state| self.0.merge(state));
        Ok(())
    }
}

/// The sum, or the mean, of a window frame that moves. It has all bins: a large number that has left must leave nothing behind.
#[derive(Debug, Default)]
pub(super) struct Sliding<const MEAN: bool>(Superaccumulator<ALL>);

impl<const MEAN: bool> Accumulator for Sliding<MEAN> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        numbers(only(values)?)?.iter().flatten().for_each(|value| self.0.add(value));
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        numbers(only(values)?)?.iter().flatten().for_each(|value| self.0.remove(value));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(result::<MEAN, _>(&self.0)))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("a window frame has no state to hand on")
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        internal_err!("a window frame has no state to take over")
    }
}

/// The sum, or the mean, of distinct numbers: DataFusion finds them, in no order.
#[derive(Debug)]
pub(super) struct Distinct<const MEAN: bool>(pub Box<dyn Accumulator>);

impl<const MEAN: bool> Accumulator for Distinct<MEAN> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut total = Sum::<MEAN>::default();
        for state in self.0.state()? {
            let list = state.to_array()?;
            let list = list.as_any().downcast_ref::<ListArray>();
            let values = list.ok_or_else(|| internal_datafusion_err!("distinct numbers are no list"))?.values();
            numbers(values)?.iter().flatten().for_each(|value| total.add(value));
        }
        Ok(ScalarValue::Float64(total.result()))
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }
}

fn only(values: &[ArrayRef]) -> Result<&ArrayRef> {
    match values {
        [only] => Ok(only),
        _ => internal_err!("{} arguments instead of 1", values.len()),
    }
}

fn is_kept(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

/// The numbers with 64 bits each; an array of 64 bits is not copied.
fn numbers(values: &ArrayRef) -> Result<PrimitiveArray<Float64Type>> {
    match values.as_primitive_opt::<Float64Type>() {
        Some(numbers) => Ok(numbers.clone()),
        None if values.data_type().is_floating() => Ok(cast(values, &DataType::Float64)?.as_primitive().clone()),
        None => internal_err!("numbers are of type {}", values.data_type()),
    }
}

/// The numbers in a type that has all of them.
fn typed(numbers: Float64Array, to: &DataType) -> Result<ArrayRef> {
    match to {
        DataType::Float64 => Ok(Arc::new(numbers)),
        _ => Ok(cast(&numbers, to)?),
    }
}
