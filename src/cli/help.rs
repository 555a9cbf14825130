//! The texts of `-h`, `-V` and `-D`, the first printed from the table of options.

use std::fmt::Write;

use super::flags::FLAGS;
use super::{Name, Parsed, Paths};
use crate::stats;

/// The version block and whatever else was asked to be shown.
pub(super) fn shown(parsed: &Parsed) -> String {
    let mut text = version(parsed.options.name);
    if parsed.help {
        text.push_str(&usage(parsed.options.name));
    }
    if parsed.describe_stats {
        text.push_str(&stats::describe());
    }
    text
}

/// The version of twemproxy whose place we take.
const TWEMPROXY: &str = "0.5.0";

/// The version block: the version, what waits for events, an empty line.
///
/// Compat: tools read the version out of `This is nutcracker-x.y.z`, so under that name it opens the text,
/// and ours follows. Test: t42_under_the_old_name_the_version_is_one_that_tools_accept.
fn version(name: Name) -> String {
    let backend = if cfg!(any(
        target_os = "linux",
        target_os = "android",
        target_os = "illumos",
        target_os = "solaris"
    )) {
        "epoll"
    } else {
        "kqueue"
    };
    let ours = concat!("This is nutcrab-", env!("CARGO_PKG_VERSION"));
    let backend = format!("async event backend: {backend}");
    match name {
        Name::Nutcrab => format!("{ours}\n{backend}\n\n"),
        Name::Nutcracker => format!("This is nutcracker-{TWEMPROXY}\n{backend}\n{ours}\n\n"),
    }
}

/// The usage text, ended by an empty line.
pub(super) fn usage(name: Name) -> String {
    const WIDTH: usize = 72;
    let head = format!("Usage: {name}");
    let letters: String = FLAGS
        .iter()
        .filter(|flag| flag.argument_name().is_none())
        .filter_map(|flag| flag.short.map(char::from))
        .collect();
    let mut words = vec![format!("[-{letters}]")];
    words.extend(FLAGS.iter().filter_map(|flag| {
        let argument = flag.argument_name()?;
        Some(match flag.short {
            Some(letter) => format!("[-{} {argument}]", char::from(letter)),
            None => format!("[--{} {argument}]", flag.long),
        })
    }));
    let mut text = head.clone();
    let mut column = text.len();
    for word in words {
        if column + 1 + word.len() > WIDTH {
            write!(text, "\n{:indent$}", "", indent = head.len()).expect("a string takes all");
            column = head.len();
        }
        column += 1 + word.len();
        text.push(' ');
        text.push_str(&word);
    }
    text.push_str("\n\nOptions:\n");

    let longs: Vec<String> = FLAGS
        .iter()
        .map(|flag| match flag.argument_name() {
            Some(argument) => format!("--{}={argument}", flag.long),
            None => format!("--{}", flag.long),
        })
        .collect();
    let column = longs.iter().map(String::len).max().unwrap_or(0);
    for (flag, long) in FLAGS.iter().zip(&longs) {
        let short = flag.short.map_or("   ".to_owned(), |letter| {
            format!("-{},", char::from(letter))
        });
        write!(text, "  {short} {long:column$} : {}", flag.help).expect("a string takes all");
        if let Some(default) = flag.default(Paths::of(name)) {
            write!(text, " (default: {default})").expect("a string takes all");
        }
        text.push('\n');
    }
    text.push('\n');
    text
}
