//! Activations over slices on the host, compiled for the vector unit the machine has.
//!
//! burn's CPU backend calls the C library's `tanhf` and `expm1f` once per number, 14 ns each, which
//! is four fifths of a network's time. Here one short polynomial, without branches and tables,
//! runs 8 or 16 numbers at a time. No fused multiply-add is used, so every machine gives the same bits.

use rayon::prelude::*;

use crate::train::config::Activation;

/// Rows handled together: a fixed number, so that sums do not depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// `z ← activation(z + bias)`, with `z` of shape `[rows, bias.len()]`.
pub(super) fn bias_activation(z: &mut [f32], bias: &[f32], activation: Activation) {
    let rows = (CHUNK / bias.len().max(1)).max(1) * bias.len();
    let work = |chunk: &mut [f32]| bias_activation_chunk(chunk, bias, activation);
    if z.len() <= rows {
        work(z);
    } else {
        z.par_chunks_mut(rows).for_each(work);
    }
}

/// `dz = dy · activation'(z)`, written over `dy`, and its sum over rows; `y` is the activation's output.
pub(super) fn activation_gradient(
    y: &[f32],
    dy: &mut [f32],
    columns: usize,
    activation: Activation,
) -> Vec<f32> {
    let rows = (CHUNK / columns.max(1)).max(1) * columns;
    let work = |(y, dy): (&[f32], &mut [f32])| {
        let mut sums = vec![0.0; columns];
        activation_gradient_chunk(y, dy, &mut sums, activation);
        sums
    };
    let partial: Vec<Vec<f32>> = if dy.len() <= rows {
        vec![work((y, dy))]
    } else {
        y.par_chunks(rows)
            .zip(dy.par_chunks_mut(rows))
            .map(work)
            .collect()
    };
    let mut sums = vec![0.0; columns];
    for part in partial {
        for (sum, term) in sums.iter_mut().zip(part) {
            *sum += term;
        }
    }
    sums
}

/// Compiles `$body` three times, for AVX-512, AVX2 and the baseline, and picks at run time.
macro_rules! vectorized {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) $body:block) => {
        $(#[$doc])*
        fn $name($($arg: $type),*) {
            #[inline(always)]
            fn body($($arg: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512($($arg: $type),*) { body($($arg),*) }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) { body($($arg),*) }
                if is_x86_feature_detected!("avx512f") {
                    // SAFETY: the processor has the feature, as just checked.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has the feature, as just checked.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}

vectorized! {
fn bias_activation_chunk(z: &mut [f32], bias: &[f32], activation: Activation) {
    // One loop per activation: a branch inside would keep the compiler from vectorizing it.
    match activation {
        Activation::Elu => rows(z, bias, elu),
        Activation::Tanh => rows(z, bias, tanh),
        Activation::Relu => rows(z, bias, |x| if x < 0.0 { 0.0 } else { x }),
        Activation::Linear => rows(z, bias, |x| x),
    }
}
}

vectorized! {
fn activation_gradient_chunk(y: &[f32], dy: &mut [f32], sums: &mut [f32], activation: Activation) {
    // All derivatives follow from the output alone:
    //   elu' = 1 for y > 0, else exp(x) = y + 1;   tanh' = 1 - y²;   relu' = 1 for y > 0, else 0.
    match activation {
        Activation::Elu => gradient_rows(y, dy, sums, |y| if y > 0.0 { 1.0 } else { y + 1.0 }),
        Activation::Tanh => gradient_rows(y, dy, sums, |y| 1.0 - y * y),
        Activation::Relu => gradient_rows(y, dy, sums, |y| if y > 0.0 { 1.0 } else { 0.0 }),
        Activation::Linear => gradient_rows(y, dy, sums, |_| 1.0),
    }
}
}

#[inline(always)]
fn rows(z: &mut [f32], bias: &[f32], f: impl Fn(f32) -> f32) {
    for row in z.chunks_exact_mut(bias.len()) {
        for (z, b) in row.iter_mut().zip(bias) {
            *z = f(*z + *b);
        }
    }
}

#[inline(always)]
fn gradient_rows(y: &[f32], dy: &mut [f32], sums: &mut [f32], f: impl Fn(f32) -> f32) {
    let columns = sums.len();
    for (y, dy) in y.chunks_exact(columns).zip(dy.chunks_exact_mut(columns)) {
        for ((y, dy), sum) in y.iter().zip(dy).zip(sums.iter_mut()) {
            *dy *= f(*y);
            *sum += *dy;
        }
    }
}

/// `x` for positive `x`, `exp(x) − 1` for negative.
#[inline(always)]
fn elu(x: f32) -> f32 {
    // Not `x.min(0.0)`, which would turn NaN into 0.
    let negative = expm1(if x > 0.0 { 0.0 } else { x });
    if x > 0.0 { x } else { negative }
}

/// `tanh|x| = −m / (m + 2)` with `m = exp(−2|x|) − 1`, which keeps the relative precision near zero.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let m = expm1(-2.0 * x.abs());
    (-m / (m + 2.0)).copysign(x)
}

/// `exp(x) − 1` for `x ≤ 0`, to about 2 units in the last place.
///
/// With `x = n·ln 2 + r`, `|r| ≤ ln 2 / 2`:  `exp(x) − 1 = 2ⁿ·p(r) + (2ⁿ − 1)`, where `p` is the
/// Taylor series of `exp(r) − 1`; its first omitted term, `r⁸/8!`, is below 6e-9 of `r`. `ln 2` is split in
/// two so that `n·ln 2` is exact (Cody and Waite, Software Manual for the Elementary Functions, 1980).
#[inline(always)]
fn expm1(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN_2_HIGH: f32 = 0.693_359_4; // 355 / 512, exact
    const LN_2_LOW: f32 = -2.121_944_4e-4; // ln 2 - 355 / 512
    // Adding 1.5·2²³ rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;

    // Below −87 the result is −1 to the last bit, and 2ⁿ would leave the normal numbers. NaN passes.
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut tail = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        tail = tail * r + coefficient;
    }
    let p = r + r * r * tail;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    power * p + (power - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Error in units of the last place of the reference.
    fn ulps(value: f32, reference: f64) -> f64 {
        let scale = f32::from_bits((reference as f32).abs().to_bits().max(1) + 1)
            - (reference as f32).abs();
        (f64::from(value) - reference).abs() / f64::from(scale)
    }

    #[test]
    fn activations_are_right_to_a_few_ulps() {
        let (mut worst_elu, mut worst_tanh) = (0.0f64, 0.0f64);
        for i in -400_000..400_000 {
            let x = i as f32 * 5e-5;
            worst_elu = worst_elu.max(ulps(
                elu(x),
                if x > 0.0 {
                    f64::from(x)
                } else {
                    f64::from(x).exp_m1()
                },
            ));
            worst_tanh = worst_tanh.max(ulps(tanh(x), f64::from(x).tanh()));
        }
        println!("elu {worst_elu:.2} ulp, tanh {worst_tanh:.2} ulp");
        // expm1: rounding of n·ln 2, of the series and of the last sum; tanh adds a division and doubles x.
        assert!(
            worst_elu < 3.0 && worst_tanh < 5.0,
            "elu {worst_elu} ulp, tanh {worst_tanh} ulp"
        );
    }

    #[test]
    fn extremes_and_nan_survive() {
        assert_eq!(
            (tanh(f32::INFINITY), tanh(-200.0), tanh(0.0)),
            (1.0, -1.0, 0.0)
        );
        assert_eq!(
            (elu(f32::NEG_INFINITY), elu(1e30), elu(-1e-30)),
            (-1.0, 1e30, -1e-30)
        );
        assert!(tanh(f32::NAN).is_nan() && elu(f32::NAN).is_nan());
    }

    #[test]
    fn threads_and_chunks_change_nothing() {
        let columns = 33;
        let y: Vec<f32> = (0..columns * 3000)
            .map(|i| ((i * 37) % 101) as f32 * 0.01 - 0.5)
            .collect();
        for activation in [
            Activation::Elu,
            Activation::Tanh,
            Activation::Relu,
            Activation::Linear,
        ] {
            let mut whole = y.clone();
            let sums = activation_gradient(&y, &mut whole, columns, activation);
            let mut rows = y.clone();
            let mut expected = vec![0.0f64; columns];
            for (y, dy) in y.chunks(columns).zip(rows.chunks_mut(columns)) {
                for (total, term) in expected
                    .iter_mut()
                    .zip(activation_gradient(y, dy, columns, activation))
                {
                    *total += f64::from(term);
                }
            }
            assert_eq!(whole, rows);
            for (sum, expected) in sums.iter().zip(expected) {
                assert!(
                    (f64::from(*sum) - expected).abs() < 1e-2,
                    "{activation:?}: {sum} {expected}"
                );
            }
        }
    }
}
