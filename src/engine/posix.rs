//! Calls about the process that every Unix has and std does not offer.
//!
//! What they are for, and in which order, is control's business.

use std::fs::File;
use std::io;
use std::num::NonZeroU32;

use super::system;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};

/// Which side of a fork this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The process that asked; the number is the child's.
    Parent(NonZeroU32),
    /// The copy.
    Child,
}

/// Copies the process. Only for a process that has a single thread: of several, the copy would have
/// one, and the locks of the others for ever. Debug builds check that on Linux.
#[expect(unsafe_code, reason = "std has no fork")]
pub fn fork() -> io::Result<Fork> {
    #[cfg(target_os = "linux")]
    debug_assert!(
        thread_count().is_none_or(|count| count == 1),
        "fork with several threads"
    );
    // SAFETY: fork itself has no precondition; what its child may do is limited only if there are
    // other threads. The caller promises that there are none (see above).
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        child => {
            let child = u32::try_from(child).ok().and_then(NonZeroU32::new);
            Ok(Fork::Parent(child.expect("a process id is positive")))
        }
    }
}

#[cfg(target_os = "linux")]
fn thread_count() -> Option<usize> {
    std::fs::read_dir("/proc/self/task")
        .ok()
        .map(Iterator::count)
}

/// Leaves the terminal: the process becomes the leader of a session of its own.
pub fn start_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Files are created with the permissions asked for, none masked.
pub fn clear_umask() {
    rustix::process::umask(Mode::empty());
}

/// Standard input, output and error become `file`.
pub fn replace_standard_streams(file: &File) -> io::Result<()> {
    rustix::stdio::dup2_stdin(file)?;
    rustix::stdio::dup2_stdout(file)?;
    rustix::stdio::dup2_stderr(file)?;
    Ok(())
}

/// Raises the limit of open files as far as the system lets us, and says what it is now.
pub fn raise_open_files() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wish = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // macOS refuses "unlimited" here; what was allowed before is still allowed then.
    let _ = rustix::process::setrlimit(Resource::Nofile, wish);
    rustix::process::getrlimit(Resource::Nofile)
        .current
        .unwrap_or(u64::MAX)
}

/// Whether a system error means that this machine ran out of something, whatever the peer does.
pub fn is_shortage(number: i32) -> bool {
    let shortages = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOMEM,
        libc::ENOBUFS,
        libc::EADDRNOTAVAIL,
    ];
    shortages.contains(&number)
}

/// Whether a system error means that the process, or the machine, has no descriptor left.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE) | Some(libc::ENFILE)
    )
}

/// A descriptor that is held to be given up when there is no other.
#[derive(Debug)]
pub struct Reserve(Option<File>);

impl Reserve {
    /// Holds one.
    pub fn new() -> Self {
        let mut reserve = Self(None);
        reserve.refill();
        reserve
    }

    /// Gives the descriptor up, so that something else can have it. `false`: there is none.
    pub fn spend(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Holds one again, if it can be had.
    #[expect(
        clippy::disallowed_methods,
        reason = "a descriptor is wanted, whatever stands behind it"
    )]
    pub fn refill(&mut self) {
        if self.0.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
    }
}

impl Default for Reserve {
    fn default() -> Self {
        Self::new()
    }
}

/// The machine, as uname(2) tells it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Such as `Linux`.
    pub system: String,
    /// The kernel's version.
    pub release: String,
    /// Such as `x86_64`.
    pub architecture: String,
    /// The host name.
    pub name: String,
}

/// Asks the kernel who it is.
pub fn machine() -> Machine {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    Machine {
        system: text(uname.sysname()),
        release: text(uname.release()),
        architecture: text(uname.machine()),
        name: text(uname.nodename()),
    }
}

/// What the process uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Microseconds of processor time, of all threads.
    pub cpu_micros: u64,
    /// Bytes in memory; `None` where the system does not tell.
    pub resident_bytes: Option<u64>,
    /// Descriptors in use; `None` where the system does not tell.
    pub open_files: Option<u64>,
    /// Descriptors there may be.
    pub open_files_max: u64,
}

/// Asks the kernel what we use.
pub fn usage() -> Usage {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(cpu.tv_sec).unwrap_or_default();
    Usage {
        cpu_micros: seconds * 1_000_000 + cpu.tv_nsec as u64 / 1000,
        resident_bytes: system::resident_bytes(),
        open_files: system::open_files(),
        open_files_max: rustix::process::getrlimit(Resource::Nofile)
            .current
            .unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_raised_to_the_hard_limit() {
        let hard = rustix::process::getrlimit(Resource::Nofile)
            .maximum
            .unwrap_or(u64::MAX);
        assert_eq!(raise_open_files(), hard);
    }

    #[test]
    fn what_is_used_lies_below_what_may_be() {
        let usage = usage();
        assert!(usage.cpu_micros > 0, "{usage:?}");
        if let Some(count) = usage.open_files {
            assert!((3..usage.open_files_max).contains(&count), "{usage:?}");
        }
        if let Some(bytes) = usage.resident_bytes {
            assert!((1 << 20..1 << 40).contains(&bytes), "{usage:?}");
        }
    }

    #[test]
    fn the_machine_has_a_name() {
        let machine = machine();
        assert!(
            !machine.name.is_empty() && !machine.system.is_empty(),
            "{machine:?}"
        );
    }
}
