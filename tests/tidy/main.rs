//! House rules as an ordinary test: who may use whom, what a file may look like, links that lead
//! somewhere.
//!
//! The arrows between rooms stand once, as the table in ARCHITECTURE.md; this test reads them from
//! there. Formatting is rustfmt's, the bans on clock, threads, sockets and files are clippy's
//! (clippy.toml), licences are cargo-deny's. Each rule has a test beside it that plants an offence
//! and sees it caught.

mod arrows;
mod code;
mod files;
mod functions;
mod links;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrows::{arrow_offences, dependencies, read_arrows};
use files::{rust_offences, text_offences};
use functions::{function_offences, stale_exceptions};
use links::{link_offences, links};

/// The folders with code.
const SOURCES: [&str; 6] = ["src", "tests", "bench", "demo", "pages", "fuzz"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path_in_root: &Path) -> String {
    let path = root().join(path_in_root);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder of the repository, relative to its root; none if it does not exist.
fn files_below(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(root().join(&folder)) else {
            continue;
        };
        for entry in entries {
            let path = entry
                .expect("a folder of the repository can be listed")
                .path();
            let path = path
                .strip_prefix(root())
                .expect("it is below the root")
                .to_owned();
            match root().join(&path).is_dir() {
                true if path.ends_with("target") || path.ends_with("corpus") => {}
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    files
}

fn with_extension(files: Vec<PathBuf>, extension: &str) -> Vec<PathBuf> {
    files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect()
}

fn assert_none(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn rooms_use_only_the_rooms_their_arrows_allow() {
    let arrows = read_arrows(&read(Path::new("ARCHITECTURE.md")));
    let crates = dependencies(&read(Path::new("Cargo.toml")));
    let mut offences = Vec::new();
    for path in with_extension(files_below("src"), "rs") {
        let in_src = path.strip_prefix("src").expect("it is below src");
        offences.extend(arrow_offences(in_src, &read(&path), &arrows, &crates));
    }
    assert_none(&offences);
}

#[test]
fn arrows_form_no_circle() {
    let arrows = read_arrows(&read(Path::new("ARCHITECTURE.md")));
    let mut settled = BTreeSet::new();
    while let Some((room, _)) = arrows.iter().find(|(room, allowed)| {
        !settled.contains(*room) && allowed.rooms.iter().all(|used| settled.contains(used))
    }) {
        settled.insert(room.clone());
    }
    let circle: Vec<_> = arrows
        .keys()
        .filter(|room| !settled.contains(*room))
        .collect();
    assert!(
        circle.is_empty(),
        "in a circle, or using a room without a row: {circle:?}"
    );
}

#[test]
fn functions_are_short() {
    let mut offences = Vec::new();
    let mut excepted = Vec::new();
    for folder in SOURCES {
        for path in with_extension(files_below(folder), "rs") {
            offences.extend(function_offences(&path, &read(&path), &mut excepted));
        }
    }
    offences.extend(stale_exceptions(&excepted));
    assert_none(&offences);
}

#[test]
fn every_file_follows_the_house_rules() {
    let mut offences = Vec::new();
    let mut seen = 0;
    for folder in SOURCES {
        for path in with_extension(files_below(folder), "rs") {
            offences.extend(rust_offences(&path, &read(&path)));
            seen += 1;
        }
    }
    assert!(seen > 1, "the sources were not found");
    let top = [
        "Makefile",
        "Cargo.toml",
        "clippy.toml",
        "deny.toml",
        ".ci/run",
    ];
    let mut texts: Vec<PathBuf> = top.iter().map(PathBuf::from).collect();
    for folder in SOURCES {
        texts.extend(with_extension(files_below(folder), "rs"));
    }
    texts.extend(
        ["scripts", "conf", "docs"]
            .into_iter()
            .flat_map(files_below),
    );
    texts.extend(pages());
    for path in texts {
        offences.extend(text_offences(&path, &read(&path)));
    }
    assert_none(&offences);
}

/// All Markdown pages: those at the top, and those in docs.
fn pages() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root()).expect("the root can be listed");
    let names = entries.map(|entry| PathBuf::from(entry.expect("an entry").file_name()));
    let mut pages = with_extension(names.collect(), "md");
    pages.extend(with_extension(files_below("docs"), "md"));
    pages
}

#[test]
fn relative_links_lead_somewhere() {
    let mut offences = Vec::new();
    let exists = |path: &Path| {
        let path = root().join(path);
        match path.is_dir() {
            true => Some(String::new()),
            false => std::fs::read_to_string(path).ok(),
        }
    };
    for path in pages() {
        offences.extend(link_offences(&path, &read(&path), exists));
    }
    assert_none(&offences);
}

#[test]
fn readme_links_every_page() {
    let readme = links(&read(Path::new("README.md")));
    let missing: Vec<_> = pages()
        .into_iter()
        .filter(|path| path != Path::new("README.md"))
        .map(|path| path.display().to_string())
        .filter(|page| {
            !readme
                .iter()
                .any(|link| link.split('#').next() == Some(page))
        })
        .collect();
    assert!(missing.is_empty(), "README.md does not link {missing:?}");
}
