//! Matrices: that their bytes say what their floats said, and that what they declare holds.

use super::*;
use crate::tensor::mixed;
use og_program::matrix::Weights;

/// The relative error of a matrix as the specification reads it, whatever the encoder says; checks its declarations.
fn read_back(tensor: &Tensor<'_>, made: &Quantised) -> f64 {
    let weights = Weights::new(&made.matrix, &made.bytes).unwrap();
    let (mut error, mut square, mut largest_sum, mut largest_shift) = (0.0, 0.0, 0, 0);
    let floats = tensor.read().unwrap();
    for row in 0..tensor.rows() {
        let values = (0..tensor.columns()).map(|column| weights.value(row, column));
        largest_sum = largest_sum.max(values.map(i64::unsigned_abs).sum());
        largest_shift = largest_shift.max(weights.shift(row));
        for column in 0..tensor.columns() {
            let exponent = weights.shift(row) as i32 + made.matrix.exponent;
            let exact = f64::from(floats[row * tensor.columns() + column]);
            error += (weights.value(row, column) as f64 * power(exponent) - exact).powi(2);
            square += exact.powi(2);
        }
    }
    assert_eq!(largest_sum, made.matrix.largest_row_sum);
    assert_eq!(largest_shift, u32::from(made.matrix.largest_shift));
    assert_eq!(*blake3::hash(&made.bytes).as_bytes(), made.matrix.hash);
    (error / square).sqrt()
}

#[test]
fn eight_bits_are_near_their_floats() {
    let tensor = Tensor::random("w", 37, 100, 3, 0.02);
    let mut before = 1.0;
    for multiplier_bits in [1, 2, 4, 8] {
        let how = Quantisation {
            multiplier_bits,
            ..Quantisation::default()
        };
        let made = quantise(&tensor, 1.0, &how).unwrap();
        let error = read_back(&tensor, &made);
        assert!((error - made.relative_error).abs() < 1e-5);
        assert!(error < before, "{multiplier_bits} bits: {error}");
        before = error;
    }
    assert!(before < 0.005, "{before}");
}

#[test]
fn rows_of_all_sizes_get_units_of_their_own() {
    let rows = 24;
    let mut values = Tensor::random("w", rows, 64, 3, 1.0).read().unwrap();
    for (row, values) in values.chunks_mut(64).enumerate() {
        let size = if row == 5 {
            0.0
        } else {
            2_f32.powi(-(row as i32 * 2))
        };
        values.iter_mut().for_each(|x| *x *= size);
    }
    let tensor = Tensor::owned("w", rows, 64, values).unwrap();
    let made = quantise(&tensor, 1.0, &Quantisation::default()).unwrap();
    assert!(read_back(&tensor, &made) < 0.006);
    assert_eq!(i32::from(made.matrix.largest_shift), MAX_SHIFT);
}

#[test]
fn threads_do_not_change_a_byte() {
    let tensor = Tensor::random("w", 200, 96, 3, 0.02);
    let of = |threads| {
        let how = Quantisation {
            threads,
            ..Quantisation::default()
        };
        quantise(&tensor, 1.5, &how).unwrap().bytes
    };
    assert_eq!(of(1), of(3));
}

#[test]
fn zeros_and_nothing() {
    let zero = Tensor::owned("w", 3, 5, vec![0.0; 15]).unwrap();
    let made = quantise(&zero, 1.0, &Quantisation::default()).unwrap();
    let weights = Weights::new(&made.matrix, &made.bytes).unwrap();
    assert!((0..15).all(|i| weights.value(i / 5, i % 5) == 0));
    let nothing = Tensor::owned("w", 0, 5, vec![]).unwrap();
    assert!(quantise(&nothing, 1.0, &Quantisation::default()).is_err());
    let mut values = vec![0.0; 640];
    values[100] = f32::NAN;
    let wrong = Tensor::owned("w", 20, 32, values).unwrap();
    assert!(matches!(
        quantise(&wrong, 1.0, &Quantisation::default()),
        Err(QuantiseError::Tensor(TensorError::NotFinite {
            index: 100,
            ..
        }))
    ));
}

/// Blocks of a format with scales of sensible sizes and elements at random.
fn blocks_of(kind: Kind, count: usize) -> Vec<u8> {
    let mut bytes = vec![];
    for block in 0..count {
        let start = bytes.len();
        let random =
            (0..kind.block_bytes()).map(|i| (mixed((block * 1000 + i) as u64) >> 20) as u8);
        bytes.extend(random);
        let size = 0.001 * (1.0 + (block % 7) as f32 * 0.3);
        let signed = if block % 2 == 0 { size } else { -size };
        let mut put = |at: usize, x: f32| {
            bytes[start + at..start + at + 2]
                .copy_from_slice(&half::f16::from_f32(x).to_le_bytes());
        };
        match kind {
            Kind::Q4_0 => put(0, signed),
            Kind::Q4K => {
                put(0, size);
                put(2, size * 6.0);
            }
            _ => put(208, size / 30.0),
        }
    }
    bytes
}

#[test]
fn small_formats_stay_small_and_near() {
    // Beside the error that each format itself has, about 8 % and 2 % of weights.
    for (kind, bytes_per_weight, allowed) in [
        (Kind::Q4_0, 0.6, 0.004),
        (Kind::Q4K, 0.6, 0.008),
        (Kind::Q6K, 0.82, 0.012),
    ] {
        let bytes = blocks_of(kind, 32 * 512 / kind.block_elements());
        let tensor = Tensor::stored("w", 32, 512, kind, &bytes).unwrap();
        let made = quantise(&tensor, 1.0, &Quantisation::default()).unwrap();
        let error = read_back(&tensor, &made);
        assert!((error - made.relative_error).abs() < 1e-4, "{kind:?}");
        assert!(error < allowed, "{kind:?}: {error}");
        assert!((made.bytes.len() as f64) < bytes_per_weight * 32.0 * 512.0 + 1024.0);
    }
}

#[test]
fn eight_bit_files_keep_their_elements_with_wide_multipliers() {
    let floats = Tensor::random("w", 32, 512, 3, 0.02).read().unwrap();
    let mut bytes = vec![];
    for group in floats.chunks(32) {
        let scale = group.iter().fold(0_f32, |most, x| most.max(x.abs())) / 127.0;
        bytes.extend(half::f16::from_f32(scale).to_le_bytes());
        bytes.extend(group.iter().map(|x| (x / scale).round() as i8 as u8));
    }
    let tensor = Tensor::stored("w", 32, 512, Kind::Q8_0, &bytes).unwrap();
    let error = |multiplier_bits| {
        let how = Quantisation {
            multiplier_bits,
            ..Quantisation::default()
        };
        quantise(&tensor, 1.0, &how).unwrap().relative_error
    };
    // Rounding to 8 bits a second time costs as much as the first.
    let (narrow, wide) = (error(4), error(8));
    println!(
        "{narrow:.4} with 4 bits, {:.4} with 6, {wide:.4} with 8",
        error(6)
    );
    assert!(wide < 0.0025 && wide < narrow / 2.0, "{narrow} {wide}");
}
