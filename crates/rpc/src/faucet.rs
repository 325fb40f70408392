//! The faucet of a development network: `POST /faucet` gives tokens to whoever asks.
//!
//! It holds a key, so that key must be worth nothing elsewhere, and nothing here signs anything but
//! one transfer of a set amount. Whoever asks too often is told when to come back.

mod limits;

use crate::{
    chain::{Chain, ReadError, SubmitError},
    eth::indexed,
    server::Client,
};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, U256};
use alloy_signer::{Error as SignError, SignerSync as _};
use alloy_signer_local::PrivateKeySigner;
use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse as _, Response},
    routing::post,
};
use limits::Limits;
use og_chain::{Account, Key, fees::next_base_fee};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, time::sleep};

/// Longest request, in bytes: an address takes 58.
const MAX_BODY_BYTES: usize = 1024;
/// Most gas of a gift: a transfer takes 21,000, one to an account with code somewhat more.
const GAS_LIMIT: u64 = 60_000;
/// Tip per gas, in wei: enough to be among the first.
const TIP_PER_GAS: u128 = 1_000_000_000;
/// How long a gift may take to be final before it is answered that it is on its way.
const FINAL_TIMEOUT: Duration = Duration::from_secs(10);
const FINAL_PAUSE: Duration = Duration::from_millis(20);
const WEI_PER_OPG: u64 = 1_000_000_000_000_000_000;

/// What a faucet gives, and from which account.
#[derive(Clone)]
pub struct Faucet {
    signer: PrivateKeySigner,
    opg: u64,
}

impl std::fmt::Debug for Faucet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Faucet({} OPG of {})", self.opg, self.signer.address())
    }
}

impl Faucet {
    /// A faucet that gives `opg` whole tokens a time from the account of `signer`.
    pub const fn new(signer: PrivateKeySigner, opg: u64) -> Self {
        Self { signer, opg }
    }

    /// The route `POST /faucet`.
    pub(crate) fn route<C: Chain>(self, chain: Arc<C>) -> Router {
        let service = Service {
            chain,
            faucet: self,
            limits: Mutex::new(Limits::new(Instant::now())),
        };
        Router::new()
            .route("/faucet", post(give::<C>))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::new(service))
    }
}

struct Service<C> {
    chain: Arc<C>,
    faucet: Faucet,
    /// Held from the check of a request until its transaction waits in the mempool, so that gifts
    /// follow each other and so do their nonces.
    limits: Mutex<Limits>,
}

#[derive(Deserialize)]
struct Request {
    address: String,
}

/// A gift that is final, or on its way.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Gift {
    transaction_hash: B256,
    to: Address,
    opg: u64,
    /// The block in which it became final; absent if it is not yet.
    block_number: Option<u64>,
}

/// Why nothing is given.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}: send {{\"address\":\"0x...\"}} with 40 hexadecimal digits")]
    Request(&'static str),
    #[error("the request is longer than {MAX_BODY_BYTES} bytes")]
    TooLong,
    #[error("{whose} had as much as it may have for now: come back in {} seconds", seconds(*wait))]
    TooOften { whose: &'static str, wait: Duration },
    #[error("the faucet is empty: its account {0} needs more tokens")]
    Empty(Address),
    #[error("the chain does not take the transfer now, try again: {0}")]
    NotTaken(String),
    #[error("{0} does not take tokens: its code reverted the transfer {1}")]
    Reverted(Address, B256),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the transfer cannot be signed")]
    Sign(#[from] SignError),
}

/// Whole seconds, rounded up: one who comes back then is not told the same again.
const fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + if wait.subsec_nanos() > 0 { 1 } else { 0 }
}

impl Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Request(_) => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooOften { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Reverted(..) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Empty(_) | Self::NotTaken(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Read(_) | Self::Sign(_) => {
                tracing::error!(error = %self, "the faucet failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let body = Json(json!({ "error": self.to_string() }));
        let mut response = (status, body).into_response();
        if let Self::TooOften { wait, .. } = self {
            let seconds = HeaderValue::from(seconds(wait));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

async fn give<C: Chain>(
    State(service): State<Arc<Service<C>>>,
    Extension(client): Extension<Client>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Ok(body) = body else {
        return Refusal::TooLong.into_response();
    };
    match service.give(client.0, &body).await {
        Ok(gift) => {
            let status = match gift.block_number {
                Some(_) => StatusCode::OK,
                None => StatusCode::ACCEPTED,
            };
            (status, Json(gift)).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

impl<C: Chain> Service<C> {
    async fn give(&self, client: IpAddr, body: &[u8]) -> Result<Gift, Refusal> {
        let to = address(body)?;
        let mut limits = self.limits.lock().await;
        let now = Instant::now();
        if let Some((whose, wait)) = limits.wait(client, to, now) {
            return Err(Refusal::TooOften { whose, wait });
        }
        let transaction_hash = self.send(to).await?;
        limits.charge(client, to, now);
        drop(limits);
        Ok(Gift {
            transaction_hash,
            to,
            opg: self.faucet.opg,
            block_number: self.wait_until_final(to, transaction_hash).await?,
        })
    }

    /// Puts the transfer of a gift into the mempool; its hash.
    async fn send(&self, to: Address) -> Result<B256, Refusal> {
        let signer = &self.faucet.signer;
        let from = signer.address();
        let view = self.chain.state(vec![Key::account(from)]).await?;
        let account = view.values.first().and_then(Option::as_ref);
        let account = Account::from_value(account)
            .map_err(|_| ReadError("the faucet's account is malformed".to_owned()))?;
        let value = U256::from(self.faucet.opg).saturating_mul(U256::from(WEI_PER_OPG));
        // Twice the base fee outlasts six full blocks, each of which raises it by an eighth.
        let base_fee = u128::from(next_base_fee(&view.header));
        let max_fee_per_gas = base_fee.saturating_mul(2).saturating_add(TIP_PER_GAS);
        let gas = U256::from(GAS_LIMIT).saturating_mul(U256::from(max_fee_per_gas));
        if account.balance < value.saturating_add(gas) {
            return Err(Refusal::Empty(from));
        }
        let transaction = TxEip1559 {
            chain_id: self.chain.rules().chain_id(),
            nonce: self
                .chain
                .pending_nonce(&from)
                .map_or(account.nonce, |next| next.max(account.nonce)),
            gas_limit: GAS_LIMIT,
            max_fee_per_gas,
            max_priority_fee_per_gas: TIP_PER_GAS,
            to: to.into(),
            value,
            ..TxEip1559::default()
        };
        let signature = signer.sign_hash_sync(&transaction.signature_hash())?;
        let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
        let sent = self.chain.submit_transaction(raw.into()).await;
        sent.map_err(|error| match error {
            SubmitError::Refused(reason) | SubmitError::NotNow(reason) => Refusal::NotTaken(reason),
            SubmitError::Internal(reason) => Refusal::Read(ReadError(reason)),
        })
    }

    /// The block in which a gift became final, or `None` if that takes too long to wait for.
    async fn wait_until_final(&self, to: Address, hash: B256) -> Result<Option<u64>, Refusal> {
        let started = Instant::now();
        while started.elapsed() < FINAL_TIMEOUT {
            let found = indexed(&*self.chain, move |index| {
                let Some((block, position)) = index.transaction(&hash)? else {
                    return Ok(None);
                };
                let height = block.header().height;
                let receipts = index.receipts(height)?;
                let success = receipts
                    .get(position as usize)
                    .is_some_and(|receipt| receipt.success);
                Ok(Some((height, success)))
            });
            let found = found
                .await
                .map_err(|error| ReadError(error.message().to_owned()))?;
            match found {
                Some((height, true)) => return Ok(Some(height)),
                Some((_, false)) => return Err(Refusal::Reverted(to, hash)),
                None => sleep(FINAL_PAUSE).await,
            }
        }
        Ok(None)
    }
}

/// The address that a request names. What kind of content it says it is does not matter: `curl -d`
/// says that it is a form.
fn address(body: &[u8]) -> Result<Address, Refusal> {
    let request: Request = serde_json::from_slice(body)
        .map_err(|_| Refusal::Request("this is not JSON with an address"))?;
    let text = request.address.trim();
    let address: Address = text
        .parse()
        .map_err(|_| Refusal::Request("the address is none"))?;
    let digits = text.trim_start_matches("0x");
    let is_mixed = digits != digits.to_lowercase() && digits != digits.to_uppercase();
    if is_mixed && Address::parse_checksummed(text, None).is_err() {
        return Err(Refusal::Request(
            "the address is mistyped, its checksum is wrong",
        ));
    }
    if address.is_zero() {
        return Err(Refusal::Request("the address is zero"));
    }
    Ok(address)
}
