//! The command line: twemproxy's flags with their letters, meaning and messages, and ours beside
//! them as long options.
//!
//! The table of options is `flags`; the help text is printed from it by `help`. Parsing follows
//! getopt_long to the letter (`-o=x` is the file `=x`, `-o -t` the file `-t`, long names may be cut
//! short, operands are skipped), which no argument crate does; it touches nothing but its arguments.
//! Acting on a `Command` and printing are the business of `main`.

mod flags;
mod help;
mod paths;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use flags::{FLAGS, Flag, Takes};
pub use paths::Paths;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `-h`, `-V`, `-D`: this text, on stderr as twemproxy has it.
    Show(String),
    /// `--print-config-schema`: the JSON Schema of the configuration, on stdout.
    PrintConfigSchema,
    /// `--explain-keys`: say where each key of stdin lives, for the pool of this name.
    ExplainKeys(Options, OsString),
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
    /// The name whose defaults hold for the configuration: `--as`, else that one.
    pub defaults: Name,
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
    /// `--admin-addr`. `None`: there is no admin listener.
    pub admin_addr: Option<AdminAddr>,
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

/// The name of the program, from the file name of its first argument. It decides how messages open,
/// how many workers there are by default and, in a build for Debian's package, where files are.
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

/// Where HTTP for operators is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddr {
    /// An address or host name, and a port that is not 0.
    Tcp(String, u16),
    /// A unix socket: an absolute path.
    Unix(PathBuf),
}

impl AdminAddr {
    /// `9150`, `10.0.0.1:9150`, `[::1]:9150` or `/run/nutcrab/admin.sock`. Without an address it is
    /// that of the loopback interface: what is served there is not for everybody.
    pub fn parse(text: &OsStr) -> Option<Self> {
        if text.as_bytes().starts_with(b"/") {
            return Some(Self::Unix(text.into()));
        }
        let text = text.to_str()?;
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bare.unwrap_or(host) {
            host if bare.is_none() && host.contains(':') => return None,
            "" => "127.0.0.1",
            host => host,
        };
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|&port| is_number && port > 0)?;
        Some(Self::Tcp(host.to_owned(), port))
    }
}

/// Most workers that may be asked for.
pub const WORKERS_MAX: u32 = 64;

/// Most workers that are started unasked: beyond a few cores the servers are the bottleneck, and
/// each worker brings connections of its own to every server.
const UNASKED_WORKERS_MAX: usize = 4;

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
        Self::at(name, Paths::of(name))
    }

    /// The same, with files where `paths` says.
    fn at(name: Name, paths: &Paths) -> Self {
        Self {
            name,
            defaults: name,
            daemonize: false,
            verbosity: 5,
            output: paths.output.map(PathBuf::from),
            conf_file: paths.conf_file.into(),
            stats_port: 22222,
            stats_addr: StatsAddr::Host("0.0.0.0".to_owned()),
            admin_addr: None,
            stats_interval: Duration::from_millis(30_000),
            pid_file: None,
            mbuf_size: 16_384,
            workers: None,
            shutdown_timeout: Duration::from_secs(10),
        }
    }

    /// What follows from several options together.
    ///
    /// Compat: Debian's nutcracker writes a pid file unasked, but only as a daemon.
    /// Test: a_build_for_debian_has_debians_paths_under_the_old_name.
    fn settle(&mut self, paths: &Paths) {
        if self.daemonize && self.pid_file.is_none() {
            self.pid_file = paths.pid_file.map(PathBuf::from);
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

/// What a command line has said so far.
struct Parsed {
    options: Options,
    help: bool,
    version: bool,
    describe_stats: bool,
    print_config_schema: bool,
    explain_keys: Option<OsString>,
    test: bool,
    name: Option<Name>,
}

impl Parsed {
    /// Nothing was said yet.
    fn new(options: Options) -> Self {
        Self {
            options,
            help: false,
            version: false,
            describe_stats: false,
            print_config_schema: false,
            explain_keys: None,
            test: false,
            name: None,
        }
    }
}

/// Reads a command line, the program's own name first.
///
/// # Errors
/// The first thing that cannot be understood. It goes before everything else that was asked.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut arguments = arguments.into_iter();
    let name = arguments
        .next()
        .map_or(Name::Nutcrab, |first| Name::of(&first));
    let mut parsed = Parsed::new(Options::new(name));
    read(&mut arguments, &mut parsed).map_err(|message| UsageError { name, message })?;
    parsed.options.settle(Paths::of(name));

    let show = parsed.help || parsed.version || parsed.describe_stats;
    if let Some(defaults) = parsed.name {
        if !show && !parsed.test && parsed.explain_keys.is_none() {
            let message = "option --as goes with -t or --explain-keys".to_owned();
            return Err(UsageError { name, message });
        }
        parsed.options.defaults = defaults;
    }
    Ok(match parsed {
        _ if show => Command::Show(help::shown(&parsed)),
        Parsed {
            print_config_schema: true,
            ..
        } => Command::PrintConfigSchema,
        Parsed {
            explain_keys: Some(pool),
            options,
            ..
        } => Command::ExplainKeys(options, pool),
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
        if flag.takes() == Takes::Nothing {
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
    match (flag.takes(), value) {
        (Takes::Nothing, None) => flag.apply(None, parsed),
        (Takes::Nothing, Some(_)) => Err(match flag.short {
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

#[cfg(test)]
mod tests;
