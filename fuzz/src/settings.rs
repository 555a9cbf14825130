//! Configuration files: any bytes are read, or refused with lines that say where and why.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use nutcrab::config;
use nutcrab::proxy;

/// Knows addresses, and no names: nothing here may ask the network.
fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let ip: IpAddr = host.parse().map_err(io::Error::other)?;
    Ok((ip, port).into())
}

/// See [`super::configuration`].
pub fn check(bytes: &[u8]) {
    match config::from_bytes(Path::new("file.yml"), bytes, &resolve) {
        Ok(config) => {
            assert!(!config.pools.is_empty(), "nothing to do");
            for pool in &config.pools {
                assert!(!pool.servers.is_empty(), "a pool without servers");
                assert!(!pool.name.is_empty(), "a pool without a name");
                if pool.servers.len() <= 20 {
                    let router = proxy::router(pool, &vec![true; pool.servers.len()]);
                    let server = router.pick(b"key", 7).expect("all are live");
                    assert!(server.index() < pool.servers.len());
                }
            }
        }
        Err(mistakes) => {
            // What YAML 1.1 takes for the end of a line, some of it more than once.
            let ends = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
            let lines = String::from_utf8_lossy(bytes).split(ends).count();
            let mut count = 0;
            for mistake in &mistakes {
                let text = mistake.to_string();
                assert!(!text.is_empty(), "a mistake without words");
                let control = text.chars().find(|letter| letter.is_control());
                assert_eq!(control, None, "{text:?}");
                assert!(
                    mistake.line <= lines + 1,
                    "line {} of {lines}",
                    mistake.line
                );
                count += 1;
            }
            assert!(count > 0, "refused without a reason");
        }
    }
}
