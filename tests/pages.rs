//! What is generated from the tables of the code, and that it is not stale: the manual page, the
//! completions, and the tables within docs/configuration.md and docs/operations.md.
//!
//! `make pages` writes them anew; it runs these tests with `UPDATE_PAGES` set. Each file is
//! compared whole, or between the lines `<!-- generated: NAME -->` and `<!-- end -->`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::{Shell, generate};
use nutcrab::cli::{FLAGS, Flag, Paths, Takes};
use nutcrab::config::{KEYS, Key, PROCESS_KEYS, Presence};
use nutcrab::stats;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares a file with what it has to be, or makes it so.
#[track_caller]
fn check(name: &str, wanted: &str) {
    let path = path(name);
    if std::env::var_os("UPDATE_PAGES").is_some_and(|value| !value.is_empty()) {
        fs::write(&path, wanted).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(wanted.lines()).find(|(a, b)| a != b);
    assert!(
        found == wanted,
        "{name} is stale; `make pages` writes it anew. First difference: {differs:?}"
    );
}

/// Puts `text` into the place of this name in a page, between its two marks.
fn check_within(page: &str, place: &str, text: &str) {
    let now = fs::read_to_string(path(page)).unwrap();
    let mark = format!("<!-- generated: {place} -->\n");
    let (before, rest) = now
        .split_once(&mark)
        .unwrap_or_else(|| panic!("{page} has no place for {place}"));
    let (_, after) = rest.split_once("<!-- end -->").expect("the place ends");
    check(
        page,
        &format!("{before}{mark}\n{text}\n<!-- end -->{after}"),
    );
}

/// The command line as clap describes one. It is for the generators only: nutcrab's own parser
/// takes words as getopt does.
fn command() -> Command {
    let command = Command::new("nutcrab")
        .version(env!("CARGO_PKG_VERSION"))
        .about("proxy for Redis and memcached that takes the place of twemproxy (nutcracker)")
        .disable_help_flag(true)
        .disable_version_flag(true);
    FLAGS.iter().fold(command, |command, flag| {
        let mut help = flag.help.to_owned();
        if let Some(default) = flag.default(&Paths::PLAIN) {
            write!(help, " (default: {default})").unwrap();
        }
        let arg = Arg::new(flag.long).long(flag.long).help(help);
        let arg = match flag.short {
            Some(letter) => arg.short(char::from(letter)),
            None => arg,
        };
        let (name, hint) = match flag.takes() {
            Takes::Nothing => return command.arg(arg.action(ArgAction::SetTrue)),
            Takes::Number => ("N", ValueHint::Other),
            Takes::File => ("FILE", ValueHint::FilePath),
            Takes::Address => ("ADDRESS", ValueHint::Hostname),
            Takes::Pool => ("POOL", ValueHint::Other),
            Takes::Name => ("NAME", ValueHint::Other),
        };
        command.arg(arg.value_name(name).value_hint(hint))
    })
}

#[test]
fn the_manual_page_is_not_stale() {
    let man = clap_mangen::Man::new(command())
        .section("8")
        .manual("System Administration")
        // The date of the build would make every build another page.
        .date("");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    page.extend(include_bytes!("../packaging/man-description.roff"));
    man.render_options_section(&mut page).unwrap();
    page.extend(include_bytes!("../packaging/man-sections.roff"));
    check("packaging/nutcrab.8", &String::from_utf8(page).unwrap());
}

#[test]
fn the_completions_are_not_stale() {
    for (shell, file) in [
        (Shell::Bash, "nutcrab.bash"),
        (Shell::Zsh, "_nutcrab"),
        (Shell::Fish, "nutcrab.fish"),
    ] {
        let mut text = Vec::new();
        generate(shell, &mut command(), "nutcrab", &mut text);
        let text = String::from_utf8(text).unwrap();
        check(&format!("packaging/completions/{file}"), &text);
    }
}

/// A cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn options() -> String {
    let mut text =
        String::from("| short | long | default | what it does |\n| --- | --- | --- | --- |\n");
    for flag in FLAGS {
        let short = flag
            .short
            .map(|letter| format!("`-{}`", char::from(letter)));
        let argument = match flag.takes() {
            Takes::Nothing => "",
            Takes::Number => " N",
            Takes::File => " FILE",
            Takes::Address => " ADDRESS",
            Takes::Pool => " POOL",
            Takes::Name => " NAME",
        };
        let default = flag.default(&Paths::PLAIN).map(cell).unwrap_or_default();
        let Flag { long, help, .. } = flag;
        writeln!(
            text,
            "| {} | `--{long}{argument}` | {default} | {} |",
            short.unwrap_or_default(),
            cell(help)
        )
        .unwrap();
    }
    text
}

fn metrics() -> String {
    let mut text = "| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for metric in stats::metrics() {
        let labels: Vec<String> = metric.labels.iter().map(|label| cell(label)).collect();
        writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind,
            labels.join(", "),
            cell(metric.help)
        )
        .unwrap();
    }
    text
}

fn keys<T>(keys: &[Key<T>]) -> String {
    let mut text = String::new();
    for key in keys {
        let default = match key.presence {
            Presence::Required => "required".to_owned(),
            Presence::Optional => "default: none".to_owned(),
            Presence::Default(value) => format!("default: `{value}`"),
        };
        let (name, help) = (key.name, key.help);
        writeln!(
            text,
            "### `{name}`\n\n{help}\n\nValue: {}; {default}.\n",
            key.allowed()
        )
        .unwrap();
    }
    text.trim_end().to_owned() + "\n"
}

#[test]
fn the_pages_tell_every_option_and_every_key() {
    check_within("docs/operations.md", "options", &options());
    check_within("docs/operations.md", "metrics", &metrics());
    check_within("docs/configuration.md", "keys of a pool", &keys(KEYS));
    check_within(
        "docs/configuration.md",
        "keys of the process",
        &keys(PROCESS_KEYS),
    );
}
