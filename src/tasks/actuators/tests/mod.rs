//! Actuator models by themselves, in double precision: the bench on which they are tested.

mod network;
mod said;
mod stages;

use std::rc::Rc;

use super::*;
use crate::error::Result;
use crate::model::Model;
use crate::scene::mjcf;
use crate::tasks::{Params, Spec, Table};
use crate::trace::{self, HostMemory, Kind, uniform};

const MODEL: &str = r#"
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <body>
      <joint name="left_hip" axis="0 1 0"/><geom size="0.1" mass="1"/>
      <body pos="0.3 0 0">
        <joint name="left_knee" axis="0 1 0"/><geom size="0.1" mass="1"/>
        <body pos="0.3 0 0"><joint name="left_toe" type="ball"/><geom size="0.1" mass="1"/></body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="pull" joint="left_hip" gear="4" ctrllimited="true" ctrlrange="-2 2" forcelimited="true" forcerange="-9 9"/>
    <position name="bend" joint="left_knee" kp="50" ctrllimited="false"/>
    <motor name="twist" joint="left_toe" ctrllimited="false"/>
    <intvelocity name="slow" joint="left_knee" kp="3" actrange="-1 1"/>
  </actuator>
</mujoco>"#;

/// Physics steps in a control step.
const SUBSTEPS: u32 = 4;
const DT: f64 = 0.005;

fn model() -> Model {
    let scene = mjcf::parse("model.xml", MODEL, ".").unwrap();
    Model::compile(&scene).unwrap()
}

fn spec(toml: &str) -> Result<Spec> {
    let mut spec = Spec::new(SUBSTEPS as f64 * DT, 10).observe("policy", "nothing", 1);
    spec.configure(&toml.parse::<Table>().expect("the test's toml parses"))?;
    spec.finish(&model())
}

fn error(toml: &str) -> String {
    spec(toml).expect_err(toml).to_string()
}

/// Actuator models by themselves: positions and velocities are what the test says.
struct Bench {
    graph: trace::Graph,
    memory: HostMemory<f64>,
    io: [Field; 4],
    table: Field,
    params: Params,
    state: ActuatorFields,
    worlds: usize,
    /// Physics steps so far.
    count: u32,
    episode: u32,
}

impl Bench {
    fn new(worlds: usize, toml: &str) -> Self {
        let (mut model, spec) = (model(), Arc::new(spec(toml).unwrap()));
        let drives = Drives::new(&spec.actuators, spec.control_dt, &model).unwrap();
        drives.install(&mut model);
        let model = Arc::new(model);
        let params = spec.parameters();
        let mut layout = Layout::new();
        let parameters = layout.table("parameters", Kind::F32);
        let floats = layout.buffer("state", Kind::F32);
        let table = layout.field(parameters, "parameters", params.len().max(1));
        let state = drives.declare(&mut layout, floats, parameters);
        let io = [
            ("ctrl", model.nu),
            ("qpos", model.nq),
            ("qvel", model.nv),
            ("out", model.nu),
        ]
        .map(|(name, rows)| layout.field(floats, name, rows));
        let graph = trace::record("bench", &layout, || {
            let recording = Rc::new(Recording::new(&model, &spec, &params, table));
            let mut physics = State::initial(&model);
            physics.qpos = io[1].load_all();
            physics.qvel = io[2].load_all();
            let key = Key {
                seed: [Bits::from(7), Bits::ZERO],
                stream: trace::world(),
                episode: uniform("episode"),
            };
            let substeps = uniform("substeps");
            let count = uniform("count");
            let moment = Moment {
                recording: &recording,
                physics: &physics,
                key,
                step: count / substeps,
                substep: count % substeps,
                substeps,
            };
            let mut ctrl = io[0].load_all();
            let memory = drives.drive(moment, &state, &mut ctrl, state.load());
            state.store(&memory);
            io[3].store_all(&ctrl);
            assert!(recording.first_fault().is_none());
        });
        let mut memory = HostMemory::new(&layout, worlds);
        for (field, values) in state.weights.iter().zip(drives.weights()) {
            for (i, value) in values.iter().enumerate() {
                memory.set(*field, i, 0, *value);
            }
        }
        let mut bench = Self {
            graph,
            memory,
            io,
            table,
            params,
            state,
            worlds,
            count: 0,
            episode: 0,
        };
        bench.upload();
        bench
    }

    fn upload(&mut self) {
        for (i, value) in self.params.values().iter().enumerate() {
            self.memory.set(self.table, i, 0, *value);
        }
    }

    /// Changes a number while it runs.
    fn set(&mut self, key: &str, value: f64) {
        self.params.set(key, value).unwrap();
        self.upload();
    }

    /// Begins an episode.
    fn begin(&mut self) {
        (self.count, self.episode) = (0, self.episode + 1);
        for field in self.state.memory.clone() {
            for row in 0..field.len() {
                (0..self.worlds).for_each(|world| self.memory.set(field, row, world, 0.0));
            }
        }
    }

    /// A physics step with one command, position and velocity for all: the control of an actuator, by world.
    fn step(&mut self, [command, position, velocity]: [f64; 3], actuator: usize) -> Vec<f64> {
        for (field, value) in self.io.iter().zip([command, position, velocity]) {
            for row in 0..field.len() {
                (0..self.worlds).for_each(|world| self.memory.set(*field, row, world, value));
            }
        }
        let uniforms = [
            ("substeps", SUBSTEPS),
            ("count", self.count),
            ("episode", self.episode),
        ];
        self.graph
            .interpret(&mut self.memory, &uniforms, 0..self.worlds);
        self.count += 1;
        let out = self.io[3];
        (0..self.worlds)
            .map(|world| self.memory.get(out, actuator, world))
            .collect()
    }

    /// [`Bench::step`] at rest, in the first world.
    fn command(&mut self, command: f64, actuator: usize) -> f64 {
        self.step([command, 0.0, 0.0], actuator)[0]
    }
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{a} is not {b}");
}
