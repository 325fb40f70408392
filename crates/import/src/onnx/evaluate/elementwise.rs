//! Operators that compute each element by itself: functions, sums, products, comparisons.

use crate::onnx::{
    Fault,
    graph::Node,
    tensor::{Data, Tensor, broadcast_shape, broadcast_strides, walk},
};

/// Operators that give each element from the elements at its place, and nothing else.
pub(crate) fn is_elementwise(operator: &str) -> bool {
    unary_name(operator)
        || binary_name(operator)
        || matches!(
            operator,
            "Clip"
                | "Cast"
                | "CastLike"
                | "Where"
                | "Sum"
                | "Mean"
                | "Min"
                | "Max"
                | "PRelu"
                | "Not"
        )
}

fn unary_name(operator: &str) -> bool {
    matches!(
        operator,
        "Relu"
            | "LeakyRelu"
            | "Elu"
            | "Selu"
            | "Celu"
            | "ThresholdedRelu"
            | "Sigmoid"
            | "HardSigmoid"
            | "HardSwish"
            | "Tanh"
            | "Softplus"
            | "Softsign"
            | "Mish"
            | "Gelu"
            | "Erf"
            | "Exp"
            | "Log"
            | "Sqrt"
            | "Reciprocal"
            | "Abs"
            | "Neg"
            | "Floor"
            | "Ceil"
            | "Round"
            | "Sign"
            | "Sin"
            | "Cos"
            | "IsNaN"
            | "IsInf"
            | "Swish"
    )
}

fn binary_name(operator: &str) -> bool {
    matches!(
        operator,
        "Add"
            | "Sub"
            | "Mul"
            | "Div"
            | "Pow"
            | "Mod"
            | "And"
            | "Or"
            | "Xor"
            | "Equal"
            | "Greater"
            | "Less"
            | "GreaterOrEqual"
            | "LessOrEqual"
    )
}

/// Computes one of these operators.
pub(super) fn evaluate(node: &Node, inputs: &[Option<&Tensor>]) -> Result<Tensor, Fault> {
    let given: Vec<&Tensor> = inputs.iter().flatten().copied().collect();
    let first = *given
        .first()
        .ok_or_else(|| Fault::Shape("needs an input".into()))?;
    let second = || {
        given
            .get(1)
            .copied()
            .ok_or_else(|| Fault::Shape("needs two inputs".into()))
    };
    match node.operator.as_str() {
        "Clip" => clip(node, inputs, first),
        "Cast" => Ok(cast(first, node.int("to", 1))),
        "CastLike" => Ok(cast(first, if second()?.is_float() { 1 } else { 7 })),
        "Not" => unary(node, first),
        "Where" => choose(&given),
        "Sum" | "Mean" | "Min" | "Max" => fold(node, &given),
        "PRelu" => {
            let slope = second()?;
            both(
                first,
                slope,
                |x, slope| if x < 0.0 { x * slope } else { x },
                None,
            )
        }
        operator if binary_name(operator) => binary(operator, first, second()?),
        _ => unary(node, first),
    }
}

fn unary(node: &Node, x: &Tensor) -> Result<Tensor, Fault> {
    if let Data::Int(values) = &x.data {
        let whole: Option<fn(i64) -> i64> = match node.operator.as_str() {
            "Neg" => Some(i64::wrapping_neg),
            "Abs" => Some(i64::wrapping_abs),
            "Sign" => Some(i64::signum),
            "Relu" => Some(|x| x.max(0)),
            "Not" => Some(|x| i64::from(x == 0)),
            "Floor" | "Ceil" | "Round" => Some(|x| x),
            _ => None,
        };
        if let Some(whole) = whole {
            let values = values.iter().map(|x| whole(*x)).collect();
            return Tensor::int(x.shape.clone(), values);
        }
    }
    let values = x.to_floats();
    if let "IsNaN" | "IsInf" | "Not" = node.operator.as_str() {
        let test: fn(f32) -> bool = match node.operator.as_str() {
            "IsNaN" => f32::is_nan,
            "IsInf" => f32::is_infinite,
            _ => |x| x == 0.0,
        };
        let values = values.into_iter().map(|x| i64::from(test(x))).collect();
        return Tensor::int(x.shape.clone(), values);
    }
    let function = super::functions::function(node)?;
    Tensor::float(x.shape.clone(), values.into_iter().map(function).collect())
}

fn clip(node: &Node, inputs: &[Option<&Tensor>], x: &Tensor) -> Result<Tensor, Fault> {
    let bound = |index: usize, name: &str, default: f32| match inputs.get(index).copied().flatten()
    {
        Some(bound) => bound
            .scalar()
            .ok_or_else(|| Fault::Shape("takes one number as its bound".into())),
        None => Ok(node.number(name, default)),
    };
    let low = bound(1, "min", f32::NEG_INFINITY)?;
    let high = bound(2, "max", f32::INFINITY)?;
    match &x.data {
        Data::Float(values) => {
            let clipped = values.iter().map(|x| x.max(low).min(high)).collect();
            Tensor::float(x.shape.clone(), clipped)
        }
        Data::Int(values) => {
            let (low, high) = (low as i64, high as i64);
            let clipped = values.iter().map(|x| (*x).max(low).min(high)).collect();
            Tensor::int(x.shape.clone(), clipped)
        }
    }
}

/// Elements in another type: of the numbers of ONNX's types, 1, 10, 11 and 16 are floats, 9 is a boolean.
fn cast(x: &Tensor, to: i64) -> Tensor {
    let data = match (&x.data, to) {
        (_, 1 | 10 | 11 | 16) => Data::Float(x.to_floats()),
        (Data::Float(values), 9) => {
            Data::Int(values.iter().map(|x| i64::from(*x != 0.0)).collect())
        }
        (Data::Int(values), 9) => Data::Int(values.iter().map(|x| i64::from(*x != 0)).collect()),
        (Data::Float(values), _) => Data::Int(values.iter().map(|x| *x as i64).collect()),
        (Data::Int(values), _) => Data::Int(values.clone()),
    };
    Tensor {
        shape: x.shape.clone(),
        data,
    }
}

/// An operation on whole numbers.
type Whole = fn(i64, i64) -> i64;

/// Applies a function to pairs of elements, broadcasting; to integers if both are and it has a form for them.
fn both(
    a: &Tensor,
    b: &Tensor,
    float: impl Fn(f32, f32) -> f32,
    whole: Option<Whole>,
) -> Result<Tensor, Fault> {
    let shape = broadcast_shape(&a.shape, &b.shape)?;
    let (a, b) = (a.broadcast(&shape)?, b.broadcast(&shape)?);
    if let (Data::Int(a), Data::Int(b), Some(whole)) = (&a.data, &b.data, whole) {
        let values = a.iter().zip(b).map(|(a, b)| whole(*a, *b)).collect();
        return Tensor::int(shape, values);
    }
    let pairs = a.to_floats().into_iter().zip(b.to_floats());
    Tensor::float(shape, pairs.map(|(a, b)| float(a, b)).collect())
}

fn compare(a: &Tensor, b: &Tensor, test: impl Fn(f64, f64) -> bool) -> Result<Tensor, Fault> {
    let shape = broadcast_shape(&a.shape, &b.shape)?;
    let wide = |tensor: &Tensor| -> Vec<f64> {
        match &tensor.data {
            Data::Float(values) => values.iter().map(|x| f64::from(*x)).collect(),
            Data::Int(values) => values.iter().map(|x| *x as f64).collect(),
        }
    };
    let (a, b) = (wide(&a.broadcast(&shape)?), wide(&b.broadcast(&shape)?));
    let values = a.iter().zip(b).map(|(a, b)| i64::from(test(*a, b)));
    Tensor::int(shape, values.collect())
}

fn binary(operator: &str, a: &Tensor, b: &Tensor) -> Result<Tensor, Fault> {
    let power: Whole = |a, b| u32::try_from(b).map_or(0, |b| a.wrapping_pow(b));
    match operator {
        "Add" => both(a, b, |a, b| a + b, Some(i64::wrapping_add)),
        "Sub" => both(a, b, |a, b| a - b, Some(i64::wrapping_sub)),
        "Mul" => both(a, b, |a, b| a * b, Some(i64::wrapping_mul)),
        "Div" => both(
            a,
            b,
            |a, b| a / b,
            Some(|a, b| a.checked_div(b).unwrap_or(0)),
        ),
        "Mod" => both(
            a,
            b,
            |a, b| a % b,
            Some(|a, b| {
                if b == 0 {
                    0
                } else {
                    a.wrapping_rem(b)
                        + if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) {
                            b
                        } else {
                            0
                        }
                }
            }),
        ),
        "Pow" => both(a, b, f32::powf, Some(power)),
        "And" => compare(a, b, |a, b| a != 0.0 && b != 0.0),
        "Or" => compare(a, b, |a, b| a != 0.0 || b != 0.0),
        "Xor" => compare(a, b, |a, b| (a != 0.0) != (b != 0.0)),
        "Equal" => compare(a, b, |a, b| a == b),
        "Greater" => compare(a, b, |a, b| a > b),
        "Less" => compare(a, b, |a, b| a < b),
        "GreaterOrEqual" => compare(a, b, |a, b| a >= b),
        _ => compare(a, b, |a, b| a <= b),
    }
}

fn choose(given: &[&Tensor]) -> Result<Tensor, Fault> {
    let [condition, yes, no] = given else {
        return Err(Fault::Shape("needs three inputs".into()));
    };
    let shape = broadcast_shape(&condition.shape, &yes.shape)?;
    let shape = broadcast_shape(&shape, &no.shape)?;
    let sources = |tensor: &Tensor| walk(&shape, &broadcast_strides(&tensor.shape, &shape), 0);
    let condition = condition.gathered(shape.clone(), &sources(condition))?;
    let test: Vec<bool> = condition.to_floats().iter().map(|x| *x != 0.0).collect();
    let yes = yes.gathered(shape.clone(), &sources(yes))?;
    let no = no.gathered(shape.clone(), &sources(no))?;
    fn pick<T: Copy>(test: &[bool], yes: &[T], no: &[T]) -> Vec<T> {
        let pairs = test.iter().zip(yes.iter().zip(no));
        pairs
            .map(|(test, (yes, no))| if *test { *yes } else { *no })
            .collect()
    }
    match (&yes.data, &no.data) {
        (Data::Int(yes), Data::Int(no)) => Tensor::int(shape, pick(&test, yes, no)),
        _ => Tensor::float(shape, pick(&test, &yes.to_floats(), &no.to_floats())),
    }
}

fn fold(node: &Node, given: &[&Tensor]) -> Result<Tensor, Fault> {
    let (float, whole): (fn(f32, f32) -> f32, Whole) = match node.operator.as_str() {
        "Min" => (f32::min, i64::min),
        "Max" => (f32::max, i64::max),
        _ => (|a, b| a + b, i64::wrapping_add),
    };
    let mut result = (*given[0]).clone();
    for next in &given[1..] {
        result = both(&result, next, float, Some(whole))?;
    }
    if node.operator == "Mean" {
        let values = result.to_floats().into_iter();
        let mean = values.map(|x| x / given.len() as f32).collect();
        return Tensor::float(result.shape, mean);
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_stay_integers() {
        let a = Tensor::list(vec![7, -7, 3]);
        let b = Tensor::list(vec![2]);
        let divided = binary("Div", &a, &b).unwrap();
        assert_eq!(divided.ints().unwrap(), [3, -3, 1]);
        assert_eq!(binary("Mod", &a, &b).unwrap().ints().unwrap(), [1, 1, 1]);
        assert_eq!(
            binary("Greater", &a, &b).unwrap().ints().unwrap(),
            [1, 0, 1]
        );
    }
}
