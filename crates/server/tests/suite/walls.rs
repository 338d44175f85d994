//! The direction of dependencies between the crates: `server -> store -> {domain, crypto}`, `crypto -> domain`,
//! `domain ->` nothing of ours. And what each wall keeps out: SQL drivers stay in `store`, cryptography of records in
//! `crypto`, input and output out of `domain`.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

#[test]
fn the_crates_depend_in_one_direction() {
    let metadata = MetadataCommand::new().no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    let ours: Vec<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mut arrows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut foreign: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in &metadata.packages {
        let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
        let (inner, outer): (Vec<_>, Vec<_>) = normal.map(|d| d.name.clone()).partition(|name| ours.contains(name));
        arrows.insert(package.name.to_string(), inner);
        foreign.insert(package.name.to_string(), outer);
    }
    let right = [
        ("crypto", vec!["domain"]),
        ("domain", vec![]),
        ("server", vec!["crypto", "domain", "store"]),
        ("store", vec!["crypto", "domain"]),
    ];
    for (name, mut to) in right {
        let mut found = arrows.remove(name).unwrap();
        found.sort();
        to.sort_unstable();
        assert_eq!(found, to, "{name}");
    }
    assert!(arrows.is_empty(), "a new crate needs its place in this test: {arrows:?}");
    let drivers = ["rusqlite", "tokio-postgres", "deadpool-postgres", "postgres-types"];
    for (name, dependencies) in foreign {
        let has = |wanted: &[&str]| wanted.iter().any(|w| dependencies.iter().any(|d| d == w));
        assert_eq!(has(&drivers), name == "store", "{name}: only store speaks SQL");
        let outside = ["tokio", "axum", "hyper", "reqwest", "aws-lc-rs"];
        assert!(name != "domain" || !has(&outside), "domain does no input or output");
    }
}
