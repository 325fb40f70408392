//! Trees, plans and openings, with committed roots.

use super::*;
use crate::{
    example::{Example, encoder, everything},
    operation::Operation,
};
use proptest::prelude::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn leaves(count: u8) -> Vec<Hash> {
    (0..count).map(|leaf| [leaf; 32]).collect()
}

/// The definition: the left half is the largest full tree that leaves something for the right.
fn root_by_definition(leaves: &[Hash]) -> Hash {
    if let [leaf] = leaves {
        return *leaf;
    }
    let mut left = 1;
    while left * 2 < leaves.len() {
        left *= 2;
    }
    let mut both = root_by_definition(&leaves[..left]).to_vec();
    both.extend(root_by_definition(&leaves[left..]));
    blake3::keyed_hash(b"_OG_TRACE_NODE_V1_______________", &both).into()
}

#[test]
fn a_tree_grows_to_what_it_is_defined_to_be() {
    for count in 1..70 {
        assert_eq!(root(&leaves(count)), root_by_definition(&leaves(count)));
    }
    assert_ne!(root(&[]), root(&leaves(1)));
}

#[test]
fn every_leaf_has_a_path_and_no_other() {
    for count in 1..34_u8 {
        let leaves = leaves(count);
        let tree = root(&leaves);
        for index in 0..leaves.len() {
            let path = Path::of(&leaves, index).unwrap();
            let whole = path.root(index as u64, count.into(), leaves[index]);
            assert_eq!(whole, Some(tree));
            // At another place it leads elsewhere, unless the leaf is the same.
            for other in (0..leaves.len()).filter(|other| *other != index) {
                let moved = path.root(other as u64, count.into(), leaves[index]);
                assert_ne!(moved, Some(tree));
            }
            assert_eq!(path.root(count.into(), count.into(), leaves[index]), None);
            let mut long = path.clone();
            long.0.push([0; 32]);
            assert_eq!(long.root(index as u64, count.into(), leaves[index]), None);
        }
        assert_eq!(Path::of(&leaves, leaves.len()), None);
    }
    assert_eq!(Path::default().root(0, 0, [0; 32]), None);
    // A path of a tree so large that nobody has it.
    assert_eq!(Path::default().root(1 << 40, u64::MAX, [0; 32]), None);
}

/// Leaves of both groups of a position.
fn groups(example: &Example, plan: &Plan, position: usize) -> [Vec<Hash>; 2] {
    let interpreter = example.run(4);
    [plan.body(), plan.tail()].map(|steps| {
        let leaves = steps.iter();
        leaves
            .map(|step| leaf(*step, interpreter.computed(*step, position)))
            .collect()
    })
}

/// Roots of four positions, of which the last two have a tail.
fn positions(example: &Example, plan: &Plan) -> Vec<Hash> {
    (0..4)
        .map(|position| {
            let [body, tail] = groups(example, plan, position);
            let tail = (position >= 2).then(|| root(&tail));
            position_root(&root(&body), tail.as_ref())
        })
        .collect()
}

#[test]
fn a_run_commits_to_what_it_always_did() {
    let roots = [everything(), encoder()].map(|example| {
        let plan = Plan::of(&example.program);
        let mut run = Run::new();
        for position in positions(&example, &plan) {
            run.push(position);
        }
        assert_eq!(run.positions(), 4);
        hex(&run.root())
    });
    assert_eq!(
        roots,
        [
            "cb986218f1c78a133187610a803932dc8ed564a31bddebad42f1c6ab38364f71",
            "b9bbf093afc343ef292518c53a5f0e15d5763bb7699927d1ac396912f3d44d91"
        ]
    );
    let leaf = leaf(
        3,
        &Value::Rows {
            mantissas: vec![1, -2],
            exponents: vec![-7],
        },
    );
    // BLAKE3, keyed, of 0100 feff f9ffffff 03000000 01000000 02000000 01000000.
    assert_eq!(
        hex(&leaf),
        "e05a7354a6602d62536c07d128e12b7ea1d913f9fe63278d07486c36c787c063"
    );
    let index = super::leaf(3, &Value::Index(vec![7]));
    assert_eq!(
        hex(&index),
        "95c998b5397ae0a505dfed4c693e6210a1536fc6255cd6723a34f28effa838e6"
    );
}

#[test]
fn every_value_can_be_opened() {
    let example = everything();
    let interpreter = example.run(4);
    let plan = Plan::of(&example.program);
    let roots = positions(&example, &plan);
    let mut run = Run::new();
    roots.iter().for_each(|position| run.push(*position));
    for position in 0..4 {
        let [body, tail] = groups(&example, &plan, position);
        let steps = plan.body().iter().chain(plan.tail());
        for step in steps.filter(|step| position >= 2 || !plan.is_tail(**step)) {
            let (in_tail, index) = plan.place(*step).unwrap();
            let (own, other) = if in_tail {
                (&tail, &body)
            } else {
                (&body, &tail)
            };
            let opening = Opening {
                position: position as u64,
                positions: 4,
                step: *step,
                in_group: Path::of(own, index).unwrap(),
                other_group: (position >= 2).then(|| root(other)),
                in_run: Path::of(&roots, position).unwrap(),
            };
            let value = interpreter.computed(*step, position);
            assert!(opening.verify(&plan, value, &run.root()));
            let mut false_value = value.clone();
            match &mut false_value {
                Value::Index(indices) => indices[0] += 1,
                Value::Rows { exponents, .. } => exponents[0] += 1,
            }
            assert!(!opening.verify(&plan, &false_value, &run.root()));
            let elsewhere = [
                Opening {
                    position: (position as u64 + 1) % 4,
                    ..opening.clone()
                },
                Opening {
                    positions: 5,
                    ..opening.clone()
                },
                Opening {
                    step: 1,
                    ..opening.clone()
                },
                Opening {
                    other_group: Some([1; 32]),
                    ..opening.clone()
                },
            ];
            for opening in elsewhere {
                assert!(!opening.verify(&plan, value, &run.root()));
            }
        }
    }
}

#[test]
fn the_tail_is_what_no_other_position_reads() {
    let example = everything();
    let plan = Plan::of(&example.program);
    // What each position reads of others: what a run with another token at position 0 changes at position 1, if only
    // the body of position 0 is changed.
    for (step, definition) in example.program.steps.iter().enumerate() {
        let step = step as Step;
        let operands = definition.operation.operands();
        let of_body = !plan.is_tail(step);
        if of_body {
            assert!(operands.iter().all(|operand| !plan.is_tail(*operand)));
        }
        match &definition.operation {
            Operation::Attend { keys, values, .. } => {
                assert!(!plan.is_tail(*keys) && !plan.is_tail(*values));
            }
            Operation::Delay(input) => assert!(!plan.is_tail(*input)),
            _ => {}
        }
    }
    let named = |wanted: fn(&Operation) -> bool| {
        let steps = example.program.steps.iter().enumerate();
        let named = steps.filter(move |(_, step)| wanted(&step.operation));
        named.map(|(step, _)| step as Step).collect::<Vec<_>>()
    };
    // The state of the recurrence needs the residual after attention; logits, experts and pictures nobody does.
    assert!(
        named(|operation| matches!(operation, Operation::Attend { .. }))
            .iter()
            .all(|step| !plan.is_tail(*step))
    );
    for of_tail in [
        named(|operation| matches!(operation, Operation::Largest(_))),
        named(|operation| matches!(operation, Operation::Expert { .. })),
        named(|operation| matches!(operation, Operation::Pool { .. })),
    ] {
        assert!(!of_tail.is_empty() && of_tail.iter().all(|step| plan.is_tail(*step)));
    }
    // In the encoder everything after the keys and values is.
    let encoder = encoder();
    let plan = Plan::of(&encoder.program);
    let last = encoder.program.steps.len() as Step - 1;
    assert!(plan.is_tail(last) && plan.tail().contains(&last));
    assert_eq!(plan.place(last).map(|(tail, _)| tail), Some(true));
    assert_eq!(plan.place(u32::MAX), None);
}

proptest! {
    #[test]
    fn different_values_have_different_leaves(
        a in prop::collection::vec(any::<i16>(), 1..5),
        b in prop::collection::vec(any::<i16>(), 1..5),
        e in prop::collection::vec(-2_i32..2, 0..3),
        f in prop::collection::vec(-2_i32..2, 0..3),
    ) {
        let rows = |mantissas: &Vec<i16>, exponents: &Vec<i32>| Value::Rows {
            mantissas: mantissas.clone(),
            exponents: exponents.clone(),
        };
        let same = a == b && e == f;
        prop_assert_eq!(leaf(1, &rows(&a, &e)) == leaf(1, &rows(&b, &f)), same);
        prop_assert_ne!(leaf(1, &rows(&a, &e)), leaf(2, &rows(&a, &e)));
    }
}
