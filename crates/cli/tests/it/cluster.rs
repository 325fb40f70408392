//! A network whose nodes a test starts, wounds and starts again, each a process of its own.

use super::support::{free_base_port, og_json, read_json, rpc, try_rpc, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

/// How long something that must not happen is given to happen.
pub(crate) const QUIET: Duration = Duration::from_secs(4);

/// A network of four validators, an inference node and a gateway; what runs is killed when dropped.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    running: BTreeMap<String, Child>,
    /// What each node's command begins with, for example to run in a network namespace.
    pub(crate) wrappers: BTreeMap<String, Vec<String>>,
}

pub(crate) const VALIDATORS: [&str; 4] =
    ["validator-0", "validator-1", "validator-2", "validator-3"];
pub(crate) const ALL: [&str; 6] = [
    "validator-0",
    "validator-1",
    "validator-2",
    "validator-3",
    "inference-0",
    "gateway",
];

impl Cluster {
    /// The files of a network on these hosts; nothing runs yet.
    pub(crate) fn unstarted(hosts: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("net");
        let port = free_base_port().to_string();
        let dir = dir.to_str().unwrap();
        og_json([
            "network",
            "init",
            "--dir",
            dir,
            "--base-port",
            &port,
            "--hosts",
            hosts,
        ]);
        let cluster = Self {
            folder,
            running: BTreeMap::new(),
            wrappers: BTreeMap::new(),
        };
        // Dead proposers are skipped sooner, so that tests are.
        for name in VALIDATORS {
            cluster.edit_config(
                name,
                "empty_block_interval_ms = 1000",
                "empty_block_interval_ms = 400",
            );
            cluster.edit_config(name, "leader_timeout_ms = 2000", "leader_timeout_ms = 1000");
        }
        cluster
    }

    /// A network on this machine, all of it ready.
    pub(crate) fn start() -> Self {
        let mut cluster = Self::unstarted("127.0.0.1");
        cluster.start_all();
        cluster
    }

    /// Starts every node and waits until all are ready.
    pub(crate) fn start_all(&mut self) {
        for name in ALL {
            self.start_node(name);
        }
        for name in ALL {
            self.wait_ready(name);
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("net").join(name)
    }

    /// A file or folder in the network's folder.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn edit_config(&self, name: &str, from: &str, to: &str) {
        let path = self.path(name).join("config.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn command(&self, name: &str) -> Command {
        let config = self.file(&format!("{name}/config.toml"));
        let og = env!("CARGO_BIN_EXE_og");
        let mut words = self.wrappers.get(name).cloned().unwrap_or_default();
        words.extend([og, "node", "--config", &config].map(str::to_owned));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        command
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.path("logs").join(format!("{name}.log"))
    }

    /// What a node has logged so far.
    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.log_path(name)).unwrap_or_default()
    }

    /// Starts a node.
    pub(crate) fn start_node(&mut self, name: &str) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path(name))
            .unwrap();
        let mut command = self.command(name);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        assert!(self.running.insert(name.to_owned(), child).is_none());
    }

    /// Starts a node that must end by itself, with an error that says what to do.
    pub(crate) fn start_fails(&self, name: &str) -> String {
        let output: Output = self.command(name).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("error: "), "{text}");
        text
    }

    /// Sends a node a signal.
    pub(crate) fn signal(&self, name: &str, signal: Signal) {
        kill_process(Pid::from_child(&self.running[name]), signal).unwrap();
    }

    /// Ends a node as a power cut would.
    pub(crate) fn kill(&mut self, name: &str) {
        self.signal(name, Signal::KILL);
        self.reap(name);
    }

    /// Kills every node that runs, all before the first has ended.
    pub(crate) fn kill_all(&mut self) {
        let names: Vec<_> = self.running.keys().cloned().collect();
        for name in &names {
            self.signal(name, Signal::KILL);
        }
        for name in &names {
            self.reap(name);
        }
    }

    /// Tells a node to stop, which must end it with code 0.
    pub(crate) fn stop(&mut self, name: &str) {
        self.signal(name, Signal::TERM);
        let status = self.reap(name);
        assert!(status.success(), "{name}: {status}\n{}", self.log(name));
    }

    /// How a node ended, if it did.
    pub(crate) fn ended(&mut self, name: &str) -> Option<ExitStatus> {
        let status = self.running.get_mut(name)?.try_wait().unwrap()?;
        self.running.remove(name);
        Some(status)
    }

    /// Waits for the end of a node.
    pub(crate) fn reap(&mut self, name: &str) -> ExitStatus {
        let mut child = self.running.remove(name).unwrap();
        wait_for(&format!("end of {name}"), || child.try_wait().unwrap())
    }

    /// What `endpoints.json` says.
    pub(crate) fn endpoints(&self) -> Value {
        read_json(&self.path("endpoints.json"))
    }

    pub(crate) fn gateway(&self) -> String {
        self.endpoints()["gateway"].as_str().unwrap().to_owned()
    }

    /// JSON-RPC of a validator.
    pub(crate) fn rpc_url(&self, validator: &str) -> String {
        let (_, index) = validator.split_once('-').unwrap();
        let index: usize = index.parse().unwrap();
        self.endpoints()["rpcs"][index].as_str().unwrap().to_owned()
    }

    /// What a node says about its readiness, if it answers.
    pub(crate) fn readiness(&self, name: &str) -> Option<Value> {
        let url = self.endpoints()["operators"][name]
            .as_str()
            .unwrap()
            .to_owned();
        let text = get(&format!("{url}/readyz"))?.1;
        serde_json::from_str(&text).ok()
    }

    /// Waits until a validator answers JSON-RPC.
    pub(crate) fn wait_listening(&self, validator: &str) {
        let url = self.rpc_url(validator);
        wait_for(&format!("answer of {validator}"), || get(&url).map(drop));
    }

    pub(crate) fn wait_ready(&mut self, name: &str) {
        let started = Instant::now();
        loop {
            let readiness = self.readiness(name);
            if readiness
                .as_ref()
                .is_some_and(|found| found["ready"] == true)
            {
                return;
            }
            let child = self.running.get_mut(name).unwrap();
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{name} ended: {}", self.log(name));
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{name} is not ready: {readiness:?}\n{}",
                self.log(name)
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Height of a validator's newest final block.
    pub(crate) fn height(&self, validator: &str) -> u64 {
        super::support::quantity(&rpc(&self.rpc_url(validator), "eth_blockNumber", json!([])))
    }

    /// Waits until a validator has this block.
    pub(crate) fn wait_height(&self, validator: &str, height: u64) {
        wait_for(&format!("block {height} at {validator}"), || {
            (self.height(validator) >= height).then_some(())
        });
    }

    /// Hash and state root of a block at a validator that has it.
    pub(crate) fn block(&self, validator: &str, height: u64) -> (String, String) {
        self.find_block(validator, height)
            .unwrap_or_else(|| panic!("{validator} lacks block {height}"))
    }

    /// The same at a validator that may lack the block, or not be there.
    pub(crate) fn find_block(&self, validator: &str, height: u64) -> Option<(String, String)> {
        let parameters = json!([format!("{height:#x}"), false]);
        let url = self.rpc_url(validator);
        let block = try_rpc(&url, "eth_getBlockByNumber", parameters).ok()?;
        let text = |field: &str| block[field].as_str().map(str::to_owned);
        text("hash").zip(text("stateRoot"))
    }

    /// Checks that all these validators have the same block at this height, and the same state.
    pub(crate) fn agree(&self, validators: &[&str], height: u64) {
        for validator in validators {
            self.wait_height(validator, height);
        }
        let expected = self.block(validators[0], height);
        for validator in validators {
            assert_eq!(
                self.block(validator, height),
                expected,
                "{validator} at {height}"
            );
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ALL {
                let log = self.log(name);
                let lines: Vec<_> = log.lines().collect();
                let end = lines[lines.len().saturating_sub(12)..].join("\n");
                eprintln!("--- {name}\n{end}");
            }
        }
        for child in self.running.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Gets a URL; the status and the body, or `None` if nobody answers.
pub(crate) fn get(url: &str) -> Option<(u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let request = reqwest::Client::new().get(url);
        let response = request.timeout(Duration::from_secs(5)).send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    })
}

/// Whether the long versions of the tests are asked for; the short ones are for every change.
pub(crate) fn long() -> bool {
    std::env::var_os("OG_FAULTS_LONG").is_some()
}

/// Runs a program of the system; whether it succeeded. What is not there or not permitted is false.
pub(crate) fn system(program: &str, arguments: &[&str]) -> bool {
    let run = Command::new(program).args(arguments).output();
    run.is_ok_and(|output| output.status.success())
}

/// Whether a file exists.
pub(crate) fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
