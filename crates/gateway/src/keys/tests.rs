//! Keys, limits and their file, on a clock that tests move.

use super::*;
use proptest::prelude::*;
use std::fs;

const SECRET: &str = "correct horse battery staple";
/// `printf %s "correct horse battery staple" | sha256sum`
const HASH: &str = "c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a";

fn peer(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn bearer(secret: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {secret}").parse().unwrap())])
}

fn keys(limits: &str) -> Keys {
    let text = format!("[[key]]\nname = \"alice\"\nsha256 = \"{HASH}\"\nlimits = {{ {limits} }}\n");
    Keys::parse(&text).unwrap()
}

fn gate(limits: &str) -> (Gate, Instant) {
    let now = Instant::now();
    (Gate::new(keys(limits), now), now)
}

fn refused(gate: &Gate, headers: &HeaderMap, now: Instant) -> (u16, Option<Limit>, Duration) {
    let refused = gate.admit(headers, peer(1), now).unwrap_err();
    let (limit, wait) = refused.limit.unzip();
    (
        refused.error.fault.status(),
        limit,
        wait.unwrap_or_default(),
    )
}

#[test]
fn a_key_is_known_by_either_header_and_others_are_not() {
    let (gate, now) = gate("");
    let anthropic = HeaderMap::from_iter([(API_KEY.parse().unwrap(), SECRET.parse().unwrap())]);
    for headers in [bearer(SECRET), anthropic] {
        let pass = gate.admit(&headers, peer(1), now).unwrap();
        assert_eq!(pass.key_name(), Some("alice"));
    }
    for headers in [bearer("0x1234"), bearer(HASH), bearer(""), HeaderMap::new()] {
        assert_eq!(refused(&gate, &headers, now).0, 401, "{headers:?}");
    }
}

#[test]
fn a_new_key_opens_the_gate_once_it_stands_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let limits = Limits {
        requests_per_minute: Some(7.try_into().unwrap()),
        ..Limits::default()
    };
    let alice = NewKey::generate("alice", &["small-chat".to_owned()], limits).unwrap();
    let bob = NewKey::generate("bob \"the\" second", &[], Limits::default()).unwrap();
    assert_ne!(alice.secret(), bob.secret());
    alice.add_to(&path).unwrap();
    bob.add_to(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&alice.secret()[3..]), "{text}");
    let now = Instant::now();
    let gate = Gate::new(Keys::parse(&text).unwrap(), now);
    let pass = gate.admit(&bearer(alice.secret()), peer(1), now).unwrap();
    assert_eq!(pass.key_name(), Some("alice"));
    assert_eq!(pass.standing(now).requests.unwrap().limit, 7);
    assert!(pass.check_model(&["small-chat"]).is_ok());
    assert!(pass.check_model(&["other"]).is_err());
    let pass = gate.admit(&bearer(bob.secret()), peer(1), now).unwrap();
    assert_eq!(pass.key_name(), Some("bob \"the\" second"));
    assert!(pass.check_model(&["other"]).is_ok());
}

#[test]
fn a_key_that_would_spoil_the_file_is_not_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    // Without a line's end, as editors may leave it.
    fs::write(&path, "[everybody]\nconcurrent_requests = 2").unwrap();
    let key = |name: &str| NewKey::generate(name, &[], Limits::default());
    key("alice").unwrap().add_to(&path).unwrap();
    let before = fs::read_to_string(&path).unwrap();
    let again = key("alice").unwrap().add_to(&path).unwrap_err();
    assert!(matches!(again, KeysError::Key { .. }), "{again}");
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    assert!(Keys::parse(&before).unwrap().everybody.is_some());
    for name in ["", "two\nlines", &"x".repeat(65)] {
        assert!(matches!(key(name), Err(KeysError::Key { .. })), "{name:?}");
    }
    let folder = key("bob").unwrap().add_to(folder.path()).unwrap_err();
    assert!(matches!(folder, KeysError::Read { .. }), "{folder}");
}

#[test]
fn where_no_key_is_needed_an_unknown_one_is_passed_over() {
    let now = Instant::now();
    let gate = Gate::new(Keys::without_file(Limits::default()), now);
    let pass = gate.admit(&bearer("0x1234"), peer(1), now).unwrap();
    assert_eq!(pass.key_name(), None);
    assert_eq!(pass.standing(now), Standing::default());
}

#[test]
fn requests_are_limited_and_come_back_one_by_one() {
    let (gate, now) = gate("requests_per_minute = 2");
    for remaining in [1, 0] {
        let pass = gate.admit(&bearer(SECRET), peer(1), now).unwrap();
        let left = pass.standing(now).requests.unwrap();
        assert_eq!((left.limit, left.remaining), (2, remaining));
    }
    let half_a_minute = Duration::from_secs(30);
    let expected = (429, Some(Limit::Requests), half_a_minute);
    assert_eq!(refused(&gate, &bearer(SECRET), now), expected);
    let later = now + half_a_minute;
    drop(gate.admit(&bearer(SECRET), peer(2), later).unwrap());
    assert_eq!(refused(&gate, &bearer(SECRET), later), expected);
}

#[test]
fn tokens_are_charged_when_they_are_known_and_shut_out_for_no_longer_than_the_period() {
    let (gate, now) = gate("tokens_per_minute = 600, tokens_per_day = 1000000");
    let pass = gate.admit(&bearer(SECRET), peer(1), now).unwrap();
    pass.spend(100, now);
    let left = pass.standing(now).tokens.unwrap();
    assert_eq!((left.limit, left.remaining), (600, 500));
    assert_eq!(left.reset, Duration::from_secs(10));
    pass.spend(1_000_000, now);
    let (status, limit, wait) = refused(&gate, &bearer(SECRET), now);
    assert_eq!((status, limit), (429, Some(Limit::TokensOfMinute)));
    assert!(wait <= Duration::from_secs(60), "{wait:?}");
    assert!(gate.admit(&bearer(SECRET), peer(1), now + wait).is_ok());
}

#[test]
fn a_place_comes_back_when_its_request_ends_and_not_when_another_is_refused() {
    let (gate, now) = gate("concurrent_requests = 1");
    let pass = gate.admit(&bearer(SECRET), peer(1), now).unwrap();
    for _ in 0..3 {
        let (status, limit, _) = refused(&gate, &bearer(SECRET), now);
        assert_eq!((status, limit), (429, Some(Limit::Concurrent)));
    }
    drop(pass);
    assert!(gate.admit(&bearer(SECRET), peer(1), now).is_ok());
}

#[test]
fn each_address_without_a_key_has_limits_of_its_own() {
    let now = Instant::now();
    let keys = Keys::parse("[everybody]\nrequests_per_minute = 1\n").unwrap();
    let gate = Gate::new(keys, now);
    drop(gate.admit(&HeaderMap::new(), peer(1), now).unwrap());
    assert_eq!(
        refused(&gate, &HeaderMap::new(), now).1,
        Some(Limit::Requests)
    );
    drop(gate.admit(&HeaderMap::new(), peer(2), now).unwrap());
}

#[test]
fn addresses_are_remembered_only_while_their_use_counts() {
    let mut now = Instant::now();
    let keys = Keys::parse("[everybody]\nrequests_per_minute = 1\n").unwrap();
    let gate = Gate::new(keys, now);
    for number in 0..4_u32 * 1024 {
        let address = IpAddr::from(number.to_be_bytes());
        drop(gate.admit(&HeaderMap::new(), address, now).unwrap());
        now += Duration::from_secs(1);
    }
    let known = gate.0.lock().of_addresses.len();
    assert!(known <= ADDRESSES_BETWEEN_SWEEPS + 61, "{known}");
    let now = Instant::now();
    let crowd = (0..70_000_u32).find_map(|number| {
        let address = IpAddr::from((number + 1_000_000).to_be_bytes());
        gate.admit(&HeaderMap::new(), address, now).err()
    });
    assert_eq!(crowd.unwrap().error.fault, Fault::Busy);
    let later = now + Duration::from_secs(24 * 60 * 60);
    let tries = 1..=ADDRESSES_BETWEEN_SWEEPS;
    let mut tried = tries.map(|_| gate.admit(&HeaderMap::new(), peer(9), later));
    assert!(
        tried.any(|admitted| admitted.is_ok()),
        "nobody new gets in any more"
    );
}

#[test]
fn a_key_may_be_for_some_models_only() {
    let text = format!("[[key]]\nname = \"a\"\nsha256 = \"{HASH}\"\nmodels = [\"small\"]\n");
    let now = Instant::now();
    let gate = Gate::new(Keys::parse(&text).unwrap(), now);
    let pass = gate.admit(&bearer(SECRET), peer(1), now).unwrap();
    pass.check_model(&["small", "0x01"]).unwrap();
    let error = pass.check_model(&["large", "0x02"]).unwrap_err();
    assert_eq!(
        (error.fault, error.param.as_deref()),
        (Fault::Forbidden, Some("model"))
    );
}

#[test]
fn a_changed_file_takes_effect_and_what_was_used_still_counts() {
    let (gate, now) = gate("requests_per_minute = 1");
    drop(gate.admit(&bearer(SECRET), peer(1), now).unwrap());
    gate.change(keys("requests_per_minute = 1"), now);
    assert_eq!(refused(&gate, &bearer(SECRET), now).0, 429);
    // What was used was all that there was; it comes back at the new rate.
    gate.change(keys("requests_per_minute = 60"), now);
    assert_eq!(
        refused(&gate, &bearer(SECRET), now).2,
        Duration::from_secs(1)
    );
    let now = now + Duration::from_secs(1);
    let pass = gate.admit(&bearer(SECRET), peer(1), now).unwrap();
    gate.change(Keys::parse("").unwrap(), now);
    assert_eq!(refused(&gate, &bearer(SECRET), now).0, 401);
    // A request of a key that is gone ends as any other.
    drop(pass);
}

#[test]
fn a_file_is_read_again_when_it_changes_and_a_mistake_is_reported_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.toml");
    let error = KeysFile::open(&path).unwrap_err();
    assert!(error.to_string().contains("keys.toml"), "{error}");
    fs::write(&path, "[everybody]\n").unwrap();
    let (mut file, keys) = KeysFile::open(&path).unwrap();
    assert!(keys.everybody.is_some());
    assert!(file.changed().is_none());
    fs::write(&path, "[everybody]\nrequests_per_minut = 1\n").unwrap();
    let error = file.changed().unwrap().unwrap_err().to_string();
    assert!(
        error.contains("line 2") && error.contains("requests_per_minut"),
        "{error}"
    );
    assert!(file.changed().is_none());
    fs::remove_file(&path).unwrap();
    file.changed().unwrap().unwrap_err();
    assert!(file.changed().is_none());
    fs::write(&path, "").unwrap();
    assert!(file.changed().unwrap().unwrap().everybody.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_gate_follows_its_file_and_keeps_its_keys_while_the_file_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.toml");
    fs::write(&path, "").unwrap();
    let (file, keys) = KeysFile::open(&path).unwrap();
    let gate = Gate::new(keys, Instant::now());
    let is_open = || {
        gate.admit(&HeaderMap::new(), peer(1), Instant::now())
            .is_ok()
    };
    let changes = async {
        for (text, expected) in [("[everybody]\n", true), ("every", true), ("", false)] {
            // In one step, since the file may be read at this moment.
            let new = directory.path().join("new.toml");
            fs::write(&new, text).unwrap();
            fs::rename(&new, &path).unwrap();
            tokio::time::sleep(crate::config::KEYS_PAUSE * 3).await;
            assert_eq!(is_open(), expected, "{text:?}");
        }
    };
    tokio::select! {
        never = follow(Some(file), &gate) => match never {},
        () = changes => {}
    }
}

#[test]
fn a_mistaken_file_is_refused_without_repeating_a_secret() {
    let key = |name: &str, hash: &str| format!("[[key]]\nname = \"{name}\"\nsha256 = \"{hash}\"\n");
    let other = "00".repeat(32);
    for (text, reason) in [
        (key("a", SECRET), "64 hexadecimal digits"),
        (key("a", &HASH[2..]), "64 hexadecimal digits"),
        (key("", HASH), "1 to 64 bytes"),
        (key("a\\n", HASH), "control characters"),
        (key("a", HASH) + &key("a", &other), "has this name"),
        (key("a", HASH) + &key("b", HASH), "has this secret"),
        (
            key("a", HASH) + "limits = { requests_per_minute = 0 }",
            "nonzero",
        ),
        (
            key("a", HASH) + "secret = \"correct horse battery staple\"",
            "unknown field",
        ),
    ] {
        let error = Keys::parse(&text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
}

/// Text that looks like a file of keys, more or less.
fn almost() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "[[key]]\n",
        "[key]\n",
        "[everybody]\n",
        "name = ",
        "sha256 = ",
        "models = ",
        "limits = ",
        "\"alice\"\n",
        "\"\"\n",
        "[]\n",
        "{ }\n",
        "-1\n",
        "1e99\n",
        "\"c4bb\"\n",
        "requests_per_minute = ",
        "tokens_per_day = ",
        "\n",
    ]);
    prop::collection::vec(prop_oneof![words.prop_map(str::to_owned), ".{0,9}"], 0..20)
        .prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_text_is_keys_or_a_named_error(text in almost()) {
        if let Err(error) = Keys::parse(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
