//! `og devnet`: a whole network on this machine, a process per node.

use super::network::SizeArgs;
use crate::{
    client::{Rpc, readiness},
    failure::failure,
    fleet::{Fleet, Lifetime, STOP_TIMEOUT},
    output::{BAD, GOOD, Output, TITLE, paint},
    process,
};
use og_node::network::{Endpoints, Network, NetworkPlan};
use serde::Serialize;
use std::{
    fmt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

const POLL_PAUSE: Duration = Duration::from_millis(100);

/// Run a network of your own on this machine: validators, inference, gateway, relay, a process each.
///
/// The first start makes the folder; another start in the same folder resumes the same network,
/// and starts those of its nodes that have died.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  og devnet                                  runs until Ctrl-C
  og devnet --detach                         runs on; stop it with `og devnet stop --dir devnet`
  og devnet status --dir devnet
  og devnet --dir other --base-port 9545     a second network beside the first

In the folder: genesis.json, endpoints.json (addresses), accounts.json (funded accounts with
their keys), logs/, and a folder per node. To see what the network bears, kill a node and start
it again: og node --config devnet/validator-3/config.toml

OpenGradient's clients find the gateway in the registry at 0x0000000000000000000000000000000000000a03,
which they read at `rpc` of endpoints.json; those that seal their requests send them to `relay`."
)]
pub(crate) struct Devnet {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Say which nodes run and are ready, and how far the chain is.
    Status(Folder),
    /// Stop all nodes.
    Stop(Folder),
}

#[derive(Debug, clap::Args)]
struct Folder {
    /// The network's folder.
    #[arg(long, value_name = "DIR", default_value = "devnet")]
    dir: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Start {
    #[command(flatten)]
    size: SizeArgs,
    /// The network's folder.
    #[arg(long, value_name = "DIR", default_value = "devnet")]
    dir: PathBuf,
    /// Return when the network is ready and let it run on.
    #[arg(long)]
    detach: bool,
}

impl Devnet {
    pub(crate) async fn run(self, output: &Output) -> anyhow::Result<()> {
        match self.action {
            None => self.start.run(output).await,
            Some(Action::Status(folder)) => output.result(&status(&folder.dir).await?),
            Some(Action::Stop(folder)) => output.result(&stop(&folder.dir)?),
        }
    }
}

#[derive(Serialize)]
struct Started {
    directory: PathBuf,
    #[serde(flatten)]
    endpoints: Endpoints,
    detached: bool,
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            directory,
            endpoints,
            ..
        } = self;
        let directory = directory.display();
        writeln!(
            f,
            "{} (chain {})",
            paint(GOOD, "The network is ready"),
            endpoints.chain_id
        )?;
        writeln!(f, "  gateway   {}", endpoints.gateway)?;
        if let Some(relay) = &endpoints.relay {
            writeln!(f, "  relay     {relay}")?;
        }
        writeln!(f, "  JSON-RPC  {}", endpoints.rpcs.join(" "))?;
        if let Some(faucet) = &endpoints.faucet {
            writeln!(f, "  faucet    {faucet}")?;
        }
        writeln!(f, "  accounts  {directory}/accounts.json")?;
        writeln!(f, "  logs      {directory}/logs")?;
        writeln!(f, "{}", paint(TITLE, "Try"))?;
        writeln!(
            f,
            "  og infer --model digits --input models/digits/examples/7-1.png --dir {directory} --receipt seven.receipt"
        )?;
        writeln!(
            f,
            "  og verify seven.receipt --genesis {directory}/genesis.json"
        )?;
        writeln!(
            f,
            "  og tx send --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --value 1.5opg --dir {directory}"
        )?;
        if self.detached {
            write!(f, "  og devnet stop --dir {directory}")
        } else {
            write!(f, "Ctrl-C stops it.")
        }
    }
}

impl Start {
    async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.open_or_create()?;
        let lifetime = if self.detach {
            Lifetime::Detached
        } else {
            Lifetime::Attached
        };
        // Listen before the first child runs, so that no Ctrl-C leaves one behind.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut fleet = Fleet::start(network, lifetime)?;
        // An early return stops what was started: the fleet does so when it is dropped.
        tokio::select! {
            ready = fleet.wait_ready(output) => ready?,
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
        output.result(&Started {
            directory: fleet.network.directory.clone(),
            endpoints: fleet.network.endpoints.clone(),
            detached: self.detach,
        })?;
        if self.detach {
            fleet.leave_running();
            return Ok(());
        }
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                () = tokio::time::sleep(POLL_PAUSE) => {}
            }
            if let Some((name, status)) = fleet.ended()? {
                output.notice(format!("{name} ended ({status})"));
            }
            if fleet.is_empty() {
                return Ok(());
            }
        }
        output.line("stopping");
        fleet.stop();
        Ok(())
    }

    fn open_or_create(&self) -> anyhow::Result<Network> {
        if !self.dir.join("genesis.json").is_file() {
            return Ok(Network::create(
                &self.dir,
                &NetworkPlan {
                    development: true,
                    ..self.size.plan()
                },
                &mut rand::rng(),
            )?);
        }
        let network = Network::open(&self.dir)?;
        let endpoints = &network.endpoints;
        let validators = u16::try_from(endpoints.rpcs.len())?;
        let inference = u16::try_from(endpoints.inference.len())?;
        let size = &self.size;
        let differs = size.validators.is_some_and(|asked| asked != validators)
            || size.inference.is_some_and(|asked| asked != inference)
            || size
                .chain_id
                .is_some_and(|asked| asked != endpoints.chain_id)
            || size
                .base_port
                .is_some_and(|asked| !endpoints.rpc.ends_with(&format!(":{asked}")));
        if differs {
            return Err(failure(
                format!(
                    "{} holds another network: {validators} validators, {inference} inference nodes, chain {}, JSON-RPC at {}",
                    self.dir.display(),
                    endpoints.chain_id,
                    endpoints.rpc
                ),
                "leave these options out to resume it, or choose another --dir",
            ));
        }
        Ok(network)
    }
}

#[derive(Serialize)]
struct Status {
    directory: PathBuf,
    running: usize,
    nodes: Vec<NodeStatus>,
}

#[derive(Serialize)]
struct NodeStatus {
    name: String,
    running: bool,
    pid: Option<i32>,
    listens: Vec<String>,
    /// Whether it is of use; `None` if it does not run or does not say.
    ready: Option<bool>,
    /// Why it is not ready.
    reasons: String,
    /// Height of a validator's newest final block.
    height: Option<u64>,
}

async fn status(directory: &Path) -> anyhow::Result<Status> {
    let network = Network::open(directory)?;
    let mut nodes = Vec::with_capacity(network.nodes.len());
    for (index, node) in network.nodes.iter().enumerate() {
        let pid = process::holder(node.config.data_dir());
        // Validators come first, in the order of their addresses.
        let height = match network.endpoints.rpcs.get(index) {
            Some(url) if pid.is_some() => Rpc::new(url).block_number().await.ok(),
            _ => None,
        };
        let readiness = match pid {
            Some(_) => readiness(node.config.operator_listen()).await.ok(),
            None => None,
        };
        nodes.push(NodeStatus {
            ready: readiness.as_ref().map(|readiness| readiness.ready),
            reasons: readiness.map_or_else(String::new, |readiness| readiness.reasons()),
            name: node.name.clone(),
            running: pid.is_some(),
            pid: pid.map(|pid| pid.as_raw_nonzero().get()),
            listens: node
                .config
                .listens()
                .iter()
                .map(|(what, address)| format!("{what} {address}"))
                .collect(),
            height,
        });
    }
    Ok(Status {
        directory: directory.to_owned(),
        running: nodes.iter().filter(|node| node.running).count(),
        nodes,
    })
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            let state = match (node.running, node.ready) {
                (true, Some(true)) => paint(GOOD, "ready    "),
                (true, Some(false)) => paint(BAD, "not ready"),
                (true, None) => paint(BAD, "silent   "),
                (false, _) => paint(BAD, "stopped  "),
            };
            let pid = node
                .pid
                .map_or_else(String::new, |pid| format!("process {pid}"));
            let height = node
                .height
                .map_or_else(String::new, |height| format!("block {height}"));
            writeln!(
                f,
                "{:<14} {state}  {pid:<16} {height:<12} {}",
                node.name,
                node.listens.join(", ")
            )?;
            if !node.reasons.is_empty() {
                writeln!(f, "               {}", node.reasons)?;
            }
        }
        write!(
            f,
            "{} of {} nodes run in {}",
            self.running,
            self.nodes.len(),
            self.directory.display()
        )
    }
}

#[derive(Serialize)]
struct Stopped {
    stopped: Vec<String>,
    killed: Vec<String>,
}

fn stop(directory: &Path) -> anyhow::Result<Stopped> {
    let network = Network::open(directory)?;
    let holder = |index: usize| process::holder(network.nodes[index].config.data_dir());
    let running: Vec<usize> = (0..network.nodes.len())
        .filter(|index| holder(*index).is_some())
        .collect();
    for index in &running {
        if let Some(pid) = holder(*index) {
            process::terminate(pid);
        }
    }
    let deadline = Instant::now() + STOP_TIMEOUT;
    let mut result = Stopped {
        stopped: Vec::new(),
        killed: Vec::new(),
    };
    for index in running {
        let name = network.nodes[index].name.clone();
        while holder(index).is_some() && Instant::now() < deadline {
            thread::sleep(POLL_PAUSE);
        }
        match holder(index) {
            None => result.stopped.push(name),
            Some(pid) => {
                process::kill(pid);
                result.killed.push(name);
            }
        }
    }
    Ok(result)
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stopped.is_empty() && self.killed.is_empty() {
            return write!(f, "Nothing ran.");
        }
        write!(f, "stopped {}", self.stopped.join(", "))?;
        if !self.killed.is_empty() {
            write!(
                f,
                "\nkilled, for they did not end by themselves: {}",
                self.killed.join(", ")
            )?;
        }
        Ok(())
    }
}
