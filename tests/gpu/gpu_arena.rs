//! Arenas: memory by layout, traced kernels on it, and what moves between host and device.

use std::cell::RefCell;

use manyworlds::error::Result;
use manyworlds::gpu::{Allocate, Allocation, Arenas, Context, Kernel, POISON, Recorder};
use manyworlds::trace::{self, Field, HostMemory, Kind, Layout};

use crate::common::gpu;

/// Two buffers per world and a table.
struct Example {
    layout: Layout,
    qpos: Field,
    qvel: Field,
    count: Field,
    gains: Field,
}

fn example() -> Example {
    let mut layout = Layout::new();
    let state = layout.buffer("state", Kind::F32);
    let counters = layout.buffer("counters", Kind::U32);
    let constants = layout.table("constants", Kind::F32);
    let qpos = layout.field(state, "qpos", 3);
    let qvel = layout.field(state, "qvel", 3);
    let count = layout.field(counters, "count", 2);
    let gains = layout.field(constants, "gains", 5);
    Example {
        layout,
        qpos,
        qvel,
        count,
        gains,
    }
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|index| index as f32 - 7.5).collect()
}

#[test]
fn values_come_back_as_they_were_written() {
    let Some(context) = gpu::context() else {
        return;
    };
    let example = example();
    // A number of worlds that is no multiple of anything, one that is the stride, and a single world.
    for worlds in [100, 128, 1] {
        let arenas = Arenas::new(&context, &example.layout, worlds, &context).unwrap();
        assert!(arenas.stride() >= worlds && arenas.stride().is_multiple_of(64));
        let all = 0..worlds;
        assert_eq!(
            arenas.read_field::<f32>(example.qvel, all.clone()).unwrap(),
            vec![0.0; 3 * worlds as usize]
        );
        arenas.poison().unwrap();
        let given = values(3 * worlds as usize);
        arenas
            .write_field(example.qpos, all.clone(), &given)
            .unwrap();
        assert_eq!(
            arenas.read_field::<f32>(example.qpos, all.clone()).unwrap(),
            given
        );
        for field in [example.qvel, example.qvel.slice(1, 2)] {
            let rest = arenas.read_field::<f32>(field, all.clone()).unwrap();
            assert!(
                rest.iter().all(|value| value.to_bits() == POISON),
                "the neighbour is untouched"
            );
        }
        let counts: Vec<u32> = (0..2 * worlds).collect();
        arenas
            .write_field(example.count, all.clone(), &counts)
            .unwrap();
        assert_eq!(
            arenas.read_field::<u32>(example.count, all).unwrap(),
            counts
        );
        arenas
            .write_table(example.gains, &[1.0, 2.0, 3.0, 4.0, 5.0_f32])
            .unwrap();
        assert_eq!(
            arenas.read_table::<f32>(example.gains).unwrap(),
            [1.0, 2.0, 3.0, 4.0, 5.0]
        );
        assert_eq!(
            arenas.read_table::<f32>(example.gains.slice(3, 2)).unwrap(),
            [4.0, 5.0]
        );
        arenas.zero().unwrap();
        assert_eq!(arenas.read_table::<f32>(example.gains).unwrap(), [0.0; 5]);
    }
}

#[test]
fn some_worlds_can_be_written_and_read() {
    let Some(context) = gpu::context() else {
        return;
    };
    let example = example();
    let arenas = Arenas::new(&context, &example.layout, 100, &context).unwrap();
    arenas.poison().unwrap();
    arenas
        .write_field(example.qpos, 30..32, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0_f32])
        .unwrap();
    let read = arenas.read_field::<f32>(example.qpos, 29..33).unwrap();
    let bits: Vec<u32> = read.iter().map(|value| value.to_bits()).collect();
    let [a, b, c, d, e, f] = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(f32::to_bits);
    assert_eq!(
        bits,
        [
            POISON, a, b, POISON, POISON, c, d, POISON, POISON, e, f, POISON
        ]
    );
    assert_eq!(
        arenas
            .read_field::<f32>(example.qpos.slice(1, 1), 30..32)
            .unwrap(),
        [3.0, 4.0]
    );
    assert!(
        arenas
            .read_field::<f32>(example.qpos, 5..5)
            .unwrap()
            .is_empty()
    );

    let mut recorder = Recorder::new(&context);
    recorder
        .fill_field(&arenas, example.qpos.slice(1, 2), 31..33, -1.0_f32)
        .unwrap();
    recorder
        .fill_field(&arenas, example.gains.slice(1, 3), 0..1, 2.5_f32)
        .unwrap();
    recorder.submit().unwrap();
    let read = arenas.read_field::<f32>(example.qpos, 30..33).unwrap();
    let bits: Vec<u32> = read.iter().map(|value| value.to_bits()).collect();
    let minus = (-1.0_f32).to_bits();
    assert_eq!(bits, [a, b, POISON, c, minus, minus, e, minus, minus]);
    let gains: Vec<u32> = arenas
        .read_table::<f32>(example.gains)
        .unwrap()
        .iter()
        .map(|value| value.to_bits())
        .collect();
    let filled = 2.5_f32.to_bits();
    assert_eq!(gains, [POISON, filled, filled, filled, POISON]);
}

#[test]
fn wrong_requests_are_errors() {
    let Some(context) = gpu::context() else {
        return;
    };
    let example = example();
    let arenas = Arenas::new(&context, &example.layout, 100, &context).unwrap();
    let message = |result: Result<()>| result.unwrap_err().to_string();
    assert_eq!(
        message(arenas.write_field(example.qpos, 0..10, &[0.0_f32; 29])),
        "qpos: 29 values are given where 30 go"
    );
    assert_eq!(
        message(arenas.write_field(example.qpos, 90..101, &[0.0_f32; 33])),
        "qpos: worlds 90..101 of 100"
    );
    let read = arenas
        .read_field::<u32>(example.qvel.slice(1, 1), 0..1)
        .unwrap_err();
    assert_eq!(read.to_string(), "qvel: it holds F32, and U32 is asked for");
    assert_eq!(
        message(arenas.write_table(example.qpos, &[0.0_f32; 3])),
        "qpos: it has a value per world, and is not a table"
    );
    let mut other = Layout::new();
    let buffer = other.buffer("other", Kind::F32);
    let foreign = other.field(buffer, "large", 50);
    assert!(
        message(arenas.write_field(foreign, 0..1, &[0.0_f32; 50]))
            .ends_with("is not of these arenas' layout")
    );
    assert_eq!(
        Arenas::new(&context, &example.layout, 0, &context)
            .unwrap_err()
            .to_string(),
        "0 worlds (at least one is needed)"
    );
}

#[test]
fn too_many_worlds_say_how_many_would_fit() {
    let Some(context) = gpu::context() else {
        return;
    };
    let mut layout = Layout::new();
    let state = layout.buffer("state", Kind::F32);
    layout.field(state, "qpos", 1000);
    // 2^30 worlds need 4 TB: no device can bind that, and nothing is allocated.
    let error = Arenas::new(&context, &layout, 1 << 30, &context)
        .unwrap_err()
        .to_string();
    println!("{error}");
    assert!(
        error.contains(
            "buffer `state` has 1000 values per world, 4096000 MiB for 1073741824 worlds"
        ),
        "{error}"
    );
    let fit: u32 = error
        .split_once("(at most ")
        .and_then(|(_, rest)| rest.split_once(" worlds fit)"))
        .unwrap_or_else(|| panic!("{error}"))
        .0
        .parse()
        .unwrap();
    assert!(Arenas::new(&context, &layout, fit + 1, &context).is_err());
    let limits = &context.info().limits;
    let most = limits
        .max_storage_buffer_binding_size
        .min(limits.max_buffer_size);
    assert!(u64::from(fit) * 4000 <= most && u64::from(fit + 64) * 4000 > most);
}

#[test]
fn fields_are_copied_on_the_device() {
    let Some(context) = gpu::context() else {
        return;
    };
    let example = example();
    let arenas = Arenas::new(&context, &example.layout, 70, &context).unwrap();
    let others = Arenas::new(&context, &example.layout, 70, &context).unwrap();
    others.poison().unwrap();
    arenas
        .write_field(example.qpos, 0..70, &values(210))
        .unwrap();
    arenas.write_table(example.gains, &values(5)).unwrap();
    let before = context.transfers();
    let mut recorder = Recorder::new(&context);
    recorder
        .copy_field((&arenas, example.qpos), (&arenas, example.qvel))
        .unwrap(); // in one buffer
    recorder
        .copy_field((&arenas, example.qvel), (&others, example.qpos))
        .unwrap(); // from buffer to buffer
    recorder
        .copy_field(
            (&arenas, example.gains.slice(0, 2)),
            (&arenas, example.gains.slice(3, 2)),
        )
        .unwrap();
    recorder.submit().unwrap().wait().unwrap();
    assert_eq!(context.transfers(), before, "copies stay on the device");
    assert_eq!(
        arenas.read_field::<f32>(example.qvel, 0..70).unwrap(),
        values(210)
    );
    assert_eq!(
        others.read_field::<f32>(example.qpos, 0..70).unwrap(),
        values(210)
    );
    assert_eq!(
        arenas.read_table::<f32>(example.gains).unwrap(),
        [-7.5, -6.5, -5.5, -7.5, -6.5]
    );
    let untouched = others.read_field::<f32>(example.qvel, 0..70).unwrap();
    assert!(untouched.iter().all(|value| value.to_bits() == POISON));

    let mut recorder = Recorder::new(&context);
    let part = |start| (&arenas, example.qpos.slice(start, 2));
    let error = recorder
        .copy_field(part(0), part(1))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "`qpos` and `qpos` overlap");
    let error = recorder
        .copy_field((&arenas, example.qpos), (&others, example.count))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "`qpos` (3 F32, 70 worlds) and `count` (2 U32, 70 worlds) do not match"
    );
}

/// Hands out parts of one buffer, as a pool does.
struct Pool {
    buffer: wgpu::Buffer,
    used: RefCell<u64>,
}

impl Allocate for Pool {
    fn allocate(&self, _label: &str, bytes: u64) -> Result<Allocation> {
        let offset = *self.used.borrow();
        *self.used.borrow_mut() = (offset + bytes).next_multiple_of(256);
        Ok(Allocation {
            buffer: self.buffer.clone(),
            offset,
            size: bytes,
            keep_alive: Box::new(()),
        })
    }
}

#[test]
fn arenas_live_in_memory_from_elsewhere() {
    let Some(context) = gpu::context() else {
        return;
    };
    let example = example();
    let pool = Pool {
        buffer: context.allocate("pool", 1 << 16).unwrap().buffer,
        used: RefCell::new(256),
    };
    let arenas = Arenas::new(&context, &example.layout, 100, &pool).unwrap();
    arenas.poison().unwrap();
    arenas
        .write_field(example.count, 0..100, &[7_u32; 200])
        .unwrap();
    let mut recorder = Recorder::new(&context);
    let count = |row| (&arenas, example.count.slice(row, 1));
    recorder.copy_field(count(0), count(1)).unwrap();
    recorder
        .fill_field(&arenas, example.qvel, 0..100, 1.0_f32)
        .unwrap();
    recorder.submit().unwrap();
    assert_eq!(
        arenas.read_field::<u32>(example.count, 0..100).unwrap(),
        [7; 200]
    );
    assert_eq!(
        arenas.read_field::<f32>(example.qvel, 0..100).unwrap(),
        [1.0; 300]
    );
    let qpos = arenas.read_field::<f32>(example.qpos, 0..100).unwrap();
    assert!(qpos.iter().all(|value| value.to_bits() == POISON));
}

/// Explicit Euler in a loop: a kernel with a run-time count, a table, and integers.
fn euler(example: &Example) -> trace::Graph {
    trace::record("euler", &example.layout, || {
        let (position, velocity) = (example.qpos.load(0), example.qvel.load(0));
        let gain = example.gains.load(0);
        let steps = trace::uniform("steps");
        let (position, velocity) = trace::repeat(
            steps,
            (position, velocity),
            |_| trace::Mask::from(true),
            |(position, velocity), _| {
                let velocity = velocity - 0.01 * gain * position;
                (position + 0.01 * velocity, velocity)
            },
        );
        example.qpos.store(0, position);
        example.qvel.store(0, velocity);
        example
            .count
            .store_bits(1, example.count.load_bits(0) + steps + trace::world());
    })
}

#[test]
fn a_recorded_function_runs_on_its_worlds_only() {
    let Some(context) = gpu::context() else {
        return;
    };
    let example = example();
    let graph = euler(&example);
    let kernel = Kernel::from_graph(&context, &graph).unwrap();
    println!("{:?}", kernel.compile_time());
    let worlds = 200;
    let arenas = Arenas::new(&context, &example.layout, worlds, &context).unwrap();
    arenas.poison().unwrap();
    arenas
        .write_table(example.gains, &[4.0, 0.0, 0.0, 0.0, 0.0_f32])
        .unwrap();
    arenas
        .write_field(example.qpos, 0..worlds, &values(600))
        .unwrap();
    arenas
        .write_field(example.count.slice(0, 1), 0..worlds, &vec![1_u32; 200])
        .unwrap();
    arenas
        .write_field(example.qvel.slice(0, 1), 0..worlds, &vec![0.5_f32; 200])
        .unwrap();

    let mut memory = HostMemory::<f32>::new(&example.layout, worlds as usize);
    memory.set(example.gains, 0, 0, 4.0);
    for world in 0..worlds as usize {
        memory.set(example.qpos, 0, world, f64::from(values(600)[world]));
        memory.set(example.qvel, 0, world, 0.5);
        memory.set_bits(example.count, 0, world, 1);
    }
    graph.interpret(&mut memory, &[("steps", 5)], 70..150);

    let before = context.transfers();
    let mut recorder = Recorder::new(&context);
    recorder
        .run(&kernel, &arenas, 70..150, &[("steps", 5)])
        .unwrap();
    recorder.submit().unwrap().wait().unwrap();
    assert_eq!(
        context.transfers(),
        before,
        "a step moves nothing between host and device"
    );

    let position = arenas.read_field::<f32>(example.qpos, 0..worlds).unwrap();
    let count = arenas.read_field::<u32>(example.count, 0..worlds).unwrap();
    for world in 0..worlds as usize {
        let expected = memory.get(example.qpos, 0, world);
        let error = (f64::from(position[world]) - expected).abs() / expected.abs().max(1.0);
        // Ten roundings, where the device may fuse a product and a sum and the interpreter does not.
        assert!(
            error <= 1e-6,
            "world {world}: {} for {expected}",
            position[world]
        );
        let untouched = !(70..150).contains(&world);
        let expected = if untouched {
            POISON
        } else {
            memory.get_bits(example.count, 1, world)
        };
        assert_eq!(count[worlds as usize + world], expected, "world {world}");
    }
    assert_eq!(
        position[200..],
        values(600)[200..],
        "components that the kernel does not store"
    );
}

#[test]
fn a_kernel_of_another_layout_is_refused() {
    let Some(context) = gpu::context() else {
        return;
    };
    let example = example();
    let kernel = Kernel::from_graph(&context, &euler(&example)).unwrap();
    let mut layout = Layout::new();
    let other = layout.buffer("other", Kind::F32);
    layout.field(other, "qpos", 3);
    let arenas = Arenas::new(&context, &layout, 64, &context).unwrap();
    let error = Recorder::new(&context)
        .run(&kernel, &arenas, 0..64, &[("steps", 1)])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "kernel euler: it binds `state` as buffer 0; the layout has `other` there"
    );
    let error = Recorder::new(&context)
        .run(&kernel, &arenas, 0..65, &[("steps", 1)])
        .unwrap_err();
    assert_eq!(error.to_string(), "kernel euler: worlds 0..65 of 64");
}

#[test]
fn transfers_are_counted() {
    let Some(context) = gpu::context() else {
        return;
    };
    let example = example();
    let kernel = Kernel::from_graph(&context, &euler(&example)).unwrap();
    let arenas = Arenas::new(&context, &example.layout, 10, &context).unwrap();
    let start = context.transfers();
    arenas
        .write_field(example.qpos, 0..10, &[1.0_f32; 30])
        .unwrap();
    let after = context.transfers();
    assert_eq!(
        (
            after.uploads - start.uploads,
            after.upload_bytes - start.upload_bytes
        ),
        (1, 120)
    );
    for steps in 0..50 {
        let mut recorder = Recorder::new(&context);
        recorder
            .run(&kernel, &arenas, 0..10, &[("steps", steps)])
            .unwrap();
        recorder.submit().unwrap();
    }
    assert_eq!(context.transfers(), after);
    arenas.read_field::<f32>(example.qpos, 2..4).unwrap();
    let end = context.transfers();
    assert_eq!(
        (
            end.downloads - after.downloads,
            end.download_bytes - after.download_bytes
        ),
        (1, 24)
    );
    assert_eq!(
        (end.uploads, end.upload_bytes),
        (after.uploads, after.upload_bytes)
    );
}

#[test]
fn a_read_is_of_the_moment_it_was_begun() {
    let Some(context) = gpu::context() else {
        return;
    };
    let example = example();
    let arenas = Arenas::new(&context, &example.layout, 64, &context).unwrap();
    let write = |value: f32| {
        arenas
            .write_field(example.qpos, 0..64, &[value; 192])
            .unwrap()
    };
    write(1.0);
    let first = arenas.begin_read::<f32>(example.qpos, 0..64).unwrap();
    write(2.0);
    let second = arenas.begin_read::<f32>(example.qpos, 0..64).unwrap();
    write(3.0);
    assert_eq!(pollster::block_on(second).unwrap(), [2.0; 192]);
    assert_eq!(first.wait().unwrap(), [1.0; 192]);
}

#[test]
fn arenas_keep_their_context() {
    let Some(context) = gpu::context() else {
        return;
    };
    let example = example();
    let arenas = Arenas::new(&context, &example.layout, 64, &context).unwrap();
    let name = context.info().adapter.clone();
    drop::<Context>(context);
    arenas.write_table(example.gains, &[3.0_f32; 5]).unwrap();
    assert_eq!(arenas.read_table::<f32>(example.gains).unwrap(), [3.0; 5]);
    assert_eq!(arenas.context().info().adapter, name);
}
