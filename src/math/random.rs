//! Counter-based random numbers: a draw is a pure function of who draws, when, for what and how often before.
//!
//! There is no state to store, seed or advance, so a world's numbers depend neither on its neighbours nor on the order
//! in which kernels run, and a checkpoint needs nothing but the counters that it has anyway. [`Rng`] records draws;
//! [`HostRng`] makes the same ones on the host, bit for bit.
//!
//! The generator is Threefry-4×32 with 13 rounds (Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as
//! 1, 2, 3, SC 2011, sections 3 to 5). Its authors report it, as one of those in Random123's file of known answers, to
//! pass all of BigCrush, and it takes eight words of input, which is what a draw has:
//!
//! | word | counter | key |
//! |---|---|---|
//! | 0 | block: four draws each | seed, low half |
//! | 1 | step | seed, high half |
//! | 2 | episode | purpose: a hash of its name |
//! | 3 | stream (world) | item, for draws in a loop |
//!
//! It needs additions, rotations and exclusive ors only: 33 operations for a draw of 32 bits, where Philox-4×32-10
//! takes 90 in WGSL, which has no high half of a product. A cheaper hash (pcg4d: 9) has no such record of tests.
//!
//! A uniform number is a multiple of 2⁻²⁴ and has the same value everywhere. What is computed from it with rounding
//! (`range`, `normal`) repeats bit for bit on the same pipelines, as everything does, and agrees to a few ULP
//! between others.

use std::f64::consts::TAU;

use super::functions;
use crate::trace::{Bits, Mask, Var, select};

/// Whose numbers, and when: the words that are the same for every purpose.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The run's seed: low half, high half.
    pub seed: [Bits; 2],
    /// The stream, as a rule the world's identity.
    pub stream: Bits,
    /// The world's episode.
    pub episode: Bits,
    /// The control step of the episode, or 0 for what is drawn once per episode.
    pub step: Bits,
}

/// Records draws for one purpose.
///
/// Draws count up while they are recorded, each at its place in the code. They may be made inside a `when`. The body
/// of a `repeat` is recorded once for all its iterations: give it an [`Rng::item`] of the iteration's index.
#[derive(Clone, Debug)]
pub struct Rng {
    key: Key,
    purpose: u32,
    item: Bits,
    draws: Draws,
}

impl Rng {
    /// The draws for a purpose; another name is another, independent sequence.
    pub fn new(key: Key, purpose: &str) -> Self {
        Self {
            key,
            purpose: hash(purpose),
            item: Bits::ZERO,
            draws: Draws::default(),
        }
    }

    /// An independent sequence for each index, for draws in a loop or for each of many things; an item of an item is
    /// the same as an item of the whole.
    #[must_use]
    pub fn item(&self, index: impl Into<Bits>) -> Self {
        Self {
            item: index.into() + 1,
            draws: Draws::default(),
            ..*self
        }
    }

    /// The draw of that number. Its block is shared with its neighbours by the recording, wherever it is visible.
    fn draw(&self, number: u32) -> Bits {
        let Key {
            seed: [low, high],
            stream,
            episode,
            step,
        } = self.key;
        let counter = [Bits::from(number / 4), step, episode, stream];
        let key = [low, high, Bits::from(self.purpose), self.item];
        threefry(counter, key)[number as usize % 4]
    }

    fn unit(&self, number: u32) -> Var {
        (self.draw(number) >> 8).to_var() * UNIT
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> Bits {
        let number = self.draws.one();
        self.draw(number)
    }

    /// A multiple of 2⁻²⁴ in [0, 1).
    pub fn uniform(&mut self) -> Var {
        let number = self.draws.one();
        self.unit(number)
    }

    /// Uniform from `low` to `high`; rounding may make it `high`.
    pub fn range(&mut self, low: impl Into<Var>, high: impl Into<Var>) -> Var {
        let (low, high) = (low.into(), high.into());
        low + (high - low) * self.uniform()
    }

    /// Normal, with mean 0 and standard deviation 1, in ±5.8: two to a pair of uniform draws, after Box and Muller,
    /// A Note on the Generation of Random Normal Deviates, 1958.
    pub fn normal(&mut self) -> Var {
        let (pair, second) = self.draws.of_pair();
        // 1 − u is in (0, 1], and exact.
        let radius = (-2.0 * functions::log(1.0 - self.unit(pair))).sqrt();
        let (sine, cosine) = functions::sin_cos(TAU * self.unit(pair + 1));
        radius * if second { sine } else { cosine }
    }

    /// True with probability `p`.
    pub fn bernoulli(&mut self, p: impl Into<Var>) -> Mask {
        self.uniform().lt(p)
    }

    /// An integer below `n`, for n from 1 to 65,536; the values' probabilities differ by less than 2⁻¹⁶ of themselves.
    pub fn below(&mut self, n: impl Into<Bits>) -> Bits {
        high_product(self.bits(), n.into())
    }

    /// An index with a probability in proportion to its weight; weights are not negative, and at least one is positive.
    ///
    /// # Panics
    /// When there are no weights.
    pub fn categorical(&mut self, weights: &[Var]) -> Bits {
        assert!(!weights.is_empty(), "a choice among no weights");
        let total: Var = weights.iter().copied().sum();
        let target = self.uniform() * total;
        let (mut index, mut sum) = (Bits::ZERO, Var::ZERO);
        for weight in &weights[..weights.len() - 1] {
            sum += *weight;
            index += select(target.ge(sum), Bits::from(1), Bits::ZERO);
        }
        index
    }
}

/// Whose numbers, and when, on the host; see [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// The run's seed.
    pub seed: u64,
    /// The stream, as a rule the world's identity.
    pub stream: u32,
    /// The world's episode.
    pub episode: u32,
    /// The control step of the episode.
    pub step: u32,
}

/// Makes the draws of [`Rng`] on the host: the same bits and uniform numbers, everything else to rounding.
#[derive(Clone, Debug)]
pub struct HostRng {
    key: HostKey,
    purpose: u32,
    item: u32,
    draws: Draws,
}

impl HostRng {
    /// The draws for a purpose; see [`Rng::new`].
    pub fn new(key: HostKey, purpose: &str) -> Self {
        Self {
            key,
            purpose: hash(purpose),
            item: 0,
            draws: Draws::default(),
        }
    }

    /// An independent sequence for each index; see [`Rng::item`].
    #[must_use]
    pub fn item(&self, index: u32) -> Self {
        Self {
            item: index.wrapping_add(1),
            draws: Draws::default(),
            ..*self
        }
    }

    fn draw(&self, number: u32) -> u32 {
        let HostKey {
            seed,
            stream,
            episode,
            step,
        } = self.key;
        let counter = [number / 4, step, episode, stream];
        let key = [seed as u32, (seed >> 32) as u32, self.purpose, self.item];
        threefry(counter, key)[number as usize % 4]
    }

    fn unit(&self, number: u32) -> f64 {
        f64::from(self.draw(number) >> 8) * UNIT
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        let number = self.draws.one();
        self.draw(number)
    }

    /// A multiple of 2⁻²⁴ in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        let number = self.draws.one();
        self.unit(number)
    }

    /// Uniform in [`low`, `high`).
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Normal, with mean 0 and standard deviation 1.
    pub fn normal(&mut self) -> f64 {
        let (pair, second) = self.draws.of_pair();
        let radius = (-2.0 * (1.0 - self.unit(pair)).ln()).sqrt();
        let (sine, cosine) = (TAU * self.unit(pair + 1)).sin_cos();
        radius * if second { sine } else { cosine }
    }

    /// True with probability `p`.
    pub fn bernoulli(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// An integer below `n`, for n from 1 to 65,536.
    pub fn below(&mut self, n: u32) -> u32 {
        high_product(self.bits(), n)
    }

    /// An index with a probability in proportion to its weight; see [`Rng::categorical`].
    ///
    /// # Panics
    /// When there are no weights.
    pub fn categorical(&mut self, weights: &[f64]) -> usize {
        assert!(!weights.is_empty(), "a choice among no weights");
        let target = self.uniform() * weights.iter().sum::<f64>();
        let mut sum = 0.0;
        let passed = weights[..weights.len() - 1].iter().filter(|weight| {
            sum += **weight;
            target >= sum
        });
        passed.count()
    }
}

/// The distance of two uniform numbers, 2⁻²⁴.
const UNIT: f64 = 1.0 / 16_777_216.0;

/// Which draws are taken.
#[derive(Clone, Copy, Debug, Default)]
struct Draws {
    next: u32,
    /// The pair of draws from which one normal number was made and the other is still to be had.
    half: Option<u32>,
}

impl Draws {
    fn one(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// The first draw of a pair, and whether the second normal number of the pair is meant.
    fn of_pair(&mut self) -> (u32, bool) {
        match self.half.take() {
            Some(pair) => (pair, true),
            None => {
                let pair = self.one();
                self.one();
                self.half = Some(pair);
                (pair, false)
            }
        }
    }
}

/// A 32-bit word with wrapping arithmetic, recorded or not.
trait Word: Copy + From<u32> + std::ops::BitXor<Output = Self> {
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn left(self, places: u32) -> Self;
    fn right(self, places: u32) -> Self;
    fn rotated(self, places: u32) -> Self;
}

impl Word for u32 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    fn times(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
    fn left(self, places: u32) -> Self {
        self << places
    }
    fn right(self, places: u32) -> Self {
        self >> places
    }
    fn rotated(self, places: u32) -> Self {
        self.rotate_left(places)
    }
}

impl Word for Bits {
    fn plus(self, other: Self) -> Self {
        self + other
    }
    fn times(self, other: Self) -> Self {
        self * other
    }
    fn left(self, places: u32) -> Self {
        self << places
    }
    fn right(self, places: u32) -> Self {
        self >> places
    }
    fn rotated(self, places: u32) -> Self {
        (self << places) | (self >> (32 - places))
    }
}

/// Threefry-4×32 with 13 rounds: four random words for a counter under a key.
///
/// Each round adds, rotates and exclusive-ors two pairs of words, (0, 1) and (2, 3) in even rounds, (0, 3) and (2, 1)
/// in odd ones; after every fourth the key is added, moved on by a word. The rotations are
/// those of Random123.
fn threefry<W: Word>(counter: [W; 4], key: [W; 4]) -> [W; 4] {
    const ROUNDS: usize = 13;
    const ROTATIONS: [[u32; 2]; 8] = [
        [10, 26],
        [11, 21],
        [13, 27],
        [23, 5],
        [6, 20],
        [17, 11],
        [25, 10],
        [18, 20],
    ];
    let parity = key.into_iter().fold(W::from(0x1bd1_1bda), |p, k| p ^ k);
    let key = [key[0], key[1], key[2], key[3], parity];

    let mut x: [W; 4] = std::array::from_fn(|i| counter[i].plus(key[i]));
    for round in 0..ROUNDS {
        let partners = if round % 2 == 0 { [1, 3] } else { [3, 1] };
        for (half, partner) in partners.into_iter().enumerate() {
            let sum = x[2 * half].plus(x[partner]);
            x[2 * half] = sum;
            x[partner] = x[partner].rotated(ROTATIONS[round % 8][half]) ^ sum;
        }
        if round % 4 == 3 {
            let turn = round / 4 + 1;
            x = std::array::from_fn(|i| x[i].plus(key[(i + turn) % 5]));
            x[3] = x[3].plus(W::from(turn as u32));
        }
    }
    x
}

/// ⌊a n / 2³²⌋ for n ≤ 2¹⁶, from the halves of a: no product or sum here exceeds 32 bits.
fn high_product<W: Word>(a: W, n: W) -> W {
    let low = a.left(16).right(16).times(n).right(16);
    a.right(16).times(n).plus(low).right(16)
}

/// FNV-1a, 32 bits.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of Random123, `kat_vectors`, `threefry4x32 13`.
    #[test]
    fn threefry_gives_the_known_answers() {
        let ones = [u32::MAX; 4];
        let cases = [
            (
                [[0; 4], [0; 4]],
                [0x531c_7e4f, 0x3949_1ee5, 0x2c85_5a92, 0x3d6a_bf9a],
            ),
            (
                [ones, ones],
                [0xc418_9358, 0x1c9c_c83a, 0xd588_1c67, 0x6a0a_89e0],
            ),
            (
                [
                    [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                    [0xa409_3822, 0x299f_31d0, 0x082e_fa98, 0xec4e_6c89],
                ],
                [0x4aa7_1d8f, 0x7347_38c2, 0x431f_c6a8, 0xae6d_ebf1],
            ),
        ];
        for ([counter, key], expected) in cases {
            assert_eq!(threefry(counter, key), expected);
        }
    }

    #[test]
    fn high_product_is_the_high_half() {
        for a in [0, 1, 0xffff, 0x1_0000, 0x8000_0001, u32::MAX] {
            for n in [1, 2, 3, 1000, 65_535, 65_536] {
                assert_eq!(
                    u64::from(high_product(a, n)),
                    (u64::from(a) * u64::from(n)) >> 32
                );
            }
        }
    }
}
