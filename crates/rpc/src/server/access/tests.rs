//! Whatever stands in the headers.

use super::*;

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

#[test]
fn a_client_is_who_a_trusted_proxy_says_and_nobody_else_says_it() {
    let access = Access::new(&[], &[], &[PROXY]).unwrap();
    let named = headers(&[("x-forwarded-for", b"198.51.100.1, 203.0.113.7")]);
    assert_eq!(access.client(PROXY, &named), Client(PEER));
    let other = IpAddr::from([10, 0, 0, 2]);
    assert_eq!(access.client(other, &named), Client(other));
    // What a proxy adds comes last, in the same header or in one more.
    let twice = headers(&[
        ("x-forwarded-for", b"198.51.100.1"),
        ("x-forwarded-for", b"203.0.113.7"),
    ]);
    assert_eq!(access.client(PROXY, &twice), Client(PEER));
    for nonsense in [&b""[..], b"unknown", b"203.0.113.7:80, \xff", b","] {
        let named = headers(&[("x-forwarded-for", nonsense)]);
        assert_eq!(access.client(PROXY, &named), Client(PROXY));
    }
    let mapped = "::ffff:10.0.0.1".parse().unwrap();
    assert_eq!(access.client(mapped, &named), Client(PEER));
}

#[test]
fn whatever_is_written_around_a_name_only_the_name_counts() {
    let access = Access::default();
    let allows = |host: &[u8]| access.allows_host(&HeaderValue::from_bytes(host).unwrap());
    for host in [
        &b""[..],
        b"localhost",
        b"LocalHost:1",
        b"localhost:",
        b"127.0.0.1:8545",
        b"[2001:db8::1]",
    ] {
        assert!(allows(host), "{}", host.escape_ascii());
    }
    for host in [
        &b" "[..],
        b"localhost.",
        b"localhost.evil.example",
        b"evil.example:localhost",
        b"localhost@evil.example",
        b"evil.example#localhost",
        b"evil.example/localhost",
        b"localhost,evil.example",
        b"\xff",
        b"[localhost",
        b"127.0.0.1.evil.example",
    ] {
        assert!(!allows(host), "{}", host.escape_ascii());
    }
}
