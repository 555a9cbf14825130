//! Which server of a pool a key lives on.

/// How keys are spread over the servers of a pool, named as in the `distribution` key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// A ring of weighted points, as libketama.
    Ketama,
    /// Hash modulo the sum of weights.
    Modula,
    /// A fresh draw for each request.
    Random,
}
