//! Starting threads whose end is noticed.

use std::any::Any;
use std::backtrace::Backtrace;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use super::Event;
use super::log::Log;
use crate::engine::Mailbox;

/// Starts a thread. When `work` is done control gets `done` of its result; when it fails or panics,
/// control learns that the process cannot go on: a proxy with a missing part must not look alive.
#[expect(
    clippy::disallowed_methods,
    reason = "control starts every thread, and gives it a name"
)]
pub fn start<T: 'static>(
    name: &str,
    control: &Mailbox<Event>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
    done: fn(T) -> Event,
) -> io::Result<()> {
    let (control, thread_name) = (control.clone(), name.to_owned());
    let guarded = move || {
        // What the thread worked with is dropped on unwinding; nobody sees it half changed.
        let event = match panic::catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(result)) => done(result),
            Ok(Err(error)) => Event::Broke(format!("thread {thread_name}: {error}")),
            Err(_) => Event::Broke(format!("thread {thread_name} panicked")),
        };
        control.send(event);
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(guarded)
        .map(drop)
}

/// Frames of a backtrace that are logged: what is farther out is the start of the thread.
const FRAMES_MAX: usize = 64;

/// From now on panics are told in the log, with their place and how they came about, instead of on
/// stderr.
pub fn log_panics(log: &Log) {
    let log = log.clone();
    panic::set_hook(Box::new(move |info| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("unnamed").to_owned();
        let place = info
            .location()
            .map_or_else(String::new, ToString::to_string);
        let reason = reason(info.payload());
        log.error(format_args!("panic in thread {name} at {place}: {reason}"));
        // A line of the log is too short for all of it.
        let trace = Backtrace::force_capture().to_string();
        for frame in frames(&trace).take(FRAMES_MAX) {
            log.error(format_args!("panic in thread {name}: {frame}"));
        }
    }));
}

/// The frames of a printed backtrace: each a line with the function, and mostly one with its place.
fn frames(trace: &str) -> impl Iterator<Item = String> + '_ {
    let mut lines = trace.lines().map(str::trim).peekable();
    std::iter::from_fn(move || {
        let function = lines.next()?;
        let place = lines.next_if(|line| line.starts_with("at "));
        Some(match place {
            Some(place) => format!("{function} {place}"),
            None => function.to_owned(),
        })
    })
}

/// The text of a panic.
fn reason(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;
    use std::time::Duration;

    use super::*;
    use crate::engine::Engine;
    use crate::worker::Outcome;

    /// What control is told about a thread that does this.
    fn told(work: fn() -> io::Result<Outcome>) -> Event {
        let mut engine = Engine::new().expect("an engine");
        let (mailbox, inbox): (_, Receiver<Event>) = Mailbox::new(&engine).expect("its mailbox");
        start("test", &mailbox, work, Event::WorkerEnded).expect("a thread");
        engine
            .wait(Some(Duration::from_secs(10)), &mut Vec::new())
            .expect("waiting works");
        inbox.try_recv().expect("a message")
    }

    #[test]
    fn the_end_of_a_thread_is_noticed_however_it_ends() {
        let end = told(|| Ok(Outcome::Drained));
        assert!(matches!(end, Event::WorkerEnded(Outcome::Drained)));
        let end = told(|| Err(io::Error::other("no more")));
        assert!(matches!(end, Event::Broke(text) if text == "thread test: no more"));
        let end = told(|| panic!("a planted fault"));
        assert!(matches!(end, Event::Broke(text) if text == "thread test panicked"));
    }

    #[test]
    fn a_backtrace_is_cut_into_frames() {
        let trace = "   0: one::two\n             at ./src/a.rs:3:4\n   1: three\n";
        let frames: Vec<String> = frames(trace).collect();
        assert_eq!(frames, ["0: one::two at ./src/a.rs:3:4", "1: three"]);
        let own = Backtrace::force_capture().to_string();
        assert!(super::frames(&own).any(|frame| frame.contains("a_backtrace_is_cut_into_frames")));
    }

    #[test]
    fn the_reason_of_a_panic_is_found() {
        let caught = |work: fn()| panic::catch_unwind(work).expect_err("it panics");
        assert_eq!(reason(&*caught(|| panic!("plain"))), "plain");
        assert_eq!(reason(&*caught(|| panic!("number {}", 7))), "number 7");
        assert_eq!(reason(&*caught(|| panic::panic_any(7))), "no reason");
    }
}
