//! One kernel that computes every stage at a state, on the host in double and on the device in single precision.

use crate::error::Result;
use crate::gpu::{Arenas, Context, Kernel, Recorder};
use crate::model::Model;
use crate::rigid::{self, Applied, Parameters, StateFields};
use crate::trace::{self, Field, Graph, HostMemory, Kind, Layout};

/// The states in which stages are computed, `[component][world]`.
pub(super) struct Inputs {
    /// How many.
    pub states: usize,
    /// s
    pub time: Vec<f64>,
    pub qpos: Vec<f64>,
    pub qvel: Vec<f64>,
    pub act: Vec<f64>,
    pub ctrl: Vec<f64>,
}

/// A stage's numbers in every state, `[state][component]`.
pub(super) type Numbers = Vec<Vec<f64>>;

/// The recorded stages of a model, and where their numbers lie.
pub(super) struct Stages {
    graph: Graph,
    layout: Layout,
    state: StateFields,
    ctrl: Field,
    outputs: Vec<(&'static str, Field)>,
}

impl Stages {
    /// Records `mj_forward`'s stages.
    ///
    /// # Errors
    /// The model asks for something that the physics does not support.
    pub(super) fn record(model: &Model) -> Result<Self> {
        rigid::check(model)?;
        let mut layout = Layout::new();
        let floats = layout.buffer("floats", Kind::F32);
        let bits = layout.buffer("bits", Kind::U32);
        let state = StateFields::declare(model, &mut layout, floats, bits);
        let ctrl = layout.field(floats, "ctrl", model.nu);
        let xpos = layout.field(floats, "xpos", 3 * model.nbody);
        let xquat = layout.field(floats, "xquat", 4 * model.nbody);
        let qacc = layout.field(floats, "qacc", model.nv);
        let graph = trace::record("forward", &layout, || {
            let out = rigid::forward(
                model,
                &Parameters::constant(model),
                &state.load(),
                &ctrl.load_all(),
                &Applied::none(model),
            );
            for body in 0..model.nbody {
                let at = &out.kinematics;
                let (pos, quat) = (at.xpos(body).to_array(), at.xquat[body].to_array());
                xpos.slice(3 * body, 3).store_all(&pos);
                xquat.slice(4 * body, 4).store_all(&quat);
            }
            qacc.store_all(&out.qacc);
        });
        Ok(Self {
            graph,
            layout,
            state,
            ctrl,
            outputs: vec![("xpos", xpos), ("xquat", xquat), ("qacc", qacc)],
        })
    }

    /// The operations of the whole kernel.
    pub(super) fn operations(&self) -> usize {
        self.graph.operations().total
    }

    /// Every stage by MuJoCo's name, in double precision.
    pub(super) fn on_host(&self, inputs: &Inputs) -> Vec<(&'static str, Numbers)> {
        let mut memory = HostMemory::<f64>::new(&self.layout, inputs.states);
        for (field, values) in self.inputs(inputs) {
            for (row, values) in values.chunks(inputs.states).enumerate() {
                for (world, value) in values.iter().enumerate() {
                    memory.set(field, row, world, *value);
                }
            }
        }
        for word in 0..self.state.active.len() {
            (0..inputs.states)
                .for_each(|world| memory.set_bits(self.state.active, word, world, u32::MAX));
        }
        self.graph.interpret(&mut memory, &[], 0..inputs.states);
        let rows = |field| {
            (0..inputs.states)
                .map(|world| memory.row(field, world))
                .collect()
        };
        self.outputs
            .iter()
            .map(|(name, field)| (*name, rows(*field)))
            .collect()
    }

    /// Every stage by MuJoCo's name, in single precision.
    pub(super) fn on_device(
        &self,
        context: &Context,
        inputs: &Inputs,
    ) -> Result<Vec<(&'static str, Numbers)>> {
        let worlds = 0..inputs.states as u32;
        let arenas = Arenas::new(context, &self.layout, worlds.end, context)?;
        // A number that no kernel writes must not pass for one that it computed.
        arenas.poison()?;
        let kernel = Kernel::from_graph(context, &self.graph)?;
        for (field, values) in self.inputs(inputs) {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            if !field.is_empty() {
                arenas.write_field(field, worlds.clone(), &values)?;
            }
        }
        let active = self.state.active;
        if !active.is_empty() {
            let all = vec![u32::MAX; active.len() * inputs.states];
            arenas.write_field(active, worlds.clone(), &all)?;
        }
        let mut recorder = Recorder::new(context);
        recorder.run(&kernel, &arenas, worlds.clone(), &[])?;
        recorder.submit()?;
        let mut out = Vec::new();
        for (name, field) in &self.outputs {
            let values: Vec<f32> = match field.is_empty() {
                true => Vec::new(),
                false => arenas.read_field(*field, worlds.clone())?,
            };
            let row = |world: usize| {
                let components = values.iter().skip(world).step_by(inputs.states);
                components.map(|value| f64::from(*value)).collect()
            };
            out.push((*name, (0..inputs.states).map(row).collect()));
        }
        Ok(out)
    }

    fn inputs<'i>(&self, inputs: &'i Inputs) -> [(Field, &'i [f64]); 5] {
        [
            (self.state.time, &inputs.time),
            (self.state.qpos, &inputs.qpos),
            (self.state.qvel, &inputs.qvel),
            (self.state.act, &inputs.act),
            (self.ctrl, &inputs.ctrl),
        ]
    }
}
