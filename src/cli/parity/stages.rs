//! One kernel that computes every stage at a state, on the host in double and on the device in single precision.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::gpu::{Arenas, Context, Kernel, Recorder};
use crate::model::Model;
use crate::rigid::{self, Applied, Parameters, State, StateFields};
use crate::trace::{self, Bits, Field, Graph, HostMemory, Kind, Layout, Mask, select};

use super::contacts::{NUMBERS, Touch};

/// Numbers of a point: those of a contact, and the tangent of its frame.
const POINT: usize = NUMBERS + 3;

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
    /// 1 where an equality constraint holds.
    pub eq_active: Vec<u32>,
}

/// A stage's numbers in every state, `[state][component]`.
pub(super) type Numbers = Vec<Vec<f64>>;

/// What came out.
pub(super) struct Computed {
    /// Stages by MuJoCo's names.
    pub stages: Vec<(&'static str, Numbers)>,
    /// The contacts of every state.
    pub contacts: Vec<Vec<Touch>>,
    /// States whose constraint solver did not converge.
    pub unconverged: usize,
    /// States with more contacts between links than slots, and the most such contacts.
    pub crowded: Crowded,
}

/// States with more contacts between links than there are slots for: only the deepest push there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Crowded {
    pub states: usize,
    /// The most contacts at once.
    pub needed: u32,
}

impl Crowded {
    /// What to say of them, if there are some.
    pub(super) fn words(&self) -> Option<String> {
        let Self { states, needed } = self;
        (*states > 0).then(|| {
            format!(
                "in {states} states more contacts between links than slots, up to {needed}: only the deepest push \
                 (max_contact_points={needed} would hold them)"
            )
        })
    }
}

/// The recorded stages of a model, and where their numbers lie.
pub(super) struct Stages {
    graph: Graph,
    layout: Layout,
    state: StateFields,
    ctrl: Field,
    outputs: Vec<(&'static str, Field)>,
    /// The geoms of each point where some may touch.
    geoms: Vec<[usize; 2]>,
    /// `[point][POINT]`
    touches: Field,
    /// `[point]` 1 where they do touch.
    included: Field,
    /// Whether the solver converged; how many contacts between links there are, where that is too many.
    health: Field,
}

impl Stages {
    /// Records `mj_forward`'s stages.
    ///
    /// # Errors
    /// The model asks for something that the physics does not support.
    pub(super) fn record(model: &Model) -> Result<Self> {
        rigid::check(model)?;
        rigid::check_sensors(model)?;
        let mut layout = Layout::new();
        let floats = layout.buffer("floats", Kind::F32);
        let bits = layout.buffer("bits", Kind::U32);
        let state = StateFields::declare(model, &mut layout, floats, bits);
        let ctrl = layout.field(floats, "ctrl", model.nu);
        let xpos = layout.field(floats, "xpos", 3 * model.nbody);
        let xquat = layout.field(floats, "xquat", 4 * model.nbody);
        let qacc = layout.field(floats, "qacc", model.nv);
        let sensordata = layout.field(floats, "sensordata", model.nsensordata);
        let points = rigid::contact_count(model);
        let touches = layout.field(floats, "contacts", POINT * points);
        let included = layout.field(bits, "included", points);
        let health = layout.field(bits, "health", 2);
        let mut geoms = Vec::new();
        let graph = trace::record("forward", &layout, || {
            let (parameters, start) = (Parameters::constant(model), State::initial(model));
            let now = State {
                mocap_pos: start.mocap_pos,
                mocap_quat: start.mocap_quat,
                ..state.load()
            };
            let applied = Applied::none(model);
            let out = rigid::forward(model, &parameters, &now, &ctrl.load_all(), &applied);
            for body in 0..model.nbody {
                let at = &out.kinematics;
                let (pos, quat) = (at.xpos(body).to_array(), at.xquat[body].to_array());
                xpos.slice(3 * body, 3).store_all(&pos);
                xquat.slice(4 * body, 4).store_all(&quat);
            }
            qacc.store_all(&out.qacc);
            let sensed = rigid::sensordata(model, &parameters, &now, &applied, &out);
            sensordata.store_all(&sensed);
            geoms = rigid::each_spot(model, &parameters, &out.kinematics, |which, spot| {
                let axes = [spot.pos, spot.normal, spot.tangent].map(|axis| axis.to_array());
                let numbers = [&[spot.distance][..], axes.as_flattened()].concat();
                for (k, number) in numbers.into_iter().enumerate() {
                    touches.store_at(which * POINT as u32 + k as u32, number);
                }
                included.store_bits_at(which, flag(spot.included));
            });
            health.store_bits(0, flag(out.converged));
            health.store_bits(1, select(out.overflow, out.needed, Bits::ZERO));
        });
        Ok(Self {
            graph,
            layout,
            state,
            ctrl,
            outputs: vec![
                ("xpos", xpos),
                ("xquat", xquat),
                ("qacc", qacc),
                ("sensordata", sensordata),
            ],
            geoms,
            touches,
            included,
            health,
        })
    }

    /// The operations of the whole kernel.
    pub(super) fn operations(&self) -> usize {
        self.graph.operations().total
    }

    /// Every stage by MuJoCo's name, in double precision.
    pub(super) fn on_host(&self, inputs: &Inputs) -> Computed {
        let mut memory = HostMemory::<f64>::new(&self.layout, inputs.states);
        for (field, values) in self.inputs(inputs) {
            for (row, values) in values.chunks(inputs.states).enumerate() {
                for (world, value) in values.iter().enumerate() {
                    memory.set(field, row, world, *value);
                }
            }
        }
        for (field, bits) in self.flags(inputs) {
            for (row, bits) in bits.chunks(inputs.states).enumerate() {
                for (world, bits) in bits.iter().enumerate() {
                    memory.set_bits(field, row, world, *bits);
                }
            }
        }
        self.graph.interpret(&mut memory, &[], 0..inputs.states);
        let worlds = 0..inputs.states;
        let rows = |field| {
            worlds
                .clone()
                .map(|world| memory.row(field, world))
                .collect()
        };
        let flags = |field: Field, world| -> Vec<u32> {
            let bits = |component| memory.get_bits(field, component, world);
            (0..field.len()).map(bits).collect()
        };
        self.computed(
            rows,
            worlds
                .clone()
                .map(|world| flags(self.included, world))
                .collect(),
            worlds
                .clone()
                .map(|world| flags(self.health, world))
                .collect(),
        )
    }

    /// Every stage by MuJoCo's name, in single precision.
    pub(super) fn on_device(&self, context: &Context, inputs: &Inputs) -> Result<Computed> {
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
        for (field, bits) in self.flags(inputs) {
            if !field.is_empty() {
                arenas.write_field(field, worlds.clone(), &bits)?;
            }
        }
        let mut recorder = Recorder::new(context);
        recorder.run(&kernel, &arenas, worlds.clone(), &[])?;
        recorder.submit()?;
        let mut numbers = Vec::new();
        for field in self
            .outputs
            .iter()
            .map(|(_, field)| *field)
            .chain([self.touches])
        {
            let values: Vec<f32> = match field.is_empty() {
                true => Vec::new(),
                false => arenas.read_field(field, worlds.clone())?,
            };
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            numbers.push((field, by_state(&values, inputs.states)));
        }
        let rows = |field| {
            let found = numbers.iter().position(|(known, _)| *known == field);
            found.map_or(Vec::new(), |i| numbers[i].1.clone())
        };
        let flags = |field: Field| -> Result<Vec<Vec<u32>>> {
            let bits: Vec<u32> = match field.is_empty() {
                true => Vec::new(),
                false => arenas.read_field(field, worlds.clone())?,
            };
            Ok(by_state(&bits, inputs.states))
        };
        Ok(self.computed(rows, flags(self.included)?, flags(self.health)?))
    }

    /// Puts together what was read; `rows` gives a field's numbers, `included` and `health` are `[state][component]`.
    fn computed(
        &self,
        rows: impl Fn(Field) -> Numbers,
        included: Vec<Vec<u32>>,
        health: Vec<Vec<u32>>,
    ) -> Computed {
        let touches = rows(self.touches);
        let of_state = |(numbers, included): (&Vec<f64>, &Vec<u32>)| {
            let points = numbers.chunks_exact(POINT).zip(&self.geoms).zip(included);
            points
                .filter(|(_, included)| **included != 0)
                .map(|((numbers, geoms), _)| Touch::new(*geoms, numbers))
                .collect()
        };
        Computed {
            stages: self
                .outputs
                .iter()
                .map(|(name, field)| (*name, rows(*field)))
                .collect(),
            contacts: touches.iter().zip(&included).map(of_state).collect(),
            unconverged: health.iter().filter(|health| health[0] == 0).count(),
            crowded: Crowded {
                states: health.iter().filter(|health| health[1] > 0).count(),
                needed: health.iter().map(|health| health[1]).max().unwrap_or(0),
            },
        }
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

    /// Integers that the kernel reads, `[component][state]`: which equality constraints hold; and all rows of the others,
    /// for nothing is known of them.
    fn flags(&self, inputs: &Inputs) -> [(Field, Vec<u32>); 2] {
        let rows = vec![u32::MAX; self.state.active.len() * inputs.states];
        [
            (self.state.eq_active, inputs.eq_active.clone()),
            (self.state.active, rows),
        ]
    }
}

fn flag(mask: Mask) -> Bits {
    select(mask, Bits::from(1), Bits::ZERO)
}

/// `[component][state]` as `[state][component]`.
fn by_state<T: Copy>(values: &[T], states: usize) -> Vec<Vec<T>> {
    let of_state = |state: usize| values.iter().skip(state).step_by(states).copied().collect();
    (0..states).map(of_state).collect()
}
