//! The arrows between rooms: who may use whom, and which crates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::code::{code_of, first_names_after, positions};

/// What the table in ARCHITECTURE.md allows one room.
#[derive(Debug, Default)]
pub struct Allowed {
    /// Rooms it may name.
    pub rooms: BTreeSet<String>,
    /// Crates of `[dependencies]` it may name, as spelled in code.
    pub crates: BTreeSet<String>,
}

/// Reads the table under the heading "Arrows": room, rooms it may use, crates it may use, and a
/// last column for people. A cell lists names in backquotes.
pub fn read_arrows(architecture: &str) -> BTreeMap<String, Allowed> {
    let section = architecture
        .split("\n## ")
        .find(|section| section.starts_with("Arrows"))
        .expect("ARCHITECTURE.md has a section called Arrows");
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let mut arrows = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').collect();
        assert!(
            cells.len() >= 5,
            "a row of the arrows has four columns: {row}"
        );
        for room in names(cells[1]) {
            let allowed = Allowed {
                rooms: names(cells[2]),
                crates: names(cells[3]),
            };
            assert!(
                arrows.insert(room.clone(), allowed).is_none(),
                "two rows for room {room}"
            );
        }
    }
    arrows
}

/// The room a file under src/ belongs to: `proxy/client.rs` and `proxy.rs` are both `proxy`.
fn room_of(path_in_src: &Path) -> String {
    let first = path_in_src
        .iter()
        .next()
        .expect("a file has a name")
        .to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Whether the file holds only tests, which may bring rooms together.
fn is_test(path_in_src: &Path) -> bool {
    path_in_src.iter().any(|part| {
        let part = part.to_string_lossy();
        part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs")
    })
}

/// Every offence of one file against the arrows, as text.
///
/// `ours` names all rooms, `crates` all crates of `[dependencies]` as they are spelled in code.
pub fn arrow_offences(
    path_in_src: &Path,
    source: &str,
    arrows: &BTreeMap<String, Allowed>,
    crates: &BTreeSet<String>,
) -> Vec<String> {
    let room = room_of(path_in_src);
    if room == "lib" || is_test(path_in_src) {
        return Vec::new();
    }
    let at = path_in_src.display();
    let Some(allowed) = arrows.get(&room) else {
        return vec![format!(
            "{at}: room `{room}` has no row in the arrows of ARCHITECTURE.md"
        )];
    };
    let mut code = code_of(source);
    // A chain of them may end at the root of the crate; no room has a module named after a room.
    while code.contains("super::super::") {
        code = code.replace("super::super::", "super::");
    }
    let mut offences = Vec::new();
    for root in ["crate::", "nutcrab::", "super::"] {
        for used in first_names_after(&code, root) {
            if arrows.contains_key(&used) && used != room && !allowed.rooms.contains(&used) {
                offences.push(format!("{at}: room `{room}` may not use room `{used}`"));
            }
        }
    }
    for used in crates.iter().filter(|name| !allowed.crates.contains(*name)) {
        let path = format!("{used}::");
        if positions(&code, &path).next().is_some() {
            offences.push(format!("{at}: room `{room}` may not use crate `{used}`"));
        }
    }
    offences
}

/// Crates named in `[dependencies]` and its `target.….dependencies` kin, as spelled in code.
pub fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]" || line.ends_with(".dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside) {
            names.insert(crate_name(name.trim()));
        }
    }
    names
}

/// The name a package has in code; md-5 alone calls its library otherwise.
fn crate_name(package: &str) -> String {
    match package {
        "md-5" => "md5".to_owned(),
        _ => package.replace('-', "_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Map\n\n## Arrows\n\n\
        | room | may use | crates | must not know |\n\
        | --- | --- | --- | --- |\n\
        | `hash`, `stats` | nothing | `md5` | `mio` |\n\
        | `route` | `hash` | | |\n\n## Words\n\n| `proxy` | not a row | | |\n";

    fn offences(path: &str, source: &str) -> Vec<String> {
        let crates = dependencies("[dependencies]\nmd-5 = \"1\"\nmio = \"1\"\n[lints]\na = 1\n");
        arrow_offences(Path::new(path), source, &read_arrows(PAGE), &crates)
    }

    #[test]
    fn the_table_is_read_row_by_row() {
        let arrows = read_arrows(PAGE);
        assert_eq!(
            arrows.keys().collect::<Vec<_>>(),
            ["hash", "route", "stats"]
        );
        assert!(arrows["stats"].rooms.is_empty());
        assert!(arrows["stats"].crates.contains("md5"));
        assert!(arrows["route"].rooms.contains("hash"));
    }

    #[test]
    fn allowed_arrows_pass() {
        for source in [
            "use crate::hash::Hash;",
            "use crate::route::Distribution;",
            "mod tests { use super::super::{Points, hash::Hash}; }",
            "// use crate::stats::Counter;",
            "/* mio::Poll */ const NAME: &str = \"crate::stats\";",
            "use crate::{hash::{Hash, stats}, route};",
            "fn f() { self::mio::poll(); my_mio::poll(); }",
            "macro_rules! m { () => { $crate::hash::Hash } }",
        ] {
            assert_eq!(offences("route/ketama.rs", source), [""; 0], "{source}");
        }
        for path in [
            "hash/tests.rs",
            "hash/tests/vectors.rs",
            "hash/md5_tests.rs",
        ] {
            assert_eq!(offences(path, "use crate::route::Distribution;"), [""; 0]);
        }
        assert_eq!(
            offences("lib.rs", "pub use crate::stats; pub mod route;"),
            [""; 0]
        );
    }

    #[test]
    fn planted_arrows_are_caught() {
        for source in [
            "use crate::stats::Counter;",
            "fn f(c: &crate::stats::Counter) {}",
            "use crate::{hash, stats::Counter};",
            "use crate::{\n    hash::{Hash, Md5},\n    stats,\n};",
            "use nutcrab::stats::Counter;",
            "const Q: char = '\"'; use crate::stats::Counter; const R: char = '\"';",
            "fn f<'a>(s: &'a str) -> crate::stats::Name<'a> { s }",
            "use super::super::stats;",
            "mod tests { use super::super::super::{hash, stats}; }",
            "use mio::Poll;",
            "fn f() { ::mio::poll() }",
            "use md5::Md5;",
        ] {
            assert_eq!(offences("route/ketama.rs", source).len(), 1, "{source}");
        }
        assert_eq!(
            offences("proxy/mod.rs", "").len(),
            1,
            "a room without a row"
        );
        assert_eq!(
            offences("hash.rs", "use crate::route::Distribution;").len(),
            1
        );
    }
}
