//! Child processes: started on a core of their choice, measured through /proc, killed when dropped.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// The core a program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// This one only.
    Only(usize),
    /// Any.
    Any,
}

/// `program` and `arguments` as they are run on `core`, inside `namespace` if one is given.
pub fn command(namespace: Option<&str>, core: Core, program: &Path) -> Command {
    let mut words: Vec<String> = Vec::new();
    if let Some(namespace) = namespace {
        words.extend(["ip", "netns", "exec", namespace].map(str::to_owned));
    }
    // The kernel ends it with us, however we end.
    words.extend(["setpriv", "--pdeathsig", "KILL", "--"].map(str::to_owned));
    if let Core::Only(core) = core {
        words.extend(["taskset".to_owned(), "-c".to_owned(), core.to_string()]);
    }
    words.push(program.display().to_string());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

impl Process {
    /// Starts `command`; what it prints goes to a file in `directory`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(name: &str, mut command: Command, directory: &Path) -> io::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let errors = output.try_clone()?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Waits until it accepts connections at `address`.
    ///
    /// # Errors
    /// It ended, or took too long; its log is part of the message.
    pub fn wait_for(&mut self, address: SocketAddr) -> io::Result<()> {
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.complaint(&format!("ended with {status}")));
            }
            if begin.elapsed() > PATIENCE {
                return Err(self.complaint("does not listen"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn complaint(&self, what: &str) -> io::Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(10).collect();
        io::Error::other(format!("{} {what}; it said: {tail:?}", self.name))
    }

    /// CPU time of all its threads so far.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text
                .split_whitespace()
                .next()
                .and_then(|word| word.parse::<u64>().ok());
            nanos += first.unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Starts the count of [`Process::peak_kib`] over.
    pub fn forget_peak(&self) {
        // Without the right to it the peak is that since the start.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    /// The most memory that was resident, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let text =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As many open files as this process, and those it starts, may have at all.
///
/// # Errors
/// The limit cannot be raised.
pub fn allow_open_files() -> io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// A port nobody listens on. Nothing keeps others from taking it, so it is to be used at once.
///
/// # Errors
/// The system has none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// CPU time this machine has spent on anything so far, and that of this process' ended children.
///
/// # Errors
/// /proc is not there.
pub fn machine_cpu() -> io::Result<(Duration, Duration)> {
    let numbers = |text: &str, skip: usize| -> Vec<u64> {
        text.split_whitespace()
            .skip(skip)
            .filter_map(|word| word.parse().ok())
            .collect()
    };
    let stat = fs::read_to_string("/proc/stat")?;
    let all = numbers(stat.lines().next().unwrap_or_default(), 1);
    // user, nice, system, irq, softirq; not idle, iowait.
    let busy: u64 = [0, 1, 2, 5, 6]
        .iter()
        .filter_map(|&index| all.get(index))
        .sum();
    let own = fs::read_to_string("/proc/self/stat")?;
    let behind_name = own.rsplit(')').next().unwrap_or_default();
    let own = numbers(behind_name, 1);
    // utime, stime, cutime, cstime are the 14th to 17th field; the state and the name were skipped.
    let ours: u64 = own.iter().skip(10).take(4).sum();
    Ok((
        Duration::from_millis(busy * 10),
        Duration::from_millis(ours * 10),
    ))
}

/// Where `program` is, if it is installed.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];
    let mut candidates = path
        .split(':')
        .chain(more)
        .map(|place| Path::new(place).join(program));
    candidates.find(|file| file.is_file())
}
