//! A gateway that opens what it is sent and does what it is told in it.

use crate::chain::Row;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, StatusCode, header},
    routing::post,
};
use futures::stream;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use og_opengradient::{
    GatewayIdentity, TlsIdentity,
    ohttp::{CHUNKED_RESPONSE_MEDIA_TYPE, RESPONSE_MEDIA_TYPE},
};
use rand::{SeedableRng as _, rngs::StdRng};
use std::{
    convert::Infallible,
    sync::{Arc, LazyLock, Mutex},
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

const NONCE: [u8; 32] = [9; 32];
/// What published gateways put before the last chunk.
const BILLING: &[u8] = b"\n--opengradient-ohttp-billing-v1--\n\0\0\0\x02{}";

/// Keys that all tests share: making them takes a while.
pub(crate) static IDENTITY: LazyLock<GatewayIdentity> = LazyLock::new(|| {
    let mut random = StdRng::seed_from_u64(1);
    GatewayIdentity::generate(&[], &(0..=4_000_000_000), &mut random).expect("keys")
});

/// A gateway that runs.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) row: Row,
    /// The heads of the requests that came.
    pub(crate) heads: Arc<Mutex<Vec<HeaderMap>>>,
    /// A stream goes on, and a wait ends, with each permit.
    pub(crate) steps: Arc<Semaphore>,
}

impl Gateway {
    pub(crate) async fn begin() -> Self {
        Self::begin_with(&IDENTITY.tls).await
    }

    /// A gateway that shows this certificate.
    pub(crate) async fn begin_with(tls: &TlsIdentity) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let gateway = Self {
            row: Row {
                endpoint: format!("https://{address}/"),
                public_key: IDENTITY.signing.public_key().to_vec(),
                certificate: tls.certificate().to_vec(),
                ohttp_key: IDENTITY.ohttp.config().public_key.to_vec(),
            },
            heads: Arc::default(),
            steps: Arc::new(Semaphore::new(0)),
        };
        let app = Router::new()
            .route("/v1/ohttp", post(answer))
            .with_state(gateway.clone());
        tokio::spawn(serve(listener, acceptor(tls), app));
        gateway
    }
}

fn acceptor(tls: &TlsIdentity) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = tls.private_key().to_vec().try_into().expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![tls.certificate().to_vec().into()], key)
        .expect("a certificate");
    Arc::new(config).into()
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, app: Router) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let server = Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

async fn answer(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    sealed: Bytes,
) -> Response<Body> {
    gateway.heads.lock().expect("heads").push(headers);
    let Ok((request, responder)) = IDENTITY.ohttp.open(&sealed) else {
        return plain(
            StatusCode::BAD_REQUEST,
            "application/json",
            r#"{"error":"malformed"}"#,
        );
    };
    match request.as_slice() {
        b"refuse" => plain(
            StatusCode::TOO_MANY_REQUESTS,
            "application/json",
            r#"{"error":"full"}"#,
        ),
        b"refuse in HTML" => plain(StatusCode::NOT_FOUND, "text/html", "<h1>secret</h1>"),
        b"redirect" => plain(StatusCode::FOUND, "text/html", ""),
        b"unsealed" => plain(StatusCode::OK, "application/json", "{}"),
        b"wait" => {
            gateway.steps.acquire().await.expect("open").forget();
            sealed_answer(
                RESPONSE_MEDIA_TYPE,
                responder.seal(NONCE, b"waited").expect("sealed"),
            )
        }
        b"stream" | b"stream, broken off" => {
            let breaks = request != b"stream";
            let (head, sealer) = responder.seal_chunks(NONCE).expect("a stream");
            let parts = stream::unfold(Some((head, sealer, 0)), move |state| {
                let steps = Arc::clone(&gateway.steps);
                async move {
                    let (mut part, mut sealer, index) = state?;
                    if index < 3 {
                        part.extend(sealer.seal(format!("{index}").as_bytes()).expect("sealed"));
                        if index > 0 {
                            steps.acquire().await.expect("open").forget();
                        }
                        return Some((
                            Ok::<_, Infallible>(part),
                            Some((vec![], sealer, index + 1)),
                        ));
                    }
                    part.extend_from_slice(BILLING);
                    if !breaks {
                        part.extend(sealer.finish(b"end").expect("sealed"));
                    }
                    Some((Ok(part), None))
                }
            });
            sealed_answer(CHUNKED_RESPONSE_MEDIA_TYPE, Body::from_stream(parts))
        }
        b"not a stream" => sealed_answer(
            CHUNKED_RESPONSE_MEDIA_TYPE,
            [[7; 32].as_slice(), b"\x05"].concat(),
        ),
        question => {
            let answer = [b"answer to ", question].concat();
            sealed_answer(
                RESPONSE_MEDIA_TYPE,
                responder.seal(NONCE, &answer).expect("sealed"),
            )
        }
    }
}

fn plain(status: StatusCode, media_type: &str, body: &'static str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, media_type)
        .header(header::RETRY_AFTER, "7")
        .header(header::LOCATION, "https://127.0.0.1/elsewhere")
        .body(body.into())
        .expect("an answer")
}

fn sealed_answer(media_type: &str, body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .header(header::CONTENT_TYPE, media_type)
        .header(header::SET_COOKIE, "client=1")
        .header("x-inference-cost-opg", "5")
        .body(body.into())
        .expect("an answer")
}
