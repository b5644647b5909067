//! `info`: the graphics device, and what a model or a task costs on it.

use clap::Args;
use serde::Serialize;

use super::output::{self, note, say};
use super::subject::{self, Subject};
use crate::error::Result;
use crate::gpu::{Context, Kernel, Options};
use crate::model::Model;
use crate::tasks::{Definition, Registry};
use crate::trace::{Graph, Operations};

/// Show the graphics device and its limits; with a model or a task also its sizes, operations and compile time
///
/// Operations are those of one world and one substep (for a task: of one control step with one substep in it). The
/// compile time is without manyworlds' own cache of pipelines; the driver's cache may still shorten it.
#[derive(Args)]
#[command(after_help = "Examples:
  manyworlds info
  manyworlds info cartpole
  manyworlds info ant.xml --json
  manyworlds info ant.xml --wgsl > ant.wgsl")]
pub(super) struct Arguments {
    /// A model (an MJCF file) or a task
    #[arg(value_name = "MODEL.xml|TASK")]
    subject: Option<String>,
    /// Settings of the task
    #[arg(value_name = "key=value", requires = "subject")]
    settings: Vec<String>,
    /// Print the WGSL of the kernels, and nothing else
    #[arg(long, requires = "subject", conflicts_with = "json")]
    wgsl: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    adapter: Option<Adapter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Sizes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<KernelReport>,
    /// Of variants of the model that the first does not step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_kernels: Vec<KernelReport>,
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Result<()> {
    let subject = arguments.subject.as_deref();
    let subject = subject
        .map(|text| Subject::find(text, registry)?.with(&arguments.settings))
        .transpose()?;
    if let Some(subject) = &subject {
        subject.warn();
    }
    if arguments.wgsl {
        if let Some(subject) = subject {
            for (_, graph) in subject.into_graphs()? {
                say!("{}", graph.wgsl());
            }
        }
        return Ok(());
    }
    // Its own cache would hide the compile time.
    let device = Context::new(&Options {
        cache_dir: Some("".into()),
        ..Options::default()
    });
    let device = match (device, &subject) {
        (Ok(device), _) => Some(device),
        (Err(error), None) => return Err(error),
        // A model's sizes need no device.
        (Err(error), Some(_)) => {
            note!("warning: {error}");
            None
        }
    };
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        adapter: device.as_ref().map(Adapter::of),
        model: None,
        task: None,
        kernel: None,
        other_kernels: Vec::new(),
    };
    if let Some(subject) = subject {
        report.model = Some(Sizes::of(subject.model()));
        if let Subject::Task { definition, .. } = &subject {
            report.task = Some(TaskReport::of(definition)?);
        }
        for (variants, graph) in subject.into_graphs()? {
            let kernel = KernelReport::of(&graph, variants, device.as_ref())?;
            match report.kernel {
                None => report.kernel = Some(kernel),
                Some(_) => report.other_kernels.push(kernel),
            }
        }
    }
    if arguments.json {
        return output::json(&report);
    }
    report.print();
    if arguments.subject.is_none() {
        say!("tasks");
        for (name, about) in registry.list() {
            say!("  {name:<20} {about}");
        }
    }
    Ok(())
}

impl Report {
    fn print(&self) {
        say!("manyworlds {}", self.version);
        if let Some(adapter) = &self.adapter {
            adapter.print();
        }
        if let Some(model) = &self.model {
            model.print();
        }
        if let Some(task) = &self.task {
            task.print();
        }
        for kernel in self.kernel.iter().chain(&self.other_kernels) {
            kernel.print();
        }
    }
}

/// The graphics device.
#[derive(Serialize)]
struct Adapter {
    name: String,
    driver: String,
    backend: String,
    /// Whether it is the processor.
    software: bool,
    /// Bits; only for Mesa's software driver.
    vector_width: Option<u32>,
    /// Bytes.
    max_storage_buffer_binding_size: u64,
    /// Bytes.
    max_buffer_size: u64,
    max_storage_buffers_per_shader_stage: u32,
    max_compute_workgroups_per_dimension: u32,
    max_compute_invocations_per_workgroup: u32,
    max_compute_workgroup_storage_size: u32,
    min_storage_buffer_offset_alignment: u32,
    timestamps: bool,
}

impl Adapter {
    fn of(context: &Context) -> Self {
        let info = context.info();
        let limits = &info.limits;
        Self {
            name: info.adapter.clone(),
            driver: info.driver.clone(),
            backend: info.backend.to_string(),
            software: info.software,
            vector_width: info.vector_width,
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_buffer_size: limits.max_buffer_size,
            max_storage_buffers_per_shader_stage: limits.max_storage_buffers_per_shader_stage,
            max_compute_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            max_compute_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
            max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
            min_storage_buffer_offset_alignment: limits.min_storage_buffer_offset_alignment,
            timestamps: info.features.contains(wgpu::Features::TIMESTAMP_QUERY),
        }
    }

    fn print(&self) {
        let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
        let kind = if self.software {
            "software: this machine's processor"
        } else {
            "hardware"
        };
        let rows = [
            ("adapter", self.name.clone()),
            ("driver", self.driver.clone()),
            ("backend", self.backend.clone()),
            ("kind", kind.to_owned()),
            (
                "vector width",
                self.vector_width
                    .map_or("–".into(), |bits| format!("{bits} bits")),
            ),
            (
                "storage binding",
                mebibytes(self.max_storage_buffer_binding_size),
            ),
            ("buffer", mebibytes(self.max_buffer_size)),
            (
                "storage buffers",
                format!("{} per kernel", self.max_storage_buffers_per_shader_stage),
            ),
            (
                "workgroups",
                format!(
                    "{} per dimension",
                    self.max_compute_workgroups_per_dimension
                ),
            ),
            (
                "workgroup",
                format!("{} threads", self.max_compute_invocations_per_workgroup),
            ),
            (
                "workgroup memory",
                format!("{} KiB", self.max_compute_workgroup_storage_size >> 10),
            ),
            (
                "offset alignment",
                format!("{} bytes", self.min_storage_buffer_offset_alignment),
            ),
            (
                "timestamps",
                if self.timestamps { "yes" } else { "no" }.to_owned(),
            ),
        ];
        print_rows("device", &rows);
    }
}

/// A model's sizes, with MuJoCo's names.
#[derive(Serialize)]
struct Sizes {
    name: String,
    nq: usize,
    nv: usize,
    nu: usize,
    na: usize,
    nbody: usize,
    njnt: usize,
    ngeom: usize,
    nsite: usize,
    nsensor: usize,
    nkey: usize,
    /// Seconds.
    timestep: f64,
    integrator: String,
    /// Pairs of geoms that could touch, if contacts were computed.
    contact_pairs: usize,
}

impl Sizes {
    fn of(model: &Model) -> Self {
        Self {
            name: model.name.clone(),
            nq: model.nq,
            nv: model.nv,
            nu: model.nu,
            na: model.na,
            nbody: model.nbody,
            njnt: model.njnt,
            ngeom: model.ngeom,
            nsite: model.nsite,
            nsensor: model.nsensor,
            nkey: model.nkey,
            timestep: model.opt.timestep,
            integrator: format!("{:?}", model.opt.integrator).to_lowercase(),
            contact_pairs: subject::contact_pairs(model),
        }
    }

    fn print(&self) {
        let rows = [
            (
                "sizes",
                format!(
                    "nq {}  nv {}  nu {}  na {}",
                    self.nq, self.nv, self.nu, self.na
                ),
            ),
            (
                "",
                format!(
                    "nbody {}  njnt {}  ngeom {}  nsite {}  nsensor {}  nkey {}",
                    self.nbody, self.njnt, self.ngeom, self.nsite, self.nsensor, self.nkey
                ),
            ),
            (
                "timestep",
                format!("{} s, {}", self.timestep, self.integrator),
            ),
            (
                "contact pairs",
                match self.contact_pairs {
                    0 => "none".into(),
                    pairs => format!("{pairs} could touch"),
                },
            ),
        ];
        print_rows(&format!("model {}", self.name), &rows);
    }
}

/// What a task declares.
#[derive(Serialize)]
struct TaskReport {
    name: String,
    /// Seconds.
    control_dt: f64,
    substeps: u32,
    max_episode_steps: u32,
    actions: Vec<String>,
    observations: Vec<(String, usize)>,
    rewards: Vec<(String, f64)>,
    terminations: Vec<String>,
    commands: Vec<String>,
}

impl TaskReport {
    fn of(definition: &Definition) -> Result<Self> {
        let spec = definition.spec()?;
        Ok(Self {
            name: definition.name.clone(),
            control_dt: spec.control_dt,
            substeps: spec.substeps(&definition.model)?,
            max_episode_steps: spec.max_episode_steps,
            actions: spec
                .actions
                .iter()
                .map(|action| action.name.clone())
                .collect(),
            observations: spec
                .groups
                .iter()
                .map(|group| (group.name.clone(), group.dim()))
                .collect(),
            rewards: spec
                .rewards
                .iter()
                .map(|term| (term.name.clone(), term.weight))
                .collect(),
            terminations: spec
                .terminations
                .iter()
                .map(|term| term.name.clone())
                .collect(),
            commands: spec
                .commands
                .iter()
                .map(|command| command.name.clone())
                .collect(),
        })
    }

    fn print(&self) {
        let observations = self
            .observations
            .iter()
            .map(|(group, dim)| format!("{group} {dim}"));
        let rewards = self
            .rewards
            .iter()
            .map(|(term, weight)| format!("{term} × {weight}"));
        let rows = [
            (
                "control step",
                format!("{} s, {} physics steps", self.control_dt, self.substeps),
            ),
            (
                "episode",
                format!("{} control steps", self.max_episode_steps),
            ),
            ("action", self.actions.join(", ")),
            ("observation", observations.collect::<Vec<_>>().join(", ")),
            ("reward", rewards.collect::<Vec<_>>().join(", ")),
            ("termination", listed(&self.terminations)),
            ("command", listed(&self.commands)),
        ];
        print_rows(&format!("task {}", self.name), &rows);
    }
}

/// What the kernel costs.
#[derive(Serialize)]
struct KernelReport {
    name: String,
    /// The variants of the model that it steps; none where worlds have the task's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variants: Vec<String>,
    operations: usize,
    divisions: usize,
    loads: usize,
    stores: usize,
    carries: usize,
    operations_by_stage: Vec<(String, usize)>,
    /// Characters.
    wgsl: usize,
    /// Seconds of parsing and validating; none without a device.
    naga_seconds: Option<f64>,
    /// Seconds in the driver; none without a device.
    driver_seconds: Option<f64>,
}

impl KernelReport {
    fn of(graph: &Graph, variants: Vec<String>, device: Option<&Context>) -> Result<Self> {
        let compile_time = match device {
            None => None,
            Some(device) => {
                let kernel = Kernel::from_graph(device, graph)?;
                kernel.warm_up(device)?;
                Some(kernel.compile_time())
            }
        };
        let Operations {
            total,
            divisions,
            loads,
            stores,
            carries,
            by_stage,
        } = graph.operations();
        Ok(Self {
            name: graph.name().to_owned(),
            variants,
            operations: total,
            divisions,
            loads,
            stores,
            carries,
            operations_by_stage: by_stage,
            wgsl: graph.wgsl().len(),
            naga_seconds: compile_time.map(|time| time.naga.as_secs_f64()),
            driver_seconds: compile_time.map(|time| time.driver.as_secs_f64()),
        })
    }

    fn print(&self) {
        let mut rows = vec![
            (
                "operations",
                format!(
                    "{} ({} divisions and square roots)",
                    self.operations, self.divisions
                ),
            ),
            (
                "carried",
                format!("{} numbers from substep to substep", self.carries),
            ),
            (
                "memory",
                format!("{} loads, {} stores", self.loads, self.stores),
            ),
            ("WGSL", format!("{} kB", self.wgsl.div_ceil(1000))),
        ];
        if let (Some(naga), Some(driver)) = (self.naga_seconds, self.driver_seconds) {
            rows.push((
                "compile time",
                format!("{naga:.2} s naga, {driver:.2} s driver"),
            ));
        }
        let variants = match self.variants.as_slice() {
            [] => String::new(),
            names => format!(" of {}", names.join(", ")),
        };
        print_rows(&format!("kernel {}{variants}", self.name), &rows);
        say!("  operations by stage");
        for (stage, operations) in &self.operations_by_stage {
            say!("    {operations:>7}  {stage}");
        }
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

fn print_rows(title: &str, rows: &[(&str, String)]) {
    say!("{title}");
    for (name, value) in rows {
        say!("  {name:<17} {value}");
    }
}
