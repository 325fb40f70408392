//! The gateway over TLS, as a client sees it that trusts the registry's certificate and no other.

use crate::network::{Conduct, Gateway, Node, Policy, Validator, identity};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// What the gateway answers to a question for its models, from a client that trusts this certificate.
async fn ask(gateway: &Gateway, trusted: &[u8]) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.to_vec().into()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(gateway.secure_address).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let name = "localhost".try_into().unwrap();
    let mut stream = connector.connect(name, stream).await?;
    let request = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn the_identitys_certificate_is_the_one_that_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
    let answer = ask(&gateway, identity().tls.certificate()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let other =
        og_opengradient::TlsIdentity::generate(&["localhost".to_owned()], &(0..=4_000_000_000));
    ask(&gateway, other.unwrap().certificate())
        .await
        .unwrap_err();
}
