//! Which account sends: its key comes from a file or the environment, never from the command line.

use crate::{client::RpcArgs, failure::failure};
use alloy_signer_local::PrivateKeySigner;
use anyhow::Context as _;
use og_node::{keys::read_account_key, network::Network};
use std::path::{Path, PathBuf};

/// Where a key may be, so that neither shell history nor process lists show it.
const KEY_VARIABLE: &str = "OG_ACCOUNT_KEY";

/// Which account sends. With none of these: the key in the environment variable OG_ACCOUNT_KEY,
/// or else the first account of the network's folder.
#[derive(Debug, clap::Args)]
pub(super) struct AccountArgs {
    /// Key file of the account that sends: 64 hexadecimal digits [default: $OG_ACCOUNT_KEY].
    #[arg(long, value_name = "FILE", conflicts_with = "account")]
    key: Option<PathBuf>,
    /// Number of the account in the network's accounts.json, from 0 [default: 0].
    #[arg(long, value_name = "N", conflicts_with = "rpc")]
    account: Option<usize>,
}

impl AccountArgs {
    pub(super) fn signer(&self, network: &RpcArgs) -> anyhow::Result<PrivateKeySigner> {
        if let Some(path) = &self.key {
            return Ok(read_account_key(path)?);
        }
        let environment = match self.account {
            Some(_) => None,
            None => std::env::var(KEY_VARIABLE).ok(),
        };
        match (environment, network.dir()) {
            (Some(key), _) => from_environment(&key),
            (None, Some(directory)) => funded(directory, self.account.unwrap_or_default()),
            (None, None) => Err(failure(
                "no account to send from",
                format!(
                    "name its key file with --key FILE, or put its key into the environment variable {KEY_VARIABLE}"
                ),
            )),
        }
    }
}

fn from_environment(key: &str) -> anyhow::Result<PrivateKeySigner> {
    // What the parser says could show the key.
    key.trim().parse().map_err(|_| {
        failure(
            format!("the environment variable {KEY_VARIABLE} holds no key"),
            "it should hold 64 hexadecimal digits",
        )
    })
}

/// Account `number` of the network in `directory`.
fn funded(directory: &Path, number: usize) -> anyhow::Result<PrivateKeySigner> {
    let accounts = Network::open(directory)?.accounts()?;
    let account = accounts.get(number).ok_or_else(|| {
        failure(
            format!(
                "this network has {} funded accounts, none with number {number}",
                accounts.len()
            ),
            "choose one of accounts.json with --account, from 0, or name a key file with --key",
        )
    })?;
    PrivateKeySigner::from_bytes(&account.private_key)
        .context("accounts.json holds something that is not a key")
}
