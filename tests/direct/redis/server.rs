//! Commands about the connection, the server and its settings.

use super::case::{Case, lines};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [
        CONNECTION, TABLE, SETTINGS, REPORTS, RIGHTS, REFUSED, MISTAKES,
    ]
    .iter()
    .flat_map(|text| lines(text))
    .chain(lines(&format!(
        "!local-length CLIENT SETNAME {0} | COMMAND LIST FILTERBY PATTERN {0}",
        "x".repeat(65_536)
    )))
    .collect()
}

const CONNECTION: &str = r#"
    PING | PING text | PING a b | ECHO text | ECHO | ECHO a b
    !auth-words AUTH password
    AUTH default password | AUTH nobody password | AUTH a b c | AUTH
    QUIT
    QUIT now
    !hello-modules@valkey ~numbers HELLO | HELLO 2 | HELLO 3 | HELLO 2 SETNAME me | CLIENT GETNAME
        | HELLO 4 | HELLO x | HELLO 3 AUTH default x | HELLO 3 AUTH nobody x | HELLO 3 SETNAME "a b"
        | HELLO 3 FOO
    CLIENT SETNAME me | CLIENT GETNAME | CLIENT SETNAME "a b" | CLIENT SETNAME "" | CLIENT GETNAME | RESET
        | CLIENT GETNAME
    !newer-client@redis CLIENT SETINFO LIB-NAME lib | CLIENT SETINFO lib-ver 1.0 | CLIENT SETINFO FOO x
        | CLIENT SETINFO LIB-NAME "a b" | CLIENT SETINFO LIB-NAME
    ~numbers CLIENT ID | CLIENT ID x
    !client-list ~fields CLIENT INFO | CLIENT LIST | CLIENT LIST TYPE normal
    CLIENT NO-EVICT ON | CLIENT NO-EVICT OFF | CLIENT NO-EVICT FOO
    !newer-client@redis CLIENT NO-TOUCH OFF | CLIENT NO-TOUCH FOO
    !no-touch CLIENT NO-TOUCH ON
    CLIENT LIST TYPE foo | CLIENT LIST FOO | CLIENT LIST TYPE replica
    CLIENT REPLY ON | CLIENT REPLY SKIP | SET a 1 | CLIENT REPLY OFF | SET a 2 | CLIENT REPLY ON | GET a
        | CLIENT REPLY FOO | CLIENT REPLY
    CLIENT REPLY OFF | SUBSCRIBE a | UNSUBSCRIBE a | PING | CLIENT REPLY ON | CLIENT REPLY SKIP
        | PSUBSCRIBE a* | PUNSUBSCRIBE a* | PING
    CLIENT REPLY SKIP | RESET | PING | CLIENT REPLY OFF | PING | RESET | PING
    !client-kill@valkey CLIENT KILL ID x
    CLIENT KILL ID 0 | CLIENT KILL 1.2.3.4:5 | CLIENT KILL
    !client-caching CLIENT TRACKING ON | CLIENT TRACKING OFF | CLIENT CACHING YES
    !client-pause CLIENT PAUSE 1 | CLIENT UNPAUSE
    CLIENT TRACKING OFF | CLIENT TRACKINGINFO | CLIENT GETREDIR | CLIENT UNBLOCK 999999999
        | CLIENT UNBLOCK x | CLIENT UNBLOCK x y | CLIENT UNBLOCK 1 y
        | CLIENT UNBLOCK -1 ERROR | CLIENT UNBLOCK
    !newer-client@redis CLIENT CAPA redirect
    !local-help CLIENT HELP
    !local-help COMMAND HELP
    CLIENT FOO | CLIENT | CLIENT SETNAME | CLIENT GETNAME x
    SELECT 0 | SET a 1 | SELECT 1 | GET a | SELECT 99 | SELECT x | SELECT -1 | SELECT | SELECT 0 | GET a
    RESET | RESET x
    ~numbers ~texts TIME | LOLWUT
    TIME x
"#;

const TABLE: &str = r#"
    COMMAND GETKEYS GET a | COMMAND GETKEYS MSET a 1 b 2 | COMMAND GETKEYS EVAL s 1 k a
        | COMMAND GETKEYS NOSUCH a | COMMAND GETKEYS ZUNION 2 a b | COMMAND GETKEYS XREAD STREAMS a b 0 0
        | COMMAND GETKEYS SORT a STORE b | COMMAND GETKEYS
    !command-getkeys@redis COMMAND GETKEYS PING | COMMAND GETKEYS GET
    !command-parts COMMAND GETKEYSANDFLAGS GET a | COMMAND LIST FILTERBY ACLCAT keyspace
        | COMMAND LIST FILTERBY MODULE nosuch
    !command-info COMMAND INFO get | COMMAND DOCS get | COMMAND LIST
    COMMAND INFO nosuch | COMMAND LIST FILTERBY PATTERN mget | COMMAND LIST FILTERBY FOO x
        | COMMAND COUNT x | COMMAND FOO | COMMAND DOCS nosuch
    ~numbers COMMAND COUNT
"#;

const SETTINGS: &str = r#"
    CONFIG GET save | CONFIG GET appendonly | CONFIG GET databases | CONFIG GET notify-keyspace-events
        | CONFIG GET proto-max-bulk-len | CONFIG GET timeout | CONFIG GET cluster-enabled
        | CONFIG GET nosuch | CONFIG GET
    CONFIG GET maxmemory | CONFIG GET maxmemory-policy | CONFIG GET appendfsync
    ~pairs CONFIG GET maxmemory maxmemory-policy notify-keyspace-events
    !config-get CONFIG GET requirepass
    CONFIG SET maxmemory 0 | CONFIG SET nosuch 1 | CONFIG SET maxmemory | CONFIG RESETSTAT
        | CONFIG REWRITE | CONFIG FOO | CONFIG
    CONFIG HELP
    SLOWLOG LEN | SLOWLOG GET | SLOWLOG GET 10 | SLOWLOG RESET | SLOWLOG FOO | SLOWLOG GET x | SLOWLOG
    SLOWLOG HELP
    COMMANDLOG LEN slow | COMMANDLOG GET 10 slow | COMMANDLOG RESET slow
    !newer-commands@redis COMMANDLOG FOO | COMMANDLOG | COMMANDLOG LEN
    COMMANDLOG HELP
    LATENCY RESET | LATENCY FOO | LATENCY
    LATENCY HELP
    !several-servers@four ~kind LATENCY DOCTOR
    !several-servers@four LATENCY LATEST | LATENCY HISTORY nosuch | LATENCY GRAPH nosuch
    !several-servers@four ~kind LATENCY HISTOGRAM
    MEMORY PURGE | MEMORY HELP | MEMORY
    !several-servers@four ~texts MEMORY DOCTOR
    !several-servers@four ~names MEMORY STATS
    !several-servers@four ~kind MEMORY MALLOC-STATS
    ~numbers LASTSAVE | LASTSAVE x
    SAVE
    ~background BGSAVE
    !dangerous@four ~background BGREWRITEAOF
    BGSAVE FOO | BGREWRITEAOF x
    !several-servers@four ROLE
    !guarded@four REPLICAOF NO ONE | SLAVEOF NO ONE
    REPLICAOF x | SLAVEOF
    !guarded@four FAILOVER ABORT
    !guarded@four FAILOVER
"#;

const REPORTS: &str = r#"
    ~kind INFO | INFO server | INFO replication | INFO nosuch
    INFO nosuch
    MODULE LIST
    MODULE HELP | MODULE FOO | MODULE
    !guarded@four MODULE LOAD /nosuch | MODULE LOADEX /nosuch | MODULE UNLOAD nosuch
    DEBUG SET-ACTIVE-EXPIRE 1
    DEBUG JMAP | DEBUG FOO
"#;

const RIGHTS: &str = r#"
    ~sorted ACL CAT | ACL CAT string
    ACL CAT nosuch | ACL WHOAMI | ACL FOO | ACL
    ~texts ACL GENPASS | ACL GENPASS 32
    ACL GENPASS x
    ACL HELP
    !several-servers@four ACL DRYRUN default GET a | ACL GETUSER default | ACL GETUSER nosuch | ACL LIST
        | ACL USERS | ACL LOG | ACL LOG RESET
    ACL SETUSER tom on nopass ~* +@all | ACL DELUSER tom | ACL DELUSER tom | ACL SETUSER tom foo
    ACL LOAD | ACL SAVE
"#;

const REFUSED: &str = r#"
    ASKING | CLUSTER INFO | CLUSTER NODES | CLUSTER SLOTS | CLUSTER MYID | CLUSTER
    !no-cluster@valkey READONLY | READWRITE | CLUSTER KEYSLOT a
    !no-cluster CLUSTER FOO | CLUSTER HELP
    !no-cluster@redis CLUSTERSCAN 0
    READONLY x | ASKING x
    !not-served REPLCONF listening-port 1
"#;

const MISTAKES: &str = r#"
    !unknown-command NOSUCH | NOSUCH a b c | nosuch "a\r\nb" | GET a
    PING a b c | ECHO
"#;
