//! Arrays of every type and depth, in two worlds that differ only in hidden rows. World 0 has needles there.

use std::sync::Arc;

use datafusion::arrow::array::builder::*;
use datafusion::arrow::array::*;
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::*;

pub const ROWS: usize = 300;

/// A number that looks random.
pub fn mix(i: usize) -> usize {
    let mut x = i as u64 ^ 0x9e37_79b9_7f4a_7c15;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as usize
}

/// The values of a world: `hidden` rows are the world's own, the others are the same in all.
pub struct Values<'a> {
    pub hidden: &'a dyn Fn(usize) -> bool,
    pub world: usize,
}

impl Values<'_> {
    fn is_null(&self, i: usize) -> bool {
        if (self.hidden)(i) { mix(i + self.world * 7919).is_multiple_of(5) } else { i.is_multiple_of(11) }
    }

    fn text(&self, i: usize, long: bool) -> String {
        match ((self.hidden)(i), self.world, long) {
            (true, 0, true) => format!("NEEDLE-long-long-long-{i}"),
            (true, 0, false) => format!("NEEDLE{}", i % 999),
            (true, _, _) => "x".repeat(i % 30),
            (false, _, true) => format!("visible and rather long {i}"),
            (false, _, false) => format!("v{i}"),
        }
    }

    fn number(&self, i: usize) -> u64 {
        match ((self.hidden)(i), self.world) {
            (true, 0) => u64::from_le_bytes(*b"NEEDLE!!"),
            (true, _) => mix(i) as u64,
            (false, _) => i as u64,
        }
    }

    fn bit(&self, i: usize) -> bool {
        if (self.hidden)(i) { mix(i + self.world) & 1 == 1 } else { i.is_multiple_of(3) }
    }

    fn maybe(&self, i: usize, long: bool) -> Option<String> {
        (!self.is_null(i)).then(|| self.text(i, long))
    }

    fn primitive<T: ArrowPrimitiveType>(&self, value: impl Fn(u64) -> T::Native) -> ArrayRef {
        let values = (0..ROWS).map(|i| (!self.is_null(i)).then(|| value(self.number(i))));
        Arc::new(values.collect::<PrimitiveArray<T>>())
    }

    fn structure(&self, with_nulls: bool) -> ArrayRef {
        let fields = vec![
            Field::new("a", DataType::Utf8, true),
            Field::new("b", DataType::Int64, false),
            Field::new("v", DataType::Utf8View, true),
            Field::new("z", DataType::Boolean, false),
        ];
        let columns: Vec<ArrayRef> = vec![
            Arc::new((0..ROWS).map(|i| Some(self.text(i, true))).collect::<StringArray>()),
            Arc::new((0..ROWS).map(|i| self.number(i) as i64).collect::<Int64Array>()),
            Arc::new((0..ROWS).map(|i| Some(self.text(i, i % 2 == 0))).collect::<StringViewArray>()),
            Arc::new((0..ROWS).map(|i| Some(self.bit(i))).collect::<BooleanArray>()),
        ];
        Arc::new(StructArray::new(fields.into(), columns, with_nulls.then(|| self.nulls())))
    }

    fn nulls(&self) -> NullBuffer {
        (0..ROWS).map(|i| !self.is_null(i)).collect::<Vec<_>>().into()
    }

    fn fixed(&self, width: usize) -> ArrayRef {
        let mut builder = FixedSizeBinaryBuilder::new(width as i32);
        for i in 0..ROWS {
            match self.is_null(i) {
                true => builder.append_null(),
                false => builder.append_value(&self.number(i).to_le_bytes()[..width]).unwrap(),
            }
        }
        Arc::new(builder.finish())
    }

    /// One column for each type and shape.
    pub fn batch(&self) -> RecordBatch {
        let mut columns = self.flat();
        columns.extend(self.nested());
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
    }

    fn flat(&self) -> Vec<(&'static str, ArrayRef)> {
        let rows = || 0..ROWS;
        let texts: Vec<Option<String>> = rows().map(|i| self.maybe(i, true)).collect();
        vec![
            ("i8", self.primitive::<Int8Type>(|n| n as i8)),
            ("i16", self.primitive::<Int16Type>(|n| n as i16)),
            ("i32", self.primitive::<Int32Type>(|n| n as i32)),
            ("i64", self.primitive::<Int64Type>(|n| n as i64)),
            ("u64", self.primitive::<UInt64Type>(|n| n)),
            ("f32", self.primitive::<Float32Type>(|n| f32::from_bits(n as u32))),
            ("f64", self.primitive::<Float64Type>(f64::from_bits)),
            ("date32", self.primitive::<Date32Type>(|n| n as i32)),
            ("time64", self.primitive::<Time64MicrosecondType>(|n| n as i64)),
            ("timestamp", self.primitive::<TimestampMicrosecondType>(|n| n as i64)),
            ("decimal128", self.primitive::<Decimal128Type>(i128::from)),
            ("decimal256", self.primitive::<Decimal256Type>(|n| i256::from_i128(i128::from(n)))),
            ("interval", self.primitive::<IntervalMonthDayNanoType>(|n| IntervalMonthDayNano::new(1, 2, n as i64))),
            ("bool", Arc::new(rows().map(|i| (!self.is_null(i)).then(|| self.bit(i))).collect::<BooleanArray>())),
            ("bool without nulls", Arc::new(rows().map(|i| Some(self.bit(i))).collect::<BooleanArray>())),
            ("utf8", Arc::new(rows().map(|i| self.maybe(i, i % 2 == 0)).collect::<StringArray>())),
            ("utf8 without nulls", Arc::new(rows().map(|i| Some(self.text(i, i % 2 == 0))).collect::<StringArray>())),
            ("large utf8", Arc::new(rows().map(|i| self.maybe(i, i % 2 == 0)).collect::<LargeStringArray>())),
            ("long views", Arc::new(rows().map(|i| self.maybe(i, true)).collect::<StringViewArray>())),
            ("short views", Arc::new(rows().map(|i| self.maybe(i, false)).collect::<StringViewArray>())),
            (
                "views without nulls",
                Arc::new(rows().map(|i| Some(self.text(i, i % 2 == 0))).collect::<StringViewArray>()),
            ),
            ("binary", Arc::new(rows().map(|i| self.maybe(i, true).map(String::into_bytes)).collect::<BinaryArray>())),
            (
                "binary views",
                Arc::new(
                    rows().map(|i| self.maybe(i, i % 2 == 0).map(String::into_bytes)).collect::<BinaryViewArray>(),
                ),
            ),
            ("fixed 5", self.fixed(5)),
            ("fixed 8", self.fixed(8)),
            ("dictionary", Arc::new(texts.iter().map(|t| t.as_deref()).collect::<DictionaryArray<Int32Type>>())),
        ]
    }

    fn nested(&self) -> Vec<(&'static str, ArrayRef)> {
        let mut texts = ListBuilder::new(StringBuilder::new());
        let mut views = ListBuilder::new(StringViewBuilder::new());
        let mut numbers = LargeListBuilder::new(Int64Builder::new());
        let mut triples = FixedSizeListBuilder::new(Int64Builder::new(), 3);
        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        for i in 0..ROWS {
            let valid = !self.is_null(i);
            for k in 0..mix(i + if (self.hidden)(i) { self.world } else { 0 }) % 4 {
                texts.values().append_value(format!("{}{k}", self.text(i, true)));
                views.values().append_value(format!("{}{k}", self.text(i, true)));
                numbers.values().append_option((k != 1).then(|| self.number(i) as i64));
                maps.keys().append_value(format!("{}-{k}", self.text(i, true)));
                maps.values().append_value(self.number(i) as i64);
            }
            for _ in 0..3 {
                triples.values().append_value(self.number(i) as i64);
            }
            texts.append(valid);
            views.append(valid);
            numbers.append(valid);
            triples.append(valid);
            maps.append(valid).unwrap();
        }
        let structs = self.structure(false);
        let field = Arc::new(Field::new_list_field(structs.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths(vec![1; ROWS]);
        let lists_of_structs = ListArray::new(field, offsets, structs, Some(self.nulls()));
        let views = views.finish();
        let view_field = Arc::new(Field::new_list_field(DataType::Utf8View, true));
        let list_views = cast(&views, &DataType::ListView(view_field)).unwrap();
        vec![
            ("struct", self.structure(true)),
            ("list of utf8", Arc::new(texts.finish())),
            ("list of views", Arc::new(views)),
            ("large list", Arc::new(numbers.finish())),
            ("fixed list", Arc::new(triples.finish())),
            ("map", Arc::new(maps.finish())),
            ("list of structs", Arc::new(lists_of_structs)),
            ("list view", list_views),
        ]
    }
}
