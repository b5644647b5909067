//! The iterated collisions on the device against the interpreter in f32, which does the same operations.

use std::time::Instant;

use manyworlds::gpu::{Arenas, Kernel, Recorder};
use manyworlds::math::random::{HostKey, HostRng};
use manyworlds::math::{Mat3, Vec3};
use manyworlds::model::Geom;
use manyworlds::rigid::collision::{self, Shape};
use manyworlds::trace::{self, Field, HostMemory, Kind, Layout};

use crate::common::gpu;

const WORLDS: u32 = 2048;
/// Size, position, axes.
const SHAPE: usize = 15;
/// Distance, position, normal.
const POINT: usize = 7;
const PAIRS: [[Geom; 2]; 8] = [
    [Geom::Capsule, Geom::Ellipsoid],
    [Geom::Capsule, Geom::Cylinder],
    [Geom::Ellipsoid, Geom::Ellipsoid],
    [Geom::Ellipsoid, Geom::Cylinder],
    [Geom::Ellipsoid, Geom::Box],
    [Geom::Cylinder, Geom::Cylinder],
    [Geom::Cylinder, Geom::Box],
    [Geom::Box, Geom::Box],
];

fn load(kind: Geom, field: Field) -> Shape {
    let numbers = field.load_all();
    let vector = |at: usize| Vec3::from_slice(&numbers[at..]);
    Shape {
        kind,
        size: vector(0).to_array(),
        pos: vector(3),
        mat: Mat3::from_columns(vector(6), vector(9), vector(12)),
    }
}

/// A shape at a random place in a cube of half a metre, turned at random, in some worlds by right angles.
fn shape(rng: &mut HostRng, world: u32) -> Vec<f32> {
    let size = [0; 3].map(|_| 0.05 + 0.45 * rng.uniform());
    let pos = [0; 3].map(|_| rng.uniform() - 0.5);
    let mut q = [0; 4].map(|_| rng.normal());
    if world.is_multiple_of(4) {
        q = [1.0, 0.0, 0.0, 0.0];
    }
    let length = q.iter().map(|x| x * x).sum::<f64>().sqrt();
    let [w, x, y, z] = q.map(|c| c / length);
    let columns = [
        1.0 - 2.0 * (y * y + z * z),
        2.0 * (x * y + w * z),
        2.0 * (x * z - w * y),
        2.0 * (x * y - w * z),
        1.0 - 2.0 * (x * x + z * z),
        2.0 * (y * z + w * x),
        2.0 * (x * z + w * y),
        2.0 * (y * z - w * x),
        1.0 - 2.0 * (x * x + y * y),
    ];
    let numbers = size.into_iter().chain(pos).chain(columns);
    numbers.map(|x| x as f32).collect()
}

#[test]
fn convex_pairs_are_those_of_the_interpreter() {
    let Some(context) = gpu::context() else {
        return;
    };
    for kinds in PAIRS {
        let mut layout = Layout::new();
        let floats = layout.buffer("floats", Kind::F32);
        let shapes = ["a", "b"].map(|name| layout.field(floats, name, SHAPE));
        let point = layout.field(floats, "point", POINT);
        let graph = trace::record("collide", &layout, || {
            let [a, b] = [0, 1].map(|k| load(kinds[k], shapes[k]));
            let found = collision::collide(&a, &b, 0.1.into(), true)[0];
            point.store(0, found.distance);
            point.slice(1, 3).store_all(&found.pos.to_array());
            point.slice(4, 3).store_all(&found.frame[0].to_array());
        });
        let mut memory = HostMemory::<f32>::new(&layout, WORLDS as usize);
        let arenas = Arenas::new(&context, &layout, WORLDS, &context).unwrap();
        arenas.poison().unwrap();
        for (at, field) in shapes.into_iter().enumerate() {
            let mut given = vec![0.0; SHAPE * WORLDS as usize];
            for world in 0..WORLDS {
                let key = HostKey {
                    seed: 5,
                    stream: world,
                    episode: at as u32,
                    step: 0,
                };
                let mut numbers = shape(&mut HostRng::new(key, "shape"), world);
                // A world that is lost must not hang the others.
                if world % 512 == 3 {
                    numbers[4] = f32::NAN;
                }
                for (component, value) in numbers.into_iter().enumerate() {
                    memory.set(field, component, world as usize, f64::from(value));
                    given[component * WORLDS as usize + world as usize] = value;
                }
            }
            arenas.write_field(field, 0..WORLDS, &given).unwrap();
        }
        graph.interpret(&mut memory, &[], 0..WORLDS as usize);

        let kernel = Kernel::from_graph(&context, &graph).unwrap();
        let run = || {
            let mut recorder = Recorder::new(&context);
            recorder.run(&kernel, &arenas, 0..WORLDS, &[]).unwrap();
            recorder.submit().unwrap();
            arenas.read_field::<f32>(point, 0..WORLDS).unwrap()
        };
        let found = run();
        let start = Instant::now();
        assert_eq!(bits(&run()), bits(&found), "the same bits again");
        let time = start.elapsed().as_secs_f64() / f64::from(WORLDS);

        let mut errors = Vec::new();
        for world in 0..WORLDS as usize {
            let expected = memory.row(point, world);
            let at = |component: usize| f64::from(found[component * WORLDS as usize + world]);
            let lost = world % 512 == 3;
            if lost {
                assert!(
                    at(0).is_nan() || at(0) > 0.1,
                    "a contact of what is nowhere"
                );
                continue;
            }
            let reached = [expected[0], at(0)].map(|distance| distance < 0.0999);
            if !(reached[0] || reached[1]) {
                continue;
            }
            let difference = (0..POINT).map(|k| (expected[k] - at(k)).abs());
            let distance = (expected[0] - at(0)).abs();
            // Divisions and square roots of a device may differ in the last bits.
            assert!(
                distance < 5e-6,
                "{kinds:?}, world {world}: {} and {}",
                expected[0],
                at(0)
            );
            errors.push(difference.fold(0.0, f64::max));
        }
        errors.sort_by(f64::total_cmp);
        let quantile = |part: usize| errors[(errors.len() - 1) * part / 100];
        println!(
            "{kinds:?}: {} contacts, {} operations, {:.2} µs a pair; difference median {:.1e}, 99 % {:.1e}",
            errors.len(),
            graph.operations().total,
            1e6 * time,
            quantile(50),
            quantile(99)
        );
        // Where several directions are as good, the last bits choose one.
        assert!(errors.len() > WORLDS as usize / 4);
        assert!(quantile(90) < 1e-5, "{kinds:?}: {:e}", quantile(90));
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}
