//! What a kernel costs before its first step, against its size: recording (µs), printing (µs), naga (ms), driver (ms).
//!
//! The recorded program is a synthetic chain of multiplications, additions, divisions and selections over 48 live
//! values, of 10,000, 30,000 and 65,000 operations. Driver times are cold: Mesa's own cache is switched off.
//!
//! ```text
//! cargo bench --bench compile
//! ```

use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput};
use manyworlds::gpu::{Context, Kernel, Options};
use manyworlds::trace::{self, Field, Graph, Kind, Layout, Var};

const LIVE: usize = 48;

fn layout() -> (Layout, Field) {
    let mut layout = Layout::new();
    let state = layout.buffer("state", Kind::F32);
    let values = layout.field(state, "values", LIVE);
    (layout, values)
}

fn record(layout: &Layout, values: Field, operations: usize) -> Graph {
    trace::record("synthetic", layout, || {
        let mut live = values.load_all();
        let mut state = 1u32;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        let mut count = 0;
        while count < operations {
            // A value replaces the one it is made from, so that no operation is dead.
            let target = draw(LIVE);
            let (a, b) = (live[target], live[draw(LIVE)]);
            let (value, cost): (Var, usize) = match draw(32) {
                0 => (a / (b.square() + 1.0), 3),
                1..4 => (trace::select(a.lt(b), a, b * 0.75), 3),
                _ => (a * 0.61803 + b * 0.31415, 3),
            };
            live[target] = value;
            count += cost;
        }
        values.store_all(&live);
    })
}

fn main() {
    // SAFETY: nothing else runs in this process yet.
    unsafe { std::env::set_var("MESA_SHADER_CACHE_DISABLE", "true") };
    let (layout, values) = layout();
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("record and print");
    for operations in [10_000, 30_000, 65_000] {
        group.throughput(Throughput::Elements(operations as u64));
        let size = BenchmarkId::new("record", operations);
        group.bench_with_input(size, &operations, |b, &n| {
            b.iter(|| record(&layout, values, n))
        });
        let graph = record(&layout, values, operations);
        group.bench_function(BenchmarkId::new("print", operations), |b| {
            b.iter(|| graph.wgsl())
        });
    }
    group.finish();

    let uncached = Options {
        cache_dir: Some(std::path::PathBuf::new()),
        ..Options::default()
    };
    match Context::new(&uncached) {
        Ok(context) => compile_times(&context, &layout, values),
        Err(error) => println!("no compile times: {error}"),
    }
}

/// One cold compilation a size: the driver takes seconds for the largest, too long for many samples.
fn compile_times(context: &Context, layout: &Layout, values: Field) {
    println!(
        "\n{}\n{:>10} {:>10} {:>10} {:>10}",
        context.info(),
        "operations",
        "live",
        "naga ms",
        "driver ms"
    );
    for operations in [1_000, 10_000, 30_000, 65_000] {
        let graph = record(layout, values, operations);
        let start = Instant::now();
        match Kernel::from_graph(context, &graph) {
            Ok(kernel) => {
                let time = kernel.compile_time();
                println!(
                    "{:>10} {LIVE:>10} {:>10.1} {:>10.1}",
                    graph.operations().total,
                    time.naga.as_secs_f64() * 1e3,
                    time.driver.as_secs_f64() * 1e3
                );
            }
            Err(error) => println!(
                "{operations:>10} failed after {:?}: {error}",
                start.elapsed()
            ),
        }
    }
}
