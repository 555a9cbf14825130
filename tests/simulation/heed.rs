//! What the proxy tells operators: it must have a reason.

use nutcrab::proxy::{Cause, Notice, PoolIndex, What};

use crate::ledger::Fault;
use crate::scene::Scene;

/// Enters what a worker tells into the book.
pub fn heed(scene: &mut Scene, worker: usize, notice: &Notice) {
    let (now, pool) = (scene.now, notice.pool.index());
    let text = notice.what.to_string();
    scene
        .ledger
        .note(now, || format!("worker {worker}: {text}"));
    let kind = text.split([',', ';']).next().unwrap_or_default();
    let notices = &mut scene.ledger.totals.notices;
    *notices.entry(kind.to_owned()).or_default() += 1;
    if let What::LinkClosed {
        cause: Cause::NoMemory,
        ..
    } = notice.what
    {
        scene.ledger.yielded(now, pool);
    }
    let reasons: &[Fault] = match notice.what {
        What::LinkClosed { .. }
        | What::SlowClient
        | What::ShedClient { .. }
        | What::StalledRequest => return scene.ledger.tell(now, pool),
        What::Unjoinable => &[Fault::Misfit, Fault::Foreign, Fault::Garbage],
        What::BadReply(_) => &[Fault::Garbage, Fault::Foreign],
        What::Surplus => &[Fault::Surplus, Fault::Early, Fault::Garbage],
        _ => return,
    };
    if !scene.ledger.is_explained(now, pool, reasons) {
        scene
            .ledger
            .violate(now, format!("nothing explains: {text}"));
    }
}

/// Enters a failure of a server into the book: what sound servers say is none.
pub fn blame(scene: &mut Scene, pool: PoolIndex, text: &str) {
    let (now, pool) = (scene.now, pool.index());
    let is_explained = |faults: &[Fault]| scene.ledger.is_explained(now, pool, faults);
    let servers = Fault::OF_SERVERS;
    // A server that is busy greets a connection that needs no SELECT.
    let greets =
        |fault: &Fault| *fault == Fault::Busy && scene.plan.pools[pool].config.redis_db == 0;
    let faults: Vec<Fault> = servers.into_iter().filter(|fault| !greets(fault)).collect();
    if !is_explained(&faults) && !is_explained(&[Fault::Overload]) {
        scene
            .ledger
            .violate(now, format!("no failure of a server: {text}"));
    }
}
