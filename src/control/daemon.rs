//! Leaving the terminal, and the pid file.
//!
//! `-d` forks twice, as twemproxy does. Unlike there the process that was started stays until the
//! daemon has told it, through a pipe, how the start went, and ends with that exit code: a script
//! learns of a port that is taken.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::engine::posix::{self, Fork};

/// What the daemon sends when it runs. Anything else is the reason why it does not.
const STARTED: &str = "started\n";

/// Who we are after a [`detach`].
#[derive(Debug)]
pub enum Role {
    /// The process that was started by hand, with what the daemon told about its start.
    Launcher(Result<(), String>),
    /// The daemon, and how it tells.
    Daemon(Launch),
}

/// Tells the launcher how the start went; without one, does nothing.
#[derive(Debug)]
pub struct Launch(Option<io::PipeWriter>);

impl Launch {
    /// For a process that stays in the foreground.
    pub fn in_foreground() -> Self {
        Self(None)
    }

    /// The start went well.
    pub fn succeeded(self) {
        self.tell(STARTED);
    }

    /// The start failed for this reason.
    pub fn failed(self, reason: &str) {
        self.tell(reason);
    }

    fn tell(self, text: &str) {
        if let Some(mut pipe) = self.0 {
            // A launcher that was killed meanwhile does not listen.
            let _ = pipe.write_all(text.as_bytes());
        }
    }
}

/// Splits off a daemon: in a session of its own, without a terminal, with no umask, its standard
/// streams in /dev/null, in the same working directory. No other thread may exist.
pub fn detach() -> io::Result<Role> {
    let (reader, writer) = io::pipe()?;
    match posix::fork()? {
        Fork::Parent(_) => {
            drop(writer);
            Ok(Role::Launcher(outcome(reader)))
        }
        Fork::Child => {
            drop(reader);
            // From here on errors have to take the pipe.
            match enter_background() {
                Ok(()) => Ok(Role::Daemon(Launch(Some(writer)))),
                Err(error) => {
                    Launch(Some(writer)).failed(&format!("leaving the terminal failed: {error}"));
                    leave(1)
                }
            }
        }
    }
}

fn outcome(mut reader: io::PipeReader) -> Result<(), String> {
    let mut text = String::new();
    match reader.read_to_string(&mut text) {
        Ok(_) if text == STARTED => Ok(()),
        Ok(0) => Err("the daemon ended while it started".into()),
        Ok(_) => Err(text),
        Err(error) => Err(format!("the daemon's start is unknown: {error}")),
    }
}

fn enter_background() -> io::Result<()> {
    posix::start_session()?;
    // Only the leader of a session can get a terminal again, so the leader ends.
    if let Fork::Parent(_) = posix::fork()? {
        leave(0);
    }
    // Compat: with no umask, the socket files of pools without a mode of their own can be used by
    // everybody. Test: a_daemon_has_no_umask.
    posix::clear_umask();
    posix::replace_standard_streams(&null()?)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a process that was only needed for a fork ends"
)]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

#[expect(clippy::disallowed_methods, reason = "the daemon's standard streams")]
fn null() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/null")
}

/// A file with our process id; removed when this is dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    text: String,
}

impl PidFile {
    /// Writes the decimal process id, without a line feed, as twemproxy does.
    pub fn create(path: &Path) -> io::Result<Self> {
        let text = std::process::id().to_string();
        write(path, &text)?;
        Ok(Self {
            path: path.to_path_buf(),
            text,
        })
    }
}

impl Drop for PidFile {
    #[expect(clippy::disallowed_methods, reason = "the pid file is control's")]
    fn drop(&mut self) {
        // A successor may have put its own there.
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            // Nothing is left to be done about a file that cannot be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the pid file is control's")]
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o644);
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_holds_the_bare_number_and_goes_with_us() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pid");
        fs::write(&path, "a longer text from before").expect("a file");
        let file = PidFile::create(&path).expect("it can be written");
        let text = fs::read_to_string(&path).expect("it was written");
        assert_eq!(text, std::process::id().to_string());
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_successors_pid_file_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pid");
        let file = PidFile::create(&path).expect("it can be written");
        fs::write(&path, "1").expect("a file");
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn a_launcher_learns_what_the_daemon_tells() {
        let told = |tell: fn(Launch)| {
            let (reader, writer) = io::pipe().expect("a pipe");
            tell(Launch(Some(writer)));
            outcome(reader)
        };
        assert_eq!(told(Launch::succeeded), Ok(()));
        assert_eq!(told(|launch| launch.failed("no")), Err("no".into()));
        assert_eq!(told(drop), Err("the daemon ended while it started".into()));
    }
}
