//! What a run leaves behind for people: `metrics.csv`, TensorBoard events, `curves.png`, and a progress display.

mod curves;
mod events;
mod metrics;
mod progress;

pub use curves::draw as draw_curves;
pub use events::EventWriter;
pub use metrics::{Metrics, Row};
pub use progress::Progress;
