//! The part of `-D` that lists the counters, printed from the table.
//!
//! The version block before it belongs to the command line.

use std::fmt::Write;

use super::{GLOBAL, Origin, POOL, Row, SERVER};

/// `pool stats:` and `server stats:` with one line a counter, each line ended by a line feed; then the
/// same of our own counters.
pub fn describe() -> String {
    let mut out = String::new();
    section(&mut out, "pool stats:", POOL, Origin::Twemproxy);
    out.push('\n');
    section(&mut out, "server stats:", SERVER, Origin::Twemproxy);
    ours(
        &mut out,
        "process stats of nutcrab, at --admin-addr only:",
        GLOBAL,
    );
    ours(
        &mut out,
        "pool stats of nutcrab, at --admin-addr only:",
        POOL,
    );
    ours(
        &mut out,
        "server stats of nutcrab, at --admin-addr only:",
        SERVER,
    );
    out
}

fn ours<T>(out: &mut String, title: &str, rows: &[Row<T>]) {
    if rows.iter().any(|row| row.origin == Origin::Nutcrab) {
        out.push('\n');
        section(out, title, rows, Origin::Nutcrab);
    }
}

fn section<T>(out: &mut String, title: &str, rows: &[Row<T>], origin: Origin) {
    out.push_str(title);
    out.push('\n');
    for row in rows.iter().filter(|row| row.origin == origin) {
        writeln!(out, "  {:<20}\"{}\"", row.name, row.help).expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn description_has_twemproxys_layout() {
        let text = describe();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "pool stats:");
        assert!(
            lines[1].starts_with("  client_eof          \""),
            "{:?}",
            lines[1]
        );
        assert_eq!(lines[7], "");
        assert_eq!(lines[8], "server stats:");
        assert!(lines[9].starts_with("  server_eof          \""));
        assert_eq!(lines[22], "");
        assert!(lines[23].ends_with(" of nutcrab, at --admin-addr only:"));
        assert!(text.contains("\n  client_refused      \""), "{text}");
        assert!(
            lines[1..7]
                .iter()
                .chain(&lines[9..22])
                .all(|line| line.ends_with('"'))
        );
    }
}
