//! Pools with passwords, databases, one server, dead servers, and servers that answer oddly.

use crate::case::{Case, redis, redis_lines};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [
        placement(),
        passwords(),
        databases(),
        no_database(),
        full(),
        dead(),
        ejected(),
        odd(),
    ]
    .concat()
}

fn on(pool: &'static str, lines: &str) -> Vec<Case> {
    redis_lines(lines)
        .into_iter()
        .map(|case| case.on(pool))
        .collect()
}

fn placement() -> Vec<Case> {
    let lines = "
        GET str
        MGET k0 k1 k2 k3 missing k4
        MSET k0 a k1 b | MGET k1 k0
        DEL k0 k1 k2 missing
        EXISTS k0 k0
        LRANGE list 0 -1
        SUNION set single
        ";
    let one = "
        EXISTS k0 k1 k2 missing
        SUNION set missing
        COPY k0 k1 REPLACE | GET k1
        ZUNION 2 zset lex
        ";
    // Together on one server by chance or by there being only one.
    let modula: Vec<_> = on("modula", lines).into_iter().take(5).collect();
    [
        modula,
        on("one", &lines.replace("SUNION set single", "")),
        on("one", one),
    ]
    .concat()
}

fn passwords() -> Vec<Case> {
    let mut cases = on(
        "auth",
        r#"
        GET k0
        PING
        COMMAND
        LOLWUT
        MGET k0 k1
        AUTH secret
        AUTH wrong
        AUTH ""
        AUTH secret | GET k0
        AUTH secret | MGET k0 k1 k2 missing | PING
        AUTH secret | SET k0 x | GET k0 | AUTH wrong | GET k0
        AUTH wrong | GET k0 | AUTH secret | GET k0
        GET k0 | AUTH secret | GET k0
        AUTH secret | AUTH secret
        AUTH SECRET
        auth secret | ping
        AUTH secretsecret
        AUTH secre
        "#,
    );
    for request in ["GET k0", "SET k0 x", "MGET k0", "DEL k0 k1 k2"] {
        let case = redis(&format!("AUTH wrong | {request}")).on("wrongpass");
        let ours = "+OK\n-ERR server refused the pool's password";
        cases.push(case.differs("refused-greeting", ours));
    }
    cases.extend(on("nopass", "GET k0\nSET k0 x\nPING\nMGET k0"));
    let hidden = "-NOAUTH Authentication required.";
    cases.extend([
        redis("MGET k0 k1 k2")
            .on("nopass")
            .differs("fragment-errors", hidden),
        redis("DEL k0 k1 k2")
            .on("nopass")
            .differs("fragment-errors", hidden),
        redis("MSET k0 x k1 y k2 z")
            .on("nopass")
            .differs("fragment-errors", hidden),
        redis("AUTH default secret")
            .on("auth")
            .differs("connection-commands", "+OK"),
        redis("NOPE")
            .on("auth")
            .differs("unsupported-command", "-NOAUTH Authentication required"),
        redis("QUIT")
            .on("auth")
            .differs("quit-reply", "+OK\n<closed>"),
    ]);
    cases
}

fn databases() -> Vec<Case> {
    let mut cases = on(
        "db",
        "GET k0\nMGET k0 k1 missing\nSET k0 x | GET k0\nDEL k0 k1",
    );
    // What is written to the database is not seen in database 0.
    cases.push(redis("GET fresh").after("db", "SET fresh x"));
    let asked = redis("AUTH secret | GET fresh").on("auth");
    cases.push(
        asked
            .after("authdb", "AUTH secret | SET fresh x")
            .differs("database-with-password", "+OK\n+OK\n+OK\n$-1"),
    );
    cases
}

/// A database the servers do not have.
fn no_database() -> Vec<Case> {
    let ours = "-ERR server refused the pool's database";
    ["SET k0 x", "GET k0", "MSET k0 x k1 y k2 z"]
        .map(|request| redis(request).on("nodb").differs("refused-greeting", ours))
        .to_vec()
}

/// A server without memory left.
fn full() -> Vec<Case> {
    let oom = "-OOM command not allowed when used memory > 'maxmemory'.";
    let mut cases = on("full", "GET k0\nDEL k0\nMGET k0 k1");
    cases.push(
        redis("SET k0 x")
            .on("full")
            .differs("transient-errors", oom),
    );
    cases.push(
        redis("MSET k0 x")
            .on("full")
            .differs("transient-errors", oom),
    );
    cases.push(
        redis("MSET k0 x k1 y")
            .on("full")
            .differs("transient-errors", oom),
    );
    let ours = format!("$-1\n{oom}\n$-1");
    cases.push(
        redis("GET k0 | SET k0 x | GET k0")
            .on("full")
            .differs("transient-errors", &ours),
    );
    cases
}

fn dead() -> Vec<Case> {
    let mut cases = on(
        "dead",
        "GET k0
        SET k0 x
        PING
        PING | GET k0 | PING
        DEL k0
        DEL k0 k1 k2
        MSET k0 x k1 y
        MGET k0
        GET k0 | GET k1 | GET k2
        EVAL x 1 k0",
    );
    cases.extend(on(
        "half",
        "GET k0
        SET k3 x | GET k3
        GET k3 | GET k0 | GET k4
        DEL k0 k3
        MSET k0 x k3 y
        MGET k3 k4",
    ));
    cases.extend(on("nosocket", "GET k0\nDEL k0 k1"));
    cases.extend(on("nohost", "GET k0\nDEL k0 k1"));
    let refused = "-ERR Connection refused";
    cases.extend([
        redis("MGET k0 k1 k2")
            .on("dead")
            .of_one_line()
            .differs("failed-mget", refused),
        redis("MGET k0 k3")
            .on("half")
            .of_one_line()
            .differs("failed-mget", refused),
    ]);
    cases
}

/// A pool whose servers are all ejected by the first case.
fn ejected() -> Vec<Case> {
    let mut cases = on(
        "ejected",
        "DEL k0 k1 k2 k3
        GET k0
        GET k1 | GET k2
        SET k0 x
        DEL k1 k2
        PING",
    );
    let refused = "-ERR Connection refused";
    cases.push(
        redis("MGET k0 k1 k2")
            .on("ejected")
            .of_one_line()
            .differs("failed-mget", refused),
    );
    cases
}

/// A server that answers with the first argument. A script may be answered with anything; `GET` only with
/// a bulk string, nil or an error.
fn odd() -> Vec<Case> {
    let mut cases = on(
        "odd",
        r#"
        EVAL "+OK\r\n" 1 k
        EVAL "+\r\n" 1 k
        EVAL ":0\r\n" 1 k
        EVAL ":-12345678901234567890\r\n" 1 k
        EVAL "$-1\r\n" 1 k
        GET "$-1\r\n"
        EVAL "$0\r\n\r\n" 1 k
        GET "$0\r\n\r\n"
        EVAL "*-1\r\n" 1 k
        EVAL "*0\r\n" 1 k
        EVAL "*2\r\n:1\r\n*2\r\n$1\r\nx\r\n*0\r\n" 1 k
        EVAL "*3\r\n$-1\r\n+x\r\n-ERR y\r\n" 1 k
        GET "-ERR something\r\n"
        GET "-\r\n"
        GET "-WORD\r\n"
        GET "-READONLY You can't write\r\n"
        GET "-MISCONF x\r\n"
        GET "-BUSYKEY x\r\n"
        GET "-BUSYGROUP x\r\n"
        GET "-MASTERDOWN x\r\n"
        GET "-NOSCRIPT x\r\n"
        GET "-oom x\r\n"
        GET ":1.5\r\n"
        GET ":x\r\n"
        GET "_\r\n"
        GET "\#t\r\n"
        GET ",1.5\r\n"
        GET "(123\r\n"
        GET "=5\r\ntxt:x\r\n"
        GET "%1\r\n+a\r\n+b\r\n"
        GET "~1\r\n+a\r\n"
        GET ">1\r\n+a\r\n"
        GET "garbage\r\n"
        GET "$x\r\n"
        GET "$3\r\nabcd\r\n"
        EVAL "+OK\r\n" 1 k | GET "garbage\r\n" | PING
        GET close
        GET break
        PING | GET close | PING
        "#,
    );
    cases.push(redis("GET stall").on("stalling"));
    let shown = [
        ("GET \"-OOM no memory\\r\\n\"", "-OOM no memory"),
        ("GET \"-BUSY a script runs\\r\\n\"", "-BUSY a script runs"),
        ("GET \"-LOADING not yet\\r\\n\"", "-LOADING not yet"),
        ("GET \"-OOM\\r\\n\"", "-OOM"),
    ];
    cases.extend(shown.map(|(text, ours)| redis(text).on("odd").differs("transient-errors", ours)));
    let misfits = ["+OK", ":0", "*-1", "*0", "*1\\r\\n$1\\r\\nx"];
    cases.extend(misfits.map(|reply| {
        let case = redis(&format!("GET \"{reply}\\r\\n\"")).on("odd");
        case.differs("reply-type", "-ERR Invalid argument")
    }));
    cases
}
