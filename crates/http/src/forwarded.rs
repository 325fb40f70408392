//! Who a client is behind a proxy.

use axum::http::HeaderMap;
use std::net::IpAddr;

/// Where a proxy names those for whom it asks, the nearest last.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Who sent a request that came from `peer`: `peer` itself, or whom it names in `X-Forwarded-For` if
/// it is one of the trusted `proxies`. For sharing limits out, not for letting anybody in.
pub fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> IpAddr {
    if !proxies.contains(&peer.to_canonical()) {
        return peer;
    }
    // Whoever is named before the last was named by the client itself.
    let named = headers.get_all(FORWARDED_FOR).iter().next_back();
    let last = named
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next())
        .and_then(|address| address.trim().parse().ok());
    last.unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_trusted_proxy_is_believed_about_the_last_it_names_and_nobody_else() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, "10.0.0.8".parse().unwrap());
        headers.append(FORWARDED_FOR, "10.0.0.9, 10.0.0.1".parse().unwrap());
        let proxies = [address("127.0.0.1")];
        let of = |peer: &str, headers: &HeaderMap| client(address(peer), headers, &proxies);
        assert_eq!(of("127.0.0.1", &headers), address("10.0.0.1"));
        assert_eq!(of("::ffff:127.0.0.1", &headers), address("10.0.0.1"));
        assert_eq!(of("10.0.0.2", &headers), address("10.0.0.2"));
        headers.insert(FORWARDED_FOR, "nobody".parse().unwrap());
        assert_eq!(of("127.0.0.1", &headers), address("127.0.0.1"));
        assert_eq!(of("127.0.0.1", &HeaderMap::new()), address("127.0.0.1"));
    }
}
