//! The pairs of convex geoms that MuJoCo iterates on: the contact against MuJoCo's and, because MuJoCo's is not always
//! the nearest one, against what a contact is.
//!
//! A unit normal n and points on both shapes that are the furthest ones along it (of the second shape, against it) are
//! a contact of distance `s(n) = n·(c₂ − c₁) − h₁(n) − h₂(n)`, with the centres c and supports h: every s is a bound,
//! and the largest one is the signed distance. So a contact is judged by itself (points on both shapes, furthest along
//! its normal) and by s of many other normals, MuJoCo's among them.

use manyworlds::model::Geom;
use serde_json::Value;

use crate::collision_pairs::{expected, margin, record};
use crate::oracle;

type Vector = [f64; 3];

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn plus(a: Vector, scale: f64, b: Vector) -> Vector {
    std::array::from_fn(|k| a[k] + scale * b[k])
}

fn norm(a: Vector) -> f64 {
    dot(a, a).sqrt()
}

/// A shape in plain numbers.
struct Body {
    kind: Geom,
    size: Vector,
    pos: Vector,
    axes: [Vector; 3],
}

impl Body {
    fn new(kind: Geom, numbers: &[f64]) -> Self {
        let vector = |at: usize| [numbers[at], numbers[at + 1], numbers[at + 2]];
        Self {
            kind,
            size: vector(0),
            pos: vector(3),
            axes: [vector(6), vector(9), vector(12)],
        }
    }

    /// How far it extends from its centre along a unit vector.
    fn support(&self, normal: Vector) -> f64 {
        let [x, y, z] = self.size;
        let n = self.axes.map(|axis| dot(axis, normal));
        match self.kind {
            Geom::Sphere => x,
            Geom::Capsule => x + y * n[2].abs(),
            Geom::Cylinder => x * n[0].hypot(n[1]) + y * n[2].abs(),
            Geom::Ellipsoid => norm([x * n[0], y * n[1], z * n[2]]),
            _ => x * n[0].abs() + y * n[1].abs() + z * n[2].abs(),
        }
    }

    /// How far a point is outside; not more than zero inside.
    fn outside(&self, point: Vector) -> f64 {
        let from = plus(point, -1.0, self.pos);
        let p = self.axes.map(|axis| dot(axis, from));
        let [x, y, z] = self.size;
        match self.kind {
            Geom::Sphere => norm(p) - x,
            Geom::Capsule => norm([p[0], p[1], p[2] - p[2].clamp(-y, y)]) - x,
            Geom::Cylinder => (p[0].hypot(p[1]) - x).max(p[2].abs() - y),
            Geom::Ellipsoid => (norm([p[0] / x, p[1] / y, p[2] / z]) - 1.0) * x.min(y).min(z),
            _ => (p[0].abs() - x).max(p[1].abs() - y).max(p[2].abs() - z),
        }
    }
}

/// Two shapes.
struct Couple([Body; 2]);

impl Couple {
    fn new(kinds: [Geom; 2], case: &Value) -> Self {
        Self([0, 1].map(|k| Body::new(kinds[k], &oracle::floats(&case["shapes"][k]))))
    }

    /// s
    fn separation(&self, normal: Vector) -> f64 {
        let [a, b] = &self.0;
        dot(normal, plus(b.pos, -1.0, a.pos)) - a.support(normal) - b.support(normal)
    }

    /// How much a contact (distance, position, normal …) is none: by how much its points are outside of their shapes,
    /// or not the furthest along the normal.
    fn fault(&self, contact: &[f64]) -> f64 {
        let pos = [contact[1], contact[2], contact[3]];
        let normal = [contact[4], contact[5], contact[6]];
        let side = |body: &Body, sign: f64| {
            let point = plus(pos, -0.5 * sign * contact[0], normal);
            let short = body.support(normal) - sign * dot(normal, plus(point, -1.0, body.pos));
            body.outside(point).max(short.abs())
        };
        let unit = (norm(normal) - 1.0).abs();
        side(&self.0[0], 1.0).max(side(&self.0[1], -1.0)).max(unit)
    }

    /// The largest s of directions evenly spread, and of those around one.
    fn best_of_many(&self, around: Vector) -> f64 {
        let golden = std::f64::consts::PI * (1.0 + 5f64.sqrt());
        let spread = (0..400).map(|k| {
            let z = 1.0 - (f64::from(k) + 0.5) / 200.0;
            let (sin, cos) = (golden * f64::from(k)).sin_cos();
            let r = (1.0 - z * z).sqrt();
            [r * cos, r * sin, z]
        });
        let near = spread.clone().enumerate().map(|(k, v)| {
            let v = plus(around, 10f64.powi(-(k as i32 % 7)), v);
            v.map(|x| x / norm(v))
        });
        let all = spread.chain(near);
        all.map(|v| self.separation(v))
            .fold(f64::NEG_INFINITY, f64::max)
    }
}

/// How the contacts of a pair of kinds compare with MuJoCo's.
#[derive(Default, Debug)]
struct Tally {
    contacts: usize,
    /// MuJoCo has the same distance, normal and position.
    same: usize,
    /// MuJoCo's normal separates less than ours: it is not the nearest way out.
    nearer: usize,
    /// MuJoCo's points are not on the surfaces, or not the furthest ones: its iterations ended early.
    inexact: usize,
    /// The distances agree, and both are contacts: flat sides on each other, several normals as good, or MuJoCo's normal
    /// off by less than 1e-5, which shows in the second order only.
    ambiguous: usize,
}

fn check(kinds: [Geom; 2], same: usize) {
    const CASES: usize = 1200;
    let [a, b] = kinds.map(Geom::keyword);
    let Some(reference) = oracle::run("collide.py", &["convex", a, b, &CASES.to_string(), "3"])
    else {
        return;
    };
    let cases = reference.as_array().expect("cases");
    let recorded = record(kinds, false);
    let found = recorded.run::<f64>(cases);
    let single = recorded.run::<f32>(cases);
    let mut tally = Tally::default();
    let (mut fault, mut missed, mut over) = ([0.0f64; 2], 0.0f64, 0.0f64);
    let mut errors: [Vec<f64>; 3] = Default::default();
    for (index, case) in cases.iter().enumerate() {
        let couple = Couple::new(kinds, case);
        let expected = expected(&case["contacts"]);
        let what = format!("{a}-{b} {index} {}", case["how"]);
        // What is at the margin to 1e-9 may be a contact or not.
        let at_margin = |contacts: &[Vec<f64>]| {
            let mut contacts = contacts.iter();
            contacts.any(|contact| (contact[0] - margin(case)).abs() < 1e-9)
        };
        if found[index].len() != expected.len() {
            // MuJoCo may take shapes for apart that are not: then there is no contact to compare.
            assert!(
                at_margin(&found[index]) || at_margin(&expected) || expected.is_empty(),
                "{what}: {:?}, {expected:?}",
                found[index]
            );
        }
        let [contact] = &found[index][..] else {
            continue;
        };
        tally.contacts += 1;
        let normal = [contact[4], contact[5], contact[6]];
        let (own_fault, own_missed) = (
            couple.fault(contact),
            couple.best_of_many(normal) - contact[0],
        );
        let is_flat = usize::from(
            !case["how"].as_str().expect("words").starts_with("random") || index % 3 == 0,
        );
        if own_fault > [1e-9, 1e-5][is_flat] || own_missed > 1e-9 {
            println!("{what}: fault {own_fault:.1e}, missed {own_missed:.1e}, {contact:?}");
        }
        fault[is_flat] = fault[is_flat].max(own_fault);
        missed = missed.max(own_missed);
        let Some(theirs) = expected.first() else {
            tally.inexact += 1;
            continue;
        };
        let reached = couple.separation([theirs[4], theirs[5], theirs[6]]);
        if reached > contact[0] + 1e-8 {
            println!(
                "{what}: MuJoCo's normal {:.1e}, {contact:?}, {theirs:?}",
                reached - contact[0]
            );
        }
        over = over.max(reached - contact[0]);
        let largest = |range: std::ops::Range<usize>| {
            let pairs = contact[range.clone()].iter().zip(&theirs[range]);
            pairs.map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
        };
        let close = largest(0..1) < 1e-8 && largest(1..4) < 1e-6 && largest(4..7) < 1e-6;
        match close {
            true => {
                tally.same += 1;
                assert!(largest(7..13) < 1e-5, "{what}: other tangents");
                if let [single] = &single[index][..] {
                    for (errors, range) in errors.iter_mut().zip([0..1, 1..4, 4..7]) {
                        let pairs = single[range.clone()].iter().zip(&contact[range]);
                        errors.push(pairs.map(|(x, y)| (x - y).abs()).fold(0.0, f64::max));
                    }
                }
            }
            false if reached < contact[0] - 1e-8 => tally.nearer += 1,
            false if couple.fault(theirs) > 1e-9 => tally.inexact += 1,
            false => tally.ambiguous += 1,
        }
    }
    println!(
        "{a}-{b}: {} operations, {tally:?}\n  faults {fault:?}, missed {missed:.1e}, MuJoCo's normals {over:.1e}",
        recorded.graph.operations().total
    );
    let faults: Vec<(f64, f64)> = cases
        .iter()
        .zip(&single)
        .filter_map(|(case, found)| {
            let couple = Couple::new(kinds, case);
            let contact = found.first()?;
            let normal = [contact[4], contact[5], contact[6]];
            Some((
                couple.fault(contact),
                couple.best_of_many(normal) - contact[0],
            ))
        })
        .collect();
    let quantiles = |name: &str, mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        let at = |part: usize| values[(values.len() - 1) * part / 100];
        let [median, seldom, worst] = [at(50), at(99), at(100)];
        println!("  f32 {name}: median {median:.1e}, 99 % {seldom:.1e}, largest {worst:.1e}");
        [median, seldom, worst]
    };
    let single_fault = quantiles("fault", faults.iter().map(|x| x.0).collect());
    let single_missed = quantiles("missed", faults.iter().map(|x| x.1).collect());
    for (name, errors) in ["distance", "position", "normal"].iter().zip(errors) {
        quantiles(name, errors);
    }
    // Sides that lie on each other up to 4e-6 rad count as flat: the point is somewhere on them.
    assert!(fault[0] < 1e-9 && fault[1] < 1e-5 && missed < 1e-9 && over < 1e-8);
    assert!(tally.same >= same, "{a}-{b}: {tally:?}");
    assert!(single_fault[1] < 1e-5 && single_missed[2] < 1e-6);
}

macro_rules! pairs {
    ($($name:ident: $a:ident $b:ident, $same:literal;)+) => {
        $(#[test] fn $name() { check([Geom::$a, Geom::$b], $same); })+
    };
}

pairs! {
    capsule_ellipsoid: Capsule Ellipsoid, 600;
    capsule_cylinder: Capsule Cylinder, 550;
    ellipsoid_ellipsoid: Ellipsoid Ellipsoid, 400;
    ellipsoid_cylinder: Ellipsoid Cylinder, 600;
    ellipsoid_box: Ellipsoid Box, 700;
    cylinder_cylinder: Cylinder Cylinder, 450;
    cylinder_box: Cylinder Box, 500;
}

/// The most distant of the points of one list from those of the other.
fn distance_between(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    let nearest = |point: &Vec<f64>| {
        let distances = found.iter().map(|other| {
            let pairs = other[..7].iter().zip(point);
            pairs.map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
        });
        distances.fold(f64::INFINITY, f64::min)
    };
    expected.iter().map(nearest).fold(0.0, f64::max)
}

/// Several points where flat sides lie on each other, as MuJoCo has them by default.
///
/// `same` of 1,200 cases have as many points as MuJoCo; of those with two points, a side on a face, all but `allowed`
/// the same ones. Which four of a cap's corners there are, rounding chooses in MuJoCo: the normals must agree, and the
/// points be on both shapes.
fn check_several(kinds: [Geom; 2], same: usize, allowed: usize) {
    const CASES: usize = 1200;
    let [a, b] = kinds.map(Geom::keyword);
    let Some(reference) = oracle::run("collide.py", &["convex", a, b, &CASES.to_string(), "3"])
    else {
        return;
    };
    let cases = reference.as_array().expect("cases");
    let recorded = record(kinds, true);
    let found = recorded.run::<f64>(cases);
    let (mut numbers, mut sides, mut other_sides, mut caps) = (0, 0, 0, 0);
    let (mut other_normals, mut outside) = (0, 0.0f64);
    for (index, case) in cases.iter().enumerate() {
        let expected = expected(&case["several"]);
        let found = &found[index];
        if found.len() != expected.len() {
            continue;
        }
        numbers += 1;
        // Where shapes only just touch, MuJoCo's normals are the direction of rounding.
        if expected.iter().any(|point| point[0].abs() < 1e-9) {
            continue;
        }
        match found.len() {
            2 => {
                sides += 1;
                if distance_between(found, &expected) > 1e-6 {
                    other_sides += 1;
                    if other_sides < 4 {
                        println!("{a}-{b} {index} {}: {found:?}\n  {expected:?}", case["how"]);
                    }
                }
            }
            4 => {
                caps += 1;
                let couple = Couple::new(kinds, case);
                let pairs = found[0][4..7].iter().zip(&expected[0][4..7]);
                other_normals += usize::from(pairs.into_iter().any(|(x, y)| (x - y).abs() > 1e-6));
                for point in found {
                    for (body, sign) in couple.0.iter().zip([-0.5, 0.5]) {
                        let vector = |at: usize| [point[at], point[at + 1], point[at + 2]];
                        let at = plus(vector(1), sign * point[0], vector(4));
                        outside = outside.max(body.outside(at));
                    }
                }
            }
            _ => {}
        }
    }
    println!(
        "{a}-{b}: {} operations, {numbers} of {CASES} have as many points; {other_sides} of {sides} sides differ; {caps} \
         caps: {other_normals} normals differ, outside {outside:.1e}",
        recorded.graph.operations().total
    );
    // MuJoCo chooses among faces by its polytope's last triangle, we by the normal.
    assert!(numbers >= same && other_sides <= allowed && other_normals == 0);
    assert!(outside < 1e-9);
}

#[test]
fn capsule_on_cap() {
    check_several([Geom::Capsule, Geom::Cylinder], 1180, 13);
}

#[test]
fn cylinder_on_cylinder() {
    check_several([Geom::Cylinder, Geom::Cylinder], 1155, 10);
}

#[test]
fn cylinder_on_box() {
    check_several([Geom::Cylinder, Geom::Box], 1135, 42);
}
