//! A client's connection, as the application behind it sees it.

use crate::shares::Share;
use std::{net::IpAddr, sync::Arc};
use tokio::sync::watch;

/// The connection that a request came on; every request has it among its extensions.
///
/// Whatever a connection is upgraded to keeps its place among those that may be open, and holds up
/// a shutdown, as long as it keeps this.
#[derive(Clone, Debug)]
pub struct Connection {
    peer: IpAddr,
    closing: watch::Receiver<()>,
    _place: Arc<Share>,
}

impl Connection {
    pub(crate) fn new(peer: IpAddr, closing: watch::Receiver<()>, place: Share) -> Self {
        Self {
            peer,
            closing,
            _place: Arc::new(place),
        }
    }

    /// Who is at the other end.
    pub const fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Resolves when the server shuts down. The connection has [`crate::DRAIN_TIMEOUT`] from then.
    pub async fn closing(&mut self) {
        // Without a sender the server has ended.
        let _ = self.closing.changed().await;
    }
}
