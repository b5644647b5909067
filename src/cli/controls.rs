//! Random controls on the host, the same for every backend.

use crate::model::Model;

/// The range of each control: the model's, or ±1 where it gives none.
pub(super) fn ranges(model: &Model) -> Vec<[f64; 2]> {
    let limited = model
        .actuator_ctrllimited
        .iter()
        .zip(&model.actuator_ctrlrange);
    limited
        .map(|(limited, range)| if *limited { *range } else { [-1.0, 1.0] })
        .collect()
}

/// `[worlds][range]`, uniform in the ranges; keyed by seed, world, step and component, so that neither the number of
/// worlds nor of steps changes a number.
pub(super) fn random(ranges: &[[f64; 2]], seed: u64, step: u32, worlds: usize) -> Vec<f64> {
    let mut values = Vec::with_capacity(worlds * ranges.len());
    for world in 0..worlds {
        for (component, [low, high]) in ranges.iter().enumerate() {
            let key = [world as u64, u64::from(step), component as u64];
            let bits = key
                .into_iter()
                .fold(mix(seed), |state, part| mix(state ^ part));
            // The upper 53 bits: every multiple of 2⁻⁵³ in [0, 1) alike.
            values.push(low + (high - low) * ((bits >> 11) as f64 * 2f64.powi(-53)));
        }
    }
    values
}

/// SplitMix64's step and finalizer (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fill_their_ranges_and_do_not_depend_on_the_number_of_worlds() {
        let ranges = [[-1.0, 1.0], [2.0, 3.0]];
        let many = random(&ranges, 7, 3, 500);
        assert_eq!(random(&ranges, 7, 3, 20), many[..40]);
        assert_ne!(random(&ranges, 8, 3, 20), many[..40]);
        assert_ne!(random(&ranges, 7, 4, 20), many[..40]);
        for (component, [low, high]) in ranges.iter().enumerate() {
            let values: Vec<f64> = many.iter().skip(component).step_by(2).copied().collect();
            assert!(values.iter().all(|value| (*low..*high).contains(value)));
            // The mean of 500 uniform numbers deviates by 0.013 of the range; five times that is beyond chance.
            let mean = values.iter().sum::<f64>() / 500.0;
            assert!(
                (mean - 0.5 * (low + high)).abs() < 5.0 * 0.013 * (high - low),
                "{mean}"
            );
        }
    }
}
