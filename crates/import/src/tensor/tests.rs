//! Tensors: shapes, formats, numbers that are none.

use super::*;

#[test]
fn not_a_number_is_named_with_its_index() {
    let values = vec![0.0, 1.0, 2.0, f32::NAN, 4.0, 5.0];
    let tensor = Tensor::owned("w", 2, 3, values).unwrap();
    let named = TensorError::NotFinite {
        tensor: "w".into(),
        index: 3,
    };
    assert_eq!(tensor.read(), Err(named.clone()));
    let bytes: Vec<u8> = [0.0, 1.0, 2.0, f32::INFINITY]
        .iter()
        .flat_map(|x: &f32| x.to_le_bytes())
        .collect();
    let tensor = Tensor::stored("w", 2, 2, Kind::F32, &bytes).unwrap();
    assert_eq!(tensor.read(), Err(named));
}

#[test]
fn lengths_and_blocks_must_fit() {
    assert!(Tensor::owned("w", 2, 2, vec![0.0; 3]).is_err());
    assert!(Tensor::owned("w", usize::MAX, 2, vec![]).is_err());
    assert!(Tensor::stored("w", 1, 33, Kind::Q8_0, &[0; 68]).is_err());
    assert!(Tensor::stored("w", usize::MAX, 64, Kind::Q8_0, &[0; 68]).is_err());
    let tensor = Tensor::stored("w", 2, 32, Kind::Q8_0, &[0; 68]).unwrap();
    assert!(tensor.read_row(2, &mut [0.0; 32]).is_err());
    assert!(tensor.clone().rows_from(1, 2).is_err());
    assert_eq!(tensor.rows_from(1, 1).unwrap().rows(), 1);
}

#[test]
fn parts_of_a_tensor_have_its_rows() {
    let whole = Tensor::random("w", 6, 5, 9, 1.0);
    let part = whole.clone().rows_from(2, 3).unwrap();
    assert_eq!(part.read().unwrap(), whole.read().unwrap()[10..25]);
    let turned = whole.transposed().unwrap().transposed().unwrap();
    assert_eq!(turned.read().unwrap(), whole.read().unwrap());
}

#[test]
fn random_weights_have_their_deviation() {
    let values = Tensor::random("w", 100, 1000, 1, 0.5).read().unwrap();
    let mean = values.iter().sum::<f32>() / 1e5;
    let square = values.iter().map(|x| x * x).sum::<f32>() / 1e5;
    assert!(mean.abs() < 0.01 && (square.sqrt() - 0.5).abs() < 0.01);
}

#[test]
fn blocks_are_read_as_the_reference_reads_them() {
    let mut bytes = &include_bytes!("../../tests/reference/data/blocks.bin")[..];
    for kind in [Kind::Q8_0, Kind::Q4_0, Kind::Q4K, Kind::Q6K] {
        let columns = 2 * kind.block_elements();
        let (blocks, rest) = bytes.split_at(2 * kind.block_bytes());
        let (floats, rest) = rest.split_at(4 * columns);
        let tensor = Tensor::stored("w", 1, columns, kind, blocks).unwrap();
        let floats = floats
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let ours = tensor.read().unwrap();
        assert!(ours.iter().any(|x| x.abs() > 0.01));
        for (ours, theirs) in ours.into_iter().zip(floats) {
            assert!(
                (ours - theirs).abs() <= 1e-6 * theirs.abs(),
                "{kind:?}: {ours} {theirs}"
            );
        }
        bytes = rest;
    }
    assert!(bytes.is_empty());
}
