//! The demo as a user runs it: the traffic is right, and whatever ends it, nothing stays behind.

#[path = "support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use support::process::send_signal;

/// A running demo with a temporary directory of its own.
struct Demo {
    child: Child,
    output: BufReader<ChildStdout>,
    errors: ChildStderr,
    scratch: TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let proxy = std::env::var("NUTCRAB_TEST_BINARY");
        Self::start_with(
            arguments,
            &proxy.unwrap_or(env!("CARGO_BIN_EXE_nutcrab").into()),
        )
    }

    fn start_with(arguments: &[&str], proxy: &str) -> Self {
        let scratch = tempfile::tempdir().expect("a directory can be made");
        let mut child = Command::new(built_demo())
            .args(arguments)
            .env("TMPDIR", scratch.path())
            .env("NUTCRAB_TEST_BINARY", proxy)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the demo was built");
        let output = child.stdout.take().expect("it was asked for");
        let errors = child.stderr.take().expect("it was asked for");
        Self {
            child,
            output: BufReader::new(output),
            errors,
            scratch,
        }
    }

    /// What it prints up to the line that starts with `start`.
    fn output_until(&mut self, start: &str) -> String {
        let mut output = String::new();
        loop {
            let from = output.len();
            let count = self.output.read_line(&mut output).expect("it prints text");
            if count == 0 {
                let mut errors = String::new();
                self.errors
                    .read_to_string(&mut errors)
                    .expect("it prints text");
                panic!("the demo ended before {start:?}:\n{output}\n{errors}");
            }
            if output[from..].starts_with(start) {
                return output;
            }
        }
    }

    fn signal(&self, name: &str) {
        send_signal(name, self.child.id());
    }

    /// Waits for its end, and gives everything it printed that was not read yet.
    fn end(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.output
            .read_to_string(&mut rest)
            .expect("it prints text");
        self.errors
            .read_to_string(&mut rest)
            .expect("it prints text");
        (self.child.wait().expect("a child can be waited for"), rest)
    }

    /// Process id and command line of every process the demo started and that is still there:
    /// their output goes to files in its temporary directory.
    fn processes(&self) -> Vec<(String, String)> {
        let folders = std::fs::read_dir("/proc").expect("/proc can be listed");
        let folders = folders.map(|entry| entry.expect("/proc can be listed").path());
        // What ends meanwhile has neither link nor file any more.
        let is_ours = |folder: &PathBuf| {
            let output = std::fs::read_link(folder.join("fd/1"));
            output.is_ok_and(|file| file.starts_with(self.scratch.path()))
        };
        let line = |folder: PathBuf| {
            let line = std::fs::read_to_string(folder.join("cmdline")).ok()?;
            Some((
                folder.file_name()?.to_str()?.to_owned(),
                line.replace('\0', " "),
            ))
        };
        folders.filter(is_ours).filter_map(line).collect()
    }

    /// Fails if a process is left; the kernel may take a moment to end those of a killed demo.
    fn assert_no_process_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.processes().is_empty() {
            assert!(
                Instant::now() < deadline,
                "left behind: {:?}",
                self.processes()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn assert_no_file_left(&self) {
        let files = std::fs::read_dir(self.scratch.path()).expect("the directory is there");
        let files: Vec<_> = files.map(|entry| entry.expect("an entry").path()).collect();
        assert!(files.is_empty(), "left behind: {files:?}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the demo is, once cargo says it is up to date: a test alone does not make cargo build it.
fn built_demo() -> PathBuf {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "-p", "nutcrab-demo"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(
        status.expect("cargo runs").success(),
        "the demo does not build"
    );
    let folder = Path::new(env!("CARGO_BIN_EXE_nutcrab"))
        .parent()
        .expect("a file has a folder");
    folder.join("nutcrab-demo")
}

#[test]
fn once_checks_the_traffic_and_leaves_nothing() {
    let mut demo = Demo::start(&["--once"]);
    let (status, output) = demo.end();
    assert!(status.success(), "{status}\n{output}");
    assert_eq!(output.matches("every reply right").count(), 2, "{output}");
    assert_eq!(
        output.matches(" keys ").count(),
        5 + 1,
        "three redis, two memcached: {output}"
    );
    demo.assert_no_process_left();
    demo.assert_no_file_left();
}

#[test]
fn a_signal_ends_it_with_success_and_leaves_nothing() {
    for signal in ["INT", "TERM", "HUP"] {
        let mut demo = Demo::start(&[]);
        demo.output_until("running");
        assert_eq!(demo.processes().len(), 3 + 2 + 1, "{:?}", demo.processes());
        demo.signal(signal);
        let (status, output) = demo.end();
        assert!(status.success(), "{signal}: {status}\n{output}");
        demo.assert_no_process_left();
        demo.assert_no_file_left();
    }
}

#[test]
fn a_signal_during_the_traffic_ends_it() {
    let mut demo = Demo::start(&[]);
    demo.output_until("nutcrab listens");
    demo.signal("INT");
    let (status, output) = demo.end();
    assert!(status.success(), "{status}\n{output}");
    assert!(!output.contains("running"), "{output}");
    demo.assert_no_process_left();
    demo.assert_no_file_left();
}

#[test]
fn killed_outright_it_leaves_no_process() {
    let mut demo = Demo::start(&[]);
    demo.output_until("running");
    demo.signal("KILL");
    demo.end();
    demo.assert_no_process_left();
}

#[test]
fn a_proxy_that_does_not_start_is_a_failure() {
    let mut demo = Demo::start_with(&[], "/bin/false");
    let (status, output) = demo.end();
    assert!(!status.success(), "{output}");
    assert!(output.contains("demo: failed: "), "{output}");
    demo.assert_no_process_left();
    demo.assert_no_file_left();
}

#[test]
fn a_proxy_that_dies_is_a_failure() {
    let mut demo = Demo::start(&[]);
    demo.output_until("running");
    let processes = demo.processes();
    let proxy = processes
        .iter()
        .find(|(_, line)| line.contains("nutcracker.yml"));
    let (proxy, _) = proxy.expect("the proxy was given its configuration");
    send_signal("KILL", proxy);
    let (status, output) = demo.end();
    assert!(!status.success(), "{output}");
    assert!(output.contains("the proxy ended: signal: 9"), "{output}");
    demo.assert_no_process_left();
    demo.assert_no_file_left();
}
