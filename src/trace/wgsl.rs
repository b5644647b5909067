//! Prints a graph as WGSL: straight-line code, one thread per world, one `let` per live node.
//!
//! Binding 0 is the launch (which worlds, the stride, the run-time values); buffer `i` of the layout is binding
//! `1 + i`, declared only where it is used. A `repeat` becomes a loop over `var`s that is left at its end,
//! a `when` an `if`.

use std::fmt::Write;

use super::graph::{Binary, Graph, Id, Live, Op, Reading, Region, Statement, Type, Unary};
use super::layout::Kind;
use super::value::single;

/// Threads per workgroup of a printed kernel.
pub const WORKGROUP_SIZE: u32 = 64;

impl Graph {
    /// The kernel's source; its entry point is `main`, its workgroups have [`WORKGROUP_SIZE`] threads.
    pub fn wgsl(&self) -> String {
        let mut printer = Printer {
            graph: self,
            live: self.live(Reading::Plain),
            out: String::new(),
            stage: 0,
            depth: 1,
        };
        printer.kernel();
        printer.out
    }
}

struct Printer<'a> {
    graph: &'a Graph,
    live: Live,
    out: String,
    stage: u32,
    depth: usize,
}

impl Printer<'_> {
    fn kernel(&mut self) {
        let graph = self.graph;
        let out = &mut self.out;
        _ = writeln!(out, "// {}", graph.name);
        out.push_str(
            "struct Launch { first_world: u32, worlds: u32, stride: u32, pad: u32, a: vec4<u32>, b: vec4<u32> }\n\
             @group(0) @binding(0) var<uniform> launch: Launch;\n",
        );
        for (at, used) in graph
            .used_buffers()
            .into_iter()
            .enumerate()
            .filter(|(_, used)| *used)
        {
            let buffer = &graph.layout.buffers()[at];
            let scalar = match buffer.kind {
                Kind::F32 => "f32",
                Kind::U32 => "u32",
            };
            debug_assert!(used);
            _ = writeln!(
                out,
                "@group(0) @binding({}) var<storage, read_write> {}: array<{scalar}>;",
                at + 1,
                buffer.name
            );
        }
        let mut sources: Vec<&str> = Vec::new();
        for call in &graph.calls {
            if !sources.contains(&call.external.source) {
                sources.push(call.external.source);
                out.push_str(call.external.source);
                out.push('\n');
            }
        }
        _ = write!(
            out,
            "@compute @workgroup_size({WORKGROUP_SIZE})\n\
             fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {{\n\
             \x20 let index = id.x + id.y * (groups.x * {WORKGROUP_SIZE}u);\n\
             \x20 if index >= launch.worlds {{ return; }}\n\
             \x20 let world = launch.first_world + index;\n\
             \x20 let stride = launch.stride;\n"
        );
        self.block(0);
        self.out.push_str("}\n");
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
        _ = self.out.write_fmt(text);
        self.out.push('\n');
    }

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
                    let target = self.address(buffer, row, index.map(|index| (rows, index)));
                    let value = self.name(value);
                    self.line(format_args!("{target} = {value};"));
                }
                Statement::Region(region) if self.live.regions[region as usize] => {
                    self.region(region)
                }
                Statement::Region(_) => {}
                Statement::Call(call) => self.call(call),
            }
        }
    }

    fn call(&mut self, call: u32) {
        if self.live.results[call as usize].is_empty() {
            return;
        }
        let at = &self.graph.calls[call as usize];
        let arguments: Vec<String> = at.arguments.iter().map(|&id| self.name(id)).collect();
        self.line(format_args!(
            "let e{call} = {}({});",
            at.external.name,
            arguments.join(", ")
        ));
    }

    fn region(&mut self, number: u32) {
        let region: &Region = &self.graph.regions[number as usize];
        let slots = self.live.carried[number as usize].slots();
        for &slot in &slots {
            let initial = region.initial[slot];
            let kind = type_name(self.graph.nodes[initial as usize].kind);
            let value = self.name(initial);
            self.line(format_args!("var r{number}_{slot}: {kind} = {value};"));
        }
        let control = self.name(region.control);
        match region.repeats {
            true => {
                let begins = match self.graph.nodes[region.control as usize].op {
                    Op::Bits(_) => String::new(),
                    _ => format!("if {control} > 0u "),
                };
                self.line(format_args!("var i{number} = 0u;"));
                self.line(format_args!("{begins}{{ loop {{"));
            }
            false => self.line(format_args!("if {control} {{")),
        }
        self.depth += 1;
        self.block(region.body);
        for &slot in &slots {
            let value = self.name(region.result[slot]);
            self.line(format_args!("r{number}_{slot} = {value};"));
        }
        if region.repeats {
            let stops = match region.go {
                Some(go) => format!(" | !{}", self.name(go)),
                None => String::new(),
            };
            self.line(format_args!("i{number}++;"));
            self.line(format_args!(
                "if (i{number} >= {control}){stops} {{ break; }}"
            ));
        }
        self.depth -= 1;
        self.line(format_args!("{}", if region.repeats { "}}" } else { "}" }));
    }

    fn address(&self, buffer: u32, row: u32, index: Option<(u32, Id)>) -> String {
        let target = &self.graph.layout.buffers()[buffer as usize];
        let row = match index {
            Some((rows, index)) => format!("({row}u + min({}, {}u))", self.name(index), rows - 1),
            None => format!("{row}u"),
        };
        match target.per_world {
            true => format!("{}[{row} * stride + world]", target.name),
            false => format!("{}[{row}]", target.name),
        }
    }

    fn node(&mut self, id: Id) {
        let node = &self.graph.nodes[id as usize];
        if matches!(
            node.op,
            Op::Output { .. } | Op::Result { .. } | Op::Exact { .. } | Op::Uniform(_) | Op::World
        ) {
            return; // printed where they are used
        }
        if node.stage != self.stage {
            self.stage = node.stage;
            let label = &self.graph.stages[node.stage as usize];
            self.line(format_args!("// {label}"));
        }
        let expression = self.expression(id);
        self.line(format_args!("let t{id} = {expression};"));
    }

    fn expression(&self, id: Id) -> String {
        let node = &self.graph.nodes[id as usize];
        let name = |id| self.name(id);
        match node.op {
            Op::Unary(op, a) => {
                let x = name(a);
                match op {
                    Unary::Negate => format!("-{x}"),
                    Unary::Absolute => format!("abs({x})"),
                    Unary::SquareRoot => format!("sqrt({x})"),
                    Unary::Floor => format!("floor({x})"),
                    Unary::Round => format!("round({x})"),
                    Unary::Not if node.kind == Type::Mask => format!("!{x}"),
                    Unary::Not => format!("~{x}"),
                    Unary::Bitcast => format!("bitcast<{}>({x})", type_name(node.kind)),
                    Unary::ToBits => format!("u32({x})"),
                    Unary::ToFloat => format!("f32({x})"),
                }
            }
            Op::Binary(op, a, b) => {
                let operands = self.graph.nodes[a as usize].kind;
                let (x, y) = (name(a), name(b));
                let infix = |sign| format!("{x} {sign} {y}");
                match op {
                    Binary::Add => infix("+"),
                    Binary::Subtract => infix("-"),
                    Binary::Multiply => infix("*"),
                    Binary::Divide => infix("/"),
                    Binary::Remainder => infix("%"),
                    Binary::Minimum => format!("min({x}, {y})"),
                    Binary::Maximum => format!("max({x}, {y})"),
                    Binary::And => infix("&"),
                    Binary::Or => infix("|"),
                    Binary::ExclusiveOr if operands == Type::Mask => infix("!="),
                    Binary::ExclusiveOr => infix("^"),
                    Binary::ShiftLeft => format!("{x} << ({y} & 31u)"),
                    Binary::ShiftRight => format!("{x} >> ({y} & 31u)"),
                    Binary::Less => infix("<"),
                    Binary::LessEqual => infix("<="),
                    Binary::Equal => infix("=="),
                }
            }
            Op::Select(mask, a, b) => format!("select({}, {}, {})", name(b), name(a), name(mask)),
            Op::Load { buffer, row } => self.address(buffer, row, None),
            Op::LoadAt {
                buffer,
                row,
                rows,
                index,
            } => self.address(buffer, row, Some((rows, index))),
            Op::Parameter { region, slot } => format!("r{region}_{slot}"),
            Op::Counter { region } => format!("i{region}"),
            _ => name(id),
        }
    }

    /// How a node is referred to.
    fn name(&self, id: Id) -> String {
        match self.graph.nodes[id as usize].op {
            Op::Float(bits) => literal(single(f64::from_bits(bits))),
            Op::Bits(value) => format!("{value}u"),
            Op::Mask(value) => value.to_string(),
            Op::World => "world".into(),
            Op::Uniform(slot) => {
                let (vector, member) = (
                    ["a", "b"][slot as usize / 4],
                    ["x", "y", "z", "w"][slot as usize % 4],
                );
                format!("launch.{vector}.{member}")
            }
            Op::Exact { plain, .. } => self.name(plain),
            Op::Output { region, slot } => format!("r{region}_{slot}"),
            Op::Result { call, slot } => format!("e{call}.r{slot}"),
            _ => format!("t{id}"),
        }
    }
}

fn literal(value: f32) -> String {
    match value.is_sign_negative() {
        true => format!("({value:?}f)"),
        false => format!("{value:?}f"),
    }
}

fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Float => "f32",
        Type::Bits => "u32",
        Type::Mask => "bool",
    }
}
