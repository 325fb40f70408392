//! Model files: the committed one, and what is refused.

use super::*;
use crate::{
    example::{Example, everything, fixed, scaled},
    matrix::{Encoding, Matrix, Weights},
    operation::Operation,
    program::{InputForm, OutputDefinition},
};
use proptest::prelude::*;

/// A model that has every operation, in this format.
const VECTOR: &[u8] = include_bytes!("../../vectors/every-operation.ogm");
/// Its id.
const VECTOR_ID: &str = "a1f6f81a4e2ab7e7fac63d59b7f94ee7627ae9a6371c1b38d5ba7403390870fb";
/// A model of one matrix, which the page of the format shows byte by byte.
const SMALLEST: &[u8] = include_bytes!("../../vectors/smallest.ogm");
/// Its id.
const SMALLEST_ID: &str = "7e60f00b8816aad87bb5179c01f34476a043e99362312a0c8bd033091c61e9e3";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn written(example: &Example) -> (Vec<u8>, [u8; 32]) {
    let mut file = vec![];
    let matrices = example.weights.iter().map(Vec::as_slice);
    let id = write(&example.manifest(), matrices, &mut file).unwrap();
    (file, id)
}

#[test]
fn the_committed_file_is_what_is_written_and_read() {
    let example = everything();
    let (file, id) = written(&example);
    if std::env::var_os("OG_WRITE_VECTORS").is_some() {
        std::fs::write("vectors/every-operation.ogm", &file).unwrap();
    }
    assert_eq!(hex(&id), VECTOR_ID);
    assert!(file == VECTOR, "the file is written in other bytes");
    let header = read_header(VECTOR).unwrap();
    assert_eq!(header.manifest, example.manifest());
    assert_eq!(header.id, id);
    assert_eq!(header.file_bytes, VECTOR.len() as u64);
    for (range, matrix) in header.matrices.iter().zip(&example.program.matrices) {
        assert_eq!(range.start % ALIGNMENT, 0);
        let bytes = &VECTOR[range.start as usize..range.end as usize];
        check_matrix(matrix, bytes).unwrap();
    }
}

/// Two outputs of three inputs: 1, 2, 3 and -4, 5, 6 times 3 and 2, at 2^-4; the second row twice that.
fn smallest() -> (Manifest, Vec<u8>) {
    let mut example = Example::new(true);
    example.program.positions = 1;
    example.program.vocabulary = 0;
    let input = example.input(InputForm::Numbers, fixed(1, 3, 8, &[-4]));
    example.program.inputs[0].name = "x".to_owned();
    let mut bytes = vec![0; 1_024];
    bytes[1] = 1;
    bytes[64..66].copy_from_slice(&[3, 2]);
    bytes[512..515].copy_from_slice(&[1, 2, 3]);
    bytes[516..519].copy_from_slice(&[0xfc, 5, 6]);
    let matrix = describe([2, 3], Encoding::Int8, -4, &bytes).unwrap();
    example.program.matrices.push(matrix);
    let linear = Operation::Linear {
        input,
        matrix: 0,
        bias: None,
    };
    let step = example.step(linear, scaled(2, 16, 1));
    example.program.outputs.push(OutputDefinition {
        name: "y".to_owned(),
        shape: vec![2],
        step,
    });
    let manifest = Manifest {
        program: example.program,
        text: None,
    };
    (manifest, bytes)
}

#[test]
fn the_smallest_file_is_the_committed_one() {
    let (manifest, bytes) = smallest();
    let mut file = vec![];
    let id = write(&manifest, [bytes.as_slice()], &mut file).unwrap();
    if std::env::var_os("OG_WRITE_VECTORS").is_some() {
        std::fs::write("vectors/smallest.ogm", &file).unwrap();
    }
    assert_eq!(hex(&id), SMALLEST_ID);
    assert!(file == SMALLEST, "the file is written in other bytes");
    assert_eq!(read_header(SMALLEST).unwrap().manifest, manifest);
    let measured = measure(&manifest.program.matrices[0], &bytes).unwrap();
    // (4 + 5 + 6)·2 of the second row is more than (1 + 2 + 3)·3.
    assert_eq!((measured.largest_shift, measured.largest_row_sum), (1, 30));
}

#[test]
fn the_id_is_the_hash_of_the_first_bytes() {
    let (file, id) = written(&everything());
    let length = u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
    let hash: [u8; 32] = Sha256::digest(&file[..16 + length]).into();
    assert_eq!(hash, id);
}

#[test]
fn other_files_are_told_apart() {
    let (file, _) = written(&everything());
    let need = header_bytes(&file[..PREFIX_BYTES]).unwrap();
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = file.clone();
        change(&mut file);
        read_header(&file).unwrap_err()
    };
    assert!(matches!(error(&|file| file[0] = b'G'), FileError::Magic));
    assert!(matches!(error(&|file| file.truncate(5)), FileError::Magic));
    assert!(matches!(error(&|file| file[8] = 2), FileError::Version(2)));
    let short = |length: usize| error(&|file| file.truncate(length));
    for length in [8, 11, 15, 16, need - 1] {
        let found = short(length);
        assert!(matches!(found, FileError::Truncated { .. }), "{length}");
    }
    assert!(read_header(&file[..need]).is_ok());
    assert!(matches!(
        error(&|file| file[15] = 0x7f),
        FileError::TooLarge { .. }
    ));
    assert_ne!(file[need - 1], 1);
    assert!(matches!(
        error(&|file| file[need - 1] = 1),
        FileError::Padding
    ));
}

#[test]
fn pooling_is_a_field_that_may_be_left_out() {
    let mut manifest = everything().manifest();
    let without = manifest.encode_canonical();
    for (pooling, number) in [(Pooling::Mean, 0), (Pooling::Last, 1)] {
        manifest.text.as_mut().unwrap().pooling = Some(pooling);
        let with = manifest.encode_canonical();
        // Only the head of `text`, an array of so many fields, and the new last one differ.
        assert_eq!(with.len(), without.len() + 1);
        assert_eq!(with.last(), Some(&number));
        let differing = with.iter().zip(&without).filter(|(a, b)| a != b);
        assert_eq!(differing.collect::<Vec<_>>(), [(&0x86, &0x85)]);
        assert_eq!(Manifest::decode_canonical(&with).unwrap(), manifest);
    }
}

#[test]
fn a_manifest_has_one_encoding() {
    let bytes = everything().manifest().encode_canonical();
    assert!(Manifest::decode_canonical(&bytes).is_ok());
    let mut more = bytes.clone();
    more.push(0);
    let error = Manifest::decode_canonical(&more).unwrap_err();
    assert!(error.to_string().contains("follow"), "{error}");
    // The outer list of two, written with a longer head, and without an end.
    let mut longer = vec![0x98, 2];
    longer.extend_from_slice(&bytes[1..]);
    assert!(minicbor::decode::<Manifest>(&longer).is_ok());
    let error = Manifest::decode_canonical(&longer).unwrap_err();
    assert!(error.to_string().contains("one encoding"), "{error}");
    let mut endless = vec![0x9f];
    endless.extend_from_slice(&bytes[1..]);
    endless.push(0xff);
    assert!(Manifest::decode_canonical(&endless).is_err());
}

#[test]
fn a_hostile_manifest_takes_no_memory() {
    let refused = |bytes: &[u8]| Manifest::decode_canonical(bytes).unwrap_err().to_string();
    // Lists that say they are long, or are nested without end.
    refused(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    refused(&[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    refused(&vec![0x81; 1 << 20]);
    refused(&vec![0x9f; 1 << 20]);
    refused(&vec![0xa1; 1 << 20]);
    refused(&vec![0xd8; 1 << 20]);
    let mut many = vec![0x9a, 0x00, 0x80, 0x00, 0x00];
    many.resize(5 + (1 << 23), 0);
    assert!(refused(&many).contains("items"));
    assert!(refused(&[0xfb, 0, 0, 0, 0, 0, 0, 0, 0]).contains("kind"));
}

#[test]
fn a_program_that_is_none_is_refused() {
    let mut example = everything();
    example.program.steps[4].output.width = 17;
    let mut file = vec![];
    let error = write(&example.manifest(), [], &mut file).unwrap_err();
    assert!(matches!(error, FileError::Program(_)), "{error}");
    assert!(file.is_empty());
}

#[test]
fn matrices_are_written_in_their_order() {
    let example = everything();
    let manifest = example.manifest();
    let count = example.weights.len();
    let matrices = || example.weights.iter().map(Vec::as_slice);
    let few = write(&manifest, matrices().take(count - 1), &mut vec![]).unwrap_err();
    assert!(matches!(few, FileError::Count { .. }), "{few}");
    let many = matrices().chain([[0].as_slice()]);
    let many = write(&manifest, many, &mut vec![]).unwrap_err();
    assert!(matches!(many, FileError::Count { .. }), "{many}");
    let other = write(&manifest, matrices().skip(1), &mut vec![]).unwrap_err();
    assert!(matches!(other, FileError::Matrix(_)), "{other}");
}

#[test]
fn bytes_that_are_not_the_matrix_are_refused() {
    for encoding in [Encoding::Int8, Encoding::Int4, Encoding::Int6] {
        let mut example = Example::new(true);
        example.matrix([20, 40], encoding, 0);
        let matrix = &example.program.matrices[0];
        let bytes = &example.weights[0];
        check_matrix(matrix, bytes).unwrap();
        let refused = |matrix: &Matrix, bytes: &[u8]| {
            let error = check_matrix(matrix, bytes).unwrap_err().to_string();
            error.split(": ").nth(1).unwrap().to_owned()
        };
        let mut other = bytes.clone();
        *other.last_mut().unwrap() ^= 1;
        assert!(refused(matrix, &other).contains("hash"));
        assert!(refused(matrix, &bytes[1..]).contains("number"));
        let mut less = matrix.clone();
        less.largest_row_sum -= 1;
        assert!(refused(&less, bytes).contains("sum"));
        let mut less = matrix.clone();
        less.largest_shift -= 1;
        assert!(refused(&less, bytes).contains("shift"));
        let mut huge = matrix.clone();
        (huge.inputs, huge.outputs) = (u32::MAX, u32::MAX);
        assert!(refused(&huge, bytes).contains("number"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn row_sums_are_those_of_all_elements(
        outputs in 1_u32..40,
        inputs in 1_u32..100,
        encoding in prop_oneof![
            Just(Encoding::Int8), Just(Encoding::Int4), Just(Encoding::Int6)
        ],
        seed in any::<u64>(),
    ) {
        let mut example = Example::new(true);
        for _ in 0..seed % 64 {
            example.noise();
        }
        example.matrix([outputs, inputs], encoding, 0);
        let matrix = &example.program.matrices[0];
        let weights = Weights::new(matrix, &example.weights[0]).unwrap();
        let row_sum = |output| {
            let row = (0..inputs as usize).map(|input| weights.value(output, input));
            row.map(i64::unsigned_abs).sum::<u64>()
        };
        let largest = (0..outputs as usize).map(row_sum).max().unwrap();
        prop_assert_eq!(matrix.largest_row_sum, largest);
        let shift = (0..outputs as usize).map(|output| weights.shift(output)).max().unwrap();
        prop_assert_eq!(u32::from(matrix.largest_shift), shift);
    }

    #[test]
    fn changed_headers_are_errors_or_other_models(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut file = VECTOR.to_vec();
        let need = header_bytes(VECTOR).unwrap();
        for (place, byte) in changes {
            file[place.index(need)] = byte;
        }
        if let Ok(header) = read_header(&file) {
            prop_assert!(file[..need] == VECTOR[..need] || header.manifest != everything().manifest());
        }
    }
}
