//! What a recording leaves: nodes in blocks, and the statements that order them. Plain data.

use super::external::Extern;
use super::layout::Layout;

/// Index of a node in its graph.
pub(super) type Id = u32;
/// Index of a block in its graph; 0 is the kernel's body.
pub(super) type BlockId = u32;

/// The type of a node's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A [`Var`](super::Var).
    Float,
    /// [`Bits`](super::Bits).
    Bits,
    /// A [`Mask`](super::Mask).
    Mask,
}

/// A pure operation. Two equal nodes in visible blocks are one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    /// An `f64`, by its bits.
    Float(u64),
    Bits(u32),
    Mask(bool),
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    /// `mask ? a : b`.
    Select(Id, Id, Id),
    Load {
        buffer: u32,
        row: u32,
    },
    /// Row `row + min(index, rows - 1)`.
    LoadAt {
        buffer: u32,
        row: u32,
        rows: u32,
        index: Id,
    },
    /// Index of the world in its buffers.
    World,
    /// A run-time value of the launch.
    Uniform(u32),
    /// A function by its exact meaning and by the plain operations that stand for it in f32.
    Exact {
        function: Function,
        arguments: [Id; 2],
        plain: Id,
    },
    /// A carried value at the start of an iteration.
    Parameter {
        region: u32,
        slot: u32,
    },
    /// The index of the iteration.
    Counter {
        region: u32,
    },
    /// A carried value after the region.
    Output {
        region: u32,
        slot: u32,
    },
    /// A result of an extern call.
    Result {
        call: u32,
        slot: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unary {
    Negate,
    Absolute,
    SquareRoot,
    Floor,
    /// To the nearest integer, ties to even.
    Round,
    /// Mask negation, or bitwise complement.
    Not,
    /// Reinterprets a float's bits, or bits as a float.
    Bitcast,
    /// Float to unsigned integer, truncating and saturating.
    ToBits,
    /// Unsigned integer to the nearest float.
    ToFloat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Minimum,
    Maximum,
    And,
    Or,
    ExclusiveOr,
    ShiftLeft,
    ShiftRight,
    Less,
    LessEqual,
    Equal,
}

impl Binary {
    pub(super) fn commutes(self) -> bool {
        use Binary::*;
        matches!(
            self,
            Add | Multiply | Minimum | Maximum | And | Or | ExclusiveOr | Equal
        )
    }

    pub(super) fn compares(self) -> bool {
        matches!(self, Binary::Less | Binary::LessEqual | Binary::Equal)
    }
}

/// A function with an exact meaning on the host, and plain operations that approximate it on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "the names are those of the standard library's methods"
)]
pub enum Function {
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Atan2,
    Exp,
    Log,
    Tanh,
    Pow,
    Epsilon,
}

impl Function {
    /// The value in double precision; the second argument counts for `Atan2` (x) and `Pow` (the exponent) only, and
    /// none for `Epsilon`.
    pub fn evaluate(self, a: f64, b: f64) -> f64 {
        match self {
            Function::Sin => a.sin(),
            Function::Cos => a.cos(),
            Function::Tan => a.tan(),
            Function::Asin => a.asin(),
            Function::Acos => a.acos(),
            Function::Atan => a.atan(),
            Function::Atan2 => a.atan2(b),
            Function::Exp => a.exp(),
            Function::Log => a.ln(),
            Function::Tanh => a.tanh(),
            Function::Pow => a.powf(b),
            Function::Epsilon => f64::EPSILON,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub op: Op,
    pub kind: Type,
    /// The outermost block in which the node can stand.
    pub block: BlockId,
    /// Index into [`Graph::stages`].
    pub stage: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    Kernel,
    Repeat,
    When,
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    pub kind: BlockKind,
    pub parent: BlockId,
    /// The region whose body it is; of no meaning for the kernel's block.
    pub region: u32,
    pub stage: u32,
    pub statements: Vec<Statement>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Statement {
    Node(Id),
    /// Row `row`, or `row + min(index, rows - 1)`.
    Store {
        buffer: u32,
        row: u32,
        rows: u32,
        index: Option<Id>,
        value: Id,
    },
    Region(u32),
    Call(u32),
}

/// A `repeat` or a `when`: a body with carried values.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub body: BlockId,
    /// The number of iterations of a `repeat`, or the mask of a `when`.
    pub control: Id,
    /// Whether it is a `repeat`.
    pub repeats: bool,
    pub initial: Vec<Id>,
    pub result: Vec<Id>,
    /// What a `repeat` tests after each iteration; whether it begins, `control` says.
    pub go: Option<Id>,
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub external: Extern,
    pub arguments: Vec<Id>,
}

/// A recorded function of one world's values: what a kernel does.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(super) name: String,
    pub(super) layout: Layout,
    pub(super) nodes: Vec<Node>,
    pub(super) blocks: Vec<Block>,
    pub(super) regions: Vec<Region>,
    pub(super) calls: Vec<Call>,
    pub(super) stages: Vec<String>,
    pub(super) uniforms: Vec<String>,
}

/// What a graph costs, as it will be printed: dead nodes are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operations {
    /// Everything that computes: arithmetic, comparisons, selections, conversions.
    pub total: usize,
    /// Divisions and square roots among them.
    pub divisions: usize,
    /// Scalars read from buffers.
    pub loads: usize,
    /// Scalars written to buffers.
    pub stores: usize,
    /// Scalars that a `repeat` carries from one iteration to the next.
    pub carries: usize,
    /// `total` by stage, in the order in which the stages were first recorded.
    pub by_stage: Vec<(String, usize)>,
}

/// Which reading of [`Op::Exact`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// By its meaning, for the f64 interpreter.
    Exact,
    /// By its plain operations, for the device and the f32 interpreter.
    Plain,
}

/// What a reading of a graph needs: which nodes and which regions.
pub(super) struct Live {
    pub nodes: Vec<bool>,
    pub regions: Vec<bool>,
    /// The live nodes that stand for a region's carried values and counter.
    pub carried: Vec<Carried>,
    /// The live results of each extern call, with their slots.
    pub results: Vec<Vec<(Id, usize)>>,
}

/// The live nodes that stand for a region's carried values and counter.
#[derive(Clone, Debug, Default)]
pub(super) struct Carried {
    pub parameters: Vec<(Id, usize)>,
    pub outputs: Vec<(Id, usize)>,
    pub counter: Option<Id>,
}

impl Carried {
    /// The slots that something reads, in order.
    pub(super) fn slots(&self) -> Vec<usize> {
        let mut slots: Vec<usize> = self
            .parameters
            .iter()
            .chain(&self.outputs)
            .map(|(_, slot)| *slot)
            .collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }
}

impl Graph {
    /// The name under which it was recorded.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The buffers it reads and writes.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The names of the launch's run-time values, in the order of their slots.
    pub fn uniforms(&self) -> &[String] {
        &self.uniforms
    }

    /// Which of the layout's buffers a kernel of this graph binds.
    pub fn used_buffers(&self) -> Vec<bool> {
        let live = self.live(Reading::Plain);
        let mut used = vec![false; self.layout.buffers().len()];
        for (id, node) in self.nodes.iter().enumerate() {
            match node.op {
                Op::Load { buffer, .. } | Op::LoadAt { buffer, .. } if live.nodes[id] => {
                    used[buffer as usize] = true
                }
                Op::Result { call, .. } if live.nodes[id] => {
                    for field in &self.calls[call as usize].external.tables {
                        used[field.buffer as usize] = true;
                    }
                }
                _ => {}
            }
        }
        for block in &self.blocks {
            for statement in &block.statements {
                if let Statement::Store { buffer, .. } = statement {
                    used[*buffer as usize] = true;
                }
            }
        }
        used
    }

    /// What the graph costs on the device.
    pub fn operations(&self) -> Operations {
        let live = self.live(Reading::Plain);
        let mut counts = vec![0; self.stages.len()];
        let (mut divisions, mut loads, mut stores) = (0, 0, 0);
        let nodes = self.nodes.iter().zip(&live.nodes);
        for (node, _) in nodes.filter(|(_, live)| **live) {
            match node.op {
                Op::Unary(..) | Op::Binary(..) | Op::Select(..) => counts[node.stage as usize] += 1,
                Op::Load { .. } | Op::LoadAt { .. } => loads += 1,
                _ => {}
            }
            match node.op {
                Op::Binary(Binary::Divide, a, _) if self.nodes[a as usize].kind == Type::Float => {
                    divisions += 1
                }
                Op::Unary(Unary::SquareRoot, _) => divisions += 1,
                _ => {}
            }
        }
        for block in &self.blocks {
            stores += block
                .statements
                .iter()
                .filter(|s| matches!(s, Statement::Store { .. }))
                .count();
        }
        let repeats = self
            .regions
            .iter()
            .zip(&live.carried)
            .filter(|(region, _)| region.repeats);
        let carries = repeats.map(|(_, carried)| carried.slots().len()).sum();
        Operations {
            total: counts.iter().sum(),
            divisions,
            loads,
            stores,
            carries,
            by_stage: self
                .stages
                .iter()
                .cloned()
                .zip(counts)
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }

    /// Marks what the stores depend on.
    pub(super) fn live(&self, reading: Reading) -> Live {
        let mut live = Live {
            nodes: vec![false; self.nodes.len()],
            regions: vec![false; self.regions.len()],
            carried: vec![Carried::default(); self.regions.len()],
            results: vec![Vec::new(); self.calls.len()],
        };
        let mut pending = Vec::new();
        for (at, block) in self.blocks.iter().enumerate() {
            for statement in &block.statements {
                if let Statement::Store { index, value, .. } = statement {
                    pending.extend(*index);
                    pending.push(*value);
                    self.enliven(at as BlockId, &mut live, &mut pending);
                }
            }
        }
        while let Some(id) = pending.pop() {
            if std::mem::replace(&mut live.nodes[id as usize], true) {
                continue;
            }
            let node = &self.nodes[id as usize];
            self.enliven(node.block, &mut live, &mut pending);
            match node.op {
                Op::Float(_)
                | Op::Bits(_)
                | Op::Mask(_)
                | Op::Load { .. }
                | Op::World
                | Op::Uniform(_) => {}
                Op::Counter { .. } => {}
                Op::Unary(_, a) | Op::LoadAt { index: a, .. } => pending.push(a),
                Op::Binary(_, a, b) => pending.extend([a, b]),
                Op::Select(m, a, b) => pending.extend([m, a, b]),
                Op::Exact {
                    arguments, plain, ..
                } => match reading {
                    Reading::Exact => pending.extend(arguments),
                    Reading::Plain => pending.push(plain),
                },
                Op::Parameter { region, slot } | Op::Output { region, slot } => {
                    let at = &self.regions[region as usize];
                    pending.extend([at.initial[slot as usize], at.result[slot as usize]]);
                    self.enliven(at.body, &mut live, &mut pending);
                }
                Op::Result { call, .. } => pending.extend(&self.calls[call as usize].arguments),
            }
            match node.op {
                Op::Parameter { region, slot } => live.carried[region as usize]
                    .parameters
                    .push((id, slot as usize)),
                Op::Output { region, slot } => live.carried[region as usize]
                    .outputs
                    .push((id, slot as usize)),
                Op::Counter { region } => live.carried[region as usize].counter = Some(id),
                Op::Result { call, slot } => live.results[call as usize].push((id, slot as usize)),
                _ => {}
            }
        }
        live
    }

    /// Marks the regions around a block, with what controls them.
    fn enliven(&self, mut block: BlockId, live: &mut Live, pending: &mut Vec<Id>) {
        while block != 0 {
            let region = self.blocks[block as usize].region as usize;
            if std::mem::replace(&mut live.regions[region], true) {
                return;
            }
            pending.push(self.regions[region].control);
            pending.extend(self.regions[region].go);
            block = self.blocks[block as usize].parent;
        }
    }
}
