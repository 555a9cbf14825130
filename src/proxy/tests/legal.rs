//! What a sound server may say costs nobody but its reader, however long or deep it is.

use super::*;

/// A client asks for an odd reply, another one for a usual one behind it on the same connection.
fn check(question: &str, odd: &str) {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let neighbour = rig.client();
    rig.receive(client, ask(question));
    rig.receive(neighbour, ask("INCR n"));
    let link = rig.link(0);
    let bytes = [odd, ":1\r\n"].concat();
    for piece in bytes.as_bytes().chunks(10_000) {
        rig.receive(link, piece);
    }
    assert_eq!(rig.take(client), odd, "{question}");
    assert_eq!(rig.take(neighbour), ":1\r\n", "{question}");
    assert!(!rig.is_closed(link), "{question}");
    assert_eq!((&rig.failures[..], &rig.notices[..]), (&[][..], &[][..]));
}

#[test]
fn long_lines_and_deep_replies_pass() {
    let long = "x".repeat(140_000);
    check("EVAL e 0", &format!("+{long}\r\n"));
    check("XPENDING k g", &format!("-NOGROUP {long}\r\n"));
    check("EVAL e 0", &format!("*2\r\n-{long}\r\n+{long}\r\n"));
    check("EVAL e 0", &format!("{}*0\r\n", "*1\r\n".repeat(7_995)));
    let wide = format!("{}*0\r\n{}", "*2\r\n".repeat(7_995), ":1\r\n".repeat(7_995));
    check("EVAL e 0", &wide);
}

#[test]
fn a_long_error_of_a_memcached_server_passes() {
    let mut memcached = pool(1);
    memcached.protocol = Protocol::Memcache;
    memcached.limits = *Protocol::Memcache.limits();
    let mut rig = Rig::new(memcached);
    let (client, neighbour) = (rig.client(), rig.client());
    rig.receive(client, "set a 0 0 1\r\nx\r\n");
    rig.receive(neighbour, "incr n 1\r\n");
    rig.establish();
    let link = rig.link(0);
    let error = format!("SERVER_ERROR {}\r\n", "x".repeat(70_000));
    for piece in [&error[..], "1\r\n"].concat().as_bytes().chunks(999) {
        rig.receive(link, piece);
    }
    assert_eq!(rig.take(client), error);
    assert_eq!(rig.take(neighbour), "1\r\n");
    assert_eq!(rig.failures, []);
}

#[test]
fn a_long_error_of_one_server_is_that_of_a_request_for_all() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (first, second) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(client, ask(&format!("DEL {first} {second}")));
    let error = format!("-ERR {}\r\n", "x".repeat(140_000));
    rig.receive(rig.link(0), ":1\r\n");
    for piece in error.as_bytes().chunks(10_000) {
        rig.receive(rig.link(1), piece);
    }
    assert_eq!(rig.take(client), error);
    assert_eq!(rig.failures, []);
}

/// The same where the replies are passed on as they come.
#[test]
fn a_long_error_of_one_server_is_that_of_a_request_whose_reply_is_streamed() {
    let (mut rig, client) = ready(
        pool(2),
        Limits {
            window: 20_000,
            ..Limits::default()
        },
    );
    let (first, second) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(client, ask(&format!("MGET {first} {second}")));
    let error = format!("-ERR {}\r\n", "x".repeat(140_000));
    for piece in error.as_bytes().chunks(10_000) {
        rig.receive(rig.link(0), piece);
    }
    rig.receive(rig.link(1), "*1\r\n$1\r\nv\r\n");
    assert_eq!(rig.take(client), error);
    assert_eq!(rig.failures, []);
}

/// A connection whose transaction is still open must not be used, however long the server's words are.
#[test]
fn a_long_error_in_the_place_of_the_end_of_a_transaction_closes_the_connection() {
    for (error, closes) in [("-BUSY", true), ("-EXECABORT", false)] {
        let (mut rig, client) = ready(pool(1), Limits::default());
        rig.receive(client, ask("MULTI") + &ask("INCR a") + &ask("EXEC"));
        rig.take(client);
        let link = rig.link(0);
        // The first two show that the server has transactions.
        rig.receive(link, "+OK\r\n*0\r\n");
        rig.receive(link, "+OK\r\n+QUEUED\r\n");
        let error = format!("{error} {}\r\n", "x".repeat(140_000));
        for piece in error.as_bytes().chunks(10_000) {
            rig.receive(link, piece);
        }
        assert_eq!(rig.take(client), error);
        assert_eq!(rig.is_closed(link), closes, "{}", &error[..10]);
    }
}
