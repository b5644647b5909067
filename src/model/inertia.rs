//! Masses and inertias: of geoms from their shapes, and of bodies from their geoms.

use std::f64::consts::PI;

use super::GeomMass;
use crate::error::{Error, Result};
use crate::scene::kinds::Geom as Shape;
use crate::scene::pose::{self, EPS, Pose, UNIT};
use crate::scene::{Body, Compiler, Geom, Inertia, Limited};

/// A mass with its principal moments (kg·m²) about the centre of mass, placed in a body's frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lump {
    pub(super) pose: Pose,
    pub(super) mass: f64,
    pub(super) moments: [f64; 3],
}

/// A symmetric matrix: xx, yy, zz, xy, xz, yz.
type Symmetric = [f64; 6];

/// The mass and inertia of a body: its own if it gives them, else its geoms'.
///
/// # Errors
/// A negative or unphysical mass or inertia, located at the body or the geom.
pub(super) fn of_body(body: &Body, compiler: &Compiler) -> Result<Lump> {
    let placed = |error| super::locate(&body.place, "body", &body.name, error);
    let from_geoms = match compiler.inertiafromgeom {
        Limited::True => true,
        Limited::False => false,
        Limited::Auto => body.inertial.is_none(),
    };
    let own = own(body).map_err(placed)?;
    let lump = if from_geoms {
        sum_of_geoms(body, compiler)?.unwrap_or(own)
    } else {
        own
    };
    bounded(lump, compiler).map_err(placed)
}

/// What each geom of a body adds to its mass: nothing where the body's lump is not simply the sum of solid geoms.
pub(super) fn contributions(body: &Body, compiler: &Compiler, lump: &Lump) -> Vec<GeomMass> {
    let nothing = vec![GeomMass::None; body.geoms.len()];
    let from_geoms = match compiler.inertiafromgeom {
        Limited::True => true,
        Limited::False => false,
        Limited::Auto => body.inertial.is_none(),
    };
    match sum_of_geoms(body, compiler) {
        Ok(Some(sum)) if from_geoms && sum == *lump => {}
        _ => return nothing,
    }
    let [first, last] = compiler.inertiagrouprange;
    let of = |geom: &Geom| -> Option<GeomMass> {
        let counts =
            (first..=last).contains(&geom.group) && of_geom(geom).is_ok_and(|lump| lump.mass > EPS);
        match (counts, geom.mass) {
            (false, _) => Some(GeomMass::None),
            (true, _) if geom.shellinertia => None,
            (true, Some(mass)) => Some(GeomMass::Fixed(mass)),
            (true, None) => Some(GeomMass::Density(geom.density)),
        }
    };
    let all: Option<Vec<GeomMass>> = body.geoms.iter().map(of).collect();
    all.unwrap_or(nothing)
}

/// What a body says of its own mass and inertia.
fn own(body: &Body) -> Result<Lump> {
    let Some(inertial) = &body.inertial else {
        // MuJoCo's compiler puts the inertial frame of an empty body at the body's own placement.
        return Ok(Lump {
            pose: body.pose,
            mass: 0.0,
            moments: [0.0; 3],
        });
    };
    let (quat, moments) = match inertial.inertia {
        Inertia::Diagonal(moments) => (inertial.pose.quat, moments),
        Inertia::Full(full) => principal(full)
            .ok_or_else(|| Error::invalid("fullinertia must have positive eigenvalues"))?,
    };
    if inertial.mass < 0.0 || moments.iter().any(|&moment| moment < 0.0) {
        return Err(Error::invalid("mass and inertia cannot be negative"));
    }
    let mut pose = Pose {
        pos: inertial.pose.pos,
        quat,
    };
    pose::normalize(&mut pose.quat);
    Ok(Lump {
        pose,
        mass: inertial.mass,
        moments,
    })
}

/// Applies the compiler's lower bounds, and refuses or balances an unphysical inertia.
fn bounded(mut lump: Lump, compiler: &Compiler) -> Result<Lump> {
    lump.mass = lump.mass.max(compiler.boundmass);
    lump.moments = lump.moments.map(|moment| moment.max(compiler.boundinertia));
    let [a, b, c] = lump.moments;
    if a + b < c || a + c < b || b + c < a {
        if !compiler.balanceinertia {
            let cause = format!(
                "inertia {a} {b} {c} is unphysical: each must not exceed the sum of the others"
            );
            return Err(
                Error::invalid(cause).hint("set balanceinertia in <compiler> to make it round")
            );
        }
        lump.moments = [(a + b + c) / 3.0; 3];
    }
    Ok(lump)
}

/// The sum of a body's geoms; none if none of them has mass.
fn sum_of_geoms(body: &Body, compiler: &Compiler) -> Result<Option<Lump>> {
    let [first, last] = compiler.inertiagrouprange;
    let mut lumps = Vec::new();
    for geom in body
        .geoms
        .iter()
        .filter(|geom| (first..=last).contains(&geom.group))
    {
        let lump =
            of_geom(geom).map_err(|error| super::locate(&geom.place, "geom", &geom.name, error))?;
        lumps.extend((lump.mass > EPS).then_some(lump));
    }
    match lumps.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        many => sum(many)
            .map(Some)
            .map_err(|error| super::locate(&body.place, "body", &body.name, error)),
    }
}

/// The mass, centre and principal axes of several lumps in one frame.
pub(super) fn sum(lumps: &[Lump]) -> Result<Lump> {
    let mass: f64 = lumps.iter().map(|lump| lump.mass).sum();
    let mut center = [0.0; 3];
    for lump in lumps {
        center = pose::add(center, pose::scale(lump.pose.pos, lump.mass));
    }
    center = center.map(|x| x / mass);
    let mut total = [0.0; 6];
    for lump in lumps {
        let turned = rotated(lump.moments, lump.pose.quat);
        let moved = of_point(lump.mass, pose::sub(lump.pose.pos, center));
        for (k, entry) in total.iter_mut().enumerate() {
            *entry += turned[k] + moved[k];
        }
    }
    let (quat, moments) = principal(total)
        .ok_or_else(|| Error::invalid("the inertia of the geoms is not positive"))?;
    Ok(Lump {
        pose: Pose { pos: center, quat },
        mass,
        moments,
    })
}

/// A geom's mass and principal moments; massless geoms have none.
fn of_geom(geom: &Geom) -> Result<Lump> {
    let volume = measure(geom);
    let mass = match geom.mass {
        Some(mass) if mass == 0.0 || volume > EPS => mass,
        Some(_) => 0.0,
        None if geom.density == 0.0 => 0.0,
        None => geom.density * volume,
    };
    let moments = if mass == 0.0 {
        [0.0; 3]
    } else {
        moments(geom, mass)
    };
    if mass < 0.0 || geom.density < 0.0 || moments.iter().any(|&moment| moment < 0.0) {
        return Err(Error::invalid(
            "mass, density and inertia cannot be negative",
        ));
    }
    Ok(Lump {
        pose: geom.pose,
        mass,
        moments,
    })
}

/// A geom's volume, m³, or its surface, m², for a shell; 0 for planes.
fn measure(geom: &Geom) -> f64 {
    let [a, b, c] = geom.size;
    match (geom.kind, geom.shellinertia) {
        (Shape::Plane, _) => 0.0,
        (Shape::Sphere, false) => 4.0 * PI * a * a * a / 3.0,
        (Shape::Sphere, true) => 4.0 * PI * a * a,
        (Shape::Capsule, false) => PI * (a * a * 2.0 * b + 4.0 * a * a * a / 3.0),
        (Shape::Capsule, true) => 4.0 * PI * a * a + 4.0 * PI * a * b,
        (Shape::Cylinder, false) => PI * a * a * 2.0 * b,
        (Shape::Cylinder, true) => 2.0 * PI * a * a + 4.0 * PI * a * b,
        (Shape::Ellipsoid, false) => 4.0 * PI * a * b * c / 3.0,
        (Shape::Ellipsoid, true) => {
            // Knud Thomsen's approximation, as in MuJoCo.
            const P: f64 = 1.6075;
            let mean = ((a * b).powf(P) + (b * c).powf(P) + (c * a).powf(P)) / 3.0;
            4.0 * PI * mean.powf(1.0 / P)
        }
        (Shape::Box, false) => 8.0 * a * b * c,
        (Shape::Box, true) => 8.0 * (a * b + b * c + c * a),
    }
}

/// Principal moments of a geom of some mass, kg·m², about its own axes.
fn moments(geom: &Geom, mass: f64) -> [f64; 3] {
    let [a, b, c] = geom.size;
    match (geom.kind, geom.shellinertia) {
        (Shape::Plane, _) => [0.0; 3],
        (Shape::Sphere, shell) => [2.0 * mass * a * a / if shell { 3.0 } else { 5.0 }; 3],
        (Shape::Capsule, shell) => capsule(mass, a, b, shell),
        (Shape::Cylinder, false) => {
            let across = mass * (3.0 * a * a + 4.0 * b * b) / 12.0;
            [across, across, mass * a * a / 2.0]
        }
        (Shape::Cylinder, true) => {
            let disk = mass * a / (2.0 * a + 4.0 * b);
            let tube = mass - 2.0 * disk;
            let across =
                tube * (6.0 * a * a + 4.0 * b * b) / 12.0 + 2.0 * disk * (a * a / 4.0 + b * b);
            [across, across, tube * a * a + disk * a * a]
        }
        (Shape::Ellipsoid, false) => solid_ellipsoid(mass, geom.size),
        (Shape::Ellipsoid, true) => {
            // The difference of two solid ellipsoids whose radii differ by a micrometre, as in MuJoCo.
            let outer = geom.size.map(|radius| radius + 1e-6);
            let volume = |[a, b, c]: [f64; 3]| 4.0 * PI * a * b * c / 3.0;
            let density = mass / (volume(outer) - volume(geom.size));
            let inside = solid_ellipsoid(volume(geom.size) * density, geom.size);
            let whole = solid_ellipsoid(volume(outer) * density, outer);
            std::array::from_fn(|i| whole[i] - inside[i])
        }
        (Shape::Box, false) => [
            mass * (b * b + c * c) / 3.0,
            mass * (a * a + c * c) / 3.0,
            mass * (a * a + b * b) / 3.0,
        ],
        (Shape::Box, true) => hollow_box(mass, [a, b, c]),
    }
}

fn solid_ellipsoid(mass: f64, [a, b, c]: [f64; 3]) -> [f64; 3] {
    [
        mass * (b * b + c * c) / 5.0,
        mass * (a * a + c * c) / 5.0,
        mass * (a * a + b * b) / 5.0,
    ]
}

/// A cylinder and two half spheres, each with its share of the mass by volume or surface.
fn capsule(mass: f64, radius: f64, half: f64, shell: bool) -> [f64; 3] {
    let (r, h) = (radius, 2.0 * half);
    if shell {
        let caps = mass * 2.0 * r / (2.0 * r + h);
        let tube = mass - caps;
        // A hollow hemisphere's centre of mass is half a radius above its rim.
        let ball = 2.0 * caps * r * r / 3.0;
        let offset = (half + r / 2.0).powi(2) - (r / 2.0).powi(2);
        let across = tube * (6.0 * r * r + h * h) / 12.0 + ball + caps * offset;
        [across, across, tube * r * r + ball]
    } else {
        let caps = mass * 4.0 * r / (4.0 * r + 3.0 * h);
        let tube = mass - caps;
        // A solid hemisphere's centre of mass is 3/8 of the radius above its rim, so that moving
        // two of them apart by h adds m ((h/2 + 3r/8)² − (3r/8)²) = m h (3r + 2h) / 8.
        let ball = 2.0 * caps * r * r / 5.0;
        let across =
            tube * (3.0 * r * r + h * h) / 12.0 + ball + caps * h * (3.0 * r + 2.0 * h) / 8.0;
        [across, across, tube * r * r / 2.0 + ball]
    }
}

/// Six plates, each with its share of the mass by surface.
fn hollow_box(mass: f64, half: [f64; 3]) -> [f64; 3] {
    let area = |i: usize, j: usize| 4.0 * half[i] * half[j];
    let total = 2.0 * (area(0, 1) + area(1, 2) + area(2, 0));
    let mut moments = [0.0; 3];
    for normal in 0..3 {
        let (u, v) = ((normal + 1) % 3, (normal + 2) % 3);
        let plate = mass * area(u, v) / total;
        let (across_u, across_v) = (half[u] * half[u], half[v] * half[v]);
        let away = half[normal] * half[normal];
        moments[normal] += 2.0 * plate * (across_u + across_v) / 3.0;
        moments[u] += 2.0 * plate * (across_v / 3.0 + away);
        moments[v] += 2.0 * plate * (across_u / 3.0 + away);
    }
    moments
}

/// The inertia `R diag(moments) Rᵀ` of a rotated body.
fn rotated(moments: [f64; 3], quat: [f64; 4]) -> Symmetric {
    let r = pose::matrix(quat);
    let entry = |i: usize, j: usize| (0..3).map(|k| r[i][k] * moments[k] * r[j][k]).sum();
    [
        entry(0, 0),
        entry(1, 1),
        entry(2, 2),
        entry(0, 1),
        entry(0, 2),
        entry(1, 2),
    ]
}

/// The inertia `m (|d|² 1 − d dᵀ)` of a point mass.
fn of_point(mass: f64, [x, y, z]: [f64; 3]) -> Symmetric {
    [
        mass * (y * y + z * z),
        mass * (x * x + z * z),
        mass * (x * x + y * y),
        -mass * x * y,
        -mass * x * z,
        -mass * y * z,
    ]
}

/// Principal axes and moments, largest first; none if a moment is not positive.
///
/// Jacobi's method with the rotation kept as a quaternion, in the order of MuJoCo's compiler, so
/// that equal moments come out with the same axes.
pub(super) fn principal(full: Symmetric) -> Option<([f64; 4], [f64; 3])> {
    let [xx, yy, zz, xy, xz, yz] = full;
    let tiny = 1e-12
        * full
            .iter()
            .fold(0.0_f64, |largest, entry| largest.max(entry.abs()));
    let inertia = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]];
    let mut quat = UNIT;
    let mut moments = [0.0; 3];
    for _ in 0..500 {
        let r = pose::matrix(quat);
        let entry = |i: usize, j: usize| -> f64 {
            (0..3)
                .map(|k| {
                    (0..3)
                        .map(|l| r[k][i] * inertia[k][l] * r[l][j])
                        .sum::<f64>()
                })
                .sum()
        };
        moments = [entry(0, 0), entry(1, 1), entry(2, 2)];
        let (d01, d02, d12) = (entry(0, 1), entry(0, 2), entry(1, 2));
        let (row, column, axis, off) = if d01.abs() > d02.abs() && d01.abs() > d12.abs() {
            (0, 1, 2, d01)
        } else if d02.abs() > d12.abs() {
            (0, 2, 1, d02)
        } else {
            (1, 2, 0, d12)
        };
        if off.abs() < tiny {
            break;
        }
        // The rotation that annihilates the entry: t = tan φ with t² + 2 τ t − 1 = 0.
        let tau = (moments[column] - moments[row]) / (2.0 * off);
        let tan = 1.0 / (tau.abs() + (1.0 + tau * tau).sqrt());
        let (mut half_sin, half_cos) = (0.5 * tan.atan()).sin_cos();
        if (tau >= 0.0) != (axis == 1) {
            half_sin = -half_sin;
        }
        let mut step = [half_cos, 0.0, 0.0, 0.0];
        step[axis + 1] = half_sin;
        pose::normalize(&mut step);
        quat = pose::multiply(quat, step);
        pose::normalize(&mut quat);
    }
    // Sort by exchanging neighbours, each exchange a quarter turn about the third axis.
    for first in [0, 1, 0] {
        if moments[first] + tiny < moments[first + 1] {
            moments.swap(first, first + 1);
            let mut turn = [std::f64::consts::FRAC_1_SQRT_2, 0.0, 0.0, 0.0];
            turn[(first + 2) % 3 + 1] = turn[0];
            quat = pose::multiply(quat, turn);
            pose::normalize(&mut quat);
        }
    }
    (moments[2] >= EPS).then_some((quat, moments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principal_axes_rebuild_the_inertia() {
        let full = [3.0, 2.5, 2.0, 0.3, -0.2, 0.1];
        let (quat, moments) = principal(full).unwrap();
        assert!(moments[0] >= moments[1] && moments[1] >= moments[2]);
        for (a, b) in rotated(moments, quat).into_iter().zip(full) {
            assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        }
    }

    #[test]
    fn a_hollow_cube_is_a_hollow_cube() {
        // A cube of side s and mass m made of six plates: 5 m s² / 18.
        for moment in hollow_box(2.0, [0.5; 3]) {
            assert!((moment - 5.0 * 2.0 / 18.0).abs() < 1e-15, "{moment}");
        }
    }

    #[test]
    fn a_capsule_without_length_is_a_sphere() {
        for (shell, factor) in [(false, 0.4), (true, 2.0 / 3.0)] {
            for moment in capsule(3.0, 0.2, 0.0, shell) {
                assert!((moment - factor * 3.0 * 0.04).abs() < 1e-15, "{moment}");
            }
        }
    }
}
