//! How a node that is far behind would fetch state: not yet, it replays blocks instead.

use crate::database::{Database, Operation};
use commonware_cryptography::sha256::Digest;
use commonware_glue::stateful::db::{AttachableResolver, Shared};
use commonware_runtime::Spawner;
use commonware_storage::{
    Context, mmr,
    qmdb::sync::{Request, Source, source},
};

/// A source of state that has none: nodes catch up by fetching and executing blocks.
///
/// The stateful machine wants a source even where it never syncs from one.
#[derive(Clone, Copy, Debug)]
pub struct BlocksOnly;

/// State was asked of [`BlocksOnly`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node catches up from blocks and does not sync state")]
pub struct NoStateSync;

impl Source for BlocksOnly {
    type Family = mmr::Family;
    type Digest = Digest;
    type Op = Operation;
    type Error = NoStateSync;

    async fn serve(&self, _: Request<Self::Family>) -> source::Result<Self> {
        Err(NoStateSync)
    }
}

impl<E: Context + Spawner> AttachableResolver<Database<E>> for BlocksOnly {
    async fn attach_database(&self, _: Shared<Database<E>>) {}
}
