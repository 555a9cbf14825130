//! The grammar of the command line. What the binary prints where, and its exit codes, are in
//! tests/command_line.rs.

use super::help::usage;
use super::*;

fn try_command(words: &[&str]) -> Result<Command, UsageError> {
    parse(
        std::iter::once("nutcrab")
            .chain(words.iter().copied())
            .map(OsString::from),
    )
}

fn options(words: &[&str]) -> Options {
    match try_command(words) {
        Ok(Command::Run(options)) => options,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn refused(words: &[&str]) -> String {
    match try_command(words) {
        Err(error) => error.message,
        Ok(command) => panic!("{words:?}: {command:?}"),
    }
}

/// The options of an empty command line with one change.
fn but(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::new(Name::Nutcrab);
    change(&mut options);
    options
}

#[test]
fn each_option_has_its_effect_in_every_spelling() {
    type Row = (&'static [&'static str], fn(&mut Options));
    let rows: &[Row] = &[
        (&[], |_| {}),
        (&["-d"], |o| o.daemonize = true),
        (&["--daemonize"], |o| o.daemonize = true),
        (&["-v", "7"], |o| o.verbosity = 7),
        (&["-v7"], |o| o.verbosity = 7),
        (&["--verbose", "7"], |o| o.verbosity = 7),
        (&["--verbose=7"], |o| o.verbosity = 7),
        (&["-v", "0"], |o| o.verbosity = 0),
        (&["-v", "007"], |o| o.verbosity = 7),
        (&["-v", "12"], |o| o.verbosity = 11),
        (&["-v", "99999999999999999999999"], |o| o.verbosity = 11),
        (&["-o", "a.log"], |o| o.output = Some("a.log".into())),
        (&["--output=a.log"], |o| o.output = Some("a.log".into())),
        (&["-o", ""], |o| o.output = None),
        (&["--output="], |o| o.output = None),
        (&["-c", "x.yml"], |o| o.conf_file = "x.yml".into()),
        (&["--conf-file", "x.yml"], |o| o.conf_file = "x.yml".into()),
        (&["-s", "1"], |o| o.stats_port = 1),
        (&["--stats-port", "65535"], |o| o.stats_port = 65535),
        (&["-a", "::1"], |o| {
            o.stats_addr = StatsAddr::Host("::1".into())
        }),
        (&["--stats-addr=/run/s"], |o| {
            o.stats_addr = StatsAddr::Unix("/run/s".into())
        }),
        (&["-i", "0"], |o| o.stats_interval = Duration::ZERO),
        (&["--stats-interval=500"], |o| {
            o.stats_interval = Duration::from_millis(500)
        }),
        (&["-p", "a.pid"], |o| o.pid_file = Some("a.pid".into())),
        (&["--pid-file=a.pid"], |o| o.pid_file = Some("a.pid".into())),
        (&["-m", "512"], |o| o.mbuf_size = 512),
        (&["--mbuf-size=16777216"], |o| o.mbuf_size = 16_777_216),
        (&["--workers", "1"], |o| o.workers = NonZeroU32::new(1)),
        (&["--workers=64"], |o| o.workers = NonZeroU32::new(64)),
        (&["--admin-addr", "9150"], |o| {
            o.admin_addr = Some(AdminAddr::Tcp("127.0.0.1".into(), 9150))
        }),
        (&["--admin-addr=:1"], |o| {
            o.admin_addr = Some(AdminAddr::Tcp("127.0.0.1".into(), 1))
        }),
        (&["--admin-addr", "host:9150"], |o| {
            o.admin_addr = Some(AdminAddr::Tcp("host".into(), 9150))
        }),
        (&["--admin-addr", "[::1]:65535"], |o| {
            o.admin_addr = Some(AdminAddr::Tcp("::1".into(), 65535))
        }),
        (&["--admin-addr", "/run/a"], |o| {
            o.admin_addr = Some(AdminAddr::Unix("/run/a".into()))
        }),
        (&["--shutdown-timeout", "3"], |o| {
            o.shutdown_timeout = Duration::from_secs(3)
        }),
        (&["--shutdown-timeout=0"], |o| {
            o.shutdown_timeout = Duration::ZERO
        }),
    ];
    for (words, change) in rows {
        assert_eq!(options(words), but(change), "{words:?}");
    }
}

#[test]
fn words_are_taken_apart_as_getopt_long_does() {
    type Row = (&'static [&'static str], fn(&mut Options));
    let rows: &[Row] = &[
        // Letters may share a word; the first with an argument takes its rest.
        (&["-dv9"], |o| (o.daemonize, o.verbosity) = (true, 9)),
        (&["-dv", "9"], |o| (o.daemonize, o.verbosity) = (true, 9)),
        (&["-odc"], |o| o.output = Some("dc".into())),
        (&["-o=x"], |o| o.output = Some("=x".into())),
        // An argument may look like an option.
        (&["-o", "-t"], |o| o.output = Some("-t".into())),
        (&["-o", "--"], |o| o.output = Some("--".into())),
        (&["--output", "-d"], |o| o.output = Some("-d".into())),
        (&["--output=a=b"], |o| o.output = Some("a=b".into())),
        // Operands may stand anywhere and mean nothing; so does all behind "--".
        (&["x", "-d", "y", "-", ""], |o| o.daemonize = true),
        (&["--", "-x", "--foo"], |_| {}),
        (&["-d", "--", "-v"], |o| o.daemonize = true),
        // The last one wins.
        (&["-v", "3", "--verbose=4", "-v5", "-v6"], |o| {
            o.verbosity = 6
        }),
        (&["-o", "a", "-o", ""], |o| o.output = None),
    ];
    for (words, change) in rows {
        assert_eq!(options(words), but(change), "{words:?}");
    }
}

#[test]
fn abbreviations_of_twemproxy_keep_their_meaning() {
    for (words, change) in [
        (
            &["--da"] as &[&str],
            (|o| o.daemonize = true) as fn(&mut Options),
        ),
        (&["--verb=3"], |o| o.verbosity = 3),
        (&["--o=x"], |o| o.output = Some("x".into())),
        (&["--c=x"], |o| o.conf_file = "x".into()),
        (&["--stats-p=9"], |o| o.stats_port = 9),
        (&["--stats-i=9"], |o| {
            o.stats_interval = Duration::from_millis(9)
        }),
        (&["--p", "x"], |o| o.pid_file = Some("x".into())),
        (&["--m=512"], |o| o.mbuf_size = 512),
        // Ours may be cut short where none of twemproxy's begins so.
        (&["--w=3"], |o| o.workers = NonZeroU32::new(3)),
        (&["--sh=3"], |o| o.shutdown_timeout = Duration::from_secs(3)),
    ] {
        assert_eq!(options(words), but(change), "{words:?}");
    }
    assert!(matches!(try_command(&["--t"]), Ok(Command::Test(_))));
    assert!(matches!(try_command(&["--h"]), Ok(Command::Show(_))));
    assert!(matches!(try_command(&["--vers"]), Ok(Command::Show(_))));
    assert!(matches!(try_command(&["--de"]), Ok(Command::Show(_))));
    assert_eq!(try_command(&["--pr"]), Ok(Command::PrintConfigSchema));
    assert!(matches!(
        try_command(&["--e=a"]),
        Ok(Command::ExplainKeys(..))
    ));
}

#[test]
fn what_cannot_be_understood_is_named() {
    let rows: &[(&[&str], &str)] = &[
        (&["-x"], "invalid option -- 'x'"),
        (&["-?"], "invalid option -- '?'"),
        (&["-dx"], "invalid option -- 'x'"),
        (&["-\n"], "invalid option -- '\\n'"),
        (&["--foo"], "invalid option -- 'foo'"),
        (&["--helpx"], "invalid option -- 'helpx'"),
        (&["--help=x"], "invalid option -- 'h'"),
        (
            &["--print-config-schema=x"],
            "option --print-config-schema takes no value",
        ),
        (
            &["--stats"],
            "invalid option -- 'stats', which may be --stats-port, --stats-addr, --stats-interval",
        ),
        (
            &["--v"],
            "invalid option -- 'v', which may be --version, --verbose",
        ),
        (&["-o"], "option -o requires a file name"),
        (&["-c"], "option -c requires a file name"),
        (&["-p"], "option -p requires a file name"),
        (&["--p"], "option -p requires a file name"),
        (&["-a"], "option -a requires a string"),
        (&["-m"], "option -m requires a number"),
        (&["-v"], "option -v requires a number"),
        (&["-s"], "option -s requires a number"),
        (&["-i"], "option -i requires a number"),
        (&["--workers"], "option --workers requires a number"),
        (
            &["--explain-keys"],
            "option --explain-keys requires the name of a pool",
        ),
        (&["-v", "x"], "option -v requires a number"),
        (&["-v", "-1"], "option -v requires a number"),
        (&["-v", "+1"], "option -v requires a number"),
        (&["-v", " 1"], "option -v requires a number"),
        (&["-v", ""], "option -v requires a number"),
        (&["-v=1"], "option -v requires a number"),
        (&["-vh"], "option -v requires a number"),
        (&["-s", "x"], "option -s requires a number"),
        (&["-s", "0"], "option -s value 0 is not a valid port"),
        (
            &["-s", "65536"],
            "option -s value 65536 is not a valid port",
        ),
        (
            &["-s", "070000"],
            "option -s value 70000 is not a valid port",
        ),
        (
            &["-s", "4294967297"],
            "option -s value 4294967297 is not a valid port",
        ),
        (&["-i", "x"], "option -i requires a number"),
        (
            &["-i", "2147483648"],
            "option -i requires a number up to 2147483647",
        ),
        (&["-m", "x"], "option -m requires a non-zero number"),
        (&["-m", ""], "option -m requires a non-zero number"),
        (&["-m", "0"], "option -m requires a non-zero number"),
        (
            &["-m", "511"],
            "mbuf chunk size must be between 512 and 16777216 bytes",
        ),
        (
            &["-m", "16777217"],
            "mbuf chunk size must be between 512 and 16777216 bytes",
        ),
        (
            &["--workers", "0"],
            "option --workers requires a number from 1 to 64",
        ),
        (
            &["--workers", "65"],
            "option --workers requires a number from 1 to 64",
        ),
        (
            &["--workers", "x"],
            "option --workers requires a number from 1 to 64",
        ),
        (
            &["--shutdown-timeout", "1s"],
            "option --shutdown-timeout requires a number",
        ),
        // The first mistake ends the reading, and goes before all that was asked.
        (&["-h", "-x", "-y"], "invalid option -- 'x'"),
        (
            &["-t", "-s", "0", "-v", "x"],
            "option -s value 0 is not a valid port",
        ),
        (&["-V", "-v", "5", "-v", "x"], "option -v requires a number"),
    ];
    for (words, message) in rows {
        assert_eq!(refused(words), *message, "{words:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_fine_in_file_names_only() {
    let word = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    let line = |second: &[u8]| [word(b"nutcrab"), word(second)];
    let Ok(Command::Run(options)) = parse(line(b"-o\xff")) else {
        panic!("refused")
    };
    assert_eq!(options.output, Some(word(b"\xff").into()));
    assert_eq!(
        parse(line(b"-\xff")).unwrap_err().message(),
        "invalid option -- '\\xff'"
    );
    assert_eq!(
        parse(line(b"--\xff")).unwrap_err().message(),
        "invalid option -- '\\xff'"
    );
    assert_eq!(
        parse(line(b"-v\xff")).unwrap_err().message(),
        "option -v requires a number"
    );
    assert!(matches!(
        parse([]),
        Ok(Command::Run(Options {
            name: Name::Nutcrab,
            ..
        }))
    ));
}

#[test]
fn texts_go_before_the_schema_before_keys_before_a_test_before_running() {
    let Ok(Command::Show(text)) = try_command(&["-t", "--print-config-schema", "-V"]) else {
        panic!("no text")
    };
    let version = format!("This is nutcrab-{}\n", env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&version), "{text}");
    assert_eq!(text.lines().count(), 3);
    assert!(
        text.lines()
            .nth(1)
            .unwrap()
            .starts_with("async event backend: ")
    );
    assert_eq!(
        try_command(&["-t", "--explain-keys=a", "--print-config-schema"]),
        Ok(Command::PrintConfigSchema)
    );
    assert_eq!(
        try_command(&["-t", "--explain-keys", "a b", "-c", "x"]),
        Ok(Command::ExplainKeys(
            but(|o| o.conf_file = "x".into()),
            "a b".into()
        ))
    );
    assert!(matches!(
        try_command(&["-d", "-t"]),
        Ok(Command::Test(Options {
            daemonize: true,
            ..
        }))
    ));

    let Ok(Command::Show(both)) = try_command(&["-Dh"]) else {
        panic!("no text")
    };
    assert!(both.starts_with(&text) && both.contains("Options:\n"));
    assert!(both.ends_with(&crate::stats::describe()));
}

#[test]
fn the_help_names_every_option_with_its_default() {
    let text = usage(Name::Nutcracker);
    assert!(
        text.starts_with("Usage: nutcracker [-hVtdD] [-v N] [-o S]"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    for flag in FLAGS {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("--{}", flag.long)) && line.contains(" : "))
            .unwrap_or_else(|| panic!("no line for {}", flag.long));
        let default = flag.default(Paths::of(Name::Nutcracker)).unwrap_or("");
        assert!(line.contains(flag.help) && line.contains(default), "{line}");
    }
}

#[test]
fn the_defaults_shown_are_the_defaults() {
    for (paths, options) in
        [&Paths::PLAIN, &Paths::DEBIAN].map(|p| (p, Options::at(Name::Nutcrab, p)))
    {
        for flag in FLAGS {
            let Some(default) = flag.default(paths) else {
                continue;
            };
            match flag.long {
                "output" if default == "stderr" => assert_eq!(options.output, None),
                "pid-file" => assert_eq!(options.pid_file, None),
                "workers" => assert_eq!(options.workers, None),
                "admin-addr" => assert_eq!(options.admin_addr, None),
                _ => {
                    let mut said = Parsed::new(options.clone());
                    flag.apply(Some(default.into()), &mut said).unwrap();
                    assert_eq!(said.options, options, "{}", flag.long);
                }
            }
        }
    }
}

#[test]
fn a_build_for_debian_has_debians_paths_under_the_old_name() {
    let debian = cfg!(feature = "debian-paths");
    for (name, line, conf_file, output, pid_file) in [
        ("nutcrab", "", "conf/nutcracker.yml", None, None),
        ("nutcrab", "-d", "conf/nutcracker.yml", None, None),
        (
            "nutcracker",
            "",
            "/etc/nutcracker/nutcracker.yml",
            Some("/var/log/nutcracker/nutcracker.log"),
            None,
        ),
        (
            "nutcracker",
            "-d",
            "/etc/nutcracker/nutcracker.yml",
            Some("/var/log/nutcracker/nutcracker.log"),
            Some("/run/nutcracker/nutcracker.pid"),
        ),
        ("nutcracker", "-d --output= -c x -p y", "x", None, Some("y")),
    ] {
        let name = Name::of(OsStr::new(name));
        let paths = match name {
            Name::Nutcracker => &Paths::DEBIAN,
            Name::Nutcrab => &Paths::PLAIN,
        };
        if debian {
            assert_eq!(Paths::of(name), paths);
        }
        let mut said = Parsed::new(Options::at(name, paths));
        let words = line.split_whitespace().map(OsString::from);
        read(&mut words.into_iter(), &mut said).unwrap();
        said.options.settle(paths);
        assert_eq!(said.options.conf_file, Path::new(conf_file), "{line}");
        assert_eq!(said.options.output, output.map(PathBuf::from), "{line}");
        assert_eq!(said.options.pid_file, pid_file.map(PathBuf::from), "{line}");
    }
    if !debian {
        assert_eq!(Paths::of(Name::Nutcracker), &Paths::PLAIN);
    }
}

#[test]
fn the_name_is_the_file_name_we_were_started_under() {
    for (first, name) in [
        ("nutcrab", Name::Nutcrab),
        ("/usr/sbin/nutcrab", Name::Nutcrab),
        ("nutcracker", Name::Nutcracker),
        ("/usr/sbin/nutcracker", Name::Nutcracker),
        ("./nutcracker", Name::Nutcracker),
        ("nutcracker-0.5", Name::Nutcrab),
        ("nutcracker/nutcrab", Name::Nutcrab),
        ("", Name::Nutcrab),
    ] {
        assert_eq!(Name::of(OsStr::new(first)), name, "{first}");
    }
    let error = parse(["nutcracker", "-x"].map(OsString::from))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("nutcracker: invalid option -- 'x'\nUsage: nutcracker "),
        "{error}"
    );
}

#[test]
fn workers_are_as_asked_as_configured_or_as_many_as_cores() {
    let given = NonZeroU32::new(9);
    let configured = NonZeroU32::new(7);
    let started_as = |name, workers| Options {
        workers,
        ..Options::new(name)
    };
    for (options, configured, cores, expected) in [
        (started_as(Name::Nutcrab, given), configured, 2, 9),
        (started_as(Name::Nutcracker, given), configured, 2, 9),
        (started_as(Name::Nutcrab, None), configured, 2, 7),
        (started_as(Name::Nutcracker, None), configured, 2, 7),
        (started_as(Name::Nutcrab, None), None, 0, 1),
        (started_as(Name::Nutcrab, None), None, 2, 2),
        (started_as(Name::Nutcrab, None), None, 64, 4),
        (started_as(Name::Nutcracker, None), None, 64, 1),
    ] {
        assert_eq!(
            options.worker_count(configured, cores),
            expected,
            "{options:?}"
        );
    }
}

#[test]
fn an_admin_address_has_a_port() {
    for text in [
        "", "0", "65536", "+1", "host", "host:", "::1", "::1:9150", "[::1]", "a:b:1", "x:-1",
    ] {
        let message = refused(&["--admin-addr", text]);
        let expected =
            "option --admin-addr requires a port, an address and a port, or the path of a socket";
        assert_eq!(message, expected, "{text:?}");
    }
}
