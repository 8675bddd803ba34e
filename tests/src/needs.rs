//! What tests are about, where it is a layer that some hosts lack: there they are counted skips.

use crate::layers::Layer;

/// The beginning of a test's name, and the layer.
const NEEDS: &[(&str, Layer)] = &[("broker_", Layer::Broker)];

/// The layer that the running test is about and this host lacks.
pub(crate) fn missing(test: &str) -> Option<Layer> {
    let mut rows = NEEDS.iter().filter(|(name, _)| test.starts_with(name));
    rows.find(|(_, layer)| layer.is_missing()).map(|(_, layer)| *layer)
}
