//! The `nutcrab` binary: command line, configuration, run; the one place that prints errors and
//! picks the exit code.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use nutcrab::cli::{self, Command, Name, Options};
use nutcrab::config::{Config, CrossShard, Mistakes};
use nutcrab::{config, control, explain};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Err(error) => {
            tell(format_args!("{error}"));
            ExitCode::FAILURE
        }
        Ok(Command::Show(text)) => {
            tell(text);
            ExitCode::SUCCESS
        }
        Ok(Command::PrintConfigSchema) => print(&config::json_schema()),
        Ok(Command::ExplainKeys(options, pool)) => explain_keys(&options, &pool),
        Ok(Command::Test(options)) => test(&options),
        Ok(Command::Run(options)) => run(&options),
    }
}

/// The configuration, where what is not said depends on our name.
///
/// Compat: twemproxy sends a command to the server of its first key, wherever the others live.
/// Test: t43_under_the_old_name_commands_go_to_the_server_of_their_first_key.
fn load(options: &Options) -> Result<Config, Mistakes> {
    config::load_with(&options.conf_file, cross_shard(options.defaults))
}

fn cross_shard(name: Name) -> CrossShard {
    match name {
        Name::Nutcrab => CrossShard::Refuse,
        Name::Nutcracker => CrossShard::FirstKey,
    }
}

/// Tells what holds for pools where it makes a difference, so that who checks a file under one name sees
/// what another would make of it.
fn tell_defaults(options: &Options, pools: &[&config::Pool]) {
    for pool in pools {
        if pool.spans_servers() {
            tell(format_args!(
                "{}: pool {:?}: cross_shard: {} (under the name {}, where the pool does not say: {})\n",
                options.name,
                pool.name,
                pool.cross_shard.name(),
                options.defaults,
                cross_shard(options.defaults).name(),
            ));
        }
    }
}

/// Tells what would keep twemproxy from starting with the file, for who may want to go back.
fn tell_foreign(options: &Options, config: &Config) {
    for foreign in &config.foreign {
        tell(format_args!(
            "{}: {}: line {}: accepted, but twemproxy refuses {}\n",
            options.name,
            options.conf_file.display(),
            foreign.line,
            foreign.what
        ));
    }
}

/// `--explain-keys`: from stdin to stdout.
fn explain_keys(options: &Options, pool: &OsStr) -> ExitCode {
    let config = match load(options) {
        Ok(config) => config,
        Err(mistakes) => return refuse(options, &mistakes),
    };
    let asked = config.pools.iter().filter(|known| *known.name == *pool);
    tell_defaults(options, &asked.collect::<Vec<_>>());
    let (keys, lines) = (std::io::stdin().lock(), std::io::stdout().lock());
    match explain::explain_keys(
        &config,
        &pool.to_string_lossy(),
        keys,
        BufWriter::new(lines),
    ) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("{}: {error}\n", options.name));
            ExitCode::FAILURE
        }
    }
}

/// `-t`: every mistake, then the verdict.
fn test(options: &Options) -> ExitCode {
    match load(options) {
        Ok(config) => {
            tell_defaults(options, &config.pools.iter().collect::<Vec<_>>());
            tell_foreign(options, &config);
            tell_verdict(options, "ok");
            ExitCode::SUCCESS
        }
        Err(mistakes) => refuse(options, &mistakes),
    }
}

fn run(options: &Options) -> ExitCode {
    let config = match load(options) {
        Ok(config) => config,
        Err(mistakes) => return refuse(options, &mistakes),
    };
    match control::run(options, config) {
        Ok(ending) => ExitCode::from(ending.code()),
        Err(error) => {
            tell(format_args!("{}: {error}\n", options.name));
            ExitCode::FAILURE
        }
    }
}

/// Tells what is wrong with the configuration.
fn refuse(options: &Options, mistakes: &Mistakes) -> ExitCode {
    for mistake in mistakes {
        tell(format_args!(
            "{}: {}: {mistake}\n",
            options.name,
            mistakes.path().display()
        ));
    }
    tell_verdict(options, "invalid");
    ExitCode::FAILURE
}

/// Compat: scripts look for this line, so it is twemproxy's under any name of ours.
/// Test: the_verdict_is_twemproxys_last_and_once.
fn tell_verdict(options: &Options, verdict: &str) {
    let path = options.conf_file.display();
    tell(format_args!(
        "nutcracker: configuration file '{path}' syntax is {verdict}\n"
    ));
}

/// Writes to stdout; that it could not is an error, since the text is all that was asked for.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("nutcrab: cannot write to stdout: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Writes to stderr. Where even that cannot be written to there is nobody left to tell.
fn tell(text: impl Display) {
    let _ = write!(std::io::stderr().lock(), "{text}");
}
