//! Elementary functions in plain operations, with known errors on every device.
//!
//! WGSL's own `sin`, `acos`, `tanh`, … may be off by 1e-4 and differ from driver to driver. These are built from
//! `+ - * /`, `sqrt`, `round`, comparisons and bit operations, so that a kernel gives what the `f32` interpreter
//! gives, and the `f64` interpreter takes the standard library's value ([`exactly`]).
//!
//! | function | arguments | largest error, ULP | operations |
//! |---|---|---|---|
//! | [`sin`], [`cos`] | −3,000 … 3,000 | 2 | 38 (both: 46) |
//! | [`tan`] | −3,000 … 3,000 | 4 | 47 |
//! | [`atan2`], [`atan`] | 1e-37 … 1e37 | 3 | 37 |
//! | [`asin`] | −1 … 1 | 3 | 29 |
//! | [`acos`] | −1 … 1 | 2 | 29 |
//! | [`exp`] | −86.9 … 88.7 | 1 | 27 |
//! | [`log`] | all normal, positive | 1 | 26 |
//! | [`tanh`] | all | 2 | 52 |
//! | [`pow`] | positive base | 2 + 2 \|y ln x\| | 58 |
//!
//! The errors hold whether or not a compiler contracts `a * b + c` into one rounding, and were found by sweeping every
//! 37th `f32`; they assume correctly rounded `/` and `sqrt`. A device may round those with up to 2.5 ULP, which adds
//! as much to `tan`, `atan2`, `asin`, `acos` and `tanh`, and nothing to the others.
//!
//! An infinite or NaN argument gives an unspecified value, because WGSL's compilers assume that there are none: test
//! what may not be finite with [`Var::finite`]. Results below 1.2e-38 may be flushed to zero.
//!
//! How: an argument is reduced to a short interval, without tricks that a compiler might simplify away (rounding is
//! `round`, never the addition of a large number), and there a polynomial stands in for the function. The polynomials
//! are minimax: their largest relative error, by linear programming over a dense grid, is the smallest possible,
//! with one coefficient after the other rounded to `f32`. Reductions after Cody and Waite, Software Manual for the
//! Elementary Functions, 1980, chapters 5 to 11, and Muller, Elementary Functions, 3rd edition, 2016, chapter 11.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, FRAC_PI_4, LOG2_E, PI};

use crate::trace::{Bits, Function, Mask, Var, exactly, select};

/// The smallest positive normal `f32`, 2⁻¹²⁶; a device may take what is smaller for zero.
const SMALLEST: f64 = 1.175_494_350_822_287_5e-38;

/// The bit of an `f32` that holds its sign.
const SIGN: u32 = 0x8000_0000;

/// ln 2 in two parts, for products with an exponent.
const LN_2: [f64; 2] = [0.693_359_375, -2.121_944_400_547_138e-4];

/// sin x, for |x| to 3,000 rad. Beyond, the error grows like that of `x` itself, and past 1e6 the value means nothing.
pub fn sin(x: impl Into<Var>) -> Var {
    let x = x.into();
    exactly(Function::Sin, &[x], || {
        let (quadrant, sine, cosine) = quarter(x);
        rotated(quadrant, sine, cosine)
    })
}

/// cos x, for |x| to 3,000 rad; see [`sin`].
pub fn cos(x: impl Into<Var>) -> Var {
    let x = x.into();
    exactly(Function::Cos, &[x], || {
        let (quadrant, sine, cosine) = quarter(x);
        rotated(quadrant + 1, sine, cosine)
    })
}

/// sin x and cos x, for hardly more than either of them.
pub fn sin_cos(x: impl Into<Var>) -> (Var, Var) {
    let x = x.into();
    (sin(x), cos(x))
}

/// tan x, for |x| to 3,000 rad.
pub fn tan(x: impl Into<Var>) -> Var {
    let x = x.into();
    exactly(Function::Tan, &[x], || {
        let (sine, cosine) = sin_cos(x);
        sine / cosine
    })
}

/// x = n π/2 + r: n + 2²² as an integer (of which the last two bits count), sin r and cos r.
///
/// π/2 is the sum of four numbers of which three have 13 significant bits, so that their products with |n| < 2¹¹ are
/// exact, and what cancels in x − n π/2 has left no error behind; the fourth has 24 bits.
fn quarter(x: Var) -> (Bits, Var, Var) {
    const PARTS: [f64; 4] = [
        1.570_556_640_625,
        2.396_702_766_418_457e-4,
        1.589_069_142_937_660_2e-8,
        2.563_344_068_257_09e-12,
    ];
    let n = (x * FRAC_2_PI).round();
    let r = PARTS.into_iter().fold(x, |r, part| r - n * part);
    let r2 = r.square();
    // sin r = r + r³ p(r²), relative error 2^-27.9; cos r = 1 − r²/2 + r⁴ q(r²), 2^-33.0; |r| ≤ π/4.
    let p = polynomial(
        r2,
        &[
            -0.166_666_552_424_430_85,
            0.008_332_188_241_183_758,
            -0.000_195_180_953_596_718_6,
        ],
    );
    let q = polynomial(
        r2,
        &[
            0.041_666_645_556_688_31,
            -0.001_388_730_946_928_262_7,
            2.443_232_733_639_888_5e-5,
        ],
    );
    let sine = r * r2 * p + r;
    let cosine = r2.square() * q + (1.0 - 0.5 * r2);
    ((n + 4_194_304.0).to_bits(), sine, cosine)
}

/// The sine of an angle that is `quadrant` quarter turns past one whose sine and cosine are given.
fn rotated(quadrant: Bits, sine: Var, cosine: Var) -> Var {
    let value = select((quadrant & 1).eq(1), cosine, sine);
    (value.bitcast() ^ ((quadrant & 2) << 30)).bitcast()
}

/// The angle of the point (x, y), in −π … π, with the sign of y; 0 at the origin and on the positive x axis.
///
/// Coordinates smaller than 1.2e-38 count as zero. The `f64` interpreter follows IEEE 754 for x = −0 (±π at the
/// origin); the plain operations take −0 for 0.
pub fn atan2(y: impl Into<Var>, x: impl Into<Var>) -> Var {
    let (y, x) = (y.into(), x.into());
    exactly(Function::Atan2, &[y, x], || {
        // The angle to the nearer axis, of a point in the first octant, …
        let (width, height) = (x.abs(), y.abs());
        let long = width.max(height).max(SMALLEST);
        let short = width.min(height);
        let angle = first_octant(short, long);
        // … is turned back to where the point is.
        let angle = select(height.gt(width), FRAC_PI_2 - angle, angle);
        let angle = select(x.lt(0.0), PI - angle, angle);
        signed_as(y, angle)
    })
}

/// atan x, in −π/2 … π/2.
pub fn atan(x: impl Into<Var>) -> Var {
    let x = x.into();
    exactly(Function::Atan, &[x], || {
        let size = x.abs();
        let angle = first_octant(size.min(1.0), size.max(1.0));
        signed_as(x, select(size.gt(1.0), FRAC_PI_2 - angle, angle))
    })
}

/// atan(short / long) for 0 ≤ short ≤ long.
///
/// Above tan(π/8) the angle is taken from the diagonal: atan t = π/4 + atan((t − 1)/(t + 1)).
fn first_octant(short: Var, long: Var) -> Var {
    let steep = short.gt(0.414_213_57 * long);
    let t = select(steep, short - long, short) / select(steep, short + long, long);
    let t2 = t.square();
    // atan t = t + t³ p(t²), relative error 2^-30.4 for |t| ≤ tan(π/8).
    let p = polynomial(
        t2,
        &[
            -0.333_333_164_453_506_47,
            0.199_985_265_731_811_52,
            -0.142_443_448_305_13,
            0.105_987_280_607_223_51,
            -0.060_887_355_357_408_524,
        ],
    );
    let angle = t * t2 * p + t;
    select(steep, angle + FRAC_PI_4, angle)
}

/// asin x, in −π/2 … π/2; x is limited to −1 … 1.
pub fn asin(x: impl Into<Var>) -> Var {
    let x = x.into().clamp(-1.0, 1.0);
    exactly(Function::Asin, &[x], || {
        let (far, angle) = half_asin(x.abs());
        signed_as(x, select(far, FRAC_PI_2 - 2.0 * angle, angle))
    })
}

/// acos x, in 0 … π; x is limited to −1 … 1.
pub fn acos(x: impl Into<Var>) -> Var {
    let x = x.into().clamp(-1.0, 1.0);
    exactly(Function::Acos, &[x], || {
        let (far, angle) = half_asin(x.abs());
        let negative = x.lt(0.0);
        let near_one = select(negative, PI - 2.0 * angle, 2.0 * angle);
        let near_zero = FRAC_PI_2 - select(negative, -angle, angle);
        select(far, near_one, near_zero)
    })
}

/// Whether x > ½, and asin √((1 − x)/2) = (π/2 − asin x)/2 where it is, asin x where it is not; for 0 ≤ x ≤ 1.
fn half_asin(x: Var) -> (Mask, Var) {
    let far = x.gt(0.5);
    let t2 = select(far, 0.5 - 0.5 * x, x.square());
    let t = select(far, t2.sqrt(), x);
    // asin t = t + t³ p(t²), relative error 2^-27.6 for t ≤ ½.
    let p = polynomial(
        t2,
        &[
            0.166_667_520_999_908_45,
            0.074_953_094_124_794,
            0.045_469_153_672_456_74,
            0.024_184_742_942_452_43,
            0.042_158_387_601_375_58,
        ],
    );
    (far, t * t2 * p + t)
}

/// eˣ. Arguments above 88.7 count as 88.7 (3.3e38); below −86.9 (2e-38) the value is 0.
pub fn exp(x: impl Into<Var>) -> Var {
    let x = x.into().min(88.7);
    exactly(Function::Exp, &[x], || {
        // x = n ln 2 + r with |r| ≤ ½ ln 2. The first part of ln 2 has 9 significant bits, so n times it is exact.
        let n = (x * LOG2_E).round();
        let r = (x - n * LN_2[0]) - n * LN_2[1];
        // eʳ = 1 + r + r² p(r), relative error 2^-28.2.
        let p = polynomial(
            r,
            &[
                0.499_999_940_395_355_2,
                0.166_665_211_319_923_4,
                0.041_668_266_057_968_14,
                0.008_368_674_665_689_468,
                0.001_382_061_047_479_510_3,
            ],
        );
        let mantissa = (r.square() * p + r) + 1.0;
        // 2ⁿ = 2 · 2ⁿ⁻¹, because n reaches 128, which no f32 has as its exponent; −125 is the smallest n that counts.
        let half_power = ((n + 126.0).to_bits() << 23).bitcast();
        select(x.lt(-86.9), Var::ZERO, (mantissa + mantissa) * half_power)
    })
}

/// ln x. Arguments below 1.2e-38, zero and negative ones too, count as 1.2e-38 (−87.3).
pub fn log(x: impl Into<Var>) -> Var {
    let x = x.into().max(SMALLEST);
    exactly(Function::Log, &[x], || {
        // x = 2ⁿ m with √½ ≤ m < √2, by the bits: adding 1 − √½ carries into the exponent where m would be above √2.
        const ONE: u32 = 0x3f80_0000;
        const ROOT_HALF: u32 = 0x3f35_04f3;
        let bits = x.bitcast();
        let biased = (bits + (ONE - ROOT_HALF)) >> 23;
        let n = biased.to_var() - 127.0;
        let f = (bits - (biased << 23) + ONE).bitcast() - 1.0;
        // ln(1 + f) = 2 atanh s = 2 s + s u p(u) with s = f/(2 + f), u = s², relative error 2^-30.2;
        // 2 s = f − s f, and f is exact, so that an error of the division hardly counts.
        let s = f / (f + 2.0);
        let u = s.square();
        let p = polynomial(
            u,
            &[
                0.666_667_759_418_487_5,
                0.399_775_862_693_786_6,
                0.298_706_948_757_171_63,
            ],
        );
        let log_m = f - s * (f - u * p);
        n * LN_2[0] + (n * LN_2[1] + log_m)
    })
}

/// tanh x.
pub fn tanh(x: impl Into<Var>) -> Var {
    let x = x.into();
    exactly(Function::Tanh, &[x], || {
        let size = x.abs();
        // tanh t = t + t³ p(t²), relative error 2^-27.7 for |t| ≤ 0.625, where the other formula would cancel.
        let t2 = size.square();
        let p = polynomial(
            t2,
            &[
                -0.333_332_806_825_637_8,
                0.133_314_058_184_623_72,
                -0.053_736_515_343_189_24,
                0.020_628_167_316_317_56,
                -0.005_692_296_661_436_558,
            ],
        );
        let near = size * t2 * p + size;
        // From 9.02 on, tanh rounds to 1.
        let far = 1.0 - 2.0 / (exp(2.0 * size.min(9.5)) + 1.0);
        signed_as(x, select(size.lt(0.625), near, far))
    })
}

/// x to the power of y, for x ≥ 0.
///
/// A constant exponent that is ½ or a whole number of at most 16 costs a square root or a few products (for any x)
/// and errs by |y| + 1 ULP at most. Otherwise it is e^(y ln x), with an error that grows with the exponent of the result:
/// 2 + 2 |y ln x| ULP; a base below 1.2e-38, zero and negative ones too, gives 0, or 1 for y = 0.
pub fn pow(x: impl Into<Var>, y: impl Into<Var>) -> Var {
    let (x, y) = (x.into(), y.into());
    match y.as_constant() {
        Some(y) if y.fract() == 0.0 && y.abs() <= 16.0 => whole_power(x, y as i32),
        Some(0.5) => x.sqrt(),
        _ => exactly(Function::Pow, &[x, y], || {
            let at_zero = select(y.eq(0.0), Var::ONE, Var::ZERO);
            select(x.lt(SMALLEST), at_zero, exp(y * log(x)))
        }),
    }
}

/// xⁿ by repeated squaring.
fn whole_power(x: Var, n: i32) -> Var {
    let (mut power, mut result) = (x, Var::ONE);
    let mut rest = n.unsigned_abs();
    while rest > 0 {
        if rest & 1 == 1 {
            result *= power;
        }
        rest >>= 1;
        if rest > 0 {
            power = power.square();
        }
    }
    if n < 0 { result.recip() } else { result }
}

/// Σ `coefficients[k]` xᵏ, by Horner's rule.
pub(super) fn polynomial(x: Var, coefficients: &[f64]) -> Var {
    let terms = coefficients.iter().rev();
    terms.fold(Var::ZERO, |sum, &coefficient| sum * x + coefficient)
}

/// A value that is not negative, with the sign of x.
fn signed_as(x: Var, value: Var) -> Var {
    (value.bitcast() ^ (x.bitcast() & SIGN)).bitcast()
}
