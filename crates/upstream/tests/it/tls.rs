//! Servers over TLS: those that an authority of one's own has certified are asked, others get nothing.

use crate::{
    limits,
    player::{Player, says},
    whole,
};
use og_upstream::{AskError, Upstream, UpstreamAccess, UpstreamAuthority, UpstreamKey};
use pem::Pem;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority() -> Authority {
    let mut parameters = CertificateParams::new([]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// What a server shows whose certificate is for `name`.
pub(crate) fn certified(authority: &Authority, name: &str) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

/// A server whose certificate is for `name`.
async fn server(authority: &Authority, name: &str) -> Player {
    Player::secure(certified(authority, name), |_| says("Hi")).await
}

/// The model at a server's address, for a node that trusts these authorities.
pub(crate) fn model(host: &str, authorities: &[&Authority]) -> Upstream {
    let (_, port) = host.split_once(':').unwrap();
    let host = format!("localhost:{port}");
    let pem = authorities
        .iter()
        .map(|one| Pem::new("CERTIFICATE", one.as_ref().der().to_vec()));
    let pem = pem::encode_many(&pem.collect::<Vec<_>>());
    let access = UpstreamAccess {
        keys: [(host.clone(), UpstreamKey::new("secret").unwrap())].into(),
        authorities: match authorities {
            [] => vec![],
            _ => UpstreamAuthority::read_all(pem.as_bytes()).unwrap(),
        },
    };
    let file = format!("[relay]\nurl = \"https://{host}/v1\"\nmodel = \"m\"\n");
    Upstream::new(&file, &access, limits()).unwrap()
}

#[tokio::test]
async fn a_server_that_a_trusted_authority_certified_gets_the_key_and_answers() {
    let (ours, other) = (authority(), authority());
    let server = server(&ours, "localhost").await;
    let reply = whole(&model(&server.host, &[&other, &ours])).await.unwrap();
    assert_eq!(reply.said.text, "Hi");
    assert!(reply.upstream.starts_with("localhost:"));
    let asked = server.seen.questions();
    assert_eq!(asked[0].headers["authorization"], "Bearer secret");
}

#[tokio::test]
async fn other_servers_get_nothing() {
    let (ours, other) = (authority(), authority());
    let unknown = server(&other, "localhost").await;
    let misnamed = server(&ours, "other.example").await;
    for (server, trusted) in [
        (&unknown, vec![&ours]),
        (&unknown, vec![]),
        (&misnamed, vec![&ours]),
    ] {
        let error = whole(&model(&server.host, &trusted)).await.unwrap_err();
        assert!(
            matches!(&error, AskError::Failed(text) if text.contains("certificate")),
            "{error}"
        );
        assert!(server.seen.questions().is_empty());
    }
}

#[test]
fn a_file_without_certificates_is_refused() {
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    for text in ["", private, cut] {
        let read = UpstreamAuthority::read_all(text.as_bytes());
        assert!(read.is_err(), "{text}");
    }
    // A certificate that is none is found when connections are to be made.
    let none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let access = UpstreamAccess {
        authorities: UpstreamAuthority::read_all(none.as_bytes()).unwrap(),
        ..UpstreamAccess::default()
    };
    let file = "[relay]\nurl = \"https://a.example\"\nmodel = \"m\"\n";
    assert!(Upstream::new(file, &access, limits()).is_err());
}
