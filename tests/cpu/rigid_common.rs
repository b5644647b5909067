//! What the tests of `rigid` share: recording a substep for a model, running it in the host interpreters, and the
//! project's error measure.

use manyworlds::math::{Force, Vec3};
use manyworlds::model::{Integrator, Model};
use manyworlds::rigid::{self, Applied, Parameters, State, StateFields};
use manyworlds::scene::mjcf;
use manyworlds::trace::{self, Field, Graph, HostMemory, Kind, Layout, Real};
use serde_json::Value;

use crate::oracle;

/// A model of `tests/models/`.
pub(crate) fn model(name: &str) -> Model {
    let path = format!("{}/tests/models/{name}.xml", env!("CARGO_MANIFEST_DIR"));
    let scene = mjcf::load(path).expect("the model loads");
    Model::compile(&scene).expect("the model compiles")
}

/// Sets the integrator by the name that the oracle gives it.
pub(crate) fn with_integrator(model: &Model, name: &str) -> Model {
    let known = Integrator::KEYWORDS
        .iter()
        .find(|(keyword, _)| *keyword == name);
    let mut model = model.clone();
    model.opt.integrator = known.expect("an integrator").1;
    model
}

/// A recorded substep with its inputs and outputs in memory.
pub(crate) struct Recorded {
    pub(crate) graph: Graph,
    pub(crate) layout: Layout,
    pub(crate) state: StateFields,
    pub(crate) ctrl: Field,
    qfrc: Field,
    xfrc: Field,
    pub(crate) qacc: Field,
    pub(crate) xpos: Field,
    pub(crate) xquat: Field,
    pub(crate) converged: Field,
    pub(crate) iterations: Field,
    pub(crate) qfrc_constraint: Field,
    /// Per possible contact: detected (0 or 1), geoms, distance, position, frame, force.
    pub(crate) contacts: Field,
    pub(crate) ncon: Field,
    /// What the parameters are made of.
    pub(crate) draws: Field,
}

/// Numbers in a record of [`Recorded::contacts`].
pub(crate) const CONTACT: usize = 22;

/// Records a substep of a model with constant parameters that also writes the start's accelerations and frames.
pub(crate) fn record(model: &Model) -> Recorded {
    record_with(model, 0, |_| Parameters::constant(model))
}

/// [`record`] with parameters that differ between worlds: `parameters` gets a field for what they are made of.
pub(crate) fn record_with(
    model: &Model,
    draws: usize,
    parameters: impl Fn(Field) -> Parameters,
) -> Recorded {
    rigid::check(model).expect("a model of these tests is supported");
    let mut layout = Layout::new();
    let floats = layout.buffer("floats", Kind::F32);
    let integers = layout.buffer("integers", Kind::U32);
    let state = StateFields::declare(model, &mut layout, floats, integers);
    let mut field = |name: &str, components: usize| layout.field(floats, name, components);
    let ctrl = field("ctrl", model.nu);
    let qfrc = field("qfrc_applied", model.nv);
    let xfrc = field("xfrc_applied", 6 * model.nbody);
    let qacc = field("qacc", model.nv);
    let xpos = field("xpos", 3 * model.nbody);
    let xquat = field("xquat", 4 * model.nbody);
    let qfrc_constraint = field("qfrc_constraint", model.nv);
    let contacts = field("contacts", CONTACT * rigid::contact_count(model));
    let draws = field("draws", draws);
    let converged = layout.field(integers, "converged", 1);
    let iterations = layout.field(integers, "iterations", 1);
    let ncon = layout.field(integers, "ncon", 1);
    let graph = trace::record("substep", &layout, || {
        let wrench = |body: usize| {
            let numbers = xfrc.slice(6 * body, 6).load_all();
            Force::new(Vec3::from_slice(&numbers[3..]), Vec3::from_slice(&numbers))
        };
        let xfrc = (0..model.nbody).map(wrench).collect();
        let applied = Applied {
            xfrc,
            qfrc: qfrc.load_all(),
        };
        let parameters = parameters(draws);
        let out = rigid::substep(
            model,
            &parameters,
            &State {
                // As the model says, whatever is in memory.
                eq_active: State::initial(model).eq_active,
                ..state.load()
            },
            &ctrl.load_all(),
            &applied,
        );
        state.store(&out.state);
        qacc.store_all(&out.start.qacc);
        for body in 0..model.nbody {
            let at = &out.start.kinematics;
            xpos.slice(3 * body, 3).store_all(&at.xpos(body).to_array());
            xquat
                .slice(4 * body, 4)
                .store_all(&at.xquat[body].to_array());
        }
        let flag = trace::select(out.start.converged, trace::Bits::from(1), trace::Bits::ZERO);
        converged.store_bits(0, flag);
        iterations.store_bits(0, out.start.iterations);
        qfrc_constraint.store_all(&out.start.qfrc_constraint);
        ncon.store_bits(0, out.start.ncon());
        for (k, contact) in out.start.contacts().iter().enumerate() {
            let mut record = vec![trace::select(
                contact.detected,
                trace::Var::ONE,
                trace::Var::ZERO,
            )];
            record.extend(contact.geoms.map(|geom| trace::Var::from(geom as f64)));
            record.push(contact.distance);
            record.extend(contact.pos.to_array());
            record.extend(contact.frame.iter().flat_map(|axis| axis.to_array()));
            record.extend(contact.force);
            contacts.slice(CONTACT * k, CONTACT).store_all(&record);
        }
    });
    Recorded {
        graph,
        layout,
        state,
        ctrl,
        qfrc,
        xfrc,
        qacc,
        xpos,
        xquat,
        converged,
        iterations,
        qfrc_constraint,
        contacts,
        ncon,
        draws,
    }
}

impl Recorded {
    /// Takes one step from each of the oracle's states.
    pub(crate) fn run<R: Real>(&self, reference: &Value) -> HostMemory<R> {
        let inputs = [
            ("qpos", self.state.qpos),
            ("qvel", self.state.qvel),
            ("act", self.state.act),
            ("ctrl", self.ctrl),
            ("qfrc", self.qfrc),
            ("xfrc", self.xfrc),
        ];
        run(
            &self.graph,
            &self.layout,
            (&inputs, self.state.active),
            reference,
        )
    }

    /// Every solve must have ended.
    pub(crate) fn assert_converged<R: Real>(&self, memory: &HostMemory<R>) {
        let all = 0..memory.worlds();
        let unconverged = all.filter(|&world| memory.get_bits(self.converged, 0, world) == 0);
        assert_eq!(unconverged.count(), 0, "every solve ends");
    }

    /// The outputs with the names that the oracle gives them.
    pub(crate) fn outputs(&self) -> [(&'static str, Field); 6] {
        [
            ("next_qpos", self.state.qpos),
            ("next_qvel", self.state.qvel),
            ("next_act", self.state.act),
            ("qacc", self.qacc),
            ("xpos", self.xpos),
            ("xquat", self.xquat),
        ]
    }
}

/// The project's bounds in single precision: of the median and the 99th percentile.
pub(crate) const SINGLE: [f64; 2] = [2e-5, 1e-3];

/// Interprets a graph in each of the oracle's states, `inputs` by its names; the solver starts from all rows (`active`).
pub(crate) fn run<R: Real>(
    graph: &Graph,
    layout: &Layout,
    (inputs, active): (&[(&str, Field)], Field),
    reference: &Value,
) -> HostMemory<R> {
    let worlds = reference["qpos"].as_array().expect("states").len();
    let mut memory = HostMemory::<R>::new(layout, worlds);
    for &(name, field) in inputs {
        for world in 0..worlds {
            let values = oracle::floats(&reference[name][world]);
            assert_eq!(values.len(), field.len(), "{name}");
            for (component, value) in values.into_iter().enumerate() {
                memory.set(field, component, world, value);
            }
        }
    }
    for world in 0..worlds {
        (0..active.len()).for_each(|word| memory.set_bits(active, word, world, u32::MAX));
    }
    graph.interpret(&mut memory, &[], 0..worlds);
    memory
}

/// The errors of an output by state: `|Δ|∞ / max(1, |reference|∞)`.
pub(crate) struct Errors {
    /// The model, the output and the like.
    what: String,
    by_state: Vec<f64>,
}

impl Errors {
    /// Those of a field against the oracle's `[state][component]`.
    pub(crate) fn new<R: Real>(
        what: String,
        memory: &HostMemory<R>,
        field: Field,
        reference: &Value,
    ) -> Self {
        let of_state = |world: usize| {
            let expected = oracle::floats(&reference[world]);
            let found = memory.row(field, world);
            assert_eq!(expected.len(), found.len(), "{what}");
            let scale = expected
                .iter()
                .fold(1.0, |scale: f64, x| scale.max(x.abs()));
            let differences = expected.iter().zip(&found).map(|(a, b)| (a - b).abs());
            // NaN must not pass: `max` would drop it.
            differences.fold(0.0, |worst: f64, d| {
                if d.is_nan() {
                    f64::INFINITY
                } else {
                    worst.max(d)
                }
            }) / scale
        };
        let by_state = (0..memory.worlds()).map(of_state).collect();
        Self { what, by_state }
    }

    /// In double precision all states count.
    pub(crate) fn assert_double(&self, limit: f64) {
        let worst = self.by_state.iter().copied().enumerate();
        let (state, worst) = worst.max_by(|a, b| a.1.total_cmp(&b.1)).expect("states");
        let what = &self.what;
        println!("{what}: {worst:e} in double precision");
        assert!(
            worst < limit,
            "{what}: error {worst:e} in double precision, in state {state}"
        );
    }

    /// In single precision the median and the 99th percentile count, since ill-conditioned states are rare.
    pub(crate) fn assert_single(&self, [usual, seldom]: [f64; 2]) {
        let mut sorted = self.by_state.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part) as usize];
        let [median, rare, worst] = [0.5, 0.99, 1.0].map(at);
        let what = format!(
            "{}: median {median:.1e}, 99 % {rare:.1e}, worst {worst:.1e} in single precision",
            self.what
        );
        println!("{what}");
        assert!(median < usual && rare < seldom, "{what}");
    }
}

/// The errors of a field by state, see [`Errors`].
pub(crate) fn errors<R: Real>(memory: &HostMemory<R>, field: Field, reference: &Value) -> Vec<f64> {
    Errors::new(String::new(), memory, field, reference).by_state
}

/// Compares outputs with the oracle's, by its names, in double precision up to `limit` and in single up to `bounds`.
pub(crate) fn compare(
    what: &str,
    outputs: &[(&str, Field)],
    (double, limit): (&HostMemory<f64>, f64),
    (single, bounds): (&HostMemory<f32>, [f64; 2]),
    reference: &Value,
) {
    for &(name, field) in outputs {
        let what = format!("{what} {name}");
        Errors::new(what.clone(), double, field, &reference[name]).assert_double(limit);
        Errors::new(what, single, field, &reference[name]).assert_single(bounds);
    }
}
