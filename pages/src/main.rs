//! Writes what is generated from the tables of the code: the manual page, the completions, the page
//! of commands, and the tables within docs/configuration.md and docs/operations.md.
//!
//! `make pages` runs it, from the root of the repository; the test of this crate fails if a page is
//! stale. A page is generated whole, or between the lines `<!-- generated: NAME -->` and
//! `<!-- end -->`.

mod commands;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::{Shell, generate};
use nutcrab::cli::{FLAGS, Flag, Paths, Takes};
use nutcrab::config::{KEYS, Key, PROCESS_KEYS, Presence};
use nutcrab::stats;

/// A generated file.
struct Page {
    path: PathBuf,
    text: String,
}

fn main() -> io::Result<()> {
    pages()?
        .iter()
        .try_for_each(|page| fs::write(&page.path, &page.text))
}

fn pages() -> io::Result<Vec<Page>> {
    let operations = [("options", options()), ("metrics", metrics())];
    let configuration = [
        ("keys of a pool", keys(KEYS)),
        ("keys of the process", keys(PROCESS_KEYS)),
    ];
    let mut pages = vec![
        page("packaging/nutcrab.8", manual()?),
        page("docs/commands.md", commands::page()),
        filled("docs/operations.md", &operations)?,
        filled("docs/configuration.md", &configuration)?,
    ];
    for (shell, file) in [
        (Shell::Bash, "nutcrab.bash"),
        (Shell::Zsh, "_nutcrab"),
        (Shell::Fish, "nutcrab.fish"),
    ] {
        let mut text = Vec::new();
        generate(shell, &mut command(), "nutcrab", &mut text);
        pages.push(page(&format!("packaging/completions/{file}"), utf8(text)?));
    }
    Ok(pages)
}

fn page(name: &str, text: String) -> Page {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Page {
        path: root.join(name),
        text,
    }
}

/// The page of this name with each text in its place, between two marks.
fn filled(name: &str, places: &[(&str, String)]) -> io::Result<Page> {
    let mut page = page(name, String::new());
    page.text = fs::read_to_string(&page.path)?;
    for (place, text) in places {
        let mark = format!("<!-- generated: {place} -->\n");
        let lacks = || io::Error::other(format!("{name} has no place for {place}"));
        let (before, rest) = page.text.split_once(&mark).ok_or_else(lacks)?;
        let (_, after) = rest.split_once("<!-- end -->").ok_or_else(lacks)?;
        page.text = format!("{before}{mark}\n{text}\n<!-- end -->{after}");
    }
    Ok(page)
}

fn utf8(text: Vec<u8>) -> io::Result<String> {
    String::from_utf8(text).map_err(io::Error::other)
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
            help = format!("{help} (default: {default})");
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

fn manual() -> io::Result<String> {
    let man = clap_mangen::Man::new(command())
        .section("8")
        .manual("System Administration")
        // The date of the build would make every build another page.
        .date("");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    page.extend(include_bytes!("../../packaging/man-description.roff"));
    man.render_options_section(&mut page)?;
    page.extend(include_bytes!("../../packaging/man-sections.roff"));
    utf8(page)
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
        .expect("a string takes all");
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
        .expect("a string takes all");
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
        .expect("a string takes all");
    }
    text.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_is_stale() {
        let mut stale = Vec::new();
        for page in pages().expect("pages can be generated") {
            let found = fs::read_to_string(&page.path).unwrap_or_default();
            let mut lines = found.lines().zip(page.text.lines());
            if found != page.text {
                let first = lines.find(|(found, wanted)| found != wanted);
                stale.push(format!("{}: {first:?}", page.path.display()));
            }
        }
        assert!(
            stale.is_empty(),
            "`make pages` writes them anew; where each differs first: {stale:#?}"
        );
    }
}
