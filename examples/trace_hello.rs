//! A recorded function, three ways: as WGSL, on the host in f64, and what it costs.
//!
//! A mass on a spring takes `n` semi-implicit Euler steps. The stiffness is a constant, so it is folded into the
//! kernel; the mass is a load, so every world has its own.
//!
//! ```text
//! cargo run --release --example trace_hello
//! ```

use manyworlds::trace::{self, HostMemory, Kind, Layout, Mask};

pub(crate) fn main() {
    let mut layout = Layout::new();
    let state = layout.buffer("state", Kind::F32);
    let position = layout.field(state, "position", 1);
    let velocity = layout.field(state, "velocity", 1);
    let parameters = layout.buffer("parameters", Kind::F32);
    let mass = layout.field(parameters, "mass", 1);

    let (stiffness, timestep) = (40.0, 0.01);
    let graph = trace::record("spring", &layout, || {
        let start = (position.load(0), velocity.load(0));
        let (x, v) = trace::repeat(
            trace::uniform("n"),
            start,
            |_| Mask::from(true),
            |(x, v), _| {
                let v = v - timestep * stiffness * x / mass.load(0);
                (x + timestep * v, v)
            },
        );
        position.store(0, x);
        velocity.store(0, v);
    });
    println!("{}", graph.wgsl());
    println!("{:?}", graph.operations());

    let mut memory = HostMemory::<f64>::new(&layout, 2);
    for (world, kilograms) in [1.0, 4.0].into_iter().enumerate() {
        memory.set(position, 0, world, 1.0);
        memory.set(mass, 0, world, kilograms);
    }
    // Half a period of the heavier mass: the other one swings twice as fast, and is back where it began.
    let half_period = std::f64::consts::PI * (4.0 / stiffness).sqrt();
    let steps = (half_period / timestep).round() as u32;
    graph.interpret(&mut memory, &[("n", steps)], 0..2);
    let [light, heavy] = [0, 1].map(|world| memory.get(position, 0, world));
    println!("after {steps} steps: light {light:.3} m, heavy {heavy:.3} m");

    // Semi-implicit Euler is off by the order of timestep × angular frequency, 0.03 here.
    assert!((light - 1.0).abs() < 0.04 && (heavy + 1.0).abs() < 0.04);
}
