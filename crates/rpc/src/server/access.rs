//! Who may use the interface: names that it answers under, pages that browsers let in, and who a
//! client is behind a proxy.
//!
//! A web page can make its visitor's browser ask any host that the visitor reaches. The browser
//! gives the answer to the page only if the server names the page's origin (CORS), but it does not
//! ask before it opens a WebSocket, so the server must. And a page can give its own name the
//! address of the visitor's node (DNS rebinding); then the request's `Host` is that name.

use axum::{
    Router,
    extract::{Request, State},
    http::{
        Extensions, HeaderMap, HeaderValue, Method, StatusCode,
        header::{HOST, ORIGIN, RETRY_AFTER, UPGRADE},
        uri::Authority,
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use og_http::Connection;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// What stands for every name or every origin.
const ANY: &str = "*";
/// How long a browser may remember what a page is allowed, as Ethereum's nodes say.
const CORS_LIFETIME: Duration = Duration::from_secs(600);

/// A setting that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Not the name of a host.
    #[error(
        "{0:?} is not the name of a host: write for example \"rpc.example.org\", without scheme and port, or \"*\" for all"
    )]
    Host(String),
    /// Not an origin.
    #[error(
        "{0:?} is not an origin: write for example \"https://app.example.org\" as a browser would, without a path, or \"*\" for all"
    )]
    Origin(String),
}

/// Who is let in. The default is the safest: requests to an IP address or to `localhost`, and no
/// pages in browsers.
#[derive(Clone, Debug)]
pub struct Access {
    hosts: List,
    origins: List,
    proxies: Vec<IpAddr>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            hosts: List::Some(vec!["localhost".to_owned()]),
            origins: List::Some(vec![]),
            proxies: vec![],
        }
    }
}

/// Entries, or all there could be.
#[derive(Clone, Debug)]
enum List {
    All,
    Some(Vec<String>),
}

impl List {
    fn new(entries: &[String]) -> Self {
        if entries.iter().any(|entry| entry == ANY) {
            return Self::All;
        }
        let entries = entries.iter().map(|entry| entry.to_ascii_lowercase());
        Self::Some(entries.collect())
    }

    fn has(&self, entry: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(entries) => entries.iter().any(|one| entry.eq_ignore_ascii_case(one)),
        }
    }
}

impl Access {
    /// Answers requests whose `Host` is an IP address or among `hosts`, to programs and to pages of
    /// `origins`; `*` means all. Of requests from `proxies`, `X-Forwarded-For` names the client.
    ///
    /// # Errors
    /// [`AccessError`] says which entry is wrong.
    pub fn new(
        hosts: &[String],
        origins: &[String],
        proxies: &[IpAddr],
    ) -> Result<Self, AccessError> {
        if let Some(host) = hosts.iter().find(|host| *host != ANY && !is_host(host)) {
            return Err(AccessError::Host(host.clone()));
        }
        if let Some(origin) = origins.iter().find(|one| *one != ANY && !is_origin(one)) {
            return Err(AccessError::Origin(origin.clone()));
        }
        Ok(Self {
            hosts: List::new(hosts),
            origins: List::new(origins),
            proxies: proxies.to_vec(),
        })
    }

    /// `app`, for those who are let in.
    pub(super) fn guard(self, app: Router) -> Router {
        let origins = match &self.origins {
            List::All => AllowOrigin::any(),
            List::Some(origins) => AllowOrigin::list(
                origins
                    .iter()
                    .filter_map(|origin| HeaderValue::from_str(origin).ok()),
            ),
        };
        let cors = CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::POST, Method::GET])
            .allow_headers(Any)
            .expose_headers([RETRY_AFTER])
            .max_age(CORS_LIFETIME);
        app.layer(cors)
            .layer(from_fn_with_state(Arc::new(self), check))
    }

    /// Whether a request may come in; if not, why.
    fn check(&self, headers: &HeaderMap) -> Result<(), String> {
        if let Some(host) = headers.get(HOST)
            && !self.allows_host(host)
        {
            return Err(format!(
                "invalid host specified: this node does not answer to {host:?}; its operator can add the name to rpc_allowed_hosts\n"
            ));
        }
        if headers.contains_key(UPGRADE)
            && let Some(origin) = headers.get(ORIGIN)
            && !origin.to_str().is_ok_and(|origin| self.origins.has(origin))
        {
            return Err(format!(
                "origin not allowed: this node takes no WebSockets of pages of {origin:?}; its operator can add the origin to rpc_allowed_origins\n"
            ));
        }
        Ok(())
    }

    /// An IP address cannot have been rebound, and a request without a name is of no browser.
    fn allows_host(&self, host: &HeaderValue) -> bool {
        let Ok(authority) = Authority::try_from(host.as_bytes()) else {
            return host.is_empty();
        };
        let name = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        name.parse::<IpAddr>().is_ok() || self.hosts.has(name)
    }

    /// Who asks.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        Client(og_http::client(peer, headers, &self.proxies))
    }
}

fn is_host(name: &str) -> bool {
    Authority::try_from(name).is_ok_and(|authority| authority.host() == name)
}

fn is_origin(origin: &str) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority
        .is_some_and(|authority| Authority::try_from(authority).is_ok() && !authority.contains('@'))
}

/// Who asks: an address among those with which [`og_http::Shares`] are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client(pub(crate) IpAddr);

impl Client {
    /// The client of a request with these extensions.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        // Every request has one; what had none would share with others of its kind.
        let unknown = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        extensions.get().copied().unwrap_or(unknown)
    }
}

async fn check(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    if let Err(reason) = access.check(request.headers()) {
        return (StatusCode::FORBIDDEN, reason).into_response();
    }
    let Some(connection) = request.extensions().get::<Connection>() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let client = access.client(connection.peer(), request.headers());
    request.extensions_mut().insert(client);
    next.run(request).await
}

#[cfg(test)]
mod tests;
