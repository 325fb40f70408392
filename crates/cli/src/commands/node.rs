//! `og node`: run one node in this process.

use crate::output::Output;
use crate::process;
use og_node::config::{NodeConfig, Role, example};
use serde::Serialize;
use std::{fmt, path::PathBuf};

/// Run one node until it is told to stop (Ctrl-C or SIGTERM).
///
/// A node is a validator, an inference node or a gateway: its configuration says which.
/// `og network init` writes configurations, and `og devnet` runs all of them on this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og node --config devnet/validator-0/config.toml
  og node --config-example gateway > gateway.toml

The log goes to standard error; the field `log` of the configuration says how much of it.
Killing a node is safe: started again, it catches up from its peers.")]
pub(crate) struct Node {
    /// The node's configuration file.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "config_example",
        conflicts_with = "config_example"
    )]
    config: Option<PathBuf>,
    /// Print a configuration with every setting, its default and what it is, and end.
    #[arg(long, value_name = "ROLE")]
    config_example: Option<RoleArg>,
    /// End when this process does, which must be the one that started the node.
    #[arg(long, value_name = "PID", hide = true)]
    parent: Option<u32>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleArg {
    Validator,
    Inference,
    Gateway,
    Relay,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Validator => Self::Validator,
            RoleArg::Inference => Self::Inference,
            RoleArg::Gateway => Self::Gateway,
            RoleArg::Relay => Self::Relay,
        }
    }
}

#[derive(Serialize)]
struct Example {
    config: String,
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.config.trim_end())
    }
}

impl Node {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<()> {
        if let Some(role) = self.config_example {
            let config = example(role.into());
            return output.result(&Example { config });
        }
        if let Some(parent) = self.parent {
            process::end_with_parent(parent)?;
        }
        process::raise_file_limit();
        // One of the two is given: clap sees to it.
        let config = NodeConfig::load(&self.config.unwrap_or_default())?;
        let _claim = process::claim(config.data_dir())?;
        Ok(og_node::run(&config)?)
    }
}
