//! Rust's operators on recorded scalars, also with a plain number on either side.
//!
//! Floats fold here, operator by operator; integers and truth values where their other operations do, in `folding`.

use std::ops::{
    Add, AddAssign, BitAnd, BitAndAssign, BitOr, BitOrAssign, BitXor, Div, DivAssign, Mul,
    MulAssign, Neg, Not, Rem, Shl, Shr, Sub, SubAssign,
};

use super::graph::{Binary, Op, Unary};
use super::value::{Bits, Mask, Var};

impl Neg for Var {
    type Output = Var;
    fn neg(self) -> Var {
        match (self.folded(), self.op()) {
            (Some(x), _) => Var::constant(-x),
            (_, Some(Op::Unary(Unary::Negate, a))) => Var::node(a),
            (_, Some(Op::Binary(Binary::Subtract, a, b))) => Var::node(b) - Var::node(a),
            _ => self.unary(Unary::Negate),
        }
    }
}

impl Add for Var {
    type Output = Var;
    fn add(self, other: Var) -> Var {
        match (self.folded(), other.folded()) {
            (Some(a), Some(b)) => return Var::constant(a + b),
            (Some(0.0), _) => return other,
            (_, Some(0.0)) => return self,
            _ => {}
        }
        match (self.negated(), other.negated()) {
            (_, Some(b)) => self - b,
            (Some(a), _) => other - a,
            _ => self.binary(Binary::Add, other),
        }
    }
}

impl Sub for Var {
    type Output = Var;
    fn sub(self, other: Var) -> Var {
        match (self.folded(), other.folded()) {
            (Some(a), Some(b)) => return Var::constant(a - b),
            (Some(0.0), _) => return -other,
            (_, Some(0.0)) => return self,
            _ => {}
        }
        match other.negated() {
            Some(b) => self + b,
            None => self.binary(Binary::Subtract, other),
        }
    }
}

impl Mul for Var {
    type Output = Var;
    fn mul(self, other: Var) -> Var {
        let scaled = |x: Var, factor: f64| match factor {
            0.0 => Some(Var::ZERO),
            1.0 => Some(x),
            -1.0 => Some(-x),
            _ => x
                .negated()
                .map(|inner| inner.binary(Binary::Multiply, Var::constant(-factor))),
        };
        let shortened = match (self.folded(), other.folded()) {
            (Some(a), Some(b)) => Some(Var::constant(a * b)),
            (Some(a), None) => scaled(other, a),
            (None, Some(b)) => scaled(self, b),
            (None, None) => match (self.negated(), other.negated()) {
                (Some(a), Some(b)) => Some(a * b),
                _ => None,
            },
        };
        shortened.unwrap_or_else(|| self.binary(Binary::Multiply, other))
    }
}

impl Div for Var {
    type Output = Var;
    fn div(self, other: Var) -> Var {
        match (self.folded(), other.folded()) {
            (Some(a), Some(b)) => Var::constant(a / b),
            (Some(0.0), _) => Var::ZERO,
            (_, Some(b)) if b.recip().is_finite() => self * b.recip(),
            _ => self.binary(Binary::Divide, other),
        }
    }
}

impl Not for Bits {
    type Output = Bits;
    fn not(self) -> Bits {
        match (self.folded(), self.op()) {
            (Some(x), _) => Bits::constant(!x),
            (_, Some(Op::Unary(Unary::Not, a))) => Bits::node(a),
            _ => self.unary(Unary::Not),
        }
    }
}

impl Not for Mask {
    type Output = Mask;
    fn not(self) -> Mask {
        match (self.folded(), self.op()) {
            (Some(x), _) => Mask::constant(!x),
            (_, Some(Op::Unary(Unary::Not, a))) => Mask::node(a),
            _ => self.unary(Unary::Not),
        }
    }
}

macro_rules! operators {
    ($name:ident: $($trait:ident $method:ident $op:expr),*) => {$(
        impl $trait for $name {
            type Output = $name;
            fn $method(self, other: $name) -> $name {
                self.folding($op, other)
            }
        }
    )*};
}

operators!(Bits: Add add Binary::Add, Sub sub Binary::Subtract, Mul mul Binary::Multiply, Div div Binary::Divide,
    Rem rem Binary::Remainder, BitAnd bitand Binary::And, BitOr bitor Binary::Or, BitXor bitxor Binary::ExclusiveOr,
    Shl shl Binary::ShiftLeft, Shr shr Binary::ShiftRight);
operators!(Mask: BitAnd bitand Binary::And, BitOr bitor Binary::Or, BitXor bitxor Binary::ExclusiveOr);

macro_rules! mixed_operators {
    ($name:ident, $scalar:ty: $($trait:ident $method:ident),*) => {$(
        impl $trait<$scalar> for $name {
            type Output = $name;
            fn $method(self, other: $scalar) -> $name {
                $trait::$method(self, $name::constant(other))
            }
        }
        impl $trait<$name> for $scalar {
            type Output = $name;
            fn $method(self, other: $name) -> $name {
                $trait::$method($name::constant(self), other)
            }
        }
    )*};
}

mixed_operators!(Var, f64: Add add, Sub sub, Mul mul, Div div);
mixed_operators!(Bits, u32: Add add, Sub sub, Mul mul, Div div, Rem rem, BitAnd bitand, BitOr bitor, BitXor bitxor,
    Shl shl, Shr shr);
mixed_operators!(Mask, bool: BitAnd bitand, BitOr bitor, BitXor bitxor);

macro_rules! assigning_operators {
    ($name:ident, $scalar:ty: $($trait:ident $method:ident $operator:tt),*) => {$(
        impl $trait for $name {
            fn $method(&mut self, other: $name) {
                *self = *self $operator other;
            }
        }
        impl $trait<$scalar> for $name {
            fn $method(&mut self, other: $scalar) {
                *self = *self $operator other;
            }
        }
    )*};
}

assigning_operators!(Var, f64: AddAssign add_assign +, SubAssign sub_assign -, MulAssign mul_assign *,
    DivAssign div_assign /);
assigning_operators!(Bits, u32: AddAssign add_assign +, BitOrAssign bitor_assign |, BitAndAssign bitand_assign &);
assigning_operators!(Mask, bool: BitOrAssign bitor_assign |, BitAndAssign bitand_assign &);

impl std::iter::Sum for Var {
    fn sum<I: Iterator<Item = Var>>(values: I) -> Var {
        values.fold(Var::ZERO, |total, value| total + value)
    }
}
