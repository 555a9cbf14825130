//! The binary protocol.

use crate::Case;

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: String, packets: &[Vec<u8>]| {
        cases.push(Case::bytes(format!("binary: {name}"), packets.concat()));
    };
    let flags = |flags: u32| [flags.to_be_bytes(), [0; 4]].concat();
    let delta = |initial: u64, expiry: u32| {
        [
            &7u64.to_be_bytes()[..],
            &initial.to_be_bytes(),
            &expiry.to_be_bytes(),
        ]
        .concat()
    };
    for key in ["str", "num", "empty", "missing"] {
        for (name, opcode) in [
            ("get", 0x00),
            ("getq", 0x09),
            ("getk", 0x0c),
            ("getkq", 0x0d),
        ] {
            add(format!("{name} {key}"), &[packet(opcode, b"", key, b"")]);
        }
        for (name, opcode) in [
            ("touch", 0x1c),
            ("gat", 0x1d),
            ("gatq", 0x1e),
            ("gatk", 0x23),
            ("gatkq", 0x24),
        ] {
            let touch = packet(opcode, &100u32.to_be_bytes(), key, b"");
            add(
                format!("{name} {key}"),
                &[touch, packet(0x00, b"", key, b"")],
            );
        }
        for (name, opcode) in [("delete", 0x04), ("deleteq", 0x14)] {
            let delete = packet(opcode, b"", key, b"");
            add(
                format!("{name} {key}"),
                &[delete, packet(0x00, b"", key, b"")],
            );
        }
        for (name, opcode) in [
            ("increment", 0x05),
            ("decrement", 0x06),
            ("incrementq", 0x15),
            ("decrementq", 0x16),
        ] {
            for (how, expiry) in [("or create", 0), ("or fail", u32::MAX)] {
                let change = packet(opcode, &delta(5, expiry), key, b"");
                add(
                    format!("{name} {how} {key}"),
                    &[change, packet(0x00, b"", key, b"")],
                );
            }
        }
    }
    for key in ["str", "fresh"] {
        for (name, opcode) in [
            ("set", 0x01),
            ("add", 0x02),
            ("replace", 0x03),
            ("setq", 0x11),
            ("addq", 0x12),
            ("replaceq", 0x13),
        ] {
            let store = packet(opcode, &flags(7), key, b"new");
            add(
                format!("{name} {key}"),
                &[store, packet(0x0c, b"", key, b"")],
            );
            let empty = packet(opcode, &flags(0), key, b"");
            add(
                format!("{name} {key} to nothing"),
                &[empty, packet(0x0c, b"", key, b"")],
            );
            let mut unique = packet(opcode, &flags(7), key, b"new");
            unique[23] = 99;
            add(
                format!("{name} {key} with a number it has not"),
                &[unique, packet(0x0c, b"", key, b"")],
            );
        }
        for (name, opcode) in [
            ("append", 0x0e),
            ("prepend", 0x0f),
            ("appendq", 0x19),
            ("prependq", 0x1a),
        ] {
            let store = packet(opcode, b"", key, b"new");
            add(
                format!("{name} {key}"),
                &[store, packet(0x0c, b"", key, b"")],
            );
        }
    }
    let gets: Vec<Vec<u8>> = (0..8)
        .flat_map(|index| [format!("k{index}"), format!("absent{index}")])
        .map(|key| packet(0x0d, b"", &key, b""))
        .collect();
    add("a get of many keys".into(), &gets);
    let sets: Vec<Vec<u8>> = (0..500)
        .map(|index| packet(0x11, &flags(index), &format!("many:{index}"), b"value"))
        .collect();
    let gets: Vec<Vec<u8>> = (0..600)
        .map(|index| packet(0x0d, b"", &format!("many:{index}"), b""))
        .collect();
    add("1,100 quiet requests".into(), &[sets, gets].concat());
    let loud: Vec<Vec<u8>> = (0..8)
        .map(|index| {
            packet(
                if index % 2 == 0 { 0x00 } else { 0x0d },
                b"",
                &format!("k{index}"),
                b"",
            )
        })
        .collect();
    add("loud and quiet gets in turn".into(), &loud);
    for (name, bytes) in [
        ("noop", packet(0x0a, b"", "", b"")),
        ("version", packet(0x0b, b"", "", b"")),
        ("quit", packet(0x07, b"", "", b"")),
        ("quitq", packet(0x17, b"", "", b"")),
        (
            "flush in a while",
            packet(0x08, &1_000_000u32.to_be_bytes(), "", b""),
        ),
        (
            "flushq in a while",
            packet(0x18, &1_000_000u32.to_be_bytes(), "", b""),
        ),
        ("stat reset", packet(0x10, b"", "reset", b"")),
        ("stat of nothing known", packet(0x10, b"", "nothing", b"")),
        ("an unknown opcode", packet(0x77, b"", "", b"")),
        ("sasl mechanisms", packet(0x20, b"", "", b"")),
        (
            "a key of 250 bytes",
            packet(0x0c, b"", &"k".repeat(250), b""),
        ),
        (
            "a key of 251 bytes",
            packet(0x0c, b"", &"k".repeat(251), b""),
        ),
        ("a get without a key", packet(0x00, b"", "", b"")),
        ("a get with extras", packet(0x00, b"extr", "k0", b"")),
        ("a get with a value", packet(0x00, b"", "k0", b"value")),
        ("a set without extras", packet(0x01, b"", "fresh", b"value")),
        ("an increment without extras", packet(0x05, b"", "num", b"")),
        ("a noop with a key", packet(0x0a, b"", "k0", b"")),
        (
            "text behind it",
            [packet(0x0a, b"", "", b""), b"get k0\r\n".to_vec()].concat(),
        ),
    ] {
        add(name.into(), &[bytes]);
    }
    let large = vec![b'v'; 200_000];
    let store = packet(0x01, &flags(0), "fresh", &large);
    add(
        "a large value".into(),
        &[store, packet(0x00, b"", "fresh", b"")],
    );
    let larger = vec![b'v'; 2_000_000];
    for (name, opcode) in [("set", 0x01), ("setq", 0x11), ("add", 0x02)] {
        let store = packet(opcode, &flags(0), "fresh", &larger);
        let gets = [
            packet(0x00, b"", "fresh", b""),
            packet(0x00, b"", "k0", b""),
        ]
        .concat();
        add(format!("{name} of 2,000,000 bytes"), &[store, gets]);
    }
    cases
}

/// A request whose opaque is told by what it asks.
pub fn packet(opcode: u8, extras: &[u8], key: &str, value: &[u8]) -> Vec<u8> {
    let body = (extras.len() + key.len() + value.len()) as u32;
    let mut bytes = vec![0x80, opcode];
    bytes.extend_from_slice(&(key.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[extras.len() as u8, 0, 0, 0]);
    bytes.extend_from_slice(&body.to_be_bytes());
    bytes.extend_from_slice(&[opcode, key.len() as u8, value.len() as u8, 7]);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend([extras, key.as_bytes(), value].concat());
    bytes
}

/// Replies with the unique numbers of values taken out; what is no whole reply stays as it is.
pub fn without_uniques(replies: &[u8]) -> Vec<u8> {
    let mut out = replies.to_vec();
    let mut start = 0;
    while let Some(header) = out.get_mut(start..start + 24) {
        if header[16..24] != [0; 8] {
            header[16..24].fill(b'#');
        }
        start += 24 + u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
    }
    out
}
