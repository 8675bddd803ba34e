//! Fuzz targets: names, addresses, patterns.

mod domains;
mod glob;

pub(crate) use domains::domains;
pub(crate) use glob::glob;
