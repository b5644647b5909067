//! Orthogonal initial weights (Saxe et al., Exact solutions to the nonlinear dynamics of learning
//! in deep linear neural networks, 2013), drawn on the host so that the seed alone decides them.

use crate::train::random::Stream;

/// `gain` times a matrix `[inputs, outputs]`, row major, whose shorter side is orthonormal.
pub(super) fn orthogonal(inputs: usize, outputs: usize, gain: f64, stream: Stream) -> Vec<f32> {
    let (count, length) = (inputs.min(outputs), inputs.max(outputs));
    let noise = stream.normals(count * length);
    let mut vectors: Vec<Vec<f64>> = noise
        .chunks(length)
        .map(|vector| vector.iter().map(|v| f64::from(*v)).collect())
        .collect();
    // Gram-Schmidt with positive lengths makes a Gaussian matrix uniformly distributed over the
    // orthogonal ones; the second pass removes the first one's rounding.
    for i in 0..count {
        let (done, rest) = vectors.split_at_mut(i);
        let vector = &mut rest[0];
        for _ in 0..2 {
            for other in done.iter() {
                let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector
                    .iter_mut()
                    .zip(other)
                    .for_each(|(a, b)| *a -= along * b);
            }
            let norm = vector.iter().map(|a| a * a).sum::<f64>().sqrt();
            vector.iter_mut().for_each(|a| *a /= norm);
        }
    }
    let entry = |row: usize, column: usize| {
        let value = if inputs <= outputs {
            vectors[row][column]
        } else {
            vectors[column][row]
        };
        (gain * value) as f32
    };
    (0..inputs * outputs)
        .map(|i| entry(i / outputs, i % outputs))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::random::Purpose;

    #[test]
    fn the_shorter_side_is_orthonormal_times_the_gain() {
        for (inputs, outputs) in [(8, 5), (5, 8), (6, 6), (4, 1)] {
            let w = orthogonal(inputs, outputs, 2.0, Stream::new(1, Purpose::Weights, 0));
            let short = inputs.min(outputs);
            let at = |i: usize, k: usize| {
                f64::from(if inputs <= outputs {
                    w[i * outputs + k]
                } else {
                    w[k * outputs + i]
                })
            };
            for i in 0..short {
                for j in 0..short {
                    let dot: f64 = (0..inputs.max(outputs)).map(|k| at(i, k) * at(j, k)).sum();
                    let expected = if i == j { 4.0 } else { 0.0 };
                    assert!(
                        (dot - expected).abs() < 1e-5,
                        "{inputs}x{outputs} ({i}, {j}): {dot}"
                    );
                }
            }
        }
    }
}
