//! The normal distribution's function and its inverse, for draws by inversion.

use super::functions::{exp, log, polynomial};
use crate::trace::{Var, select};

/// The probability that a standard normal number is below `x`, to 1e-7.
///
/// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26, for the smaller tail.
pub fn normal_cdf(x: impl Into<Var>) -> Var {
    let x = x.into();
    let size = x.abs() * std::f64::consts::FRAC_1_SQRT_2;
    let t = (1.0 + 0.327_591_1 * size).recip();
    let p = polynomial(
        t,
        &[
            0.254_829_592,
            -0.284_496_736,
            1.421_413_741,
            -1.453_152_027,
            1.061_405_429,
        ],
    );
    let tail = 0.5 * t * p * exp(-size.square());
    select(x.lt(0.0), tail, 1.0 - tail)
}

/// The number below which a standard normal one lies with probability `p`, for p in (0, 1).
///
/// √2 erf⁻¹(2p − 1) with the two polynomials of M. Giles, Approximating the erfinv function, GPU Computing Gems 2, 2010;
/// their relative error is below 4e-7.
pub fn normal_quantile(p: impl Into<Var>) -> Var {
    let p = p.into();
    // (1 − x)(1 + x) of x = 2p − 1.
    let w = -log(4.0 * p * (1.0 - p));
    let near = polynomial(
        w - 2.5,
        &[
            1.501_409_41,
            0.246_640_727,
            -0.004_177_681_64,
            -0.001_253_725_03,
            0.000_218_580_87,
            -4.391_506_54e-6,
            -3.523_387_7e-6,
            3.432_739_39e-7,
            2.810_226_36e-8,
        ],
    );
    let far = polynomial(
        w.max(0.0).sqrt() - 3.0,
        &[
            2.832_976_82,
            1.001_674_06,
            0.009_438_870_47,
            -0.007_622_461_3,
            0.005_739_507_73,
            -0.003_673_428_44,
            0.001_349_343_22,
            0.000_100_950_558,
            -0.000_200_214_257,
        ],
    );
    let x = (p - 0.5) * 2.0;
    select(w.lt(5.0), near, far) * x * std::f64::consts::SQRT_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{self, HostMemory, Kind, Layout};

    /// Values of a function of one variable in double precision.
    fn values(function: fn(Var) -> Var, at: &[f64]) -> Vec<f64> {
        let mut layout = Layout::new();
        let buffer = layout.buffer("x", Kind::F32);
        let (x, y) = (layout.field(buffer, "x", 1), layout.field(buffer, "y", 1));
        let graph = trace::record("f", &layout, || y.store(0, function(x.load(0))));
        let mut memory = HostMemory::<f64>::new(&layout, at.len());
        (0..at.len()).for_each(|i| memory.set(x, 0, i, at[i]));
        graph.interpret(&mut memory, &[], 0..at.len());
        (0..at.len()).map(|i| memory.get(y, 0, i)).collect()
    }

    #[test]
    fn known_values() {
        // From tables with 10 digits.
        let table = [
            (0.0, 0.5),
            (0.674_489_750_2, 0.75),
            (-1.0, 0.158_655_253_9),
            (1.959_963_984_5, 0.975),
            (-2.326_347_874_0, 0.01),
            (-3.090_232_306_2, 0.001),
            (-4.753_424_308_8, 1e-6),
            (4.753_424_308_8, 1.0 - 1e-6),
        ];
        let (x, p): (Vec<f64>, Vec<f64>) = table.into_iter().unzip();
        for ((found, expected), x) in values(normal_cdf, &x).iter().zip(&p).zip(&x) {
            assert!(
                (found - expected).abs() < 1.5e-7,
                "Φ({x}) = {found}, not {expected}"
            );
        }
        for ((found, expected), p) in values(normal_quantile, &p).iter().zip(&x).zip(&p) {
            let error = (found - expected).abs() / expected.abs().max(1.0);
            assert!(error < 1e-6, "Φ⁻¹({p}) = {found}, not {expected}");
        }
    }
}
