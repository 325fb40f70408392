//! A gateway's keys: kept, read back, and never shown.

use crate::vectors::{bytes, text};
use alloy_primitives::{B256, hex};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use og_opengradient::{
    GatewayIdentity, IdentityError, SigningKey, TlsIdentity,
    ohttp::{KeyConfig, OhttpError},
    verify,
};
use rand::{SeedableRng as _, rngs::StdRng};
use std::sync::LazyLock;

const YEAR_2020: i64 = 1_577_836_800;
const YEAR_2100: i64 = 4_102_444_800;

static IDENTITY: LazyLock<GatewayIdentity> = LazyLock::new(|| {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut random = StdRng::seed_from_u64(1);
    GatewayIdentity::generate(&names, &(YEAR_2020..=YEAR_2100), &mut random).expect("keys")
});

#[test]
fn an_identity_is_the_same_after_it_was_kept() {
    let file = IDENTITY.to_bytes().expect("a file");
    let again = GatewayIdentity::from_bytes(&file).expect("an identity");
    assert_eq!(again.to_bytes(), Ok(file));
    assert_eq!(again.signing.tee_id(), IDENTITY.signing.tee_id());
    assert_eq!(again.ohttp.config(), IDENTITY.ohttp.config());
    assert_eq!(again.tls.certificate(), IDENTITY.tls.certificate());
    let hash = B256::repeat_byte(7);
    let signature = again.signing.sign(hash).expect("a signature");
    assert!(verify(IDENTITY.signing.public_key(), hash, &signature));
}

#[test]
fn private_parts_are_in_no_debug_output() {
    let shown = format!("{:?}", *IDENTITY);
    let file = IDENTITY.to_bytes().expect("a file");
    for block in pem::parse_many(file.as_slice()).expect("PEM") {
        if block.tag() == "PRIVATE KEY" {
            let secret = &block.contents()[block.contents().len() - 32..];
            assert!(!shown.contains(&hex::encode(secret)));
            assert!(!shown.contains(&format!("{secret:?}")));
        }
    }
    assert!(shown.len() < 1_000, "{shown}");
}

#[test]
fn a_file_that_is_no_identity_is_refused() {
    let file = IDENTITY.to_bytes().expect("a file");
    let text = str::from_utf8(&file).expect("text");
    let refused = |text: &str| GatewayIdentity::from_bytes(text.as_bytes()).expect_err("refused");
    assert_eq!(refused(""), IdentityError::Format);
    assert_eq!(
        refused(&text.replace("version 1", "version 2")),
        IdentityError::Format
    );
    let (one_less, _) = text.rsplit_once("-----BEGIN").expect("blocks");
    assert_eq!(refused(one_less), IdentityError::Format);
    assert_eq!(refused(&format!("{text}{text}")), IdentityError::Format);
    assert_eq!(
        refused(&format!("{text}{}", " ".repeat(70_000))),
        IdentityError::Format
    );
    // The certificate of another key.
    let other = TlsIdentity::generate(&[], &(YEAR_2020..=YEAR_2100)).expect("a certificate");
    let mut blocks = pem::parse_many(text).expect("PEM");
    blocks[1] = pem::Pem::new("CERTIFICATE", other.certificate());
    let title = text.lines().next().expect("a title");
    let mixed = format!("{title}\n{}", pem::encode_many(&blocks));
    assert_eq!(
        refused(&mixed).to_string(),
        "the key is not the one of its certificate"
    );
}

#[test]
fn only_rsa_2048_signs() {
    let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa3072).expect("a key");
    let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key);
    let error = SigningKey::from_pkcs8(der.expect("PKCS#8").as_ref()).expect_err("3072 bits");
    assert_eq!(
        error.to_string(),
        "the signing key has 3072 bits: only RSA-2048 is read"
    );
}

#[test]
fn the_ohttp_configuration_is_signed_as_the_registry_verifies_it() {
    let config = KeyConfig::new(crate::vectors::array("/ohttp_config/public_key"));
    assert_eq!(config.to_bytes(), bytes("/ohttp_config/key_config_hex"));
    assert_eq!(KeyConfig::from_bytes(&config.to_bytes()), Ok(config));
    let tee_id = text("/tee/tee_id").parse().expect("a hash");
    assert_eq!(
        hex::encode(config.hash(tee_id)),
        text("/ohttp_config/config_hash")
    );
    for index in [1, 4, 36, 40] {
        let mut other_suite = config.to_bytes();
        other_suite[index] ^= 1;
        let other_suite = KeyConfig::from_bytes(&other_suite);
        assert!(other_suite == Err(OhttpError::Config) || index == 4);
    }
    let signed = IDENTITY.signed_ohttp_config().expect("a signature");
    let signature = BASE64_STANDARD.decode(&signed.signature).expect("base64");
    let hash = signed.signature_hash.parse().expect("a hash");
    assert!(verify(IDENTITY.signing.public_key(), hash, &signature));
    assert_eq!(
        hash,
        IDENTITY.ohttp.config().hash(IDENTITY.signing.tee_id())
    );
}

/// What published clients do: the certificate is the only trust anchor.
#[test]
fn the_certificate_is_its_own_trust_anchor_and_has_its_names() {
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    let certificate = CertificateDer::from(IDENTITY.tls.certificate());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).expect("an anchor");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider.into());
    let verifier = verifier.build().expect("a verifier");
    let at = |seconds: i64, name: &'static str| {
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds as u64));
        let name = ServerName::try_from(name).expect("a name");
        rustls::client::danger::ServerCertVerifier::verify_server_cert(
            verifier.as_ref(),
            &certificate,
            &[],
            &name,
            &[],
            time,
        )
    };
    assert!(at(YEAR_2020 + 1, "localhost").is_ok());
    assert!(at(YEAR_2020 + 1, "127.0.0.1").is_ok());
    assert!(at(YEAR_2020 + 1, "example.org").is_err());
    assert!(at(YEAR_2020 - 1, "localhost").is_err());
    assert!(at(YEAR_2100 + 1, "localhost").is_err());
}
