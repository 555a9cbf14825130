//! memcached: the classic text protocol.
pub mod commands {
    #[derive(Debug)]
    pub struct Table;
    impl Table {
        pub fn standard() -> Self {
            Table
        }
    }
}
pub mod request {
    use crate::protocol::*;
    pub fn parse(_: &[u8], _: &mut RequestScan, _: &super::commands::Table, _: &Limits) -> Parse {
        Parse::More
    }
    pub fn keys(_: &[u8], _: &mut Vec<Span>) {}
}
pub mod reply {
    use crate::protocol::*;
    pub fn feed(_: &mut ReplyScan, _: &[u8]) -> Result<Fed, BadReply> {
        Err(BadReply::Kind)
    }
}
pub mod split {
    use crate::buffer::*;
    use crate::protocol::*;
    pub fn units(_: &[u8], _: &mut Vec<Unit>) {}
    pub fn fragment(_: &[u8], _: &[Unit], _: &mut Queue, _: &mut BufferPool) {}
    pub fn is_error(_: &[u8]) -> bool {
        false
    }
    pub fn join_values(
        _: &mut Join,
        _: &mut [FragmentReply],
        _: &[u16],
        _: &mut Queue,
        _: &mut BufferPool,
    ) -> Joined {
        Joined::Bad
    }
}
