//! HTTP to a gateway: which models there are, asking one, fetching receipts.

use super::{body, http};
use crate::failure::failure;
use anyhow::Context as _;
use og_node::network::Endpoints;
use og_types::{
    Computed, ModelDescription, ModelId, ModelInfo, NodeId, RequestId, Tensor,
    tensor_json::tensors_from_json,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long an answer may take to become final.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_PAUSE: Duration = Duration::from_millis(20);

/// Which gateway to ask.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GatewayArgs {
    /// Address of the gateway, for example http://127.0.0.1:8745.
    #[arg(long, value_name = "URL", conflicts_with = "dir")]
    gateway: Option<String>,
    /// Folder of a network on this machine, whose gateway is asked.
    #[arg(long, value_name = "DIR", default_value = "devnet")]
    dir: PathBuf,
}

impl GatewayArgs {
    pub(crate) fn gateway(&self) -> anyhow::Result<Gateway> {
        match &self.gateway {
            Some(url) => Ok(Gateway::new(url)),
            None => Ok(Gateway::new(&Endpoints::read(&self.dir)?.gateway)),
        }
    }
}

/// A gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    http: reqwest::Client,
    url: String,
}

/// A model that a gateway offers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "ListedModel")]
pub(crate) struct OfferedModel {
    #[serde(flatten)]
    pub(crate) info: ModelInfo,
    /// Number of nodes that offer it.
    pub(crate) nodes: usize,
}

/// A model as a gateway lists it: its name is what OpenAI's clients call its id.
#[derive(Deserialize)]
struct ListedModel {
    id: String,
    hash: ModelId,
    computed: Computed,
    #[serde(flatten)]
    description: ModelDescription,
    nodes: usize,
}

impl From<ListedModel> for OfferedModel {
    fn from(listed: ListedModel) -> Self {
        Self {
            info: ModelInfo {
                id: listed.hash,
                name: listed.id,
                computed: listed.computed,
                description: listed.description,
            },
            nodes: listed.nodes,
        }
    }
}

/// A model's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) request_id: RequestId,
    pub(crate) model: ModelId,
    pub(crate) outputs: Map<String, Value>,
    pub(crate) computed: String,
    pub(crate) tier: String,
    pub(crate) node: NodeId,
}

impl Answer {
    /// The outputs as tensors, which should be those of `description`.
    pub(crate) fn tensors(&self, description: ModelDescription) -> anyhow::Result<Vec<Tensor>> {
        let outputs = ModelDescription {
            inputs: description.outputs,
            outputs: vec![],
        };
        tensors_from_json(&Value::from(self.outputs.clone()), &outputs)
            .context("the gateway's answer is not what such a model gives")
    }
}

#[derive(Deserialize)]
struct ModelList {
    data: Vec<OfferedModel>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    message: String,
    param: Option<String>,
}

impl Gateway {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            http: http(),
            url: url.trim_end_matches('/').to_owned(),
        }
    }

    pub(crate) async fn models(&self) -> anyhow::Result<Vec<OfferedModel>> {
        let list: ModelList = self.json(self.http.get(self.at("/v1/models"))).await?;
        Ok(list.data)
    }

    /// The model with this name or id.
    pub(crate) async fn model(&self, name: &str) -> anyhow::Result<OfferedModel> {
        let id: Option<ModelId> = name.parse().ok();
        self.models()
            .await?
            .into_iter()
            .find(|model| model.info.name == name || Some(model.info.id) == id)
            .ok_or_else(|| {
                failure(
                    format!("no node offers a model {name:?}"),
                    "`og model list` shows what is offered; `og model add` adds one",
                )
            })
    }

    /// Asks a model; `request` is the body of `POST /v1/infer`.
    pub(crate) async fn infer(&self, request: &Value) -> anyhow::Result<Answer> {
        self.json(self.http.post(self.at("/v1/infer")).json(request))
            .await
    }

    /// Waits until an answer is final; the bytes of its receipt.
    pub(crate) async fn wait_for_receipt(&self, id: &RequestId) -> anyhow::Result<Vec<u8>> {
        let started = Instant::now();
        loop {
            let response = self
                .send(self.http.get(self.at(&format!("/v1/receipts/{id}"))))
                .await?;
            if response.status() != reqwest::StatusCode::ACCEPTED {
                return body(response).await;
            }
            if started.elapsed() > RECEIPT_TIMEOUT {
                return Err(failure(
                    format!("the answer {id} is not final after a minute"),
                    "check that at least two thirds of the validators run: `og devnet status --dir DIR`",
                ));
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn json<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> anyhow::Result<T> {
        let bytes = body(self.send(request).await?).await?;
        serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "{} is not a gateway of this version: its answer cannot be read",
                self.url
            )
        })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let response = request.send().await.map_err(|error| {
            failure(
                format!("no answer from the gateway at {}: {error}", self.url),
                "start a network with `og devnet`, or say where one is with --gateway URL or --dir DIR",
            )
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = body(response).await?;
        let (message, next) = match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(ErrorBody { error }) => {
                let field = error
                    .param
                    .map(|param| format!("{param}: "))
                    .unwrap_or_default();
                (
                    format!("{field}{}", error.message),
                    "correct the request and ask again; `og model show NAME` lists a model's inputs",
                )
            }
            Err(_) => (
                format!("status {status}"),
                "check that this is the address of a gateway",
            ),
        };
        Err(failure(
            format!("the gateway at {} refused: {message}", self.url),
            next,
        ))
    }
}
