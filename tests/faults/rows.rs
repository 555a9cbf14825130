//! The table of docs/reliability.md against the tests: each kind of fault and attack stands
//! there once, with tests that exist or with the reason why there is none yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How many rows each group has.
const GROUPS: [(char, u32); 5] = [('R', 15), ('B', 24), ('C', 31), ('O', 19), ('T', 56)];

/// What a row without a test opens its last column with.
const NOT_YET: &str = "not yet: ";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The rows: id, and the last column.
fn rows(page: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [id, _, last] = cells[..]
            && is_id(id)
        {
            rows.push((id.to_owned(), last.to_owned()));
        }
    }
    rows
}

fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix(['R', 'B', 'C', 'O', 'T']);
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The names in backquotes.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Every function of the project that is a test, or could be.
fn functions() -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    let mut folders = vec![root().join("src"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder can be listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                functions.extend(functions_of(&path));
            }
        }
    }
    functions
}

fn functions_of(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a source can be read");
    let heads = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("fn "));
    heads
        .filter_map(|head| Some(head.split_once('(')?.0.to_owned()))
        .collect()
}

/// The ids a test of this folder names at its front: `r6_...`, `c18_c19_...`.
fn ids_of(name: &str) -> Vec<String> {
    let words = name.split('_').map(str::to_ascii_uppercase);
    words.take_while(|word| is_id(word)).collect()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/reliability.md")).expect("the page is there")
}

#[test]
fn each_row_stands_once_with_tests_or_a_reason() {
    let rows = rows(&page());
    let functions = functions();
    let mut seen = BTreeMap::new();
    let mut wrong = Vec::new();
    for (id, last) in &rows {
        *seen.entry(id.clone()).or_insert(0) += 1;
        let named: Vec<&str> = names(last).collect();
        if named.is_empty() && last.strip_prefix(NOT_YET).is_none_or(str::is_empty) {
            wrong.push(format!("{id}: neither a test nor a reason"));
        }
        if !last.starts_with(NOT_YET) {
            let missing = named.into_iter().filter(|name| !functions.contains(*name));
            wrong.extend(missing.map(|name| format!("{id}: there is no test `{name}`")));
        }
    }
    for (group, count) in GROUPS {
        for number in 1..=count {
            let id = format!("{group}{number}");
            match seen.remove(&id) {
                Some(1) => {}
                other => wrong.push(format!("{id} stands there {} times", other.unwrap_or(0))),
            }
        }
    }
    wrong.extend(seen.keys().map(|id| format!("{id}: no such row")));
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn each_test_that_names_a_row_stands_in_it() {
    let rows: BTreeMap<String, String> = rows(&page()).into_iter().collect();
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("tests/faults")).expect("this folder") {
        for name in functions_of(&entry.expect("an entry").path()) {
            for id in ids_of(&name) {
                let row = rows
                    .get(&id)
                    .unwrap_or_else(|| panic!("{name}: there is no row {id}"));
                assert!(
                    names(row).any(|known| known == name),
                    "{id}: `{name}` is missing"
                );
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn a_row_without_test_or_reason_is_noticed() {
    let page = "| id | what | tests |\n| --- | --- | --- |\n| R1 | x | `a`, `b` |\n| O2 | y | not yet: z |\n";
    let rows = rows(page);
    assert_eq!(rows.len(), 2);
    assert_eq!(names(&rows[0].1).collect::<Vec<_>>(), ["a", "b"]);
    assert!(rows[1].1.starts_with(NOT_YET));
    assert_eq!(ids_of("c18_c19_something_c20"), ["C18", "C19"]);
}
