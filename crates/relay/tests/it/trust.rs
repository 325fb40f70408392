//! Whom a relay takes for the gateway: the holder of the registry's certificate and nobody else.

use crate::{
    gateway::{Gateway, IDENTITY},
    support::{Relay, error},
};
use og_opengradient::TlsIdentity;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

const TODAY: std::ops::RangeInclusive<i64> = 0..=4_000_000_000;

/// What asking comes to when the gateway shows one certificate and the registry has another.
async fn asked(shown: &TlsIdentity, registered: &TlsIdentity) -> u16 {
    let mut gateway = Gateway::begin_with(shown).await;
    gateway.row.certificate = registered.certificate().to_vec();
    let relay = Relay::of(&gateway).await;
    let (response, _) = relay.ask("question").await;
    match response.status().as_u16() {
        200 => 200,
        _ => error(response).await.0,
    }
}

#[tokio::test]
async fn a_gateway_shows_the_certificate_of_the_registry_or_is_not_spoken_to() {
    assert_eq!(asked(&IDENTITY.tls, &IDENTITY.tls).await, 200);
    let other = TlsIdentity::generate(&["127.0.0.1".to_owned()], &TODAY).expect("a certificate");
    assert_eq!(asked(&other, &IDENTITY.tls).await, 502);
    assert_eq!(asked(&IDENTITY.tls, &other).await, 502);
}

#[tokio::test]
async fn a_certificate_is_good_within_its_dates_only() {
    for dates in [0..=1, 4_000_000_000..=4_000_000_001] {
        let out_of_date = TlsIdentity::generate(&[], &dates).expect("a certificate");
        assert_eq!(asked(&out_of_date, &out_of_date).await, 502, "{dates:?}");
    }
}

/// Published clients take certificates that may sign others, so some gateways have one.
#[tokio::test]
async fn a_certificate_that_may_sign_others_is_good_if_it_is_the_very_one() {
    let may_sign = |not_after: i32| {
        let mut parameters = CertificateParams::new([]).expect("parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.not_after = rcgen::date_time_ymd(not_after, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        TlsIdentity::from_parts(certificate.der().to_vec(), key.serialize_der().into())
            .expect("an identity")
    };
    let good = may_sign(4000);
    assert_eq!(asked(&good, &good).await, 200);
    assert_eq!(asked(&may_sign(4000), &good).await, 502);
    let expired = may_sign(2020);
    assert_eq!(asked(&expired, &expired).await, 502);
}
