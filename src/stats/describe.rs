//! The part of `-D` that lists the counters, printed from the table.
//!
//! The version block before it belongs to the command line.

use std::fmt::Write;

use super::{Origin, POOL, Row, SERVER};

/// `pool stats:` and `server stats:` with one line a counter, each line ended by a line feed.
pub fn describe() -> String {
    let mut out = String::new();
    section(&mut out, "pool stats:", POOL);
    out.push('\n');
    section(&mut out, "server stats:", SERVER);
    out
}

fn section<T>(out: &mut String, title: &str, rows: &[Row<T>]) {
    out.push_str(title);
    out.push('\n');
    for row in rows.iter().filter(|row| row.origin == Origin::Twemproxy) {
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
        assert_eq!(lines.len(), 22);
        assert!(
            lines[1..7]
                .iter()
                .chain(&lines[9..])
                .all(|line| line.ends_with('"'))
        );
    }
}
