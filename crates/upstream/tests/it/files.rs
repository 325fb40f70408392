//! Which files name a service.

use crate::limits;
use og_upstream::{Upstream, UpstreamAccess, UpstreamAuthority, UpstreamError, UpstreamKey};
use proptest::prelude::*;

fn open(fields: &str, keys: &UpstreamAccess) -> Result<(), UpstreamError> {
    Upstream::new(&format!("[relay]\n{fields}"), keys, limits()).map(drop)
}

#[test]
fn files_that_name_no_service_are_refused() {
    let none = UpstreamAccess::default();
    for url in [
        "",
        "api.example/v1",
        "ftp://api.example",
        "https://user:word@api.example",
        "https://api.example/?k=1",
        "https://api.example\\@other.example",
        "https:///api.example",
    ] {
        let error = open(&format!("url = {url:?}\nmodel = \"m\"\n"), &none);
        assert!(matches!(error, Err(UpstreamError::Url { .. })), "{url}");
    }
    let url = "url = \"https://a.example\"\n";
    for fields in [
        String::new(),
        "model = \"m\"\n".to_owned(),
        "urls = []\nmodel = \"m\"\n".to_owned(),
        format!("{url}urls = [\"https://a.example\"]\nmodel = \"m\"\n"),
        format!("urls = {:?}\nmodel = \"m\"\n", ["https://a.example"; 65]),
        format!("{url}model = \"\"\n"),
        format!("{url}model = \"m\"\nkey = \"k\"\n"),
        format!("{url}model = \"m\"\nservice = \"x\"\n"),
        format!("{url}model = \"m\"\nmax_requests = 0\n"),
        format!("{url}model = \"m\"\nmax_tokens = -1\n"),
        format!("{url}model = {:?}\n", "m".repeat(20_000)),
    ] {
        let error = open(&fields, &none);
        assert!(matches!(error, Err(UpstreamError::File(_))), "{fields}");
    }
}

#[test]
fn a_key_goes_nowhere_unencrypted() {
    let keys = UpstreamAccess {
        keys: [("api.example".to_owned(), UpstreamKey::new("k").unwrap())].into(),
        ..UpstreamAccess::default()
    };
    let with = |url: &str| open(&format!("url = {url:?}\nmodel = \"m\"\n"), &keys);
    assert_eq!(
        with("http://api.example/v1"),
        Err(UpstreamError::Unencrypted("api.example".to_owned()))
    );
    assert_eq!(with("https://api.example/v1"), Ok(()));
    assert_eq!(with("http://other.example/v1"), Ok(()));
    assert!(!format!("{keys:?}").contains("\"k\""));
    assert_eq!(
        UpstreamKey::new("two words").map(drop),
        Err(UpstreamError::Key)
    );
}

proptest! {
    #[test]
    fn any_text_names_a_service_or_is_refused(
        fields in prop::collection::vec(prop::sample::select(vec![
            "url = ", "urls = ", "model = ", "task = ", "service = ", "max_requests = ", "max_tokens = ",
            "\"https://a.example/v1\"\n", "\"m\"\n", "\"embeddings\"\n", "\"anthropic\"\n", "[]\n", "7\n", "-1\n", "\"\"\n", "\n",
        ]), 0..12),
        any in ".{0,40}",
    ) {
        let none = UpstreamAccess::default();
        let _ = open(&fields.concat(), &none);
        let _ = open(&any, &none);
        let _ = UpstreamAuthority::read_all(any.as_bytes());
        if let Ok(key) = UpstreamKey::new(&any) {
            prop_assert_eq!(format!("{key:?}"), "UpstreamKey(..)");
        }
    }
}
