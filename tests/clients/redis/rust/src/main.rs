//! The Rust clients of the matrix, each in its default settings.
//!
//! usage: rust-clients CLIENT PORT

use std::collections::HashMap;
use std::error::Error;

type Outcome = Result<(), Box<dyn Error>>;

fn redis_rs(port: u16) -> Outcome {
    use redis::Commands;
    // RESP2 is the default; RESP3 is asked for in the address.
    for (database, protocol) in [("", ""), ("2", "?protocol=resp3")] {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/{database}{protocol}"))?;
        let mut connection = client.get_connection()?;
        let _: () = connection.set("{redis-rs}s", "value")?;
        let value: String = connection.get("{redis-rs}s")?;
        assert_eq!(value, "value");
        let values: Vec<Option<String>> = connection.mget(&["{redis-rs}s", "missing"])?;
        assert_eq!(values, [Some("value".to_owned()), None]);
        let _: () = connection.hset("{redis-rs}h", "f", "1")?;
        let map: HashMap<String, String> = connection.hgetall("{redis-rs}h")?;
        assert_eq!(map.len(), 1);
        let deleted: i64 = connection.del(&["{redis-rs}s", "{redis-rs}h"])?;
        assert_eq!(deleted, 2);
    }
    Ok(())
}

async fn redis_rs_async(port: u16) -> Outcome {
    use redis::AsyncCommands;
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    for number in 1..100 {
        let count: i64 = connection.incr("{redis-rs-async}n", 1).await?;
        assert_eq!(count, number);
    }
    let _: () = connection.del("{redis-rs-async}n").await?;
    Ok(())
}

async fn fred(port: u16) -> Outcome {
    use fred::prelude::*;
    use fred::types::RespVersion;
    for version in [RespVersion::RESP2, RespVersion::RESP3] {
        let mut config = Config::from_url(&format!("redis://127.0.0.1:{port}"))?;
        config.version = version;
        let client = Builder::from_config(config).build()?;
        client.init().await?;
        let _: () = client.set("{fred}s", "value", None, None, false).await?;
        let value: String = client.get("{fred}s").await?;
        assert_eq!(value, "value");
        let _: () = client.hset("{fred}h", ("f", "1")).await?;
        let map: HashMap<String, String> = client.hgetall("{fred}h").await?;
        assert_eq!(map.len(), 1);
        let deleted: i64 = client.del(vec!["{fred}s", "{fred}h"]).await?;
        assert_eq!(deleted, 2);
        client.quit().await?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let words: Vec<String> = std::env::args().collect();
    let port = words[2].parse()?;
    match words[1].as_str() {
        "redis-rs" => {
            redis_rs(port)?;
            redis_rs_async(port).await
        }
        "fred" => fred(port).await,
        other => Err(format!("no client is called {other:?}").into()),
    }
}
