//! The meta commands.

use crate::Case;

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |text: &str| cases.push(Case::lines(text));
    // Each flag by itself, on a key that is there and one that is not, loud and quiet. Ages and times
    // of reading depend on the clock: `h`, `l` and `t` stand with keys whose answers do not.
    for flag in [
        "",
        " v",
        " k",
        " f",
        " s",
        " c",
        " O123",
        " k v",
        " v k f s c O9",
        " t",
        " v E5",
    ] {
        for key in ["str", "empty", "missing"] {
            add(&format!("mg {key}{flag}\nmn"));
            add(&format!("mg {key}{flag} q\nmn"));
        }
    }
    for mode in ["", " ME", " MA", " MP", " MR", " MS", " Ma", " MX", " M"] {
        for key in ["str", "fresh"] {
            add(&format!("ms {key} 3{mode}\nnew\nmg {key} v f"));
            add(&format!("ms {key} 3{mode} q\nnew\nmn\nmg {key} v f"));
        }
    }
    for flags in [
        " k",
        " O1",
        " F7",
        " T100",
        " T0",
        " T-1",
        " TX",
        " F",
        " C1",
        " C1 k O2 q",
        " I C1",
        " c c",
        " b",
        " Z",
    ] {
        for key in ["str", "fresh"] {
            add(&format!("ms {key} 3{flags}\nnew\nmn\nmg {key} v"));
        }
    }
    for flags in [
        "", " q", " k", " O7", " k O7 q", " C1", " C1 q", " I T30", " T30", " Z", " b",
    ] {
        for key in ["str", "missing"] {
            add(&format!("md {key}{flags}\nmn\nmg {key} v"));
        }
    }
    for flags in [
        "",
        " q",
        " v",
        " v q",
        " D5 v",
        " MD v",
        " MD D50 v",
        " MI v",
        " M+ v",
        " M- v",
        " MX",
        " Dx",
        " N0 J7 v",
        " N0 J7 v q",
        " N0 v",
        " N",
        " k O3 v",
        " t v",
        " C1 v",
    ] {
        for key in ["num", "top", "str", "counter"] {
            add(&format!("ma {key}{flags}\nmn\nget {key}"));
        }
    }
    for text in [
        "mn",
        "mn x",
        "mn\nmn\nmn",
        "mg",
        "md",
        "ma",
        "me",
        "me missing",
        "me missing b",
        "mx k0",
        "mga k0",
        "m",
        "mg k0 v v",
        "mg missing N30 v k\nmg missing v k\nmn\ndelete missing",
        "md str I T30\nmg str v\nmg str v\nmn\nset str 0 0 1\nx\nmg str v",
        "mg k0 v q\nmg k1 v q\nmg missing v q\nmg k2 k v q O1\nmg k3 v q\nmn",
        "mg missing v q\nmg gone v q\nmg absent v q\nmn",
        "mg k7 k v q\nmg k6 k v q\nmg k5 k v q\nmg k4 k v q\nmg k3 k v q\nmg k2 v q\nmn",
        "ms k0 1 q\na\nms k1 1 q\nb\nms k2 1\nc\nmd k3 q\nma num q\nmn\nget k0 k1 k2 k3 num",
        "mg k0 v\nget k1\nmg k2 v q\nset k3 0 0 1 noreply\nx\nget k3\nmn",
        "ms fresh 0\n\nmg fresh v",
        "ms fresh 10\nget k0\nab\nmg fresh v",
        "ms fresh 3 S1\nabc",
        // Base64: str, missing, and what is none.
        "mg c3Ry b v k",
        "mg c3Ry b v k q O1\nmn",
        "mg bWlzc2luZw== b v k",
        "mg bWlzc2luZw== b v k q\nmn",
        "ms ZnJlc2g= 3 b k\nnew\nget fresh",
        "ms ZnJlc2g= 3 b q\nnew\nmn\nget fresh",
        "md c3Ry b k\nget str",
        "ma bnVt b k v\nget num",
        "mg c3R b v",
        "mg !!!! b v",
        "mg str b v",
        "ms !!!! 3 b\nnew\nmn",
        "md c3R= b q\nmn",
        "mg azA= b v k q\nmg azE= b v k q\nmg azI= b v k q\nmg azM= b v k q\nmn",
    ] {
        add(text);
    }
    let long = "k".repeat(251);
    for name in ["mg", "md", "ma", "me"] {
        cases.push(Case::bytes(
            format!("{name} of a key of 251 bytes"),
            format!("{name} {long}\r\nmn\r\n"),
        ));
    }
    cases.push(Case::bytes(
        "a bare line feed behind meta commands",
        &b"mg str v\nms fresh 1\nx\r\nmg fresh v q\nmn\n"[..],
    ));
    let value = "v".repeat(2_000_000);
    for quiet in ["", " q"] {
        cases.push(Case::bytes(
            format!("ms of 2,000,000 bytes{quiet}"),
            format!("ms fresh 2000000{quiet}\r\n{value}\r\nmn\r\nmg k0 v\r\n"),
        ));
    }
    let values: String = (0..2000)
        .map(|index| format!("ms many:{index} 5 q\r\n{index:05}\r\n"))
        .collect();
    let gets: String = (0..2000)
        .map(|index| format!("mg many:{index} k v q\r\n"))
        .collect();
    cases.push(Case::bytes(
        "4,000 quiet requests in a pipeline",
        format!("{values}{gets}mn\r\n"),
    ));
    cases
}
