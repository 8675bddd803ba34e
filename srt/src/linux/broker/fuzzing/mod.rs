//! Fuzz targets: paths of callers, and what processes of ours send each other.

mod resolve;
mod wire;

pub(crate) use resolve::resolve;
pub(crate) use wire::wire;
