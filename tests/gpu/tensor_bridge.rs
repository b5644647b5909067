//! The bridge: burn and our kernels on one memory, without copies, without the host, in order.

use burn::tensor::{Device, Tensor};
use burn_cubecl::Cube;
use burn_cubecl::cubecl::wgpu::{AutoCompiler, WgpuServer};
use manyworlds::gpu::{Arenas, Binding, Context, Kernel, Launch, Recorder, shader};
use manyworlds::tensor::{Bridge, SharedBuffer};
use manyworlds::trace::{self, Field, Kind, Layout};

use crate::common::gpu;

const WORLDS: u32 = 100;

/// Arenas in burn's memory, and a kernel that writes `value = 3 · input + component`.
struct Setup {
    context: Context,
    bridge: Bridge,
    arenas: Arenas,
    kernel: Kernel,
    input: Field,
    output: Field,
}

fn setup() -> Option<Setup> {
    let context = gpu::context()?;
    let bridge = Bridge::new(&context).unwrap();
    let mut layout = Layout::new();
    let io = layout.buffer("io", Kind::F32);
    let input = layout.field(io, "input", 2);
    let output = layout.field(io, "output", 3);
    let graph = trace::record("affine", &layout, || {
        for component in 0..3 {
            output.store(
                component,
                3.0 * input.load(0) + input.load(1) * component as f64,
            );
        }
    });
    let kernel = Kernel::from_graph(&context, &graph).unwrap();
    let arenas = Arenas::new(&context, &layout, WORLDS, &bridge).unwrap();
    Some(Setup {
        context,
        bridge,
        arenas,
        kernel,
        input,
        output,
    })
}

impl Setup {
    fn run(&self) {
        let mut recorder = Recorder::new(&self.context);
        recorder
            .run(&self.kernel, &self.arenas, 0..WORLDS, &[])
            .unwrap();
        recorder.submit().unwrap();
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap()
}

/// Bytes that burn has ever set aside on the host to read the device's memory back.
fn staging_peak(device: &Device) -> String {
    let primitive = Tensor::<1>::zeros([1], device)
        .try_into_primitive::<Cube>()
        .unwrap();
    let report = primitive
        .client
        .memory_report(burn_cubecl::cubecl::MemoryScope::CurrentStream);
    let report = format!("{report:?}");
    report
        .split("Staging")
        .skip(1)
        .map(|pool| pool.split("Uniform").next().unwrap_or(""))
        .collect()
}

/// The buffer behind a tensor, however it is laid out in it.
fn memory_of<const D: usize>(tensor: Tensor<D>) -> (wgpu::Buffer, u64) {
    let primitive = tensor.try_into_primitive::<Cube>().unwrap();
    let resource = primitive
        .client
        .get_resource::<WgpuServer<AutoCompiler>>(primitive.handle.clone())
        .unwrap();
    (
        resource.resource().buffer.clone(),
        resource.resource().offset,
    )
}

#[test]
fn burn_reads_what_a_kernel_wrote_through_a_view_without_a_copy() {
    let Some(setup) = setup() else { return };
    let rows: Vec<f32> = (0..2 * WORLDS).map(|at| at as f32).collect();
    setup
        .arenas
        .write_field(setup.input, 0..WORLDS, &rows)
        .unwrap();
    let before = setup.context.transfers();
    setup.run();
    let view = setup.bridge.view(&setup.arenas, setup.output).unwrap();
    assert_eq!(view.dims(), [WORLDS as usize, 3]);
    let arena = setup.arenas.binding(setup.output.buffer as usize);
    assert_eq!(
        memory_of(view.clone()).0,
        arena.buffer,
        "the transposed view is the arena itself"
    );
    assert_eq!(
        setup.context.transfers(),
        before,
        "nothing visited the host"
    );
    let expected: Vec<f32> = (0..WORLDS)
        .flat_map(|world| {
            (0..3).map(move |component| (3 * world + component * (WORLDS + world)) as f32)
        })
        .collect();
    assert_eq!(values(view.clone()), expected);
    // Arithmetic on the view respects its strides.
    assert_eq!(
        values(view.sum_dim(1)),
        expected
            .chunks(3)
            .map(|row| row.iter().sum())
            .collect::<Vec<f32>>()
    );
}

#[test]
fn burn_never_computes_in_our_memory() {
    let Some(setup) = setup() else { return };
    let rows: Vec<f32> = (0..2 * WORLDS).map(|at| at as f32).collect();
    setup
        .arenas
        .write_field(setup.input, 0..WORLDS, &rows)
        .unwrap();
    for _ in 0..3 {
        // A uniquely held operand is what burn would overwrite.
        let computed = setup
            .bridge
            .view(&setup.arenas, setup.input)
            .unwrap()
            .mul_scalar(2.0)
            .add_scalar(1.0);
        assert_eq!(values(computed)[2], 3.0);
    }
    assert_eq!(
        setup
            .arenas
            .read_field::<f32>(setup.input, 0..WORLDS)
            .unwrap(),
        rows
    );
}

/// `x ← x + 1` by burn into a buffer that is bound once, `total ← total + x` by a kernel: any lost or early
/// submission shows in the sum. The resource is fetched before the loop, because fetching one happens to submit.
#[test]
fn order_holds_over_a_thousand_alternating_steps() {
    let Some(context) = gpu::context() else {
        return;
    };
    let bridge = Bridge::new(&context).unwrap();
    let device = bridge.device().clone();
    let (steps, count) = (1000, 64);
    let [source, total] = [(); 2].map(|()| {
        device.memory_persistent_allocations((), |()| Tensor::<1>::zeros([count], &device))
    });
    let [from, to]: [SharedBuffer; 2] =
        [&source, &total].map(|tensor| bridge.buffer(tensor).unwrap());
    let binding = |shared: &SharedBuffer| Binding {
        buffer: shared.buffer().clone(),
        offset: shared.offset(),
        size: shared.size(),
    };
    let code = "@group(0) @binding(1) var<storage, read_write> x: array<f32>;\n\
                @group(0) @binding(2) var<storage, read_write> total: array<f32>;\n\
                @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n\
                  x[id.x] = x[id.x] + 1.0;\n  total[id.x] = total[id.x] + x[id.x];\n}\n";
    let kernel = Kernel::new(
        &context,
        "accumulate",
        &shader::Source::new("accumulate", code),
        &[],
    )
    .unwrap();
    let bindings = [binding(&from), binding(&to)];
    let step = || {
        let mut recorder = Recorder::new(&context);
        recorder
            .dispatch(
                &kernel,
                &bindings,
                &Launch::new(0..count as u32, count as u32),
            )
            .unwrap();
        recorder.submit().unwrap();
    };
    bridge.flush().unwrap();
    let staging = staging_peak(&device);
    let before = context.transfers();
    let mut kept = Vec::new();
    for at in 0..steps {
        // burn reads x before the kernel changes it; the kernel must not overtake that read.
        let seen = source.clone().mul_scalar(2.0);
        if at % 100 == 0 {
            kept.push((at, seen));
        } else {
            drop(seen);
        }
        bridge.flush().unwrap();
        step();
    }
    assert_eq!(
        context.transfers(),
        before,
        "no upload and no read-back of ours"
    );
    assert_eq!(staging_peak(&device), staging, "no read-back of burn's");
    for (at, seen) in kept {
        assert_eq!(
            values(seen)[5],
            2.0 * at as f32,
            "what burn read at step {at}"
        );
    }
    assert_eq!(values(source)[5], steps as f32);
    assert_eq!(values(total)[5], (steps * (steps + 1) / 2) as f32);
}

#[test]
fn tensors_of_other_devices_are_refused_with_the_remedy() {
    let Some(setup) = setup() else { return };
    let foreign = Tensor::<1>::zeros([4], &Device::flex());
    let error = setup
        .bridge
        .buffer(&foreign)
        .err()
        .expect("an error")
        .to_string();
    assert!(error.contains("to_device"), "{error}");
    let plain = Arenas::new(&setup.context, setup.arenas.layout(), 4, &setup.context).unwrap();
    let error = setup
        .bridge
        .view(&plain, setup.input)
        .unwrap_err()
        .to_string();
    assert!(error.contains("bridge"), "{error}");
}
