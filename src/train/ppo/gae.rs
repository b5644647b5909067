//! Generalized advantage estimation with bootstrapping from the true successor.
//!
//! Schulman et al., High-dimensional continuous control using generalized advantage estimation, 2016;
//! Pardo et al., Time limits in reinforcement learning, 2018, section 2: a step that was cut off by a
//! time limit is worth its reward plus the discounted value of the state it led to, not of the state after the reset.

/// A rollout's scalars, each `[T · worlds]` with time outermost.
#[derive(Clone, Copy, Debug)]
pub struct Transitions<'a> {
    /// How many worlds stepped together.
    pub worlds: usize,
    /// What each step earned.
    pub reward: &'a [f32],
    /// 1 where the task ended.
    pub terminated: &'a [f32],
    /// 1 where the episode was cut.
    pub truncated: &'a [f32],
    /// 0 where a step is not to be learned from.
    pub valid: &'a [f32],
    /// Value of the state the step started from.
    pub value: &'a [f32],
    /// Value of the true successor of each step.
    pub successor: &'a [f32],
}

/// Advantages, `[T · worlds]`; 0 where a step is not valid.
///
/// `δ_t = r_t + γ·(1 − terminated_t)·V(successor_t) − V_t` and
/// `A_t = δ_t + γ·λ·(1 − done_t)·A_{t+1}`: done steps end the sum, and a step that is not valid adds nothing
/// to it, so that the step before it looks no further than its value.
pub fn advantages(t: &Transitions, gamma: f64, lambda: f64) -> Vec<f32> {
    let mut advantages = vec![0.0; t.reward.len()];
    let mut next = vec![0.0f64; t.worlds];
    for start in (0..t.reward.len()).step_by(t.worlds).rev() {
        for (world, next) in next.iter_mut().enumerate() {
            let i = start + world;
            if t.valid[i] == 0.0 {
                *next = 0.0;
                continue;
            }
            let lives = 1.0 - f64::from(t.terminated[i]);
            let goes_on = lives * (1.0 - f64::from(t.truncated[i]));
            let delta = f64::from(t.reward[i]) + gamma * lives * f64::from(t.successor[i])
                - f64::from(t.value[i]);
            *next = delta + gamma * lambda * goes_on * *next;
            advantages[i] = *next as f32;
        }
    }
    advantages
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two worlds, four steps; the expected numbers follow the definition by hand.
    #[test]
    fn follows_the_definition() {
        let (gamma, lambda) = (0.9, 0.8);
        // World 0: terminated at step 1. World 1: truncated at step 1, not valid at step 2.
        let t = Transitions {
            worlds: 2,
            reward: &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0],
            terminated: &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            truncated: &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            valid: &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0],
            value: &[0.5; 8],
            successor: &[0.5, 0.5, 99.0, 10.0, 0.5, 99.0, 7.0, 7.0],
        };
        let a = advantages(&t, gamma, lambda);
        let last = 4.0 + 0.9 * 7.0 - 0.5;
        let ended = 2.0 - 0.5;
        let cut = 2.0 + 0.9 * 10.0 - 0.5;
        let step = 1.0 + 0.9 * 0.5 - 0.5;
        let expected = [
            step + 0.72 * ended,
            step + 0.72 * cut,
            ended,
            cut,
            3.0 + 0.9 * 0.5 - 0.5 + 0.72 * last,
            0.0,
            last,
            last,
        ];
        for (a, e) in a.iter().zip(expected) {
            assert!((f64::from(*a) - e).abs() < 1e-6, "{a} {e}");
        }
    }

    /// Before a step that is not valid, the sum stops at the value of that step's state.
    #[test]
    fn nothing_flows_through_an_invalid_step() {
        let t = Transitions {
            worlds: 1,
            reward: &[1.0, 1e9, 1.0],
            terminated: &[0.0; 3],
            truncated: &[0.0; 3],
            valid: &[1.0, 0.0, 1.0],
            value: &[0.0; 3],
            successor: &[2.0, 1e9, 3.0],
        };
        assert_eq!(advantages(&t, 0.5, 1.0), [2.0, 0.0, 2.5]);
    }
}
