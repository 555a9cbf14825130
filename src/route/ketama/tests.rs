//! Rings against the recorded ones, and the properties a ring must have.

use std::fmt::Write;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::route::vectors::{data, list, numbers, weighted};

fn candidates<'a>(names: &'a [String], weights: &[u32]) -> Vec<Candidate<'a>> {
    let both = names.iter().zip(weights).zip(0u16..);
    both.map(|((name, &weight), i)| Candidate {
        name,
        weight,
        index: ServerIndex(i),
    })
    .collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("10.0.0.{i}:6379")).collect()
}

/// Points of each server for these weights.
fn point_counts(weights: &[u32]) -> Vec<usize> {
    let names = names(weights.len());
    let counts = digest_counts(&candidates(&names, weights));
    counts.iter().map(|&count| 4 * count as usize).collect()
}

#[test]
fn rings_equal_the_recorded_ones() {
    let data = data();
    let rings = list(&data["continuum"]);
    assert_eq!(rings.len(), 19);
    for dump in rings {
        let pools = list(&data["pools"]);
        let pool = pools
            .iter()
            .find(|p| p["name"] == dump["pool"])
            .expect("pool");
        let order = numbers(&pool["sorted_order"]);
        let servers = weighted(pool, &[]);
        let candidates: Vec<_> = servers
            .iter()
            .zip(0u16..)
            .map(|(s, i)| Candidate {
                name: s.name,
                weight: s.weight,
                index: ServerIndex(i),
            })
            .collect();
        let ring: Vec<Vec<usize>> = Ring::new(&candidates)
            .points
            .iter()
            .map(|point| vec![point.value as usize, order[point.server.index()]])
            .collect();

        assert_eq!(ring.len() as u64, dump["total"].as_u64().expect("total"));
        let rows =
            |key: &str| -> Vec<Vec<usize>> { list(&dump[key]).iter().map(numbers).collect() };
        let (first, last) = (rows("first"), rows("last"));
        assert_eq!(&ring[..first.len()], first);
        assert_eq!(&ring[ring.len() - last.len()..], last);
        let text = ring.iter().fold(String::new(), |mut text, point| {
            writeln!(text, "{}:{}", point[0], point[1]).expect("a string");
            text
        });
        let sum = Sha256::digest(text.as_bytes());
        let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            dump["sha256"].as_str().expect("sum"),
            "{}",
            dump["pool"]
        );
    }
}

#[test]
fn points_per_server() {
    let data = data();
    let rows = list(&data["points_per_server"]);
    assert_eq!(rows.len(), 227);
    for row in rows {
        let weights: Vec<u32> = numbers(&row["weights"]).iter().map(|&w| w as u32).collect();
        assert_eq!(
            point_counts(&weights),
            numbers(&row["points"]),
            "{weights:?}"
        );
    }
    for pool in list(&data["pools"]).iter().chain(list(&data["ejection"])) {
        if pool["distribution"] != "ketama" {
            continue;
        }
        let ejected = pool.get("ejected").map(numbers).unwrap_or_default();
        let servers = weighted(pool, &ejected);
        let live: Vec<u32> = servers
            .iter()
            .filter(|s| s.live)
            .map(|s| s.weight)
            .collect();
        let mut counts = point_counts(&live).into_iter();
        for (&place, server) in numbers(&pool["sorted_order"]).iter().zip(&servers) {
            let expected = numbers(&pool["points"])[place];
            let made = if server.live {
                counts.next().expect("a count")
            } else {
                0
            };
            assert_eq!(made, expected, "{}: {}", pool["name"], server.name);
        }
    }
}

#[test]
fn a_wrapped_sum() {
    // The sum is 2^32 + 2^31 - 3 and wraps to 2^31 - 3: three times the usual share, which
    // twemproxy's table still has room for.
    assert_eq!(point_counts(&[i32::MAX as u32; 3]), [480, 480, 480]);
    // 2^32 wraps to zero; twemproxy would divide by it.
    assert_eq!(point_counts(&[1 << 30; 4]), [160, 160, 160, 160]);
    // Wraps to 1; twemproxy would make 2^40 points.
    assert_eq!(point_counts(&[1 << 31, (1 << 31) + 1]), [160, 160]);
}

#[test]
fn labels_are_cut() {
    let mut label = Vec::new();
    for (len, expected) in [
        (269, 272),
        (270, 272),
        (271, 272),
        (272, 272),
        (400, 272),
        (10, 13),
    ] {
        write_label(&mut label, &"n".repeat(len), 17);
        assert_eq!(label.len(), (len + 3).min(expected), "{len}");
    }
    write_label(&mut label, "host:1", 39);
    assert_eq!(label, b"host:1-39");
}

#[test]
fn equal_points_belong_to_the_first_server() {
    // Names that differ behind the cut only have the same labels, so every point is there twice.
    let long = "n".repeat(300);
    let names = [format!("{long}a"), format!("{long}b")];
    let ring = Ring::new(&candidates(&names, &[1, 1]));
    assert_eq!(ring.points.len(), 320);
    for hash in [0, 1 << 20, 1 << 31, u32::MAX] {
        assert_eq!(ring.pick(hash), ServerIndex(0));
    }
}

#[test]
fn the_ring_closes() {
    let point = |value, server| Point {
        value,
        server: ServerIndex(server),
    };
    let ring = Ring::from_points(&[point(20, 1), point(10, 0), point(u32::MAX - 1, 2)]);
    for (hash, server) in [
        (0, 0),
        (10, 0),
        (11, 1),
        (20, 1),
        (21, 2),
        (u32::MAX - 1, 2),
        (u32::MAX, 0),
    ] {
        assert_eq!(ring.pick(hash), ServerIndex(server), "{hash}");
    }
}

#[test]
fn a_thousand_servers() {
    let names = names(1000);
    let ring = Ring::new(&candidates(&names, &vec![1; 1000]));
    assert!(ring.points.len() >= 156_000);
    assert_eq!(ring.starts.len(), (1 << INDEX_BITS_LIMIT) + 1);
}

/// The definition: the first point at or behind the hash, else the first of all.
fn naive(points: &[Point], hash: u32) -> ServerIndex {
    points
        .iter()
        .find(|p| p.value >= hash)
        .unwrap_or(&points[0])
        .server
}

proptest! {
    #[test]
    fn the_index_finds_what_a_plain_search_finds(
        mut values in proptest::collection::vec(any::<u32>(), 1..300),
        crowd in any::<u32>(),
        hashes in proptest::collection::vec(any::<u32>(), 50),
    ) {
        // Many points in one entry of the index, besides the spread ones.
        values.extend((0..20).map(|i| crowd.saturating_add(i)));
        let mut points: Vec<Point> = values
            .iter()
            .zip(0u16..)
            .map(|(&value, i)| Point { value, server: ServerIndex(i) })
            .collect();
        let ring = Ring::from_points(&points);
        points.sort_by_key(|point| point.value);
        prop_assert_eq!(&*ring.points, &*points);
        let edges = values.iter().flat_map(|&v| [v.saturating_sub(1), v, v.saturating_add(1)]);
        for hash in hashes.into_iter().chain(edges).chain([0, u32::MAX]) {
            prop_assert_eq!(ring.pick(hash), naive(&points, hash));
        }
    }

    #[test]
    fn an_ejected_server_moves_only_its_own_keys(
        count in 2usize..12,
        out in any::<prop::sample::Index>(),
        hashes in proptest::collection::vec(any::<u32>(), 100),
    ) {
        let names = names(count);
        let all = candidates(&names, &vec![1; count]);
        let out = ServerIndex(out.index(count) as u16);
        let left: Vec<_> = all.iter().copied().filter(|c| c.index != out).collect();
        let (before, after) = (Ring::new(&all), Ring::new(&left));
        for hash in hashes {
            prop_assert_ne!(after.pick(hash), out);
            if before.pick(hash) != out {
                prop_assert_eq!(after.pick(hash), before.pick(hash));
            }
        }
    }
}
