//! The classic commands.

use crate::Case;

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [
        retrieval(),
        storage(),
        numbers(),
        others(),
        errors(),
        bytes(),
    ]
    .concat_all()
}

trait ConcatAll {
    fn concat_all(self) -> Vec<Case>;
}

impl<const N: usize> ConcatAll for [Vec<Case>; N] {
    fn concat_all(self) -> Vec<Case> {
        self.into_iter().flatten().collect()
    }
}

fn lines<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<Case> {
    texts
        .into_iter()
        .map(|text| Case::lines(text.as_ref()))
        .collect()
}

fn retrieval() -> Vec<Case> {
    let mut cases = Vec::new();
    let keys = [
        "k0",
        "missing",
        "empty",
        "str",
        "k0 k1",
        "missing k0",
        "k0 missing",
        "missing gone",
        "k0 k1 k2 k3 k4 k5 k6 k7",
        "k7 k6 k5 k4 k3 k2 k1 k0",
        "k0 missing k1 absent k2 gone k3 fresh k4",
        "missing k0 gone k1 absent k2 fresh k3 k4 none k5 k6 k7",
        "k0 k0",
        "k0 k1 k0 k1 missing k1 k0",
        "missing missing k3 k3",
        " k0   k1  ",
    ];
    for name in ["get", "gets", "gat 0", "gats 0", "gat -1", "bget"] {
        cases.extend(keys.map(|keys| Case::lines(&format!("{name} {keys}"))));
    }
    // Longer than a server takes but at once.
    for name in ["gat 0", "gats 0", "gat -1"] {
        let wide = format!("missing {}", "m".repeat(250));
        for keys in [
            "k0 k1 missing k2 k3 k4 k5 k6 k7 k7 ".repeat(220),
            format!("{wide} k0 {wide} k1 k2 ").repeat(12),
            format!("k0{}", " ".repeat(1500)),
            "missing ".repeat(1000),
        ] {
            let asked = format!("{name} {keys}\nget k0 k1 k2 k3");
            cases.push(Case::lines(&asked));
        }
    }
    cases.extend(lines([
        "gat -1 k0\nget k0",
        "gat -1 k0 k1 k2\nget k0 k1 k2 k3",
        "gat 100 k0\nget k0",
        "gats 100 k0 missing k1\nget k0 k1",
        "gat 0",
        "gat",
        "gats",
        "gat x k0",
        "gat 1x k0 k1",
        "get noreply",
        "get k0\nget k1\nget missing\nget k2 k3\nget k4",
    ]));
    cases
}

fn storage() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["set", "add", "replace", "append", "prepend"] {
        for key in ["str", "fresh"] {
            for silent in ["", " noreply"] {
                cases.push(Case::lines(&format!(
                    "{name} {key} 7 0 3{silent}\nnew\nget {key}"
                )));
            }
            cases.push(Case::lines(&format!("{name} {key} 0 0 0\n\nget {key}")));
        }
    }
    for key in ["str", "fresh"] {
        for silent in ["", " noreply"] {
            cases.push(Case::lines(&format!(
                "cas {key} 0 0 3 99999999{silent}\nnew\nget {key}"
            )));
            cases.push(Case::lines(&format!("delete {key}{silent}\nget {key}")));
            cases.push(Case::lines(&format!("delete {key} 0{silent}\nget {key}")));
            cases.push(Case::lines(&format!("touch {key} 100{silent}\nget {key}")));
            cases.push(Case::lines(&format!("touch {key} -1{silent}\nget {key}")));
        }
    }
    cases.extend(lines([
        "set fresh 0 -1 1\nx\nget fresh",
        "set fresh 0 -2147483648 1\nx\nget fresh",
        "set fresh 4294967295 0 1\nx\nget fresh",
        "set fresh 0 2147483647 1\nx",
        "set fresh 0 2147483648 1\nx\nget fresh",
        "set fresh 0 4294967295 1 noreply\nx\nget fresh",
        "add fresh 0 4102444800 1\nx\nget fresh",
        "replace str 0 4102444800 1\nx\nget str",
        "append str 0 4102444800 1\nx\nget str",
        "prepend str 0 4102444800 1\nx\nget str",
        "cas str 0 4102444800 1 1\nx\nget str",
        "touch str 4294967295\nget str",
        "gat 4294967295 str\nget str",
        "set fresh 00 00 1\nx\nget fresh",
        "set fresh 0 0 2\n\n\nget fresh",
        "set fresh 0 0 10\nget k0\nab\nget fresh",
        "set fresh 0 0 1 x\nx\nget fresh",
        "set fresh 0 0 1 NOREPLY\nx\nget fresh",
        "set noreply 0 0 1\nx\nget noreply\ndelete noreply",
        "set  fresh   0  0  1 \nx\nget fresh",
        "touch str 0 x",
        "touch missing 0 noreply\nget k0",
        "set fresh 0 0 1\na\nget fresh\nset fresh 0 0 1\nb\nget fresh\ndelete fresh\nget fresh",
        "set k0 0 0 1 noreply\na\nget k0\nset k0 0 0 1 noreply\nb\nget k0 k1\ndelete k0 noreply\nget k0",
    ]));
    let big = "v".repeat(200_000);
    cases.push(Case::bytes(
        "large values",
        format!(
            "set fresh 0 0 200000\r\n{big}\r\nset gone 0 0 200000\r\n{big}\r\nget fresh gone k0 fresh\r\n"
        ),
    ));
    for silent in ["", " noreply"] {
        // Larger than an item may be: the server answers before it has read all of it.
        for len in [1_048_577, 2_000_000] {
            let value = "v".repeat(len);
            cases.push(Case::bytes(
                format!("a value of {len} bytes{silent}"),
                format!("set fresh 0 0 {len}{silent}\r\n{value}\r\nget fresh k0\r\nget k1\r\n"),
            ));
        }
    }
    cases
}

fn numbers() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["incr", "decr"] {
        for key in ["num", "top", "str", "missing", "empty"] {
            for delta in ["1", "100", "18446744073709551615"] {
                cases.push(Case::lines(&format!("{name} {key} {delta}\nget {key}")));
            }
            cases.push(Case::lines(&format!("{name} {key} 2 noreply\nget {key}")));
        }
        cases.extend(lines([
            format!("{name} num x"),
            format!("{name} num -1"),
            format!("{name} num 1x"),
            format!("{name} num 18446744073709551616"),
            format!("{name} num 99999999999999999999 noreply\nget num"),
            format!("{name} num 1 x\nget num"),
            format!("{name} num 007\nget num"),
            format!("{name} num"),
            name.to_owned(),
            format!("{name} num 1 noreply x"),
        ]));
    }
    cases
}

fn others() -> Vec<Case> {
    lines([
        "version",
        "version x",
        "verbosity 0",
        "verbosity 0 1",
        "verbosity noreply\nget k0",
        "verbosity 0 noreply\nget k0",
        "verbosity",
        "verbosity x",
        "verbosity -1",
        "verbosity 1 2 3",
        "flush_all x",
        "flush_all x noreply\nget k0",
        "flush_all 0 1 2",
        "flush_all 1000000\nget k0",
        "flush_all 1000000 noreply\nget k0",
        "stats reset",
        "stats detail on",
        "stats detail off",
        "stats detail",
        "stats nothing",
        "stats noreply",
        "quit",
        "quit x",
        "get k0\nquit\nget k1",
        "set fresh 0 0 1 noreply\nx\nquit",
        "get k0\nversion\nget k1",
    ])
}

fn errors() -> Vec<Case> {
    let long = "k".repeat(251);
    let longest = "k".repeat(250);
    let mut cases = lines([
        "",
        "  ",
        "x",
        "nonsense",
        "nonsense with words",
        "GET k0",
        "Get k0",
        "getx k0",
        "ge k0",
        "SET fresh 0 0 1",
        "misbehave",
        "get",
        "gets",
        "get ",
        "delete",
        "delete str 1",
        "delete str x",
        "delete str 0 x",
        "delete str noreply 0",
        "delete str 1 2 3",
        "touch",
        "touch str",
        "touch str x",
        "touch str - noreply\nget k0",
        "touch str 1 2 3",
        "nonsense\nget k0\nnonsense\nget k1",
        "get / HTTP/1.1",
    ]);
    for (name, text) in [
        ("get", format!("get {long}")),
        ("gets behind another", format!("gets k0 {long}")),
        ("get ahead of another", format!("get {long} k0")),
        ("gat", format!("gat 0 {long}")),
        ("delete", format!("delete {long}")),
        (
            "delete in silence",
            format!("delete {long} noreply\r\nget k0"),
        ),
        ("incr", format!("incr {long} 1")),
        ("touch", format!("touch {long} 1")),
    ] {
        cases.push(Case::bytes(
            format!("{name} of a key of 251 bytes"),
            format!("{text}\r\n"),
        ));
    }
    cases.push(Case::bytes(
        "the longest key",
        format!("set {longest} 0 0 1\r\nx\r\nget {longest} k0\r\ndelete {longest}\r\n"),
    ));
    cases
}

fn bytes() -> Vec<Case> {
    [
        &b"get k0\n"[..],
        b"get k0 k1 missing k2\n",
        b"set fresh 0 0 1\nx\r\nget fresh\n",
        b"set fresh 0 0 1 noreply\nx\r\nget fresh\n",
        b"delete k0\nget k0\n",
        b"incr num 1\n",
        b"\n",
        b"\r\n\n\r\n",
        b"nonsense\n",
        b"gat 0 k0 k1\n",
        b"version\n",
        b"flush_all x\n",
        b"set \x01\x7f\x80\xff 0 0 1\r\nx\r\nget \x01\x7f\x80\xff k0\r\ndelete \x01\x7f\x80\xff\r\n",
        b"set a\tb 0 0 1\r\nx\r\nget a\tb k0\r\ndelete a\tb\r\n",
    ]
    .into_iter()
    .map(|bytes| Case::bytes(format!("bytes {}", bytes.escape_ascii()), bytes))
    .collect()
}
