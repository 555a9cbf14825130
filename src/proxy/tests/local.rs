//! What is answered here: how long it may be, and that it costs nobody else anything.

use super::*;

fn bulks(words: &[&str]) -> String {
    let bulk = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    let text: String = words.iter().map(bulk).collect();
    format!("*{}\r\n{text}", words.len())
}

#[test]
fn what_is_answered_here_has_a_longest_request() {
    const REFUSED: &str = "-ERR the request is longer than local_request_limit (2000 bytes)\r\n";
    let mut pool = pool(1);
    pool.limits.local = 2000;
    let mut rig = Rig::new(pool);
    let client = rig.client();
    // So long that the request has as many bytes as it may have.
    let name = "x".repeat(2000 - "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$1956\r\n\r\n".len());
    rig.receive(client, bulks(&["CLIENT", "SETNAME", &name]));
    assert_eq!(rig.take(client), "+OK\r\n");
    let longer = format!("{name}x");
    let long = longer.as_str();
    for words in [
        &["CLIENT", "SETNAME", long][..],
        &["CLIENT", "SETINFO", "LIB-NAME", long],
        &["HELLO", "2", "SETNAME", long],
        &["COMMAND", "LIST", "FILTERBY", "PATTERN", long],
        &["COMMAND", "GETKEYS", "MGET", long],
        &["CONFIG", "GET", "FILTERBY", long],
        &["CLIENT", long, "HELLO", "CLIENT"],
    ] {
        rig.receive(client, bulks(words));
        assert_eq!(rig.take(client), REFUSED, "{:?}", words[0]);
    }
    assert_eq!(rig.stats.pools[0].local_request_limit_hits.read(), 7);
    rig.receive(client, bulks(&["CLIENT", "GETNAME"]));
    assert_eq!(rig.take(client), format!("${}\r\n{name}\r\n", name.len()));
    // What is only given back may be longer.
    let text = "y".repeat(16 * 2000 - 32);
    rig.receive(client, bulks(&["ECHO", &text]));
    assert_eq!(rig.take(client), format!("${}\r\n{text}\r\n", text.len()));
    let text = "y".repeat(16 * 2000);
    rig.receive(client, bulks(&["PING", &text]));
    assert_eq!(rig.take(client), REFUSED);
}

#[test]
fn the_line_of_a_client_is_told_to_those_who_ask_for_it() {
    let mut rig = Rig::new(pool(1));
    let client = rig.client();
    rig.receive(client, bulks(&["CLIENT", "SETNAME", "me"]));
    rig.take(client);
    for (word, told) in [("INFO", "cmd=client|info "), ("LIST", "cmd=client|list ")] {
        rig.receive(client, bulks(&["CLIENT", word]));
        let line = rig.take(client);
        assert!(line.contains(told) && line.contains(" name=me "), "{line}");
    }
}
