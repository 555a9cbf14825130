//! The table of options: letters, names, arguments, help and defaults, and what each one changes.
//!
//! The parser, the help text, the manual page and the completions all follow from a row. Taking
//! words apart is the parser's work; a row is handed the value that belongs to it.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::{AdminAddr, Name, Options, Parsed, Paths, StatsAddr, WORKERS_MAX};

const VERBOSITY_MAX: u8 = 11;
const MBUF_MIN: u64 = 512;
const MBUF_MAX: u64 = 16_777_216;

/// Largest number of an option, as of a configuration: twemproxy counts in 32 signed bits.
const NUMBER_MAX: u64 = i32::MAX as u64;

/// One option.
pub struct Flag {
    /// None of ours: those are long only, so that every letter stays twemproxy's.
    pub short: Option<u8>,
    /// Without its hyphens.
    pub long: &'static str,
    /// What it does, in a few words without a full stop.
    pub help: &'static str,
    pub(super) argument: Argument,
    pub(super) default: Unsaid,
}

/// What follows an option on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// Digits.
    Number,
    /// The name of a file.
    File,
    /// An address, or the path of a socket.
    Address,
    /// The name of a pool in the configuration.
    Pool,
    /// A name of the program.
    Name,
}

/// What holds when an option is not given, as one would write it.
#[derive(Clone, Copy)]
pub(super) enum Unsaid {
    Nothing,
    Is(&'static str),
    /// Where files are depends on the build and on our name.
    Path(fn(&Paths) -> &'static str),
}

/// What follows an option, and what it changes.
pub(super) enum Argument {
    None(fn(&mut Parsed)),
    File(fn(&mut Options, PathBuf)),
    /// The error is the whole message, as below.
    Address(fn(&mut Options, OsString, &str) -> Result<(), String>),
    Pool(fn(&mut Parsed, OsString)),
    Name(fn(&mut Parsed, Name)),
    /// Digits; the error is the whole message, the option being given as it is called there.
    Number(fn(&mut Options, Option<u64>, &str) -> Result<(), String>),
}

/// twemproxy's options in its order, then ours.
pub const FLAGS: &[Flag] = &[
    Flag {
        short: Some(b'h'),
        long: "help",
        argument: Argument::None(|parsed| parsed.help = true),
        help: "print this text and exit",
        default: Unsaid::Nothing,
    },
    Flag {
        short: Some(b'V'),
        long: "version",
        argument: Argument::None(|parsed| parsed.version = true),
        help: "print the version and exit",
        default: Unsaid::Nothing,
    },
    Flag {
        short: Some(b't'),
        long: "test-conf",
        argument: Argument::None(|parsed| parsed.test = true),
        help: "check the configuration file, tell every mistake, and exit",
        default: Unsaid::Nothing,
    },
    Flag {
        short: Some(b'd'),
        long: "daemonize",
        argument: Argument::None(|parsed| parsed.options.daemonize = true),
        help: "run in the background",
        default: Unsaid::Nothing,
    },
    Flag {
        short: Some(b'D'),
        long: "describe-stats",
        argument: Argument::None(|parsed| parsed.describe_stats = true),
        help: "print what the statistics mean and exit",
        default: Unsaid::Nothing,
    },
    Flag {
        short: Some(b'v'),
        long: "verbose",
        argument: Argument::Number(|options, number, called| {
            let number = number.ok_or_else(|| wanted(called, "a number"))?;
            options.verbosity =
                u8::try_from(number).map_or(VERBOSITY_MAX, |level| level.min(VERBOSITY_MAX));
            Ok(())
        }),
        help: "how much to log, from 0 to 11",
        default: Unsaid::Is("5"),
    },
    Flag {
        short: Some(b'o'),
        long: "output",
        argument: Argument::File(|options, file| {
            options.output = Some(file).filter(|file| !file.as_os_str().is_empty());
        }),
        help: "log file",
        default: Unsaid::Path(|paths| paths.output.unwrap_or("stderr")),
    },
    Flag {
        short: Some(b'c'),
        long: "conf-file",
        argument: Argument::File(|options, file| options.conf_file = file),
        help: "configuration file",
        default: Unsaid::Path(|paths| paths.conf_file),
    },
    Flag {
        short: Some(b's'),
        long: "stats-port",
        argument: Argument::Number(|options, number, called| {
            let number = number.ok_or_else(|| wanted(called, "a number"))?;
            match u16::try_from(number) {
                Ok(port @ 1..) => options.stats_port = port,
                _ => {
                    return Err(format!(
                        "option {called} value {number} is not a valid port"
                    ));
                }
            }
            Ok(())
        }),
        help: "port of the statistics",
        default: Unsaid::Is("22222"),
    },
    Flag {
        short: Some(b'a'),
        long: "stats-addr",
        argument: Argument::Address(|options, text, _| {
            options.stats_addr = if text.as_bytes().starts_with(b"/") {
                StatsAddr::Unix(text.into())
            } else {
                StatsAddr::Host(text.to_string_lossy().into_owned())
            };
            Ok(())
        }),
        help: "address or unix socket path of the statistics",
        default: Unsaid::Is("0.0.0.0"),
    },
    Flag {
        short: Some(b'i'),
        long: "stats-interval",
        argument: Argument::Number(|options, number, called| {
            options.stats_interval = Duration::from_millis(plain(number, called)?);
            Ok(())
        }),
        help: "milliseconds between two sums of the statistics",
        default: Unsaid::Is("30000"),
    },
    Flag {
        short: Some(b'p'),
        long: "pid-file",
        argument: Argument::File(|options, file| options.pid_file = Some(file)),
        help: "file for the process id",
        default: Unsaid::Path(|paths| paths.pid_file.unwrap_or("none")),
    },
    Flag {
        short: Some(b'm'),
        long: "mbuf-size",
        argument: Argument::Number(|options, number, called| match number {
            None | Some(0) => Err(wanted(called, "a non-zero number")),
            Some(size @ MBUF_MIN..=MBUF_MAX) => {
                options.mbuf_size = size as usize;
                Ok(())
            }
            Some(_) => Err(format!(
                "mbuf chunk size must be between {MBUF_MIN} and {MBUF_MAX} bytes"
            )),
        }),
        help: "bytes of a pooled buffer",
        default: Unsaid::Is("16384"),
    },
    Flag {
        short: None,
        long: "workers",
        argument: Argument::Number(|options, number, called| {
            let count = number.and_then(|number| u32::try_from(number).ok());
            options.workers = match count.filter(|&count| count <= WORKERS_MAX) {
                Some(count @ 1..) => NonZeroU32::new(count),
                _ => return Err(wanted(called, &format!("a number from 1 to {WORKERS_MAX}"))),
            };
            Ok(())
        }),
        help: "worker threads",
        default: Unsaid::Is("cores, at most 4; as nutcracker: 1"),
    },
    Flag {
        short: None,
        long: "shutdown-timeout",
        argument: Argument::Number(|options, number, called| {
            options.shutdown_timeout = Duration::from_secs(plain(number, called)?);
            Ok(())
        }),
        help: "seconds that a stop waits for requests under way",
        default: Unsaid::Is("10"),
    },
    Flag {
        short: None,
        long: "admin-addr",
        argument: Argument::Address(|options, address, called| {
            let address = AdminAddr::parse(&address).ok_or_else(|| {
                wanted(
                    called,
                    "a port, an address and a port, or the path of a socket",
                )
            })?;
            options.admin_addr = Some(address);
            Ok(())
        }),
        help: "port, HOST:PORT or path of /metrics and /readyz",
        default: Unsaid::Is("none"),
    },
    Flag {
        short: None,
        long: "print-config-schema",
        argument: Argument::None(|parsed| parsed.print_config_schema = true),
        help: "print a JSON Schema of the configuration on stdout and exit",
        default: Unsaid::Nothing,
    },
    Flag {
        short: None,
        long: "explain-keys",
        argument: Argument::Pool(|parsed, pool| parsed.explain_keys = Some(pool)),
        help: "print where each key of stdin lives in this pool, and exit",
        default: Unsaid::Nothing,
    },
    Flag {
        short: None,
        long: "as",
        argument: Argument::Name(|parsed, name| parsed.name = Some(name)),
        help: "for -t and --explain-keys: the defaults of nutcrab or of nutcracker",
        default: Unsaid::Nothing,
    },
];

impl Flag {
    /// What follows it.
    pub fn takes(&self) -> Takes {
        match self.argument {
            Argument::None(_) => Takes::Nothing,
            Argument::Number(_) => Takes::Number,
            Argument::File(_) => Takes::File,
            Argument::Address(_) => Takes::Address,
            Argument::Pool(_) => Takes::Pool,
            Argument::Name(_) => Takes::Name,
        }
    }

    /// What holds when it is not given, as one would write it, where that is worth showing.
    pub fn default(&self, paths: &Paths) -> Option<&'static str> {
        match self.default {
            Unsaid::Nothing => None,
            Unsaid::Is(text) => Some(text),
            Unsaid::Path(of) => Some(of(paths)),
        }
    }

    /// Takes the option with its argument. `None` is the lack of one.
    pub(super) fn apply(&self, value: Option<OsString>, parsed: &mut Parsed) -> Result<(), String> {
        let called = self.called();
        let value = match value {
            Some(value) => value,
            None if self.takes() == Takes::Nothing => OsString::new(),
            None => {
                return Err(match self.takes() {
                    Takes::Number => wanted(&called, "a number"),
                    Takes::File => wanted(&called, "a file name"),
                    Takes::Pool => wanted(&called, "the name of a pool"),
                    Takes::Name => wanted(&called, NAMES),
                    Takes::Address | Takes::Nothing => wanted(&called, "a string"),
                });
            }
        };
        match &self.argument {
            Argument::None(set) => set(parsed),
            Argument::Pool(set) => set(parsed, value),
            Argument::Name(set) => match value.as_bytes() {
                b"nutcrab" => set(parsed, Name::Nutcrab),
                b"nutcracker" => set(parsed, Name::Nutcracker),
                _ => return Err(wanted(&called, NAMES)),
            },
            Argument::File(set) => set(&mut parsed.options, value.into()),
            Argument::Address(set) => set(&mut parsed.options, value, &called)?,
            Argument::Number(set) => set(&mut parsed.options, number(&value), &called)?,
        }
        Ok(())
    }

    /// How messages call it: by its letter, if it has one.
    fn called(&self) -> String {
        match self.short {
            Some(letter) => format!("-{}", char::from(letter)),
            None => format!("--{}", self.long),
        }
    }

    /// `N` or `S` for what follows it.
    pub(super) fn argument_name(&self) -> Option<char> {
        match self.takes() {
            Takes::Nothing => None,
            Takes::Number => Some('N'),
            Takes::File | Takes::Address | Takes::Pool | Takes::Name => Some('S'),
        }
    }
}

const NAMES: &str = "nutcrab or nutcracker";

fn wanted(called: &str, what: &str) -> String {
    format!("option {called} requires {what}")
}

/// Reads ASCII digits and nothing else; what is too large for the type is its largest.
fn number(text: &OsStr) -> Option<u64> {
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0u64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(value)
}

fn plain(number: Option<u64>, called: &str) -> Result<u64, String> {
    match number {
        Some(number) if number <= NUMBER_MAX => Ok(number),
        Some(_) => Err(wanted(called, &format!("a number up to {NUMBER_MAX}"))),
        None => Err(wanted(called, "a number")),
    }
}
