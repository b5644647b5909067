//! Moves work into the branches that alone need it.
//!
//! Recording places a node in the outermost block where its operands are visible, so what is computed before a `when`
//! and read only inside of it would be computed in every world. Here it goes into the branch. Nothing moves into a
//! `repeat`, where it would be computed more often, and loads stay before all stores.

use super::graph::{Block, BlockId, BlockKind, Graph, Id, Op, Reading, Statement};

impl Graph {
    /// Moves every pure node into the innermost branch that contains all its uses.
    pub(super) fn sink(&mut self) {
        let places = self.places();
        let mut arriving: Vec<Vec<Id>> = vec![Vec::new(); self.blocks.len()];
        for (id, &place) in places.iter().enumerate() {
            if place != self.nodes[id].block {
                self.nodes[id].block = place;
                arriving[place as usize].push(id as Id);
            }
        }
        for (at, (block, arriving)) in self.blocks.iter_mut().zip(arriving).enumerate() {
            let nodes = &self.nodes;
            block.statements.retain(|statement| match statement {
                Statement::Node(id) => nodes[*id as usize].block == at as BlockId,
                _ => true,
            });
            // Operands have lower numbers than what they are operands of.
            let first = arriving.into_iter().map(Statement::Node);
            block.statements.splice(0..0, first);
        }
    }

    /// The block in which each node should stand.
    fn places(&self) -> Vec<BlockId> {
        let live: Vec<_> = [Reading::Exact, Reading::Plain]
            .map(|reading| self.live(reading))
            .into();
        let is_live = |id: Id| live.iter().any(|live| live.nodes[id as usize]);
        let mut uses = Uses {
            blocks: &self.blocks,
            common: vec![None; self.nodes.len()],
        };
        for (number, region) in self.regions.iter().enumerate() {
            let around = self.blocks[region.body as usize].parent;
            uses.add(region.control, around);
            if let Some(go) = region.go {
                uses.add(go, region.body);
            }
            for slot in live.iter().flat_map(|live| live.carried[number].slots()) {
                uses.add(region.initial[slot], around);
                uses.add(region.result[slot], region.body);
            }
        }
        for (at, block) in self.blocks.iter().enumerate() {
            for statement in &block.statements {
                match *statement {
                    Statement::Store { index, value, .. } => {
                        index
                            .into_iter()
                            .for_each(|index| uses.add(index, at as BlockId));
                        uses.add(value, at as BlockId);
                    }
                    Statement::Call(call) => {
                        let arguments = &self.calls[call as usize].arguments;
                        arguments.iter().for_each(|&id| uses.add(id, at as BlockId));
                    }
                    Statement::Node(_) | Statement::Region(_) => {}
                }
            }
        }
        let mut places: Vec<BlockId> = self.nodes.iter().map(|node| node.block).collect();
        for id in (0..self.nodes.len() as Id).rev().filter(|&id| is_live(id)) {
            let node = &self.nodes[id as usize];
            let place = &mut places[id as usize];
            match node.op {
                Op::Unary(..) | Op::Binary(..) | Op::Select(..) | Op::Exact { .. } => {
                    *place = uses.innermost(id, node.block);
                }
                _ => {}
            }
            let place = *place;
            match node.op {
                Op::Unary(_, a) | Op::LoadAt { index: a, .. } => uses.add(a, place),
                Op::Binary(_, a, b) => [a, b].iter().for_each(|&id| uses.add(id, place)),
                Op::Select(m, a, b) => [m, a, b].iter().for_each(|&id| uses.add(id, place)),
                Op::Exact {
                    arguments, plain, ..
                } => {
                    arguments.iter().for_each(|&id| uses.add(id, place));
                    uses.add(plain, place);
                }
                _ => {}
            }
        }
        places
    }
}

/// Where nodes are used.
struct Uses<'a> {
    blocks: &'a [Block],
    /// By node, the innermost block around all uses that were added.
    common: Vec<Option<BlockId>>,
}

impl Uses<'_> {
    fn add(&mut self, id: Id, block: BlockId) {
        let common = match self.common[id as usize] {
            None => block,
            Some(before) => self.around(before, block),
        };
        self.common[id as usize] = Some(common);
    }

    /// The innermost block around two.
    fn around(&self, mut a: BlockId, mut b: BlockId) -> BlockId {
        // A block's number is higher than its parent's.
        while a != b {
            let inner = if a > b { &mut a } else { &mut b };
            *inner = self.blocks[*inner as usize].parent;
        }
        a
    }

    /// The innermost block around all uses of a node that is reached from its own through branches only.
    fn innermost(&self, id: Id, own: BlockId) -> BlockId {
        let (mut place, mut at) = (own, self.common[id as usize].unwrap_or(own));
        let mut reached = at;
        while at != own {
            let block = &self.blocks[at as usize];
            if block.kind != BlockKind::When {
                reached = block.parent;
            }
            at = block.parent;
        }
        if reached != own {
            place = reached;
        }
        place
    }
}
