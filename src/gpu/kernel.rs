//! A compiled compute kernel.
//!
//! Conventions, for generated and hand-written WGSL alike: the entry point is `main`; binding 0 of group 0, if there is
//! one, is the `Launch` of shaders/gpu/launch.wgsl; the storage buffers follow from binding 1 on. A kernel over arenas
//! binds buffer `i` of the layout at binding `1 + i`, and declares only those that it uses.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::context::Context;
use super::launch::{self, Launch, LaunchBuffers};
use super::recorder::Recorder;
use super::shader::Source;
use super::wgsl::{ENTRY_POINT, Interface};
use crate::error::{Error, Result};
use crate::trace::{Graph, MAX_UNIFORMS};

/// A part of a buffer, to be bound to a kernel or copied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The buffer.
    pub buffer: wgpu::Buffer,
    /// First byte; a multiple of the device's storage offset alignment where it is bound.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Binding {
    /// A whole buffer.
    pub fn whole(buffer: &wgpu::Buffer) -> Self {
        Self {
            buffer: buffer.clone(),
            offset: 0,
            size: buffer.size(),
        }
    }
}

/// How long a kernel took to compile.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompileTime {
    /// Parsing and validating the WGSL, by us and again by wgpu.
    pub naga: Duration,
    /// Translating it for the driver, and the driver's own compiler.
    pub driver: Duration,
}

impl CompileTime {
    /// The time that two kernels took.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            naga: self.naga + other.naga,
            driver: self.driver + other.driver,
        }
    }
}

/// A compiled kernel, bound to one context.
pub struct Kernel {
    label: String,
    interface: Interface,
    uniforms: Vec<String>,
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    compile_time: Mutex<CompileTime>,
    /// By what is bound; for each, one group per buffer of launch parameters.
    groups: Mutex<HashMap<Vec<Binding>, Vec<wgpu::BindGroup>>>,
}

/// What is to be compiled, and when that began.
struct Program<'a> {
    label: &'a str,
    source: &'a Source,
    uniforms: &'a [&'a str],
    interface: Interface,
    start: Instant,
}

/// So many sets of buffers are remembered; past that, all are forgotten, since the groups keep their buffers alive.
const MAX_GROUPS: usize = 64;

impl Kernel {
    /// Checks and compiles `source`. `uniforms` names the values u0, u1, … of the launch, eight at most.
    ///
    /// # Errors
    /// The WGSL is wrong (the error shows file, line and text of the line), binds something that this device has too
    /// few of, or the driver refuses it.
    pub fn new(context: &Context, label: &str, source: &Source, uniforms: &[&str]) -> Result<Self> {
        Self::with_features(context, label, source, uniforms, wgpu::Features::empty())
    }

    /// Compiles a recorded function, and warms it up ([`Kernel::warm_up`]).
    ///
    /// What it binds is known from the graph, so that only wgpu's own naga reads the text: at 30,000 operations a
    /// reading takes a third of a second, as long as all the rest when the driver has the kernel in its cache.
    ///
    /// # Errors
    /// As [`Kernel::new`].
    pub fn from_graph(context: &Context, graph: &Graph) -> Result<Self> {
        let start = Instant::now();
        let source = Source::new(format!("{}.wgsl", graph.name()), graph.wgsl());
        let uniforms: Vec<&str> = graph.uniforms().iter().map(String::as_str).collect();
        let program = Program {
            label: graph.name(),
            source: &source,
            uniforms: &uniforms,
            interface: Interface::of_graph(graph),
            start,
        };
        let compiled = Self::compile(context, program).map_err(|error| {
            // Wrong WGSL is better explained by our own check.
            let explained = Interface::of(&source, wgpu::Features::empty(), true);
            explained.err().unwrap_or(error)
        });
        compiled
            .and_then(|kernel| kernel.warm_up(context).map(|()| kernel))
            .map_err(|error| error.context(format!("kernel {}", graph.name())))
    }

    /// As [`Kernel::new`], for a shader that uses device `features` (subgroups, f16) which not every device has.
    ///
    /// # Errors
    /// As [`Kernel::new`]; also a device that lacks one of the features, of kind `Unsupported`.
    pub fn with_features(
        context: &Context,
        label: &str,
        source: &Source,
        uniforms: &[&str],
        features: wgpu::Features,
    ) -> Result<Self> {
        let start = Instant::now();
        let missing = features - context.info().features;
        let interface = if missing.is_empty() {
            Interface::of(source, features, true)
        } else {
            let adapter = &context.info().adapter;
            Err(Error::unsupported(format!(
                "{adapter} does not offer {missing}"
            )))
        };
        interface
            .and_then(|interface| {
                let program = Program {
                    label,
                    source,
                    uniforms,
                    interface,
                    start,
                };
                Self::compile(context, program)
            })
            .map_err(|error| error.context(format!("kernel {label}")))
    }

    fn compile(context: &Context, program: Program<'_>) -> Result<Self> {
        let Program {
            label,
            source,
            uniforms,
            interface,
            start,
        } = program;
        if uniforms.len() > MAX_UNIFORMS {
            return Err(Error::invalid(format!(
                "{} values by name; at most {MAX_UNIFORMS} fit",
                uniforms.len()
            )));
        }
        if !uniforms.is_empty() && !interface.launch {
            return Err(Error::invalid(
                "values by name need the launch parameters at binding 0",
            ));
        }
        let most = context.info().limits.max_storage_buffers_per_shader_stage as usize;
        if interface.buffers.len() > most {
            let count = interface.buffers.len();
            return Err(Error::unsupported(format!(
                "it binds {count} storage buffers; this device allows {most}"
            )));
        }
        let device = context.device();
        let module = context.caught(|| {
            device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(label),
                source: wgpu::ShaderSource::Wgsl(source.text().into()),
            })
        })?;
        let naga = start.elapsed();

        let start = Instant::now();
        let (layout, pipeline) = context.caught(|| {
            let layout = bind_group_layout(device, label, &interface);
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(
                    &device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                        label: Some(label),
                        bind_group_layouts: &[Some(&layout)],
                        immediate_size: 0,
                    }),
                ),
                module: &module,
                entry_point: Some(ENTRY_POINT),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: context.pipelines().for_compiling(),
            });
            (layout, pipeline)
        })?;
        Ok(Self {
            label: label.to_owned(),
            interface,
            uniforms: uniforms.iter().map(|name| (*name).to_owned()).collect(),
            pipeline,
            layout,
            compile_time: Mutex::new(CompileTime {
                naga,
                driver: start.elapsed(),
            }),
            groups: Mutex::default(),
        })
    }

    /// The name it was given.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What it binds, and its workgroup's size.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The names of its values, u0 first.
    pub fn uniforms(&self) -> &[String] {
        &self.uniforms
    }

    /// How long it took to compile. Some drivers compile when a kernel is first launched: see [`Kernel::warm_up`].
    pub fn compile_time(&self) -> CompileTime {
        *self
            .compile_time
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Launches the kernel once for no world at all, and waits, so that a driver that compiles at the first launch
    /// (Mesa's software driver does) has done it; the time goes to [`CompileTime::driver`].
    ///
    /// The kernel must do nothing when `worlds` is 0, as every kernel with a `Launch` should. One without is left alone.
    ///
    /// # Errors
    /// The device fails.
    pub fn warm_up(&self, context: &Context) -> Result<()> {
        if !self.interface.launch {
            return Ok(());
        }
        let start = Instant::now();
        let scratch = |_| {
            Binding::whole(&context.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("warm-up"),
                size: 256,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            }))
        };
        let bindings: Vec<Binding> = self.interface.buffers.iter().map(scratch).collect();
        let values: Vec<(&str, u32)> = self
            .uniforms
            .iter()
            .map(|name| (name.as_str(), 0))
            .collect();
        let launch = Launch::new(0..0, 0).groups(1);
        let mut recorder = Recorder::new(context);
        recorder.dispatch(self, &bindings, &launch.uniforms(&values))?;
        recorder.submit()?.wait()?;
        // The scratch buffers are of no further use, and a bind group would keep them.
        self.forget(&bindings);
        self.compile_time
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .driver += start.elapsed();
        Ok(())
    }

    /// Lets go of the bind groups for these buffers.
    pub(super) fn forget(&self, bindings: &[Binding]) {
        self.groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(bindings);
    }

    /// How many sets of buffers it holds bind groups for.
    pub fn cached_groups(&self) -> usize {
        self.groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub(super) fn pipeline(&self) -> &wgpu::ComputePipeline {
        &self.pipeline
    }

    /// The bind group for `bindings` (in the order of the interface) and a buffer of launch parameters.
    pub(super) fn group(
        &self,
        context: &Context,
        bindings: &[Binding],
        launches: &mut LaunchBuffers,
        launch_buffer: usize,
    ) -> Result<wgpu::BindGroup> {
        let expected = &self.interface.buffers;
        if bindings.len() != expected.len() {
            let names: Vec<&str> = expected.iter().map(|buffer| buffer.name.as_str()).collect();
            return Err(Error::invalid(format!(
                "{} buffers are bound; the kernel has {}: {}",
                bindings.len(),
                names.len(),
                names.join(", ")
            ))
            .context(&self.label));
        }
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups
            .get(bindings)
            .and_then(|groups| groups.get(launch_buffer))
        {
            return Ok(group.clone());
        }
        if groups.len() >= MAX_GROUPS && !groups.contains_key(bindings) {
            groups.clear();
        }
        let known = groups.entry(bindings.to_vec()).or_default();
        for number in known.len()..=launch_buffer {
            let parameters = launches.buffer(context.device(), number);
            let group = context.caught(|| self.make_group(context.device(), bindings, parameters));
            known.push(group.map_err(|error| error.context(&self.label))?);
        }
        Ok(known[launch_buffer].clone())
    }

    fn make_group(
        &self,
        device: &wgpu::Device,
        bindings: &[Binding],
        parameters: &wgpu::Buffer,
    ) -> wgpu::BindGroup {
        let mut entries = Vec::new();
        if self.interface.launch {
            let binding = wgpu::BufferBinding {
                buffer: parameters,
                offset: 0,
                size: wgpu::BufferSize::new(launch::SIZE),
            };
            entries.push(wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::Buffer(binding),
            });
        }
        for (buffer, bound) in self.interface.buffers.iter().zip(bindings) {
            let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &bound.buffer,
                offset: bound.offset,
                size: wgpu::BufferSize::new(bound.size),
            });
            entries.push(wgpu::BindGroupEntry {
                binding: buffer.binding,
                resource,
            });
        }
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&self.label),
            layout: &self.layout,
            entries: &entries,
        })
    }
}

fn bind_group_layout(
    device: &wgpu::Device,
    label: &str,
    interface: &Interface,
) -> wgpu::BindGroupLayout {
    let entry = |binding, ty, has_dynamic_offset, min_binding_size| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset,
            min_binding_size,
        },
        count: None,
    };
    let parameters = interface.launch.then(|| {
        entry(
            0,
            wgpu::BufferBindingType::Uniform,
            true,
            wgpu::BufferSize::new(launch::SIZE),
        )
    });
    let buffers = interface.buffers.iter().map(|buffer| {
        entry(
            buffer.binding,
            wgpu::BufferBindingType::Storage {
                read_only: buffer.read_only,
            },
            false,
            None,
        )
    });
    let entries: Vec<_> = parameters.into_iter().chain(buffers).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(label),
        entries: &entries,
    })
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("label", &self.label)
            .field("interface", &self.interface)
            .field("uniforms", &self.uniforms)
            .field("compile_time", &self.compile_time())
            .finish_non_exhaustive()
    }
}
