//! What is done to good input: to its tokens where it is text, to its bytes where it is not.

/// SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014).
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of a case; neighbouring cases have nothing in common.
    pub(crate) fn new(case: u64) -> Self {
        Self(case.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `count`; 0 where there is nothing to choose from.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Numbers at the edges of what numbers can be, and beyond.
pub(crate) const EXTREMES: &[&str] = &[
    "0",
    "-0.0",
    "1",
    "-1",
    "2",
    "7",
    "0.5",
    "64",
    "1000",
    "65536",
    "1e6",
    "1000000000",
    "1e12",
    "2147483647",
    "-2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "1e38",
    "1e39",
    "-1e308",
    "1e309",
    "1e-308",
    "1e-46",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "1_000",
    ".5",
    "5.",
    "+3",
    "true",
    "''",
];

/// What some inputs put around others, again and again.
pub(crate) type Nest = (&'static str, &'static str);

/// Longest text that is made.
const LONGEST: usize = 1 << 20;

/// A mutated text; `others` lend tokens.
pub(crate) fn text(random: &mut Random, good: &str, others: &[String], nests: &[Nest]) -> String {
    let mut parts: Vec<String> = tokens(good).into_iter().map(str::to_owned).collect();
    for _ in 0..1 + random.below(4) {
        mutate_tokens(random, &mut parts, others, nests);
    }
    let mut text = parts.concat();
    while text.len() > LONGEST {
        text.pop();
    }
    if random.one_in(12) {
        return String::from_utf8_lossy(&bytes(random, text.as_bytes())).into_owned();
    }
    text
}

fn mutate_tokens(random: &mut Random, parts: &mut Vec<String>, others: &[String], nests: &[Nest]) {
    let count = parts.len();
    if count == 0 {
        return parts.push((*random.choose(EXTREMES)).into());
    }
    let at = random.below(count);
    let end = (at + 1 + random.below(24)).min(count);
    match random.below(12) {
        0..=3 => {
            // A number becomes another one: what configuration is made of.
            let number = |part: &String| part.starts_with(|c: char| c.is_ascii_digit());
            let places: Vec<usize> = (0..count).filter(|i| number(&parts[*i])).collect();
            let at = if places.is_empty() {
                at
            } else {
                *random.choose(&places)
            };
            parts[at] = (*random.choose(EXTREMES)).into();
        }
        4 => drop(parts.drain(at..end)),
        5 => {
            let copy: Vec<String> = parts[at..end].to_vec();
            let times = if random.one_in(8) {
                200
            } else {
                1 + random.below(4)
            };
            parts.splice(
                at..at,
                copy.iter().cloned().cycle().take(copy.len() * times),
            );
        }
        6 => {
            let other = random.below(count);
            parts.swap(at, other);
        }
        7 => {
            // A word of another file, or of another place in this one.
            let from = random.choose(others);
            let words = tokens(from);
            if !words.is_empty() {
                let word = (*random.choose(&words)).to_owned();
                if random.one_in(2) {
                    parts[at] = word;
                } else {
                    parts.insert(at, word);
                }
            }
        }
        8 => {
            // A piece of another file.
            let from: &String = random.choose(others);
            let words = tokens(from);
            let from = random.below(words.len());
            let to = (from + 1 + random.below(80)).min(words.len());
            let piece = words[from..to].iter().map(|word| (*word).to_owned());
            parts.splice(at..at, piece);
        }
        9 if !nests.is_empty() => {
            let (open, close) = *random.choose(nests);
            let depth = *random.choose(&[2, 9, 60, 200, 3000]);
            parts.insert(end, close.repeat(depth));
            parts.insert(at, open.repeat(depth));
        }
        10 => {
            let odd = [
                "\u{0}",
                "\u{feff}",
                "ß",
                "\u{1F916}",
                "\r",
                "\\",
                "\"",
                "'",
                "&",
                "%s",
                "\n",
            ];
            let times = if random.one_in(6) { 50_000 } else { 1 };
            parts.insert(at, random.choose(&odd).repeat(times));
        }
        _ => parts.truncate(at),
    }
}

/// Words, numbers, and single characters.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let number = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let length = if first.is_ascii_digit() {
            rest.find(|c| !number(c)).unwrap_or(rest.len())
        } else if word(first) {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, behind) = rest.split_at(length);
        tokens.push(token);
        rest = behind;
    }
    tokens
}

/// Mutated bytes.
pub(crate) fn bytes(random: &mut Random, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..1 + random.below(4) {
        let count = bytes.len();
        let at = random.below(count);
        let end = (at + 1 + random.below(64)).min(count);
        match random.below(7) {
            _ if count == 0 => bytes.push(random.below(256) as u8),
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = *random.choose(&[0, 1, 0x7f, 0x80, 0xfe, 0xff]),
            3 => {
                // A count or an offset, somewhere.
                let number: u64 = *random.choose(&[
                    0,
                    1,
                    255,
                    65_535,
                    1 << 20,
                    (1 << 31) - 1,
                    u32::MAX.into(),
                    1 << 40,
                    u64::MAX,
                ]);
                let width = *random.choose(&[2, 4, 8]);
                let number = number.to_le_bytes();
                let end = (at + width).min(count);
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            4 => drop(bytes.drain(at..end)),
            5 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}
