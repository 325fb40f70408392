//! How many files and connections the system lets this process have open.

use crate::NodeError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Fewest that any role can do its work with: all connections that it may serve, and its databases.
const MIN_OPEN_FILES: u64 = 2048;
/// As many as an archive of many million blocks keeps open.
const MAX_OPEN_FILES: u64 = 1 << 20;

/// Raises the limit as far as the system allows: most systems start a process with 1,024, and a
/// database that cannot open one more file stops without saying so.
///
/// # Errors
/// [`NodeError::OpenFiles`] if that is too few.
pub(crate) fn raise() -> Result<(), NodeError> {
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(u64::MAX).min(MAX_OPEN_FILES);
    if limit.current.is_some_and(|current| current < allowed) {
        let raised = Rlimit {
            current: Some(allowed),
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, allowed, "the limit of open files cannot be raised");
        }
    }
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < MIN_OPEN_FILES => Err(NodeError::OpenFiles {
            allowed,
            needed: MIN_OPEN_FILES,
        }),
        _ => Ok(()),
    }
}
