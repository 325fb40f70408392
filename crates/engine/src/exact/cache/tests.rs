//! Blocks are shared by texts that begin alike, never written while shared, and make way oldest first.

use super::*;

/// A cache of `blocks` blocks of one 16-bit number for each position.
fn cache(blocks: usize) -> Cache {
    let block_bytes = BLOCK_POSITIONS * 2 + BLOCK_POSITIONS * 36 + 256;
    Cache::new(BLOCK_POSITIONS, blocks * block_bytes, true)
}

fn text(first: u32, length: usize) -> Vec<u32> {
    (0..length as u32).map(|at| first + at).collect()
}

/// Runs a text: each position's number is its token.
fn run(cache: &mut Cache, tokens: &[u32]) -> (SequenceId, usize) {
    let (id, known) = cache.begin(tokens, false);
    grow(cache, id, &tokens[known..]).unwrap();
    (id, known)
}

fn grow(cache: &mut Cache, id: SequenceId, tokens: &[u32]) -> Result<(), CacheError> {
    let start = cache.length(id)?;
    cache.extend(id, tokens.len(), tokens)?;
    for (offset, token) in tokens.iter().enumerate() {
        let position = start + offset;
        cache.data_mut(id, position)[position % BLOCK_POSITIONS] = *token as i16;
    }
    Ok(())
}

fn numbers(cache: &Cache, id: SequenceId) -> Vec<u32> {
    let blocks = cache
        .blocks_of(id)
        .iter()
        .flat_map(|block| cache.data(*block));
    blocks
        .map(|number| *number as u32)
        .take(cache.length(id).unwrap())
        .collect()
}

#[test]
fn full_blocks_are_found_again_but_the_last_token_is_not() {
    let mut cache = cache(8);
    let tokens = text(100, 96);
    let (first, known) = run(&mut cache, &tokens);
    assert_eq!(known, 0);
    cache.end(first);
    assert_eq!(cache.used_blocks(), 0);
    let (again, known) = run(&mut cache, &tokens);
    assert_eq!((known, numbers(&cache, again)), (64, tokens.clone()));
    let mut other = tokens.clone();
    other[40] = 7;
    let (branch, known) = run(&mut cache, &other);
    assert_eq!((known, numbers(&cache, branch)), (32, other));
    // The same tokens elsewhere are other positions.
    assert_eq!(cache.begin(&tokens[32..], false).1, 0);
    // Roots are asked for, and none are known.
    assert_eq!(cache.begin(&tokens, true).1, 0);
}

#[test]
fn a_shared_block_is_copied_before_it_is_written() {
    let mut cache = cache(8);
    let tokens = text(1, 64);
    let (one, _) = run(&mut cache, &tokens);
    cache.share(one);
    cache.truncate(one, 40).unwrap();
    grow(&mut cache, one, &[999]).unwrap();
    let (two, known) = cache.begin(&text(1, 65), false);
    assert_eq!((known, numbers(&cache, two)), (64, tokens));
    assert_eq!(numbers(&cache, one)[39..], [40, 999]);
}

#[test]
fn memory_is_bounded_and_the_oldest_makes_way() {
    let mut cache = cache(4);
    let (old, new) = (text(1, 33), text(1000, 33));
    for tokens in [&old, &new] {
        let (id, _) = run(&mut cache, tokens);
        cache.end(id);
    }
    // Two blocks are idle. Three more need the place of the older one.
    let (third, _) = run(&mut cache, &text(2000, 96));
    assert_eq!(cache.begin(&old, false).1, 0);
    let (found, known) = cache.begin(&new, false);
    assert_eq!(known, 32);
    // All four are used now.
    assert_eq!(cache.used_blocks(), 4);
    assert_eq!(grow(&mut cache, found, &[5]), Err(CacheError::Full(4)));
    assert_eq!(cache.length(found), Ok(32));
    cache.end(third);
    grow(&mut cache, found, &[5]).unwrap();
    assert_eq!(cache.length(third), Err(CacheError::Ended));
}

#[test]
fn a_chain_makes_way_from_its_end() {
    let mut cache = cache(4);
    let tokens = text(1, 128);
    let (id, _) = run(&mut cache, &tokens);
    cache.end(id);
    let (other, _) = run(&mut cache, &text(5000, 32));
    assert_eq!(cache.begin(&tokens, false).1, 96);
    cache.end(other);
}
