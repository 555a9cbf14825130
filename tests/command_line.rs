//! The real binary and its command line: what it prints, where, and how it exits.
//!
//! How words are taken apart is tested beside the parser. The expected behaviour of twemproxy's
//! options was seen in nutcracker 0.5.0.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const NUTCRAB: &str = env!("CARGO_BIN_EXE_nutcrab");
const GOOD: &str = "a:\n  listen: 127.0.0.1:22121\n  servers:\n   - 127.0.0.1:6379:1\n";
const BAD: &str = "\
a:
  listen: 127.0.0.1:22121
  timout: 400
  hash: md6
  redis_auth: s3cret
  servers:
   - 127.0.0.1:6379
";

/// A directory with the binary under its compatibility name, and files.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        symlink(NUTCRAB, directory.path().join("nutcracker")).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn with(self, name: &str, contents: &str) -> Self {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), contents).unwrap();
        self
    }

    fn run(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

/// stderr as text; stdout must be empty, as twemproxy leaves it.
fn said(output: &Output) -> String {
    assert_eq!(output.stdout, b"", "stdout: {output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn version_help_and_description_go_to_stderr_and_exit_0() {
    let place = Place::new();
    let version = format!(
        "This is nutcrab-{}\nasync event backend: ",
        env!("CARGO_PKG_VERSION")
    );
    for (arguments, pieces) in [
        (["-V"].as_slice(), [""].as_slice()),
        (&["--version"], &[""]),
        (&["-h"], &["Usage: nutcrab ", "\n  -c, --conf-file=S "]),
        (&["--help", "-t", "-c", "missing.yml"], &["Usage: nutcrab "]),
        (
            &["-D"],
            &[
                "pool stats:\n  client_eof          \"",
                "\n\nserver stats:\n",
            ],
        ),
        (&["-D", "-h"], &["Usage: nutcrab ", "server stats:\n"]),
    ] {
        let output = place.run(NUTCRAB, arguments);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(text.starts_with(&version), "{text}");
        for piece in pieces {
            assert!(text.contains(piece), "{arguments:?}: {text}");
        }
    }
}

#[test]
fn t42_under_the_old_name_the_version_is_one_that_tools_accept() {
    let place = Place::new();
    let ours = said(&place.run(NUTCRAB, &["-V"]));
    let theirs = said(&place.run(place.path("nutcracker"), &["--version"]));
    // The original's, line by line, and ours behind it.
    let original = said(&place.run("nutcracker", &["-V"]));
    let mut lines = theirs.lines();
    assert_eq!(lines.next(), original.lines().next());
    assert!(theirs.starts_with(original.trim_end()), "{theirs}");
    let version = ours.lines().next().unwrap();
    assert!(theirs.lines().any(|line| line == version), "{theirs}");
    // What tools look for.
    let number = theirs.strip_prefix("This is nutcracker-").unwrap();
    let number: String = number.chars().take_while(|c| !c.is_whitespace()).collect();
    assert!(
        number.split('.').all(|part| part.parse::<u32>().is_ok()),
        "{number}"
    );
    assert!(!ours.contains("nutcracker"), "{ours}");
}

#[test]
fn t43_the_default_in_force_is_told_under_either_name() {
    const SEVERAL: &str = "\
a:
  listen: 127.0.0.1:22121
  redis: true
  servers:
   - 127.0.0.1:6379:1
   - 127.0.0.1:6380:1
b:
  listen: 127.0.0.1:22122
  redis: true
  cross_shard: refuse
  servers:
   - 127.0.0.1:6379:1
   - 127.0.0.1:6380:1
";
    let place = Place::new().with("several.yml", SEVERAL);
    let verdict = "nutcracker: configuration file 'several.yml' syntax is ok\n";
    for (program, options, rule) in [
        (PathBuf::from(NUTCRAB), [].as_slice(), "refuse"),
        (PathBuf::from(NUTCRAB), &["--as", "nutcracker"], "first_key"),
        (PathBuf::from(NUTCRAB), &["--as=nutcrab"], "refuse"),
        (place.path("nutcracker"), &[], "first_key"),
        (place.path("nutcracker"), &["--as", "nutcrab"], "refuse"),
    ] {
        for (asked, pools) in [("-t", ["a", "b"].as_slice()), ("--explain-keys=a", &["a"])] {
            let arguments = [&["-c", "several.yml", asked], options].concat();
            let output = place.run(&program, &arguments);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}");
            let text = said(&output);
            for pool in ["a", "b"] {
                let rule = if pool == "b" { "refuse" } else { rule };
                let line = format!("pool {pool:?}: cross_shard: {rule} ");
                assert_eq!(
                    text.contains(&line),
                    pools.contains(&pool),
                    "{line}: {text}"
                );
            }
            assert_eq!(text.ends_with(verdict), asked == "-t", "{text}");
        }
    }
    for arguments in [["--as", "nutcracker"], ["-t", "--as=x"]] {
        assert_eq!(
            place.run(NUTCRAB, &arguments).status.code(),
            Some(1),
            "{arguments:?}"
        );
    }
}

#[test]
fn what_the_original_refuses_is_told_and_refused_by_it() {
    const POOL: &str = "a:\n  listen: 127.0.0.1:22121\n  servers:\n   - 127.0.0.1:6379:1\n";
    for (contents, is_foreign) in [
        (POOL.to_owned(), false),
        (
            "a: {listen: 127.0.0.1:22121, servers: [127.0.0.1:6379:1]}\n".to_owned(),
            true,
        ),
        (format!("---\n{POOL}"), true),
        (format!("{POOL}  key_limit: 100\n"), true),
        (format!("{POOL}nutcrab:\n  workers: 1\n"), true),
    ] {
        let place = Place::new().with("it.yml", &contents);
        let ours = place.run(NUTCRAB, &["-t", "-c", "it.yml"]);
        assert_eq!(ours.status.code(), Some(0), "{contents}");
        let told = said(&ours).contains("accepted, but twemproxy refuses ");
        assert_eq!(told, is_foreign, "{contents}");
        let original = place.run("nutcracker", &["-t", "-c", "it.yml"]);
        assert_eq!(!original.status.success(), is_foreign, "{contents}");
    }
}

#[test]
fn a_usage_error_is_told_with_the_usage_and_exits_1() {
    let place = Place::new();
    for (arguments, message) in [
        (["-x"].as_slice(), "invalid option -- 'x'"),
        (
            &["-V", "--stats-port", "0"],
            "option -s value 0 is not a valid port",
        ),
        (
            &["-t", "-m", "5"],
            "mbuf chunk size must be between 512 and 16777216 bytes",
        ),
        (&["-c"], "option -c requires a file name"),
    ] {
        for (program, name) in [
            (PathBuf::from(NUTCRAB), "nutcrab"),
            (place.path("nutcracker"), "nutcracker"),
        ] {
            let output = place.run(program, arguments);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            let expected = format!("{name}: {message}\nUsage: {name} [-hVtdD] ");
            assert!(said(&output).starts_with(&expected), "{output:?}");
        }
    }
}

#[test]
fn the_verdict_is_twemproxys_last_and_once() {
    let place = Place::new().with("good.yml", GOOD).with("bad.yml", BAD);
    for program in [PathBuf::from(NUTCRAB), place.path("nutcracker")] {
        let output = place.run(&program, &["-t", "-c", "good.yml"]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(
            said(&output),
            "nutcracker: configuration file 'good.yml' syntax is ok\n"
        );

        for file in ["bad.yml", "missing.yml"] {
            let output = place.run(&program, &["--test-conf", "-c", file]);
            assert_eq!(output.status.code(), Some(1));
            let text = said(&output);
            let verdict = format!("nutcracker: configuration file '{file}' syntax is invalid");
            assert_eq!(text.lines().last(), Some(&*verdict));
            assert_eq!(text.matches(&verdict).count(), 1);
        }
    }
}

#[test]
fn all_mistakes_of_a_file_are_told() {
    let place = Place::new().with("bad.yml", BAD);
    let text = said(&place.run(NUTCRAB, &["-t", "-c", "bad.yml"]));
    let expected = [
        r#"line 3: pool "a": unknown key "timout"; did you mean "timeout"?"#,
        r#"line 4: pool "a": hash: expected one of one_at_a_time, md5, "#,
        r#"line 5: pool "a": redis_auth: only a Redis pool has a password; "#,
        r#"line 7: pool "a": servers: expected "host:port:weight [name]" or "#,
    ];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), expected.len() + 1, "{text}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(
            line.starts_with(&format!("nutcrab: bad.yml: {expected}")),
            "{line}"
        );
    }
    assert!(!text.contains("s3cret"));

    let text = said(&place.run(place.path("nutcracker"), &["-t", "-c", "missing.yml"]));
    assert_eq!(
        text.lines().next(),
        Some("nutcracker: missing.yml: cannot be read: No such file or directory (os error 2)")
    );
}

#[test]
fn the_configuration_is_looked_for_in_the_working_directory() {
    let place = Place::new().with("conf/nutcracker.yml", GOOD);
    let output = place.run(NUTCRAB, &["-t"]);
    assert_eq!(
        said(&output),
        "nutcracker: configuration file 'conf/nutcracker.yml' syntax is ok\n"
    );
}

#[test]
fn a_bad_configuration_is_told_and_not_run() {
    let place = Place::new().with("bad.yml", BAD);
    let output = place.run(NUTCRAB, &["-c", "bad.yml"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("line 3: pool \"a\": unknown key"), "{text}");
    let verdict = "nutcracker: configuration file 'bad.yml' syntax is invalid";
    assert_eq!(text.matches(verdict).count(), 1, "{text}");
}

#[test]
fn the_sample_files_pass() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yml") {
            let output = Command::new(NUTCRAB)
                .arg("-tc")
                .arg(&path)
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(0), "{output:?}");
        }
    }
}

#[test]
fn the_schema_is_json_on_stdout() {
    let output = Place::new().run(NUTCRAB, &["--print-config-schema"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["$defs"]["pool"]["properties"]["listen"].is_object());
}

#[test]
fn keys_from_stdin_are_explained_on_stdout() {
    let explain = |arguments: &[&str], keys: &[u8]| {
        let place = Place::new().with("good.yml", GOOD).with("bad.yml", BAD);
        let mut child = Command::new(NUTCRAB)
            .args(arguments)
            .current_dir(place.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(keys).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = explain(&["-c", "good.yml", "--explain-keys=a"], b"one\n\xff\n");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    let server = "127.0.0.1:6379\t127.0.0.1:6379\t";
    let expected = [server.as_bytes(), b"one\n", server.as_bytes(), b"\xff\n"].concat();
    assert_eq!(output.stdout, expected);

    let output = explain(&["-c", "good.yml", "--explain-keys=b"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        said(&output),
        "nutcrab: no pool is named \"b\"; there are \"a\"\n"
    );
    let output = explain(&["-c", "bad.yml", "--explain-keys=a"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("unknown key"));
}

#[test]
fn a_stderr_that_takes_nothing_changes_no_exit_code() {
    let place = Place::new().with("good.yml", GOOD).with("bad.yml", BAD);
    for (arguments, code) in [
        (["-V"].as_slice(), 0),
        (&["-x"], 1),
        (&["-tc", "good.yml"], 0),
        (&["-tc", "bad.yml"], 1),
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let status = Command::new(NUTCRAB)
            .args(arguments)
            .current_dir(place.directory.path())
            .stderr(full)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(NUTCRAB)
        .arg("--print-config-schema")
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn command_line_and_configuration_allow_the_same_number_of_workers() {
    let workers = nutcrab::config::PROCESS_KEYS
        .iter()
        .find(|key| key.name == "workers")
        .unwrap();
    let allowed = format!("a number from 1 to {}", nutcrab::cli::WORKERS_MAX);
    assert_eq!(workers.allowed(), allowed);
}
