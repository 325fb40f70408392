//! `og tx deploy`: create a contract from what a compiler wrote.

use super::{
    abi,
    account::AccountArgs,
    receipt::{Submitted, settle},
};
use crate::{
    amount,
    client::{Draft, RpcArgs, Terms},
    failure::failure,
    output::Output,
};
use alloy_dyn_abi::JsonAbiExt as _;
use alloy_json_abi::{Constructor, ContractObject};
use alloy_primitives::{Bytes, TxKind, U256};
use anyhow::Context as _;
use std::{fs::File, io::Read as _, path::Path};

/// Longest file that is read, in bytes: artifacts hold the source's metadata too.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Create a contract and wait until that is final.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og tx deploy artifacts/contracts/Token.sol/Token.json 'My token' 1000000
  og tx deploy Token.bin --constructor 'constructor(string,uint256)' 'My token' 1000000
  og tx deploy 0x6080604052...

An artifact is the JSON file that Hardhat, Foundry or solc writes for a contract: it says itself what
the constructor takes.")]
pub(super) struct Deploy {
    /// An artifact (.json), a file of bytecode in hexadecimal, or the bytecode itself.
    #[arg(value_name = "CODE")]
    code: String,
    /// What the constructor takes; arrays as '[1,2]', tuples as '(1,0x..)'.
    #[arg(value_name = "ARGUMENT", allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// The constructor's types, where CODE is no artifact, as 'constructor(string,uint256)'.
    #[arg(long, value_name = "TYPES")]
    constructor: Option<String>,
    /// What the contract gets, with its unit: 1.5opg, 20gwei, 100wei.
    #[arg(long, value_name = "AMOUNT", default_value = "0wei", value_parser = amount::parse)]
    value: U256,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    network: RpcArgs,
    /// Return when the validator has taken it, before it is final.
    #[arg(long)]
    no_wait: bool,
}

impl Deploy {
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<()> {
        let draft = Draft {
            to: TxKind::Create,
            value: self.value,
            input: self.input()?,
            terms: self.terms.clone(),
        };
        let signer = self.account.signer(&self.network)?;
        let rpc = self.network.rpc()?;
        let hash = rpc.send(&signer, &draft).await?;
        if self.no_wait {
            return output.result(&Submitted { hash });
        }
        let settled = settle(&rpc, hash, output).await?;
        settled.check_success()?;
        output.result(&settled)
    }

    /// The bytecode with the constructor's arguments behind it.
    fn input(&self) -> anyhow::Result<Bytes> {
        let (bytecode, constructor) = self.contract()?;
        let parameters = constructor.map(|constructor| constructor.inputs);
        let parameters = parameters.unwrap_or_default();
        let values = abi::values("the constructor", &parameters, &self.arguments)?;
        let arguments = Constructor {
            inputs: parameters,
            state_mutability: Default::default(),
        }
        .abi_encode_input(&values)?;
        Ok([&bytecode[..], &arguments].concat().into())
    }

    /// The contract's bytecode, and its constructor if that is known.
    fn contract(&self) -> anyhow::Result<(Bytes, Option<Constructor>)> {
        let named = self.constructor.as_deref().map(constructor).transpose()?;
        if let Ok(bytecode) = bytecode(&self.code) {
            return Ok((bytecode, named));
        }
        let path = Path::new(&self.code);
        let text = read(path)?;
        if path.extension().is_none_or(|extension| extension != "json") {
            let bytecode =
                bytecode(&text).with_context(|| format!("cannot use {}", path.display()))?;
            return Ok((bytecode, named));
        }
        let artifact: ContractObject =
            serde_json::from_str(&text).map_err(|error| no_artifact(path, &error.to_string()))?;
        let bytecode = artifact
            .bytecode
            .filter(|bytecode| !bytecode.is_empty())
            .ok_or_else(|| no_artifact(path, "it has no bytecode: an interface, or abstract"))?;
        let constructor = named.or_else(|| artifact.abi?.constructor);
        Ok((bytecode, constructor))
    }
}

fn constructor(text: &str) -> anyhow::Result<Constructor> {
    Constructor::parse(text).map_err(|error| {
        failure(
            format!("{text:?} is no constructor: {error}"),
            "write it as 'constructor(string,uint256)'",
        )
    })
}

fn bytecode(text: &str) -> anyhow::Result<Bytes> {
    let text = text.trim();
    match text.parse::<Bytes>() {
        Ok(bytecode) if !bytecode.is_empty() => Ok(bytecode),
        _ if text.contains("__$") => Err(failure(
            "the bytecode has places for the addresses of libraries",
            "deploy the libraries and let the compiler link them, then deploy what it writes",
        )),
        _ => Err(failure(
            "this is no bytecode in hexadecimal",
            "give an artifact (.json), a file of bytecode in hexadecimal, or 0x and the bytecode",
        )),
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let file = File::open(path).map_err(|error| {
        failure(
            format!("{} is neither bytecode nor a file: {error}", path.display()),
            "give an artifact (.json), a file of bytecode in hexadecimal, or 0x and the bytecode",
        )
    })?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}

fn no_artifact(path: &Path, reason: &str) -> anyhow::Error {
    let unlinked = reason.contains("unlinked");
    failure(
        format!("{} is no contract's artifact: {reason}", path.display()),
        if unlinked {
            "deploy its libraries and let the compiler link them, then deploy what it writes"
        } else {
            "give the JSON file that Hardhat, Foundry or solc writes for one contract"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::{Value, json};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        deploy: Deploy,
    }

    fn input(arguments: &[&str]) -> anyhow::Result<String> {
        let all = ["og"].iter().chain(arguments);
        Ok(Cli::try_parse_from(all)?.deploy.input()?.to_string())
    }

    fn file(name: &str, content: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        (folder, path.to_str().unwrap().to_owned())
    }

    fn artifact(bytecode: Value) -> String {
        let inputs = json!([{ "name": "x", "type": "uint256" }]);
        let constructor =
            json!({ "type": "constructor", "inputs": inputs, "stateMutability": "payable" });
        json!({ "contractName": "C", "abi": [constructor], "bytecode": bytecode, "ast": {} })
            .to_string()
    }

    #[test]
    fn bytecode_comes_from_artifacts_files_and_the_command_line() {
        let one = format!("0x6001{:0>64}", "1");
        for bytecode in [json!("0x6001"), json!({ "object": "0x6001" })] {
            let (_folder, path) = file("C.json", &artifact(bytecode));
            assert_eq!(input(&[&path, "1"]).unwrap(), one);
        }
        let (_folder, path) = file("C.bin", "6001\n");
        let types = "constructor(uint256)";
        for code in [&path, "0x6001", "6001"] {
            assert_eq!(input(&[code]).unwrap(), "0x6001");
            let typed = input(&[code, "1", "--constructor", types]).unwrap();
            assert_eq!(typed, one);
        }
    }

    #[test]
    fn what_cannot_be_deployed_is_explained() {
        let (_folder, good) = file("C.json", &artifact(json!("0x6001")));
        let (_folder2, interface) = file("I.json", &artifact(json!("0x")));
        let (_folder3, unlinked) = file("U.json", &artifact(json!("0x60__$abc$__01")));
        let (_folder4, list) = file("L.json", "[1]");
        for (arguments, expected) in [
            (&[&*good][..], "takes 1 arguments"),
            (&[&good, "x"], "is no uint256"),
            (&[&interface, "1"], "no bytecode"),
            (&[&unlinked, "1"], "unlinked"),
            (&[&list], "no contract's artifact"),
            (&["missing.json"], "neither bytecode nor a file"),
            (&["0x6001", "1"], "takes 0 arguments"),
            (&["0x6001", "--constructor", "x"], "is no constructor"),
        ] {
            let error = format!("{:#}", input(arguments).unwrap_err());
            assert!(error.contains(expected), "{arguments:?}: {error}");
        }
    }
}
