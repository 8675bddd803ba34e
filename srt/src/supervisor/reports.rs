//! Who reports what the kernel denied, as the command line chose it.

use std::path::PathBuf;

/// Who may be asked for reports, in this order.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    /// The service's socket, where it seems to be there.
    pub service: Option<PathBuf>,
    /// A program of our own.
    pub own: bool,
    /// The broker was not asked to look at reading, because one of these does.
    pub wanted: bool,
    /// The command, for those who look on.
    pub command: String,
}
