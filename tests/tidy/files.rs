//! What a file may look like: length, first line, white space, leftovers.

use std::path::Path;

use crate::code::{code_of, positions};

const FILE_LINES_MAX: usize = 1000;
const LINE_CHARS_MAX: usize = 110;

/// Spelled in halves, or this file would find itself.
const MARKERS: [&str; 3] = [
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];
const MACROS: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Every offence of one text file against the rules all files share.
pub fn text_offences(path: &Path, text: &str) -> Vec<String> {
    let at = path.display();
    let mut offences = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let row = index + 1;
        if line.ends_with([' ', '\t', '\r']) {
            offences.push(format!("{at}:{row}: white space at the end of the line"));
        }
        if line.contains('\t') && !path.ends_with("Makefile") {
            offences.push(format!("{at}:{row}: a tab"));
        }
        for marker in MARKERS.iter().filter(|marker| line.contains(**marker)) {
            offences.push(format!("{at}:{row}: leftover {marker}"));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        offences.push(format!("{at}: no line feed at the end of the file"));
    }
    offences
}

/// Every offence of one Rust file against the rules for code.
pub fn rust_offences(path: &Path, source: &str) -> Vec<String> {
    let at = path.display();
    let mut offences = Vec::new();
    if !source.starts_with("//!") {
        offences.push(format!(
            "{at}: does not open with //! and what the file is for"
        ));
    }
    let lines = source.lines().count();
    if lines > FILE_LINES_MAX {
        offences.push(format!(
            "{at}: {lines} lines, more than {FILE_LINES_MAX}; cut it by noun"
        ));
    }
    for (index, line) in source.lines().enumerate() {
        let chars = line.chars().count();
        if chars > LINE_CHARS_MAX {
            offences.push(format!(
                "{at}:{}: {chars} characters, {LINE_CHARS_MAX} at most",
                index + 1
            ));
        }
    }
    for (index, line) in code_of(source).lines().enumerate() {
        let row = index + 1;
        for name in MACROS
            .iter()
            .filter(|name| positions(line, name).next().is_some())
        {
            offences.push(format!("{at}:{row}: leftover {name}"));
        }
        if line.contains("#[ignore") {
            offences.push(format!("{at}:{row}: an ignored test"));
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_offences_are_caught() {
        let long = format!("//! x\n// {}\n", "é".repeat(LINE_CHARS_MAX));
        let tall = format!("//! x\n{}", "\n".repeat(FILE_LINES_MAX));
        for source in [
            "// no head\n",
            "//! x\nfn f() { dbg!(1); }\n",
            "//! x\nfn f() { todo!() }\n",
            "//! x\n#[ignore]\n",
            "//! x\n#[ignore = \"slow\"]\n",
            &long,
            &tall,
        ] {
            let found = rust_offences(Path::new("a.rs"), source);
            assert_eq!(found.len(), 1, "{source}: {found:?}");
        }
        for text in [
            "a \n",
            "a\tb\n",
            "a\r\n",
            "a",
            &format!("// {}: later\n", MARKERS[0]),
        ] {
            assert_eq!(text_offences(Path::new("a.rs"), text).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn clean_files_pass() {
        let source = "//! About todo! and #[ignore].\nconst X: &str = \"dbg!(1)\";\n";
        assert_eq!(rust_offences(Path::new("a.rs"), source), [""; 0]);
        assert_eq!(text_offences(Path::new("a.rs"), source), [""; 0]);
        assert_eq!(
            text_offences(Path::new("Makefile"), "all:\n\techo\n"),
            [""; 0]
        );
    }
}
