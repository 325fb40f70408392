//! Samples from files: NumPy arrays, tables of text, raw floats.

use crate::onnx::{
    OnnxError,
    graph::{Graph, GraphInput, shorten},
    tensor::{Data, Tensor},
};

/// Samples of a file, at most: more calibrate no better.
const MAX_SAMPLES: usize = 4096;
/// Longest header of a NumPy array.
const MAX_HEADER: usize = 1 << 16;

fn wrong(reason: impl Into<String>) -> OnnxError {
    OnnxError::Calibration(reason.into())
}

/// Reads samples: for each, a tensor for each input. The name's ending says what the file is: `npz` (arrays named as
/// inputs, not compressed), `npy` or `bin` (one input), `csv` (a sample in each line).
pub(crate) fn read(name: &str, bytes: &[u8], graph: &Graph) -> Result<Vec<Vec<Tensor>>, OnnxError> {
    let columns: Vec<Vec<Tensor>> = match name.rsplit('.').next() {
        Some("npz") => {
            let entries = archive(bytes)?;
            let column = |input: &GraphInput| {
                let name = &graph.names[input.id];
                let entry = entries
                    .iter()
                    .find(|(entry, _)| entry.strip_suffix(".npy") == Some(name));
                let (_, array) =
                    entry.ok_or_else(|| wrong(format!("no array {:?}", shorten(name))))?;
                cut(numpy(array)?, input)
            };
            graph.inputs.iter().map(column).collect::<Result<_, _>>()?
        }
        Some("npy") => vec![cut(numpy(bytes)?, only(graph)?)?],
        Some("bin" | "raw" | "f32") => {
            let floats = bytes
                .chunks_exact(4)
                .filter_map(|four| four.try_into().ok())
                .map(f32::from_le_bytes);
            vec![cut(Data::Float(floats.collect()), only(graph)?)?]
        }
        Some("csv" | "txt") => return table(bytes, graph),
        _ => return Err(wrong("the file's name must end in npz, npy, csv or bin")),
    };
    let count = columns
        .iter()
        .map(Vec::len)
        .min()
        .unwrap_or(0)
        .min(MAX_SAMPLES);
    if count == 0 {
        return Err(wrong("there is no whole sample"));
    }
    Ok((0..count)
        .map(|at| columns.iter().map(|column| column[at].clone()).collect())
        .collect())
}

fn only(graph: &Graph) -> Result<&GraphInput, OnnxError> {
    match &graph.inputs[..] {
        [one] => Ok(one),
        _ => Err(wrong(
            "the model has several inputs: give an npz file with an array for each",
        )),
    }
}

/// Cuts elements into tensors of an input's shape.
fn cut(data: Data, input: &GraphInput) -> Result<Vec<Tensor>, OnnxError> {
    let elements: usize = input.shape.iter().product();
    let tensor = |data: Data| Tensor {
        shape: input.shape.clone(),
        data,
    };
    Ok(match (data, input.float) {
        (Data::Float(values), true) => values
            .chunks_exact(elements)
            .map(|part| tensor(Data::Float(part.to_vec())))
            .collect(),
        (Data::Int(values), true) => values
            .chunks_exact(elements)
            .map(|part| {
                tensor(Data::Float(
                    part.iter().map(|value| *value as f32).collect(),
                ))
            })
            .collect(),
        (Data::Int(values), false) => values
            .chunks_exact(elements)
            .map(|part| tensor(Data::Int(part.to_vec())))
            .collect(),
        (Data::Float(_), false) => return Err(wrong("floats for an input of integers")),
    })
}

/// Lines of numbers, separated by commas, semicolons or blanks: all inputs of a sample, one after the other. Lines with
/// one number more than that begin with a label, which is left out; a first line without numbers names columns.
fn table(bytes: &[u8], graph: &Graph) -> Result<Vec<Vec<Tensor>>, OnnxError> {
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("the file is not text"))?;
    let lengths: Vec<usize> = graph
        .inputs
        .iter()
        .map(|input| input.shape.iter().product())
        .collect();
    let length: usize = lengths.iter().sum();
    let mut samples = vec![];
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let fields = line
            .split([',', ';', ' ', '\t'])
            .filter(|field| !field.is_empty());
        let values: Result<Vec<f32>, _> = fields.map(str::parse::<f32>).collect();
        let values = match values {
            Ok(values) => values,
            Err(_) if number == 0 => continue,
            Err(_) => {
                return Err(wrong(format!(
                    "line {} holds something that is no number",
                    number + 1
                )));
            }
        };
        let extra = values.len().checked_sub(length).filter(|extra| *extra <= 1);
        let extra = extra.ok_or_else(|| {
            wrong(format!(
                "line {} has {} numbers, and the model takes {length}",
                number + 1,
                values.len()
            ))
        })?;
        let mut at = extra;
        let mut sample = vec![];
        for (input, length) in graph.inputs.iter().zip(&lengths) {
            let part = &values[at..at + length];
            at += length;
            let data = if input.float {
                Data::Float(part.to_vec())
            } else {
                Data::Int(part.iter().map(|value| *value as i64).collect())
            };
            sample.push(Tensor {
                shape: input.shape.clone(),
                data,
            });
        }
        samples.push(sample);
        if samples.len() == MAX_SAMPLES {
            break;
        }
    }
    if samples.is_empty() {
        Err(wrong("there is no sample"))
    } else {
        Ok(samples)
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let part = bytes.get(at..at.checked_add(length)?)?;
    Some(
        part.iter()
            .rev()
            .fold(0, |number, byte| number << 8 | usize::from(*byte)),
    )
}

/// The entries of a zip archive that holds them as they are.
fn archive(bytes: &[u8]) -> Result<Vec<(String, &[u8])>, OnnxError> {
    let damaged = || wrong("the npz file is damaged");
    let earliest = bytes.len().saturating_sub(66_000);
    let end = (earliest..bytes.len().saturating_sub(21))
        .rev()
        .find(|at| bytes[*at..].starts_with(b"PK\x05\x06"))
        .ok_or_else(damaged)?;
    let count = number(bytes, end + 10, 2).ok_or_else(damaged)?;
    let mut at = number(bytes, end + 16, 4).ok_or_else(damaged)?;
    let mut entries = vec![];
    for _ in 0..count {
        let field =
            |offset: usize, length: usize| number(bytes, at + offset, length).ok_or_else(damaged);
        if bytes.get(at..at + 4) != Some(b"PK\x01\x02") {
            return Err(damaged());
        }
        if field(10, 2)? != 0 {
            return Err(wrong(
                "the npz file is compressed: write it with numpy.savez",
            ));
        }
        let (size, name_length, local) = (field(24, 4)?, field(28, 2)?, field(42, 4)?);
        let name = bytes
            .get(at + 46..at + 46 + name_length)
            .ok_or_else(damaged)?;
        let name = String::from_utf8_lossy(name).into_owned();
        let local_field = |offset: usize| number(bytes, local + offset, 2).ok_or_else(damaged);
        let start = local + 30 + local_field(26)? + local_field(28)?;
        entries.push((name, bytes.get(start..start + size).ok_or_else(damaged)?));
        at += 46 + name_length + field(30, 2)? + field(32, 2)?;
    }
    Ok(entries)
}

/// The elements of a NumPy array.
fn numpy(bytes: &[u8]) -> Result<Data, OnnxError> {
    let damaged = || wrong("not a NumPy array");
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(damaged());
    }
    let (at, width) = if bytes.get(6) == Some(&1) {
        (10, 2)
    } else {
        (12, 4)
    };
    let length = number(bytes, 8, width)
        .filter(|length| *length <= MAX_HEADER)
        .ok_or_else(damaged)?;
    let header = bytes.get(at..at + length).ok_or_else(damaged)?;
    let header = String::from_utf8_lossy(header);
    if header.contains("'fortran_order': True") {
        return Err(wrong(
            "the array is in Fortran order: numpy.ascontiguousarray helps",
        ));
    }
    let body = &bytes[at + length..];
    fn each<const N: usize, T>(body: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
        body.chunks_exact(N)
            .filter_map(|part| part.try_into().ok())
            .map(value)
            .collect()
    }
    let is = |kind: &str| header.contains(&format!("'{kind}'"));
    Ok(if is("<f4") {
        Data::Float(each(body, f32::from_le_bytes))
    } else if is("<f8") {
        Data::Float(each(body, |bytes| f64::from_le_bytes(bytes) as f32))
    } else if is("<i8") {
        Data::Int(each(body, i64::from_le_bytes))
    } else if is("<i4") {
        Data::Int(each(body, |bytes| i64::from(i32::from_le_bytes(bytes))))
    } else if is("|u1") || is("|b1") {
        Data::Int(body.iter().map(|byte| i64::from(*byte)).collect())
    } else {
        return Err(wrong(
            "an array's elements must be float32, float64, int64, int32, uint8 or bool",
        ));
    })
}

/// All arrays of an npz file, by name.
#[cfg(test)]
pub(crate) fn arrays(bytes: &[u8]) -> Result<Vec<(String, Data)>, OnnxError> {
    let entries = archive(bytes)?.into_iter();
    entries
        .map(|(name, array)| Ok((name.trim_end_matches(".npy").to_owned(), numpy(array)?)))
        .collect()
}
