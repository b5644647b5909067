//! Masses and inertias of bodies that are made of geoms whose sizes or places differ between worlds.
//!
//! The same formulas as `model/` has for numbers, for solid shapes.

use std::f64::consts::PI;

use crate::math::{Inertia, Sym3, Vec3};
use crate::model::{Geom, GeomMass, Model};
use crate::rigid::Parameters;
use crate::trace::Var;

/// The geoms that a body's mass comes from; none where the model gives mass and inertia otherwise.
pub(super) fn sources(model: &Model, body: usize) -> Vec<usize> {
    let geoms = model.body_geoms(body);
    geoms
        .filter(|&geom| model.geom_mass[geom] != GeomMass::None)
        .collect()
}

/// Computes mass, centre of mass and inertia of the bodies some of whose geoms are not as in `base`.
pub(super) fn compose(model: &Model, base: &Parameters, numbers: &mut Parameters) {
    for body in 1..model.nbody {
        let sources = sources(model, body);
        let parts = |numbers: &Parameters, geom: usize| -> Vec<Var> {
            let size = numbers.geom_size[geom].to_array();
            let pos = numbers.geom_pos[geom].to_array();
            let quat = numbers.geom_quat[geom].to_array();
            size.into_iter().chain(pos).chain(quat).collect()
        };
        let changed = |geom: &usize| {
            let before = parts(base, *geom);
            parts(numbers, *geom)
                .iter()
                .zip(&before)
                .any(|(now, before)| !now.same(*before))
        };
        if !sources.iter().any(changed) {
            continue;
        }
        // What settotalmass and the like made of the masses.
        let before = sources
            .iter()
            .map(|&geom| mass(model, geom, base.geom_size[geom]));
        let factor = base.body_mass[body] / before.sum::<Var>();
        let is_one = |factor: f64| (factor - 1.0).abs() < 1e-12;
        let factor = if factor.as_constant().is_some_and(is_one) {
            Var::ONE
        } else {
            factor
        };
        if let [geom] = sources[..] {
            let mass = mass(model, geom, numbers.geom_size[geom]) * factor;
            numbers.body_mass[body] = mass;
            numbers.body_ipos[body] = numbers.geom_pos[geom];
            numbers.body_iquat[body] = numbers.geom_quat[geom];
            numbers.body_inertia[body] =
                moments(model.geom_type[geom], numbers.geom_size[geom]) * mass;
            continue;
        }
        let total = sources.iter().fold(Inertia::zero(), |sum, &geom| {
            let mass = mass(model, geom, numbers.geom_size[geom]) * factor;
            let own = moments(model.geom_type[geom], numbers.geom_size[geom]) * mass;
            let central = Sym3::rotated_diagonal(numbers.geom_quat[geom].to_mat(), own);
            sum + Inertia::new(mass, numbers.geom_pos[geom], central)
        });
        let (com, central) = total.central();
        // Along the model's principal axes, which need not be those of this world.
        let Sym3 {
            diagonal,
            xy,
            xz,
            yz,
        } = central.rotated(numbers.body_iquat[body].to_mat().transpose());
        numbers.body_mass[body] = total.mass;
        numbers.body_ipos[body] = com;
        numbers.body_inertia[body] = diagonal;
        numbers.body_products[body] = Vec3 {
            x: xy,
            y: xz,
            z: yz,
        };
    }
}

/// The mass of a geom of some size.
fn mass(model: &Model, geom: usize, Vec3 { x: a, y: b, z: c }: Vec3) -> Var {
    match model.geom_mass[geom] {
        GeomMass::None => Var::ZERO,
        GeomMass::Fixed(mass) => mass.into(),
        GeomMass::Density(density) => {
            let volume = match model.geom_type[geom] {
                Geom::Plane => Var::ZERO,
                Geom::Sphere => 4.0 * PI / 3.0 * a * a * a,
                Geom::Capsule => PI * a * a * (2.0 * b + 4.0 / 3.0 * a),
                Geom::Cylinder => 2.0 * PI * a * a * b,
                Geom::Ellipsoid => 4.0 * PI / 3.0 * a * b * c,
                Geom::Box => 8.0 * a * b * c,
            };
            density * volume
        }
    }
}

/// Principal moments of a solid shape of mass 1 along its own axes, m².
fn moments(shape: Geom, Vec3 { x: a, y: b, z: c }: Vec3) -> Vec3 {
    let across = |k: f64, x: Var, y: Var| (x.square() + y.square()) * k;
    match shape {
        Geom::Plane => Vec3::ZERO,
        Geom::Sphere => {
            let moment = 0.4 * a.square();
            Vec3::new(moment, moment, moment)
        }
        Geom::Capsule => {
            // A cylinder and two half spheres, each with its share of the mass by volume, see `model/inertia.rs`.
            let (r, h) = (a, 2.0 * b);
            let caps = 4.0 * r / (4.0 * r + 3.0 * h);
            let tube = 1.0 - caps;
            let ball = 0.4 * caps * r * r;
            let side =
                tube * (3.0 * r * r + h * h) / 12.0 + ball + caps * h * (3.0 * r + 2.0 * h) / 8.0;
            Vec3::new(side, side, 0.5 * tube * r * r + ball)
        }
        Geom::Cylinder => {
            let side = (3.0 * a.square() + 4.0 * b.square()) / 12.0;
            Vec3::new(side, side, 0.5 * a.square())
        }
        Geom::Ellipsoid => Vec3::new(across(0.2, b, c), across(0.2, a, c), across(0.2, a, b)),
        Geom::Box => {
            let third = 1.0 / 3.0;
            Vec3::new(
                across(third, b, c),
                across(third, a, c),
                across(third, a, b),
            )
        }
    }
}
