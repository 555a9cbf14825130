//! Prints `docs/commands.md` from the table of Redis commands.

fn main() {
    print!("{}", nutcrab::protocol::redis::commands::page());
}
