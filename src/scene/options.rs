//! Simulation options and model statistics: MJCF's `<option>`, `<flag>` and `<statistic>`.

use super::kinds::{Cone, Integrator, Jacobian, Solver};

/// `mjOption`: physics constants and the integrator's and solver's settings. SI units.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Simulation time step, s.
    pub timestep: f64,
    /// Ratio of frictional to normal constraint impedance.
    pub impratio: f64,
    /// Main solver tolerance.
    pub tolerance: f64,
    /// Line search tolerance.
    pub ls_tolerance: f64,
    /// Noslip solver tolerance.
    pub noslip_tolerance: f64,
    /// Convex collision tolerance.
    pub ccd_tolerance: f64,
    /// Velocity below which a tree may sleep.
    pub sleep_tolerance: f64,
    /// Gravitational acceleration, m/s².
    pub gravity: [f64; 3],
    /// Velocity of the medium, m/s.
    pub wind: [f64; 3],
    /// Global magnetic flux.
    pub magnetic: [f64; 3],
    /// Density of the medium, kg/m³; 0 disables lift and drag.
    pub density: f64,
    /// Viscosity of the medium, Pa·s; 0 disables it.
    pub viscosity: f64,
    /// Contact margin when `flags.override_contacts` is set.
    pub o_margin: f64,
    /// Contact reference when `flags.override_contacts` is set.
    pub o_solref: [f64; 2],
    /// Contact impedance when `flags.override_contacts` is set.
    pub o_solimp: [f64; 5],
    /// Contact friction when `flags.override_contacts` is set.
    pub o_friction: [f64; 5],
    /// How time is advanced.
    pub integrator: Integrator,
    /// The friction cone.
    pub cone: Cone,
    /// Jacobian storage; no effect here.
    pub jacobian: Jacobian,
    /// MuJoCo's solver; no effect on the solution.
    pub solver: Solver,
    /// Largest number of solver iterations.
    pub iterations: usize,
    /// Largest number of line search iterations.
    pub ls_iterations: usize,
    /// Largest number of noslip iterations.
    pub noslip_iterations: usize,
    /// Largest number of convex collision iterations.
    pub ccd_iterations: usize,
    /// Starting points of signed-distance collision.
    pub sdf_initpoints: usize,
    /// Iterations of signed-distance collision.
    pub sdf_iterations: usize,
    /// Actuator groups that are switched off: bit `i` is group `i`.
    pub disableactuator: u32,
    /// Features switched on and off.
    pub flags: Flags,
}

impl Default for Options {
    /// MuJoCo's defaults (`mj_defaultOption`).
    fn default() -> Self {
        Self {
            timestep: 0.002,
            impratio: 1.0,
            tolerance: 1e-8,
            ls_tolerance: 0.01,
            noslip_tolerance: 1e-6,
            ccd_tolerance: 1e-6,
            sleep_tolerance: 1e-3,
            gravity: [0.0, 0.0, -9.81],
            wind: [0.0; 3],
            magnetic: [0.0, -0.5, 0.0],
            density: 0.0,
            viscosity: 0.0,
            o_margin: 0.0,
            o_solref: [0.02, 1.0],
            o_solimp: [0.9, 0.95, 0.001, 0.5, 2.0],
            o_friction: [1.0, 1.0, 0.005, 0.0001, 0.0001],
            integrator: Integrator::Euler,
            cone: Cone::Pyramidal,
            jacobian: Jacobian::Auto,
            solver: Solver::Newton,
            iterations: 100,
            ls_iterations: 50,
            noslip_iterations: 0,
            ccd_iterations: 35,
            sdf_initpoints: 40,
            sdf_iterations: 10,
            disableactuator: 0,
            flags: Flags::default(),
        }
    }
}

/// Declares [`Flags`] with MJCF's keyword, MuJoCo's bit and default of every flag.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $keyword:literal, $default:literal, $word:ident $bit:literal;)+) => {
        /// `<flag>`: features by name, `true` where enabled (`mjtDisableBit`, `mjtEnableBit`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Flags { $($(#[$doc])* pub $name: bool,)+ }

        impl Default for Flags {
            /// MuJoCo's defaults.
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Flags {
            /// Every flag's MJCF keyword.
            pub const KEYWORDS: &'static [&'static str] = &[$($keyword,)+];

            /// The flag with an MJCF keyword.
            pub fn by_keyword(&mut self, keyword: &str) -> Option<&mut bool> {
                match keyword {
                    $($keyword => Some(&mut self.$name),)+
                    _ => None,
                }
            }

            /// MuJoCo's `disableflags` and `enableflags`.
            pub fn to_bits(&self) -> (u32, u32) {
                let (mut disable, mut enable) = (0u32, 0u32);
                $(flags!(@bit $word, self.$name, $bit, disable, enable);)+
                (disable, enable)
            }
        }
    };
    (@bit disable, $on:expr, $bit:literal, $disable:ident, $enable:ident) => {
        if !$on { $disable |= 1 << $bit; }
    };
    (@bit enable, $on:expr, $bit:literal, $disable:ident, $enable:ident) => {
        if $on { $enable |= 1 << $bit; }
    };
}

flags! {
    /// The whole constraint solver.
    constraint = "constraint", true, disable 0;
    /// Equality constraints.
    equality = "equality", true, disable 1;
    /// Joint and tendon friction loss.
    frictionloss = "frictionloss", true, disable 2;
    /// Joint and tendon limits.
    limit = "limit", true, disable 3;
    /// Contacts.
    contact = "contact", true, disable 4;
    /// Passive springs.
    spring = "spring", true, disable 5;
    /// Passive dampers.
    damper = "damper", true, disable 6;
    /// Gravity.
    gravity = "gravity", true, disable 7;
    /// Clamping of controls to their range.
    clampctrl = "clampctrl", true, disable 8;
    /// Warm start of the solver.
    warmstart = "warmstart", true, disable 9;
    /// No collision between parent and child.
    filterparent = "filterparent", true, disable 10;
    /// Actuation.
    actuation = "actuation", true, disable 11;
    /// `solref[0]` kept at or above twice the time step.
    refsafe = "refsafe", true, disable 12;
    /// Sensors.
    sensor = "sensor", true, disable 13;
    /// Mid-phase collision filtering; no effect here.
    midphase = "midphase", true, disable 14;
    /// Implicit joint damping in the Euler integrator.
    eulerdamp = "eulerdamp", true, disable 15;
    /// MuJoCo's reset on bad numbers; here a world is quarantined instead.
    autoreset = "autoreset", true, disable 16;
    /// MuJoCo's native convex collision; no effect here.
    nativeccd = "nativeccd", true, disable 17;
    /// Constraint islands; no effect here.
    island = "island", true, disable 18;
    /// Several contact points per convex pair.
    multiccd = "multiccd", true, disable 19;
    /// The `o_…` contact parameters replace every contact's.
    override_contacts = "override", false, enable 0;
    /// Energy computation.
    energy = "energy", false, enable 1;
    /// Solver statistics.
    fwdinv = "fwdinv", false, enable 2;
    /// Discrete-time inverse dynamics.
    invdiscrete = "invdiscrete", false, enable 3;
    /// Sleeping.
    sleep = "sleep", false, enable 4;
    /// Exact diagonal of the constraint inertia.
    diagexact = "diagexact", false, enable 5;
    /// IPC contact of the discrete integrator; not supported.
    ipc = "ipc", false, enable 6;
}

/// `mjStatistic`: sizes of a model at `qpos0`, used for scaling.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Mean of the diagonal of the joint-space inertia.
    pub meaninertia: f64,
    /// Mean mass of the moving bodies, kg.
    pub meanmass: f64,
    /// Mean size of the bodies, m.
    pub meansize: f64,
    /// Spatial extent, m.
    pub extent: f64,
    /// Centre of the model, m.
    pub center: [f64; 3],
}
