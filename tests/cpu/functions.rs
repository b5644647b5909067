//! `math::functions` against the standard library in double precision, in ULP: the plain operations by the f32
//! interpreter over dense sweeps and special values, the exact reading by the f64 interpreter.

use std::f64::consts::{FRAC_PI_2, PI};

use manyworlds::math::functions;
use manyworlds::trace::{self, Field, Graph, HostMemory, Kind, Layout, Real, Var};

/// A function of two arguments (the second may be of no meaning) as a graph.
struct Subject {
    layout: Layout,
    arguments: Field,
    value: Field,
    graph: Graph,
}

impl Subject {
    fn new(name: &str, function: impl Fn(Var, Var) -> Var) -> Self {
        let mut layout = Layout::new();
        let buffer = layout.buffer("memory", Kind::F32);
        let arguments = layout.field(buffer, "arguments", 2);
        let value = layout.field(buffer, "value", 1);
        let graph = trace::record(name, &layout, || {
            value.store(0, function(arguments.load(0), arguments.load(1)));
        });
        Self {
            layout,
            arguments,
            value,
            graph,
        }
    }

    /// The values at these arguments, which are rounded to the interpreter's precision; one world each.
    fn values<R: Real>(&self, arguments: &[[f64; 2]]) -> Vec<f64> {
        let mut memory = HostMemory::<R>::new(&self.layout, arguments.len());
        for (world, pair) in arguments.iter().enumerate() {
            memory.set(self.arguments, 0, world, pair[0]);
            memory.set(self.arguments, 1, world, pair[1]);
        }
        self.graph.interpret(&mut memory, &[], 0..arguments.len());
        (0..arguments.len())
            .map(|world| memory.get(self.value, 0, world))
            .collect()
    }

    /// The largest error over these arguments, in ULP of the reference.
    fn worst(&self, arguments: &[[f64; 2]], reference: impl Fn(f64, f64) -> f64) -> Worst {
        let mut worst = Worst::default();
        for (&[x, y], value) in arguments.iter().zip(self.values::<f32>(arguments)) {
            let expected = reference(x, y);
            let error = (value - expected).abs() / ulp(expected);
            if error > worst.ulp || error.is_nan() {
                worst = Worst {
                    ulp: error,
                    at: [x, y],
                    value,
                    expected,
                };
            }
        }
        worst
    }
}

#[derive(Debug, Default)]
#[allow(
    dead_code,
    reason = "the fields are read by the failing assertion's message"
)]
struct Worst {
    ulp: f64,
    at: [f64; 2],
    value: f64,
    expected: f64,
}

/// The distance of `f32`s at a value.
fn ulp(value: f64) -> f64 {
    let exponent = value.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor();
    (exponent - 23.0).exp2()
}

/// Every `stride`-th `f32` from `low` to `high`, both positive, and where `both` their negatives.
fn sweep(low: f32, high: f32, stride: usize, both: bool) -> Vec<f64> {
    let positive = (low.to_bits()..=high.to_bits()).step_by(stride);
    let positive = positive.map(|bits| f64::from(f32::from_bits(bits)));
    if both {
        positive.flat_map(|x| [x, -x]).collect()
    } else {
        positive.collect()
    }
}

fn unary(arguments: Vec<f64>) -> Vec<[f64; 2]> {
    arguments.into_iter().map(|x| [x, 0.0]).collect()
}

fn demand(name: &str, bound: f64, worst: Worst) {
    println!("{name}: {:.2} ULP at {:?}", worst.ulp, worst.at);
    assert!(
        worst.ulp <= bound,
        "{name}: more than {bound} ULP: {worst:?}"
    );
}

#[test]
fn sine_cosine_and_tangent() {
    let arguments = unary(sweep(1e-6, 3000.0, 997, true));
    let sin = Subject::new("sin", |x, _| functions::sin(x));
    demand("sin", 2.0, sin.worst(&arguments, |x, _| x.sin()));
    let cos = Subject::new("cos", |x, _| functions::cos(x));
    demand("cos", 2.0, cos.worst(&arguments, |x, _| x.cos()));
    let tan = Subject::new("tan", |x, _| functions::tan(x));
    demand("tan", 4.0, tan.worst(&arguments, |x, _| x.tan()));

    // The f32s nearest to multiples of π/2, where nearly everything cancels.
    let multiples = (-1900..=1900).map(|n| f64::from((f64::from(n) * FRAC_PI_2) as f32));
    let nearest = unary(multiples.collect());
    demand("sin near nπ/2", 2.0, sin.worst(&nearest, |x, _| x.sin()));
    demand("cos near nπ/2", 2.0, cos.worst(&nearest, |x, _| x.cos()));
}

#[test]
fn far_angles_err_like_their_argument() {
    let far = sweep(3000.0, 1e6, 997, true);
    for (name, function, reference) in [
        (
            "sin",
            functions::sin as fn(Var) -> Var,
            f64::sin as fn(f64) -> f64,
        ),
        ("cos", functions::cos, f64::cos),
    ] {
        let subject = Subject::new(name, |x, _| function(x));
        for (x, value) in far.iter().zip(subject.values::<f32>(&unary(far.clone()))) {
            let error = (value - reference(*x)).abs();
            assert!(error <= ulp(*x), "{name} {x}: {value}, off by {error}");
        }
    }
}

#[test]
fn inverse_functions() {
    let all = unary(sweep(1e-30, 1e30, 1999, true));
    let atan = Subject::new("atan", |x, _| functions::atan(x));
    demand("atan", 3.0, atan.worst(&all, |x, _| x.atan()));

    let arguments = unary(sweep(1e-6, 1.0, 499, true));
    let asin = Subject::new("asin", |x, _| functions::asin(x));
    demand("asin", 3.0, asin.worst(&arguments, |x, _| x.asin()));
    let acos = Subject::new("acos", |x, _| functions::acos(x));
    demand("acos", 2.0, acos.worst(&arguments, |x, _| x.acos()));
    let outside = [
        [1.0001, 0.0],
        [-7.0, 0.0],
        [0.0, 0.0],
        [1.0, 0.0],
        [-1.0, 0.0],
    ];
    demand(
        "acos, limited",
        2.0,
        acos.worst(&outside, |x, _| x.clamp(-1.0, 1.0).acos()),
    );
    demand(
        "asin, limited",
        2.0,
        asin.worst(&outside, |x, _| x.clamp(-1.0, 1.0).asin()),
    );
}

#[test]
fn angle_of_a_point() {
    let atan2 = Subject::new("atan2", functions::atan2);
    let ratios = sweep(1e-4, 1e4, 1999, true);
    let scales = [1.0f32, -1.0, 0.7, -3.3, 1e-20, -1e20].map(f64::from);
    let points: Vec<[f64; 2]> = ratios
        .iter()
        .flat_map(|ratio| scales.map(|x| [f64::from((ratio * x) as f32), x]))
        .collect();
    demand("atan2", 3.0, atan2.worst(&points, f64::atan2));

    let axes = [
        ([0.0, 0.0], 0.0),
        ([0.0, 2.0], 0.0),
        ([0.0, -2.0], PI),
        ([3.0, 0.0], FRAC_PI_2),
        ([-3.0, 0.0], -FRAC_PI_2),
        ([1e-37, 1e37], 0.0),
        ([-1e37, -1e-37], -FRAC_PI_2),
    ];
    for ([y, x], expected) in axes {
        let value = atan2.values::<f32>(&[[y, x]])[0];
        assert!(
            (value - expected).abs() <= ulp(expected),
            "atan2({y}, {x}) = {value}"
        );
    }
    // Zero keeps its sign, so that an angle that crosses −π, 0 or π does not jump.
    assert!(atan2.values::<f32>(&[[-0.0, 1.0]])[0].is_sign_negative());
    assert!(atan2.values::<f32>(&[[-0.0, -1.0]])[0] < 0.0);
}

#[test]
fn exponential_and_logarithm() {
    let exp = Subject::new("exp", |x, _| functions::exp(x));
    let mut arguments = unary(sweep(1e-9, 86.8, 997, true));
    arguments.extend(unary(sweep(86.8, 88.699, 7, false)));
    demand("exp", 1.0, exp.worst(&arguments, |x, _| x.exp()));
    let ends = exp.values::<f32>(&unary(vec![-87.0, -1e30, 89.0, 1e30, 0.0]));
    assert_eq!(ends[..2], [0.0, 0.0]);
    assert!(
        ends[2] > 3.3e38 && ends[2].is_finite() && ends[2] == ends[3],
        "{ends:?}"
    );
    assert_eq!(ends[4], 1.0);

    let log = Subject::new("log", |x, _| functions::log(x));
    demand(
        "log",
        1.0,
        log.worst(
            &unary(sweep(f32::MIN_POSITIVE, f32::MAX, 3989, false)),
            |x, _| x.ln(),
        ),
    );
    demand(
        "log near 1",
        1.0,
        log.worst(&unary(sweep(0.5, 2.0, 61, false)), |x, _| x.ln()),
    );
    let values = log.values::<f32>(&unary(vec![1.0, 0.0, -5.0, 1e-44]));
    assert_eq!(values[0], 0.0);
    for value in &values[1..] {
        assert!(
            (value - f64::from(f32::MIN_POSITIVE).ln()).abs() < 1e-5,
            "{value}"
        );
    }
}

#[test]
fn hyperbolic_tangent() {
    let tanh = Subject::new("tanh", |x, _| functions::tanh(x));
    let mut arguments = unary(sweep(1e-9, 20.0, 997, true));
    arguments.extend([[0.0, 0.0], [1e30, 0.0], [-1e30, 0.0]]);
    demand("tanh", 2.0, tanh.worst(&arguments, |x, _| x.tanh()));
}

#[test]
fn powers() {
    let pow = Subject::new("pow", functions::pow);
    for exponent in [-30.5, -2.0, -0.3, 1e-3, 0.7, 1.0, 2.0, 3.7, 20.0] {
        for x in sweep(1e-3, 1e3, 49_999, false) {
            let exponent = f64::from(exponent as f32);
            let size = (exponent * x.ln()).abs();
            if size < 86.0 {
                let worst = pow.worst(&[[x, exponent]], f64::powf);
                assert!(worst.ulp <= 2.0 + 2.0 * size, "{worst:?}");
            }
        }
    }
    let zero = pow.values::<f32>(&[[0.0, 0.3], [0.0, 0.0], [-1.0, 2.5]]);
    assert_eq!(zero, [0.0, 1.0, 0.0]);

    for exponent in [-3i32, 0, 1, 2, 5, 16] {
        let bound = f64::from(exponent.abs() + 1);
        let subject = Subject::new("whole", move |x, _| functions::pow(x, f64::from(exponent)));
        let arguments = unary(sweep(0.1, 10.0, 49_999, true));
        demand(
            &format!("x^{exponent}"),
            bound,
            subject.worst(&arguments, |x, _| x.powi(exponent)),
        );
    }
    let root = Subject::new("root", |x, _| functions::pow(x, 0.5));
    demand(
        "x^½",
        0.5,
        root.worst(&unary(sweep(0.1, 10.0, 49_999, false)), |x, _| x.sqrt()),
    );
}

/// The reference interpreter has the functions by their meaning, to the last bit of double precision.
#[test]
fn the_reference_is_exact() {
    type Case = (&'static str, fn(Var) -> Var, fn(f64) -> f64);
    let cases: [Case; 9] = [
        ("sin", functions::sin, f64::sin),
        ("cos", functions::cos, f64::cos),
        ("tan", functions::tan, f64::tan),
        ("asin", functions::asin, f64::asin),
        ("acos", functions::acos, f64::acos),
        ("atan", functions::atan, f64::atan),
        ("exp", functions::exp, f64::exp),
        ("log", functions::log, f64::ln),
        ("tanh", functions::tanh, f64::tanh),
    ];
    for (name, function, reference) in cases {
        let subject = Subject::new(name, move |x, _| function(x));
        let arguments = [0.1, 0.3, 0.77, 0.999];
        let expected = arguments.map(reference);
        assert_eq!(
            subject.values::<f64>(&unary(arguments.into())),
            expected,
            "{name}"
        );
        // Constants fold to the same.
        let folded = arguments.map(|x| function(Var::from(x)).as_constant());
        assert_eq!(folded, expected.map(Some), "{name}");
    }
    let atan2 = Subject::new("atan2", functions::atan2);
    assert_eq!(atan2.values::<f64>(&[[0.3, -0.7]]), [0.3f64.atan2(-0.7)]);
    let pow = Subject::new("pow", functions::pow);
    assert_eq!(pow.values::<f64>(&[[0.3, 1.7]]), [0.3f64.powf(1.7)]);
}

/// The costs that the module's table gives, and what both sine and cosine take.
#[test]
fn costs() {
    type Case = (&'static str, usize, fn(Var, Var) -> Var);
    let cases: [Case; 12] = [
        ("sin", 38, |x, _| functions::sin(x)),
        ("cos", 38, |x, _| functions::cos(x)),
        ("sin + cos", 47, |x, _| {
            let (sin, cos) = functions::sin_cos(x);
            sin + cos
        }),
        ("tan", 47, |x, _| functions::tan(x)),
        ("atan2", 37, functions::atan2),
        ("atan", 32, |x, _| functions::atan(x)),
        ("asin", 29, |x, _| functions::asin(x)),
        ("acos", 29, |x, _| functions::acos(x)),
        ("exp", 27, |x, _| functions::exp(x)),
        ("log", 26, |x, _| functions::log(x)),
        ("tanh", 52, |x, _| functions::tanh(x)),
        ("pow", 58, functions::pow),
    ];
    let mut over = Vec::new();
    for (name, bound, function) in cases {
        let total = Subject::new(name, function).graph.operations().total;
        println!("{name}: {total} operations");
        if total > bound {
            over.push(format!("{name}: {total} operations, more than {bound}"));
        }
    }
    assert!(over.is_empty(), "{over:?}");
}
