//! The recorded scalars: [`Var`] (a float), [`Bits`] (an unsigned integer), [`Mask`] (a truth value).
//!
//! A handle is a constant or a node of the recording under way. Constants need no recording and fold among
//! themselves in `f64`; everything else becomes a node. Folding rules stand here, beside the operation they
//! shorten. A rule may change the last bit (`x / 3` becomes `x * (1/3)`), never what NaN-free arithmetic means;
//! `x * 0` is 0 even where `x` might be infinite.

use std::fmt;
use std::marker::PhantomData;

use super::graph::{Binary, Function, Id, Op, Type, Unary};
use super::record;

#[derive(Clone, Copy)]
enum Repr<T> {
    Constant(T),
    Node { id: Id, epoch: u32 },
}

/// Keeps handles on the thread that records them.
type NotSend = PhantomData<*const ()>;

/// A float: `f32` on the device, `f64` in the reference interpreter.
#[derive(Clone, Copy)]
pub struct Var(Repr<f64>, NotSend);

/// An unsigned 32-bit integer; arithmetic wraps.
#[derive(Clone, Copy)]
pub struct Bits(Repr<u32>, NotSend);

/// A truth value, one per world.
#[derive(Clone, Copy)]
pub struct Mask(Repr<bool>, NotSend);

macro_rules! handle {
    ($name:ident, $scalar:ty, $kind:expr, $constant:expr) => {
        impl $name {
            /// A constant.
            pub const fn constant(value: $scalar) -> Self {
                Self(Repr::Constant(value), PhantomData)
            }

            /// The value, where it is a constant.
            pub fn as_constant(self) -> Option<$scalar> {
                match self.0 {
                    Repr::Constant(value) => Some(value),
                    Repr::Node { .. } => None,
                }
            }

            /// A handle on a node of the recording under way.
            pub(super) fn node(id: Id) -> Self {
                Self(
                    Repr::Node {
                        id,
                        epoch: record::epoch(),
                    },
                    PhantomData,
                )
            }

            /// The node, made on the spot for a constant.
            pub(super) fn id(self) -> Id {
                match self.0 {
                    Repr::Constant(value) => record::intern($constant(value), $kind),
                    Repr::Node { id, epoch } => {
                        record::check(epoch);
                        id
                    }
                }
            }

            /// The operation behind the handle, where it is a node and folding is on.
            pub(super) fn op(self) -> Option<Op> {
                match self.0 {
                    Repr::Node { .. } if record::folds() => Some(record::op(self.id())),
                    _ => None,
                }
            }

            /// The value for folding: none where folding is off.
            pub(super) fn folded(self) -> Option<$scalar> {
                self.as_constant().filter(|_| record::folds())
            }

            /// Whether both handles are one constant or one node.
            pub(crate) fn same(self, other: Self) -> bool {
                match (self.0, other.0) {
                    (Repr::Constant(a), Repr::Constant(b)) => $constant(a) == $constant(b),
                    (Repr::Node { id: a, epoch: e }, Repr::Node { id: b, epoch: f }) => {
                        (a, e) == (b, f)
                    }
                    _ => false,
                }
            }

            pub(super) fn unary(self, op: Unary) -> Self {
                Self::node(record::intern(Op::Unary(op, self.id()), $kind))
            }

            pub(super) fn binary(self, op: Binary, other: Self) -> Self {
                Self::node(record::intern(ordered(op, self.id(), other.id()), $kind))
            }

            /// `mask ? a : b`, value by value.
            pub(super) fn select(mask: Mask, a: Self, b: Self) -> Self {
                match mask.as_constant() {
                    Some(true) => a,
                    Some(false) => b,
                    None if a.same(b) && record::folds() => a,
                    None => match mask.op() {
                        Some(Op::Unary(Unary::Not, inner)) => Self::select(Mask::node(inner), b, a),
                        _ => {
                            Self::node(record::intern(Op::Select(mask.id(), a.id(), b.id()), $kind))
                        }
                    },
                }
            }
        }

        impl From<$scalar> for $name {
            fn from(value: $scalar) -> Self {
                Self::constant(value)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    Repr::Constant(value) => write!(f, "{value:?}"),
                    Repr::Node { id, .. } => write!(f, "t{id}"),
                }
            }
        }
    };
}

handle!(Var, f64, Type::Float, float_constant);
handle!(Bits, u32, Type::Bits, Op::Bits);
handle!(Mask, bool, Type::Mask, Op::Mask);

fn float_constant(value: f64) -> Op {
    assert!(!value.is_nan(), "a recorded constant is NaN");
    Op::Float(value.to_bits())
}

/// The operation with its operands in one order where the order does not matter.
fn ordered(op: Binary, a: Id, b: Id) -> Op {
    if op.commutes() && a > b {
        Op::Binary(op, b, a)
    } else {
        Op::Binary(op, a, b)
    }
}

fn compare<T>(
    op: Binary,
    a: Id,
    b: Id,
    constants: Option<(T, T)>,
    test: impl Fn(T, T) -> bool,
) -> Mask {
    match constants {
        Some((x, y)) => Mask::constant(test(x, y)),
        None => Mask::node(record::intern(ordered(op, a, b), Type::Mask)),
    }
}

macro_rules! comparisons {
    ($name:ident) => {
        impl $name {
            fn compare(self, op: Binary, other: Self) -> Mask {
                debug_assert!(op.compares());
                let constants = self.folded().zip(other.folded());
                let ids = if constants.is_some() {
                    (0, 0)
                } else {
                    (self.id(), other.id())
                };
                compare(op, ids.0, ids.1, constants, |a, b| match op {
                    Binary::Less => a < b,
                    Binary::LessEqual => a <= b,
                    _ => a == b,
                })
            }

            /// `self < other`
            pub fn lt(self, other: impl Into<Self>) -> Mask {
                self.compare(Binary::Less, other.into())
            }

            /// `self <= other`
            pub fn le(self, other: impl Into<Self>) -> Mask {
                self.compare(Binary::LessEqual, other.into())
            }

            /// `self > other`
            pub fn gt(self, other: impl Into<Self>) -> Mask {
                other.into().compare(Binary::Less, self)
            }

            /// `self >= other`
            pub fn ge(self, other: impl Into<Self>) -> Mask {
                other.into().compare(Binary::LessEqual, self)
            }

            /// `self == other`
            pub fn eq(self, other: impl Into<Self>) -> Mask {
                self.compare(Binary::Equal, other.into())
            }

            /// `self != other`
            pub fn ne(self, other: impl Into<Self>) -> Mask {
                !self.compare(Binary::Equal, other.into())
            }
        }
    };
}

comparisons!(Var);
comparisons!(Bits);

impl Var {
    /// The constant 0.
    pub const ZERO: Self = Self::constant(0.0);
    /// The constant 1.
    pub const ONE: Self = Self::constant(1.0);

    /// Whether it is the constant 0.
    pub fn is_zero(self) -> bool {
        self.as_constant() == Some(0.0)
    }

    /// The operand, where the handle is a negation.
    pub(super) fn negated(self) -> Option<Var> {
        match self.op() {
            Some(Op::Unary(Unary::Negate, a)) => Some(Var::node(a)),
            _ => None,
        }
    }

    fn function(self, op: Unary, evaluate: impl Fn(f64) -> f64) -> Self {
        match self.folded() {
            Some(x) => Self::constant(evaluate(x)),
            None => self.unary(op),
        }
    }

    /// |x|
    pub fn abs(self) -> Self {
        match (self.negated(), self.op()) {
            (Some(inner), _) => inner.abs(),
            (_, Some(Op::Unary(Unary::Absolute, _))) => self,
            _ => self.function(Unary::Absolute, f64::abs),
        }
    }

    /// √x; negative arguments give NaN.
    pub fn sqrt(self) -> Self {
        self.function(Unary::SquareRoot, f64::sqrt)
    }

    /// The largest integer not above.
    pub fn floor(self) -> Self {
        self.function(Unary::Floor, f64::floor)
    }

    /// The nearest integer, ties to even.
    pub fn round(self) -> Self {
        self.function(Unary::Round, f64::round_ties_even)
    }

    /// x²
    pub fn square(self) -> Self {
        self * self
    }

    /// 1/x
    pub fn recip(self) -> Self {
        1.0 / self
    }

    /// −1, 0 or 1, as the sign of x.
    pub fn signum0(self) -> Self {
        let negative = Self::select(self.lt(0.0), Var::constant(-1.0), Var::ZERO);
        Self::select(self.gt(0.0), Var::ONE, negative)
    }

    /// The smaller; which one of a NaN and a number is not specified.
    pub fn min(self, other: impl Into<Var>) -> Self {
        self.extremum(Binary::Minimum, other.into(), f64::min, f64::INFINITY)
    }

    /// The larger; which one of a NaN and a number is not specified.
    pub fn max(self, other: impl Into<Var>) -> Self {
        self.extremum(Binary::Maximum, other.into(), f64::max, f64::NEG_INFINITY)
    }

    fn extremum(
        self,
        op: Binary,
        other: Var,
        evaluate: impl Fn(f64, f64) -> f64,
        neutral: f64,
    ) -> Self {
        match (self.folded(), other.folded()) {
            (Some(a), Some(b)) => Self::constant(evaluate(a, b)),
            (_, Some(b)) if b == neutral => self,
            (Some(a), _) if a == neutral => other,
            _ if self.same(other) && record::folds() => self,
            _ => self.binary(op, other),
        }
    }

    /// Limits x to [`low`, `high`].
    pub fn clamp(self, low: impl Into<Var>, high: impl Into<Var>) -> Self {
        self.max(low).min(high)
    }

    /// Whether x is neither infinite nor NaN; tested on the bits, because compilers assume that floats are finite.
    pub fn finite(self) -> Mask {
        match self.folded() {
            Some(x) => Mask::constant(x.is_finite()),
            None => (self.bitcast() & EXPONENT).ne(EXPONENT),
        }
    }

    /// The bits of the `f32`.
    pub fn bitcast(self) -> Bits {
        match self.folded() {
            Some(x) => Bits::constant(single(x).to_bits()),
            None => Bits::node(record::intern(
                Op::Unary(Unary::Bitcast, self.id()),
                Type::Bits,
            )),
        }
    }

    /// The integer part, limited to what [`Bits`] can hold.
    pub fn to_bits(self) -> Bits {
        match self.folded() {
            Some(x) => Bits::constant(x as u32),
            None => Bits::node(record::intern(
                Op::Unary(Unary::ToBits, self.id()),
                Type::Bits,
            )),
        }
    }
}

/// The exponent bits of an `f32`: all set where it is infinite or NaN.
const EXPONENT: u32 = 0x7f80_0000;

/// A constant as the device holds it: rounded, limited to finite values, subnormals flushed to zero, because WGSL
/// refuses larger literals and its implementations may flush smaller ones.
pub(super) fn single(value: f64) -> f32 {
    let rounded = (value as f32).clamp(f32::MIN, f32::MAX);
    if rounded.is_subnormal() { 0.0 } else { rounded }
}

/// A function by its exact meaning, for the f64 interpreter, and by plain operations for the device.
///
/// Functions of one argument take it alone; `Atan2` takes y and x, `Pow` the base and the exponent.
pub fn exactly(function: Function, arguments: &[Var], plain: impl FnOnce() -> Var) -> Var {
    let (a, b) = (arguments[0], *arguments.get(1).unwrap_or(&arguments[0]));
    if let (Some(a), Some(b)) = (a.folded(), b.folded()) {
        return Var::constant(function.evaluate(a, b));
    }
    let plain = plain();
    Var::node(record::intern(
        Op::Exact {
            function,
            arguments: [a.id(), b.id()],
            plain: plain.id(),
        },
        Type::Float,
    ))
}

/// The distance from 1 to the next number in the arithmetic that a graph runs in: `f32::EPSILON` on the device, and on
/// the host the interpreter's own. What ends an iteration that any precision should finish as well as it can.
pub fn epsilon() -> Var {
    let (none, plain) = (Var::ZERO, Var::from(f64::from(f32::EPSILON)));
    Var::node(record::intern(
        Op::Exact {
            function: Function::Epsilon,
            arguments: [none.id(), none.id()],
            plain: plain.id(),
        },
        Type::Float,
    ))
}

impl Bits {
    /// The constant 0.
    pub const ZERO: Self = Self::constant(0);

    /// The nearest float.
    pub fn to_var(self) -> Var {
        match self.folded() {
            Some(x) => Var::constant(f64::from(x)),
            None => Var::node(record::intern(
                Op::Unary(Unary::ToFloat, self.id()),
                Type::Float,
            )),
        }
    }

    /// The float with these bits.
    pub fn bitcast(self) -> Var {
        match self.folded() {
            Some(x) if f32::from_bits(x).is_finite() => Var::constant(f64::from(f32::from_bits(x))),
            _ => Var::node(record::intern(
                Op::Unary(Unary::Bitcast, self.id()),
                Type::Float,
            )),
        }
    }

    /// The smaller.
    pub fn min(self, other: impl Into<Bits>) -> Self {
        self.folding(Binary::Minimum, other.into())
    }

    /// The larger.
    pub fn max(self, other: impl Into<Bits>) -> Self {
        self.folding(Binary::Maximum, other.into())
    }

    pub(super) fn folding(self, op: Binary, other: Bits) -> Bits {
        use Binary::*;
        match (self.folded(), other.folded()) {
            (Some(a), Some(b)) => return Bits::constant(integer(op, a, b)),
            (_, Some(0))
                if matches!(
                    op,
                    Add | Subtract | Or | ExclusiveOr | ShiftLeft | ShiftRight
                ) =>
            {
                return self;
            }
            (Some(0), _) if matches!(op, Add | Or | ExclusiveOr) => return other,
            (Some(0), _) | (_, Some(0)) if matches!(op, Multiply | And) => return Bits::ZERO,
            (_, Some(1)) if matches!(op, Multiply | Divide) => return self,
            (Some(1), _) if op == Multiply => return other,
            (_, Some(u32::MAX)) if op == And => return self,
            (Some(u32::MAX), _) if op == And => return other,
            _ => {}
        }
        if matches!(op, And | Or | Minimum | Maximum) && self.same(other) && record::folds() {
            return self;
        }
        self.binary(op, other)
    }
}

/// WGSL's arithmetic on `u32`: wrapping, `x / 0 = x`, `x % 0 = 0`, shift amounts modulo 32.
pub(super) fn integer(op: Binary, a: u32, b: u32) -> u32 {
    match op {
        Binary::Add => a.wrapping_add(b),
        Binary::Subtract => a.wrapping_sub(b),
        Binary::Multiply => a.wrapping_mul(b),
        Binary::Divide => a.checked_div(b).unwrap_or(a),
        Binary::Remainder => a.checked_rem(b).unwrap_or(0),
        Binary::Minimum => a.min(b),
        Binary::Maximum => a.max(b),
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::ExclusiveOr => a ^ b,
        Binary::ShiftLeft => a.wrapping_shl(b),
        Binary::ShiftRight => a.wrapping_shr(b),
        Binary::Less | Binary::LessEqual | Binary::Equal => {
            unreachable!("a comparison gives a mask")
        }
    }
}

impl Mask {
    pub(super) fn folding(self, op: Binary, other: Mask) -> Mask {
        match (op, self.folded(), other.folded()) {
            (Binary::And, Some(true), _) | (Binary::Or | Binary::ExclusiveOr, Some(false), _) => {
                other
            }
            (Binary::And, _, Some(true)) | (Binary::Or | Binary::ExclusiveOr, _, Some(false)) => {
                self
            }
            (Binary::And, Some(false), _) | (Binary::And, _, Some(false)) => Mask::constant(false),
            (Binary::Or, Some(true), _) | (Binary::Or, _, Some(true)) => Mask::constant(true),
            (_, Some(true), _) => !other,
            (_, _, Some(true)) => !self,
            _ if op != Binary::ExclusiveOr && self.same(other) && record::folds() => self,
            _ => self.binary(op, other),
        }
    }
}
