//! `CONFIG GET`.

use super::*;

const POLICY: &str = "*2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n";
const OTHER: &str = "*2\r\n$16\r\nmaxmemory-policy\r\n$11\r\nallkeys-lru\r\n";

#[test]
fn what_the_proxy_decides_needs_no_server() {
    let mut rig = Rig::new(pool(2));
    let client = rig.client();
    rig.receive(client, ask("CONFIG GET TimeOut databases"));
    let expected = "*4\r\n$9\r\ndatabases\r\n$2\r\n16\r\n$7\r\ntimeout\r\n$1\r\n0\r\n";
    assert_eq!(rig.take(client), expected);
    assert!(rig.links.is_empty());
}

#[test]
fn the_rest_is_what_all_servers_say() {
    for (count, second, expected) in [
        (1, "", POLICY),
        (2, POLICY, POLICY),
        (
            2,
            OTHER,
            "-ERR the servers of this pool differ in 'maxmemory-policy'\r\n",
        ),
        (2, "-NOPERM no\r\n", "-NOPERM no\r\n"),
        (2, "+OK\r\n", "-ERR Invalid argument\r\n"),
    ] {
        let (mut rig, client) = ready(pool(count), Limits::default());
        let request = ask("CONFIG GET maxmemory-policy");
        rig.receive(client, [request.clone(), ask("PING")].concat());
        for server in 0..count as u16 {
            assert_eq!(rig.take(rig.link(server)), request);
        }
        rig.receive(rig.link(0), POLICY);
        if count == 2 {
            rig.receive(rig.link(1), second);
        }
        assert_eq!(rig.take(client), format!("{expected}+PONG\r\n"));
    }
}
