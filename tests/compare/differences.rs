//! The table of differences in docs/compatibility.md, as the comparison reads it.

use std::collections::BTreeSet;

const HEADING: &str = "## Differences on the wire";

/// The identifiers in the first column of the table under [`HEADING`].
pub fn listed() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compatibility.md");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let section = text
        .split_once(HEADING)
        .unwrap_or_else(|| panic!("{path} has no {HEADING:?}"))
        .1;
    let section = section
        .split("\n## ")
        .next()
        .expect("a split has a first part");
    let mut identifiers = BTreeSet::new();
    for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
        let identifier = row
            .split('`')
            .next()
            .expect("a split has a first part")
            .to_owned();
        assert!(
            identifiers.insert(identifier.clone()),
            "{path}: {identifier} stands there twice"
        );
    }
    assert!(
        !identifiers.is_empty(),
        "{path}: the table under {HEADING:?} is empty"
    );
    identifiers
}
