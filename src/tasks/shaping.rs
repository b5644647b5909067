//! Smooth and saturating functions that rewards are made of.

use crate::math::functions;
use crate::trace::{Var, select};

/// How [`tolerance`] falls off outside of its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sigmoid {
    /// `exp(−½ (x·s)²)`.
    Gaussian,
    /// `1 − (x·s)²`, cut off at 0.
    Quadratic,
    /// `1 − x·s`, cut off at 0.
    Linear,
}

/// 1 inside `bounds`, which may be infinite, and outside of them a smooth fall that reaches `value_at_margin` at a distance of `margin`.
///
/// Source: dm_control `utils/rewards.py`, `tolerance` (Tassa et al., DeepMind Control Suite, 2018, eq. 1).
/// With d the distance to the bounds in units of the margin, and v the value at the margin, the scale s solves
/// σ(s) = v: Gaussian s = √(−2 ln v), quadratic s = √(1 − v), linear s = 1 − v. A margin of 0 makes it a step.
///
/// # Panics
/// `value_at_margin` is outside of [0, 1), or 0 for the Gaussian, which never gets there.
pub fn tolerance(
    x: Var,
    bounds: [f64; 2],
    margin: f64,
    value_at_margin: f64,
    sigmoid: Sigmoid,
) -> Var {
    let [low, high] = bounds;
    assert!(
        (0.0..1.0).contains(&value_at_margin),
        "tolerance: value_at_margin {value_at_margin} is outside of [0, 1)"
    );
    // An infinite bound is none: devices have no infinite literals.
    let mut outside = Var::ZERO;
    if low.is_finite() {
        outside = outside.max(low - x);
    }
    if high.is_finite() {
        outside = outside.max(x - high);
    }
    if margin <= 0.0 {
        return select(outside.gt(0.0), Var::from(0.0), Var::from(1.0));
    }
    let d = outside * margin.recip();
    match sigmoid {
        Sigmoid::Gaussian => {
            assert!(
                value_at_margin > 0.0,
                "tolerance: a Gaussian never reaches 0"
            );
            functions::exp(value_at_margin.ln() * d.square())
        }
        Sigmoid::Quadratic => (1.0 - (1.0 - value_at_margin) * d.square()).max(0.0),
        Sigmoid::Linear => (1.0 - (1.0 - value_at_margin) * d).max(0.0),
    }
}
