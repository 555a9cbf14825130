//! What the system does not allow: said in one line, and nothing is left half started.

use std::fs;
use std::process::{Command, Output};

use crate::support::*;
use crate::{NUTCRAB, Place, is_let_in, pool};

/// Runs nutcrab behind a program that takes something away from it.
fn run(place: &Place, behind: &[&str]) -> Output {
    Command::new(behind[0])
        .args(&behind[1..])
        .arg(NUTCRAB)
        .args(place.arguments(&Port::free()))
        .args(["-p".as_ref(), place.path("pid").as_os_str()])
        .args(["--workers", "2"])
        .output()
        .expect("util-linux is there")
}

#[track_caller]
fn assert_refused(place: &Place, output: &Output, reason: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with(&format!("nutcrab: {reason}")),
        "{stderr}"
    );
    assert_eq!(
        fs::read_to_string(place.path("log"))
            .unwrap()
            .matches(reason)
            .count(),
        1
    );
    assert!(!place.path("sock").exists() && !place.path("pid").exists());
}

#[test]
fn a_port_that_is_not_allowed_is_a_failed_start() {
    let place = Place::new();
    let yaml = pool("a", &place.path("sock").display().to_string());
    place.configure(&(yaml + &pool("bb", "127.0.0.1:1")));
    let output = run(&place, &["setpriv", "--bounding-set=-net_bind_service"]);
    let reason = "pool \"bb\": listening on \"127.0.0.1:1\" failed: Permission denied";
    assert_refused(&place, &output, reason);
}

#[test]
fn too_few_descriptors_are_a_failed_start() {
    let place = Place::new();
    place.configure(&pool("a", &place.path("sock").display().to_string()));
    for limit in [12, 35] {
        let output = run(&place, &["prlimit", &format!("--nofile={limit}:{limit}")]);
        // Two workers with a connection each, the listener, a client, and 32 for the rest.
        let reason =
            format!("too few open files are allowed: {limit}, and at least 36 are needed; raise");
        assert_refused(&place, &output, &reason);
    }
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_may() {
    let place = Place::new();
    let socket = place.path("sock");
    place.configure(&pool("a", &socket.display().to_string()));
    let mut arguments = vec!["--nofile=40:300".to_owned(), NUTCRAB.into()];
    arguments.extend(place.arguments(&Port::free()));
    arguments.extend(["--workers", "2"].map(str::to_owned));
    let mut process = Process::start("prlimit", &arguments, &place.path("out"));
    let address = Address::Unix(socket);
    process.wait_ready(|| Wire::try_connect(&address).is_ok());
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(words[3..5], ["300", "300"]);
    let mut crowd: Vec<Wire> = (0..60).map(|_| Wire::connect(&address)).collect();
    assert!(crowd.iter_mut().all(is_let_in));
}
