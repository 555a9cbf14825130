//! The log: twemproxy's lines and levels, written by a thread of its own.
//!
//! Whoever logs never waits: lines go through a queue of limited length, and when the disk (or
//! whoever reads our stderr) is slower than that, lines are dropped, counted, and the count is
//! logged as soon as it can be. Text that came from outside cannot break a line or play with a
//! terminal: control characters are written as escapes.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Bytes of a line, its line feed included. Longer ones are cut, as in twemproxy.
const LINE_MAX: usize = 256;

/// Lines that may wait to be written.
const QUEUE_LEN: usize = 1024;

/// How long the end of the process waits for its last lines.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// The highest level, at which everything is logged.
const LEVEL_MAX: u8 = 11;

/// How important a line is; twemproxy's numbers. A line is written if its number is not above the
/// log's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Whatever the level.
    Always = 0,
    /// The process, or a part of it, cannot go on.
    Error = 1,
    /// Something outside does not work: a server, the disk, a limit.
    Warn = 4,
    /// What an operator wants to see by default.
    Notice = 5,
    /// More than that.
    Info = 6,
}

/// Where lines go.
#[derive(Clone, Debug)]
pub enum Target {
    /// To stderr.
    Stderr,
    /// To this file, at its end.
    File(PathBuf),
}

/// A log that is opened and not yet written to. Opening comes before the process detaches, so that
/// the error is seen; the writing thread is started after.
#[derive(Debug)]
pub struct Opened {
    target: Target,
    output: Output,
}

#[derive(Debug)]
enum Output {
    Stderr,
    File(File),
}

impl Opened {
    /// Opens the file, or creates it.
    pub fn open(target: Target) -> io::Result<Self> {
        let output = target.open()?;
        Ok(Self { target, output })
    }
}

impl Target {
    fn open(&self) -> io::Result<Output> {
        match self {
            Target::Stderr => Ok(Output::Stderr),
            Target::File(path) => open(path).map(Output::File),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that opens the log"
)]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .open(path)
}

/// The log. Copies write to the same one.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
    orders: SyncSender<Order>,
}

#[derive(Debug)]
struct Shared {
    level: AtomicU8,
    /// Lines that found the queue full, since the last report of it.
    dropped: AtomicU64,
    /// The file is to be opened again, and the queue had no room to say so.
    reopen: AtomicBool,
}

#[derive(Debug)]
enum Order {
    Line {
        time: Option<SystemTime>,
        place: Option<&'static Location<'static>>,
        text: String,
    },
    Reopen,
    /// To be answered when everything before is written.
    Flush(SyncSender<()>),
}

impl Log {
    /// Starts the thread that writes.
    #[expect(
        clippy::disallowed_methods,
        reason = "writing may block, so it has its own thread"
    )]
    pub fn start(opened: Opened, level: u8) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            level: AtomicU8::new(level.min(LEVEL_MAX)),
            dropped: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
        });
        let (orders, inbox) = mpsc::sync_channel(QUEUE_LEN);
        let writer = Writer {
            target: opened.target,
            output: opened.output,
            shared: Arc::clone(&shared),
            zone: TimeZone::system(),
            lost: 0,
        };
        thread::Builder::new()
            .name("log".into())
            .spawn(move || writer.run(&inbox))?;
        Ok(Self { shared, orders })
    }

    /// A line that is written at every level.
    #[track_caller]
    pub fn always(&self, text: impl fmt::Display) {
        self.line(Level::Always, text);
    }

    /// A line at [`Level::Error`].
    #[track_caller]
    pub fn error(&self, text: impl fmt::Display) {
        self.line(Level::Error, text);
    }

    /// A line at [`Level::Warn`].
    #[track_caller]
    pub fn warn(&self, text: impl fmt::Display) {
        self.line(Level::Warn, text);
    }

    /// A line at [`Level::Notice`].
    #[track_caller]
    pub fn notice(&self, text: impl fmt::Display) {
        self.line(Level::Notice, text);
    }

    /// A line at [`Level::Info`].
    #[track_caller]
    pub fn info(&self, text: impl fmt::Display) {
        self.line(Level::Info, text);
    }

    /// A line, if the level lets it through.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "a line tells when it was logged")]
    pub fn line(&self, level: Level, text: impl fmt::Display) {
        if level as u8 <= self.level() {
            let place = Some(Location::caller());
            let time = Some(SystemTime::now());
            self.order(Order::Line {
                time,
                place,
                text: text.to_string(),
            });
        }
    }

    /// A line about a signal: with dots in place of the time, as twemproxy writes it, because its
    /// signal handlers cannot tell the time. Written at every level.
    pub fn signal(&self, text: impl fmt::Display) {
        self.order(Order::Line {
            time: None,
            place: None,
            text: text.to_string(),
        });
    }

    /// The present level.
    pub fn level(&self) -> u8 {
        self.shared.level.load(Ordering::Relaxed)
    }

    /// One level more; says which it is now, if there was one.
    pub fn raise(&self) -> Option<u8> {
        let level = self
            .level()
            .checked_add(1)
            .filter(|level| *level <= LEVEL_MAX)?;
        self.shared.level.store(level, Ordering::Relaxed);
        Some(level)
    }

    /// One level less; says which it is now, if there was one.
    pub fn lower(&self) -> Option<u8> {
        let level = self.level().checked_sub(1)?;
        self.shared.level.store(level, Ordering::Relaxed);
        Some(level)
    }

    /// Closes the file and opens it again under its name: log rotation. What was logged before goes
    /// to the old file, unless the writer is far behind.
    pub fn reopen(&self) {
        // Unlike a line it must not be dropped. It must not wait for a writer that is stuck either:
        // this is the thread that lets clients in.
        if let Err(TrySendError::Full(_)) = self.orders.try_send(Order::Reopen) {
            self.shared.reopen.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until what was logged so far is written, or for a second.
    pub fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        let mut order = Order::Flush(done);
        // A full queue whose reader is stuck must not keep the process from ending.
        for _ in 0..100 {
            match self.orders.try_send(order) {
                Err(TrySendError::Full(back)) => order = back,
                _ => break,
            }
            let _ = wait.recv_timeout(FLUSH_TIME / 100);
        }
        let _ = wait.recv_timeout(FLUSH_TIME);
    }

    fn order(&self, order: Order) {
        if let Err(TrySendError::Full(_)) = self.orders.try_send(order) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread that writes.
struct Writer {
    target: Target,
    output: Output,
    shared: Arc<Shared>,
    zone: TimeZone,
    /// Lines that could not be written since the last one that could.
    lost: u64,
}

impl Writer {
    /// Writes until the last [`Log`] is gone.
    fn run(mut self, inbox: &Receiver<Order>) {
        while let Ok(order) = inbox.recv() {
            match order {
                Order::Line { time, place, text } => self.line(time, place, &text),
                Order::Reopen => self.reopen(),
                Order::Flush(done) => {
                    // Who asked may have stopped waiting.
                    let _ = done.try_send(());
                }
            }
            if self.shared.reopen.swap(false, Ordering::Relaxed) {
                self.reopen();
            }
            self.own_up();
        }
    }

    fn line(
        &mut self,
        time: Option<SystemTime>,
        place: Option<&'static Location<'static>>,
        text: &str,
    ) {
        let mut line = String::with_capacity(LINE_MAX);
        write_head(&mut line, time, place, &self.zone);
        escape(&mut line, text);
        end(&mut line);
        let written = match &mut self.output {
            Output::Stderr => io::stderr().write_all(line.as_bytes()),
            Output::File(file) => file.write_all(line.as_bytes()),
        };
        if written.is_err() {
            // There is no place to tell it but the log itself, when it works again.
            self.lost += 1;
        }
    }

    fn reopen(&mut self) {
        match self.target.open() {
            Ok(output) => self.output = output,
            Err(error) => {
                let text = format!("reopening the log failed, the old file is kept: {error}");
                self.own_line(&text);
            }
        }
    }

    /// Tells of lines that are missing.
    fn own_up(&mut self) {
        let dropped = self.shared.dropped.swap(0, Ordering::Relaxed);
        let missing = dropped + self.lost;
        if missing > 0 {
            self.lost = 0;
            let before = self.lost;
            self.own_line(&format!("{missing} log lines are missing here"));
            if self.lost > before {
                // This one could not be written either; what it told of is still missing.
                self.lost = missing;
            }
        }
    }

    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "a line tells when it was logged")]
    fn own_line(&mut self, text: &str) {
        self.line(Some(SystemTime::now()), Some(Location::caller()), text);
    }
}

fn write_head(
    line: &mut String,
    time: Option<SystemTime>,
    place: Option<&'static Location<'static>>,
    zone: &TimeZone,
) {
    let stamp = time.and_then(|time| Timestamp::try_from(time).ok());
    let _ = match stamp {
        Some(stamp) => {
            let local = stamp.to_zoned_datetime(zone.clone());
            write!(line, "[{}] ", local.strftime("%Y-%m-%d %H:%M:%S%.3f"))
        }
        None => write!(line, "[{:.<23}] ", ""),
    };
    if let Some(place) = place {
        let file = place.file();
        let file = file.rsplit_once("src/").map_or(file, |(_, below)| below);
        let _ = write!(line, "{file}:{} ", place.line());
    }
}

/// Appends `text` with everything a terminal might act on written as an escape.
fn escape(line: &mut String, text: &str) {
    for c in text.chars() {
        if line.len() >= LINE_MAX {
            return;
        }
        if c.is_control() {
            let _ = write!(line, "\\x{:02x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
}

/// Cuts the line to its length and ends it.
fn end(line: &mut String) {
    if line.len() > LINE_MAX - 1 {
        let cut = (0..LINE_MAX)
            .rev()
            .find(|&at| line.is_char_boundary(at))
            .unwrap_or(0);
        line.truncate(cut);
    }
    line.push('\n');
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn log_to(path: &Path, level: u8) -> Log {
        let opened = Opened::open(Target::File(path.to_path_buf())).expect("it can be created");
        Log::start(opened, level).expect("a thread")
    }

    fn lines(log: &Log, path: &Path) -> Vec<String> {
        log.flush();
        let text = std::fs::read_to_string(path).expect("the log is text");
        text.lines().map(str::to_owned).collect()
    }

    /// The text behind `[time] file:line `.
    fn texts(lines: &[String]) -> Vec<&str> {
        lines
            .iter()
            .map(|line| line.splitn(4, ' ').nth(3).expect("a text"))
            .collect()
    }

    #[test]
    fn lines_have_twemproxys_shape() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let log = log_to(&path, 5);
        log.notice("hello");
        log.signal("signal 1 (SIGHUP) received, reopening log file");
        let lines = lines(&log, &path);
        let (time, rest) = lines[0].split_at(26);
        let shape: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '9' } else { c })
            .collect();
        assert_eq!(shape, "[9999-99-99 99:99:99.999] ");
        let (place, text) = rest.split_once(' ').expect("a place");
        let (file, line) = place.split_once(':').expect("file and line");
        assert_eq!((file, text), ("control/log.rs", "hello"));
        assert!(line.parse::<u32>().is_ok(), "{line}");
        let dots = "[.......................] ";
        assert_eq!(
            lines[1],
            format!("{dots}signal 1 (SIGHUP) received, reopening log file")
        );
    }

    #[test]
    fn times_are_local() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_380_298_042);
        for (east, shown) in [
            (0, "2026-11-22 20:44:58.042"),
            (4, "2026-11-23 00:44:58.042"),
        ] {
            let mut line = String::new();
            write_head(
                &mut line,
                Some(time),
                None,
                &TimeZone::fixed(jiff::tz::offset(east)),
            );
            assert_eq!(line, format!("[{shown}] "));
        }
    }

    #[test]
    fn levels_let_through_what_they_should() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let log = log_to(&path, 4);
        log.notice("no");
        log.warn("warn");
        assert_eq!(log.raise(), Some(5));
        log.notice("notice");
        log.info("no");
        for _ in 0..20 {
            log.lower();
        }
        assert_eq!((log.level(), log.lower()), (0, None));
        log.error("no");
        log.always("always");
        for _ in 0..20 {
            log.raise();
        }
        assert_eq!((log.level(), log.raise()), (11, None));
        assert_eq!(texts(&lines(&log, &path)), ["warn", "notice", "always"]);
    }

    #[test]
    fn long_lines_are_cut_and_control_bytes_escaped() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let log = log_to(&path, 5);
        log.notice("a\r\nb\x1b[31m\u{9b}é");
        log.notice("é".repeat(500));
        log.notice("\n".repeat(500));
        let lines = lines(&log, &path);
        assert_eq!(texts(&lines)[0], "a\\x0d\\x0ab\\x1b[31m\\x9bé");
        assert!(
            lines[1].len() == 255 || lines[1].len() == 254,
            "{}",
            lines[1].len()
        );
        assert_eq!((lines[2].len(), lines.len()), (255, 3));
    }

    #[test]
    fn reopening_follows_a_rotated_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, old) = (directory.path().join("log"), directory.path().join("log.1"));
        let log = log_to(&path, 5);
        log.notice("first");
        log.flush();
        std::fs::rename(&path, &old).expect("it is there");
        log.notice("still old");
        log.reopen();
        log.notice("second");
        assert_eq!(texts(&lines(&log, &path)), ["second"]);
        assert_eq!(texts(&lines(&log, &old)), ["first", "still old"]);
    }

    #[test]
    fn a_failed_reopen_keeps_the_old_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let below = directory.path().join("below");
        std::fs::create_dir(&below).expect("a directory");
        let log = log_to(&below.join("log"), 5);
        std::fs::rename(&below, directory.path().join("moved")).expect("it is there");
        log.reopen();
        log.notice("still here");
        let lines = lines(&log, &directory.path().join("moved/log"));
        assert!(
            texts(&lines)[0].starts_with("reopening the log failed"),
            "{lines:?}"
        );
        assert_eq!(texts(&lines)[1], "still here");
    }

    #[test]
    fn a_stuck_reader_loses_lines_but_stops_nobody() {
        // A pipe that nobody reads holds some 64 KiB.
        let (reader, writer) = io::pipe().expect("a pipe");
        let path = PathBuf::from(format!("/dev/fd/{}", writer.as_raw_fd()));
        let log = log_to(&path, 5);
        for number in 0..20_000 {
            log.notice(format_args!("line {number}"));
        }
        // All of them were logged, and the writer is stuck. Now somebody reads.
        let reading = thread::spawn(move || {
            let lines = io::BufRead::lines(io::BufReader::new(reader));
            let lines = lines.map(|line| line.expect("text"));
            lines
                .take_while(|line| !line.ends_with(" the end"))
                .collect::<Vec<_>>()
        });
        // The queue may still be full.
        while !reading.is_finished() {
            log.flush();
            log.notice("the end");
        }
        let found = reading.join().expect("it only reads");
        let missing: usize = found
            .iter()
            .filter(|line| line.ends_with("log lines are missing here"))
            .filter_map(|line| line.split(' ').nth(3)?.parse::<usize>().ok())
            .sum();
        let written = found.iter().filter(|line| line.contains(" line ")).count();
        assert!(
            written < 20_000 && written + missing >= 20_000,
            "{written} and {missing}"
        );
    }
}
