//! The command line: twemproxy's flags with their letters, meaning and messages, and ours beside
//! them as long options.
//!
//! One table, `FLAGS`, yields the parser and the help text. Parsing follows getopt_long to the
//! letter (`-o=x` is the file `=x`, `-o -t` the file `-t`, long names may be cut short, operands
//! are skipped), which no argument crate does; it touches nothing but its arguments. Acting on a
//! `Command` and printing are the business of `main`.

mod help;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `-h`, `-V`, `-D`: this text, on stderr as twemproxy has it.
    Show(String),
    /// `--print-config-schema`: the JSON Schema of the configuration, on stdout.
    PrintConfigSchema,
    /// `-t`: check the configuration file and tell the result.
    Test(Options),
    /// Run the proxy.
    Run(Options),
}

/// How the proxy is to run. Whatever was not given has its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The name we were started under; opens each message.
    pub name: Name,
    /// `-d`: detach from the terminal.
    pub daemonize: bool,
    /// `-v`: how much is logged, 0 (emergencies) to 11 (everything).
    pub verbosity: u8,
    /// `-o`: the log file. `None`: stderr.
    pub output: Option<PathBuf>,
    /// `-c`: relative to the working directory.
    pub conf_file: PathBuf,
    /// `-s`: never 0.
    pub stats_port: u16,
    /// `-a`
    pub stats_addr: StatsAddr,
    /// `-i`: how often the counters of the workers are summed up. May be zero.
    pub stats_interval: Duration,
    /// `-p`
    pub pid_file: Option<PathBuf>,
    /// `-m`: size in bytes of the pooled buffers of busy connections, 512 to 16,777,216.
    pub mbuf_size: usize,
    /// `--workers`: 1 to `WORKERS_MAX`. See `worker_count`.
    pub workers: Option<NonZeroU32>,
    /// `--shutdown-timeout`: how long a stop may wait for requests that are under way.
    pub shutdown_timeout: Duration,
}

/// The name of the program, from the file name of its first argument. It decides how messages open
/// and how many workers there are by default, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Any other name.
    Nutcrab,
    /// The compatibility link.
    Nutcracker,
}

/// Where statistics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatsAddr {
    /// An address or host name, on `stats_port`.
    Host(String),
    /// A unix socket: an absolute path.
    Unix(PathBuf),
}

/// Most workers that may be asked for.
pub const WORKERS_MAX: u32 = 64;

/// Most workers that are started unasked: beyond a few cores the servers are the bottleneck, and
/// each worker brings connections of its own to every server.
const UNASKED_WORKERS_MAX: usize = 4;

const VERBOSITY_MAX: u8 = 11;
const MBUF_MIN: u64 = 512;
const MBUF_MAX: u64 = 16_777_216;

/// Largest number of an option, as of a configuration: twemproxy counts in 32 signed bits.
const NUMBER_MAX: u64 = i32::MAX as u64;

impl Name {
    /// The name a program was started under.
    pub fn of(argument: &OsStr) -> Self {
        match Path::new(argument).file_name() {
            Some(name) if name == "nutcracker" => Self::Nutcracker,
            _ => Self::Nutcrab,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nutcrab => "nutcrab",
            Self::Nutcracker => "nutcracker",
        })
    }
}

impl Options {
    /// The options of an empty command line.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            daemonize: false,
            verbosity: 5,
            output: None,
            conf_file: "conf/nutcracker.yml".into(),
            stats_port: 22222,
            stats_addr: StatsAddr::Host("0.0.0.0".to_owned()),
            stats_interval: Duration::from_millis(30_000),
            pid_file: None,
            mbuf_size: 16_384,
            workers: None,
            shutdown_timeout: Duration::from_secs(10),
        }
    }

    /// How many workers to start: `--workers`, else what the configuration says, else one for each
    /// core, at most four, and one under the name `nutcracker`, so that connections to servers are
    /// as many as twemproxy makes.
    pub fn worker_count(&self, configured: Option<NonZeroU32>, core_count: usize) -> usize {
        let unasked = match self.name {
            Name::Nutcracker => 1,
            Name::Nutcrab => core_count.clamp(1, UNASKED_WORKERS_MAX),
        };
        self.workers
            .or(configured)
            .map_or(unasked, |count| count.get() as usize)
    }
}

/// A command line that cannot be understood. Printed with the usage text behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    name: Name,
    message: String,
}

impl UsageError {
    /// The message alone, without the program's name.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}\n{}",
            self.name,
            self.message,
            help::usage(self.name)
        )
    }
}

impl std::error::Error for UsageError {}

/// One option.
struct Flag {
    /// None of ours: those are long only, so that every letter stays twemproxy's.
    short: Option<u8>,
    long: &'static str,
    argument: Argument,
    help: &'static str,
    /// As one would write it, where there is one worth showing.
    default: &'static str,
}

/// What follows an option, and what it changes.
enum Argument {
    None(fn(&mut Parsed)),
    File(fn(&mut Options, PathBuf)),
    Text(fn(&mut Options, OsString)),
    /// Digits; the error is the whole message, the option being given as it is called there.
    Number(fn(&mut Options, Option<u64>, &str) -> Result<(), String>),
}

/// What a command line has said so far.
struct Parsed {
    options: Options,
    help: bool,
    version: bool,
    describe_stats: bool,
    print_config_schema: bool,
    test: bool,
}

/// twemproxy's options in its order, then ours.
const FLAGS: &[Flag] = &[
    Flag {
        short: Some(b'h'),
        long: "help",
        argument: Argument::None(|parsed| parsed.help = true),
        help: "print this text and exit",
        default: "",
    },
    Flag {
        short: Some(b'V'),
        long: "version",
        argument: Argument::None(|parsed| parsed.version = true),
        help: "print the version and exit",
        default: "",
    },
    Flag {
        short: Some(b't'),
        long: "test-conf",
        argument: Argument::None(|parsed| parsed.test = true),
        help: "check the configuration file, tell every mistake, and exit",
        default: "",
    },
    Flag {
        short: Some(b'd'),
        long: "daemonize",
        argument: Argument::None(|parsed| parsed.options.daemonize = true),
        help: "run in the background",
        default: "",
    },
    Flag {
        short: Some(b'D'),
        long: "describe-stats",
        argument: Argument::None(|parsed| parsed.describe_stats = true),
        help: "print what the statistics mean and exit",
        default: "",
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
        default: "5",
    },
    Flag {
        short: Some(b'o'),
        long: "output",
        argument: Argument::File(|options, file| {
            options.output = Some(file).filter(|file| !file.as_os_str().is_empty());
        }),
        help: "log file",
        default: "stderr",
    },
    Flag {
        short: Some(b'c'),
        long: "conf-file",
        argument: Argument::File(|options, file| options.conf_file = file),
        help: "configuration file",
        default: "conf/nutcracker.yml",
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
        default: "22222",
    },
    Flag {
        short: Some(b'a'),
        long: "stats-addr",
        argument: Argument::Text(|options, text| {
            options.stats_addr = if text.as_bytes().starts_with(b"/") {
                StatsAddr::Unix(text.into())
            } else {
                StatsAddr::Host(text.to_string_lossy().into_owned())
            };
        }),
        help: "address or unix socket path of the statistics",
        default: "0.0.0.0",
    },
    Flag {
        short: Some(b'i'),
        long: "stats-interval",
        argument: Argument::Number(|options, number, called| {
            options.stats_interval = Duration::from_millis(plain(number, called)?);
            Ok(())
        }),
        help: "milliseconds between two sums of the statistics",
        default: "30000",
    },
    Flag {
        short: Some(b'p'),
        long: "pid-file",
        argument: Argument::File(|options, file| options.pid_file = Some(file)),
        help: "file for the process id",
        default: "none",
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
        default: "16384",
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
        default: "cores, at most 4; as nutcracker: 1",
    },
    Flag {
        short: None,
        long: "shutdown-timeout",
        argument: Argument::Number(|options, number, called| {
            options.shutdown_timeout = Duration::from_secs(plain(number, called)?);
            Ok(())
        }),
        help: "seconds that a stop waits for requests under way",
        default: "10",
    },
    Flag {
        short: None,
        long: "print-config-schema",
        argument: Argument::None(|parsed| parsed.print_config_schema = true),
        help: "print a JSON Schema of the configuration on stdout and exit",
        default: "",
    },
];

/// Reads a command line, the program's own name first.
///
/// # Errors
/// The first thing that cannot be understood. It goes before everything else that was asked.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut arguments = arguments.into_iter();
    let name = arguments
        .next()
        .map_or(Name::Nutcrab, |first| Name::of(&first));
    let mut parsed = Parsed {
        options: Options::new(name),
        help: false,
        version: false,
        describe_stats: false,
        print_config_schema: false,
        test: false,
    };
    read(&mut arguments, &mut parsed).map_err(|message| UsageError { name, message })?;

    let show = parsed.help || parsed.version || parsed.describe_stats;
    Ok(match parsed {
        _ if show => Command::Show(help::shown(&parsed)),
        Parsed {
            print_config_schema: true,
            ..
        } => Command::PrintConfigSchema,
        Parsed {
            test: true,
            options,
            ..
        } => Command::Test(options),
        Parsed { options, .. } => Command::Run(options),
    })
}

fn read(arguments: &mut impl Iterator<Item = OsString>, parsed: &mut Parsed) -> Result<(), String> {
    while let Some(argument) = arguments.next() {
        let bytes = argument.as_bytes();
        if bytes == b"--" {
            break;
        } else if let Some(long) = bytes.strip_prefix(b"--") {
            let (name, value) = match long.iter().position(|&byte| byte == b'=') {
                Some(at) => (&long[..at], Some(&long[at + 1..])),
                None => (long, None),
            };
            read_long(name, value, arguments, parsed)?;
        } else if bytes.len() > 1 && bytes[0] == b'-' {
            read_shorts(&bytes[1..], arguments, parsed)?;
        }
    }
    Ok(())
}

/// Reads a word of single letters; the first that takes an argument takes the rest of the word, or
/// the next word, whatever it looks like.
fn read_shorts(
    mut letters: &[u8],
    arguments: &mut impl Iterator<Item = OsString>,
    parsed: &mut Parsed,
) -> Result<(), String> {
    while let Some((&letter, rest)) = letters.split_first() {
        let flag = FLAGS
            .iter()
            .find(|flag| flag.short == Some(letter))
            .ok_or_else(|| format!("invalid option -- '{}'", letter.escape_ascii()))?;
        if matches!(flag.argument, Argument::None(_)) {
            flag.apply(None, parsed)?;
            letters = rest;
        } else {
            let value = match rest {
                [] => arguments.next(),
                rest => Some(OsStr::from_bytes(rest).to_owned()),
            };
            return flag.apply(value, parsed);
        }
    }
    Ok(())
}

fn read_long(
    name: &[u8],
    value: Option<&[u8]>,
    arguments: &mut impl Iterator<Item = OsString>,
    parsed: &mut Parsed,
) -> Result<(), String> {
    let flag = find_long(name)?;
    match (&flag.argument, value) {
        (Argument::None(_), None) => flag.apply(None, parsed),
        (Argument::None(_), Some(_)) => Err(match flag.short {
            Some(letter) => format!("invalid option -- '{}'", char::from(letter)),
            None => format!("option --{} takes no value", flag.long),
        }),
        (_, Some(value)) => flag.apply(Some(OsStr::from_bytes(value).to_owned()), parsed),
        (_, None) => flag.apply(arguments.next(), parsed),
    }
}

/// The option of this name, or the only one that begins with it.
///
/// Compat: an abbreviation that is unique among twemproxy's options stays so, whatever options we
/// have besides (`--p` is `--pid-file`). Test: abbreviations_of_twemproxy_keep_their_meaning.
fn find_long(name: &[u8]) -> Result<&'static Flag, String> {
    if let Some(flag) = FLAGS.iter().find(|flag| flag.long.as_bytes() == name) {
        return Ok(flag);
    }
    let begins = |flag: &&Flag| flag.long.as_bytes().starts_with(name);
    let theirs: Vec<&Flag> = FLAGS
        .iter()
        .filter(|flag| flag.short.is_some())
        .filter(begins)
        .collect();
    let all: Vec<&Flag> = FLAGS.iter().filter(begins).collect();
    match (&theirs[..], &all[..]) {
        ([flag], _) | ([], [flag]) => Ok(flag),
        (_, []) => Err(format!("invalid option -- '{}'", name.escape_ascii())),
        (_, several) => {
            let names: Vec<String> = several
                .iter()
                .map(|flag| format!("--{}", flag.long))
                .collect();
            let name = name.escape_ascii();
            Err(format!(
                "invalid option -- '{name}', which may be {}",
                names.join(", ")
            ))
        }
    }
}

impl Flag {
    /// Takes the option with its argument. `None` is the lack of one.
    fn apply(&self, value: Option<OsString>, parsed: &mut Parsed) -> Result<(), String> {
        let called = self.called();
        let options = &mut parsed.options;
        match (&self.argument, value) {
            (Argument::None(set), _) => set(parsed),
            (Argument::File(set), Some(value)) => set(options, value.into()),
            (Argument::Text(set), Some(value)) => set(options, value),
            (Argument::Number(set), Some(value)) => set(options, number(&value), &called)?,
            (Argument::File(_), None) => return Err(wanted(&called, "a file name")),
            (Argument::Text(_), None) => return Err(wanted(&called, "a string")),
            (Argument::Number(_), None) => return Err(wanted(&called, "a number")),
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
    fn argument_name(&self) -> Option<char> {
        match self.argument {
            Argument::None(_) => None,
            Argument::Number(_) => Some('N'),
            Argument::File(_) | Argument::Text(_) => Some('S'),
        }
    }
}

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

#[cfg(test)]
mod tests;
