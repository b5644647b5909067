//! Kernels and recorders on plain buffers: launches, errors, times.

use manyworlds::error::Kind;
use manyworlds::gpu::shader::{self, Source};
use manyworlds::gpu::{Binding, Context, Kernel, Launch, Recorder};
use wgpu::util::DeviceExt;

use crate::common::gpu;

/// Writes what a thread knows of its launch: a u32 for each world, `first_world + index + offset`.
const NUMBER: &str = "
struct Launch { first_world: u32, worlds: u32, stride: u32, pad: u32, a: vec4<u32>, b: vec4<u32> }
@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = gid.x + gid.y * (groups.x * 64u);
    if (index >= launch.worlds) { return; }
    out[launch.first_world + index] = launch.first_world + index + launch.a.x;
}";

const POISON: u32 = 0xdead_beef;

/// A storage buffer with these values.
pub(crate) fn buffer(context: &Context, values: &[u32]) -> wgpu::Buffer {
    context
        .device()
        .create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("test"),
            contents: bytemuck::cast_slice(values),
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
        })
}

/// The values of a buffer, read without the code under test.
pub(crate) fn read(context: &Context, buffer: &wgpu::Buffer) -> Vec<u32> {
    let staging = context.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("test"),
        size: buffer.size(),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = context
        .device()
        .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
    context.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    context
        .device()
        .poll(wgpu::PollType::wait_indefinitely())
        .unwrap();
    bytemuck::pod_collect_to_vec(&staging.get_mapped_range(..).unwrap())
}

fn number(context: &Context) -> Kernel {
    Kernel::new(
        context,
        "number",
        &Source::new("number", NUMBER),
        &["offset"],
    )
    .unwrap()
}

#[test]
fn a_launch_can_be_longer_than_one_dimension() {
    let Some(context) = gpu::context() else {
        return;
    };
    let kernel = number(&context);
    // One workgroup more than fits into one dimension, and a last group that is not full.
    let worlds = 65_536 * 64 - 5;
    let data = buffer(&context, &vec![POISON; 65_536 * 64]);
    let mut recorder = Recorder::new(&context);
    let launch = Launch::new(0..worlds, worlds);
    recorder
        .dispatch(
            &kernel,
            &[Binding::whole(&data)],
            &launch.uniforms(&[("offset", 7)]),
        )
        .unwrap();
    recorder.submit().unwrap();
    let values = read(&context, &data);
    let (written, rest) = values.split_at(worlds as usize);
    assert!(
        written
            .iter()
            .zip(7..)
            .all(|(value, expected)| *value == expected)
    );
    assert_eq!(rest, [POISON; 5]);
}

#[test]
fn only_the_worlds_of_the_launch_are_touched() {
    let Some(context) = gpu::context() else {
        return;
    };
    let kernel = number(&context);
    for worlds in [0..256, 0..1, 3..4, 100..165, 64..128, 255..256, 17..17] {
        let data = buffer(&context, &[POISON; 256]);
        let mut recorder = Recorder::new(&context);
        let launch = Launch::new(worlds.clone(), 256);
        recorder
            .dispatch(
                &kernel,
                &[Binding::whole(&data)],
                &launch.uniforms(&[("offset", 1)]),
            )
            .unwrap();
        recorder.submit().unwrap();
        let expected: Vec<u32> = (0..256)
            .map(|world| {
                if worlds.contains(&world) {
                    world + 1
                } else {
                    POISON
                }
            })
            .collect();
        assert_eq!(read(&context, &data), expected, "worlds {worlds:?}");
    }
}

#[test]
fn commands_see_what_those_before_them_wrote() {
    let Some(context) = gpu::context() else {
        return;
    };
    let source = shader::LIBRARY.compose("gpu/fill").unwrap();
    let fill = Kernel::new(&context, "fill", &source, &["row", "rows", "value"]).unwrap();
    let number = number(&context);
    let (a, b) = (
        buffer(&context, &[POISON; 128]),
        buffer(&context, &[POISON; 128]),
    );
    let whole = [Binding::whole(&a)];
    let half = |buffer: &wgpu::Buffer, offset| Binding {
        buffer: buffer.clone(),
        offset,
        size: 256,
    };
    let launch = |worlds| Launch::new(worlds, 64);
    let mut recorder = Recorder::new(&context);
    let values = [("row", 0), ("rows", 2), ("value", 9)];
    recorder
        .dispatch(&fill, &whole, &launch(0..64).uniforms(&values))
        .unwrap();
    recorder
        .dispatch(&number, &whole, &launch(8..16).uniforms(&[("offset", 100)]))
        .unwrap();
    recorder.copy(&half(&a, 0), &half(&b, 256)).unwrap();
    recorder.clear(&half(&a, 0));
    recorder
        .dispatch(&number, &whole, &launch(0..2).uniforms(&[("offset", 5)]))
        .unwrap();
    recorder.submit().unwrap().wait().unwrap();

    let mut expected = vec![9; 128];
    expected[..64].fill(0);
    expected[..2].copy_from_slice(&[5, 6]);
    assert_eq!(read(&context, &a), expected);
    let copied: Vec<u32> = (0..64)
        .map(|world| {
            if (8..16).contains(&world) {
                world + 100
            } else {
                9
            }
        })
        .collect();
    assert_eq!(read(&context, &b), [vec![POISON; 64], copied].concat());

    let error = Recorder::new(&context)
        .copy(&half(&a, 0), &half(&a, 256))
        .unwrap_err();
    assert_eq!(error.to_string(), "a copy from a buffer into itself");
}

#[test]
fn a_submission_can_hold_more_launches_than_one_parameter_buffer() {
    let Some(context) = gpu::context() else {
        return;
    };
    let kernel = number(&context);
    let data = buffer(&context, &[POISON; 600]);
    let binding = [Binding::whole(&data)];
    for round in 0..3 {
        let mut recorder = Recorder::new(&context);
        for world in 0..600 {
            let values = [("offset", world * 10 + round)];
            recorder
                .dispatch(
                    &kernel,
                    &binding,
                    &Launch::new(world..world + 1, 600).uniforms(&values),
                )
                .unwrap();
        }
        recorder.submit().unwrap();
        let expected: Vec<u32> = (0..600).map(|world| world * 11 + round).collect();
        assert_eq!(read(&context, &data), expected);
    }
}

#[test]
fn bind_groups_are_made_once_per_set_of_buffers() {
    let Some(context) = gpu::context() else {
        return;
    };
    let kernel = number(&context);
    let buffers: Vec<_> = (0..3).map(|_| buffer(&context, &[POISON; 64])).collect();
    for _ in 0..10 {
        for data in &buffers {
            let mut recorder = Recorder::new(&context);
            let launch = Launch::new(0..64, 64);
            recorder
                .dispatch(
                    &kernel,
                    &[Binding::whole(data)],
                    &launch.uniforms(&[("offset", 0)]),
                )
                .unwrap();
            recorder.submit().unwrap();
        }
    }
    assert_eq!(kernel.cached_groups(), 3);
    // Groups keep buffers alive: their number is limited.
    for _ in 0..200 {
        let data = buffer(&context, &[POISON; 64]);
        let launch = Launch::new(0..64, 64);
        let mut recorder = Recorder::new(&context);
        recorder
            .dispatch(
                &kernel,
                &[Binding::whole(&data)],
                &launch.uniforms(&[("offset", 0)]),
            )
            .unwrap();
    }
    assert!(kernel.cached_groups() <= 64);
}

#[test]
fn wrong_launches_are_errors() {
    let Some(context) = gpu::context() else {
        return;
    };
    let kernel = number(&context);
    let data = buffer(&context, &[POISON; 64]);
    let bound = [Binding::whole(&data)];
    let mut recorder = Recorder::new(&context);
    let mut error = |bindings: &[Binding], values: &[(&str, u32)]| {
        let launch = Launch::new(0..64, 64);
        recorder
            .dispatch(&kernel, bindings, &launch.uniforms(values))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(&bound, &[]),
        "number: the launch gives no value for `offset`"
    );
    assert_eq!(
        error(&bound, &[("offset", 1), ("ofset", 2)]),
        "number: the kernel has no value named `ofset` (did you mean `offset`?)"
    );
    assert_eq!(
        error(&[], &[("offset", 1)]),
        "number: 0 buffers are bound; the kernel has 1: out"
    );
    let odd = Binding {
        buffer: data.clone(),
        offset: 4,
        size: 16,
    };
    let message = error(&[odd], &[("offset", 1)]);
    assert!(
        message.starts_with("number: ") && message.contains("align"),
        "{message}"
    );
    // Nothing of this has hurt the recorder, or the context.
    recorder
        .dispatch(
            &kernel,
            &bound,
            &Launch::new(0..64, 64).uniforms(&[("offset", 1)]),
        )
        .unwrap();
    recorder.submit().unwrap().wait().unwrap();
    assert_eq!(read(&context, &data), (1..65).collect::<Vec<u32>>());
}

#[test]
fn wrong_wgsl_is_a_readable_error() {
    let Some(context) = gpu::context() else {
        return;
    };
    let compile = |text: &str, uniforms: &[&str]| {
        let error = Kernel::new(
            &context,
            "broken",
            &Source::new("broken.wgsl", text),
            uniforms,
        )
        .unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        error.to_string()
    };
    let message = compile(&NUMBER.replace("+ launch.a.x", "+ launch.nothing"), &[]);
    assert!(
        message.starts_with("kernel broken: broken.wgsl:9: "),
        "{message}"
    );
    assert!(
        message.contains("launch.nothing;`"),
        "the line itself is shown: {message}"
    );
    let message = compile(&NUMBER.replace("main(", "other("), &[]);
    assert_eq!(
        message,
        "kernel broken: broken.wgsl: there is no compute entry point `main`"
    );
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let message = compile(NUMBER, &names);
    assert_eq!(message, "kernel broken: 9 values by name; at most 8 fit");
    context.check().unwrap();
}

#[test]
fn imports_lead_errors_to_the_right_file() {
    let Some(context) = gpu::context() else {
        return;
    };
    let library = shader::Library::new(&[
        (
            "test/main",
            "#import test/part\n@compute @workgroup_size(64)\nfn main() {\n    part();\n}",
        ),
        (
            "test/part",
            "// one\n// two\nfn part() -> u32 { return 1.5; }",
        ),
    ]);
    let source = library.compose("test/main").unwrap();
    let message = Kernel::new(&context, "imported", &source, &[])
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("kernel imported: shaders/test/part.wgsl:3: "),
        "{message}"
    );
}

#[test]
fn launches_are_timed_by_label() {
    let Some(context) = gpu::context() else {
        return;
    };
    let kernel = number(&context);
    let data = buffer(&context, &vec![POISON; 1 << 20]);
    let bound = [Binding::whole(&data)];
    let mut recorder = Recorder::new(&context);
    let long = Launch::new(0..1 << 20, 1 << 20).uniforms(&[("offset", 0)]);
    let short = Launch::new(0..1, 1 << 20).uniforms(&[("offset", 0)]);
    recorder.dispatch(&kernel, &bound, &long).unwrap(); // before the first label: not timed
    recorder.time("long");
    for _ in 0..20 {
        recorder.dispatch(&kernel, &bound, &long).unwrap();
    }
    recorder
        .time("short")
        .dispatch(&kernel, &bound, &short)
        .unwrap();
    recorder
        .time("long")
        .dispatch(&kernel, &bound, &long)
        .unwrap();
    let timings = recorder.submit().unwrap().timings().unwrap();
    if !context
        .info()
        .features
        .contains(wgpu::Features::TIMESTAMP_QUERY)
    {
        assert!(timings.is_empty());
        return;
    }
    println!("{timings:?}");
    let labels: Vec<&str> = timings.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["long", "short"]);
    assert!(
        timings[0].1 > timings[1].1,
        "21 launches of a million threads outlast one of a single thread"
    );
    assert!(timings[0].1 < 60_000_000_000, "nanoseconds");
}

#[test]
fn compile_times_are_measured() {
    let Some(context) = gpu::context() else {
        return;
    };
    let time = number(&context).compile_time();
    println!("naga {:?}, driver {:?}", time.naga, time.driver);
    assert!(!time.naga.is_zero() && !time.driver.is_zero());
}
