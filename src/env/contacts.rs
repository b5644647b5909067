//! What touches in the states of a [`Physics`]: counts, and the wrench on each body, by a kernel of its own.
//!
//! The kernel that steps does not pay for any of this.

use super::Physics;
use crate::error::Result;
use crate::model::Model;
use crate::rigid::{self, Applied, Bodies, Parameters};
use crate::trace::{self, Bits, Field, Graph, Kind, Layout, select};

/// What touches in every world.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contacts {
    /// `[world]` Contacts that MuJoCo lists (`ncon`).
    pub ncon: Vec<u32>,
    /// `[world]` Those between two moving links that are within their margins: each takes a slot.
    pub needed: Vec<u32>,
    /// `[world]` Whether these are more than there are slots, so that only the deepest push.
    pub overflow: Vec<bool>,
    /// `[world]` Whether the constraint solver found the exact solution.
    pub converged: Vec<bool>,
    /// `[world]` How many rounds it took, started from the rows that pushed in the last step.
    pub iterations: Vec<u32>,
    /// `[world][nbody][6]` What acts on each body from outside, torque about the centre of mass of its kinematic tree and
    /// force, world axes, N·m and N (`cfrc_ext`). The world's is zero.
    pub cfrc_ext: Vec<f64>,
}

impl Contacts {
    fn none(worlds: usize, nbody: usize) -> Self {
        Self {
            ncon: vec![0; worlds],
            needed: vec![0; worlds],
            overflow: vec![false; worlds],
            converged: vec![true; worlds],
            iterations: vec![0; worlds],
            cfrc_ext: vec![0.0; worlds * nbody * 6],
        }
    }
}

/// Where a [`Physics`] keeps its [`Contacts`].
#[derive(Clone, Copy, Debug)]
pub(super) struct ContactFields {
    /// `ncon`, needed, overflow, converged, iterations.
    counts: Field,
    /// `[nbody][6]`
    cfrc_ext: Field,
}

impl ContactFields {
    pub(super) fn declare(model: &Model, layout: &mut Layout) -> Self {
        let floats = layout.buffer("contacts", Kind::F32);
        let bits = layout.buffer("contact_counts", Kind::U32);
        Self {
            counts: layout.field(bits, "contact_counts", 5),
            cfrc_ext: layout.field(floats, "cfrc_ext", 6 * model.nbody),
        }
    }
}

impl Physics {
    /// What touches in the present state, under the present controls (MuJoCo's are those of the last step's beginning).
    /// The first call compiles a kernel, unless nothing in the model can touch.
    ///
    /// # Errors
    /// The device failed.
    pub fn contacts(&mut self) -> Result<Contacts> {
        if rigid::contact_count(&self.model) == 0 {
            return Ok(Contacts::none(self.worlds(), self.model.nbody));
        }
        let touch = match self.touch {
            Some(touch) => touch,
            None => *self.touch.insert(self.machine.kernel(self.record())?),
        };
        self.machine.run(touch, &[])?;
        let counts = self.machine.read_bits(self.contacts.counts)?;
        let of = |k: usize| counts[k * self.worlds()..(k + 1) * self.worlds()].to_vec();
        let flags = |k: usize| of(k).into_iter().map(|flag| flag != 0).collect();
        Ok(Contacts {
            ncon: of(0),
            needed: of(1),
            overflow: flags(2),
            converged: flags(3),
            iterations: of(4),
            cfrc_ext: self.read(self.contacts.cfrc_ext)?,
        })
    }

    fn record(&self) -> Graph {
        let (model, fields, contacts) = (&*self.model, &self.fields, &self.contacts);
        trace::record("contacts", &self.layout, || {
            let (parameters, state) = (Parameters::constant(model), fields.state.load());
            let (ctrl, applied) = (fields.ctrl.load_all(), Applied::none(model));
            let forward = rigid::forward(model, &parameters, &state, &ctrl, &applied);
            let flag = |mask| select(mask, Bits::from(1), Bits::ZERO);
            contacts.counts.store_all_bits(&[
                forward.ncon(),
                forward.needed,
                flag(forward.overflow),
                flag(forward.converged),
                forward.iterations,
            ]);
            let bodies = Bodies::new(model, &parameters, &forward.kinematics, &forward.cvel);
            let post = rigid::post_constraint(&bodies, &state, &applied, &forward);
            for (body, wrench) in post.cfrc_ext.into_iter().enumerate() {
                let wrench = bodies.wrench(body, wrench);
                let numbers = [wrench.ang.to_array(), wrench.lin.to_array()].concat();
                contacts.cfrc_ext.slice(6 * body, 6).store_all(&numbers);
            }
        })
    }
}
