//! `math` on the device: functions within the errors that they document, random numbers bit for bit.

use manyworlds::gpu::{Arenas, Kernel, Recorder};
use manyworlds::math::functions;
use manyworlds::math::random::{HostKey, HostRng, Key, Rng};
use manyworlds::trace::{self, Kind, Layout, Var};

use crate::common::gpu;

/// What a device may err by in a division or a square root (WGSL, Accuracy of Expression Evaluation).
const DIVISION: f64 = 2.5;

/// A function of one argument, where it is to be tried, and its largest error in ULP.
struct Subject {
    name: &'static str,
    recorded: fn(Var) -> Var,
    exact: fn(f64) -> f64,
    /// The arguments are spread evenly over the `f32`s between these, and over their negatives where `both`.
    from: f32,
    to: f32,
    both: bool,
    bound: f64,
}

impl Subject {
    fn argument(&self, world: u32, worlds: u32) -> f32 {
        let share = f64::from(world) / f64::from(worlds);
        let span = f64::from(self.to.to_bits() - self.from.to_bits());
        let x = f32::from_bits(self.from.to_bits() + (share * span) as u32);
        if self.both && world % 2 == 1 { -x } else { x }
    }
}

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "sin",
        recorded: |x| functions::sin(x),
        exact: f64::sin,
        from: 1e-6,
        to: 3000.0,
        both: true,
        bound: 2.0,
    },
    Subject {
        name: "cos",
        recorded: |x| functions::cos(x),
        exact: f64::cos,
        from: 1e-6,
        to: 3000.0,
        both: true,
        bound: 2.0,
    },
    Subject {
        name: "tan",
        recorded: |x| functions::tan(x),
        exact: f64::tan,
        from: 1e-6,
        to: 3000.0,
        both: true,
        bound: 4.0 + DIVISION,
    },
    Subject {
        name: "atan",
        recorded: |x| functions::atan(x),
        exact: f64::atan,
        from: 1e-30,
        to: 1e30,
        both: true,
        bound: 3.0 + DIVISION,
    },
    Subject {
        name: "asin",
        recorded: |x| functions::asin(x),
        exact: f64::asin,
        from: 1e-6,
        to: 1.0,
        both: true,
        bound: 3.0 + DIVISION,
    },
    Subject {
        name: "acos",
        recorded: |x| functions::acos(x),
        exact: f64::acos,
        from: 1e-6,
        to: 1.0,
        both: true,
        bound: 2.0 + DIVISION,
    },
    Subject {
        name: "exp",
        recorded: |x| functions::exp(x),
        exact: f64::exp,
        from: 1e-6,
        to: 86.8,
        both: true,
        bound: 1.0,
    },
    Subject {
        name: "log",
        recorded: |x| functions::log(x),
        exact: f64::ln,
        from: 1e-37,
        to: 1e38,
        both: false,
        bound: 1.0,
    },
    Subject {
        name: "tanh",
        recorded: |x| functions::tanh(x),
        exact: f64::tanh,
        from: 1e-6,
        to: 20.0,
        both: true,
        bound: 2.0 + DIVISION,
    },
];

/// The distance of `f32`s at a value.
fn ulp(value: f64) -> f64 {
    let exponent = value.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor();
    (exponent - 23.0).exp2()
}

#[test]
fn functions_keep_their_errors() {
    const WORLDS: u32 = 1 << 16;
    let Some(context) = gpu::context() else {
        return;
    };
    let mut layout = Layout::new();
    let buffer = layout.buffer("memory", Kind::F32);
    let arguments = layout.field(buffer, "arguments", SUBJECTS.len());
    let values = layout.field(buffer, "values", SUBJECTS.len());
    let graph = trace::record("functions", &layout, || {
        for (at, subject) in SUBJECTS.iter().enumerate() {
            values.store(at, (subject.recorded)(arguments.load(at)));
        }
    });
    let kernel = Kernel::from_graph(&context, &graph).unwrap();
    let arenas = Arenas::new(&context, &layout, WORLDS, &context).unwrap();
    arenas.poison().unwrap();
    let row = |subject: &'static Subject| (0..WORLDS).map(|world| subject.argument(world, WORLDS));
    let given: Vec<f32> = SUBJECTS.iter().flat_map(row).collect();
    arenas.write_field(arguments, 0..WORLDS, &given).unwrap();
    let mut recorder = Recorder::new(&context);
    recorder.run(&kernel, &arenas, 0..WORLDS, &[]).unwrap();
    recorder.submit().unwrap();

    let found: Vec<f32> = arenas.read_field(values, 0..WORLDS).unwrap();
    let rows = given
        .chunks(WORLDS as usize)
        .zip(found.chunks(WORLDS as usize));
    for (subject, (given, found)) in SUBJECTS.iter().zip(rows) {
        let mut worst = (0.0, 0.0);
        for (&x, &value) in given.iter().zip(found) {
            let exact = (subject.exact)(f64::from(x));
            let error = (f64::from(value) - exact).abs() / ulp(exact);
            assert!(
                error <= subject.bound,
                "{} {x}: {value}, not {exact}: {error} ULP",
                subject.name
            );
            if error > worst.0 {
                worst = (error, x);
            }
        }
        println!("{}: {:.2} ULP at {}", subject.name, worst.0, worst.1);
    }
}

#[test]
fn random_bits_are_those_of_the_host() {
    const WORLDS: u32 = 1000;
    const SEED: u64 = 0xfedc_ba98_7654_3210;
    let Some(context) = gpu::context() else {
        return;
    };
    let mut layout = Layout::new();
    let integers = layout.buffer("integers", Kind::U32);
    let bits = layout.field(integers, "bits", 6);
    let below = layout.field(integers, "below", 1);
    let floats = layout.buffer("floats", Kind::F32);
    let uniform = layout.field(floats, "uniform", 2);
    let normal = layout.field(floats, "normal", 2);
    let graph = trace::record("random", &layout, || {
        let key = Key {
            seed: [trace::uniform("seed_low"), trace::uniform("seed_high")],
            stream: trace::world(),
            episode: trace::uniform("episode"),
            step: trace::uniform("step"),
        };
        let mut rng = Rng::new(key, "device");
        (0..6).for_each(|at| bits.store_bits(at, rng.bits()));
        below.store_bits(0, rng.below(1000));
        uniform.store(0, rng.uniform());
        // In a branch that every other world takes.
        let odd = (trace::world() & 1).eq(1);
        uniform.store(1, trace::when(odd, Var::ZERO, |_| rng.uniform()));
        (0..2).for_each(|at| normal.store(at, rng.normal()));
    });
    let kernel = Kernel::from_graph(&context, &graph).unwrap();
    let arenas = Arenas::new(&context, &layout, WORLDS, &context).unwrap();
    arenas.poison().unwrap();
    let launch = [
        ("seed_low", SEED as u32),
        ("seed_high", (SEED >> 32) as u32),
        ("episode", 3),
        ("step", 5),
    ];
    let mut recorder = Recorder::new(&context);
    recorder.run(&kernel, &arenas, 0..WORLDS, &launch).unwrap();
    recorder.submit().unwrap();

    let bits: Vec<u32> = arenas.read_field(bits, 0..WORLDS).unwrap();
    let below: Vec<u32> = arenas.read_field(below, 0..WORLDS).unwrap();
    let uniform: Vec<f32> = arenas.read_field(uniform, 0..WORLDS).unwrap();
    let normal: Vec<f32> = arenas.read_field(normal, 0..WORLDS).unwrap();
    for (world, &below) in below.iter().enumerate() {
        let at = |component: usize| component * WORLDS as usize + world;
        let key = HostKey {
            seed: SEED,
            stream: world as u32,
            episode: 3,
            step: 5,
        };
        let mut rng = HostRng::new(key, "device");
        for component in 0..6 {
            assert_eq!(
                bits[at(component)],
                rng.bits(),
                "world {world}, draw {component}"
            );
        }
        assert_eq!(below, rng.below(1000), "world {world}");
        assert_eq!(f64::from(uniform[at(0)]), rng.uniform(), "world {world}");
        let in_branch = rng.uniform() * (world % 2) as f64;
        assert_eq!(f64::from(uniform[at(1)]), in_branch, "world {world}");
        for component in 0..2 {
            // The logarithm and the square root lose a few ULP of a radius up to 5.8, sine and cosine of an angle up
            // to 2π half an ULP of that.
            let (found, expected) = (f64::from(normal[at(component)]), rng.normal());
            assert!(
                (found - expected).abs() < 1e-5,
                "world {world}: {found}, not {expected}"
            );
        }
    }
}
