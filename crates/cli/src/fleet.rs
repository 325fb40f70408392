//! Starting, watching and stopping the nodes of one network on this machine, a process each.

use crate::{client::readiness, failure::failure, output::Output, process};
use anyhow::Context as _;
use og_node::network::{Network, Node};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, Read as _, Seek as _, SeekFrom},
    net::TcpListener,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How long a network may take from its start to its first block.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a node may take to end in good order before it is killed.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(15);
const POLL_PAUSE: Duration = Duration::from_millis(200);
/// How much of a dead node's log is shown.
const LOG_TAIL_BYTES: u64 = 4096;
const LOG_TAIL_LINES: usize = 20;

/// Whether nodes outlive the command that starts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// They end with it, even if it is killed.
    Attached,
    /// They run on, until `og devnet stop`.
    Detached,
}

/// A network's nodes as child processes. Those that are attached end when this is dropped.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) network: Network,
    lifetime: Lifetime,
    children: BTreeMap<String, Child>,
}

impl Fleet {
    /// Starts every node that does not run yet, having checked that nothing stands in the way.
    pub(crate) fn start(network: Network, lifetime: Lifetime) -> anyhow::Result<Self> {
        let stopped = stopped(&network)?;
        for node in &stopped {
            check_ports(node)?;
        }
        let names: Vec<_> = stopped.iter().map(|node| node.name.clone()).collect();
        let mut fleet = Self {
            network,
            lifetime,
            children: BTreeMap::new(),
        };
        for name in names {
            fleet.start_node(&name)?;
        }
        Ok(fleet)
    }

    /// Starts one node.
    pub(crate) fn start_node(&mut self, name: &str) -> anyhow::Result<()> {
        let node = self.node(name)?;
        let log_path = self.network.log_path(node);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .with_context(|| format!("cannot write the log {}", log_path.display()))?;
        let program = std::env::current_exe().context("cannot find the og program itself")?;
        let mut command = Command::new(program);
        command
            .args(["node", "--config"])
            .arg(&node.config_path)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        match self.lifetime {
            Lifetime::Attached => {
                command.args(["--parent", &std::process::id().to_string()]);
            }
            Lifetime::Detached => own_process_group(&mut command),
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        self.children.insert(name.to_owned(), child);
        Ok(())
    }

    fn node(&self, name: &str) -> anyhow::Result<&Node> {
        self.network
            .nodes
            .iter()
            .find(|node| node.name == name)
            .with_context(|| format!("this network has no node {name}"))
    }

    /// Waits until every node says that it is ready.
    pub(crate) async fn wait_ready(&mut self, output: &Output) -> anyhow::Result<()> {
        let progress = output.progress("starting the nodes");
        let started = Instant::now();
        loop {
            if let Some((name, status)) = self.ended()? {
                return Err(self.died(&name, status));
            }
            let waiting = self.not_ready().await;
            if waiting.is_empty() {
                return Ok(());
            }
            if started.elapsed() > READY_TIMEOUT {
                return Err(self.too_slow(&waiting));
            }
            progress.set(format!("waiting for {}", waiting.join(", ")));
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    /// The nodes that cannot be used yet.
    async fn not_ready(&self) -> Vec<String> {
        let mut waiting = Vec::new();
        for node in &self.network.nodes {
            let ready = readiness(node.config.operator_listen()).await;
            if !ready.is_ok_and(|readiness| readiness.ready) {
                waiting.push(node.name.clone());
            }
        }
        waiting
    }

    fn died(&self, name: &str, status: ExitStatus) -> anyhow::Error {
        failure(
            format!("{name} ended ({status}){}", self.log_tail(name)),
            "the last lines of its log (above) say why",
        )
    }

    fn too_slow(&self, waiting: &[String]) -> anyhow::Error {
        let first = waiting.first().map_or("", String::as_str);
        failure(
            format!(
                "not ready after {} seconds: {}{}",
                READY_TIMEOUT.as_secs(),
                waiting.join(", "),
                self.log_tail(first)
            ),
            format!(
                "`og devnet status --dir {}` says what each waits for; see the logs in {}",
                self.network.directory.display(),
                self.network.directory.join("logs").display()
            ),
        )
    }

    fn log_tail(&self, name: &str) -> String {
        let Ok(node) = self.node(name) else {
            return String::new();
        };
        let path = self.network.log_path(node);
        match tail(&path) {
            Ok(text) => format!("; from {}:\n{text}", path.display()),
            Err(_) => String::new(),
        }
    }

    /// A node that ended by itself since the last call, if any did.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<(String, ExitStatus)>> {
        let mut found = None;
        for (name, child) in &mut self.children {
            if let Some(status) = child.try_wait()? {
                found = Some((name.clone(), status));
                break;
            }
        }
        if let Some((name, _)) = &found {
            self.children.remove(name);
        }
        Ok(found)
    }

    /// Whether no node is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// The process of a node that runs.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        self.children.get(name).map(Child::id)
    }

    /// Kills one node, as a power cut would.
    pub(crate) fn kill_node(&mut self, name: &str) -> anyhow::Result<()> {
        let mut child = self
            .children
            .remove(name)
            .with_context(|| format!("{name} does not run"))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Stops one node in good order.
    pub(crate) fn stop_node(&mut self, name: &str) -> anyhow::Result<()> {
        let mut child = self
            .children
            .remove(name)
            .with_context(|| format!("{name} does not run"))?;
        process::terminate_child(&child);
        wait_or_kill(&mut child, Instant::now() + STOP_TIMEOUT);
        Ok(())
    }

    /// Stops all nodes in good order.
    pub(crate) fn stop(mut self) {
        self.stop_children();
    }

    /// Lets the nodes run on without this command.
    pub(crate) fn leave_running(mut self) {
        self.children.clear();
    }

    fn stop_children(&mut self) {
        for child in self.children.values() {
            process::terminate_child(child);
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        for child in self.children.values_mut() {
            wait_or_kill(child, deadline);
        }
        self.children.clear();
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop_children();
    }
}

/// Waits until a node that was told to end has ended, and kills it at the deadline.
fn wait_or_kill(child: &mut Child, deadline: Instant) {
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    // A node that ended in time makes both of these do nothing.
    let _ = child.kill();
    let _ = child.wait();
}

/// Keeps a terminal's Ctrl-C for the commands that are attached to it.
fn own_process_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// The nodes that do not run: at least one.
fn stopped(network: &Network) -> anyhow::Result<Vec<&Node>> {
    let is_stopped = |node: &&Node| process::holder(node.config.data_dir()).is_none();
    let stopped: Vec<_> = network.nodes.iter().filter(is_stopped).collect();
    if stopped.is_empty() {
        let directory = network.directory.display();
        return Err(failure(
            format!("the network in {directory} runs already, all of its nodes"),
            format!(
                "look at it with `og devnet status --dir {directory}`, or stop it with `og devnet stop --dir {directory}`"
            ),
        ));
    }
    Ok(stopped)
}

/// Checks that a node's ports can be had, before anything is started.
fn check_ports(node: &Node) -> anyhow::Result<()> {
    for (what, address) in node.config.listens() {
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(failure(
                    format!(
                        "port {} is in use: {} needs it for {what}",
                        address.port(),
                        node.name
                    ),
                    "stop the program that holds it, or make a network elsewhere with another --base-port and --dir",
                ));
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("{} cannot listen on {address}", node.name));
            }
        }
    }
    Ok(())
}

/// The last lines of a file.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_TAIL_LINES);
    Ok(lines[first..].join("\n"))
}
