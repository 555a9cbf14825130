//! What each signal means.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::log::Log;

/// What a signal asks control to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Stop: gracefully the first time, at once the second.
    Stop,
    /// Nothing that is not done already.
    Nothing,
}

/// One signal: its number, its name, what the log says behind both, and what is to be done.
struct Row {
    number: i32,
    name: &'static str,
    text: &'static str,
    act: fn(&Log) -> Wish,
}

/// SIGPIPE is not here: the standard library ignores it from the start. Numbers differ from system
/// to system; names do not.
const ROWS: &[Row] = &[
    Row {
        number: SIGHUP,
        name: "SIGHUP",
        text: ", reopening log file",
        act: reopen,
    },
    Row {
        number: SIGINT,
        name: "SIGINT",
        text: ", exiting",
        act: |_| Wish::Stop,
    },
    Row {
        number: SIGTERM,
        name: "SIGTERM",
        text: ", exiting",
        act: |_| Wish::Stop,
    },
    Row {
        number: SIGTTIN,
        name: "SIGTTIN",
        text: ", up logging level",
        act: raise,
    },
    Row {
        number: SIGTTOU,
        name: "SIGTTOU",
        text: ", down logging level",
        act: lower,
    },
    Row {
        number: SIGUSR1,
        name: "SIGUSR1",
        text: "",
        act: |_| Wish::Nothing,
    },
    Row {
        number: SIGUSR2,
        name: "SIGUSR2",
        text: "",
        act: |_| Wish::Nothing,
    },
];

/// Catches all signals that mean something, from now on.
pub fn catch() -> io::Result<Signals> {
    Signals::new(ROWS.iter().map(|row| row.number))
}

/// Logs the signal, does what concerns the log, and says what else is wished.
pub fn obey(number: i32, log: &Log) -> Wish {
    let Some(row) = ROWS.iter().find(|row| row.number == number) else {
        return Wish::Nothing;
    };
    log.signal(format_args!(
        "signal {number} ({}) received{}",
        row.name, row.text
    ));
    (row.act)(log)
}

fn reopen(log: &Log) -> Wish {
    log.reopen();
    Wish::Nothing
}

fn raise(log: &Log) -> Wish {
    if let Some(level) = log.raise() {
        log.always(format_args!("up log level to {level}"));
    }
    Wish::Nothing
}

fn lower(log: &Log) -> Wish {
    if let Some(level) = log.lower() {
        log.always(format_args!("down log level to {level}"));
    }
    Wish::Nothing
}

#[cfg(test)]
mod tests {
    use super::super::log::{Log, Opened, Target};
    use super::*;

    #[test]
    fn signals_are_logged_as_twemproxy_does_and_do_what_they_say() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let opened = Opened::open(Target::File(path.clone())).expect("it can be created");
        let log = Log::start(opened, 11).expect("a thread");
        for (number, wish) in [
            (SIGTTIN, Wish::Nothing),
            (SIGTTOU, Wish::Nothing),
            (SIGUSR1, Wish::Nothing),
            (SIGINT, Wish::Stop),
            (SIGTERM, Wish::Stop),
        ] {
            assert_eq!(obey(number, &log), wish);
        }
        assert_eq!(log.level(), 10);
        log.flush();
        let text = std::fs::read_to_string(&path).expect("the log");
        let lines: Vec<&str> = text.lines().collect();
        let dots = "[.......................]";
        let up = format!("{dots} signal {SIGTTIN} (SIGTTIN) received, up logging level");
        let down = format!("{dots} signal {SIGTTOU} (SIGTTOU) received, down logging level");
        assert_eq!((lines[0], lines[1]), (&*up, &*down));
        // The level was at its top.
        assert!(lines[2].ends_with(" down log level to 10"), "{text}");
        assert_eq!(
            lines[3],
            format!("{dots} signal {SIGUSR1} (SIGUSR1) received")
        );
        assert_eq!(
            lines[4],
            format!("{dots} signal 2 (SIGINT) received, exiting")
        );
    }
}
