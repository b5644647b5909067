//! The closed vocabularies of MJCF: joint, geom and actuator kinds, and the solver's choices.
//!
//! Each is MuJoCo's `mjt…` enumeration under a Rust name, with the keyword that MJCF gives it.

/// Declares an enumeration whose variants are MJCF keywords.
macro_rules! keywords {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $keyword:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every variant with its MJCF keyword.
            pub const KEYWORDS: &'static [(&'static str, Self)] = &[$(($keyword, Self::$variant),)+];

            /// The MJCF keyword.
            pub fn keyword(self) -> &'static str {
                match self { $(Self::$variant => $keyword,)+ }
            }
        }
    };
}

keywords! {
    /// What a joint lets its body do (`mjtJoint`).
    Joint {
        /// Position (3) and orientation quaternion (4) in the world; 6 degrees of freedom.
        Free = "free",
        /// Orientation quaternion (4) relative to the parent; 3 degrees of freedom.
        Ball = "ball",
        /// Distance along a body-fixed axis, m.
        Slide = "slide",
        /// Angle around a body-fixed axis, rad.
        Hinge = "hinge",
    }
}

impl Joint {
    /// How many numbers of `qpos` the joint takes.
    pub fn nq(self) -> usize {
        match self {
            Self::Free => 7,
            Self::Ball => 4,
            Self::Slide | Self::Hinge => 1,
        }
    }

    /// How many degrees of freedom (numbers of `qvel`) the joint takes.
    pub fn nv(self) -> usize {
        match self {
            Self::Free => 6,
            Self::Ball => 3,
            Self::Slide | Self::Hinge => 1,
        }
    }
}

keywords! {
    /// A geom's or a site's shape (`mjtGeom`), in MuJoCo's order.
    Geom {
        /// Infinite for collision; `size` is half X, half Y, grid spacing.
        Plane = "plane",
        /// `size[0]` is the radius.
        Sphere = "sphere",
        /// `size` is radius, half length of the cylinder part, along Z.
        Capsule = "capsule",
        /// `size` is the three radii.
        Ellipsoid = "ellipsoid",
        /// `size` is radius, half length, along Z.
        Cylinder = "cylinder",
        /// `size` is the three half lengths.
        Box = "box",
    }
}

keywords! {
    /// What an actuator acts on (`mjtTrn`).
    Transmission {
        /// A joint, its force expressed in the child's frame.
        Joint = "joint",
        /// A joint, its force expressed in the parent's frame (the world's for a free joint).
        JointInParent = "jointinparent",
    }
}

keywords! {
    /// An actuator's activation dynamics (`mjtDyn`); `u` is the control, `a` the activation.
    Dynamics {
        /// No activation.
        None = "none",
        /// `da/dt = u`.
        Integrator = "integrator",
        /// `da/dt = (u − a) / dynprm[0]`, Euler.
        Filter = "filter",
        /// `da/dt = (u − a) / dynprm[0]`, integrated exactly.
        FilterExact = "filterexact",
    }
}

keywords! {
    /// How an actuator's gain is formed (`mjtGain`).
    Gain {
        /// `gainprm[0]`.
        Fixed = "fixed",
        /// `gainprm[0] + gainprm[1] · length + gainprm[2] · velocity`.
        Affine = "affine",
    }
}

keywords! {
    /// How an actuator's bias force is formed (`mjtBias`).
    Bias {
        /// No bias.
        None = "none",
        /// `biasprm[0] + biasprm[1] · length + biasprm[2] · velocity`.
        Affine = "affine",
    }
}

keywords! {
    /// What an equality constraint holds together (`mjtEq`).
    Equality {
        /// Two bodies at a point: a ball joint outside the tree.
        Connect = "connect",
        /// Two bodies in a relative pose.
        Weld = "weld",
        /// A joint at a polynomial of another.
        Joint = "joint",
    }
}

keywords! {
    /// How time is advanced (`mjtIntegrator`).
    Integrator {
        /// Semi-implicit Euler, with joint damping implicit.
        Euler = "Euler",
        /// Fourth-order Runge–Kutta.
        Rk4 = "RK4",
        /// Implicit in velocity, with the Coriolis derivative.
        Implicit = "implicit",
        /// Implicit in velocity, without the Coriolis derivative.
        ImplicitFast = "implicitfast",
    }
}

keywords! {
    /// The friction cone (`mjtCone`).
    Cone {
        /// Linearized.
        Pyramidal = "pyramidal",
        /// Quadratic.
        Elliptic = "elliptic",
    }
}

keywords! {
    /// MuJoCo's choice of Jacobian storage (`mjtJacobian`); kept, without effect here.
    Jacobian {
        /// Dense.
        Dense = "dense",
        /// Sparse.
        Sparse = "sparse",
        /// Dense for small models.
        Auto = "auto",
    }
}

keywords! {
    /// MuJoCo's constraint solver (`mjtSolver`); the problem is convex, so all agree.
    Solver {
        /// Projected Gauss–Seidel.
        Pgs = "PGS",
        /// Conjugate gradients.
        Cg = "CG",
        /// Newton.
        Newton = "Newton",
    }
}

keywords! {
    /// What a sensor measures (`mjtSensor`); the keyword is its MJCF element.
    Sensor {
        /// Sum of normal contact forces inside a site's volume.
        Touch = "touch",
        /// Linear acceleration of a site, its own frame, gravity included.
        Accelerometer = "accelerometer",
        /// Linear velocity of a site, its own frame.
        Velocimeter = "velocimeter",
        /// Angular velocity of a site, its own frame.
        Gyro = "gyro",
        /// Force between a site's body and its parent, the site's frame.
        Force = "force",
        /// Torque between a site's body and its parent, the site's frame.
        Torque = "torque",
        /// Magnetic flux at a site, its own frame.
        Magnetometer = "magnetometer",
        /// Position of a scalar joint.
        JointPos = "jointpos",
        /// Velocity of a scalar joint.
        JointVel = "jointvel",
        /// Length of an actuator.
        ActuatorPos = "actuatorpos",
        /// Velocity of an actuator.
        ActuatorVel = "actuatorvel",
        /// Force of an actuator.
        ActuatorFrc = "actuatorfrc",
        /// Force of all actuators on a scalar joint.
        JointActuatorFrc = "jointactuatorfrc",
        /// Quaternion of a ball joint.
        BallQuat = "ballquat",
        /// Angular velocity of a ball joint.
        BallAngVel = "ballangvel",
        /// Distance of a joint to its limit, less the margin.
        JointLimitPos = "jointlimitpos",
        /// Velocity of a joint's limit.
        JointLimitVel = "jointlimitvel",
        /// Constraint force of a joint's limit.
        JointLimitFrc = "jointlimitfrc",
        /// Position of a frame.
        FramePos = "framepos",
        /// Orientation of a frame.
        FrameQuat = "framequat",
        /// X axis of a frame.
        FrameXAxis = "framexaxis",
        /// Y axis of a frame.
        FrameYAxis = "frameyaxis",
        /// Z axis of a frame.
        FrameZAxis = "framezaxis",
        /// Linear velocity of a frame.
        FrameLinVel = "framelinvel",
        /// Angular velocity of a frame.
        FrameAngVel = "frameangvel",
        /// Linear acceleration of a frame.
        FrameLinAcc = "framelinacc",
        /// Angular acceleration of a frame.
        FrameAngAcc = "frameangacc",
        /// Centre of mass of a body's subtree.
        SubtreeCom = "subtreecom",
        /// Velocity of the centre of mass of a body's subtree.
        SubtreeLinVel = "subtreelinvel",
        /// Angular momentum of a body's subtree about its centre of mass.
        SubtreeAngMom = "subtreeangmom",
        /// Potential energy.
        EnergyPotential = "e_potential",
        /// Kinetic energy.
        EnergyKinetic = "e_kinetic",
        /// Simulation time.
        Clock = "clock",
    }
}

keywords! {
    /// What a sensor is attached to (`mjtObj`, in part).
    Object {
        /// A body's inertial frame.
        Body = "body",
        /// A body's own frame.
        XBody = "xbody",
        /// A joint.
        Joint = "joint",
        /// A geom's frame.
        Geom = "geom",
        /// A site's frame.
        Site = "site",
        /// A camera's frame.
        Camera = "camera",
        /// An actuator.
        Actuator = "actuator",
    }
}

keywords! {
    /// How a camera or a light follows its body (`mjtCamLight`).
    Tracking {
        /// Fixed to the body.
        Fixed = "fixed",
        /// The position follows, the orientation stays.
        Track = "track",
        /// The position follows the subtree's centre of mass, the orientation stays.
        TrackCom = "trackcom",
        /// Fixed to the body, turned towards a target body.
        TargetBody = "targetbody",
        /// Fixed to the body, turned towards a target's centre of mass.
        TargetBodyCom = "targetbodycom",
    }
}
