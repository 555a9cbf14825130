//! memcached: everything that reads, several keys at once, and pipelines.

use crate::case::{Case, memcache};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [single(), several(), versions(), pipelines(), pools()].concat()
}

fn single() -> Vec<Case> {
    [
        "get str",
        "get missing",
        "get empty",
        "get num",
        "get  str",
        "get str ",
        " get str",
        "get \u{fc}",
        "gets missing",
        "gets missing absent",
        "get {t}a",
        "get get",
        "get noreply",
        "get 0",
    ]
    .map(memcache)
    .to_vec()
}

/// The order of several values. Behind a missing key twemproxy moves a later one of the same server up.
fn several() -> Vec<Case> {
    let mut cases: Vec<_> = [
        "get k0 k1",
        "get k0 k1 k2 k3 k4 k5 k6 k7",
        "get k7 k6 k5 k4 k3 k2 k1 k0",
        "get k3 k4 k5",
        "get k0 k0",
        "get k0 k1 k0 k1 k1 k0",
        "get missing k0",
        "get k0 missing",
        "get k0 missing k1 absent k2 gone k3",
        "get missing absent gone",
        "get missing missing",
        "get absent k3 k1 k4 k5",
        "get k0 missing k6 k1",
        "get empty k1 str",
        "get  k0   k1  ",
    ]
    .map(memcache)
    .to_vec();
    let gets = [
        "gets k0",
        "gets k0 k1 k2",
        "gets missing k0 absent",
        "gets k3 k4 k3",
        "gets k1\ngets k1",
    ];
    cases.extend(gets.map(|text| memcache(text).of_any_version()));
    let keys: Vec<String> = (0..200).map(|i| format!("many:{i}")).collect();
    let sets: Vec<String> = (0..200)
        .map(|i| format!("set many:{i} {i} 0 4\nval{}", i % 10))
        .collect();
    let sets = sets.join("\n");
    let all = format!("{sets}\nget {}", keys.join(" "));
    cases.push(memcache(&all).named("get of 200 keys"));
    let halves = keys
        .iter()
        .enumerate()
        .map(|(i, key)| format!("{key} absent:{i}"));
    let holes = format!("{sets}\nget {}", halves.collect::<Vec<_>>().join(" "));
    let stored = "STORED\n".repeat(200);
    let found: Vec<String> = (0..200)
        .map(|i| format!("VALUE many:{i} {i} 4\nval{}\n", i % 10))
        .collect();
    cases.push(
        memcache(&holes)
            .named("get of 200 keys with as many missing")
            .differs("multi-get-order", &format!("{stored}{}END", found.concat())),
    );
    cases.push(memcache("get missing k0 k1 k6").differs(
        "multi-get-order",
        "VALUE k0 0 2\nv0\nVALUE k1 0 2\nv1\nVALUE k6 0 2\nv6\nEND",
    ));
    cases.push(memcache("get k2 gone k7 k1 k3").differs(
        "multi-get-order",
        "VALUE k2 0 2\nv2\nVALUE k7 0 2\nv7\nVALUE k1 0 2\nv1\nVALUE k3 0 2\nv3\nEND",
    ));
    let none: Vec<String> = (0..200).map(|i| format!("absent:{i}")).collect();
    cases.push(memcache(&format!("get {}", none.join(" "))).named("get of 200 missing keys"));
    let big = "v".repeat(200_000);
    let large = format!("set k0 0 0 200000\n{big}\nset k1 0 0 200000\n{big}\nget k0 k1 k2 k0");
    cases.push(memcache(&large).named("get of several large values"));
    cases
}

fn versions() -> Vec<Case> {
    [
        "version",
        "version ",
        " version",
        "version\nget k0\nversion",
    ]
    .map(memcache)
    .to_vec()
}

fn pipelines() -> Vec<Case> {
    let mut cases: Vec<_> = [
        "get k0\nget k1\nget k2\nget missing\nget k3",
        "set k0 0 0 1\na\nget k0\nset k0 0 0 1\nb\nget k0\ndelete k0\nget k0",
        "get k0 k1\nincr num 1\nget missing\nincr str 1\nget k2 k3",
        "delete k0\ndelete k0\nget k0",
        "incr num 1\nincr num 1\nincr num 1\nget num",
    ]
    .map(memcache)
    .to_vec();
    let many: Vec<_> = (0..1000)
        .map(|i| format!("set p:{i} 0 0 5\n{i:05}\nget p:{i}"))
        .collect();
    cases.push(memcache(&many.join("\n")).named("2,000 cache requests in a pipeline"));
    cases
}

fn pools() -> Vec<Case> {
    let mut cases = Vec::new();
    for text in [
        "get {t}a {t}b k0",
        "get {t}a {t}missing {t}b",
        "set {t}a 0 0 1\nx\nget {t}a",
        "get {}k0 {t",
    ] {
        cases.push(memcache(text).on("tagcache"));
    }
    for text in [
        "get k0 k1 k2 missing",
        "get k0 missing k1 k1",
        "set k0 0 0 1\nx\nget k0 k0",
        "delete k5",
        "version",
    ] {
        cases.push(memcache(text).on("onecache"));
    }
    for text in [
        "get k0",
        "set k0 0 0 1\nx",
        "delete k0",
        "incr k0 1",
        "version",
        "touch k0 1",
    ] {
        cases.push(memcache(text).on("deadcache"));
    }
    for text in ["get k0", "set k0 0 0 1\nx", "get k3"] {
        cases.push(memcache(text).on("halfcache"));
    }
    let refused = "SERVER_ERROR Connection refused";
    cases.push(
        memcache("get k0 k1 k2")
            .on("deadcache")
            .differs("failed-mget", refused),
    );
    cases.push(
        memcache("get k0 k3")
            .on("halfcache")
            .differs("failed-mget", refused),
    );
    for reply in [
        "END~",
        "ERROR~",
        "CLIENT_ERROR+no~",
        "SERVER_ERROR+out+of+memory~",
        "OK~",
        "STAT+a+b~",
        "HD~",
        "BUSY~",
        "garbage~",
        "close",
        "break",
    ] {
        cases.push(memcache(&format!("get {reply}")).on("oddcache"));
    }
    for text in [
        "set STORED~ 0 0 1\nx",
        "set NOT_STORED~ 0 0 1\nx",
        "cas EXISTS~ 0 0 1 1\nx",
        "cas NOT_FOUND~ 0 0 1 1\nx",
        "delete DELETED~",
        "delete NOT_FOUND~",
        "touch TOUCHED~ 0",
        "touch NOT_FOUND~ 0",
        "incr 42~ 1",
        "decr 42++~ 1",
        "incr NOT_FOUND~ 1",
    ] {
        cases.push(memcache(text).on("oddcache"));
    }
    for reply in [
        "STORED~",
        "NOT_STORED~",
        "EXISTS~",
        "NOT_FOUND~",
        "DELETED~",
        "TOUCHED~",
        "42~",
        "42++~",
        "VERSION+1~",
    ] {
        let case = memcache(&format!("get {reply}")).on("oddcache");
        cases.push(case.differs("reply-type", "SERVER_ERROR Invalid argument"));
    }
    cases.push(memcache("get stall").on("stallingcache"));
    cases
}
