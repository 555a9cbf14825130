//! A worker that panics takes the process with it, in order, and says how it came about.

use crate::support::*;
use crate::{NUTCRAB, Place, is_let_in, pool};

#[test]
fn a_panic_ends_the_process_with_its_own_code_and_a_backtrace_in_the_log() {
    if !cfg!(debug_assertions) {
        // A release has no fault planted; it has nothing to show here.
        return;
    }
    let place = Place::new();
    let socket = place.path("sock");
    place.configure(&pool("a", &socket.display().to_string()));
    let mut arguments = vec!["NUTCRAB_PLANT_PANIC=4".to_owned(), NUTCRAB.into()];
    arguments.extend(place.arguments(&Port::free()));
    arguments.extend(["-p".to_owned(), place.path("pid").display().to_string()]);
    arguments.extend(["--workers", "2"].map(str::to_owned));
    let mut process = Process::start("env", &arguments, &place.path("out"));
    let address = Address::Unix(socket.clone());
    process.wait_ready(|| Wire::try_connect(&address).is_ok());
    let mut clients: Vec<Wire> = Vec::new();
    let status = eventually("it ends", || {
        if let Ok(mut client) = Wire::try_connect(&address)
            && is_let_in(&mut client)
        {
            clients.push(client);
        }
        process.exited()
    });
    assert_eq!(status.code(), Some(70));
    // Nobody is left hanging on what is half dead.
    for client in &mut clients {
        client.read_until(|_| false);
    }
    assert!(!socket.exists() && !place.path("pid").exists());
    let log = place.text("log");
    let panic = log.find("panic in thread worker-").expect(&log);
    let log = &log[panic..];
    assert!(log.contains("src/worker/mod.rs:"), "{log}");
    assert!(log.contains("a planted fault"), "{log}");
    assert!(log.contains("plant_panic"), "no backtrace: {log}");
    assert!(log.contains("cannot go on: thread worker-"), "{log}");
}
