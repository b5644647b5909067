//! What a run leaves behind for people: `metrics.csv`, TensorBoard events, `curves.png`, curves of several runs,
//! and a progress display.

mod comparison;
mod curves;
mod events;
mod metrics;
mod panels;
mod progress;

pub use comparison::{Curve, draw as draw_comparison};
pub use curves::draw as draw_curves;
pub use events::EventWriter;
pub use metrics::{Metrics, Row};
pub use panels::{Panel, Series, draw as draw_panels};
pub use progress::Progress;
