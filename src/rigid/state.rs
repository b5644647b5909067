//! What a world is between substeps, and what acts on it from outside.

use crate::math::{Force, Quat, Vec3};
use crate::model::Model;
use crate::trace::{Bits, BufferId, Carry, Field, Layout, Mask, Slot, Var, select};

use super::constraint;

/// A world's state.
#[derive(Clone, Debug)]
pub struct State {
    /// `[nq]` Positions.
    pub qpos: Vec<Var>,
    /// `[nv]` Velocities.
    pub qvel: Vec<Var>,
    /// `[na]` Activations.
    pub act: Vec<Var>,
    /// `[nmocap]` Positions of mocap bodies, m: they are where they are put.
    pub mocap_pos: Vec<Vec3>,
    /// `[nmocap]` Their orientations, of any length.
    pub mocap_quat: Vec<Quat>,
    /// `[neq]` Which equality constraints hold; time does not change it. One that is constantly off costs nothing.
    pub eq_active: Vec<Mask>,
    /// Simulation time, s.
    pub time: Var,
    /// `[active_words]` Which constraint rows pushed in the last substep, a bit each: where the solver starts from.
    /// It changes how long solving takes, not what comes out; all ones is a good start.
    pub active: Vec<Bits>,
}

impl Carry for State {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        for values in [&mut self.qpos, &mut self.qvel, &mut self.act] {
            values.slots(visit);
        }
        self.mocap_pos.slots(visit);
        self.mocap_quat.slots(visit);
        self.eq_active.slots(visit);
        self.time.slots(visit);
        self.active.slots(visit);
    }
}

/// Where a [`State`] lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct StateFields {
    /// `[nq]`
    pub qpos: Field,
    /// `[nv]`
    pub qvel: Field,
    /// `[na]`
    pub act: Field,
    /// `[nmocap][3]`
    pub mocap_pos: Field,
    /// `[nmocap][4]`
    pub mocap_quat: Field,
    /// One number.
    pub time: Field,
    /// `[neq]` integers: 1 where an equality constraint holds, 0 where it is switched off.
    pub eq_active: Field,
    /// `[active_words]` integers.
    pub active: Field,
}

impl StateFields {
    /// Adds the fields to a buffer of floats and one of integers.
    pub fn declare(
        model: &Model,
        layout: &mut Layout,
        floats: BufferId,
        integers: BufferId,
    ) -> Self {
        Self {
            qpos: layout.field(floats, "qpos", model.nq),
            qvel: layout.field(floats, "qvel", model.nv),
            act: layout.field(floats, "act", model.na),
            mocap_pos: layout.field(floats, "mocap_pos", 3 * model.nmocap),
            mocap_quat: layout.field(floats, "mocap_quat", 4 * model.nmocap),
            time: layout.field(floats, "time", 1),
            eq_active: layout.field(integers, "eq_active", model.neq),
            active: layout.field(integers, "active", State::active_words(model)),
        }
    }

    /// This world's state.
    pub fn load(&self) -> State {
        State {
            qpos: self.qpos.load_all(),
            qvel: self.qvel.load_all(),
            act: self.act.load_all(),
            mocap_pos: self
                .mocap_pos
                .load_all()
                .chunks(3)
                .map(Vec3::from_slice)
                .collect(),
            mocap_quat: self
                .mocap_quat
                .load_all()
                .chunks(4)
                .map(Quat::from_slice)
                .collect(),
            eq_active: self
                .eq_active
                .load_all_bits()
                .into_iter()
                .map(|word| word.ne(0))
                .collect(),
            time: self.time.load(0),
            active: self.active.load_all_bits(),
        }
    }

    /// Writes this world's state.
    pub fn store(&self, state: &State) {
        self.qpos.store_all(&state.qpos);
        self.qvel.store_all(&state.qvel);
        self.act.store_all(&state.act);
        let pos: Vec<Var> = state.mocap_pos.iter().flat_map(|p| p.to_array()).collect();
        let quat: Vec<Var> = state.mocap_quat.iter().flat_map(|q| q.to_array()).collect();
        self.mocap_pos.store_all(&pos);
        self.mocap_quat.store_all(&quat);
        let bit = |&active: &Mask| select(active, Bits::from(1), Bits::ZERO);
        let eq_active: Vec<Bits> = state.eq_active.iter().map(bit).collect();
        self.eq_active.store_all_bits(&eq_active);
        self.time.store(0, state.time);
        self.active.store_all_bits(&state.active);
    }
}

impl State {
    /// The state at `qpos0`, at rest, with activations at zero, mocap bodies where the model has them, and the equality
    /// constraints that it says (`eq_active0`).
    pub fn initial(model: &Model) -> Self {
        let mocap = || (0..model.nbody).filter(|&body| model.body_mocapid[body].is_some());
        Self {
            mocap_pos: mocap()
                .map(|body| Vec3::constant(model.body_pos[body]))
                .collect(),
            mocap_quat: mocap()
                .map(|body| Quat::constant(model.body_quat[body]))
                .collect(),
            qpos: model.qpos0.iter().map(|&q| q.into()).collect(),
            qvel: vec![Var::ZERO; model.nv],
            act: vec![Var::ZERO; model.na],
            eq_active: model.eq_active0.iter().map(|&on| Mask::from(on)).collect(),
            time: Var::ZERO,
            active: vec![Bits::from(u32::MAX); Self::active_words(model)],
        }
    }

    /// How many integers [`State::active`] takes for a model.
    pub fn active_words(model: &Model) -> usize {
        constraint::capacity(model).div_ceil(32)
    }
}

/// Forces from outside the model, held over a substep.
#[derive(Clone, Debug)]
pub struct Applied {
    /// `[nbody]` Torque and force at each body's centre of mass, world axes (`xfrc_applied`, torque first).
    pub xfrc: Vec<Force>,
    /// `[nv]` Generalized forces (`qfrc_applied`).
    pub qfrc: Vec<Var>,
}

impl Applied {
    /// No forces: constants that fold away.
    pub fn none(model: &Model) -> Self {
        Self {
            xfrc: vec![Force::ZERO; model.nbody],
            qfrc: vec![Var::ZERO; model.nv],
        }
    }
}

impl Carry for Applied {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.xfrc.slots(visit);
        self.qfrc.slots(visit);
    }
}
