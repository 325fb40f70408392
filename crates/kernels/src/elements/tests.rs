//! Every operation gives what the interpreter gives, on every path, for all kinds of rows and output types.

use super::{Angles, Gain, SoftmaxTable};
use crate::{
    Kernels, Row, RowMut, elements,
    finish::{LinearFinish, dot_exponent},
    row::Wide,
    testing::{Judge, Random, all},
};
use og_program::{
    matrix::{Encoding, Weights},
    numbers::ZERO_EXPONENT,
    operation::{Number, Operation, Reduction, Rotation, Scale, Table, Vector},
    value::{Form, Type, Value},
};
use proptest::prelude::*;

/// Something that writes one row and says how many elements were clamped.
type Run<'a> = dyn Fn(Kernels, &Form, &mut Wide, RowMut<'_>) -> u64 + 'a;

/// One case: what the judge knows, operands, and what is judged.
struct Case<'a> {
    operation: Operation,
    vectors: Vec<Vector>,
    tables: Vec<Table>,
    weights: Vec<Weights<'a>>,
    operands: Vec<(Type, Value)>,
    output: Type,
    /// Where it is computed; operands are the same at all positions.
    position: usize,
}

impl Case<'_> {
    fn check(self, run: &Run<'_>) {
        let (types, values): (Vec<Type>, Vec<Value>) = self.operands.into_iter().unzip();
        let judge = Judge {
            operation: self.operation,
            output: self.output.clone(),
            vectors: self.vectors,
            tables: self.tables,
            weights: self.weights,
            types,
        };
        let expected = judge.result(&vec![values; self.position + 1]);
        for kernels in all() {
            let mut mantissas = vec![7; self.output.elements()];
            let mut exponents = vec![7; self.output.parts()];
            let mut wide = Wide::default();
            let out = RowMut {
                mantissas: &mut mantissas,
                exponents: &mut exponents,
            };
            let clamped = run(kernels, &self.output.form, &mut wide, out);
            let got = Value::Rows {
                mantissas,
                exponents,
            };
            assert_eq!((got, clamped), expected, "{:?}", kernels.path());
        }
    }
}

fn of(width: usize, form: Form) -> Type {
    Type {
        rows: 1,
        width: width as u32,
        form,
    }
}

fn row(value: &Value) -> Row<'_> {
    Row {
        mantissas: value.mantissas(),
        exponents: value.exponents(),
    }
}

/// A row of `parts` parts and a type of output whose parts are finer, as many or fewer.
fn operand(random: &mut Random, width: usize, parts: u32) -> ((Type, Value), Type) {
    let form = random.form(parts);
    let input = of(width, form);
    let value = random.value(&input);
    let choices = [parts, 1, (parts * 2).min(4)];
    let parts = choices[random.below(3) as usize];
    let output = of(width, random.form(parts));
    ((input, value), output)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sums_products_and_casts(seed: u64, quarter in 1..60_usize, parts in 0..3_u32) {
        let random = &mut Random(seed);
        let (width, parts) = (quarter * 4, 1 << parts);
        let (left, output) = operand(random, width, parts);
        let mut right = (of(width, random.form(parts)), Value::Index(vec![]));
        right.1 = random.value(&right.0);
        let (a, b) = (left.1.clone(), right.1.clone());
        let case = |operation, operands| Case {
            operation, operands, output: output.clone(), position: 0, vectors: vec![], tables: vec![], weights: vec![],
        };
        case(Operation::Add { left: 0, right: 1 }, vec![left.clone(), right.clone()])
            .check(&|k, form, wide, out| elements::add(k, row(&a), row(&b), form, wide, out));
        case(Operation::Multiply { left: 0, right: 1 }, vec![left.clone(), right])
            .check(&|k, form, wide, out| elements::multiply(k, row(&a), row(&b), form, wide, out));
        case(Operation::Cast(0), vec![left.clone()])
            .check(&|k, form, wide, out| elements::cast(k, row(&a), form, wide, out));
        let rectified = Case { output: left.0.clone(), ..case(Operation::Rectify(0), vec![left]) };
        rectified.check(&|_, _, _, out| {
            elements::rectify(a.mantissas(), out.mantissas);
            out.exponents.copy_from_slice(a.exponents());
            0
        });
    }

    #[test]
    fn norms(seed: u64, quarter in 1..60_usize, finer in 0..3_u32) {
        let random = &mut Random(seed);
        let (width, parts) = (quarter * 4, 1 << finer);
        let (input, output) = operand(random, width, 1);
        let parts = if output.parts() == 1 || (parts as usize).is_multiple_of(output.parts()) { parts } else { 4 };
        let gain = random.vector(width / parts as usize, 16);
        let epsilon = Number {
            mantissa: random.between(0, 1 << 20),
            exponent: random.between(-60, 0) as i32,
        };
        let x = input.1.clone();
        let given = Gain { gain: &gain, epsilon };
        Case {
            operation: Operation::RootMeanSquare { input: 0, gain: 0, epsilon, parts },
            position: 0, vectors: vec![gain.clone()], tables: vec![], weights: vec![],
            operands: vec![input.clone()], output: output.clone(),
        }
        .check(&|k, form, wide, out| {
            elements::root_mean_square(k, row(&x), given, parts as usize, form, wide, out)
        });
        Case {
            operation: Operation::Centre(0),
            position: 0, vectors: vec![], tables: vec![], weights: vec![], operands: vec![input.clone()], output,
        }
        .check(&|k, form, wide, out| elements::centre(k, row(&x), form, wide, out));
        for reduction in [Reduction::Greatest, Reduction::Sum, Reduction::Mean] {
            Case {
                operation: Operation::Reduce { input: 0, reduction },
                position: 0, vectors: vec![], tables: vec![], weights: vec![],
                operands: vec![input.clone()], output: of(1, random.form(1)),
            }
            .check(&|k, form, wide, out| elements::reduce(k, row(&x), reduction, form, wide, out));
        }
    }

    #[test]
    fn rotations(seed: u64, heads in 0..3_u32, pairs in 1..20_usize, still in 0..9_usize, halves: bool, position in 0..4_usize) {
        let random = &mut Random(seed);
        let (heads, length) = (1 << heads, 2 * pairs + still);
        let parts = if random.below(2) == 0 { 1 } else { heads };
        let form = random.form(parts);
        let input = (of(length * heads as usize, form), Value::Index(vec![]));
        let input = (input.0.clone(), random.value(&input.0));
        let rotation = Rotation {
            steps: (0..pairs).map(|_| random.next()).collect(),
            sine: 0,
            halves,
        };
        let sine = random.vector(256, 16);
        let x = input.1.clone();
        Case {
            operation: Operation::Rotate { input: 0, heads, rotation: rotation.clone() },
            position, vectors: vec![sine.clone()], tables: vec![], weights: vec![],
            output: of(length * heads as usize, random.form(parts)),
            operands: vec![input],
        }
        .check(&|k, form, wide, out| {
            let angles = Angles::new(&rotation, &sine, position as u64);
            elements::rotate(k, row(&x), heads as usize, &angles, form, wide, out)
        });
    }

    #[test]
    fn functions(seed: u64, quarter in 1..60_usize, parts in 0..3_u32) {
        let random = &mut Random(seed);
        let (width, parts) = (quarter * 4, 1 << parts);
        let table = random.table();
        let (input, output) = operand(random, width, parts);
        let mut other = (of(width, random.form(parts)), Value::Index(vec![]));
        other.1 = random.value(&other.0);
        let (x, y) = (input.1.clone(), other.1.clone());
        let case = |operation, operands, output| Case {
            operation, operands, output, position: 0, vectors: vec![], tables: vec![table.clone()], weights: vec![],
        };
        let both = vec![input.clone(), other];
        case(Operation::Gate { input: 0, other: Some(1), table: 0 }, both, output.clone())
            .check(&|k, form, wide, out| {
                elements::gate(k, row(&x), Some(row(&y)), &table, form, wide, out)
            });
        case(Operation::Gate { input: 0, other: None, table: 0 }, vec![input.clone()], output)
            .check(&|k, form, wide, out| elements::gate(k, row(&x), None, &table, form, wide, out));
        let parts = 1 << random.below(3);
        case(Operation::Lookup { input: 0, table: 0 }, vec![input], of(width, random.form(parts)))
            .check(&|k, form, wide, out| elements::lookup(k, row(&x), &table, form, wide, out));
    }

    #[test]
    fn softmax(seed: u64, width in 1..200_usize, entries in 1..600_usize) {
        let random = &mut Random(seed);
        let input = of(width, random.form(1));
        let value = random.value(&input);
        let mut weights = random.vector(entries, 16);
        weights.mantissas.iter_mut().for_each(|w| *w = w.saturating_abs());
        let exponent = random.between(-20, 5) as i32;
        let scale = Scale {
            multiplier: random.between(1, 65_536) as u32,
            places: random.below(30) as u32,
        };
        let x = value.clone();
        Case {
            operation: Operation::Softmax { input: 0, exponent, scale, weights: 0 },
            position: 0, vectors: vec![weights.clone()], tables: vec![], weights: vec![],
            operands: vec![(input, value)], output: of(width, random.form(1)),
        }
        .check(&|k, form, wide, out| {
            let table = SoftmaxTable { exponent, scale, weights: &weights };
            elements::softmax(k, row(&x), table, form, wide, out)
        });
    }

    #[test]
    fn matrices(seed: u64, outputs in 1..40_usize, inputs in 1..100_usize, encoding in 0..3_usize, biased: bool) {
        let random = &mut Random(seed);
        let encoding = [Encoding::Int8, Encoding::Int4, Encoding::Int6][encoding];
        let (matrix, bytes) = random.matrix(encoding, outputs, inputs);
        let weights = Weights::new(&matrix, &bytes).unwrap();
        let index = random.below(outputs as u64 + 3) as u32;
        let token = Type { rows: 1, width: 1, form: Form::Index };
        Case {
            operation: Operation::Embed { input: 0, matrix: 0 },
            position: 0, vectors: vec![], tables: vec![], weights: vec![weights],
            operands: vec![(token, Value::Index(vec![index]))], output: of(inputs, random.form(1)),
        }
        .check(&|k, form, wide, out| elements::embed(k, &weights, index, form, wide, out));
        let input = of(inputs, random.form(1));
        let x = random.value(&input);
        let bias = random.vector(outputs, 16);
        let dots: Vec<i64> = (0..outputs).map(|o| weights.dot(o, x.mantissas())).collect();
        let exponent = dot_exponent(x.exponents()[0], matrix.exponent);
        let bias = biased.then_some(&bias);
        Case {
            operation: Operation::Linear { input: 0, matrix: 0, bias: bias.map(|_| 0) },
            position: 0, vectors: bias.into_iter().cloned().collect(), tables: vec![], weights: vec![weights],
            operands: vec![(input, x)], output: of(outputs, random.form(1)),
        }
        .check(&|k, form, _, out| LinearFinish { exponent, bias, form }.row(k, &mut dots.clone(), out));
    }
}

#[test]
fn rows_of_zeros_stay_zeros() {
    let zeros = Value::Rows {
        mantissas: vec![0; 20],
        exponents: vec![ZERO_EXPONENT],
    };
    let form = Form::Scaled { bits: 14, parts: 1 };
    Case {
        operation: Operation::Add { left: 0, right: 0 },
        position: 0,
        vectors: vec![],
        tables: vec![],
        weights: vec![],
        operands: vec![(of(20, form.clone()), zeros.clone())],
        output: of(20, form),
    }
    .check(&|k, form, wide, out| elements::add(k, row(&zeros), row(&zeros), form, wide, out));
}
