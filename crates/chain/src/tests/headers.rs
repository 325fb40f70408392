//! Every header field that the rules decide is checked.

use super::support::*;
use crate::{
    Block, BlockError, Candidates, HeaderError, Rules, RulesError, header::MAX_TIMESTAMP_STEP_MS,
};
use alloy_primitives::{Address, B256, U256};
use og_types::{BlockHash, Genesis, GenesisAccount, Header, ValidatorId};

/// A header field, changed, and the error that must come of it.
type Mutation = (fn(&mut Header), fn(&BlockError) -> bool);

macro_rules! rejects {
    ($pattern:pat) => {
        |error| matches!(error, $pattern)
    };
}

const MUTATIONS: &[Mutation] = &[
    (
        |h| h.version = 2,
        rejects!(BlockError::Header(HeaderError::Version(2))),
    ),
    (
        |h| h.chain_id += 1,
        rejects!(BlockError::Header(HeaderError::ChainId { .. })),
    ),
    (
        |h| h.height += 1,
        rejects!(BlockError::Header(HeaderError::Height { .. })),
    ),
    (
        |h| h.height -= 1,
        rejects!(BlockError::Header(HeaderError::Height { .. })),
    ),
    (
        |h| h.parent = BlockHash([1; 32]),
        rejects!(BlockError::Header(HeaderError::Parent { .. })),
    ),
    (
        |h| h.epoch += 1,
        rejects!(BlockError::Header(HeaderError::Epoch { .. })),
    ),
    (
        |h| h.view = h.parent_view,
        rejects!(BlockError::Header(HeaderError::View { .. })),
    ),
    (
        |h| h.parent_view += 1,
        rejects!(BlockError::Header(HeaderError::View { .. })),
    ),
    (
        |h| h.proposer = ValidatorId([1; 32]),
        rejects!(BlockError::Header(HeaderError::Proposer(_))),
    ),
    (
        |h| h.timestamp_ms -= 1000,
        rejects!(BlockError::Header(HeaderError::Timestamp { .. })),
    ),
    (
        |h| h.timestamp_ms += MAX_TIMESTAMP_STEP_MS - 999,
        rejects!(BlockError::Header(HeaderError::Timestamp { .. })),
    ),
    (
        |h| h.gas_limit += 1,
        rejects!(BlockError::Header(HeaderError::GasLimit { .. })),
    ),
    (
        |h| h.gas_used = h.gas_limit + 1,
        rejects!(BlockError::Header(HeaderError::GasUsed { .. })),
    ),
    (|h| h.gas_used += 1, rejects!(BlockError::GasUsed { .. })),
    (
        |h| h.base_fee_per_gas += 1,
        rejects!(BlockError::Header(HeaderError::BaseFee { .. })),
    ),
    (
        |h| h.receipts_root = B256::ZERO,
        rejects!(BlockError::ReceiptsRoot { .. }),
    ),
    (
        |h| h.next_validators = B256::ZERO,
        rejects!(BlockError::Header(HeaderError::NextValidators { .. })),
    ),
];

#[test]
fn every_mutated_field_is_named() {
    let mut chain = TestChain::started();
    let slot = chain.slot();
    let candidates = transactions([transfer(0, 0, Address::repeat_byte(1), 1)]);
    let built = chain.build(&slot, &candidates);
    let block = chain.seal(&slot, built);
    chain.execute(&block).unwrap();
    for (index, (mutate, is_expected)) in MUTATIONS.iter().enumerate() {
        let mut header = block.header().clone();
        mutate(&mut header);
        let mutated = Block::new(
            header,
            block.transactions().to_vec(),
            block.records().to_vec(),
        );
        let error = chain.execute(&mutated).unwrap_err();
        assert!(is_expected(&error), "mutation {index}: {error}");
    }
}

#[test]
fn time_moves_forward_by_at_most_a_step_but_block_one_may_come_late() {
    let mut chain = TestChain::new();
    let late = GENESIS_MS + 1_000_000_000;
    assert_eq!(chain.rules.proposal_time_ms(chain.parent(), late), late);
    assert_eq!(
        chain.rules.proposal_time_ms(chain.parent(), 0),
        GENESIS_MS + 1
    );
    chain.advance_at(&chain.slot_at(late), Candidates::default());
    let parent = chain.parent().clone();
    let latest = late + MAX_TIMESTAMP_STEP_MS;
    assert_eq!(chain.rules.proposal_time_ms(&parent, u64::MAX), latest);
    chain.advance_at(&chain.slot_at(latest), Candidates::default());
    for bad in [latest, latest + MAX_TIMESTAMP_STEP_MS + 1] {
        let error = chain.rules.check_slot(chain.parent(), &chain.slot_at(bad));
        assert!(matches!(error, Err(HeaderError::Timestamp { .. })));
    }
}

#[test]
fn epochs_follow_from_heights_and_views_begin_anew() {
    let mut chain = TestChain::new();
    while chain.parent().height < 99 {
        chain.advance(Candidates::default());
    }
    assert_eq!((chain.parent().epoch, chain.parent().view), (0, 99));
    let slot = chain.slot();
    assert_eq!((slot.epoch, slot.parent_view), (1, 0));
    let mut old = slot;
    (old.parent_view, old.view) = (99, 100);
    let error = chain.rules.check_slot(chain.parent(), &old);
    assert!(matches!(error, Err(HeaderError::View { .. })));
    chain.advance(Candidates::default());
    assert_eq!(
        (
            chain.parent().height,
            chain.parent().epoch,
            chain.parent().view
        ),
        (100, 1, 1)
    );
}

#[test]
fn a_genesis_file_that_no_chain_can_start_from_is_refused() {
    let refused = |mutate: fn(&mut Genesis)| {
        let mut genesis = genesis();
        mutate(&mut genesis);
        Rules::new(genesis).unwrap_err()
    };
    type Case = (fn(&mut Genesis), &'static str);
    let ranges: [Case; 8] = [
        (|g| g.version = 2, "version"),
        (|g| g.network.clear(), "network"),
        (|g| g.chain_id = 0, "chain_id"),
        (|g| g.epoch_length = 0, "epoch_length"),
        (|g| g.gas_limit = 21_000, "gas_limit"),
        (|g| g.gas_limit = u64::MAX, "gas_limit"),
        (|g| g.base_fee_per_gas = u64::MAX, "base_fee_per_gas"),
        (
            |g| {
                g.alloc.insert(
                    Address::ZERO,
                    GenesisAccount {
                        code: vec![0; 24_577].into(),
                        ..GenesisAccount::default()
                    },
                );
            },
            "alloc.code",
        ),
    ];
    for (mutate, field) in ranges {
        let error = refused(mutate).to_string();
        assert!(error.starts_with(&format!("genesis {field}")), "{error}");
    }
    let supply = refused(|g| {
        g.alloc.entry(Address::ZERO).or_default().balance = U256::from(u128::MAX);
    });
    assert_eq!(supply, RulesError::Supply);
    for mutate in [
        (|g| g.validators.clear()) as fn(&mut Genesis),
        |g| g.validators.reverse(),
        |g| g.validators[0].proof_of_possession = g.validators[1].proof_of_possession.clone(),
    ] {
        assert!(matches!(refused(mutate), RulesError::Validators(_)));
    }
}
