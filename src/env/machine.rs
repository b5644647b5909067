//! Memory and kernels behind one interface: on a graphics device, or interpreted on the host.
//!
//! The host runs the same graphs. In `f32` it does what the device is asked to do, operation by operation; in `f64` it
//! is the reference.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::bad_world::Values;
use crate::error::{Error, Result};
use crate::gpu::{Allocate, Arenas, Context, Copies, Gather, Kernel, Recorder};
use crate::trace::{Field, Graph, HostMemory, Kind, Layout, Real};

/// Floats of the host's interpreter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// The device's operations in single precision.
    Single,
    /// Exact functions in double precision: the reference.
    #[default]
    Double,
}

/// Where an environment or a simulation runs.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// On a graphics device, in memory of its own.
    Gpu(&'a Context),
    /// On a graphics device, in memory that somebody else allocates: burn's, where tensors are to share it.
    GpuWith(&'a Context, &'a dyn Allocate),
    /// On the host.
    Host(Precision),
}

/// Names a kernel of a [`Machine`].
#[derive(Clone, Copy, Debug)]
pub(super) struct KernelId(usize);

/// A kernel, the worlds that it runs on, and its run-time values.
pub(super) struct Launch<'a> {
    pub kernel: KernelId,
    pub worlds: Range<usize>,
    pub uniforms: &'a [(&'a str, u32)],
}

/// The memory of a number of worlds, and kernels over it.
pub(super) struct Machine {
    worlds: usize,
    place: Place,
}

enum Place {
    Gpu {
        arenas: Box<Arenas>,
        kernels: Vec<Kernel>,
        graphs: Vec<Graph>,
        /// Made when somebody first copies worlds.
        gather: OnceLock<Arc<Gather>>,
    },
    Single(Host<f32>),
    Double(Host<f64>),
}

struct Host<R> {
    memory: HostMemory<R>,
    graphs: Vec<Graph>,
}

impl Machine {
    /// Zeroed memory.
    pub(super) fn new(target: Target<'_>, layout: &Layout, worlds: usize) -> Result<Self> {
        let count = u32::try_from(worlds)
            .map_err(|_| Error::invalid(format!("{worlds} worlds are too many")))?;
        let gpu = |context: &Context, allocate: &dyn Allocate| -> Result<Place> {
            let arenas = Box::new(Arenas::new(context, layout, count, allocate)?);
            Ok(Place::Gpu {
                arenas,
                kernels: Vec::new(),
                graphs: Vec::new(),
                gather: OnceLock::new(),
            })
        };
        let place = match target {
            Target::Gpu(context) => gpu(context, context)?,
            Target::GpuWith(context, allocate) => gpu(context, allocate)?,
            Target::Host(Precision::Single) => Place::Single(Host::new(layout, worlds)),
            Target::Host(Precision::Double) => Place::Double(Host::new(layout, worlds)),
        };
        Ok(Self { worlds, place })
    }

    pub(super) fn worlds(&self) -> usize {
        self.worlds
    }

    /// Where it is, in a word; and the device with its driver.
    pub(super) fn place(&self) -> (&'static str, String) {
        match &self.place {
            Place::Gpu { arenas, .. } => ("gpu", arenas.context().info().to_string()),
            Place::Single(_) => ("host f32", "the host".into()),
            Place::Double(_) => ("host f64", "the host".into()),
        }
    }

    /// The device's memory, where it is on a device.
    pub(super) fn arenas(&self) -> Option<&Arenas> {
        match &self.place {
            Place::Gpu { arenas, .. } => Some(arenas),
            _ => None,
        }
    }

    /// Compiles a graph.
    pub(super) fn kernel(&mut self, graph: Graph) -> Result<KernelId> {
        let graphs = match &mut self.place {
            Place::Gpu {
                arenas,
                kernels,
                graphs,
                ..
            } => {
                kernels.push(Kernel::from_graph(arenas.context(), &graph)?);
                graphs
            }
            Place::Single(host) => &mut host.graphs,
            Place::Double(host) => &mut host.graphs,
        };
        graphs.push(graph);
        Ok(KernelId(graphs.len() - 1))
    }

    /// What a kernel was compiled from.
    pub(super) fn graph(&self, kernel: KernelId) -> &Graph {
        match &self.place {
            Place::Gpu { graphs, .. } => &graphs[kernel.0],
            Place::Single(host) => &host.graphs[kernel.0],
            Place::Double(host) => &host.graphs[kernel.0],
        }
    }

    /// The compiled kernel, where it is on a device.
    pub(super) fn compiled(&self, kernel: KernelId) -> Option<&Kernel> {
        match &self.place {
            Place::Gpu { kernels, .. } => Some(&kernels[kernel.0]),
            _ => None,
        }
    }

    /// Runs a kernel on all worlds. On a device it is sent, not waited for.
    pub(super) fn run(&mut self, kernel: KernelId, uniforms: &[(&str, u32)]) -> Result<()> {
        let worlds = 0..self.worlds;
        self.launch(&[Launch {
            kernel,
            worlds,
            uniforms,
        }])
    }

    /// Runs kernels one after another. On a device they are sent, not waited for.
    pub(super) fn launch(&mut self, launches: &[Launch<'_>]) -> Result<()> {
        self.launch_after(&[], launches)
    }

    /// Copies fields to fields in other buffers, then runs kernels one after another. On a device it is sent, not waited
    /// for.
    pub(super) fn launch_after(
        &mut self,
        copies: &[(Field, Field)],
        launches: &[Launch<'_>],
    ) -> Result<()> {
        match &mut self.place {
            Place::Gpu {
                arenas, kernels, ..
            } => {
                let mut recorder = Recorder::new(arenas.context());
                for (from, to) in copies {
                    recorder.copy_field((arenas, *from), (arenas, *to))?;
                }
                for launch in launches {
                    let worlds = launch.worlds.start as u32..launch.worlds.end as u32;
                    let kernel = &kernels[launch.kernel.0];
                    recorder.run(kernel, arenas, worlds, launch.uniforms)?;
                }
                recorder.submit().map(drop)
            }
            Place::Single(host) => {
                host.launch_after(copies, launches);
                Ok(())
            }
            Place::Double(host) => {
                host.launch_after(copies, launches);
                Ok(())
            }
        }
    }

    /// Writes a per-world field, `[component][world]`.
    pub(super) fn write(&mut self, field: Field, values: &[f32]) -> Result<()> {
        self.demand(field, values.len())?;
        match &mut self.place {
            _ if field.is_empty() => {}
            Place::Gpu { arenas, .. } => {
                arenas.write_field(field, 0..self.worlds as u32, values)?
            }
            Place::Single(host) => host.write(field, values.iter().map(|value| f64::from(*value))),
            Place::Double(host) => host.write(field, values.iter().map(|value| f64::from(*value))),
        }
        Ok(())
    }

    /// [`Machine::write`] without rounding, where the memory holds doubles.
    pub(super) fn write_exact(&mut self, field: Field, values: &[f64]) -> Result<()> {
        self.demand(field, values.len())?;
        match &mut self.place {
            Place::Double(host) => host.write(field, values.iter().copied()),
            _ => self.write(
                field,
                &values.iter().map(|value| *value as f32).collect::<Vec<_>>(),
            )?,
        }
        Ok(())
    }

    /// Writes a per-world field of integers, `[component][world]`.
    pub(super) fn write_bits(&mut self, field: Field, values: &[u32]) -> Result<()> {
        self.demand(field, values.len())?;
        match &mut self.place {
            _ if field.is_empty() => {}
            Place::Gpu { arenas, .. } => {
                arenas.write_field(field, 0..self.worlds as u32, values)?
            }
            Place::Single(host) => host.write_bits(field, values),
            Place::Double(host) => host.write_bits(field, values),
        }
        Ok(())
    }

    /// Writes a field of a table.
    pub(super) fn write_table(&mut self, field: Field, values: &[f64]) -> Result<()> {
        match &mut self.place {
            Place::Gpu { arenas, .. } => {
                arenas.write_table(
                    field,
                    &values.iter().map(|value| *value as f32).collect::<Vec<_>>(),
                )?;
            }
            Place::Single(host) => host.write_table(field, values),
            Place::Double(host) => host.write_table(field, values),
        }
        Ok(())
    }

    /// Reads a per-world field, `[component][world]`. Waits for the device.
    pub(super) fn read(&self, field: Field) -> Result<Vec<f32>> {
        match &self.place {
            _ if field.is_empty() => Ok(Vec::new()),
            Place::Gpu { arenas, .. } => arenas.read_field(field, 0..self.worlds as u32),
            Place::Single(host) => Ok(host.read(field).map(|value| value as f32).collect()),
            Place::Double(host) => Ok(host.read(field).map(|value| value as f32).collect()),
        }
    }

    /// Reads several fields, and waits for the device once.
    pub(super) fn read_many(&self, fields: &[Field]) -> Result<Vec<Vec<f32>>> {
        let Place::Gpu { arenas, .. } = &self.place else {
            return fields.iter().map(|field| self.read(*field)).collect();
        };
        let begin = |field: &Field| match field.is_empty() {
            true => Ok(None),
            false => arenas
                .begin_read::<f32>(*field, 0..self.worlds as u32)
                .map(Some),
        };
        let begun: Vec<_> = fields.iter().map(begin).collect::<Result<_>>()?;
        begun
            .into_iter()
            .map(|read| read.map_or(Ok(Vec::new()), |read| read.wait()))
            .collect()
    }

    /// [`Machine::read`] without rounding, where the memory holds doubles.
    pub(super) fn read_exact(&self, field: Field) -> Result<Vec<f64>> {
        match &self.place {
            Place::Double(host) => Ok(host.read(field).collect()),
            _ => Ok(self.read(field)?.into_iter().map(f64::from).collect()),
        }
    }

    /// Reads a per-world field of integers, `[component][world]`. Waits for the device.
    pub(super) fn read_bits(&self, field: Field) -> Result<Vec<u32>> {
        match &self.place {
            _ if field.is_empty() => Ok(Vec::new()),
            Place::Gpu { arenas, .. } => arenas.read_field(field, 0..self.worlds as u32),
            Place::Single(host) => Ok(host.read_bits(field)),
            Place::Double(host) => Ok(host.read_bits(field)),
        }
    }

    /// Reads a per-world field of either kind as it is, `[component][world]`. Waits for the device.
    pub(super) fn read_values(&self, field: Field) -> Result<Values> {
        Ok(match (field.kind, &self.place) {
            (Kind::U32, _) => Values::Bits(self.read_bits(field)?),
            (Kind::F32, Place::Double(_)) => Values::Double(self.read_exact(field)?),
            (Kind::F32, _) => Values::Single(self.read(field)?),
        })
    }

    /// Fills per-world fields with zeros.
    pub(super) fn clear(&mut self, fields: &[Field]) -> Result<()> {
        match &mut self.place {
            Place::Gpu { arenas, .. } => {
                let mut recorder = Recorder::new(arenas.context());
                for field in fields {
                    recorder.clear(&arenas.rows(*field)?);
                }
                recorder.submit()?;
            }
            Place::Single(host) => fields.iter().for_each(|field| host.clear(*field)),
            Place::Double(host) => fields.iter().for_each(|field| host.clear(*field)),
        }
        Ok(())
    }

    /// Copies fields of another machine with the same number of worlds into fields of this one, on the device where
    /// both are on one.
    pub(super) fn copy_from(&mut self, other: &Machine, pairs: &[(Field, Field)]) -> Result<()> {
        match (&mut self.place, &other.place) {
            (Place::Gpu { arenas: to, .. }, Place::Gpu { arenas: from, .. }) => {
                let mut recorder = Recorder::new(to.context());
                for (source, target) in pairs.iter().filter(|(source, _)| !source.is_empty()) {
                    recorder.copy(&from.rows(*source)?, &to.rows(*target)?)?;
                }
                recorder.submit()?;
            }
            _ => {
                for (source, target) in pairs {
                    self.write_exact(*target, &other.read_exact(*source)?)?;
                }
            }
        }
        Ok(())
    }

    /// Memory for another number of worlds in the same place, without kernels; `layout` is this machine's.
    pub(super) fn like(&self, layout: &Layout, worlds: usize) -> Result<Self> {
        let place = match &self.place {
            Place::Gpu { arenas, gather, .. } => {
                let machine = Self::new(Target::Gpu(arenas.context()), layout, worlds)?;
                if let (Place::Gpu { gather: own, .. }, Some(gather)) =
                    (&machine.place, gather.get())
                {
                    own.get_or_init(|| Arc::clone(gather));
                }
                return Ok(machine);
            }
            Place::Single(_) => Place::Single(Host::new(layout, worlds)),
            Place::Double(_) => Place::Double(Host::new(layout, worlds)),
        };
        Ok(Self { worlds, place })
    }

    /// Copies rows of chosen worlds of another machine with the same layout into worlds of this one, where both are in
    /// the same place. On a device it is sent, not waited for.
    pub(super) fn copy_worlds(
        &mut self,
        from: &Machine,
        copies: &Copies,
        rows: &[Field],
    ) -> Result<()> {
        let pairs = || copies.sources.iter().zip(&copies.targets);
        match (&mut self.place, &from.place) {
            (
                Place::Gpu { arenas, gather, .. },
                Place::Gpu {
                    arenas: source,
                    gather: known,
                    ..
                },
            ) => {
                let gather = match (gather.get(), known.get()) {
                    (Some(gather), _) | (None, Some(gather)) => Arc::clone(gather),
                    (None, None) => Arc::new(Gather::new(arenas.context())?),
                };
                gather.copy(source, arenas, copies, rows)?;
                known.get_or_init(|| gather);
            }
            (Place::Single(to), Place::Single(source)) => to.copy_worlds(source, pairs(), rows),
            (Place::Double(to), Place::Double(source)) => to.copy_worlds(source, pairs(), rows),
            _ => {
                return Err(
                    Error::invalid("the state lies elsewhere than the worlds").hint(
                        "a host's state goes to the same kind of host, a device's to that device",
                    ),
                );
            }
        }
        Ok(())
    }

    /// Waits until everything that was sent is done.
    pub(super) fn wait(&self) -> Result<()> {
        match &self.place {
            Place::Gpu { arenas, .. } => Recorder::new(arenas.context()).submit()?.wait(),
            _ => Ok(()),
        }
    }

    /// Checks how many values are given for a field of every world.
    pub(super) fn demand(&self, field: Field, given: usize) -> Result<()> {
        let wanted = field.len() * self.worlds;
        if given != wanted {
            let (components, worlds) = (field.len(), self.worlds);
            return Err(
                Error::invalid(format!("{given} values are given where {wanted} go"))
                    .hint(format!("{worlds} worlds × {components} components")),
            );
        }
        Ok(())
    }
}

impl<R: Real> Host<R> {
    fn new(layout: &Layout, worlds: usize) -> Self {
        Self {
            memory: HostMemory::new(layout, worlds),
            graphs: Vec::new(),
        }
    }

    /// Components and worlds of a field, in the order of its values.
    fn places(&self, field: Field) -> impl Iterator<Item = (usize, usize)> + use<R> {
        let worlds = self.memory.worlds();
        (0..field.len()).flat_map(move |component| (0..worlds).map(move |world| (component, world)))
    }

    fn write(&mut self, field: Field, values: impl Iterator<Item = f64>) {
        for ((component, world), value) in self.places(field).zip(values) {
            self.memory.set(field, component, world, value);
        }
    }

    fn write_bits(&mut self, field: Field, values: &[u32]) {
        for ((component, world), value) in self.places(field).zip(values) {
            self.memory.set_bits(field, component, world, *value);
        }
    }

    fn write_table(&mut self, field: Field, values: &[f64]) {
        for (component, value) in values.iter().enumerate() {
            self.memory.set(field, component, 0, *value);
        }
    }

    fn read(&self, field: Field) -> impl Iterator<Item = f64> {
        self.places(field)
            .map(move |(component, world)| self.memory.get(field, component, world))
    }

    fn read_bits(&self, field: Field) -> Vec<u32> {
        self.places(field)
            .map(|(component, world)| self.memory.get_bits(field, component, world))
            .collect()
    }

    fn copy_worlds<'a>(
        &mut self,
        from: &Self,
        pairs: impl Iterator<Item = (&'a u32, &'a u32)>,
        rows: &[Field],
    ) {
        for (source, target) in pairs {
            for field in rows {
                let from = (&from.memory, *source as usize);
                self.memory.copy_world(*field, from, *target as usize);
            }
        }
    }

    fn launch_after(&mut self, copies: &[(Field, Field)], launches: &[Launch<'_>]) {
        self.copy(copies);
        for launch in launches {
            let graph = &self.graphs[launch.kernel.0];
            graph.interpret(&mut self.memory, launch.uniforms, launch.worlds.clone());
        }
    }

    fn copy(&mut self, pairs: &[(Field, Field)]) {
        for (from, to) in pairs {
            match from.kind {
                Kind::F32 => {
                    let values: Vec<f64> = self.read(*from).collect();
                    self.write(*to, values.into_iter());
                }
                Kind::U32 => self.write_bits(*to, &self.read_bits(*from)),
            }
        }
    }

    fn clear(&mut self, field: Field) {
        for (component, world) in self.places(field) {
            match field.kind {
                Kind::F32 => self.memory.set(field, component, world, 0.0),
                Kind::U32 => self.memory.set_bits(field, component, world, 0),
            }
        }
    }
}
