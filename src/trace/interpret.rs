//! Runs a graph on the host: in `f64` by exact meanings (the reference), in `f32` by the device's plain operations.

use std::ops::Range;

use rayon::prelude::*;

use super::external::{Scalar, Tables};
use super::graph::{Binary, Graph, Id, Live, Op, Reading, Statement, Type, Unary};
use super::layout::{Field, Kind, Layout};
use super::value::{integer, single};

/// The floats of an interpreter: `f32` or `f64`.
pub trait Real: Copy + Send + Sync + PartialOrd + Default + sealed::Sealed + 'static {}

impl Real for f32 {}
impl Real for f64 {}

mod sealed {
    #![allow(private_interfaces, reason = "not callable outside of the crate")]
    use super::Reading;

    /// What the interpreter needs of a float.
    #[allow(missing_docs, reason = "not nameable outside of the crate")]
    pub trait Sealed: Sized {
        const READING: Reading;
        fn from_f64(value: f64) -> Self;
        fn constant(value: f64) -> Self;
        fn to_f64(self) -> f64;
        fn to_f32(self) -> f32;
        fn unary(op: super::Unary, x: Self) -> Self;
        fn binary(op: super::Binary, x: Self, y: Self) -> Self;
        fn to_integer(self) -> u32;
    }
}

macro_rules! real {
    ($name:ident, $reading:expr, $constant:expr) => {
        #[allow(private_interfaces, reason = "not callable outside of the crate")]
        impl sealed::Sealed for $name {
            const READING: Reading = $reading;
            fn from_f64(value: f64) -> Self {
                value as $name
            }
            fn constant(value: f64) -> Self {
                $constant(value)
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn to_f32(self) -> f32 {
                self as f32
            }
            fn to_integer(self) -> u32 {
                self as u32
            }
            fn unary(op: Unary, x: Self) -> Self {
                match op {
                    Unary::Negate => -x,
                    Unary::Absolute => x.abs(),
                    Unary::SquareRoot => x.sqrt(),
                    Unary::Floor => x.floor(),
                    Unary::Round => x.round_ties_even(),
                    _ => unreachable!("not an operation on floats"),
                }
            }
            fn binary(op: Binary, x: Self, y: Self) -> Self {
                match op {
                    Binary::Add => x + y,
                    Binary::Subtract => x - y,
                    Binary::Multiply => x * y,
                    Binary::Divide => x / y,
                    Binary::Minimum => x.min(y),
                    Binary::Maximum => x.max(y),
                    _ => unreachable!("not an operation on floats"),
                }
            }
        }
    };
}
real!(f32, Reading::Plain, single);
real!(f64, Reading::Exact, |value| value);

/// The buffers of a [`Layout`] on the host, with floats of the interpreter's precision.
#[derive(Clone, Debug, PartialEq)]
pub struct HostMemory<R> {
    worlds: usize,
    buffers: Vec<HostBuffer<R>>,
}

#[derive(Clone, Debug, PartialEq)]
enum HostBuffer<R> {
    Floats(Vec<R>),
    Bits(Vec<u32>),
}

impl<R: Real> HostMemory<R> {
    /// Zeroed buffers for a number of worlds.
    pub fn new(layout: &Layout, worlds: usize) -> Self {
        let buffers = layout.buffers().iter().map(|buffer| {
            let scalars = buffer.rows as usize * if buffer.per_world { worlds } else { 1 };
            match buffer.kind {
                Kind::F32 => HostBuffer::Floats(vec![R::default(); scalars]),
                Kind::U32 => HostBuffer::Bits(vec![0; scalars]),
            }
        });
        Self {
            worlds,
            buffers: buffers.collect(),
        }
    }

    /// The number of worlds.
    pub fn worlds(&self) -> usize {
        self.worlds
    }

    /// Copies a per-world field of one world of another memory with the same buffers into a world of this one.
    pub fn copy_world(&mut self, field: Field, from: (&Self, usize), world: usize) {
        let (source, read) = from;
        for component in 0..field.len() {
            let from = source.index(field, component, read);
            let to = self.index(field, component, world);
            let buffer = field.buffer as usize;
            match (&mut self.buffers[buffer], &source.buffers[buffer]) {
                (HostBuffer::Floats(to_all), HostBuffer::Floats(values)) => {
                    to_all[to] = values[from]
                }
                (HostBuffer::Bits(to_all), HostBuffer::Bits(values)) => to_all[to] = values[from],
                _ => panic!("two memories with different buffers"),
            }
        }
    }

    fn index(&self, field: Field, component: usize, world: usize) -> usize {
        assert!(
            component < field.len(),
            "component {component} of a field of {}",
            field.len()
        );
        self.address(field.row + component as u32, field.per_world, world)
    }

    fn address(&self, row: u32, per_world: bool, world: usize) -> usize {
        if per_world {
            row as usize * self.worlds + world
        } else {
            row as usize
        }
    }

    /// One scalar of a float field; `world` does not matter for a table.
    pub fn get(&self, field: Field, component: usize, world: usize) -> f64 {
        self.floats(field.buffer)[self.index(field, component, world)].to_f64()
    }

    /// Sets one scalar of a float field.
    pub fn set(&mut self, field: Field, component: usize, world: usize, value: f64) {
        let at = self.index(field, component, world);
        match &mut self.buffers[field.buffer as usize] {
            HostBuffer::Floats(values) => values[at] = R::from_f64(value),
            HostBuffer::Bits(_) => panic!("a field of integers is set as floats"),
        }
    }

    /// One scalar of an integer field.
    pub fn get_bits(&self, field: Field, component: usize, world: usize) -> u32 {
        self.integers(field.buffer)[self.index(field, component, world)]
    }

    /// Sets one scalar of an integer field.
    pub fn set_bits(&mut self, field: Field, component: usize, world: usize, value: u32) {
        let at = self.index(field, component, world);
        match &mut self.buffers[field.buffer as usize] {
            HostBuffer::Bits(values) => values[at] = value,
            HostBuffer::Floats(_) => panic!("a field of floats is set as integers"),
        }
    }

    /// All components of one world's float field.
    pub fn row(&self, field: Field, world: usize) -> Vec<f64> {
        (0..field.len())
            .map(|component| self.get(field, component, world))
            .collect()
    }

    fn floats(&self, buffer: u32) -> &[R] {
        match &self.buffers[buffer as usize] {
            HostBuffer::Floats(values) => values,
            HostBuffer::Bits(_) => panic!("a field of integers is read as floats"),
        }
    }

    fn integers(&self, buffer: u32) -> &[u32] {
        match &self.buffers[buffer as usize] {
            HostBuffer::Bits(values) => values,
            HostBuffer::Floats(_) => panic!("a field of floats is read as integers"),
        }
    }
}

impl Graph {
    /// Runs the graph for a range of worlds; `uniforms` gives the launch's run-time values by name.
    ///
    /// # Panics
    /// When the graph reads a run-time value that is not given.
    pub fn interpret<R: Real>(
        &self,
        memory: &mut HostMemory<R>,
        uniforms: &[(&str, u32)],
        worlds: Range<usize>,
    ) {
        let live = self.live(R::READING);
        let values: Vec<u32> = self
            .uniforms
            .iter()
            .map(
                |name| match uniforms.iter().find(|(given, _)| given == name) {
                    Some((_, value)) => *value,
                    None => panic!("`{}` needs the run-time value `{name}`", self.name),
                },
            )
            .collect();
        let snapshot: &HostMemory<R> = memory;
        let run = |world| {
            let mut thread = Thread {
                graph: self,
                live: &live,
                memory: snapshot,
                uniforms: &values,
                world,
                floats: vec![R::default(); self.nodes.len()],
                bits: vec![0; self.nodes.len()],
                stores: Vec::new(),
            };
            thread.block(0);
            thread.stores
        };
        let stores: Vec<Vec<Store<R>>> = worlds.into_par_iter().map(run).collect();
        for store in stores.into_iter().flatten() {
            match (&mut memory.buffers[store.buffer as usize], store.value) {
                (HostBuffer::Floats(values), Stored::Float(value)) => values[store.index] = value,
                (HostBuffer::Bits(values), Stored::Bits(value)) => values[store.index] = value,
                _ => unreachable!("the recording checks types"),
            }
        }
    }
}

struct Store<R> {
    buffer: u32,
    index: usize,
    value: Stored<R>,
}

enum Stored<R> {
    Float(R),
    Bits(u32),
}

/// One world's run. Masks are bits 0 and 1.
struct Thread<'a, R> {
    graph: &'a Graph,
    live: &'a Live,
    memory: &'a HostMemory<R>,
    uniforms: &'a [u32],
    world: usize,
    floats: Vec<R>,
    bits: Vec<u32>,
    /// Applied when all worlds are done: loads see the memory as it was.
    stores: Vec<Store<R>>,
}

impl<R: Real> Thread<'_, R> {
    /// Runs a block.
    fn block(&mut self, block: u32) {
        for statement in &self.graph.blocks[block as usize].statements {
            match *statement {
                Statement::Node(id) if self.live.nodes[id as usize] => self.node(id),
                Statement::Node(_) => {}
                Statement::Store {
                    buffer,
                    row,
                    rows,
                    index,
                    value,
                } => {
                    let row = row + index.map_or(0, |index| self.bit(index).min(rows - 1));
                    let value = match self.graph.nodes[value as usize].kind {
                        Type::Float => Stored::Float(self.float(value)),
                        _ => Stored::Bits(self.bit(value)),
                    };
                    let index = self.memory.address(row, true, self.world);
                    self.stores.push(Store {
                        buffer,
                        index,
                        value,
                    });
                }
                Statement::Region(region) if self.live.regions[region as usize] => {
                    self.region(region)
                }
                Statement::Region(_) => {}
                Statement::Call(call) => self.call(call),
            }
        }
    }

    fn float(&self, id: Id) -> R {
        match self.graph.nodes[id as usize].op {
            Op::Float(bits) => R::constant(f64::from_bits(bits)),
            _ => self.floats[id as usize],
        }
    }

    fn bit(&self, id: Id) -> u32 {
        match self.graph.nodes[id as usize].op {
            Op::Bits(value) => value,
            Op::Mask(value) => u32::from(value),
            Op::Uniform(slot) => self.uniforms[slot as usize],
            _ => self.bits[id as usize],
        }
    }

    fn region(&mut self, number: u32) {
        let graph = self.graph;
        let region = &graph.regions[number as usize];
        // A slot that nothing reads may hold a dead value: copying it is harmless.
        let mut carried: Vec<(R, u32)> = region.initial.iter().map(|&id| self.pair(id)).collect();
        let count = if region.repeats {
            self.bit(region.control)
        } else {
            u32::from(self.bit(region.control) != 0)
        };
        let live: &Live = self.live;
        let nodes = &live.carried[number as usize];
        for iteration in 0..count {
            for &(id, slot) in &nodes.parameters {
                (self.floats[id as usize], self.bits[id as usize]) = carried[slot];
            }
            if let Some(counter) = nodes.counter {
                self.bits[counter as usize] = iteration;
            }
            self.block(region.body);
            carried = region.result.iter().map(|&id| self.pair(id)).collect();
            if region.go.is_some_and(|go| self.bit(go) == 0) {
                break;
            }
        }
        for &(id, slot) in &nodes.outputs {
            (self.floats[id as usize], self.bits[id as usize]) = carried[slot];
        }
    }

    /// A node's value whatever its type.
    fn pair(&self, id: Id) -> (R, u32) {
        match self.graph.nodes[id as usize].kind {
            Type::Float => (self.float(id), 0),
            _ => (R::default(), self.bit(id)),
        }
    }

    fn call(&mut self, number: u32) {
        let graph = self.graph;
        let call = &graph.calls[number as usize];
        let arguments: Vec<Scalar> = call
            .arguments
            .iter()
            .map(|&id| match graph.nodes[id as usize].kind {
                Type::Float => Scalar::Float(self.float(id).to_f64()),
                Type::Bits => Scalar::Bits(self.bit(id)),
                Type::Mask => Scalar::Mask(self.bit(id) != 0),
            })
            .collect();
        let tables = ExternTables {
            fields: &call.external.tables,
            memory: self.memory,
        };
        let results = (call.external.twin)(&arguments, &tables);
        let live: &Live = self.live;
        for &(id, slot) in &live.results[number as usize] {
            match results[slot] {
                Scalar::Float(value) => self.floats[id as usize] = R::from_f64(value),
                Scalar::Bits(value) => self.bits[id as usize] = value,
                Scalar::Mask(value) => self.bits[id as usize] = u32::from(value),
            }
        }
    }

    fn node(&mut self, id: Id) {
        let node = &self.graph.nodes[id as usize];
        let at = id as usize;
        match node.op {
            Op::Unary(op, a) => match (op, self.graph.nodes[a as usize].kind, node.kind) {
                (Unary::Bitcast, Type::Float, _) => {
                    self.bits[at] = self.float(a).to_f32().to_bits()
                }
                (Unary::Bitcast, _, _) => {
                    self.floats[at] = R::from_f64(f64::from(f32::from_bits(self.bit(a))))
                }
                (Unary::ToBits, _, _) => self.bits[at] = self.float(a).to_integer(),
                (Unary::ToFloat, _, _) => self.floats[at] = R::from_f64(f64::from(self.bit(a))),
                (Unary::Not, Type::Mask, _) => self.bits[at] = 1 - self.bit(a),
                (Unary::Not, _, _) => self.bits[at] = !self.bit(a),
                _ => self.floats[at] = R::unary(op, self.float(a)),
            },
            Op::Binary(op, a, b) => match self.graph.nodes[a as usize].kind {
                Type::Float if op.compares() => {
                    self.bits[at] = u32::from(holds(op, self.float(a), self.float(b)));
                }
                Type::Float => self.floats[at] = R::binary(op, self.float(a), self.float(b)),
                _ if op.compares() => {
                    self.bits[at] = u32::from(holds(op, self.bit(a), self.bit(b)))
                }
                _ => self.bits[at] = integer(op, self.bit(a), self.bit(b)),
            },
            Op::Select(mask, a, b) => {
                let chosen = if self.bit(mask) != 0 { a } else { b };
                (self.floats[at], self.bits[at]) = self.pair(chosen);
            }
            Op::Load { buffer, row } => self.load(id, buffer, row),
            Op::LoadAt {
                buffer,
                row,
                rows,
                index,
            } => self.load(id, buffer, row + self.bit(index).min(rows - 1)),
            Op::World => self.bits[at] = self.world as u32,
            Op::Exact {
                function,
                arguments: [a, b],
                plain,
            } => {
                self.floats[at] = match R::READING {
                    Reading::Exact => R::from_f64(
                        function.evaluate(self.float(a).to_f64(), self.float(b).to_f64()),
                    ),
                    Reading::Plain => self.float(plain),
                };
            }
            Op::Float(_) | Op::Bits(_) | Op::Mask(_) | Op::Uniform(_) => {}
            // Set by their region or call.
            Op::Parameter { .. } | Op::Counter { .. } | Op::Output { .. } | Op::Result { .. } => {}
        }
    }

    fn load(&mut self, id: Id, buffer: u32, row: u32) {
        let per_world = self.graph.layout.buffers()[buffer as usize].per_world;
        let at = self.memory.address(row, per_world, self.world);
        match &self.memory.buffers[buffer as usize] {
            HostBuffer::Floats(values) => self.floats[id as usize] = values[at],
            HostBuffer::Bits(values) => self.bits[id as usize] = values[at],
        }
    }
}

fn holds<T: PartialOrd>(op: Binary, x: T, y: T) -> bool {
    match op {
        Binary::Less => x < y,
        Binary::LessEqual => x <= y,
        _ => x == y,
    }
}

struct ExternTables<'a, R> {
    fields: &'a [Field],
    memory: &'a HostMemory<R>,
}

impl<R: Real> Tables for ExternTables<'_, R> {
    fn float(&self, table: usize, index: usize) -> f64 {
        self.memory.get(self.fields[table], index, 0)
    }

    fn bits(&self, table: usize, index: usize) -> u32 {
        self.memory.get_bits(self.fields[table], index, 0)
    }
}
