//! Hand-written WGSL as a node: what cannot be unrolled is called by name, with a Rust twin for the interpreter.

use std::fmt;
use std::sync::Arc;

use super::graph::Type;
use super::layout::Field;
use super::record;
use super::value::{Bits, Mask, Var};

/// A function written in WGSL, with what it reads and a twin in Rust.
///
/// In WGSL it is `fn name(a: f32, b: u32, …) -> name_result`, where `struct name_result { r0: …, r1: … }` has one
/// member per result. It may read the tables it declares, by their buffers' names in the layout.
#[derive(Clone)]
pub struct Extern {
    /// The function's name in WGSL.
    pub name: &'static str,
    /// WGSL that defines the function and its result structure; equal sources are printed once.
    pub source: &'static str,
    /// The arguments' types.
    pub parameters: Vec<Type>,
    /// The results' types.
    pub results: Vec<Type>,
    /// The tables that the function reads.
    pub tables: Vec<Field>,
    /// The same function for the interpreter.
    pub twin: Twin,
}

/// The Rust side of an [`Extern`]: arguments and tables in, results out.
pub type Twin = Arc<dyn Fn(&[Scalar], &dyn Tables) -> Vec<Scalar> + Send + Sync>;

/// A value of one of the recorded types.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// A [`Var`].
    Float(f64),
    /// [`Bits`].
    Bits(u32),
    /// A [`Mask`].
    Mask(bool),
}

/// The tables of an extern, as its twin reads them.
pub trait Tables {
    /// Scalar `index` of the extern's `table`-th table.
    fn float(&self, table: usize, index: usize) -> f64;
    /// Scalar `index` of the extern's `table`-th table.
    fn bits(&self, table: usize, index: usize) -> u32;
}

/// A recorded value of any type, as an extern takes and gives it.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// A float.
    Var(Var),
    /// An unsigned integer.
    Bits(Bits),
    /// A truth value.
    Mask(Mask),
}

impl Value {
    fn id(self) -> (u32, Type) {
        match self {
            Value::Var(var) => (var.id(), Type::Float),
            Value::Bits(bits) => (bits.id(), Type::Bits),
            Value::Mask(mask) => (mask.id(), Type::Mask),
        }
    }
}

/// Calls an extern; the results come in its declared order.
pub fn call(external: &Extern, arguments: &[Value]) -> Vec<Value> {
    let (ids, types): (Vec<_>, Vec<_>) = arguments.iter().map(|argument| argument.id()).unzip();
    assert_eq!(
        types, external.parameters,
        "arguments of `{}`",
        external.name
    );
    let results = record::call(external, ids);
    let typed = results.into_iter().zip(&external.results);
    typed
        .map(|(id, kind)| match kind {
            Type::Float => Value::Var(Var::node(id)),
            Type::Bits => Value::Bits(Bits::node(id)),
            Type::Mask => Value::Mask(Mask::node(id)),
        })
        .collect()
}

impl fmt::Debug for Extern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "extern {}({:?}) -> {:?}",
            self.name, self.parameters, self.results
        )
    }
}
