//! Nested columns of a data file, brought into the shape that the table has now.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit, TimestampNanosecondType};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::adapter::Identity;
use super::bind::Origin;
use crate::EngineError;

/// A value that does not fit is an error, and not null.
const EXACT: CastOptions<'static> = CastOptions { safe: false, format_options: FormatOptions::new() };

/// Whether a file has times in nanoseconds where its table has microseconds: they are read as far as nothing is lost.
pub(super) fn is_finer(source: &DataType, target: &DataType) -> bool {
    use TimeUnit::{Microsecond, Nanosecond};
    matches!((source, target), (DataType::Timestamp(Nanosecond, _), DataType::Timestamp(Microsecond, _)))
}

/// How an array of one type becomes one of another.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// As it is, or by a cast between primitive types.
    Cast(DataType),
    /// Fields of the target.
    Struct(Fields, Vec<Part>),
    /// The element.
    List(FieldRef, Box<Shape>),
    /// The entries' field, and the shapes of key and value.
    Map(FieldRef, Box<Shape>, Box<Shape>),
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// From the source's field at this place.
    Of(usize, Shape),
    /// The same in all rows, since the source lacks it.
    Constant(ScalarValue),
}

impl Shape {
    /// From `source`, as a file has it, to `target`.
    pub(super) fn new(source: &DataType, target: &DataType, origin: &Origin, identity: Identity) -> Result<Shape> {
        let unfit = || {
            let kind = "a data file has a column of another type than its table";
            DataFusionError::External(Box::new(EngineError::Execution { kind }))
        };
        match (source, target) {
            (DataType::Struct(have), DataType::Struct(want)) => {
                let parts = want.iter().zip(&origin.children).map(|(want, origin)| {
                    let Some(at) = identity.find(have, origin) else {
                        return Ok(Part::Constant(origin.missing(want.data_type())?));
                    };
                    let source = have.get(at).ok_or_else(unfit)?.data_type();
                    Ok(Part::Of(at, Shape::new(source, want.data_type(), origin, identity)?))
                });
                Ok(Shape::Struct(want.clone(), parts.collect::<Result<_>>()?))
            }
            (DataType::List(have), DataType::List(want)) => {
                let origin = origin.children.first().ok_or_else(unfit)?;
                let inner = Shape::new(have.data_type(), want.data_type(), origin, identity)?;
                Ok(Shape::List(Arc::clone(want), Box::new(inner)))
            }
            (DataType::Map(have, _), DataType::Map(want, _)) => {
                let (DataType::Struct(have), DataType::Struct(wanted)) = (have.data_type(), want.data_type()) else {
                    return Err(unfit());
                };
                let ([have_key, have_value], [key, value], [key_origin, value_origin]) =
                    (&have[..], &wanted[..], origin.children.as_slice())
                else {
                    return Err(unfit());
                };
                let key = Shape::new(have_key.data_type(), key.data_type(), key_origin, identity)?;
                let value = Shape::new(have_value.data_type(), value.data_type(), value_origin, identity)?;
                Ok(Shape::Map(Arc::clone(want), Box::new(key), Box::new(value)))
            }
            (source, target) if !source.is_nested() && !target.is_nested() => Ok(Shape::Cast(target.clone())),
            _ => Err(unfit()),
        }
    }

    fn target(&self) -> DataType {
        match self {
            Shape::Cast(target) => target.clone(),
            Shape::Struct(fields, _) => DataType::Struct(fields.clone()),
            Shape::List(element, _) => DataType::List(Arc::clone(element)),
            Shape::Map(entries, _, _) => DataType::Map(Arc::clone(entries), false),
        }
    }

    fn apply(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let unfit = || DataFusionError::Internal("a nested column of a data file changed its type".to_owned());
        match self {
            Shape::Cast(target) if array.data_type() == target => Ok(Arc::clone(array)),
            Shape::Cast(target) => {
                if is_finer(array.data_type(), target)
                    && array.as_primitive::<TimestampNanosecondType>().iter().flatten().any(|nanos| nanos % 1000 != 0)
                {
                    let kind = "a data file has times in nanoseconds, and its table has them in microseconds";
                    return Err(DataFusionError::External(Box::new(EngineError::Execution { kind })));
                }
                Ok(cast_with_options(array, target, &EXACT)?)
            }
            Shape::Struct(fields, parts) => {
                let source = array.as_struct_opt().ok_or_else(unfit)?;
                let columns = parts.iter().map(|part| match part {
                    Part::Of(at, shape) => shape.apply(source.columns().get(*at).ok_or_else(unfit)?),
                    Part::Constant(value) => value.to_array_of_size(source.len()),
                });
                let columns = columns.collect::<Result<Vec<_>>>()?;
                let nulls = source.nulls().cloned();
                Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, source.len())?))
            }
            Shape::List(element, inner) => {
                let source = array.as_list_opt::<i32>().ok_or_else(unfit)?;
                let values = inner.apply(source.values())?;
                let (offsets, nulls) = (source.offsets().clone(), source.nulls().cloned());
                Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls)?))
            }
            Shape::Map(entries, key, value) => {
                let source = array.as_map_opt().ok_or_else(unfit)?;
                let DataType::Struct(fields) = entries.data_type() else { return Err(unfit()) };
                let columns = vec![key.apply(source.keys())?, value.apply(source.values())?];
                let length = source.entries().len();
                let inner = StructArray::try_new_with_length(fields.clone(), columns, None, length)?;
                let (offsets, nulls) = (source.offsets().clone(), source.nulls().cloned());
                Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, inner, nulls, false)?))
            }
        }
    }
}

/// An expression that reshapes its child.
#[derive(Debug)]
pub(super) struct Reshape {
    child: Arc<dyn PhysicalExpr>,
    shape: Shape,
    target: Field,
}

impl Reshape {
    /// The values of `child` in the type of `target`.
    pub(super) fn new(child: Arc<dyn PhysicalExpr>, shape: Shape, target: &Field) -> Self {
        Self { child, shape, target: target.clone() }
    }
}

impl PartialEq for Reshape {
    fn eq(&self, other: &Self) -> bool {
        self.child.eq(&other.child) && self.shape == other.shape && self.target == other.target
    }
}

impl Eq for Reshape {}

impl Hash for Reshape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.child.hash(state);
        self.target.hash(state);
    }
}

impl fmt::Display for Reshape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reshape({})", self.child)
    }
}

impl PhysicalExpr for Reshape {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.shape.target())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::new(self.target.clone()))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let array = self.child.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(self.shape.apply(&array)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.child]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let [child] = <[_; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("a reshaping has one child".to_owned()))?;
        Ok(Arc::new(Reshape { child, shape: self.shape.clone(), target: self.target.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
