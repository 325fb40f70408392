//! Tensors in and out of `tract`.

use og_types::{ElementType, Tensor};
use tract_onnx::prelude::{self as tract, DatumType};

/// The type of a request's or response's elements, where it is one of those that they can hold.
pub(crate) fn element_type(datum_type: DatumType) -> Option<ElementType> {
    match datum_type {
        DatumType::F32 => Some(ElementType::F32),
        DatumType::I64 => Some(ElementType::I64),
        DatumType::I32 => Some(ElementType::I32),
        DatumType::U8 => Some(ElementType::U8),
        _ => None,
    }
}

/// Copies a tensor, whose data fills its shape, into `tract`'s form.
pub(crate) fn to_tract(tensor: &Tensor) -> tract::TractResult<tract::Tensor> {
    let shape: Vec<usize> = tensor.shape.iter().map(|extent| *extent as usize).collect();
    let data = &tensor.data;
    match tensor.element_type {
        ElementType::F32 => tract::Tensor::from_shape(&shape, &read(data, f32::from_le_bytes)),
        ElementType::I64 => tract::Tensor::from_shape(&shape, &read(data, i64::from_le_bytes)),
        ElementType::I32 => tract::Tensor::from_shape(&shape, &read(data, i32::from_le_bytes)),
        ElementType::U8 => tract::Tensor::from_shape(&shape, data),
    }
}

/// Little-endian elements.
pub(crate) fn read<T, const WIDTH: usize>(data: &[u8], element: fn([u8; WIDTH]) -> T) -> Vec<T> {
    data.as_chunks()
        .0
        .iter()
        .map(|bytes| element(*bytes))
        .collect()
}

/// Copies an output of `tract`'s into a response's form.
pub(crate) fn from_tract(
    value: &tract::Tensor,
    name: &str,
    element_type: ElementType,
) -> tract::TractResult<Tensor> {
    let view = value.try_as_plain_ram()?;
    let data: Vec<u8> = match element_type {
        ElementType::F32 => write(view.as_slice()?, f32::to_le_bytes),
        ElementType::I64 => write(view.as_slice()?, i64::to_le_bytes),
        ElementType::I32 => write(view.as_slice()?, i32::to_le_bytes),
        ElementType::U8 => view.as_slice::<u8>()?.to_vec(),
    };
    let shape = value
        .shape()
        .iter()
        .map(|extent| u32::try_from(*extent))
        .collect::<Result<_, _>>()?;
    Ok(Tensor {
        name: name.to_owned(),
        element_type,
        shape,
        data: data.into(),
    })
}

fn write<T: Copy, const WIDTH: usize>(elements: &[T], bytes: fn(T) -> [u8; WIDTH]) -> Vec<u8> {
    elements
        .iter()
        .flat_map(|element| bytes(*element))
        .collect()
}
