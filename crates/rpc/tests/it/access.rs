//! Who is let in: names, pages in browsers, content types, proxies.

use crate::{
    memory::{Client, Memory},
    socket::Socket,
};
use og_rpc::{Access, app};
use prometheus_client::registry::Registry;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header::HeaderMap};
use serde_json::json;

const PAGE: &str = "https://app.example.org";
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;

async fn serve(access: Access) -> Client {
    Client::serve(app(Memory::new(), access, None, &mut Registry::default()).unwrap()).await
}

fn access(hosts: &[&str], origins: &[&str]) -> Access {
    let owned = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    Access::new(&owned(hosts), &owned(origins), &[]).unwrap()
}

fn call(client: &Client) -> RequestBuilder {
    let request = reqwest::Client::new().post(&client.url);
    request
        .header("content-type", "application/json")
        .body(CALL)
}

async fn send(request: RequestBuilder) -> (StatusCode, HeaderMap, String) {
    let response: Response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    (status, headers, response.text().await.unwrap())
}

#[tokio::test]
async fn only_names_that_are_allowed_are_answered_to() {
    let client = serve(Access::default()).await;
    for host in [
        "localhost",
        "LOCALHOST:8545",
        "127.0.0.1:8545",
        "10.1.2.3",
        "[::1]:8545",
    ] {
        let (status, _, _) = send(call(&client).header("host", host)).await;
        assert_eq!(status, 200, "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example:8545",
        "localhost@evil.example",
    ] {
        let (status, _, body) = send(call(&client).header("host", host)).await;
        assert_eq!(status, 403, "{host}");
        assert!(body.contains("rpc_allowed_hosts"), "{body}");
    }
    let client = serve(access(&["rpc.example.org"], &[])).await;
    for (host, allowed) in [("rpc.example.org", true), ("localhost", false)] {
        let (status, _, _) = send(call(&client).header("host", host)).await;
        assert_eq!(status == 200, allowed, "{host}");
    }
    let client = serve(access(&["*"], &[])).await;
    assert_eq!(
        send(call(&client).header("host", "any.example")).await.0,
        200
    );
}

#[tokio::test]
async fn browsers_let_in_only_pages_that_are_allowed() {
    for (origins, allowed) in [(&[][..], None), (&[PAGE], Some(PAGE)), (&["*"], Some("*"))] {
        let client = serve(access(&["localhost"], origins)).await;
        // What a browser asks before it sends a call of a page.
        let preflight = reqwest::Client::new()
            .request(Method::OPTIONS, &client.url)
            .header("origin", PAGE)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        let (_, headers, _) = send(preflight).await;
        let origin = |headers: &HeaderMap| {
            let value = headers.get("access-control-allow-origin");
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(origin(&headers).as_deref(), allowed);
        let methods = headers["access-control-allow-methods"].to_str().unwrap();
        assert!(methods.contains("POST"), "{methods}");
        // Programs, and browsers' extensions, are answered whatever they say of themselves.
        let (status, headers, _) = send(call(&client).header("origin", PAGE)).await;
        assert_eq!(status, 200);
        assert_eq!(origin(&headers).as_deref(), allowed);

        let socket = Socket::connect_from("127.0.0.1", &client, Some(PAGE)).await;
        match socket {
            Ok(mut socket) => {
                assert!(allowed.is_some());
                socket.ok("eth_chainId", json!([])).await;
            }
            Err(response) => {
                assert!(allowed.is_none());
                assert_eq!(response.status(), 403);
            }
        }
        Socket::connect(&client)
            .await
            .ok("eth_chainId", json!([]))
            .await;
    }
}

#[tokio::test]
async fn a_page_cannot_call_without_asking_first() {
    let client = serve(Access::default()).await;
    let http = reqwest::Client::new();
    // These are the types that a page may send without a preflight.
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let request = http.post(&client.url).header("content-type", content_type);
        assert_eq!(send(request.body(CALL)).await.0, 415, "{content_type}");
    }
    assert_eq!(send(http.post(&client.url).body(CALL)).await.0, 415);
    for content_type in ["application/json", "application/json; charset=utf-8"] {
        let request = http.post(&client.url).header("content-type", content_type);
        assert_eq!(send(request.body(CALL)).await.0, 200, "{content_type}");
    }
    assert_eq!(send(http.put(&client.url).body(CALL)).await.0, 405);
    assert_eq!(send(http.delete(&client.url)).await.0, 405);
    // Load balancers look whether a GET is answered.
    let (status, _, body) = send(http.get(&client.url)).await;
    assert_eq!(status, 200);
    assert!(body.contains("JSON-RPC"), "{body}");
}

#[tokio::test]
async fn no_method_signs_unlocks_or_administers() {
    let client = serve(Access::default()).await;
    for method in [
        "eth_sign",
        "eth_signTransaction",
        "eth_sendTransaction",
        "personal_unlockAccount",
        "personal_listAccounts",
        "admin_addPeer",
        "admin_nodeInfo",
        "admin_startHTTP",
        "miner_start",
        "debug_setHead",
        "debug_writeBlockProfile",
    ] {
        assert_eq!(client.error(method, json!([])).await.0, -32601, "{method}");
    }
    assert_eq!(client.ok("eth_accounts", json!([])).await, json!([]));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let list = |entry: &str| vec![entry.to_owned()];
    for host in [
        "",
        "http://rpc.example.org",
        "rpc.example.org:8545",
        "a b",
        "user@host",
    ] {
        let error = Access::new(&list(host), &[], &[]).unwrap_err();
        assert!(error.to_string().contains("name of a host"), "{error}");
    }
    for origin in [
        "",
        "app.example.org",
        "https://app.example.org/",
        "https://",
        "https://a b",
    ] {
        let error = Access::new(&[], &list(origin), &[]).unwrap_err();
        assert!(error.to_string().contains("origin"), "{error}");
    }
    for origin in ["http://localhost:3000", "chrome-extension://abcdefgh", "*"] {
        Access::new(&list("*"), &list(origin), &[]).unwrap();
    }
}
