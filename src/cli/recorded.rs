//! States of a recording, as `rollout --out` and `eval --record` write them, to begin from.

use std::path::Path;

use ndarray::ArrayD;

use super::controls;
use super::npz::{Archive, Extent};
use crate::error::{Error, Result};
use crate::model::Model;

/// States and controls, in an order that mixes them.
pub(super) struct Recorded {
    /// Numbers of a state by array: `qpos`, `qvel`, `act`, `ctrl`.
    sizes: [usize; 4],
    /// `[states][size]` by array.
    arrays: [Vec<f64>; 4],
    states: usize,
}

impl Recorded {
    /// Reads the states of a model. Those that are not finite are left out.
    ///
    /// # Errors
    /// The file is no such recording, of another model, or has no finite state.
    pub(super) fn read(path: &Path, model: &Model, ranges: &[[f64; 2]]) -> Result<Self> {
        let mut archive = Archive::open_any(path)?;
        let extents = |name: &'static str, size: usize| {
            [
                Extent::any("T"),
                Extent::any("N"),
                Extent::exactly(name, size),
            ]
        };
        let qpos = archive.required("qpos", &extents("nq", model.nq))?;
        let qvel = archive.required("qvel", &extents("nv", model.nv))?;
        let act = archive.optional("act", &extents("na", model.na))?;
        let ctrl = archive.optional("ctrl", &extents("nu", model.nu))?;
        let states = qpos.shape()[0] * qpos.shape()[1];
        let numbers = |array: ArrayD<f64>| array.into_iter().collect::<Vec<f64>>();
        let act = act.map_or(vec![0.0; states * model.na], numbers);
        let ctrl = ctrl.map_or_else(|| controls::random(ranges, 0, 0, states), numbers);
        let sizes = [model.nq, model.nv, model.na, model.nu];
        let arrays = [numbers(qpos), numbers(qvel), act, ctrl];
        let lengths = arrays.iter().zip(sizes);
        if lengths
            .into_iter()
            .any(|(array, size)| array.len() != states * size)
        {
            return Err(
                Error::invalid("qpos, qvel, act and ctrl are of different lengths")
                    .context(path.display()),
            );
        }
        let mut recorded = Self {
            sizes,
            arrays,
            states,
        };
        recorded.keep_finite();
        if recorded.states == 0 {
            return Err(Error::invalid("no finite state").context(path.display()));
        }
        Ok(recorded)
    }

    fn keep_finite(&mut self) {
        let is_finite = |state: usize| {
            let mut parts = self.arrays.iter().zip(self.sizes);
            parts.all(|(array, size)| {
                array[state * size..(state + 1) * size]
                    .iter()
                    .all(|x| x.is_finite())
            })
        };
        let kept: Vec<usize> = (0..self.states).filter(|&state| is_finite(state)).collect();
        for (array, size) in self.arrays.iter_mut().zip(self.sizes) {
            let rows = kept
                .iter()
                .flat_map(|&state| state * size..(state + 1) * size);
            *array = rows.map(|at| array[at]).collect();
        }
        self.states = kept.len();
    }

    /// `qpos`, `qvel`, `act` and `ctrl` of as many states as there are worlds; every trajectory takes others.
    pub(super) fn states(&self, trajectory: u32, worlds: usize) -> [Vec<f64>; 4] {
        // Neighbours in a recording are alike: strides of the golden ratio mix them, and repeat none before all had
        // their turn, or nearly so.
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let state = |world: usize| {
            let turn = trajectory as usize * worlds + world;
            let part = (turn as f64 * GOLDEN).fract();
            ((part * self.states as f64) as usize).min(self.states - 1)
        };
        std::array::from_fn(|k| {
            let (array, size) = (&self.arrays[k], self.sizes[k]);
            let rows = (0..worlds).map(state);
            rows.flat_map(|state| &array[state * size..(state + 1) * size])
                .copied()
                .collect()
        })
    }
}
