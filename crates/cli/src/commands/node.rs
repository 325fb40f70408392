//! `og node`: run one node in this process.

use crate::process;
use og_node::config::NodeConfig;
use std::path::PathBuf;

/// Run one node until it is told to stop (Ctrl-C or SIGTERM).
///
/// A node is a validator, an inference node or a gateway: its configuration says which.
/// `og network init` writes configurations, and `og devnet` runs all of them on this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og node --config devnet/validator-0/config.toml

The log goes to standard error; the field `log` of the configuration says how much of it.
Killing a node is safe: started again, it catches up from its peers.")]
pub(crate) struct Node {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End when this process does, which must be the one that started the node.
    #[arg(long, value_name = "PID", hide = true)]
    parent: Option<u32>,
}

impl Node {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if let Some(parent) = self.parent {
            process::end_with_parent(parent)?;
        }
        let config = NodeConfig::load(&self.config)?;
        let _claim = process::claim(config.data_dir())?;
        Ok(og_node::run(&config)?)
    }
}
