//! What the gateway adds: signed answers per second, time, and how many streams it keeps open.

mod soak;
mod streams;
mod upstream;

use super::{
    clients::ask,
    figure::{Figure, Sample, quantile},
    rpc::LoadArgs,
    testbed::Testbed,
};
use crate::{
    client::metrics,
    output::{Output, Progress},
    process::raise_file_limit,
};
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use streams::Streams;
use upstream::Service;

/// The model's name.
const MODEL: &str = "bench";
/// What a signed answer has in it.
const SIGNED: &str = "\"tee_signature\"";
/// What every answer of the service has in it.
const ANSWERED: &str = "\"usage\"";
/// How long one request at a time is measured.
const ALONE: Duration = Duration::from_secs(2);
/// The gateway's figure of records that are not final.
const PENDING: &str = "og_gateway_pending_records";
/// The gateway's figure of records that never will be final.
const REFUSED: &str = "og_gateway_records_total{fate=\"refused\"}";
/// How long records may take to become final.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(120);
const SETTLE_PAUSE: Duration = Duration::from_millis(20);
/// Accounts of the network; they send nothing.
const ACCOUNTS: u16 = 1;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct GatewayArgs {
    /// gateway: streams to open at the same time.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=12_000))]
    streams: u16,
    /// gateway: go on with requests for so many minutes while memory is watched.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u16).range(1..=1440))]
    soak: Option<u16>,
    /// Be the service that is asked: this program starts itself so.
    #[arg(long, hide = true)]
    serve: bool,
}

impl GatewayArgs {
    /// Measures requests, then streams.
    pub(super) async fn measure(
        &self,
        load: &LoadArgs,
        rounds: u32,
        validators: u16,
        output: &Output,
    ) -> anyhow::Result<()> {
        if self.serve {
            return upstream::serve(output).await;
        }
        raise_file_limit();
        let progress = output.progress("starting the network");
        let service = Service::start().await?;
        let file = service.relay_file(MODEL);
        let model = Some((MODEL, file.as_str()));
        let testbed = Testbed::start_with(validators, ACCOUNTS, model, output).await?;
        output.item(&testbed.ready())?;
        let mut measurement = Measurement { testbed, service };
        let mut measured = Vec::new();
        for round in 1..=rounds {
            progress.set(format!("requests, round {round} of {rounds}"));
            measured.push(measurement.requests(load).await?);
        }
        for figure in Figure::summarise(&measured) {
            output.item(&figure)?;
        }
        for figure in measurement.idle_memory() {
            output.item(&figure)?;
        }
        if let Some(minutes) = self.soak {
            progress.set(format!("requests for {minutes} minutes"));
            for figure in measurement.soak(load, minutes).await? {
                output.item(&figure)?;
            }
        }
        for figure in measurement.streams(self.streams.into(), &progress).await? {
            output.item(&figure)?;
        }
        Ok(())
    }
}

struct Measurement {
    testbed: Testbed,
    service: Service,
}

impl Measurement {
    /// One round of requests: to the service itself and through the gateway, many at once and one at a time.
    async fn requests(&mut self, load: &LoadArgs) -> anyhow::Result<Vec<Sample>> {
        let direct = self.service.chat_url();
        let gateway = format!("{}/v1/chat/completions", self.testbed.gateway_url());
        let call = [question(false)];
        let duration = Duration::from_secs(load.seconds.into());
        let clients = load.clients.into();
        // Nothing of an earlier round goes on.
        self.settle().await?;
        let alone = ask(&direct, &call, ANSWERED, 1, ALONE).await?;
        let alone_through = ask(&gateway, &call, SIGNED, 1, ALONE).await?;
        let (_, direct_per_second) = timed(&direct, &call, ANSWERED, clients, duration).await?;
        self.settle().await?;
        let (milliseconds, per_second) = timed(&gateway, &call, SIGNED, clients, duration).await?;
        let answered = Instant::now();
        self.settle().await?;
        let settled_after = answered.elapsed().as_secs_f64();
        self.testbed.check()?;
        let added = quantile(&alone_through, 50) - quantile(&alone, 50);
        Ok(vec![
            ("direct_per_second", direct_per_second, "1/s"),
            ("requests_per_second", per_second, "1/s"),
            ("request_p50", quantile(&milliseconds, 50), "ms"),
            ("request_p99", quantile(&milliseconds, 99), "ms"),
            ("added_latency_p50", added, "ms"),
            ("settled_after", settled_after, "s"),
        ])
    }

    /// Requests for so many minutes, and what memory the nodes have meanwhile.
    async fn soak(&self, load: &LoadArgs, minutes: u16) -> anyhow::Result<Vec<Figure>> {
        let gateway = format!("{}/v1/chat/completions", self.testbed.gateway_url());
        let call = [question(false)];
        let duration = Duration::from_secs(60) * minutes.into();
        let (asked, mut figures) = tokio::join!(
            timed(&gateway, &call, SIGNED, load.clients.into(), duration),
            soak::watch(&self.testbed, duration),
        );
        figures.push(Figure::single("soak_per_second", asked?.1, "1/s"));
        self.settle().await?;
        Ok(figures)
    }

    /// Waits until all records are final.
    async fn settle(&self) -> anyhow::Result<()> {
        let operators = self.testbed.gateway_operators().context("no gateway")?;
        let started = Instant::now();
        loop {
            let figures = metrics(operators).await?;
            ensure!(
                !figures.contains(REFUSED),
                "the chain refuses records: what is measured is something else"
            );
            if figure(&figures, PENDING)? <= 0.0 {
                return Ok(());
            }
            ensure!(
                started.elapsed() < SETTLE_TIMEOUT,
                "records are not final after {} s",
                SETTLE_TIMEOUT.as_secs()
            );
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }

    fn idle_memory(&self) -> Vec<Figure> {
        let names = ["gateway_memory_idle", "inference_memory_idle"];
        self.memory(names)
    }

    fn memory(&self, names: [&'static str; 2]) -> Vec<Figure> {
        let nodes = ["gateway", "inference-0"].into_iter().zip(names);
        nodes
            .filter_map(|(node, name)| {
                let megabytes = self.testbed.memory_of(node)?;
                Some(Figure::single(name, megabytes, "MB"))
            })
            .collect()
    }

    /// Opens so many streams at once, and ends them.
    async fn streams(&mut self, count: usize, progress: &Progress) -> anyhow::Result<Vec<Figure>> {
        progress.set(format!("{count} streams"));
        let url = format!("{}/v1/chat/completions", self.testbed.gateway_url());
        self.service.hold(true).await?;
        let streams = Streams::start(&url, &question(true), count).await?;
        let mut figures = vec![Figure::single(
            "open_streams",
            figure_of(streams.count()),
            "",
        )];
        figures.extend(self.memory(["gateway_memory", "inference_memory"]));
        self.service.hold(false).await?;
        streams.end(SIGNED).await?;
        self.testbed.check()?;
        Ok(figures)
    }
}

/// Asks for as long as `duration`; milliseconds of each request, and requests per second.
async fn timed(
    url: &str,
    calls: &[Value],
    expected: &'static str,
    clients: usize,
    duration: Duration,
) -> anyhow::Result<(Vec<f64>, f64)> {
    let started = Instant::now();
    let milliseconds = ask(url, calls, expected, clients, duration).await?;
    let per_second = figure_of(milliseconds.len()) / started.elapsed().as_secs_f64();
    Ok((milliseconds, per_second))
}

/// What a client asks. With a temperature, so that the answer is signed for OpenGradient's clients.
fn question(stream: bool) -> Value {
    json!({
        "model": MODEL,
        "messages": [{ "role": "user", "content": "Say twenty tokens." }],
        "temperature": 0.0,
        "stream": stream,
    })
}

/// The value of a figure without labels.
fn figure(metrics: &str, name: &str) -> anyhow::Result<f64> {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.with_context(|| format!("the gateway does not tell {name}"))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn figure_of(count: usize) -> f64 {
    count as f64
}
