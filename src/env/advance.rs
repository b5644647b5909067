//! The physics of a control step: substeps under the action, through the task's controls and the actuators, then the task's
//! own update.

use super::step::{Action, Plan, Recipe};
use crate::rigid::{self, Forces, Health};
use crate::tasks::actuators;
use crate::tasks::{ContactForces, Ctrl, Episode, Past, World};
use crate::trace::{Bits, Carry, Mask, Slot, Var, repeat, stage, uniform, when};

/// What the last substep leaves behind, and what all of them add up to.
#[derive(Clone)]
struct Told {
    evaluated: rigid::State,
    /// Which equality constraints held before the task switched them in that substep.
    unswitched: Vec<Mask>,
    forces: Forces,
    contacts: ContactForces,
    health: Health,
    /// What actuator models remember.
    actuators: actuators::Memory,
    /// The controls that they gave.
    driven: Vec<Var>,
}

impl Told {
    /// Before the first substep.
    fn nothing(plan: &Plan, before: &Episode) -> Self {
        let (model, state) = (&plan.model, &before.physics);
        Self {
            actuators: before.actuators.clone(),
            driven: plan.drives.pick(&vec![Var::ZERO; model.nu]),
            evaluated: state.clone(),
            unswitched: state.eq_active.clone(),
            forces: Forces::none(model),
            contacts: ContactForces::none(model),
            health: Health::sound(),
        }
    }
}

impl Carry for Told {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.evaluated.slots(visit);
        self.unswitched.slots(visit);
        self.forces.slots(visit);
        self.contacts.slots(visit);
        self.health.slots(visit);
        self.actuators.slots(visit);
        self.driven.slots(visit);
    }
}

/// Where the substeps led.
pub(super) struct Advanced {
    pub episode: Episode,
    pub past: Past,
    pub health: Health,
}

impl Recipe<'_> {
    /// The episode with the draws of this control step.
    fn drawn(&self, before: &Episode) -> Episode {
        let randomization = &self.plan.spec.randomization();
        let mut episode = before.clone();
        let source = self.recording.source(episode.key, episode.step);
        let old = (before.draws.as_slice(), before.boundary);
        let drawn = randomization.step(&source, old, self.plan.spec.control_dt);
        randomization.disturb(&mut episode.physics, &drawn);
        episode.draws = drawn.draws;
        episode
    }

    /// Substeps under the action, then the task's own update.
    pub(super) fn advance(&self, before: &Episode, action: &Action) -> Advanced {
        let go = !(action.idle | action.broken);
        let before = &self.drawn(before);
        let recording = self.of(before);
        let model = &self.plan.model;
        let substeps = uniform("substeps");
        let substep = |(mut physics, mut told): (rigid::State, Told), index: Bits| {
            let mut inputs = self.actuate(before, &physics, action);
            told.unswitched = std::mem::replace(&mut physics.eq_active, inputs.eq_active.clone());
            let moment = actuators::Moment {
                recording: &recording,
                physics: &physics,
                key: before.key,
                step: before.step,
                substep: index,
                substeps,
            };
            let (fields, memory) = (&self.plan.fields.actuators, told.actuators);
            let drives = &self.plan.drives;
            told.actuators = drives.drive(moment, fields, &mut inputs.ctrl, memory);
            told.driven = drives.pick(&inputs.ctrl);
            let step = rigid::substep(
                model,
                &recording.physics,
                &physics,
                &inputs.ctrl,
                &inputs.applied,
            );
            told.contacts.add(model, &step.start);
            told.health = told.health.and(step.health);
            let is_last = (index + 1).eq(substeps);
            told.forces = when(is_last, told.forces, |_| step.forces(model));
            told.evaluated = step.evaluated;
            (step.state, told)
        };
        let (physics, told) = stage("physics", || {
            let start = (before.physics.clone(), Told::nothing(self.plan, before));
            repeat(substeps, start, |_| go, substep)
        });
        let Told {
            evaluated,
            unswitched,
            forces,
            contacts,
            health,
            actuators,
            driven,
        } = told;
        let asked = rigid::State {
            eq_active: unswitched,
            ..evaluated.clone()
        };
        let Ctrl {
            mut ctrl, applied, ..
        } = self.actuate(before, &asked, action);
        self.plan.drives.put(&driven, &mut ctrl);
        let past = Past {
            before: before.physics.clone(),
            evaluated,
            ctrl,
            applied,
            forces,
            contacts,
        };
        let mut after = Episode {
            physics,
            actuators,
            step: before.step + 1,
            ..before.clone()
        };
        let mut own = after.task.clone();
        stage("update", || {
            let world = World::new(&recording, &after, &past, &action.values);
            self.task.update(&world, &mut own);
        });
        after.task = own;
        Advanced {
            episode: after,
            past,
            health,
        }
    }

    /// What the task sends to the physics in one substep of the control step that began at `before`.
    fn actuate(&self, before: &Episode, physics: &rigid::State, action: &Action) -> Ctrl {
        stage("actuate", || {
            let now = Episode {
                physics: physics.clone(),
                ..before.clone()
            };
            let past = Past {
                before: before.physics.clone(),
                ..self.no_past(&now)
            };
            let recording = self.of(&now);
            let world = World::new(&recording, &now, &past, &action.values);
            let mut ctrl = Ctrl::new(&recording, physics);
            self.task.actuate(&world, &action.values, &mut ctrl);
            let randomization = self.plan.spec.randomization();
            randomization.push(&recording.physics, &mut ctrl.applied, &now.draws);
            ctrl
        })
    }
}
