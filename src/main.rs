//! The `nutcrab` binary.
fn main() {}
