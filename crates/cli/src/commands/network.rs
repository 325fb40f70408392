//! `og network init`: the files of a new network, for one host or several.

use crate::{
    failure::failure,
    output::{Output, TITLE, paint},
};
use og_node::network::{DEFAULT_CHAIN_ID, Network as Folder, NetworkPlan};
use rand::RngExt as _;
use serde::Serialize;
use std::{
    fmt,
    net::{IpAddr, TcpListener},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

/// Ports that are tried: below those that systems give to outgoing connections.
const BASE_PORTS: std::ops::Range<u16> = 10_000..30_000;
const BASE_PORT_ATTEMPTS: u32 = 100;

/// Make networks.
#[derive(Debug, clap::Args)]
pub(crate) struct Network {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Init(Init),
}

/// Write the genesis file and one configuration with fresh keys per node.
///
/// Nodes are given to the hosts in turn; the gateway runs on the first host, and on the last a relay,
/// which takes sealed requests of OpenGradient's clients for it. Validator i serves JSON-RPC at port
/// B+i and talks to its peers at B+100+i, the gateway listens at B+200 and with TLS at B+250, the relay
/// at B+260, and inference node j at B+300+j, where B is the base port. Each node serves its operator
/// (readiness and metrics) on its own host only, 400 above B+i, B+200, B+260 or B+300+j.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og network init --dir net                                   all on this machine
  og network init --dir net --validators 7 --hosts 10.0.0.1,10.0.0.2,10.0.0.3

Then copy genesis.json and each node's own folder (it holds secret keys: nobody else needs
it) to its host, keeping them side by side, and run there:
  og node --config net/validator-0/config.toml")]
struct Init {
    #[command(flatten)]
    size: SizeArgs,
    /// Folder to make; it must be empty or not exist yet.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// IP addresses of the hosts.
    #[arg(
        long,
        value_name = "ADDRESS,...",
        value_delimiter = ',',
        default_value = "127.0.0.1"
    )]
    hosts: Vec<IpAddr>,
    /// A name for people.
    #[arg(long, default_value = "network")]
    name: String,
    /// Funded accounts for development; with 0 no key holds any tokens.
    #[arg(long, default_value_t = 10)]
    accounts: u16,
    /// Blocks per epoch.
    #[arg(long, default_value_t = 10_000)]
    epoch_length: u64,
}

/// How many nodes, on which ports and chain.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct SizeArgs {
    /// Number of validators: of 3f + 1, f may fail [default: 4].
    #[arg(long)]
    pub(crate) validators: Option<u16>,
    /// Number of inference nodes [default: 1].
    #[arg(long)]
    pub(crate) inference: Option<u16>,
    /// First port [default: 8545].
    #[arg(long, value_name = "PORT")]
    pub(crate) base_port: Option<u16>,
    /// EIP-155 chain id [default: 770077].
    #[arg(long, value_name = "ID")]
    pub(crate) chain_id: Option<u64>,
}

impl SizeArgs {
    /// The plan of a network of this size that begins now.
    pub(crate) fn plan(&self) -> NetworkPlan {
        let usual = NetworkPlan::default();
        NetworkPlan {
            chain_id: self.chain_id.unwrap_or(DEFAULT_CHAIN_ID),
            timestamp_ms: now_ms(),
            validators: self.validators.unwrap_or(usual.validators),
            inference: self.inference.unwrap_or(usual.inference),
            base_port: self.base_port.unwrap_or(usual.base_port),
            ..usual
        }
    }

    /// The same plan, on ports that are free now.
    pub(crate) fn plan_on_free_ports(&self, name: &str) -> anyhow::Result<NetworkPlan> {
        let mut plan = NetworkPlan {
            name: name.to_owned(),
            ..self.plan()
        };
        for _ in 0..BASE_PORT_ATTEMPTS {
            plan.base_port = rand::rng().random_range(BASE_PORTS);
            let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
            if plan.ports().iter().all(is_free) {
                return Ok(plan);
            }
        }
        Err(failure(
            format!(
                "no free ports between {} and {}",
                BASE_PORTS.start, BASE_PORTS.end
            ),
            "stop what holds them, or run this in a container",
        ))
    }
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct Made {
    directory: PathBuf,
    genesis: PathBuf,
    chain_id: u64,
    configurations: Vec<PathBuf>,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory.display();
        writeln!(f, "{} in {directory}", paint(TITLE, "A new network"))?;
        writeln!(
            f,
            "  genesis   {} (chain {})",
            self.genesis.display(),
            self.chain_id
        )?;
        writeln!(f, "  accounts  {directory}/accounts.json (secret keys)")?;
        write!(f, "  nodes     run each on its host:")?;
        for path in &self.configurations {
            write!(f, "\n            og node --config {}", path.display())?;
        }
        Ok(())
    }
}

impl Network {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<()> {
        let Action::Init(init) = self.action;
        let plan = NetworkPlan {
            name: init.name,
            hosts: init.hosts,
            accounts: init.accounts,
            epoch_length: init.epoch_length,
            ..init.size.plan()
        };
        let network = Folder::create(&init.dir, &plan, &mut rand::rng())?;
        output.result(&Made {
            genesis: network.genesis_path(),
            chain_id: network.endpoints.chain_id,
            configurations: network
                .nodes
                .iter()
                .map(|node| node.config_path.clone())
                .collect(),
            directory: network.directory,
        })
    }
}
