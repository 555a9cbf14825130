//! The fuzz target `core_events`; what it does stands in the library beside it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::core_events(bytes));
