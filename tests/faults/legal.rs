//! What sound servers say, however long, deep or odd: it is passed on, and costs nobody else anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::rounds;
use crate::support::value::{check, described};
use crate::support::*;

/// What the last reply of a conversation is.
const END: &[u8] = b"$5\r\n@end@\r\n";

/// Two servers of each kind there is.
fn kinds() -> [Vec<Server>; 2] {
    [Server::redis_many(2), Server::valkey_many(2)]
}

/// A pool in which one failure of a server would show at once.
fn touchy(servers: &[Server]) -> Pool {
    Pool::redis("alpha")
        .servers(servers)
        .with("timeout", "5000")
        .with("auto_eject_hosts", "true")
        .with("server_failure_limit", "1")
        .with("server_retry_timeout", "60000")
}

/// All that is answered to these requests.
fn conversation(wire: &mut Wire, requests: &[Vec<u8>]) -> Vec<u8> {
    wire.send(&[&requests.concat()[..], &command(&["ECHO", "@end@"])].concat());
    let (mut got, _) = wire.read_until(|got| got.ends_with(END));
    assert!(got.ends_with(END), "{}", shown(&got));
    got.truncate(got.len() - END.len());
    got
}

/// Reads and writes what is its own, all over the servers, until it is told to stop.
fn bystander(proxy: &Proxy, number: usize, stop: &AtomicBool) -> usize {
    let mut wire = proxy.client("alpha");
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) || count < 10 {
        let key = format!("by:{number}:{}", count % 16).into_bytes();
        let value = described(&key, count as u64, 60);
        let set = command(&[b"SET", &key[..], &value]);
        wire.send(&[set, command(&[b"GET", &key[..]])].concat());
        assert_eq!(wire.reply(), Reply::ok());
        assert_eq!(check(&key, &wire.reply().bytes()), count as u64);
        count += 1;
    }
    count
}

/// Asks all of `requests` directly and, over and over, through a proxy that others use, in both versions
/// of the protocol. The replies are the same, and the others notice nothing.
fn passed_on_and_unnoticed(requests: &[Vec<u8>]) {
    for servers in kinds() {
        let proxy = Proxy::nutcrab_of_one_worker(vec![touchy(&servers)]);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let (proxy, stop) = (&proxy, &stop);
            let others: Vec<_> = (0..4)
                .map(|number| scope.spawn(move || bystander(proxy, number, stop)))
                .collect();
            let stopping = Stopping(stop);
            for version in ["2", "3"] {
                let mut direct = servers[0].connect();
                let mut client = proxy.client("alpha");
                let hello = [command(&["HELLO", version])];
                conversation(&mut direct, &hello);
                conversation(&mut client, &hello);
                for request in requests {
                    let request = std::slice::from_ref(request);
                    let expected = conversation(&mut direct, request);
                    for _ in 0..rounds(3, 100) {
                        let got = conversation(&mut client, request);
                        let asked = shown(&request[0]);
                        assert!(
                            got == expected,
                            "{asked}: {} instead of {}",
                            shown(&got),
                            shown(&expected)
                        );
                    }
                }
            }
            drop(stopping);
            for other in others {
                assert!(other.join().expect("a bystander without errors") >= 10);
            }
        });
    }
}

/// Tells the bystanders to come to an end, also when something has failed.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn script(text: &str) -> Vec<u8> {
    command(&["EVAL", text, "0"])
}

#[test]
fn t6_a_long_line_costs_others_nothing() {
    let long = "q".repeat(70_000);
    passed_on_and_unnoticed(&[
        script("return {ok=string.rep('x',70000)}"),
        script("return {err=string.rep('x',70000)}"),
        script("return {1,{ok=string.rep('x',3000000)},{err=string.rep('y',70000)},2}"),
        script("error(string.rep('x',70000))"),
        script("error({err=string.rep('x',4090)})"),
        command(&["XREADGROUP", "GROUP", &long, "c", "STREAMS", "k", ">"]),
        command(&["XPENDING", "k", &long]),
        command(&["EXPIRE", "k", "1", &long]),
        command(&["FUNCTION", "LIST", &long]),
        [
            command(&["MULTI"]),
            command(&["XPENDING", "k", &long]),
            command(&["EXPIRE", "k", "1", &long]),
            command(&["EXEC"]),
        ]
        .concat(),
    ]);
}

#[test]
fn t7_deep_nesting_costs_others_nothing() {
    let mut requests: Vec<Vec<u8>> = [63, 64, 70, 7_994, 20_000]
        .iter()
        .flat_map(|depth| {
            [
                format!("local a={{}} for i=1,{depth} do a={{a}} end return a"),
                format!("local a={{}} for i=1,{depth} do a={{a,1}} end return a"),
                format!("local a={{}} for i=1,{depth} do a={{map={{x=a}}}} end return a"),
            ]
        })
        .map(|text| script(&text))
        .collect();
    let deep = "local a={} for i=1,7000 do a={a,1} end return a";
    requests.push(
        [
            command(&["MULTI"]),
            script(deep),
            script(deep),
            command(&["EXEC"]),
        ]
        .concat(),
    );
    passed_on_and_unnoticed(&requests);
}

#[test]
fn t8_odd_numbers_and_strings_of_scripts_cost_others_nothing() {
    let scripts = [
        "return {big_number='abc'}",
        "return {big_number=''}",
        "return {big_number='1\\r\\n2'}",
        "return {big_number=string.rep('7',100000)}",
        "return {double=1/0}",
        "return {double=-1/0}",
        "return {double=0/0}",
        "return {double=1e308}",
        "return {verbatim_string={string='abc',format='txt'}}",
        "return {verbatim_string={string='',format=''}}",
        "return {verbatim_string={string='a\\r\\nb',format='\\r\\n:'}}",
        "return {map={a=1,b={set={x=true}}}}",
        "return {map={}}",
        "return {set={}}",
        "return {err=''}",
        "return {ok=''}",
        "return {ok='a\\r\\nb'}",
        "redis.setresp(3); return {true,false,{double=0.1},{big_number='-'}}",
        "redis.setresp(3); return redis.call('HGETALL',KEYS[1] or 'none')",
    ];
    let mut requests: Vec<Vec<u8>> = scripts.iter().map(|text| script(text)).collect();
    let within: Vec<Vec<u8>> = scripts[..8].iter().map(|text| script(text)).collect();
    requests.push([command(&["MULTI"]), within.concat(), command(&["EXEC"])].concat());
    passed_on_and_unnoticed(&requests);
}

/// The statistics of the pool and of its server.
fn counted(proxy: &Proxy, name: &str) -> u64 {
    let mut wire = Wire::connect(&Address::tcp(proxy.stats_port()));
    let text = String::from_utf8_lossy(&wire.read_to_end()).into_owned();
    let mark = format!("\"{name}\":");
    let numbers = text.split(&mark).skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        rest[..end].parse::<u64>().ok()
    });
    numbers.sum()
}

#[test]
fn t9_what_a_request_may_have_caused_ejects_no_server() {
    let server = FakeServer::answering(|words| match &words[1][..] {
        b"odd" => b"+a\rb\r\n".to_vec(),
        key => fake::bulk(&described(key, 1, 60)),
    });
    let pool = Pool::redis("alpha")
        .at("s", &server.address())
        .with("timeout", "5000")
        .with("auto_eject_hosts", "true")
        .with("server_failure_limit", "1")
        .with("server_retry_timeout", "60000");
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let (mut client, mut neighbour) = (proxy.client("alpha"), proxy.client("alpha"));
    for _ in 0..rounds(20, 1000) {
        client.ask(&["GET", "odd"]).error();
        check(b"mine", &neighbour.ask(&["GET", "mine"]).bytes());
    }
    assert_eq!(counted(&proxy, "server_ejects"), 0);
    assert_eq!(counted(&proxy, "forward_error"), rounds(20, 1000) as u64);
}

/// The most bytes that a connection may have waiting in this system to be sent.
fn most_sent_ahead() -> u64 {
    let path = "/proc/sys/net/ipv4/tcp_wmem";
    let text = std::fs::read_to_string(path).expect("Linux has it");
    let most = text.split_whitespace().next_back();
    most.and_then(|most| most.parse().ok()).expect("a number")
}

#[test]
fn t10_what_was_not_sent_when_a_connection_breaks_goes_on_over_another() {
    const RECEIVED: usize = 64 * 1024;
    // Fewer than a client may have unanswered.
    const WRITES: usize = 100;
    const VALUE: usize = 250_000;
    let server = FakeServer::with_receive_buffer(RECEIVED, |visit| {
        if visit.index == 0 {
            // It reads the beginning, and goes on when it is told to: with what is no reply.
            let _ = visit.wire.read_exact(1);
            eventually("the requests wait", || {
                WAITING.load(Ordering::SeqCst).then_some(())
            });
            visit.wire.send(b"?\r\n");
            visit.wait_closed();
            return;
        }
        while let Some(words) = visit.request() {
            let reply = fake::bulk(&described(&words[1], 1, 60));
            if visit.wire.try_send(&reply).is_err() {
                return;
            }
        }
    });
    let pool = Pool::redis("alpha")
        .at("s", &server.address())
        .with("auto_eject_hosts", "true")
        .with("server_failure_limit", "1");
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let mut writer = proxy.client("alpha");
    let all = command(&[b"SET", &b"large"[..], &vec![b'x'; VALUE]]).repeat(WRITES);
    let mut second = writer.second_handle();
    let sending = thread::spawn(move || drop(second.try_send(&all)));
    // However much more the system comes to take, it is not all of it. The kernel doubles the size of a
    // buffer that is set, and the script has read some of what came.
    let taken_at_most = most_sent_ahead() + 4 * RECEIVED as u64 + VALUE as u64;
    eventually("more waits than the system takes", || {
        let all_are_there = counted(&proxy, "requests") == WRITES as u64;
        (all_are_there && counted(&proxy, "in_queue_bytes") > taken_at_most).then_some(())
    });
    let mut neighbours: Vec<Wire> = (0..5).map(|_| proxy.client("alpha")).collect();
    for neighbour in &mut neighbours {
        neighbour.send(&command(&["GET", "mine"]));
    }
    eventually("they wait behind it", || {
        (counted(&proxy, "requests") == WRITES as u64 + 5).then_some(())
    });
    WAITING.store(true, Ordering::SeqCst);
    for neighbour in &mut neighbours {
        check(b"mine", &neighbour.reply().bytes());
    }
    writer.reply().error();
    drop(writer);
    let _ = sending.join();
    assert_eq!(counted(&proxy, "server_ejects"), 0);
}

/// Whether requests wait behind what the system took.
static WAITING: AtomicBool = AtomicBool::new(false);
