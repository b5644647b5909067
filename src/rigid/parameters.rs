//! Every number that a stage reads, as a recorded scalar.
//!
//! [`Parameters::constant`] makes all of them constants, which fold away. To randomize one, put a load from the world's
//! own numbers in its place ([`Parameters::number`]); what is derived from it is then computed once per launch, outside
//! of the substeps.

use crate::error::{Error, Result};
use crate::math::{Quat, Sym3, Vec3};
use crate::model::Model;
use crate::trace::{Carry, Slot, Var};

/// What a number of [`Parameters`] belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// The world as a whole.
    Global,
    /// A component of `qpos`.
    Position,
    /// A body.
    Body,
    /// A joint.
    Joint,
    /// A degree of freedom.
    Dof,
    /// A geom.
    Geom,
    /// An equality constraint.
    Equality,
    /// A site.
    Site,
    /// An actuator.
    Actuator,
}

/// Declares [`Parameters`]: every field with its type, the member of [`Model`] that holds its value, and what it
/// belongs to.
macro_rules! parameters {
    ($( $(#[$doc:meta])* $name:ident: $type:ty = $($path:ident).+, $element:ident; )*) => {
        /// The model's numbers, with [`Model`]'s names, shapes and units. As a [`Carry`] it visits all of them in this
        /// order.
        #[derive(Clone, Debug)]
        pub struct Parameters { $( $(#[$doc])* pub $name: $type, )* }

        impl Parameters {
            /// The fields by name, with what their rows belong to and how many components a row has.
            pub const FIELDS: &[(&str, Element, usize)] =
                &[$( (stringify!($name), Element::$element, <$type as Rows<Var>>::COMPONENTS), )*];

            /// The numbers of a model, all constant.
            pub fn constant(model: &Model) -> Self {
                Self { $( $name: Constant::constant(&model.$($path).+), )* }
            }

            /// One number of a field, to be replaced; none where the field, its row or its component does not exist.
            pub fn number(&mut self, field: &str, row: usize, component: usize) -> Option<&mut Var> {
                match field {
                    $( stringify!($name) => self.$name.number_mut(row, component), )*
                    _ => None,
                }
            }

            /// The value that a model has for [`Parameters::number`].
            pub fn value(model: &Model, field: &str, row: usize, component: usize) -> Option<f64> {
                match field {
                    $( stringify!($name) => model.$($path).+.number(row, component).copied(), )*
                    _ => None,
                }
            }

            /// Where a model holds [`Parameters::value`].
            pub(super) fn value_mut<'m>(
                model: &'m mut Model,
                field: &str,
                row: usize,
                component: usize,
            ) -> Option<&'m mut f64> {
                match field {
                    $( stringify!($name) => model.$($path).+.number_mut(row, component), )*
                    _ => None,
                }
            }
        }

        impl Carry for Parameters {
            fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
                $( self.$name.slots(visit); )*
            }
        }
    };
}

parameters! {
    /// Simulation time step, s.
    timestep: Var = opt.timestep, Global;
    /// Gravitational acceleration, m/s².
    gravity: Vec3 = opt.gravity, Global;
    /// Velocity of the medium, m/s.
    wind: Vec3 = opt.wind, Global;
    /// Density of the medium, kg/m³.
    density: Var = opt.density, Global;
    /// Viscosity of the medium, Pa·s.
    viscosity: Var = opt.viscosity, Global;

    /// `[nq]`
    qpos0: Vec<Var> = qpos0, Position;
    /// `[nq]`
    qpos_spring: Vec<Var> = qpos_spring, Position;

    /// `[nbody]`
    body_pos: Vec<Vec3> = body_pos, Body;
    /// `[nbody]` Of unit length.
    body_quat: Vec<Quat> = body_quat, Body;
    /// `[nbody]`
    body_ipos: Vec<Vec3> = body_ipos, Body;
    /// `[nbody]` Of unit length.
    body_iquat: Vec<Quat> = body_iquat, Body;
    /// `[nbody]`
    body_mass: Vec<Var> = body_mass, Body;
    /// `[nbody]`
    body_inertia: Vec<Vec3> = body_inertia, Body;
    /// `[nbody]`
    body_products: Vec<Vec3> = body_products, Body;
    /// `[nbody]`
    body_invweight0: Vec<[Var; 2]> = body_invweight0, Body;
    /// `[nbody]`
    body_gravcomp: Vec<Var> = body_gravcomp, Body;

    /// `[njnt]`
    jnt_pos: Vec<Vec3> = jnt_pos, Joint;
    /// `[njnt]` Of unit length.
    jnt_axis: Vec<Vec3> = jnt_axis, Joint;
    /// `[njnt]`
    jnt_stiffness: Vec<Var> = jnt_stiffness, Joint;
    /// `[njnt]`
    jnt_range: Vec<[Var; 2]> = jnt_range, Joint;
    /// `[njnt]`
    jnt_margin: Vec<Var> = jnt_margin, Joint;
    /// `[njnt]`
    jnt_solref: Vec<[Var; 2]> = jnt_solref, Joint;
    /// `[njnt]`
    jnt_solimp: Vec<[Var; 5]> = jnt_solimp, Joint;
    /// `[njnt]`
    jnt_actfrcrange: Vec<[Var; 2]> = jnt_actfrcrange, Joint;

    /// `[nv]`
    dof_armature: Vec<Var> = dof_armature, Dof;
    /// `[nv]`
    dof_damping: Vec<Var> = dof_damping, Dof;
    /// `[nv]`
    dof_frictionloss: Vec<Var> = dof_frictionloss, Dof;
    /// `[nv]`
    dof_solref: Vec<[Var; 2]> = dof_solref, Dof;
    /// `[nv]`
    dof_solimp: Vec<[Var; 5]> = dof_solimp, Dof;
    /// `[nv]`
    dof_invweight0: Vec<Var> = dof_invweight0, Dof;

    /// `[ngeom]`
    geom_size: Vec<Vec3> = geom_size, Geom;
    /// `[ngeom]`
    geom_pos: Vec<Vec3> = geom_pos, Geom;
    /// `[ngeom]` Of unit length.
    geom_quat: Vec<Quat> = geom_quat, Geom;
    /// `[ngeom]`
    geom_friction: Vec<[Var; 3]> = geom_friction, Geom;
    /// `[ngeom]`
    geom_margin: Vec<Var> = geom_margin, Geom;
    /// `[ngeom]`
    geom_gap: Vec<Var> = geom_gap, Geom;
    /// `[ngeom]`
    geom_solmix: Vec<Var> = geom_solmix, Geom;
    /// `[ngeom]`
    geom_solref: Vec<[Var; 2]> = geom_solref, Geom;
    /// `[ngeom]`
    geom_solimp: Vec<[Var; 5]> = geom_solimp, Geom;
    /// `[neq]`
    eq_solref: Vec<[Var; 2]> = eq_solref, Equality;
    /// `[neq]`
    eq_solimp: Vec<[Var; 5]> = eq_solimp, Equality;
    /// `[neq]`
    eq_data: Vec<[Var; 12]> = eq_data, Equality;
    /// `[nsite]`
    site_pos: Vec<Vec3> = site_pos, Site;
    /// `[nsite]` Of unit length.
    site_quat: Vec<Quat> = site_quat, Site;

    /// `[nu]`
    actuator_gear: Vec<[Var; 6]> = actuator_gear, Actuator;
    /// `[nu]`
    actuator_dynprm: Vec<[Var; 10]> = actuator_dynprm, Actuator;
    /// `[nu]`
    actuator_gainprm: Vec<[Var; 10]> = actuator_gainprm, Actuator;
    /// `[nu]`
    actuator_biasprm: Vec<[Var; 10]> = actuator_biasprm, Actuator;
    /// `[nu]`
    actuator_ctrlrange: Vec<[Var; 2]> = actuator_ctrlrange, Actuator;
    /// `[nu]`
    actuator_forcerange: Vec<[Var; 2]> = actuator_forcerange, Actuator;
    /// `[nu]`
    actuator_actrange: Vec<[Var; 2]> = actuator_actrange, Actuator;
}

/// The largest magnitude of a number of a model: its square is still far inside of the range of single precision.
const LARGEST: f64 = 1e15;

impl Parameters {
    /// Whether single precision can compute with a model's numbers.
    ///
    /// # Errors
    /// One of them is not finite, or beyond what leaves room for products.
    pub(super) fn check(model: &Model) -> Result<()> {
        for (field, _, components) in Self::FIELDS {
            let rows = (0..).take_while(|row| Self::value(model, field, *row, 0).is_some());
            for (row, component) in rows.flat_map(|row| (0..*components).map(move |c| (row, c))) {
                let value = Self::value(model, field, row, component).unwrap_or_default();
                if value.is_nan() || value.abs() > LARGEST {
                    let cause = Error::invalid(format!("{field}[{row}] is {value:e}"));
                    return Err(cause.hint(format!("numbers of a model are at most {LARGEST:e}")));
                }
            }
        }
        Ok(())
    }

    /// A body's rotational inertia about its centre of mass, in the frame `body_iquat`.
    pub fn central_inertia(&self, body: usize) -> Sym3 {
        let Vec3 {
            x: xy,
            y: xz,
            z: yz,
        } = self.body_products[body];
        Sym3 {
            diagonal: self.body_inertia[body],
            xy,
            xz,
            yz,
        }
    }
}

/// A recorded value that is the same in all worlds.
trait Constant<T: ?Sized> {
    fn constant(value: &T) -> Self;
}

impl Constant<f64> for Var {
    fn constant(value: &f64) -> Self {
        Var::from(*value)
    }
}

impl Constant<[f64; 3]> for Vec3 {
    fn constant(value: &[f64; 3]) -> Self {
        Vec3::constant(*value)
    }
}

impl Constant<[f64; 4]> for Quat {
    fn constant(value: &[f64; 4]) -> Self {
        Quat::constant(*value)
    }
}

impl<const N: usize> Constant<[f64; N]> for [Var; N] {
    fn constant(value: &[f64; N]) -> Self {
        value.map(Var::from)
    }
}

impl<T, R: Constant<T>> Constant<Vec<T>> for Vec<R> {
    fn constant(values: &Vec<T>) -> Self {
        values.iter().map(R::constant).collect()
    }
}

/// A field: rows of numbers. What belongs to the world as a whole has one row.
trait Rows<T> {
    /// Numbers in a row.
    const COMPONENTS: usize;
    fn number(&self, row: usize, component: usize) -> Option<&T>;
    fn number_mut(&mut self, row: usize, component: usize) -> Option<&mut T>;
}

/// The numbers of one row.
trait Row<T> {
    const COMPONENTS: usize;
    fn component(&self, index: usize) -> Option<&T>;
    fn component_mut(&mut self, index: usize) -> Option<&mut T>;
}

/// Implements [`Row`] for a type with these members.
macro_rules! row {
    ($type:ty, $number:ty: $($member:ident),* $(,)?) => {
        impl Row<$number> for $type {
            const COMPONENTS: usize = [$( stringify!($member) ),*].len();

            fn component(&self, index: usize) -> Option<&$number> {
                [$( &self.$member ),*].get(index).copied()
            }

            fn component_mut(&mut self, index: usize) -> Option<&mut $number> {
                [$( &mut self.$member ),*].into_iter().nth(index)
            }
        }
    };
}

row!(Vec3, Var: x, y, z);
row!(Quat, Var: w, x, y, z);

impl<T, const N: usize> Row<T> for [T; N] {
    const COMPONENTS: usize = N;

    fn component(&self, index: usize) -> Option<&T> {
        self.get(index)
    }

    fn component_mut(&mut self, index: usize) -> Option<&mut T> {
        self.get_mut(index)
    }
}

/// Implements [`Row`] for a row of one number, and [`Rows`] for fields of one row.
macro_rules! single {
    ($($number:ty),*; $($field:ty => $of:ty),*) => {
        $( impl Row<$number> for $number {
            const COMPONENTS: usize = 1;

            fn component(&self, index: usize) -> Option<&$number> {
                (index == 0).then_some(self)
            }

            fn component_mut(&mut self, index: usize) -> Option<&mut $number> {
                (index == 0).then_some(self)
            }
        } )*
        $( impl Rows<$of> for $field {
            const COMPONENTS: usize = <Self as Row<$of>>::COMPONENTS;

            fn number(&self, row: usize, component: usize) -> Option<&$of> {
                (row == 0).then(|| self.component(component))?
            }

            fn number_mut(&mut self, row: usize, component: usize) -> Option<&mut $of> {
                (row == 0).then(|| self.component_mut(component))?
            }
        } )*
    };
}

single!(Var, f64; Var => Var, Vec3 => Var, f64 => f64, [f64; 3] => f64);

impl<T, R: Row<T>> Rows<T> for Vec<R> {
    const COMPONENTS: usize = R::COMPONENTS;

    fn number(&self, row: usize, component: usize) -> Option<&T> {
        self.get(row)?.component(component)
    }

    fn number_mut(&mut self, row: usize, component: usize) -> Option<&mut T> {
        self.get_mut(row)?.component_mut(component)
    }
}
