//! What the fuzzer has found worth keeping, as an ordinary test: every file of `fuzz/corpus` is given
//! to its target. The corpus of the target `world` is played by `tests/simulation`.

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

use proptest::prelude::*;

#[test]
fn every_target_stands_its_corpus() {
    for (name, target) in targets::TARGETS {
        let mut count = 0;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        let files = std::fs::read_dir(&folder);
        for file in files.unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = file.expect("a folder can be listed").path();
            let bytes = std::fs::read(&path).expect("a file of the repository can be read");
            // The name of the file is what one needs when it fails.
            let outcome = std::panic::catch_unwind(|| target(&bytes));
            assert!(outcome.is_ok(), "{}", path.display());
            count += 1;
        }
        assert!(count >= 5, "{name}: {count} files");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_a_server_may_say_is_read_to_its_end(
        speech in 0..5u8,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        targets::legal_reply(&[&[speech], &bytes[..]].concat());
    }
}

/// One wrong line, and the fuzzer refuses to start.
#[test]
fn dictionaries_are_lists_of_quoted_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/dictionaries");
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let mut words = 0;
    for file in files {
        let path = file.expect("a folder can be listed").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let word = line
                .strip_prefix('"')
                .and_then(|line| line.strip_suffix('"'));
            let plain = word.is_some_and(|word| !word.is_empty() && word.is_ascii());
            assert!(plain, "{}: {line}", path.display());
            words += 1;
        }
    }
    assert!(words > 100, "{words} words");
}
