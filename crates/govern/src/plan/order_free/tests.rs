use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use proptest::prelude::*;

use super::accumulate::{Extreme, Groups, One, STATE, Sliding, Sum, Total};
use super::superaccumulator::{ALL, Superaccumulator};
use crate::plan::functions::functions;

/// Every finite number is as likely as any other, with zeros, the smallest and the largest ones.
fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite()),
        4 => -1e6..1e6,
        2 => (-40_i32..40, -1e3..1e3).prop_map(|(exponent, value)| value * 10_f64.powi(exponent)),
        1 => prop::sample::select(vec![0.0, -0.0, f64::MIN_POSITIVE, 5e-324, -5e-324, f64::MAX, f64::MIN, 1.0, 0.1]),
    ]
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![20 => finite(), 1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY])]
}

fn summed<const BINS: usize>(values: &[f64]) -> Superaccumulator<BINS> {
    let mut sum = Superaccumulator::default();
    values.iter().for_each(|value| sum.add(*value));
    sum
}

fn same(one: Option<f64>, other: Option<f64>) -> bool {
    one.map(f64::to_bits) == other.map(f64::to_bits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The bits of a sum do not follow from the order of numbers, nor from the parts that were added up first.
    #[test]
    fn any_order_and_any_parts_give_the_same(
        mut values in prop::collection::vec(any_number(), 0..40),
        cuts in prop::collection::vec(0_usize..40, 0..4),
        order in any::<prop::sample::Index>(),
    ) {
        let whole = summed::<2>(&values);
        let exact = summed::<ALL>(&values);
        let turn = order.index(values.len().max(1));
        let turn = turn.min(values.len());
        values.rotate_left(turn);
        values.reverse();
        let (mut merged, mut start) = (Superaccumulator::<2>::default(), 0);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(values.len())).chain([values.len()]).collect();
        cuts.sort_unstable();
        for cut in cuts {
            let part = summed::<2>(&values[start..cut]);
            let sent = Superaccumulator::from_bytes(&part.to_bytes()).unwrap();
            prop_assert_eq!(sent, part);
            merged.merge(&sent);
            start = cut;
        }
        prop_assert_eq!(merged, whole);
        prop_assert!(same(merged.sum(), whole.sum()));
        prop_assert!(same(summed::<ALL>(&values).sum(), exact.sum()));
    }

    /// Two bins are off by less than 2⁻⁶⁴ of the largest number for each number, and by the rounding of the sum.
    #[test]
    fn two_bins_are_nearly_all(values in prop::collection::vec(-1e300..1e300_f64, 1..40)) {
        let (few, all) = (summed::<2>(&values).sum().unwrap(), summed::<ALL>(&values).sum().unwrap());
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let bound = values.len() as f64 * largest * 2_f64.powi(-64) + all.abs() * f64::EPSILON;
        prop_assert!((few - all).abs() <= bound, "{few:e} and {all:e}, {bound:e}");
    }

    /// A number that is exact in itself comes back, and twice the number is its double.
    #[test]
    fn one_number_is_its_own_sum(value in finite().prop_filter("not -0", |value| value.to_bits() != (-0.0_f64).to_bits())) {
        prop_assert!(same(summed::<2>(&[value]).sum(), Some(value)));
        prop_assert!(same(summed::<ALL>(&[value, value]).sum(), Some(value + value)));
        prop_assert!(same(summed::<2>(&[value, -value]).sum(), Some(0.0)));
    }

    /// Two numbers give what the processor gives, which rounds once.
    #[test]
    fn two_numbers_are_rounded_once(one in finite(), other in finite()) {
        let sum = one + other;
        let sum = if sum == 0.0 { 0.0 } else { sum };
        prop_assert!(same(summed::<ALL>(&[one, other]).sum(), Some(sum)), "{:?} and {sum:?}", summed::<ALL>(&[one, other]).sum());
    }

    /// A frame that moved on is as if it had begun where it is.
    #[test]
    fn what_left_a_frame_leaves_nothing(
        gone in prop::collection::vec(any_number(), 0..20), stays in prop::collection::vec(any_number(), 0..20),
    ) {
        let mut sliding = Sliding::<false>::default();
        sliding.update_batch(&[array(&gone)]).unwrap();
        sliding.update_batch(&[array(&stays)]).unwrap();
        sliding.retract_batch(&[array(&gone)]).unwrap();
        let mut fresh = Sliding::<false>::default();
        fresh.update_batch(&[array(&stays)]).unwrap();
        prop_assert_eq!(format!("{:?}", sliding.evaluate().unwrap()), format!("{:?}", fresh.evaluate().unwrap()));
    }
}

fn array(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

#[test]
fn sums_are_exact_where_plain_addition_is_not() {
    assert_eq!(summed::<ALL>(&[1e300, 1.0, -1e300]).sum(), Some(1.0));
    assert_eq!(summed::<2>(&[1e16, 1.0, -1e16]).sum(), Some(1.0));
    assert_eq!(summed::<2>(&[f64::MAX, f64::MAX, -f64::MAX]).sum(), Some(f64::MAX));
    assert_eq!(summed::<2>(&[f64::MAX, f64::MAX]).sum(), Some(f64::INFINITY));
    assert_eq!(summed::<2>(&[0.1; 10]).sum(), Some(1.0));
    assert_eq!(summed::<2>(&[f64::INFINITY, 1.0]).sum(), Some(f64::INFINITY));
    assert!(summed::<2>(&[f64::INFINITY, f64::NEG_INFINITY]).sum().unwrap().is_nan());
    assert_eq!(summed::<2>(&[]).sum(), None);
}

#[test]
fn bytes_that_are_no_sum_are_refused() {
    let bytes = summed::<2>(&[1.0]).to_bytes();
    assert!(Superaccumulator::<2>::from_bytes(&bytes).is_ok());
    assert!(Superaccumulator::<2>::from_bytes(&bytes[1..]).is_err());
    assert!(Superaccumulator::<2>::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
    let beyond = [&bytes[..bytes.len() - 1], &[32]].concat();
    assert!(Superaccumulator::<2>::from_bytes(&beyond).is_err());
}

/// What groups are, whether rows come all at once, or in parts whose states are merged in another order.
fn grouped<T: Total>(values: &ArrayRef, groups: &[usize], filter: Option<&BooleanArray>, reversed: bool) -> ArrayRef {
    let count = groups.iter().max().map_or(0, |last| last + 1);
    let mut all = Groups::<T>::new(values.data_type());
    if !reversed {
        all.update_batch(&[Arc::clone(values)], groups, filter, count).unwrap();
        return all.evaluate(EmitTo::All).unwrap();
    }
    for row in (0..values.len()).rev() {
        let (value, group) = (values.slice(row, 1), &groups[row..=row]);
        let filter = filter.map(|filter| filter.slice(row, 1));
        let state = match row % 2 {
            0 => all.convert_to_state(&[value], filter.as_ref()).unwrap(),
            _ => {
                let mut part = Groups::<T>::new(values.data_type());
                part.update_batch(&[value], &[0], filter.as_ref(), 1).unwrap();
                part.state(EmitTo::All).unwrap()
            }
        };
        all.merge_batch(&state, group, count).unwrap();
    }
    all.evaluate(EmitTo::All).unwrap()
}

#[test]
fn groups_are_the_same_in_any_order() {
    let values = [Some(0.1), None, Some(0.2), Some(f64::NAN), Some(0.3), Some(-0.0), Some(0.0), Some(7.0)];
    let groups = [0, 0, 0, 1, 0, 2, 2, 3];
    let filter = BooleanArray::from(vec![
        Some(true),
        None,
        Some(true),
        Some(true),
        Some(true),
        Some(true),
        Some(true),
        Some(false),
    ]);
    let wide: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
    let narrow: ArrayRef =
        Arc::new(values.iter().map(|value| value.map(|value| value as f32)).collect::<Float32Array>());
    for reversed in [false, true] {
        let of = |array: ArrayRef| {
            array.as_primitive::<Float64Type>().iter().map(|value| value.map(f64::to_bits)).collect::<Vec<_>>()
        };
        let wanted = |values: [Option<f64>; 4]| values.map(|value| value.map(f64::to_bits)).to_vec();
        assert_eq!(
            of(grouped::<Sum<false>>(&wide, &groups, Some(&filter), reversed)),
            wanted([Some(0.6), Some(f64::NAN), Some(0.0), None])
        );
        assert_eq!(of(grouped::<Sum<true>>(&wide, &groups, None, reversed))[3], Some(7_f64.to_bits()));
        assert_eq!(
            of(grouped::<Extreme<true>>(&wide, &groups, None, reversed)),
            wanted([Some(0.3), Some(f64::NAN), Some(0.0), Some(7.0)])
        );
        assert_eq!(
            of(grouped::<Extreme<false>>(&wide, &groups, None, reversed)),
            wanted([Some(0.1), Some(f64::NAN), Some(-0.0), Some(7.0)])
        );
        let least = grouped::<Extreme<false>>(&narrow, &groups, None, reversed);
        assert_eq!(least.as_primitive::<Float32Type>().value(0), 0.1_f32);
    }
}

#[test]
fn rows_without_groups_have_a_state_of_the_declared_type() {
    let mut one = One::<Sum<true>>::default();
    one.update_batch(&[array(&[1.0, 2.0])]).unwrap();
    let state = one.state().unwrap();
    assert_eq!(state[0].data_type(), STATE);
    let mut other = One::<Sum<true>>::default();
    other.merge_batch(&[state[0].to_array().unwrap()]).unwrap();
    other.update_batch(&[array(&[6.0])]).unwrap();
    assert_eq!(format!("{}", other.evaluate().unwrap()), "3");
    let unfit: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    assert!(other.merge_batch(&[unfit]).is_err());
    assert_eq!(STATE, DataType::FixedSizeBinary(53));
}

/// An aggregate that is not known is not taken for one that is the same in any order.
#[test]
fn every_aggregate_is_the_same_in_any_order_or_said_not_to_be() {
    let mut ordered: Vec<&str> =
        functions().aggregate.values().map(|f| f.name()).filter(|name| !super::SAME.contains(name)).collect();
    ordered.sort_unstable();
    ordered.dedup();
    assert_eq!(
        ordered,
        [
            "approx_median",
            "approx_percentile_cont",
            "approx_percentile_cont_with_weight",
            "corr",
            "covar_pop",
            "covar_samp",
            "regr_avgx",
            "regr_avgy",
            "regr_intercept",
            "regr_r2",
            "regr_slope",
            "regr_sxx",
            "regr_sxy",
            "regr_syy",
            "stddev",
            "stddev_pop",
            "var",
            "var_pop"
        ]
    );
    for name in super::SAME {
        assert!(functions().aggregate.contains_key(name), "{name}");
    }
}

/// The functions that statements call are these, by every name that they have.
#[test]
fn statements_call_the_aggregates_that_have_no_order() {
    for name in ["sum", "avg", "mean", "min", "max"] {
        assert!(functions().aggregate[name].inner().is::<super::OrderFree>(), "{name}");
    }
}
