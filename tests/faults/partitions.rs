//! Faults of networks: hosts that vanish, packets that are lost, ports that run out. Everything
//! happens in networks of our own.

use std::time::{Duration, Instant};

use crate::network::{FAR, Networks};
use crate::skip;
use crate::support::value::{check, described};
use crate::support::*;

/// One request of each kind for each of some keys; gives how many failed. A wrong reply fails the test.
fn round(client: &mut Wire, version: u64) -> usize {
    let mut failed = 0;
    for number in 0..30 {
        let key = format!("key:{number}").into_bytes();
        client.send(
            &[
                command(&[&b"SET"[..], &key, &described(&key, version, 100)]),
                command(&[&b"GET"[..], &key]),
            ]
            .concat(),
        );
        let stored = client.reply();
        match (&stored, client.reply()) {
            (_, Reply::Bulk(Some(value))) => {
                let read = check(&key, &value);
                assert!(read <= version && (stored != Reply::ok() || read == version));
            }
            (_, Reply::Error(_)) | (Reply::Error(_), _) => failed += 1,
            (stored, other) => panic!("{stored:?}, {other:?}"),
        }
        failed += usize::from(stored != Reply::ok());
    }
    failed
}

/// After healing everything succeeds within five seconds and what the machine's load adds.
fn heals(client: &mut Wire, version: &mut u64) {
    eventually("full success after healing", || {
        *version += 1;
        (round(client, *version) == 0).then_some(())
    });
}

/// Runs a test in networks of its own, with servers at these ports, or says why not.
fn with(
    row: &str,
    ports: &[u16],
    pool: impl FnOnce(Pool) -> Pool + Send,
    body: impl FnOnce(&Networks, &mut Proxy) + Send,
) {
    let networks = match Networks::new() {
        Ok(networks) => networks,
        Err(reason) => return skip(row, &reason),
    };
    networks.near(|| {
        let servers: Vec<_> = ports.iter().map(|&port| networks.redis(port)).collect();
        let mut proxy = networks.proxy(pool(networks.pool(ports)));
        body(&networks, &mut proxy);
        assert_eq!(proxy.process().exited(), None, "the proxy has ended");
        drop(servers);
    });
}

#[test]
fn b3_a_server_whose_host_vanishes_is_given_up_and_used_again() {
    let pool = |pool: Pool| pool.with("timeout", "500").with("connect_timeout", "500");
    with("B3", &[6379], pool, |networks, proxy| {
        let mut client = proxy.client("alpha");
        let mut version = 0;
        heals(&mut client, &mut version);
        networks.in_far("ip link set veth0 down");
        let begin = Instant::now();
        client.ask(&["GET", "key:1"]).error();
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "{:?}",
            begin.elapsed()
        );
        // The dead connection is closed, not kept for what will never come.
        eventually("the dead connection is gone", || {
            let list = networks.in_near(&format!("ss -Htn state established dst {FAR}"));
            list.trim().is_empty().then_some(())
        });
        networks.in_far("ip link set veth0 up");
        heals(&mut client, &mut version);
    });
}

#[test]
fn b5_lost_packets_cost_time_and_nothing_else() {
    with(
        "B5",
        &[6379],
        |pool| pool,
        |networks, proxy| {
            let mut client = proxy.client("alpha");
            networks.in_far("nft add rule ip faults in numgen random mod 100 '<' 8 drop");
            for version in 1..=3 {
                assert_eq!(
                    round(&mut client, version),
                    0,
                    "without a timeout nothing fails"
                );
            }
            networks.in_far("nft flush chain ip faults in");
            heals(&mut client, &mut 3);
        },
    );
}

#[test]
fn b6_a_connection_that_finds_no_end_fails_after_its_own_timeout() {
    let pool = |pool: Pool| pool.with("connect_timeout", "400").with("timeout", "20000");
    with("B6", &[6379], pool, |networks, proxy| {
        networks.in_far("nft add rule ip faults in tcp flags syn drop");
        let mut client = proxy.client("alpha");
        let begin = Instant::now();
        let error = client.ask(&["GET", "a"]).error();
        let took = begin.elapsed();
        assert_eq!(error, "ERR Connection timed out");
        assert!(
            took > Duration::from_millis(390) && took < Duration::from_secs(8),
            "{took:?}"
        );
        assert_eq!(client.ask(&["PING"]), Reply::Status("PONG".into()));
        networks.in_far("nft flush chain ip faults in");
        heals(&mut client, &mut 0);
    });
}

#[test]
fn b7_a_server_that_refuses_for_long_is_not_stormed() {
    let networks = match Networks::new() {
        Ok(networks) => networks,
        Err(reason) => return skip("B7", &reason),
    };
    networks.near(|| {
        networks.in_far("nft add counter ip faults syn");
        networks.in_far("nft add rule ip faults in tcp flags syn counter name syn");
        let proxy = networks.proxy(networks.pool(&[6379]));
        let begin = Instant::now();
        let mut clients: Vec<_> = (0..4).map(|_| proxy.client("alpha")).collect();
        let mut asked = 0;
        while begin.elapsed() < Duration::from_secs(4) {
            for client in &mut clients {
                client.ask(&["GET", "a"]).error();
                asked += 1;
            }
        }
        let counter = networks.in_far("nft list counter ip faults syn");
        let words: Vec<&str> = counter.split_whitespace().collect();
        let place = words
            .iter()
            .position(|word| *word == "packets")
            .expect("a counter counts");
        let attempts: usize = words[place + 1].parse().expect("a number");
        // Some at once, so that the server is found out; then about one a second and worker.
        let most = proxy::workers() * (10 + 3 * begin.elapsed().as_secs() as usize);
        assert!(
            attempts >= 1 && attempts <= most,
            "{attempts} attempts for {asked} requests"
        );
        assert!(asked > 100, "{asked} requests");
        let server = networks.redis(6379);
        heals(&mut clients[0], &mut 0);
        drop(server);
    });
}

#[test]
fn b22_a_machine_without_free_ports_serves_over_what_it_has() {
    let pool = |pool: Pool| pool.with("server_connections", "8").with("timeout", "3000");
    with("B22", &[6379], pool, |networks, proxy| {
        networks.in_near("echo 40000 40002 > /proc/sys/net/ipv4/ip_local_port_range");
        // Clients take from the same few ports: those from before are used.
        let mut served = 0;
        let mut clients = Vec::new();
        for _ in 0..6 {
            if let Ok(client) = Wire::try_connect(proxy.address("alpha")) {
                clients.push(client);
            }
        }
        for client in &mut clients {
            served += 60 - round(client, 1).min(60);
        }
        networks.in_near("echo 32768 60999 > /proc/sys/net/ipv4/ip_local_port_range");
        let mut client = proxy.client("alpha");
        heals(&mut client, &mut 1);
        assert!(
            !clients.is_empty() && served > 0,
            "{} clients, {served}",
            clients.len()
        );
    });
}

#[test]
fn r6_connections_killed_under_load_mix_nothing_up() {
    let pool = |pool: Pool| pool.with("timeout", "2000");
    with("R6", &[6379, 6380], pool, |networks, proxy| {
        let address = proxy.address("alpha").clone();
        let killed = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    let address = &address;
                    scope.spawn(move || {
                        let mut client = Wire::connect(address);
                        let begin = Instant::now();
                        let (mut failed, mut rounds) = (0, 0);
                        while begin.elapsed() < Duration::from_secs(3) {
                            // The same version from everyone: a value says whose it is by its key.
                            failed += round(&mut client, 1);
                            rounds += 1;
                        }
                        (failed, rounds)
                    })
                })
                .collect();
            for _ in 0..10 {
                std::thread::sleep(Duration::from_millis(200));
                networks.in_near(&format!("ss -K dst {FAR}"));
            }
            let outcomes = clients
                .into_iter()
                .map(|client| client.join().expect("no wrong reply"));
            outcomes.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        });
        assert!(killed.1 > 4, "{killed:?}");
        let mut client = proxy.client("alpha");
        heals(&mut client, &mut 1);
        if killed.0 == 0 {
            skip("R6 (ss -K)", "this kernel did not end a single connection");
        }
    });
}

#[test]
fn b24_servers_cut_off_and_joined_in_any_order_leave_nothing_stuck() {
    const PORTS: [u16; 3] = [6379, 6380, 6381];
    let pool = |pool: Pool| pool.with("timeout", "300").with("connect_timeout", "300");
    with("B24", &PORTS, pool, |networks, proxy| {
        let mut client = proxy.client("alpha");
        let mut version = 0;
        heals(&mut client, &mut version);
        for order in [[0, 1, 2], [2, 0, 1]] {
            for port in PORTS {
                networks.in_far(&format!("nft add rule ip faults in tcp dport {port} drop"));
                version += 1;
                round(&mut client, version);
            }
            for (healed, _) in order.iter().enumerate() {
                networks.in_far("nft flush chain ip faults in");
                for index in &order[healed + 1..] {
                    let port = PORTS[*index];
                    networks.in_far(&format!("nft add rule ip faults in tcp dport {port} drop"));
                }
                version += 1;
                round(&mut client, version);
            }
            heals(&mut client, &mut version);
        }
    });
}

#[test]
fn c7_a_client_whose_host_vanishes_is_let_go() {
    let pool = |pool: Pool| pool.with("tcpkeepalive", "true");
    with("C7", &[6379], pool, |networks, proxy| {
        for (name, value) in [("time", 1), ("intvl", 1), ("probes", 2)] {
            networks.in_near(&format!(
                "echo {value} > /proc/sys/net/ipv4/tcp_keepalive_{name}"
            ));
        }
        let mut client = proxy.client("alpha");
        assert_eq!(round(&mut client, 1), 0);
        let port = proxy.address("alpha").port();
        let list = || networks.in_near(&format!("ss -Htn state established sport = :{port}"));
        // While a reply is unacknowledged the system sends it again and again, for a quarter of an
        // hour if nobody says otherwise; keepalive is for those that are idle.
        eventually("the last reply is acknowledged", || {
            let queue = list().split_whitespace().nth(1)?.to_owned();
            (queue == "0").then_some(())
        });
        // From here on not one packet passes between the client and the proxy.
        networks.in_near(&format!("nft add rule ip faults in tcp dport {port} drop"));
        networks.in_near(&format!("nft add rule ip faults in tcp sport {port} drop"));
        eventually("the proxy gives the client up", || {
            list().is_empty().then_some(())
        });
        networks.in_near("nft flush chain ip faults in");
        let mut client = proxy.client("alpha");
        heals(&mut client, &mut 1);
    });
}
