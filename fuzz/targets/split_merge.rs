//! The fuzz target `split_merge`; what it does stands in the library beside it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::split_merge(bytes));
