//! What a request costs as the work grows: clients, servers, pools, keys, workers; and what large
//! values and clients that do harm do to the requests of others.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::field;
use crate::gather::generate;
use crate::machine;
use crate::page::Scratch;
use crate::process::Core;
use crate::report::Spread;
use crate::systems::{Place, Programs, Proxy, REST_CORE, Servers, Start, System};
use crate::wire::{self, Protocol, Verb};
use crate::workloads::Workload;

const ROUNDS: usize = 5;

/// Bytes of the value that passes while others ask for small ones.
const HUGE: usize = 256 << 20;

/// What is read or written at once of it, and the pause between: about 100 MB/s, a gigabit link. Faster,
/// the copies alone would fill the two cores, and everybody would wait for them.
const PIECE: usize = 256 << 10;
/// See [`PIECE`].
const PAUSE: Duration = Duration::from_micros(2500);

/// Between two connections that do harm. Without it they would take the core of the generator and the
/// servers, and what is measured would be the system's scheduler.
const STORM_PAUSE: Duration = Duration::from_micros(140);

/// What one row says of a proxy.
#[derive(Clone, Copy, Debug)]
struct Cost {
    cpu: f64,
    rate: f64,
    p99: f64,
}

/// Measures, and writes `scale.md` into `directory`; with a `share` below 1 fewer requests are sent.
///
/// # Errors
/// Something does not run, or a file cannot be written.
pub fn scale(programs: &Programs, directory: &Path, share: f64) -> io::Result<()> {
    let scratch = Scratch::new()?;
    let place = Place::here(Core::Only(REST_CORE));
    let servers = Servers::start(Protocol::Redis, 4, &place, scratch.path())?;
    servers.fill(10_000, 64)?;
    let mut page = format!(
        "# Cost as the work grows\n\n\
         Written by `make bench-scale`: GET of 64 bytes over four Redis, {ROUNDS} rounds, one worker \
         on a core of its own unless said otherwise; medians, with the smallest and the largest.\n\n{}\n",
        machine::facts(programs, &[System::Nutcrab])
    );
    let bench = Bench {
        programs,
        servers,
        scratch,
        share,
    };
    bench.clients(&mut page)?;
    bench.server_counts(&mut page)?;
    bench.pools(&mut page)?;
    bench.keys(&mut page)?;
    bench.workers(&mut page)?;
    bench.large_values(&mut page)?;
    bench.harm(&mut page)?;
    fs::create_dir_all(directory)?;
    fs::write(directory.join("scale.md"), format!("{}\n", page.trim_end()))
}

/// What all tables are measured with.
struct Bench<'a> {
    programs: &'a Programs,
    servers: Servers,
    scratch: Scratch,
    /// How many of the usual requests are sent.
    share: f64,
}

impl Bench<'_> {
    fn usual(&self) -> Start<'_> {
        Start::usual(Protocol::Redis, self.servers.addresses())
    }

    fn begin(&self, start: &Start<'_>) -> io::Result<Proxy> {
        Proxy::start(System::Nutcrab, self.programs, start, self.scratch.path())
    }

    fn costs(&self, proxy: &Proxy, workload: &Workload, requests: u64) -> io::Result<Vec<Cost>> {
        costs(proxy, workload, (requests as f64 * self.share) as u64)
    }

    fn clients(&self, page: &mut String) -> io::Result<()> {
        let mut rows = Vec::new();
        for clients in [10, 100, 1000, 10_000] {
            let proxy = self.begin(&self.usual())?;
            rows.push((
                format!("{clients} clients, P=1"),
                // So many for each that making the connections costs little beside them.
                self.costs(&proxy, &get(clients, 1), 40_000.max(40 * clients as u64))?,
            ));
        }
        table(page, "Clients", &rows);
        Ok(())
    }

    fn server_counts(&self, page: &mut String) -> io::Result<()> {
        let mut rows = Vec::new();
        for count in [2, 20, 200] {
            let lines: Vec<SocketAddr> = self
                .servers
                .addresses()
                .iter()
                .copied()
                .cycle()
                .take(count)
                .collect();
            let proxy = self.begin(&Start {
                servers: &lines,
                ..self.usual()
            })?;
            let name = format!("{count} servers, 50 clients, P=1");
            rows.push((name, self.costs(&proxy, &get(50, 1), 30_000)?));
        }
        table(page, "Servers", &rows);
        page.push_str(
            "The pools name the same four Redis again and again; each name has a connection of its \
             own.\n\n",
        );
        Ok(())
    }

    fn pools(&self, page: &mut String) -> io::Result<()> {
        let mut rows = Vec::new();
        for pools in [1, 10, 50] {
            let proxy = self.begin(&Start {
                pools,
                ..self.usual()
            })?;
            let name = format!("{pools} pools, 50 clients, P=32");
            rows.push((name, self.costs(&proxy, &get(50, 32), 300_000)?));
        }
        table(page, "Pools", &rows);
        Ok(())
    }

    fn keys(&self, page: &mut String) -> io::Result<()> {
        let mut rows = Vec::new();
        for keys in [10, 100, 1000, 10_000, 100_000] {
            let proxy = self.begin(&self.usual())?;
            let workload = Workload {
                verb: Verb::Multi(keys),
                ..get(1, 1)
            };
            let mut cells = self.costs(&proxy, &workload, (200_000 / keys as u64).max(4))?;
            for cell in &mut cells {
                (cell.cpu, cell.rate) = (cell.cpu / keys as f64, cell.rate * keys as f64);
            }
            rows.push((format!("MGET of {keys} keys, 1 client: per key"), cells));
        }
        table(page, "Keys of one request", &rows);
        Ok(())
    }

    fn workers(&self, page: &mut String) -> io::Result<()> {
        let mut rows = Vec::new();
        for workers in [1, 2] {
            let proxy = self.begin(&Start {
                workers,
                core: Core::Any,
                ..self.usual()
            })?;
            let name = format!("{workers} workers on two cores, 50 clients, P=32");
            rows.push((name, self.costs(&proxy, &get(50, 32), 300_000)?));
        }
        table(page, "Workers", &rows);
        Ok(())
    }

    fn large_values(&self, page: &mut String) -> io::Result<()> {
        page.push_str("## Small requests while a value of 256 MiB passes\n\n");
        page.push_str(
            "Open loop, 1,000 requests/s of 8 clients, on all servers, the one with the large value \
             included.\n\n",
        );
        let huge = vec![b'x'; HUGE];
        let request = wire::set(Protocol::Redis, "huge", &huge);
        let proxy = self.begin(&self.usual())?;
        plain(proxy.address, &request)?;
        let acts = [
            ("nothing large", None),
            ("GETs of it, at about 100 MB/s", Some(Act::Get)),
            ("a GET of it whose reader has stopped", Some(Act::Stopped)),
            ("SETs of it, at about 100 MB/s", Some(Act::Set(&request))),
        ];
        begin_disturbances(page);
        disturbances(page, "", proxy.address, &acts)?;
        drop(proxy);
        // What a server does to others itself while it prepares or takes such a value.
        let server = self.servers.addresses()[0];
        plain(server, &request)?;
        disturbances(page, "straight to one server: ", server, &acts)?;
        Ok(())
    }

    fn harm(&self, page: &mut String) -> io::Result<()> {
        page.push_str("\n## Small requests beside clients that do harm\n\n");
        page.push_str("Open loop, 1,000 requests/s of 8 clients.\n\n");
        let acts = [
            ("nobody", None),
            (
                "one that sends GETs without end and reads nothing",
                Some(Act::Unread(1)),
            ),
            ("fifty of them", Some(Act::Unread(50))),
            (
                "5,000 connections a second, made and dropped",
                Some(Act::Storm),
            ),
            (
                "5,000 clients a second with malformed requests",
                Some(Act::Malformed),
            ),
        ];
        begin_disturbances(page);
        let proxy = self.begin(&self.usual())?;
        disturbances(page, "", proxy.address, &acts)?;
        Ok(())
    }
}

fn get(clients: usize, pipeline: usize) -> Workload {
    Workload {
        protocol: Protocol::Redis,
        verb: Verb::Get,
        value: 64,
        pipeline,
        clients,
    }
}

fn costs(proxy: &Proxy, workload: &Workload, requests: u64) -> io::Result<Vec<Cost>> {
    let process = proxy
        .process
        .as_ref()
        .ok_or_else(|| io::Error::other("no proxy"))?;
    let batch = workload.pipeline.to_string();
    let words =
        |requests: u64| ["--batch", &batch, "--requests", &requests.to_string()].map(str::to_owned);
    generate(workload, proxy.address, &words(requests / 10 + 1))?;
    let mut cells = Vec::new();
    for _ in 0..ROUNDS {
        let before = process.cpu()?;
        let text = generate(workload, proxy.address, &words(requests))?;
        let cpu = process.cpu()? - before;
        let number = |name: &str| field(&text, name).unwrap_or(f64::NAN);
        let cpu = cpu.as_secs_f64() * 1e6 / number("sent");
        cells.push(Cost {
            cpu,
            rate: number("rate"),
            p99: number("p99_ms"),
        });
    }
    Ok(cells)
}

fn table(page: &mut String, title: &str, rows: &[(String, Vec<Cost>)]) {
    let _ = writeln!(page, "## {title}\n");
    page.push_str(
        "| | CPU of the proxy, us | requests/s | p99 ms |\n| --- | ---: | ---: | ---: |\n",
    );
    for (name, cells) in rows {
        let of = |figure: fn(&Cost) -> f64, digits: usize| {
            Spread::of(cells.iter().map(figure))
                .map_or(String::new(), |spread| shown(spread, digits))
        };
        let (cpu, rate, p99) = (of(|c| c.cpu, 3), of(|c| c.rate, 0), of(|c| c.p99, 2));
        let _ = writeln!(page, "| {name} | {cpu} | {rate} | {p99} |");
    }
    page.push('\n');
    println!("{title}: done");
}

fn begin_disturbances(page: &mut String) {
    page.push_str("| | p50 ms | p99 ms |\n| --- | ---: | ---: |\n");
}

fn disturbances(
    page: &mut String,
    place: &str,
    address: SocketAddr,
    acts: &[(&str, Option<Act<'_>>)],
) -> io::Result<()> {
    for (name, act) in acts {
        let (p50, p99) = disturbed(address, *act)?;
        let _ = writeln!(
            page,
            "| {place}{name} | {} | {} |",
            shown(p50, 3),
            shown(p99, 3)
        );
        println!("{place}{name}: done");
    }
    Ok(())
}

/// What others do meanwhile.
#[derive(Clone, Copy, Debug)]
enum Act<'a> {
    /// With the large value.
    Get,
    Stopped,
    Set(&'a [u8]),
    /// So many connections with requests whose replies are not read.
    Unread(usize),
    Storm,
    Malformed,
}

/// p50 and p99 of small requests.
fn disturbed(address: SocketAddr, act: Option<Act<'_>>) -> io::Result<(Spread, Spread)> {
    let over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = act.map(|act| scope.spawn(move || keep_passing(address, act, over)));
        // Let it begin.
        std::thread::sleep(Duration::from_millis(200));
        let mut cells = Vec::new();
        for _ in 0..ROUNDS {
            let words =
                ["--rate", "1000", "--millis", "1000", "--warm-up", "100"].map(str::to_owned);
            let text = generate(&get(8, 1), address, &words)?;
            let number = |name: &str| field(&text, name).unwrap_or(f64::NAN);
            cells.push((number("p50_ms"), number("p99_ms")));
        }
        over.store(true, Ordering::Relaxed);
        if let Some(other) = other {
            other
                .join()
                .map_err(|_| io::Error::other("what others do came to an end"))??;
        }
        let p50 = Spread::of(cells.iter().map(|cell| cell.0));
        let p99 = Spread::of(cells.iter().map(|cell| cell.1));
        p50.zip(p99)
            .ok_or_else(|| io::Error::other("nothing measured"))
    })
}

fn keep_passing(address: SocketAddr, act: Act<'_>, over: &AtomicBool) -> io::Result<()> {
    let get = b"*2\r\n$3\r\nGET\r\n$4\r\nhuge\r\n";
    while !over.load(Ordering::Relaxed) {
        match act {
            Act::Set(request) => slowly(address, request)?,
            Act::Get => {
                let mut stream = TcpStream::connect(address)?;
                stream.write_all(get)?;
                let mut space = vec![0; PIECE];
                let mut left = HUGE + format!("${HUGE}\r\n\r\n").len();
                while left > 0 && !over.load(Ordering::Relaxed) {
                    std::thread::sleep(PAUSE);
                    match stream.read(&mut space)? {
                        0 => return Err(io::Error::other("the reply was cut")),
                        count => left -= count,
                    }
                }
            }
            Act::Stopped => {
                let mut stream = TcpStream::connect(address)?;
                stream.write_all(get)?;
                stream.read_exact(&mut [0; 100])?;
                // The proxy closes it after its grace; then another one stops.
                let mut waited = 0;
                while waited < 30 && !over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(100));
                    waited += 1;
                }
            }
            Act::Unread(count) => {
                let begin = || -> io::Result<(TcpStream, usize)> {
                    let stream = TcpStream::connect(address)?;
                    stream.set_nonblocking(true)?;
                    Ok((stream, 0))
                };
                let mut streams = (0..count)
                    .map(|_| begin())
                    .collect::<io::Result<Vec<_>>>()?;
                let request = b"*2\r\n$3\r\nGET\r\n$5\r\nkey:1\r\n";
                let requests = request.repeat(1000);
                while !over.load(Ordering::Relaxed) {
                    for (stream, sent) in &mut streams {
                        match stream.write(&requests[*sent % request.len()..]) {
                            Ok(count) => *sent += count,
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                            Err(_) => (*stream, *sent) = begin()?,
                        }
                    }
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            Act::Storm => {
                drop(TcpStream::connect(address)?);
                std::thread::sleep(STORM_PAUSE);
            }
            Act::Malformed => {
                let mut stream = TcpStream::connect(address)?;
                stream.write_all(b"*1\r\n+\r\n")?;
                // The error, then the end.
                stream.read_to_end(&mut Vec::new())?;
                std::thread::sleep(STORM_PAUSE);
            }
        }
    }
    Ok(())
}

/// Sends a request that is answered with `+OK`, at the pace of a link.
fn slowly(address: SocketAddr, request: &[u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    for piece in request.chunks(PIECE) {
        stream.write_all(piece)?;
        std::thread::sleep(PAUSE);
    }
    let mut reply = [0; 5];
    stream.read_exact(&mut reply)
}

/// Sends a request that is answered with `+OK`.
fn plain(address: SocketAddr, request: &[u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request)?;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply)?;
    if reply == *b"+OK\r\n" {
        Ok(())
    } else {
        Err(io::Error::other("SET was refused"))
    }
}

fn shown(spread: Spread, digits: usize) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.digits$} ({min:.digits$}..{max:.digits$})")
}
