//! The fuzz target `legal_reply`; what it does is in the library beside it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::legal_reply(bytes));
