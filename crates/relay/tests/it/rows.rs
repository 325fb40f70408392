//! Answers of a registry as another encoder of the contract ABI (`eth_abi` 6.0.0) writes them: the fuzzer begins with them, too.

use og_relay::{RowsError, usable_gateways};

#[test]
fn rows_that_others_wrote_are_gateways_or_refused() {
    let usable = usable_gateways;
    macro_rules! seed {
        ($name:literal) => {
            include_bytes!(concat!("../../../../fuzz/corpus/registry_rows/", $name))
        };
    }
    assert_eq!(usable(seed!("none")), Ok(0));
    assert_eq!(usable(seed!("one")), Ok(1));
    // One endpoint is not https, another takes no sealed requests.
    assert_eq!(usable(seed!("one_of_three")), Ok(1));
    assert_eq!(usable(seed!("broken_certificate")), Ok(0));
    assert_eq!(usable(seed!("endless")), Err(RowsError::TooMany));
    let cut_short = usable(seed!("cut_short"));
    assert!(matches!(cut_short, Err(RowsError::Row(_))));
}
