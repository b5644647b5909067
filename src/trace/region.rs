//! Regions: `repeat` (a loop with carried values), `when` (a real branch), and `select` (no branch), over any
//! structure of recorded scalars.

use super::graph::{Id, Type};
use super::record;
use super::value::{Bits, Mask, Var};

/// A recorded scalar inside a structure.
#[derive(Debug)]
pub enum Slot<'a> {
    /// A float.
    Var(&'a mut Var),
    /// An unsigned integer.
    Bits(&'a mut Bits),
    /// A truth value.
    Mask(&'a mut Mask),
}

/// A structure of recorded scalars that regions carry and `select` chooses between.
pub trait Carry: Clone {
    /// Visits every scalar, always in the same order.
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>));
}

macro_rules! scalar_carry {
    ($($name:ident),*) => {$(
        impl Carry for $name {
            fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
                visit(Slot::$name(self));
            }
        }
    )*};
}
scalar_carry!(Var, Bits, Mask);

impl<C: Carry> Carry for Vec<C> {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.iter_mut().for_each(|item| item.slots(visit));
    }
}

impl<C: Carry> Carry for Option<C> {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.iter_mut().for_each(|item| item.slots(visit));
    }
}

impl<C: Carry, const N: usize> Carry for [C; N] {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.iter_mut().for_each(|item| item.slots(visit));
    }
}

impl Carry for () {
    fn slots(&mut self, _visit: &mut dyn FnMut(Slot<'_>)) {}
}

macro_rules! tuple_carry {
    ($($name:ident)*) => {
        impl<$($name: Carry),*> Carry for ($($name,)*) {
            #[allow(non_snake_case, reason = "type parameters name the members")]
            fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
                let ($($name,)*) = self;
                $($name.slots(visit);)*
            }
        }
    };
}
tuple_carry!(A B);
tuple_carry!(A B C);
tuple_carry!(A B C D);
tuple_carry!(A B C D E);
tuple_carry!(A B C D E F);

/// One scalar of any type, by value.
#[derive(Clone, Copy)]
enum Any {
    Var(Var),
    Bits(Bits),
    Mask(Mask),
}

impl Any {
    fn id(self) -> Id {
        match self {
            Any::Var(x) => x.id(),
            Any::Bits(x) => x.id(),
            Any::Mask(x) => x.id(),
        }
    }

    fn kind(self) -> Type {
        match self {
            Any::Var(_) => Type::Float,
            Any::Bits(_) => Type::Bits,
            Any::Mask(_) => Type::Mask,
        }
    }

    fn node(kind: Type, id: Id) -> Any {
        match kind {
            Type::Float => Any::Var(Var::node(id)),
            Type::Bits => Any::Bits(Bits::node(id)),
            Type::Mask => Any::Mask(Mask::node(id)),
        }
    }

    fn same(self, other: Any) -> bool {
        match (self, other) {
            (Any::Var(a), Any::Var(b)) => a.same(b),
            (Any::Bits(a), Any::Bits(b)) => a.same(b),
            (Any::Mask(a), Any::Mask(b)) => a.same(b),
            _ => false,
        }
    }
}

/// The scalars of a structure, in order.
fn flatten<C: Carry>(carry: &C) -> Vec<Any> {
    let mut scalars = Vec::new();
    carry.clone().slots(&mut |slot| {
        scalars.push(match slot {
            Slot::Var(x) => Any::Var(*x),
            Slot::Bits(x) => Any::Bits(*x),
            Slot::Mask(x) => Any::Mask(*x),
        });
    });
    scalars
}

/// The structure with other scalars in it.
fn rebuild<C: Carry>(shape: &C, scalars: &[Any]) -> C {
    let mut carry = shape.clone();
    let mut next = scalars.iter();
    carry.slots(&mut |slot| match (slot, next.next()) {
        (Slot::Var(x), Some(Any::Var(value))) => *x = *value,
        (Slot::Bits(x), Some(Any::Bits(value))) => *x = *value,
        (Slot::Mask(x), Some(Any::Mask(value))) => *x = *value,
        _ => panic!("a carried structure changed its shape"),
    });
    carry
}

/// `mask ? a : b`, scalar by scalar; both are computed.
pub fn select<C: Carry>(mask: Mask, a: C, b: C) -> C {
    let (left, right) = (flatten(&a), flatten(&b));
    assert_eq!(
        left.len(),
        right.len(),
        "`select` between structures of different shape"
    );
    let chosen: Vec<Any> = left
        .into_iter()
        .zip(right)
        .map(|pair| match pair {
            (Any::Var(a), Any::Var(b)) => Any::Var(Var::select(mask, a, b)),
            (Any::Bits(a), Any::Bits(b)) => Any::Bits(Bits::select(mask, a, b)),
            (Any::Mask(a), Any::Mask(b)) => Any::Mask(Mask::select(mask, a, b)),
            _ => panic!("`select` between structures of different shape"),
        })
        .collect();
    rebuild(&a, &chosen)
}

/// Replaces `carry` by `body(carry)` in the worlds where the mask holds: a real branch.
///
/// What the body computes is computed only where the branch is taken, and must leave it through the carry.
pub fn when<C: Carry>(mask: Mask, carry: C, body: impl FnOnce(C) -> C) -> C {
    match mask.as_constant() {
        Some(true) => return body(carry),
        Some(false) => return carry,
        None => {}
    }
    let before = flatten(&carry);
    let initial: Vec<Id> = before.iter().map(|scalar| scalar.id()).collect();
    let (region, mark) = record::begin_region(mask.id(), initial, false);
    let after = flatten(&body(carry.clone()));
    assert_eq!(
        before.len(),
        after.len(),
        "the body of `when` changed the shape of its carry"
    );
    let outputs = record::end_region(
        region,
        mark,
        after.iter().map(|scalar| scalar.id()).collect(),
    );
    let merged: Vec<Any> = (0..before.len())
        .map(|slot| match after[slot].same(before[slot]) {
            true => before[slot],
            false => Any::node(before[slot].kind(), outputs[slot]),
        })
        .collect();
    rebuild(&carry, &merged)
}

/// Applies `body` up to `count` times to the carried values, while `go` holds.
///
/// `go` is each world's own: it is tested before each iteration, and a world that stops keeps the carry with which
/// it stopped, whatever its neighbours do. `body` gets the index of the iteration. It may be recorded more than
/// once, because a carried value that an iteration leaves unchanged is found by recording, and is then no longer
/// carried.
///
/// The graph tests at the end of the body, and before the first iteration outside of it: Mesa's software device leaves a
/// loop only at its end, so a test at the beginning would cost one more pass, in which nobody takes part.
pub fn repeat<C: Carry>(
    count: impl Into<Bits>,
    carry: C,
    go: impl Fn(&C) -> Mask,
    body: impl Fn(C, Bits) -> C,
) -> C {
    let count = count.into();
    let enters = go(&carry);
    match (count.as_constant(), enters.as_constant()) {
        (Some(0), _) | (_, Some(false)) => return carry,
        (Some(1), _) => return when(enters, carry, |carry| body(carry, Bits::ZERO)),
        _ => {}
    }
    let count = select(enters, count, Bits::ZERO);
    let before = flatten(&carry);
    let initial: Vec<Id> = before.iter().map(|scalar| scalar.id()).collect();
    let mut varies = vec![true; before.len()];
    loop {
        let (region, mark) = record::begin_region(count.id(), initial.clone(), true);
        let start: Vec<Any> = (0..before.len())
            .map(|slot| match varies[slot] {
                true => {
                    let kind = before[slot].kind();
                    Any::node(kind, record::parameter(region, slot as u32, kind))
                }
                false => before[slot],
            })
            .collect();
        let entered = rebuild(&carry, &start);
        let left = body(entered, Bits::node(record::counter(region)));
        let end = flatten(&left);
        assert_eq!(
            before.len(),
            end.len(),
            "the body of `repeat` changed the shape of its carry"
        );
        let constant = |slot: usize| {
            varies[slot] && (end[slot].same(start[slot]) || end[slot].same(before[slot]))
        };
        let unchanged: Vec<usize> = (0..before.len()).filter(|&slot| constant(slot)).collect();
        if !unchanged.is_empty() {
            record::take_back(mark);
            unchanged.into_iter().for_each(|slot| varies[slot] = false);
            continue;
        }
        // What allowed the first iteration, and does not change, allows them all.
        let go = go(&left);
        if !go.same(enters) && go.as_constant() != Some(true) {
            record::set_go(region, go.id());
        }
        let outputs =
            record::end_region(region, mark, end.iter().map(|scalar| scalar.id()).collect());
        let merged: Vec<Any> = (0..before.len())
            .map(|slot| match varies[slot] {
                true => Any::node(before[slot].kind(), outputs[slot]),
                false => before[slot],
            })
            .collect();
        return rebuild(&carry, &merged);
    }
}
