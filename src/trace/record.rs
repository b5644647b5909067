//! The recorder of this thread: it interns nodes, finds the block each belongs to, and keeps statements in order.
//!
//! Placing a node. A node's operands must stand in the current block or in one around it; anything else leaked out
//! of a region, and panics. From the current block the node moves outwards as long as its operands are visible
//! there, but never out of a `when`: what a branch computes is computed only where the branch is taken. So loop
//! invariants leave their `repeat`, and guarded work stays guarded.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};

use super::external::Extern;
use super::graph::{Block, BlockId, BlockKind, Call, Graph, Id, Node, Op, Region, Statement, Type};
use super::layout::{Field, Kind, Layout};

/// How to record.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether constants fold and trivial operations vanish. Off, the graph is the program as written.
    pub fold: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { fold: true }
    }
}

thread_local! {
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

static EPOCHS: AtomicU32 = AtomicU32::new(1);

struct Recorder {
    epoch: u32,
    options: Options,
    graph: Graph,
    interned: HashMap<Op, Id>,
    /// What interning replaced, newest last, so that a region can be taken back.
    undo: Vec<(Op, Option<Id>)>,
    current: BlockId,
    stage: u32,
    stored: HashSet<(u32, u32)>,
    loaded: HashSet<(u32, u32)>,
}

/// Records `body` as a kernel over the buffers of `layout`.
///
/// # Panics
/// When recording is already under way on this thread, or when `body` breaks a rule of the recording.
pub fn record(name: &str, layout: &Layout, body: impl FnOnce()) -> Graph {
    record_with(Options::default(), name, layout, body)
}

/// [`record`] with options.
pub fn record_with(options: Options, name: &str, layout: &Layout, body: impl FnOnce()) -> Graph {
    let block = Block {
        kind: BlockKind::Kernel,
        parent: 0,
        region: u32::MAX,
        stage: 0,
        statements: Vec::new(),
    };
    let recorder = Recorder {
        epoch: EPOCHS.fetch_add(1, Ordering::Relaxed),
        options,
        graph: Graph {
            name: name.into(),
            layout: layout.clone(),
            nodes: Vec::new(),
            blocks: vec![block],
            regions: Vec::new(),
            calls: Vec::new(),
            stages: vec![name.into()],
            uniforms: Vec::new(),
        },
        interned: HashMap::new(),
        undo: Vec::new(),
        current: 0,
        stage: 0,
        stored: HashSet::new(),
        loaded: HashSet::new(),
    };
    RECORDER.with_borrow_mut(|slot| {
        assert!(
            slot.is_none(),
            "`{name}` is recorded while another recording is under way on this thread"
        );
        *slot = Some(recorder);
    });
    /// Ends the recording also when `body` panics.
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            RECORDER.take();
        }
    }
    let guard = Guard;
    body();
    let mut graph = RECORDER
        .take()
        .expect("the recording that began above")
        .graph;
    drop(guard);
    if options.fold {
        graph.sink();
    }
    graph
}

fn with<R>(work: impl FnOnce(&mut Recorder) -> R) -> R {
    RECORDER.with_borrow_mut(|slot| match slot {
        Some(recorder) => work(recorder),
        None => panic!("a recorded value is used outside of `trace::record`"),
    })
}

/// The epoch of the recording under way; handles carry it.
pub(super) fn epoch() -> u32 {
    with(|recorder| recorder.epoch)
}

/// Whether constants and trivial operations fold.
pub(super) fn folds() -> bool {
    RECORDER.with_borrow(|slot| slot.as_ref().is_none_or(|recorder| recorder.options.fold))
}

/// Panics unless a handle belongs to the recording under way.
pub(super) fn check(epoch: u32) {
    with(|recorder| {
        assert!(
            recorder.epoch == epoch,
            "a value of another recording is used in `{}`, stage `{}`",
            recorder.graph.name,
            recorder.graph.stages[recorder.stage as usize]
        );
    });
}

/// The operation behind a node, for folding.
pub(super) fn op(id: Id) -> Op {
    with(|recorder| recorder.graph.nodes[id as usize].op)
}

/// The node for an operation: one that is visible already, or a new one.
pub(super) fn intern(op: Op, kind: Type) -> Id {
    with(|recorder| recorder.intern(op, kind))
}

impl Recorder {
    fn intern(&mut self, op: Op, kind: Type) -> Id {
        if let Some(&id) = self.interned.get(&op)
            && self.sees(self.graph.nodes[id as usize].block)
        {
            return id;
        }
        let block = match op {
            Op::Float(_) | Op::Bits(_) | Op::Mask(_) | Op::World | Op::Uniform(_) => 0,
            Op::Parameter { region, .. } | Op::Counter { region } => {
                self.graph.regions[region as usize].body
            }
            Op::Output { .. } | Op::Result { .. } => self.current,
            Op::Load { .. } => self.place(&[]),
            Op::Unary(_, a) | Op::LoadAt { index: a, .. } => self.place(&[a]),
            Op::Binary(_, a, b) => self.place(&[a, b]),
            Op::Select(m, a, b) => self.place(&[m, a, b]),
            Op::Exact {
                arguments: [a, b],
                plain,
                ..
            } => self.place(&[a, b, plain]),
        };
        let id = self.graph.nodes.len() as Id;
        self.graph.nodes.push(Node {
            op,
            kind,
            block,
            stage: self.stage,
        });
        let is_constant = matches!(op, Op::Float(_) | Op::Bits(_) | Op::Mask(_));
        if !is_constant {
            self.graph.blocks[block as usize]
                .statements
                .push(Statement::Node(id));
        }
        self.undo.push((op, self.interned.insert(op, id)));
        id
    }

    /// Whether a block is the current one or around it.
    fn sees(&self, block: BlockId) -> bool {
        let mut at = self.current;
        while at != block && at != 0 {
            at = self.graph.blocks[at as usize].parent;
        }
        at == block
    }

    /// The outermost block for a node with these operands.
    fn place(&self, operands: &[Id]) -> BlockId {
        for &operand in operands {
            self.demand_visible(operand);
        }
        let mut at = self.current;
        loop {
            let block = &self.graph.blocks[at as usize];
            let bound = operands
                .iter()
                .any(|&operand| self.graph.nodes[operand as usize].block == at);
            if block.kind != BlockKind::Repeat || bound {
                return at;
            }
            at = block.parent;
        }
    }

    fn demand_visible(&self, operand: Id) {
        let node = &self.graph.nodes[operand as usize];
        assert!(
            self.sees(node.block),
            "a value of stage `{}` leaked out of a {} of stage `{}` and is used in stage `{}`: \
             return it through the region's carry",
            self.graph.stages[node.stage as usize],
            match self.graph.blocks[node.block as usize].kind {
                BlockKind::Repeat => "`repeat`",
                BlockKind::When => "`when`",
                BlockKind::Kernel => "kernel",
            },
            self.graph.stages[self.graph.blocks[node.block as usize].stage as usize],
            self.graph.stages[self.stage as usize],
        );
    }

    fn note_load(&mut self, buffer: u32, row: u32) {
        self.loaded.insert((buffer, row));
        assert!(
            !self.stored.contains(&(buffer, row)),
            "`{}` is loaded after it was stored, in stage `{}`: load it first",
            self.graph.layout.name_of(buffer, row),
            self.graph.stages[self.stage as usize]
        );
    }

    fn push(&mut self, statement: Statement) {
        self.graph.blocks[self.current as usize]
            .statements
            .push(statement);
    }
}

pub(super) fn load(buffer: u32, row: u32, kind: Kind) -> Id {
    with(|recorder| {
        recorder.note_load(buffer, row);
        recorder.intern(Op::Load { buffer, row }, type_of(kind))
    })
}

pub(super) fn load_at(field: Field, kind: Kind, index: Id) -> Id {
    let row = field.row_of(0, kind);
    with(|recorder| {
        for row in field.row..field.row + field.components {
            recorder.note_load(field.buffer, row);
        }
        recorder.intern(
            Op::LoadAt {
                buffer: field.buffer,
                row,
                rows: field.components,
                index,
            },
            type_of(kind),
        )
    })
}

fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::F32 => Type::Float,
        Kind::U32 => Type::Bits,
    }
}

pub(super) fn store(field: Field, row: u32, index: Option<Id>, value: Id) {
    with(|recorder| {
        assert!(field.per_world, "a table is read-only: all worlds share it");
        let rows = if index.is_some() { field.components } else { 1 };
        let is_loaded = (row..row + rows).any(|row| recorder.loaded.contains(&(field.buffer, row)));
        let mut at = recorder.current;
        while at != 0 {
            assert!(
                !is_loaded || recorder.graph.blocks[at as usize].kind != BlockKind::Repeat,
                "`{}` is loaded, and stored inside a `repeat`: carry the value out and store it after",
                recorder.graph.layout.name_of(field.buffer, row)
            );
            at = recorder.graph.blocks[at as usize].parent;
        }
        recorder.demand_visible(value);
        if let Some(index) = index {
            recorder.demand_visible(index);
        }
        recorder
            .stored
            .extend((row..row + rows).map(|row| (field.buffer, row)));
        recorder.push(Statement::Store {
            buffer: field.buffer,
            row,
            rows,
            index,
            value,
        });
    });
}

/// The slot of a run-time value of the launch.
pub(super) fn uniform(name: &str) -> Id {
    with(|recorder| {
        let known = recorder
            .graph
            .uniforms
            .iter()
            .position(|known| known == name);
        let slot = known.unwrap_or_else(|| {
            recorder.graph.uniforms.push(name.into());
            recorder.graph.uniforms.len() - 1
        });
        assert!(
            slot < super::MAX_UNIFORMS,
            "a kernel has at most {} uniforms",
            super::MAX_UNIFORMS
        );
        recorder.intern(Op::Uniform(slot as u32), Type::Bits)
    })
}

pub(super) fn call(external: &Extern, arguments: Vec<Id>) -> Vec<Id> {
    with(|recorder| {
        for &argument in &arguments {
            recorder.demand_visible(argument);
        }
        let call = recorder.graph.calls.len() as u32;
        recorder.graph.calls.push(Call {
            external: external.clone(),
            arguments,
        });
        recorder.push(Statement::Call(call));
        let results = external.results.iter().enumerate();
        results
            .map(|(slot, &kind)| {
                recorder.intern(
                    Op::Result {
                        call,
                        slot: slot as u32,
                    },
                    kind,
                )
            })
            .collect()
    })
}

/// Runs `body` with `name` appended to the stage label.
///
/// The label stands in the printed WGSL, in panics and in operation counts.
pub fn stage<R>(name: &str, body: impl FnOnce() -> R) -> R {
    let before = with(|recorder| {
        let before = recorder.stage;
        let label = match before {
            0 => name.to_string(),
            _ => format!("{}/{name}", recorder.graph.stages[before as usize]),
        };
        let known = recorder
            .graph
            .stages
            .iter()
            .position(|stage| *stage == label);
        recorder.stage = known.unwrap_or_else(|| {
            recorder.graph.stages.push(label);
            recorder.graph.stages.len() - 1
        }) as u32;
        before
    });
    let result = body();
    with(|recorder| recorder.stage = before);
    result
}

/// A place in a recording to which it can be taken back.
pub(super) struct Mark {
    nodes: usize,
    undo: usize,
    blocks: usize,
    regions: usize,
    calls: usize,
    /// Statements of every block around the region.
    statements: Vec<(BlockId, usize)>,
    current: BlockId,
}

/// Opens a region's body; [`end_region`] or [`take_back`] closes it.
pub(super) fn begin_region(control: Id, initial: Vec<Id>, repeats: bool) -> (u32, Mark) {
    with(|recorder| {
        recorder.demand_visible(control);
        for &value in &initial {
            recorder.demand_visible(value);
        }
        let graph = &mut recorder.graph;
        let mut statements = Vec::new();
        let mut at = recorder.current;
        loop {
            statements.push((at, graph.blocks[at as usize].statements.len()));
            if at == 0 {
                break;
            }
            at = graph.blocks[at as usize].parent;
        }
        let mark = Mark {
            nodes: graph.nodes.len(),
            undo: recorder.undo.len(),
            blocks: graph.blocks.len(),
            regions: graph.regions.len(),
            calls: graph.calls.len(),
            statements,
            current: recorder.current,
        };
        let (region, body) = (graph.regions.len() as u32, graph.blocks.len() as BlockId);
        graph.regions.push(Region {
            body,
            control,
            repeats,
            initial,
            result: Vec::new(),
            go: None,
        });
        graph.blocks.push(Block {
            kind: if repeats {
                BlockKind::Repeat
            } else {
                BlockKind::When
            },
            parent: recorder.current,
            region,
            stage: recorder.stage,
            statements: Vec::new(),
        });
        recorder.current = body;
        (region, mark)
    })
}

/// The carried value of a slot at the start of an iteration.
pub(super) fn parameter(region: u32, slot: u32, kind: Type) -> Id {
    intern(Op::Parameter { region, slot }, kind)
}

/// The index of the iteration.
pub(super) fn counter(region: u32) -> Id {
    intern(Op::Counter { region }, Type::Bits)
}

/// Leaves the current `repeat` after this iteration unless the mask holds.
pub(super) fn set_go(region: u32, go: Id) {
    with(|recorder| {
        recorder.demand_visible(go);
        recorder.graph.regions[region as usize].go = Some(go);
    });
}

/// Closes the body and gives the values after the region, slot by slot.
pub(super) fn end_region(region: u32, mark: Mark, result: Vec<Id>) -> Vec<Id> {
    with(|recorder| {
        for &value in &result {
            recorder.demand_visible(value);
        }
        recorder.current = mark.current;
        let kinds: Vec<Type> = result
            .iter()
            .map(|&id| recorder.graph.nodes[id as usize].kind)
            .collect();
        recorder.graph.regions[region as usize].result = result;
        recorder.push(Statement::Region(region));
        let outputs = kinds.into_iter().enumerate();
        outputs
            .map(|(slot, kind)| {
                recorder.intern(
                    Op::Output {
                        region,
                        slot: slot as u32,
                    },
                    kind,
                )
            })
            .collect()
    })
}

/// Forgets everything recorded since the region began.
pub(super) fn take_back(mark: Mark) {
    with(|recorder| {
        for (op, before) in recorder.undo.drain(mark.undo..).rev() {
            match before {
                Some(id) => recorder.interned.insert(op, id),
                None => recorder.interned.remove(&op),
            };
        }
        let graph = &mut recorder.graph;
        graph.nodes.truncate(mark.nodes);
        graph.blocks.truncate(mark.blocks);
        graph.regions.truncate(mark.regions);
        graph.calls.truncate(mark.calls);
        for (block, statements) in mark.statements {
            graph.blocks[block as usize].statements.truncate(statements);
        }
        recorder.current = mark.current;
    });
}
