//! memcached: everything that writes.

use crate::case::{Case, memcache, memcache_bytes};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [
        stores(),
        compare_and_swap(),
        numbers(),
        removal(),
        silent(),
        sizes(),
    ]
    .concat()
}

fn stores() -> Vec<Case> {
    [
        "set str 0 0 3\nnew\nget str",
        "set fresh 5 0 3\nnew\nget fresh",
        "set fresh 4294967295 0 1\nx\nget fresh",
        "set fresh 0 1000 1\nx\nget fresh",
        "set fresh 0 1 0\n\nget fresh",
        "set \u{e4}\u{df} 1 0 2\nxy\nget \u{e4}\u{df}",
        "set  str  0  0  3\nnew\nget str",
        " set str 0 0 3\nnew\nget str",
        "set str 0 0 3 \nnew\nget str",
        "add str 0 0 1\nx",
        "add fresh 0 0 1\nx\nget fresh",
        "replace str 0 0 1\nx\nget str",
        "replace fresh 0 0 1\nx",
        "append str 0 0 2\n!!\nget str",
        "append fresh 0 0 2\n!!",
        "prepend str 0 0 2\n>>\nget str",
        "prepend fresh 0 0 2\n>>",
        "set str 007 000 3\nnew\nget str",
        "set str 0 0 1\n1\nincr str 1\nappend str 0 0 1\n7\nget str",
    ]
    .map(memcache)
    .to_vec()
}

fn compare_and_swap() -> Vec<Case> {
    [
        "cas str 0 0 1 1\nx",
        "cas str 0 0 1 18446744073709551615\nx\nget str",
        "cas missing 0 0 1 5\nx",
        "cas str 0 0 1 99999999999999999999999\nx",
        "cas str 0 0 1 1 noreply\nx\nget str",
        "cas missing 0 0 1 0\nx",
    ]
    .map(memcache)
    .to_vec()
}

fn numbers() -> Vec<Case> {
    [
        "incr num 1",
        "incr num 100\nget num",
        "incr num 18446744073709551615",
        "incr top 1",
        "incr missing 1",
        "incr str 1",
        "incr num 99999999999999999999999",
        "incr num 007",
        "incr empty 1",
        "decr num 1",
        "decr num 100\nget num",
        "decr missing 1",
        "decr str 1",
        "touch str 100",
        "touch missing 100",
        "touch str 0\nget str",
        "touch str -1\nget str",
        "incr num -1",
        "decr num -1",
        "incr  num  2",
        "incr num 2 \nget num",
    ]
    .map(memcache)
    .to_vec()
}

fn removal() -> Vec<Case> {
    [
        "delete str\nget str",
        "delete missing",
        "delete k0\ndelete k1\nget k0 k1 k2",
        "delete str \nget str",
        "delete  str\nget str",
    ]
    .map(memcache)
    .to_vec()
}

fn silent() -> Vec<Case> {
    [
        "set str 0 0 3 noreply\nnew\nget str",
        "add fresh 0 0 1 noreply\nx\nget fresh",
        "add str 0 0 1 noreply\nx\nget str",
        "replace str 0 0 1 noreply\nx\nget str",
        "append str 0 0 1 noreply\nx\nget str",
        "prepend str 0 0 1 noreply\nx\nget str",
        "delete str noreply\nget str",
        "delete missing noreply\nget k0",
        "incr num 1 noreply\nget num",
        "decr num 1 noreply\nget num",
        "touch str 100 noreply\nget str",
        "set str 0 0 3 noreply \nnew\nget str",
        "get k0\nset k0 0 0 1 noreply\nx\nget k0\ndelete k0 noreply\nget k0",
        "set k0 0 0 1 noreply\na\nset k1 0 0 1 noreply\nb\nset k2 0 0 1\nc\nget k0 k1 k2",
    ]
    .map(memcache)
    .to_vec()
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [
        1, 2, 1_000, 8_000, 16_335, 16_336, 16_384, 65_536, 500_000, 1_000_000,
    ] {
        let value = "v".repeat(size);
        let text = format!("set k0 0 0 {size}\n{value}\nget k0\nget k1");
        cases.push(memcache(&text).named(format!("a cached value of {size} bytes")));
    }
    for size in [1, 100, 249, 250] {
        let key = "k".repeat(size);
        let text = format!("set {key} 0 0 1\nx\nget {key}\nget k0 {key} k1\ndelete {key}");
        cases.push(memcache(&text).named(format!("a cache key of {size} bytes")));
    }
    let every: Vec<u8> = (0..=255).collect();
    let mut bytes = b"set k0 0 0 256\r\n".to_vec();
    bytes.extend([&every[..], b"\r\nget k0\r\n"].concat());
    cases.push(memcache_bytes(bytes).named("a cached value of every byte"));
    cases.push(memcache_bytes(b"set k0 0 0 2\r\n\r\n\r\nget k0\r\n"));
    cases.push(memcache_bytes(
        b"set k1 0 0 10\r\nget k2\r\nab\r\nget k1\r\n",
    ));
    let odd = b"set \x01\x7f\x80\xff 0 0 1\r\nx\r\nget \x01\x7f\x80\xff k0\r\n";
    cases.push(memcache_bytes(odd));
    cases
}
