//! Regions, folding, sharing, leaks, stores, and random graphs folded against unfolded.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

/// Inputs and outputs of a test graph.
struct Board {
    layout: Layout,
    input: Field,
    output: Field,
    counts: Field,
}

impl Board {
    fn new() -> Self {
        let mut layout = Layout::new();
        let floats = layout.buffer("floats", Kind::F32);
        let bits = layout.buffer("bits", Kind::U32);
        let input = layout.field(floats, "input", 4);
        let output = layout.field(floats, "output", 4);
        let counts = layout.field(bits, "counts", 4);
        Self {
            layout,
            input,
            output,
            counts,
        }
    }

    fn run(&self, graph: &Graph, input: [f64; 4]) -> Vec<f64> {
        let mut memory = HostMemory::<f64>::new(&self.layout, 1);
        for (component, value) in input.into_iter().enumerate() {
            memory.set(self.input, component, 0, value);
        }
        graph.interpret(&mut memory, &[("n", 3)], 0..1);
        memory.row(self.output, 0)
    }
}

/// The message of the panic that `work` ends in.
fn panic_of(work: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(work)).expect_err("a panic was expected");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload
            .downcast::<&str>()
            .map(|text| text.to_string())
            .unwrap_or_default(),
    }
}

#[test]
fn constants_fold_and_common_expressions_are_shared() {
    let board = Board::new();
    let graph = record("fold", &board.layout, || {
        let x = board.input.load(0);
        let y = board.input.load(1);
        let sum = (x + y) * 2.0 + 0.0 * x;
        let again = (y + x) * Var::from(1.0 + 1.0);
        board.output.store(0, sum + again * 0.0);
        board.output.store(1, again - (-x));
        board.output.store(
            2,
            x / 4.0 + select(Mask::constant(true), x, y) - y.min(f64::INFINITY),
        );
    });
    // x + y, times 2, plus x; x / 4, plus x, minus y.
    assert_eq!(graph.operations().total, 6);
    assert_eq!(graph.operations().divisions, 0);
    assert_eq!(
        board.run(&graph, [3.0, 5.0, 0.0, 0.0])[..3],
        [16.0, 19.0, -1.25]
    );
}

#[test]
fn repeat_stops_per_world_and_keeps_the_carry_of_the_iteration_that_stopped() {
    let board = Board::new();
    let graph = record("double until", &board.layout, || {
        let start = board.input.load(0);
        let (value, count) = repeat(
            10u32,
            (start, Bits::ZERO),
            |(x, _)| x.lt(100.0),
            |(x, n), _| (2.0 * x, n + 1),
        );
        board.output.store(0, value);
        board.counts.store_bits(0, count);
    });
    let mut memory = HostMemory::<f32>::new(&board.layout, 4);
    for (world, start) in [1.0, 30.0, 200.0, 1e-6].into_iter().enumerate() {
        memory.set(board.input, 0, world, start);
    }
    graph.interpret(&mut memory, &[], 0..4);
    let results: Vec<_> = (0..4)
        .map(|world| {
            (
                memory.get(board.output, 0, world),
                memory.get_bits(board.counts, 0, world),
            )
        })
        .collect();
    assert_eq!(results[..3], [(128.0, 7), (120.0, 2), (200.0, 0)]);
    assert_eq!(results[3].1, 10, "the iteration limit holds");
}

/// What is never loaded may be stored in a loop, at an index that the loop computes.
#[test]
fn a_loop_fills_a_field() {
    let board = Board::new();
    let graph = record("fill", &board.layout, || {
        let start = board.input.load(0);
        repeat(
            uniform("n"),
            start,
            |_| true.into(),
            |x, i| {
                board.output.store_at(i + 1, x);
                2.0 * x
            },
        );
    });
    assert_eq!(graph.operations().stores, 1);
    assert_eq!(
        board.run(&graph, [3.0, 0.0, 0.0, 0.0]),
        [0.0, 3.0, 6.0, 12.0]
    );
}

/// A mask that is the same in every iteration is tested once; nothing tests it inside of the loop.
#[test]
fn a_mask_that_no_iteration_changes_guards_the_whole_loop() {
    let board = Board::new();
    let graph = record("guarded loop", &board.layout, || {
        let go = board.input.load(1).gt(0.0);
        let body = |x: Var, _| x * 2.0;
        let doubled = repeat(uniform("n"), board.input.load(0), |_| go, body);
        board.output.store(0, doubled);
    });
    let wgsl = graph.wgsl();
    let body = &wgsl[wgsl.find("loop {").unwrap()..];
    assert!(!body.contains('!') && body.contains("break"), "{wgsl}");
    assert_eq!(board.run(&graph, [5.0, 1.0, 0.0, 0.0])[0], 40.0);
    assert_eq!(board.run(&graph, [5.0, -1.0, 0.0, 0.0])[0], 5.0);
}

#[test]
fn unchanged_carries_vanish_and_invariants_leave_the_loop() {
    let board = Board::new();
    let recorded = Cell::new(0);
    let graph = record("invariant", &board.layout, || {
        let [a, b, c] = [0, 1, 2].map(|component| board.input.load(component));
        let carry = repeat(
            uniform("n"),
            [a, b, c],
            |_| Mask::constant(true),
            |[a, b, c], _| {
                recorded.set(recorded.get() + 1);
                [a + b * c, b, c]
            },
        );
        board
            .output
            .store_all(&[carry[0], carry[1], carry[2], Var::ZERO]);
    });
    assert_eq!(recorded.get(), 2);
    assert_eq!(graph.operations().carries, 1);
    assert_eq!(graph.operations().total, 2);
    let wgsl = graph.wgsl();
    let (product, start) = (wgsl.find(" * t").unwrap(), wgsl.find("loop {").unwrap());
    assert!(
        product < start,
        "the product is computed before the loop:\n{wgsl}"
    );
    assert_eq!(
        board.run(&graph, [1.0, 2.0, 3.0, 0.0])[..3],
        [19.0, 2.0, 3.0]
    );
}

#[test]
fn swapped_carries_are_read_before_they_are_written() {
    let board = Board::new();
    let graph = record("swap", &board.layout, || {
        let pair = (board.input.load(0), board.input.load(1));
        let (a, b) = repeat(
            uniform("n"),
            pair,
            |_| Mask::constant(true),
            |(a, b), _| (b, a),
        );
        board.output.store(0, a);
        board.output.store(1, b);
    });
    assert_eq!(board.run(&graph, [1.0, 2.0, 0.0, 0.0])[..2], [2.0, 1.0]);
}

#[test]
fn what_a_branch_computes_stays_inside_it() {
    let board = Board::new();
    let graph = record("guard", &board.layout, || {
        let (x, y) = (board.input.load(0), board.input.load(1));
        let guarded = when(x.gt(0.0), y, |y| {
            board.output.store(1, 7.0);
            (x * x).sqrt() + y
        });
        board.output.store(0, guarded);
        board.output.store(2, x * x);
    });
    let wgsl = graph.wgsl();
    let (branch, root) = (wgsl.find("if t").unwrap(), wgsl.find("sqrt").unwrap());
    assert!(
        branch < root,
        "the square root is inside the branch:\n{wgsl}"
    );
    assert_eq!(
        board.run(&graph, [2.0, 5.0, 0.0, 0.0])[..3],
        [7.0, 7.0, 4.0]
    );
    assert_eq!(
        board.run(&graph, [-2.0, 5.0, 0.0, 0.0])[..3],
        [5.0, 0.0, 4.0]
    );
}

/// What only a branch reads goes into it, through branches within, but not into loops, and not what others read too.
#[test]
fn what_only_a_branch_reads_sinks_into_it() {
    let board = Board::new();
    let graph = record("sink", &board.layout, || {
        let (x, y) = (board.input.load(0), board.input.load(1));
        let (only, looped, shared) = ((x + 3.0).sqrt(), (x + 5.0).sqrt(), (x + 7.0).sqrt());
        let chosen = when(x.gt(0.0), y, |y| {
            let inner = when(y.gt(1.0), y, |y| y + only);
            repeat(
                2u32,
                inner,
                |_| true.into(),
                |sum, i| sum + looped * i.to_var() + shared,
            )
        });
        board.output.store(0, chosen);
        board.output.store(1, shared);
    });
    let wgsl = graph.wgsl();
    let depth = |constant: &str| {
        let line = wgsl.lines().find(|line| line.contains(constant)).unwrap();
        line.len() - line.trim_start().len()
    };
    assert_eq!(
        [depth("7.0f"), depth("5.0f"), depth("3.0f")],
        [2, 4, 6],
        "{wgsl}"
    );
    let expected = |x: f32, y: f32| {
        let inner = if y > 1.0 { y + (x + 3.0).sqrt() } else { y };
        let sum = inner + (x + 5.0).sqrt() + 2.0 * (x + 7.0).sqrt();
        [if x > 0.0 { sum } else { y }, (x + 7.0).sqrt()]
    };
    for (x, y) in [(1.0, 2.0), (1.0, 0.5), (-1.0, 2.0)] {
        let seen = board.run(&graph, [x.into(), y.into(), 0.0, 0.0]);
        for (seen, expected) in seen.iter().zip(expected(x, y)) {
            assert!(
                (seen - f64::from(expected)).abs() < 1e-6,
                "{seen} {expected}"
            );
        }
    }
}

#[test]
fn dead_code_and_dead_carries_are_not_printed() {
    let board = Board::new();
    let graph = record("dead", &board.layout, || {
        let x = board.input.load(0);
        let _unused = x.sqrt();
        let (value, _total) = repeat(
            uniform("n"),
            (x, Var::ZERO),
            |_| Mask::constant(true),
            |(x, total), _| (x * 0.5, total + x.abs()),
        );
        board.output.store(0, value);
    });
    assert_eq!(
        (graph.operations().total, graph.operations().carries),
        (1, 1)
    );
    assert!(!graph.wgsl().contains("abs") && !graph.wgsl().contains("sqrt"));
}

#[test]
fn misuse_panics_with_the_stage_and_the_remedy() {
    let board = Board::new();
    let leak = panic_of(|| {
        let leaked = Cell::new(Var::ZERO);
        record("leak", &board.layout, || {
            let x = board.input.load(0);
            stage("collision", || {
                when(x.gt(0.0), x, |x| {
                    leaked.set(x + 1.0);
                    x
                })
            });
            stage("solve", || board.output.store(0, leaked.get()));
        });
    });
    assert!(
        leak.contains("`collision`") && leak.contains("`solve`") && leak.contains("carry"),
        "{leak}"
    );

    let foreign = panic_of(|| {
        let kept = Cell::new(Var::ZERO);
        record("first", &board.layout, || kept.set(board.input.load(0)));
        record("second", &board.layout, || {
            board.output.store(0, kept.get() * 2.0)
        });
    });
    assert!(
        foreign.contains("another recording") && foreign.contains("`second`"),
        "{foreign}"
    );

    let order = panic_of(|| {
        record("order", &board.layout, || {
            board.output.store(0, 1.0);
            board.output.load(0);
        });
    });
    assert!(
        order.contains("`output` is loaded after it was stored"),
        "{order}"
    );

    let looped = panic_of(|| {
        record("loop", &board.layout, || {
            repeat(
                uniform("n"),
                board.input.load(0),
                |_| Mask::constant(true),
                |x, _| {
                    board.input.store(0, x);
                    x + 1.0
                },
            );
        });
    });
    assert!(
        looped.contains("`repeat`") && looped.contains("loaded"),
        "{looped}"
    );

    assert!(panic_of(|| _ = board.input.load(0)).contains("outside of `trace::record`"));
    // After all these panics this thread records as before.
    record("again", &board.layout, || board.output.store(0, 1.0));
}

#[test]
fn finiteness_is_read_from_the_bits() {
    let board = Board::new();
    let graph = record("finite", &board.layout, || {
        for component in 0..4 {
            board.output.store(
                component,
                select(board.input.load(component).finite(), Var::ONE, Var::ZERO),
            );
        }
    });
    assert_eq!(
        board.run(&graph, [1e30, f64::NAN, f64::INFINITY, -0.0]),
        [1.0, 0.0, 0.0, 1.0]
    );
    assert!(graph.wgsl().contains("bitcast<u32>"));
}

#[test]
fn computed_addresses_reach_rings_and_tables() {
    let mut layout = Layout::new();
    let state = layout.buffer("state", Kind::F32);
    let ring = layout.field(state, "ring", 3);
    let out = layout.field(state, "out", 2);
    let bits = layout.buffer("bits", Kind::U32);
    let head = layout.field(bits, "head", 1);
    let shared = layout.table("shared", Kind::F32);
    let table = layout.field(shared, "table", 2);
    let graph = record("ring", &layout, || {
        let head = head.load_bits(0);
        out.store(0, ring.load_at(head) + table.load_at(head + 7));
        out.store(1, ring.load(0));
        ring.store_at(head, -1.0);
    });
    let mut memory = HostMemory::<f32>::new(&layout, 2);
    for world in 0..2 {
        (0..3).for_each(|at| memory.set(ring, at, world, (10 * world + at) as f64));
        memory.set_bits(head, 0, world, 1 + world as u32);
    }
    memory.set(table, 1, 0, 0.5);
    graph.interpret(&mut memory, &[], 0..2);
    assert_eq!(
        (memory.row(out, 0), memory.row(out, 1)),
        (vec![1.5, 0.0], vec![12.5, 10.0])
    );
    assert_eq!(
        (memory.row(ring, 0), memory.row(ring, 1)),
        (vec![0.0, -1.0, 2.0], vec![10.0, 11.0, -1.0])
    );
}

#[test]
fn externs_run_their_twin_and_are_printed_as_calls() {
    let mut layout = Layout::new();
    let state = layout.buffer("state", Kind::F32);
    let value = layout.field(state, "value", 2);
    let shared = layout.table("points", Kind::F32);
    let points = layout.field(shared, "point", 3);
    let nearest = Extern {
        name: "nearest",
        source: "struct nearest_result { r0: f32, r1: u32 }\nfn nearest(x: f32) -> nearest_result { \
                 var best = nearest_result(points[0], 0u); for (var i = 1u; i < 3u; i++) { \
                 if abs(points[i] - x) < abs(best.r0 - x) { best = nearest_result(points[i], i); } } return best; }",
        parameters: vec![Type::Float],
        results: vec![Type::Float, Type::Bits],
        tables: vec![points],
        twin: std::sync::Arc::new(|arguments, tables| {
            let Scalar::Float(x) = arguments[0] else {
                panic!("a float")
            };
            let distance = |at: &usize| (tables.float(0, *at) - x).abs();
            let best = (0..3)
                .min_by(|a, b| distance(a).total_cmp(&distance(b)))
                .unwrap();
            vec![
                Scalar::Float(tables.float(0, best)),
                Scalar::Bits(best as u32),
            ]
        }),
    };
    let graph = record("nearest", &layout, || {
        let results = call(&nearest, &[Value::Var(value.load(0))]);
        let [Value::Var(point), Value::Bits(at)] = results[..] else {
            panic!("a float and bits")
        };
        value.store(0, point);
        value.store(1, at.to_var());
    });
    let mut memory = HostMemory::<f64>::new(&layout, 1);
    [0.0, 2.0, 5.0]
        .into_iter()
        .enumerate()
        .for_each(|(at, point)| memory.set(points, at, 0, point));
    memory.set(value, 0, 0, 3.2);
    graph.interpret(&mut memory, &[], 0..1);
    assert_eq!(memory.row(value, 0), [2.0, 1.0]);
    let module = naga::front::wgsl::parse_str(&graph.wgsl());
    assert!(module.is_ok(), "{}\n{:?}", graph.wgsl(), module.err());
}

#[test]
fn stages_are_counted_and_printed() {
    let board = Board::new();
    let graph = record("stages", &board.layout, || {
        let x = stage("first", || board.input.load(0) * 3.0);
        let y = stage("second", || stage("inner", || x * x + 1.0));
        board.output.store(0, y);
    });
    assert_eq!(
        graph.operations().by_stage,
        [("first".to_string(), 1), ("second/inner".to_string(), 2)]
    );
    assert!(graph.wgsl().contains("// second/inner"));
}

/// A program over a stack of values, so that every byte string is a valid one.
fn random_program(bytes: &[u8], inputs: &[Var]) -> Vec<Var> {
    let mut stack: Vec<Var> = inputs.to_vec();
    for op in bytes.iter().copied() {
        let pick = |offset: u8| stack[(stack.len() + usize::from(offset)) / 2 % stack.len()];
        let (a, b) = (pick(op >> 4), pick(op & 15));
        let constant = Var::from([0.0, 1.0, -1.0, 0.5, 3.0][usize::from(op) % 5]);
        let value = match op % 12 {
            0 => a + b,
            1 => a - b,
            2 => a * b * 0.25,
            3 => a / (b.abs() + 1.0),
            4 => a.min(b) + constant,
            5 => (-a).max(b) * constant,
            6 => (a.abs() + constant.abs()).sqrt(),
            7 => select(a.lt(b), a, b - constant),
            8 => (a - constant) / 3.0,
            9 => {
                when(a.gt(b) | constant.gt(0.0), (a, b), |(a, b)| {
                    (a * constant + b, b)
                })
                .0
            }
            10 => {
                let go = |(x, _): &(Var, Var)| x.abs().lt(50.0);
                repeat(Bits::from(u32::from(op) % 4), (a, b), go, |(x, y), i| {
                    (x + y * constant + i.to_var(), y)
                })
                .0
            }
            _ => a.bitcast().bitcast() - b.finite().select_one(),
        };
        stack.push(value.clamp(-1e3, 1e3));
    }
    stack.split_off(stack.len() - 4)
}

impl Mask {
    fn select_one(self) -> Var {
        select(self, Var::ONE, Var::ZERO)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Folding, sharing and hoisting change no value beyond rounding.
    #[test]
    fn folded_and_unfolded_graphs_agree(bytes in proptest::collection::vec(any::<u8>(), 1..60),
                                        input in proptest::array::uniform4(-4.0..4.0f64)) {
        let board = Board::new();
        let graphs = [true, false].map(|fold| {
            record_with(Options { fold }, "random", &board.layout, || {
                let values = random_program(&bytes, &board.input.load_all());
                board.output.store_all(&values);
            })
        });
        let input = input.map(|x| f64::from(x as f32));
        let [folded, unfolded] = [0, 1].map(|at| board.run(&graphs[at], input));
        for (a, b) in folded.iter().zip(&unfolded) {
            // Bitcasts round to f32, so a last-bit difference before one shows as 1e-7 after it.
            prop_assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{folded:?} {unfolded:?}\n{}", graphs[0].wgsl());
        }
        prop_assert!(graphs[0].operations().total <= graphs[1].operations().total);
        for graph in &graphs {
            let module = naga::front::wgsl::parse_str(&graph.wgsl());
            prop_assert!(module.is_ok(), "{:?}\n{}", module.err(), graph.wgsl());
        }
    }
}
