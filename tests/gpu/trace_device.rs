//! Recorded graphs on the device against the f32 interpreter: floats in ULPs, integers and masks exactly.

use manyworlds::gpu::{Arenas, Kernel, Recorder};
use manyworlds::trace::{
    self, Bits, Field, HostMemory, Kind, Layout, Mask, Var, repeat, select, when,
};

use crate::common::gpu;

const WORLDS: u32 = 200;
const VALUES: usize = 8;

struct Board {
    layout: Layout,
    input: Field,
    output: Field,
    counts: Field,
    counted: Field,
}

fn board() -> Board {
    let mut layout = Layout::new();
    let floats = layout.buffer("floats", Kind::F32);
    let bits = layout.buffer("bits", Kind::U32);
    let input = layout.field(floats, "input", VALUES);
    let output = layout.field(floats, "output", VALUES);
    let counts = layout.field(bits, "counts", 2);
    let counted = layout.field(bits, "counted", 2);
    Board {
        layout,
        input,
        output,
        counts,
        counted,
    }
}

/// A small generator, so that the programs are the same on every machine.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn unit(&mut self) -> f32 {
        self.below(1 << 24) as f32 / (1 << 24) as f32
    }
}

/// A well-conditioned program: every operation keeps values in about [-4, 4] and amplifies no error. Branches are
/// taken on integers, which are exact, so that a last bit never changes the path.
fn program(draw: &mut Draw, length: usize, board: &Board) {
    let mut live = board.input.load_all();
    let mut count = board.counts.load_bits(0);
    for _ in 0..length {
        let (a, b) = (live[draw.below(VALUES)], live[draw.below(VALUES)]);
        let odd = (count & 1).eq(1);
        let value = match draw.below(10) {
            0 => 0.5 * (a + b),
            1 => 0.5 * (a - b),
            2 => 0.25 * a * b,
            3 => a / (b.abs() + 1.0),
            4 => (a.abs() + 1.0).sqrt(),
            5 => a.min(b).max(-b),
            6 => select(odd, a, -b),
            7 => when(odd, a, |a| 0.5 * (a + (b.square() + 0.5).sqrt())),
            8 => {
                let limit = count & 7;
                let go = |(_, n): &(Var, Bits)| n.lt(limit);
                repeat(6u32, (a, Bits::ZERO), go, |(x, n), _| {
                    (0.5 * (x + b), n + 1)
                })
                .0
            }
            _ => 0.5 * a + 0.125 * (count >> 29).to_var(),
        };
        live[draw.below(VALUES)] = value;
        count = (count ^ (count << 13)) * 747_796_405 + draw.below(1000) as u32;
    }
    board.output.store_all(&live);
    board.counted.store_bits(0, count);
    let parity = live
        .iter()
        .fold(Mask::from(false), |mask, value| mask ^ value.finite());
    board
        .counted
        .store_bits(1, select(parity, Bits::from(1), Bits::from(7)));
}

/// Distance in units of the last place of the larger of 1 and the reference.
fn ulps(value: f32, reference: f32) -> f32 {
    (value - reference).abs() / (reference.abs().max(1.0) * f32::EPSILON)
}

#[test]
fn random_programs_agree_with_the_interpreter() {
    let Some(context) = gpu::context() else {
        return;
    };
    let board = board();
    let mut draw = Draw(7);
    let mut worst = 0.0f32;
    for (length, programs) in [(3, 4), (10, 4), (30, 3), (100, 2), (300, 1)] {
        for _ in 0..programs {
            let graph = trace::record("random", &board.layout, || {
                program(&mut draw, length, &board)
            });
            let kernel = Kernel::from_graph(&context, &graph)
                .unwrap_or_else(|error| panic!("{error}\n{}", graph.wgsl()));
            let arenas = Arenas::new(&context, &board.layout, WORLDS, &context).unwrap();
            arenas.poison().unwrap();
            let mut memory = HostMemory::<f32>::new(&board.layout, WORLDS as usize);
            let input: Vec<f32> = (0..VALUES * WORLDS as usize)
                .map(|_| 4.0 * draw.unit() - 2.0)
                .collect();
            let counts: Vec<u32> = (0..2 * WORLDS)
                .map(|_| draw.below(usize::MAX) as u32)
                .collect();
            for world in 0..WORLDS as usize {
                for component in 0..VALUES {
                    let at = component * WORLDS as usize + world;
                    memory.set(board.input, component, world, f64::from(input[at]));
                }
                for component in 0..2 {
                    memory.set_bits(
                        board.counts,
                        component,
                        world,
                        counts[component * WORLDS as usize + world],
                    );
                }
            }
            arenas.write_field(board.input, 0..WORLDS, &input).unwrap();
            arenas
                .write_field(board.counts, 0..WORLDS, &counts)
                .unwrap();
            let mut recorder = Recorder::new(&context);
            recorder.run(&kernel, &arenas, 0..WORLDS, &[]).unwrap();
            recorder.submit().unwrap();
            graph.interpret(&mut memory, &[], 0..WORLDS as usize);

            let output: Vec<f32> = arenas.read_field(board.output, 0..WORLDS).unwrap();
            let counted: Vec<u32> = arenas.read_field(board.counted, 0..WORLDS).unwrap();
            for world in 0..WORLDS as usize {
                for component in 0..VALUES {
                    let value = output[component * WORLDS as usize + world];
                    let reference = memory.get(board.output, component, world) as f32;
                    worst = worst.max(ulps(value, reference));
                    // 1 ULP an operation at worst, halved by the averaging; division and sqrt may be 2.5 ULP off.
                    assert!(
                        ulps(value, reference) <= 16.0,
                        "world {world}: {value} against {reference} after {length} operations\n{}",
                        graph.wgsl()
                    );
                }
                for component in 0..2 {
                    let value = counted[component * WORLDS as usize + world];
                    assert_eq!(
                        value,
                        memory.get_bits(board.counted, component, world),
                        "world {world}"
                    );
                }
            }
        }
    }
    println!("largest difference: {worst} ULP");
}

#[test]
fn non_finite_values_are_found_on_the_device() {
    let Some(context) = gpu::context() else {
        return;
    };
    let board = board();
    let graph = trace::record("finite", &board.layout, || {
        for component in 0..2 {
            let bad = !board.input.load(component).finite()
                | !(board.input.load(component) * 2.0).finite();
            board
                .counted
                .store_bits(component, select(bad, Bits::from(1), Bits::ZERO));
        }
    });
    let kernel = Kernel::from_graph(&context, &graph).unwrap();
    let arenas = Arenas::new(&context, &board.layout, 4, &context).unwrap();
    let input = [
        [f32::NAN, f32::INFINITY, 1.0, 3e38],
        [f32::NEG_INFINITY, -f32::NAN, -0.0, f32::MIN_POSITIVE],
    ];
    arenas
        .write_field(board.input.slice(0, 2), 0..4, &input.concat())
        .unwrap();
    let mut recorder = Recorder::new(&context);
    recorder.run(&kernel, &arenas, 0..4, &[]).unwrap();
    recorder.submit().unwrap();
    let found: Vec<u32> = arenas.read_field(board.counted, 0..4).unwrap();
    assert_eq!(found, [1, 1, 0, 1, 1, 1, 0, 0]);
}
