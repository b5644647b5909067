//! Quaternions and spatial algebra against glam and against their definitions.

use glam::{DMat3, DQuat, DVec3};
use manyworlds::math::{Force, Inertia, Mat3, Motion, Quat, Sym3, Vec3};
use manyworlds::trace::{self, HostMemory, Kind, Layout, Var};
use proptest::prelude::*;

/// Records a function, and evaluates it in double precision.
fn evaluate(inputs: &[f64], outputs: usize, function: impl FnOnce(&[Var]) -> Vec<Var>) -> Vec<f64> {
    let mut layout = Layout::new();
    let buffer = layout.buffer("memory", Kind::F32);
    let (from, to) = (
        layout.field(buffer, "from", inputs.len()),
        layout.field(buffer, "to", outputs),
    );
    let graph = trace::record("function", &layout, || {
        to.store_all(&function(&from.load_all()))
    });
    let mut memory = HostMemory::<f64>::new(&layout, 1);
    inputs
        .iter()
        .enumerate()
        .for_each(|(i, &x)| memory.set(from, i, 0, x));
    graph.interpret(&mut memory, &[], 0..1);
    memory.row(to, 0)
}

fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() < 1e-12 * b.abs().max(1.0),
            "{found:?} is not {expected:?}"
        );
    }
}

fn glam_quat([w, x, y, z]: [f64; 4]) -> DQuat {
    DQuat::from_xyzw(x, y, z, w).normalize()
}

fn numbers<const N: usize>() -> impl Strategy<Value = [f64; N]> {
    prop::collection::vec(-2.0..2.0f64, N).prop_map(|v| std::array::from_fn(|i| v[i]))
}

fn quaternion() -> impl Strategy<Value = [f64; 4]> {
    numbers().prop_filter("long enough", |q| {
        q.iter().map(|x| x * x).sum::<f64>() > 0.01
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn quaternions_turn_as_glams(q in quaternion(), r in quaternion(), v in numbers::<3>()) {
        let (a, b, u) = (glam_quat(q), glam_quat(r), DVec3::from(v));
        let inputs = [&q[..], &r, &v].concat();
        let found = evaluate(&inputs, 16, |x| {
            let (a, b) = (Quat::from_slice(x).normalize(), Quat::from_slice(&x[4..]).normalize());
            let v = Vec3::from_slice(&x[8..]);
            let turned = [a.rotate(v), a.to_mat() * v, a.conj().rotate(v), a.to_mat().transposed_mul(v)];
            let product = (a * b).to_array().to_vec();
            [product, turned.iter().flat_map(|v| v.to_array()).collect()].concat()
        });
        let p = a * b;
        let (turned, back) = ((a * u).to_array(), (a.inverse() * u).to_array());
        assert_near(&found, &[&[p.w, p.x, p.y, p.z][..], &turned, &turned, &back, &back].concat());
    }

    #[test]
    fn the_logarithm_undoes_integration(q in quaternion(), v in numbers::<3>()) {
        // Half a second at up to 2√3 rad/s is less than half a turn, so the way back is the same.
        let found = evaluate(&[&q[..], &v].concat(), 3, |x| {
            let start = Quat::from_slice(x).normalize();
            let end = start.integrate(Vec3::from_slice(&x[4..]), Var::from(0.5));
            end.difference(start).to_array().to_vec()
        });
        assert_near(&found, &v.map(|x| 0.5 * x));
    }

    #[test]
    fn rotations_about_an_axis(axis in numbers::<3>(), angle in -3.0..3.0f64) {
        prop_assume!(DVec3::from(axis).length() > 0.1);
        let unit = DVec3::from(axis).normalize();
        let found = evaluate(&[unit.x, unit.y, unit.z, angle.sin(), angle.cos()], 9, |x| {
            let matrix = Mat3::rotation(Vec3::from_slice(x), x[3], x[4]);
            matrix.columns().iter().flat_map(|c| c.to_array()).collect()
        });
        assert_near(&found, &DMat3::from_axis_angle(unit, angle).to_cols_array());
    }

    #[test]
    fn a_rotated_inertia_is_r_i_rt(q in quaternion(), moments in numbers::<6>()) {
        let found = evaluate(&[&q[..], &moments].concat(), 12, |x| {
            let r = Quat::from_slice(x).normalize().to_mat();
            let full = Sym3 { diagonal: Vec3::from_slice(&x[4..]), xy: x[7], xz: x[8], yz: x[9] };
            let six = |s: Sym3| [s.diagonal.to_array(), [s.xy, s.xz, s.yz]].concat();
            [six(full.rotated(r)), six(Sym3::rotated_diagonal(r, full.diagonal))].concat()
        });
        let r = DMat3::from_quat(glam_quat(q));
        let [a, b, c, d, e, f] = moments;
        let six = |m: DMat3| [m.x_axis.x, m.y_axis.y, m.z_axis.z, m.y_axis.x, m.z_axis.x, m.z_axis.y];
        let full = DMat3::from_cols_array(&[a, d, e, d, b, f, e, f, c]);
        let diagonal = DMat3::from_diagonal(DVec3::new(a, b, c));
        assert_near(&found, &[six(r * full * r.transpose()), six(r * diagonal * r.transpose())].concat());
    }

    /// Power is the same about any origin, momentum is `I v`, and cross products are dual.
    #[test]
    fn spatial_identities(v in numbers::<6>(), w in numbers::<6>(), f in numbers::<6>(), body in numbers::<9>()) {
        let found = evaluate(&[&v[..], &w, &f, &body].concat(), 8, |x| {
            let motion = |x: &[Var]| Motion::new(Vec3::from_slice(x), Vec3::from_slice(&x[3..]));
            let (v, w) = (motion(x), motion(&x[6..]));
            let f = Force::new(Vec3::from_slice(&x[12..]), Vec3::from_slice(&x[15..]));
            let mass = x[18].square() + 1.0;
            let com = Vec3::from_slice(&x[19..]);
            let central = Sym3 { diagonal: Vec3::from_slice(&x[22..]), xy: x[25], xz: x[26], yz: x[25] };
            let inertia = Inertia::new(mass, com, central);
            let at_com = v.at(com) * mass;
            let momentum = Force::acting_at(com, central * v.ang, at_com) - inertia * v;
            let duality = v.cross(w).dot(f) + w.dot(v.cross_force(f));
            let articulated = manyworlds::math::Articulated::from(inertia) * v - inertia * v;
            let zero = articulated.ang.dot(articulated.ang) + articulated.lin.dot(articulated.lin);
            [momentum.to_array().to_vec(), vec![duality, zero]].concat()
        });
        assert_near(&found, &[0.0; 8]);
    }
}

/// MuJoCo's answers where a direction is lost.
#[test]
fn degenerate_quaternions() {
    let found = evaluate(&[0.0; 7], 11, |x| {
        let (nothing, at_rest) = (Quat::from_slice(x).normalize(), Vec3::from_slice(&x[4..]));
        let still = Quat::IDENTITY.integrate(at_rest, Var::from(0.1));
        [
            nothing.to_array().to_vec(),
            nothing.log().to_array().to_vec(),
            still.to_array().to_vec(),
        ]
        .concat()
    });
    assert_near(
        &found,
        &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
    );
    let found = evaluate(&[0.0; 3], 4, |x| {
        let (unit, length) = Vec3::from_slice(x).normalize();
        [unit.to_array().to_vec(), vec![length]].concat()
    });
    assert_near(&found, &[1.0, 0.0, 0.0, 0.0]);
}
