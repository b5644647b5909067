//! What the user says: names, units and places in files, before anything is compiled.

mod kinds;
mod options;

pub use kinds::{
    Bias, Cone, Dynamics, Gain, Geom, Integrator, Jacobian, Joint, Object, Sensor, Solver,
    Transmission,
};
pub use options::{Flags, Options, Statistics};
