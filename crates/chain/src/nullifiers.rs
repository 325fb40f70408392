//! Used request ids, remembered as long as their records would be admissible and no longer.
//!
//! Besides its own key each id stands in a list of those that expire in the same minute: a
//! bucket, cut into chunks of bounded size. A cursor names the first minute that is not yet
//! forgotten. Every block forgets some chunks of minutes that are past, from the end of the
//! bucket, so that all progress is in the bucket's count: somewhat more than it admits, so that
//! forgetting keeps up, and not many more, so that a minute's end costs no block much.

use crate::{
    state::{Key, Value},
    view::{StateError, View},
};
use og_types::RequestId;

/// Milliseconds of one bucket.
pub const BUCKET_MS: u64 = 60_000;
/// Request ids in one chunk.
pub const CHUNK_IDS: u64 = 64;
/// Chunks that a block may forget beyond those for what it admits.
pub const SPARE_CHUNKS_FORGOTTEN: u64 = 4;
/// Most buckets that one block looks at: blocks are at most a minute apart.
pub const MAX_BUCKETS_PER_BLOCK: u64 = 4;

/// The minute in which a time lies.
fn minute_of(time_ms: u64) -> u64 {
    time_ms.checked_div(BUCKET_MS).unwrap_or_default()
}

/// Chunks that hold `count` ids.
const fn chunks_of(count: u64) -> u64 {
    count.div_ceil(CHUNK_IDS)
}

/// Whether a record with this request id was admitted and could still be.
pub(crate) fn is_used(view: &mut View<'_>, request: RequestId) -> Result<bool, StateError> {
    Ok(view.get(Key::nullifier(request))?.is_some())
}

/// Remembers a request id until the end of the minute in which `expiry_ms` lies.
pub(crate) fn remember(
    view: &mut View<'_>,
    request: RequestId,
    expiry_ms: u64,
    height: u64,
) -> Result<(), StateError> {
    let minute = minute_of(expiry_ms);
    let bucket = Key::nullifier_bucket(minute);
    let count = view.integer(bucket)?.unwrap_or_default();
    let last = count.checked_div(CHUNK_IDS).unwrap_or_default();
    let chunk = Key::nullifier_chunk(minute, last);
    // A chunk that begins here is not read: the count says that it does not exist, and asking for
    // one new chunk after another would run a block again for each.
    let begins = last.saturating_mul(CHUNK_IDS) == count;
    let ids = if begins { None } else { view.get(chunk)? }.unwrap_or_default();
    view.set(
        chunk,
        Some(Value::from([ids.as_ref(), &request.0].concat())),
    );
    view.set_integer(bucket, Some(count.saturating_add(1)));
    view.set_integer(Key::nullifier(request), Some(height));
    Ok(())
}

/// Chunks that a block may forget which admits so many records: five for what would fill four, and some.
const fn budget(admitted: u64) -> u64 {
    let more = admitted.saturating_add(admitted / 4);
    chunks_of(more).saturating_add(SPARE_CHUNKS_FORGOTTEN)
}

/// Forgets ids that expired before `time_ms`, as many as a block may that admits so many records.
pub(crate) fn forget(view: &mut View<'_>, time_ms: u64, admitted: usize) -> Result<(), StateError> {
    let now = minute_of(time_ms);
    let cursor = view.integer(Key::nullifier_cursor())?;
    // Nothing was ever admitted before the first block, so nothing expires before its minute.
    let mut minute = cursor.unwrap_or(now);
    let mut budget = budget(admitted as u64);
    for _ in 0..MAX_BUCKETS_PER_BLOCK {
        if minute >= now || !forget_bucket(view, minute, &mut budget)? {
            break;
        }
        minute = minute.saturating_add(1);
    }
    if cursor != Some(minute) {
        view.set_integer(Key::nullifier_cursor(), Some(minute));
    }
    Ok(())
}

/// Forgets chunks of a bucket from its end; whether none is left.
fn forget_bucket(view: &mut View<'_>, minute: u64, budget: &mut u64) -> Result<bool, StateError> {
    let bucket = Key::nullifier_bucket(minute);
    let count = view.integer(bucket)?.unwrap_or_default();
    let chunks = chunks_of(count);
    let kept = chunks.saturating_sub(*budget);
    *budget = budget.saturating_sub(chunks);
    // All chunks are read, even after one is missing, so that one fetch brings them all.
    let mut missing = None;
    for chunk in kept..chunks {
        if let Err(error) = forget_chunk(view, Key::nullifier_chunk(minute, chunk)) {
            missing = Some(error);
        }
    }
    if let Some(error) = missing {
        return Err(error);
    }
    let left = (kept > 0).then(|| kept.saturating_mul(CHUNK_IDS));
    if chunks > kept {
        view.set_integer(bucket, left);
    }
    Ok(left.is_none())
}

fn forget_chunk(view: &mut View<'_>, key: Key) -> Result<(), StateError> {
    let ids = view.get(key)?.ok_or(StateError::Corrupt(key))?;
    let (ids, rest) = ids.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(StateError::Corrupt(key));
    }
    for id in ids {
        view.set(Key::nullifier(RequestId(*id)), None);
    }
    view.set(key, None);
    Ok(())
}

/// Keys that every block reads, and those that records expiring at these times read.
pub(crate) fn keys(expiries_ms: impl Iterator<Item = u64>) -> impl Iterator<Item = Key> {
    std::iter::once(Key::nullifier_cursor())
        .chain(expiries_ms.map(|expiry_ms| Key::nullifier_bucket(minute_of(expiry_ms))))
}

#[cfg(test)]
mod tests;
