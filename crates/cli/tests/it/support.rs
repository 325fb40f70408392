//! Running `og` as people do, and networks that are stopped when their test ends.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Longest wait for anything.
const WAIT: Duration = Duration::from_secs(60);

/// Digits that the model was not trained on.
pub(crate) const EXAMPLES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/digits/examples");

/// One network at a time: two at once would compete for the machine's cores.
static ONE_NETWORK: Mutex<()> = Mutex::new(());

pub(crate) fn one_network() -> MutexGuard<'static, ()> {
    ONE_NETWORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `og` with these arguments.
pub(crate) fn og<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_og"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs `og --json`, which must succeed, and returns its document.
pub(crate) fn og_json<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Value {
    let output = og(["--json"].into_iter().chain(arguments));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}: {text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Runs `og`, which must fail with exit code 1 and an explanation, and returns that.
pub(crate) fn og_fails<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    let output = og(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: "), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// A first port from which on all that a small network needs are free.
pub(crate) fn free_base_port() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..100)
        .map(|_| rand::random_range(10_000..30_000))
        .find(|base: &u16| {
            (0..4)
                .flat_map(|index| [0, 100, 300, 400, 700].map(|offset| base + offset + index))
                .chain([200, 250, 260, 600, 660].map(|offset| base + offset))
                .all(is_free)
        })
        .expect("no free ports")
}

/// A network in a temporary folder, stopped when dropped.
pub(crate) struct Devnet {
    folder: tempfile::TempDir,
    pub(crate) base_port: u16,
}

impl Devnet {
    /// A place for a network, where none has been made yet.
    pub(crate) fn unstarted() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            base_port: free_base_port(),
        }
    }

    pub(crate) fn start() -> Self {
        let network = Self::unstarted();
        let port = network.base_port.to_string();
        og_json([
            "devnet",
            "--detach",
            "--dir",
            &network.dir(),
            "--base-port",
            &port,
        ]);
        network
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("devnet")
    }

    pub(crate) fn dir(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    /// A file in the network's folder.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    /// A file beside the network's folder, for what a test writes.
    pub(crate) fn beside(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// What `endpoints.json` says.
    pub(crate) fn endpoints(&self) -> Value {
        read_json(&self.path().join("endpoints.json"))
    }

    /// Runs `og COMMAND... --dir` of this network.
    pub(crate) fn og<'a>(&'a self, arguments: &[&'a str]) -> Value {
        let dir = self.dir();
        og_json(arguments.iter().copied().chain(["--dir", &dir]))
    }

    /// Runs `og COMMAND... --dir` of this network, which must fail.
    pub(crate) fn og_fails(&self, arguments: &[&str]) -> String {
        let dir = self.dir();
        og_fails(arguments.iter().copied().chain(["--dir", &dir]))
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        og(["devnet", "stop", "--dir", &self.dir()]);
        if std::thread::panicking() {
            show_logs(&self.path().join("logs"));
        }
    }
}

/// Shows the end of every log of a network that failed a test.
fn show_logs(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(15)..].join("\n");
        eprintln!("--- {}\n{end}", entry.path().display());
    }
}

pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Sends one JSON-RPC call and returns its result.
pub(crate) fn rpc(url: &str, method: &str, params: Value) -> Value {
    try_rpc(url, method, params).unwrap()
}

/// As [`rpc`], to one who may not be there.
pub(crate) fn try_rpc(url: &str, method: &str, params: Value) -> reqwest::Result<Value> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let (_, answer) = try_post(url, request.to_string())?;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["error"].is_null(), "{method}: {answer}");
    Ok(answer["result"].clone())
}

/// Posts a body as JSON; the status and the body of the answer.
pub(crate) fn post(url: &str, body: String) -> (u16, String) {
    try_post(url, body).unwrap()
}

/// As [`post`], to one who may not be there.
pub(crate) fn try_post(url: &str, body: String) -> reqwest::Result<(u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let response = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await?;
        Ok((response.status().as_u16(), response.text().await?))
    })
}

/// A server that answers one request with what `answer` makes of its head and body; its address.
pub(crate) fn answer_once(answer: impl FnOnce(&str, Vec<u8>) -> Value + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            request.read_line(&mut head).unwrap();
        }
        let (_, length) = head.split_once("content-length: ").unwrap();
        let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
        request.read_exact(&mut body).unwrap();
        let answer = answer(&head, body).to_string();
        let length = answer.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}"
        )
        .unwrap();
    });
    address
}

/// A raw transaction that transfers 1234 wei.
pub(crate) fn transfer(signer: &PrivateKeySigner, chain_id: u64, nonce: u64, to: Address) -> Bytes {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: to.into(),
        value: U256::from(1234),
        ..TxEip1559::default()
    };
    sign(signer, transaction)
}

/// A raw transaction.
pub(crate) fn sign(signer: &PrivateKeySigner, transaction: TxEip1559) -> Bytes {
    let hash = transaction.signature_hash();
    let signature = signer.sign_hash_sync(&hash).unwrap();
    let signed = TxEnvelope::from(transaction.into_signed(signature));
    signed.encoded_2718().into()
}

/// The number that a JSON-RPC quantity says.
pub(crate) fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// Waits until `find` finds something.
pub(crate) fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(started.elapsed() < WAIT, "no {what} in time");
        thread::sleep(Duration::from_millis(200));
    }
}
