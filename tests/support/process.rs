//! A child process that never outlives the test.
//!
//! It is killed and reaped when its [`Process`] is dropped, also when the test panics. For the
//! cases where nothing is dropped (the test process is killed, or the value sits in a static) the
//! kernel kills it: `setpriv --pdeathsig` of util-linux asks for that. That signal is tied to the
//! thread that started the child, so one thread that lives as long as the process starts them all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::eventually;

/// A running child process whose output goes to a log file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `arguments`; what it prints goes to `log`, which is truncated.
    pub fn start(program: &str, arguments: &[String], log: &Path) -> Self {
        let output = File::create(log).expect("the test's directory can be written");
        let errors = output.try_clone().expect("a file handle can be duplicated");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", &found(program)]);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let child = start_on_lasting_thread(command)
            .unwrap_or_else(|error| panic!("cannot start setpriv (package util-linux): {error}"));
        let name = program.rsplit('/').next().unwrap_or(program).to_owned();
        Self {
            name,
            child,
            log: log.to_owned(),
        }
    }

    /// Waits until `ready` says so; fails the test, with the log, if the process ends before.
    #[track_caller]
    pub fn wait_ready(&mut self, mut ready: impl FnMut() -> bool) {
        eventually(&format!("{} is ready", self.name), || {
            if let Some(status) = self.exited() {
                panic!(
                    "{} ended at start with {status}; it said:\n{}",
                    self.name,
                    self.log()
                );
            }
            ready().then_some(())
        });
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        eventually(&format!("{} ends", self.name), || self.exited())
    }

    /// Sends a signal, given by name as kill(1) has it: `TERM`, `STOP`.
    pub fn signal(&self, signal: &str) {
        send_signal(signal, self.id());
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(|error| error.to_string(), |bytes| text(&bytes))
    }

    /// Memory in bytes that is resident now.
    pub fn resident_bytes(&self) -> u64 {
        self.status_kib("VmRSS:") * 1024
    }

    /// The most memory in bytes that was ever resident.
    pub fn peak_bytes(&self) -> u64 {
        self.status_kib("VmHWM:") * 1024
    }

    /// How many files it has open.
    pub fn open_files(&self) -> u64 {
        let path = format!("/proc/{}/fd", self.id());
        let files = fs::read_dir(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        files.count() as u64
    }

    /// From now on it may have so many files open.
    pub fn limit_open_files(&self, count: u64) {
        let (process, limit) = (self.id().to_string(), format!("--nofile={count}:{count}"));
        let status = Command::new("prlimit")
            .args(["--pid", &process, &limit])
            .status();
        assert!(status.expect("util-linux has prlimit").success());
    }

    /// Processor time it has used, over all threads.
    pub fn processor_time(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.id());
        let stat = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        // Behind the name in parentheses: user and system time are the 12th and 13th, in hundredths.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Duration::from_millis(10 * ticks)
    }

    fn status_kib(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("{path} has no {field}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(20)..].join("\n");
            eprintln!("--- the end of what {} said:\n{last}", self.name);
        }
    }
}

/// Allows this process, and those it starts from now on, at least so many open files.
pub fn allow_open_files(count: u64) {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux has it");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let mut numbers = line.into_iter().flat_map(str::split_whitespace).skip(3);
    let soft = numbers
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(u64::MAX);
    if soft >= count {
        return;
    }
    let (process, limit) = (std::process::id().to_string(), format!("--nofile={count}:"));
    let status = Command::new("prlimit")
        .args(["--pid", &process, &limit])
        .status();
    let status =
        status.unwrap_or_else(|error| panic!("cannot start prlimit (util-linux): {error}"));
    assert!(
        status.success(),
        "the limit of open files cannot be raised from {soft} to {count}"
    );
}

/// Sends a signal, given by name as kill(1) has it, to a process. The shell's own `kill` does it:
/// the program comes in a package that not every machine has.
#[track_caller]
pub fn send_signal(signal: &str, id: impl std::fmt::Display) {
    let line = format!("kill -{signal} {id}");
    let status = Command::new("sh").args(["-c", &line]).status();
    assert!(status.expect("sh is there").success(), "{line}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where `program` is: as given if it is a path, else on `PATH` or in the sbin directories, which a
/// user's `PATH` often lacks.
fn found(program: &str) -> String {
    if program.contains('/') {
        return program.to_owned();
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let directories = path
        .split(':')
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/bin"]);
    let mut candidates = directories.map(|directory| format!("{directory}/{program}"));
    candidates
        .find(|file| Path::new(file).is_file())
        .unwrap_or_else(|| {
            panic!("{program} is not installed, and the tests need it: `make test` installs it")
        })
}

type Order = (Command, Sender<io::Result<Child>>);

fn start_on_lasting_thread(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                // The receiver waits for exactly this answer.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (answer, answered) = channel();
    let order = (command, answer);
    starter
        .lock()
        .expect("nothing panics under this lock")
        .send(order)
        .expect("it never ends");
    answered.recv().expect("it answers each order")
}
