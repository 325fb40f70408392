//! Who may depend on whom, and that ARCHITECTURE.md knows every crate.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use std::{collections::BTreeMap, fs, path::Path};

/// What each crate may use of the others: arrows point down only.
const ALLOWED: &[(&str, &[&str])] = &[
    ("og-types", &[]),
    ("og-dialects", &["og-types"]),
    ("og-http", &[]),
    ("og-upstream", &["og-types", "og-dialects", "og-http"]),
    ("og-crypto", &["og-types"]),
    ("og-program", &[]),
    ("og-verify", &["og-types", "og-crypto"]),
    ("og-chain", &["og-types", "og-crypto"]),
    ("og-state", &["og-types", "og-crypto", "og-chain"]),
    ("og-kernels", &["og-program"]),
    ("og-text", &[]),
    ("og-opengradient", &[]),
    ("og-import", &["og-program", "og-text"]),
    (
        "og-engine",
        &[
            "og-types",
            "og-crypto",
            "og-program",
            "og-kernels",
            "og-text",
            "og-upstream",
        ],
    ),
    ("og-journal", &[]),
    (
        "og-inference",
        &[
            "og-types",
            "og-crypto",
            "og-engine",
            "og-http",
            "og-journal",
        ],
    ),
    (
        "og-gateway",
        &[
            "og-types",
            "og-crypto",
            "og-dialects",
            "og-opengradient",
            "og-http",
            "og-journal",
        ],
    ),
    ("og-relay", &["og-http", "og-opengradient"]),
    ("og-rpc", &["og-types", "og-crypto", "og-chain", "og-http"]),
    (
        "og-consensus",
        &["og-types", "og-crypto", "og-chain", "og-state"],
    ),
    (
        "og-node",
        &[
            "og-types",
            "og-crypto",
            "og-chain",
            "og-state",
            "og-engine",
            "og-http",
            "og-inference",
            "og-gateway",
            "og-opengradient",
            "og-relay",
            "og-rpc",
            "og-consensus",
        ],
    ),
    (
        "og",
        &[
            "og-types",
            "og-crypto",
            "og-chain",
            "og-verify",
            "og-program",
            "og-kernels",
            "og-text",
            "og-import",
            "og-engine",
            "og-node",
            "og-sim",
        ],
    ),
    // It tests the whole network, so it may use anything; only the command that runs it uses it.
    (
        "og-sim",
        &[
            "og-types",
            "og-crypto",
            "og-chain",
            "og-state",
            "og-verify",
            "og-consensus",
        ],
    ),
];

/// The laws, and formats: no clock, no input or output, so none of the crates that bring them.
const LAWS: [&str; 6] = [
    "og-types",
    "og-dialects",
    "og-crypto",
    "og-program",
    "og-verify",
    "og-chain",
];
const NOT_IN_LAWS: [&str; 7] = [
    "tokio",
    "axum",
    "jsonrpsee",
    "reqwest",
    "redb",
    "rand",
    "tracing",
];

fn workspace() -> Vec<Package> {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap()
        .packages
}

/// What a package needs to be built and run; tests may use anything.
fn dependencies(package: &Package) -> Vec<&str> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
        .collect()
}

#[test]
fn no_arrow_points_up() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let packages = workspace();
    for package in &packages {
        let name = package.name.as_str();
        let allowed = allowed
            .get(name)
            .unwrap_or_else(|| panic!("{name} is new: decide here what it may use"));
        for dependency in dependencies(package) {
            let ours = dependency == "og" || dependency.starts_with("og-");
            assert!(
                !ours || allowed.contains(&dependency),
                "{name} must not use {dependency}: see ARCHITECTURE.md on the direction of dependencies"
            );
        }
    }
    let known = |name: &str| packages.iter().any(|package| package.name.as_str() == name);
    for (name, _) in ALLOWED {
        assert!(known(name), "{name} is gone: remove it here");
    }
}

#[test]
fn the_laws_do_no_input_or_output() {
    for package in workspace() {
        let name = package.name.as_str();
        if !LAWS.contains(&name) {
            continue;
        }
        for dependency in dependencies(&package) {
            assert!(
                !NOT_IN_LAWS.contains(&dependency),
                "{name} is a law and must not use {dependency}"
            );
        }
    }
}

#[test]
fn the_architecture_knows_every_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    for package in workspace() {
        let folder = package.manifest_path.parent().unwrap().file_name().unwrap();
        assert!(
            text.contains(&format!("`{folder}`")) || text.contains(&format!("crates/{folder}")),
            "ARCHITECTURE.md does not say what crates/{folder} is for"
        );
    }
}
