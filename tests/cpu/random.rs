//! `math::random`: the recorded and the host's draws are the same, and are distributed as they say.

use manyworlds::math::random::{HostKey, HostRng, Key, Rng};
use manyworlds::trace::{self, Bits, Field, HostMemory, Kind, Layout, Var};

const SEED: u64 = 0x0123_4567_89ab_cdef;

/// Draws that a graph stores, one row each, for worlds that are their own streams.
struct Draws {
    memory: HostMemory<f32>,
    floats: Field,
    bits: Field,
    worlds: usize,
}

impl Draws {
    /// Runs what `record` draws: it returns `floats` floats and `bits` integers.
    fn new(
        worlds: usize,
        [floats, bits]: [usize; 2],
        record: impl FnOnce(Key) -> (Vec<Var>, Vec<Bits>),
    ) -> Self {
        let mut layout = Layout::new();
        let buffer = layout.buffer("floats", Kind::F32);
        let floats = layout.field(buffer, "values", floats);
        let buffer = layout.buffer("bits", Kind::U32);
        let bits = layout.field(buffer, "integers", bits);
        let graph = trace::record("draws", &layout, || {
            let key = Key {
                seed: [trace::uniform("seed_low"), trace::uniform("seed_high")],
                stream: trace::world(),
                episode: trace::uniform("episode"),
                step: trace::uniform("step"),
            };
            let (values, integers) = record(key);
            floats.store_all(&values);
            for (at, integer) in integers.into_iter().enumerate() {
                bits.store_bits(at, integer);
            }
        });
        let mut memory = HostMemory::new(&layout, worlds);
        let uniforms = [
            ("seed_low", SEED as u32),
            ("seed_high", (SEED >> 32) as u32),
            ("episode", 7),
            ("step", 11),
        ];
        graph.interpret(&mut memory, &uniforms, 0..worlds);
        Self {
            memory,
            floats,
            bits,
            worlds,
        }
    }

    fn all(&self) -> Vec<f64> {
        (0..self.worlds)
            .flat_map(|world| self.memory.row(self.floats, world))
            .collect()
    }

    fn integers(&self) -> Vec<u32> {
        let worlds = 0..self.worlds;
        worlds
            .flat_map(|world| (0..self.bits.len()).map(move |at| (at, world)))
            .map(|(at, world)| self.memory.get_bits(self.bits, at, world))
            .collect()
    }
}

fn host(stream: usize) -> HostKey {
    HostKey {
        seed: SEED,
        stream: stream as u32,
        episode: 7,
        step: 11,
    }
}

#[test]
fn recorded_and_host_draws_agree() {
    const WORLDS: usize = 50;
    let weights = [0.5, 0.0, 2.0, 1.5];
    let draws = Draws::new(WORLDS, [5, 5], |key| {
        let mut rng = Rng::new(key, "test");
        let bits = rng.bits();
        let mut floats = vec![
            rng.uniform(),
            rng.normal(),
            rng.range(-2.0, 3.0),
            rng.normal(),
        ];
        let coin = trace::select(rng.bernoulli(0.3), Bits::from(1), Bits::from(0));
        let below = rng.below(1000);
        let choice = rng.categorical(&weights.map(Var::from));
        let mut item = rng.item(3);
        floats.push(item.uniform());
        (floats, vec![bits, coin, below, choice, item.bits()])
    });
    for world in 0..WORLDS {
        let mut rng = HostRng::new(host(world), "test");
        let bits = rng.bits();
        let mut expected = vec![
            rng.uniform(),
            rng.normal(),
            rng.range(-2.0, 3.0),
            rng.normal(),
        ];
        let coin = u32::from(rng.bernoulli(0.3));
        let below = rng.below(1000);
        let choice = rng.categorical(&weights) as u32;
        let mut item = rng.item(3);
        expected.push(item.uniform());
        assert_eq!(
            &draws.integers()[world * 5..][..5],
            [bits, coin, below, choice, item.bits()],
            "world {world}"
        );
        let values = &draws.all()[world * 5..][..5];
        assert_eq!([values[0], values[4]], [expected[0], expected[4]]);
        for (value, expected) in values.iter().zip(expected) {
            assert!(
                (value - expected).abs() < 1e-5,
                "world {world}: {value}, not {expected}"
            );
        }
    }
}

/// The Kolmogorov–Smirnov statistic: the largest distance to a distribution function, times √n.
pub(crate) fn kolmogorov_smirnov(mut values: Vec<f64>, distribution: impl Fn(f64) -> f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let distances = values.iter().enumerate().map(|(rank, &value)| {
        let p = distribution(value);
        ((rank + 1) as f64 / n - p).max(p - rank as f64 / n)
    });
    distances.fold(0.0, f64::max) * n.sqrt()
}

/// Exceeded with probability 0.001 by a statistic of the right distribution; the seed is fixed, so a test is not
/// flaky.
pub(crate) const CRITICAL: f64 = 1.95;

/// Φ(x), from the error function's series and continued fraction (Abramowitz and Stegun, 7.1.5 and 7.1.14).
pub(crate) fn normal_distribution(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let erfc = if z < 2.0 {
        let (mut term, mut sum, mut k) = (z, z, 0.0);
        while term.abs() > 1e-17 {
            k += 1.0;
            term *= -z * z / k;
            sum += term / (2.0 * k + 1.0);
        }
        1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let fraction = (1..=60).rev().fold(z, |f, k| z + f64::from(k) / 2.0 / f);
        (-z * z).exp() / fraction * std::f64::consts::FRAC_2_SQRT_PI / 2.0
    };
    if x < 0.0 {
        erfc / 2.0
    } else {
        1.0 - erfc / 2.0
    }
}

#[test]
fn uniform_numbers_are_uniform() {
    let draws = Draws::new(1000, [100, 1], |key| {
        let mut rng = Rng::new(key, "uniform");
        ((0..100).map(|_| rng.uniform()).collect(), vec![rng.bits()])
    });
    let values = draws.all();
    assert!(
        values
            .iter()
            .all(|u| (0.0..1.0).contains(u) && (u * 16_777_216.0).fract() == 0.0)
    );
    let statistic = kolmogorov_smirnov(values, |u| u);
    assert!(statistic < CRITICAL, "{statistic}");
}

#[test]
fn normal_numbers_are_normal() {
    let draws = Draws::new(1000, [100, 1], |key| {
        let mut rng = Rng::new(key, "normal");
        ((0..100).map(|_| rng.normal()).collect(), vec![rng.bits()])
    });
    let values = draws.all();
    // The second of a pair is as normal as the first, and does not depend on it.
    let firsts: Vec<f64> = values.iter().copied().step_by(2).collect();
    let seconds: Vec<f64> = values.iter().copied().skip(1).step_by(2).collect();
    for part in [&values, &firsts, &seconds] {
        let statistic = kolmogorov_smirnov(part.clone(), normal_distribution);
        assert!(statistic < CRITICAL, "{statistic}");
    }
    let squares = |values: &[f64]| values.iter().map(|x| x * x).collect::<Vec<_>>();
    demand_uncorrelated("pairs", &firsts, &seconds);
    demand_uncorrelated("squares of pairs", &squares(&firsts), &squares(&seconds));
    assert!((normal_distribution(1.0) - 0.841_344_746_068_543).abs() < 1e-14);
    assert!((normal_distribution(-4.0) - 3.167_124_183_311_986e-5).abs() < 1e-16);
}

/// √n times the correlation of independent samples is normal: 3.3 is exceeded with probability 0.001.
fn demand_uncorrelated(name: &str, a: &[f64], b: &[f64]) {
    let n = a.len() as f64;
    let mean = |x: &[f64]| x.iter().sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let covariance: f64 = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum();
    let spread = |x: &[f64], m: f64| x.iter().map(|x| (x - m).powi(2)).sum::<f64>();
    let statistic = covariance / (spread(a, ma) * spread(b, mb)).sqrt() * n.sqrt();
    assert!(statistic.abs() < 3.3, "{name}: {statistic}");
}

/// Keys that differ in the least of one word give sequences that have nothing to do with each other.
#[test]
fn neighbouring_keys_are_independent() {
    const N: usize = 20_000;
    let draw = |key: HostKey, purpose: &str, item: Option<u32>| {
        let mut rng = HostRng::new(key, purpose);
        if let Some(item) = item {
            rng = rng.item(item);
        }
        (0..N).map(|_| rng.bits()).collect::<Vec<u32>>()
    };
    let key = host(5);
    let base = draw(key, "a", None);
    let others = [
        (
            "draw",
            base[1..].iter().chain(&base[..1]).copied().collect(),
        ),
        ("stream", draw(HostKey { stream: 6, ..key }, "a", None)),
        ("episode", draw(HostKey { episode: 8, ..key }, "a", None)),
        ("step", draw(HostKey { step: 12, ..key }, "a", None)),
        (
            "seed",
            draw(
                HostKey {
                    seed: SEED ^ 1,
                    ..key
                },
                "a",
                None,
            ),
        ),
        (
            "high seed",
            draw(
                HostKey {
                    seed: SEED ^ (1 << 32),
                    ..key
                },
                "a",
                None,
            ),
        ),
        ("purpose", draw(key, "b", None)),
        ("item 0", draw(key, "a", Some(0))),
        ("item 1", draw(key, "a", Some(1))),
    ];
    let reals = |words: &[u32]| words.iter().map(|&w| f64::from(w)).collect::<Vec<_>>();
    for (name, other) in others {
        demand_uncorrelated(name, &reals(&base), &reals(&other));
        // Each bit of the difference is set in half of the draws: ±4 standard deviations, 32 × 9 bits.
        for bit in 0..32 {
            let pairs = base.iter().zip(&other);
            let set = pairs.filter(|(a, b)| (*a ^ *b) >> bit & 1 == 1).count() as f64;
            let deviation = (set - N as f64 / 2.0) / (N as f64 / 4.0).sqrt();
            assert!(deviation.abs() < 4.0, "{name}, bit {bit}: {deviation}");
        }
    }
}

#[test]
fn choices_have_their_probabilities() {
    const N: usize = 100_000;
    let weights = [1.0, 0.0, 3.0, 4.0];
    let mut rng = HostRng::new(host(0), "choices");
    let mut counts = [0; 4];
    let mut coins = 0;
    let mut below = [0; 3];
    for _ in 0..N {
        counts[rng.categorical(&weights)] += 1;
        coins += usize::from(rng.bernoulli(0.2));
        below[rng.below(3) as usize] += 1;
    }
    // ±4 standard deviations of a binomial count.
    let demand = |name: &str, count: usize, p: f64| {
        let deviation = (count as f64 - N as f64 * p) / (N as f64 * p * (1.0 - p)).sqrt().max(1e-9);
        assert!(deviation.abs() < 4.0, "{name}: {count} of {N}");
    };
    for (count, weight) in counts.into_iter().zip(weights) {
        demand("categorical", count, weight / 8.0);
    }
    demand("bernoulli", coins, 0.2);
    for count in below {
        demand("below", count, 1.0 / 3.0);
    }
}

/// A world's draws in a `when`, where few worlds take them, are those it would have anywhere.
#[test]
fn draws_in_a_branch_are_the_same() {
    let draws = Draws::new(8, [2, 1], |key| {
        let mut rng = Rng::new(key, "branch");
        let reset = (trace::world() & 1).eq(1);
        let inside = trace::when(reset, [Var::ZERO; 2], |_| [rng.uniform(), rng.normal()]);
        (inside.to_vec(), vec![rng.bits()])
    });
    for world in 0..8 {
        let mut rng = HostRng::new(host(world), "branch");
        let expected = [rng.uniform(), rng.normal()];
        let odd = f64::from(u8::from(world % 2 == 1));
        for (value, expected) in draws.all()[world * 2..][..2].iter().zip(expected) {
            assert!((value - expected * odd).abs() < 1e-5, "world {world}");
        }
        assert_eq!(draws.integers()[world], rng.bits());
    }
}

#[test]
fn a_draw_costs_few_operations() {
    let mut layout = Layout::new();
    let buffer = layout.buffer("bits", Kind::U32);
    let key = layout.field(buffer, "key", 5);
    let out = layout.field(buffer, "out", 64);
    let graph = trace::record("cost", &layout, || {
        let [low, high, stream, episode, step] = std::array::from_fn(|i| key.load_bits(i));
        let seed = [low, high];
        let mut rng = Rng::new(
            Key {
                seed,
                stream,
                episode,
                step,
            },
            "cost",
        );
        (0..64).for_each(|at| out.store_bits(at, rng.bits()));
    });
    let operations = graph.operations().total;
    println!("{} operations per draw", operations as f64 / 64.0);
    assert!(operations <= 34 * 64, "{operations}");
}
