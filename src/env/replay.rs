//! Steps a bad world again: the same kernel from the same inputs, compared bit for bit; and a look inside.
//!
//! A quarantined world stays where it was, so the numbers that were not finite are nowhere to be seen afterwards. The
//! probe is the control step up to its terms, recorded once more without the judgement, and run on the host.

use super::VecEnv;
use super::bad_world::{BadWorld, Origin, Values};
use super::fields::Fields;
use super::machine::{Machine, Precision, Target};
use super::sound::MAX_SOUND;
use crate::error::{Error, Result};
use crate::tasks::{Cause, Episode, Spec};
use crate::trace::{Field, Kind, Layout, Var};

/// What stepping a bad world again came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// What went wrong this time.
    pub causes: Vec<Cause>,
    /// Numbers that were compared: every field but the statistics.
    pub compared: usize,
    /// Those that are not the same, bit for bit.
    pub differences: Vec<Difference>,
}

/// A number that came out otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The field.
    pub field: String,
    /// Which of its components.
    pub component: usize,
    /// What was dumped.
    pub there: f64,
    /// What came out here.
    pub here: f64,
}

/// Where a bad world's numbers stopped being sound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnosis {
    /// Unsound numbers that the step began with.
    pub inputs: Vec<Finding>,
    /// The first physics step, from 1, after which the state is unsound; none where it never is.
    pub substep: Option<u32>,
    /// Unsound numbers in the state, the task's own quantities, the reward terms and the observations that the step came
    /// to.
    pub outputs: Vec<Finding>,
}

/// A number that is not finite, or is beyond its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// A field's name, `reward.TERM` or `observation.GROUP.TERM`.
    pub what: String,
    /// Which of its components.
    pub component: usize,
    /// The number.
    pub value: f64,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}] = {:e}", self.what, self.component, self.value)
    }
}

impl VecEnv {
    /// Steps a bad world again, in every world of this environment, and compares the first with what was dumped.
    ///
    /// # Errors
    /// The environment's kernel is not the one that stepped the bad world (the error says what differs), or the device
    /// failed.
    pub fn replay(&mut self, bad: &BadWorld) -> Result<Replay> {
        let here = Origin::of(self, 0, String::new());
        if here.wgsl != bad.origin.wgsl {
            let mut found = vec![format!(
                "WGSL {} there, {} here",
                bad.origin.wgsl, here.wgsl
            )];
            found.extend(bad.origin.differences(&here));
            return Err(Error::invalid(format!(
                "the control step of `{}` is not the one that was dumped: {}",
                here.task,
                found.join("; ")
            ))
            .hint(match found.len() {
                1 => "the task's code changed since, or its options".to_owned(),
                _ => format!(
                    "replay it with version {} and the same task",
                    bad.origin.version
                ),
            }));
        }
        for (key, value) in &bad.parameters {
            self.params.set(key, *value)?;
        }
        for (name, values) in &bad.before {
            let field = self.fitting(name, values)?;
            self.put(field, values)?;
        }
        self.step_in_place()?;
        let mut replay = Replay {
            causes: Vec::new(),
            compared: 0,
            differences: Vec::new(),
        };
        for (name, there) in &bad.after {
            let field = self.fitting(name, there)?;
            let here = self.values_of_first(field)?;
            replay.compare(name, there, &here);
            if let (true, Values::Bits(bits)) = (name == "status", &here) {
                replay.causes = Cause::of(bits.first().copied().unwrap_or(0));
            }
        }
        Ok(replay)
    }

    /// Looks for the numbers that made a bad world bad: on the host, with the device's operations (`f64` where the world
    /// was stepped in `f64`).
    ///
    /// # Errors
    /// The bad world is of another environment.
    pub fn diagnose(&self, bad: &BadWorld) -> Result<Diagnosis> {
        let precision = match bad.origin.target.as_str() {
            "host f64" => Precision::Double,
            _ => Precision::Single,
        };
        let fields = ProbeFields::new(&self.layout, &self.plan().fields, &self.plan().spec);
        let mut machine = Machine::new(Target::Host(precision), &fields.layout, 1)?;
        let probe = machine.kernel(self.plan().probe(&*self.task, &self.params, &fields)?)?;
        let table: Vec<f64> = bad.parameters.iter().map(|(_, value)| *value).collect();
        if !table.is_empty() {
            machine.write_table(self.fields.parameters, &table)?;
        }
        let plan = self.plan();
        let table = plan.variation.table(plan.spec.variants.names.len());
        if !table.is_empty() {
            machine.write_table(plan.fields.variants, &table)?;
        }
        let mut diagnosis = Diagnosis::default();
        for (name, values) in &bad.before {
            let field = self.fitting(name, values)?;
            if let Values::Bits(bits) = values {
                machine.write_bits(field, bits)?;
                continue;
            }
            machine.write_exact(field, &values.to_f64())?;
            let carried = self.fields.physics.time.buffer;
            if field.buffer == carried || field == self.fields.action {
                diagnosis.inputs.extend(unsound(name, &values.to_f64()));
            }
        }
        let state = |machine: &Machine| -> Result<Vec<Finding>> {
            let mut found = Vec::new();
            for (name, field) in &fields.state {
                found.extend(unsound(name, &machine.read_exact(*field)?));
            }
            Ok(found)
        };
        // The probe only reads the world, so that it can be run for one physics step, for two, and so on.
        for substeps in 1..=bad.origin.substeps {
            machine.run(probe, &[("substeps", substeps)])?;
            if !state(&machine)?.is_empty() {
                diagnosis.substep = Some(substeps);
                break;
            }
        }
        diagnosis.outputs = state(&machine)?;
        for (name, field) in &fields.told {
            let found = unsound(name, &machine.read_exact(*field)?);
            diagnosis.outputs.extend(found);
        }
        Ok(diagnosis)
    }

    /// The field of that name, if the values fit it.
    fn fitting(&self, name: &str, values: &Values) -> Result<Field> {
        let kind = match values {
            Values::Bits(_) => Kind::U32,
            _ => Kind::F32,
        };
        let field = self.field(name, kind)?;
        if field.len() != values.len() {
            return Err(Error::invalid(format!(
                "field `{name}` has {} components, the dump {}",
                field.len(),
                values.len()
            )));
        }
        Ok(field)
    }
}

impl Replay {
    fn compare(&mut self, name: &str, there: &Values, here: &Values) {
        // A dump of the other precision differs by rounding at least: then in the numbers.
        let alike = std::mem::discriminant(there) == std::mem::discriminant(here);
        let (a, b) = (there.to_f64(), here.to_f64());
        let patterns = there.patterns().into_iter().zip(here.patterns());
        for (component, (x, y)) in patterns.enumerate() {
            let same = if alike {
                x == y
            } else {
                a[component] == b[component]
            };
            self.compared += 1;
            if !same {
                self.differences.push(Difference {
                    field: name.to_owned(),
                    component,
                    there: a[component],
                    here: b[component],
                });
            }
        }
    }
}

/// Where the probe writes: names as in a [`Finding`].
pub(super) struct ProbeFields {
    /// The environment's layout, and a buffer for these.
    pub layout: Layout,
    /// The state that the physics came to.
    state: Vec<(String, Field)>,
    /// What the task makes of it: own quantities and histories, reward terms, observation terms, in this order.
    told: Vec<(String, Field)>,
}

impl ProbeFields {
    fn new(layout: &Layout, fields: &Fields, spec: &Spec) -> Self {
        let mut layout = layout.clone();
        let buffer = layout.buffer("probe", Kind::F32);
        let mut add = |name: String, components: usize| {
            let field = layout.field(buffer, &format!("probe.{name}"), components);
            (name, field)
        };
        let physics = &fields.physics;
        let state: Vec<_> = [
            ("qpos", physics.qpos),
            ("qvel", physics.qvel),
            ("act", physics.act),
            ("time", physics.time),
        ]
        .map(|(name, field)| add(name.into(), field.len()))
        .into();
        let own = spec
            .own
            .iter()
            .map(|own| (format!("own.{}", own.name), own.dim));
        let histories = (spec.histories.iter())
            .map(|entry| (format!("history.{}", entry.name), entry.dim * entry.length));
        let rewards = (spec.rewards.iter()).map(|term| (format!("reward.{}", term.name), 1));
        let observations = spec.groups.iter().flat_map(|group| {
            let name = |term: &str| format!("observation.{}.{term}", group.name);
            group
                .terms
                .iter()
                .map(move |term| (name(&term.name), term.dim))
        });
        let told = own.chain(histories).chain(rewards).chain(observations);
        let told = told
            .map(|(name, components)| add(name, components))
            .collect();
        Self {
            state,
            told,
            layout,
        }
    }

    /// Writes what a control step came to; `groups` are the observations.
    pub(super) fn store(&self, episode: &Episode, rewards: &[Var], groups: &[Vec<Var>]) {
        let physics = &episode.physics;
        let state = [
            &physics.qpos,
            &physics.qvel,
            &physics.act,
            &vec![physics.time],
        ];
        for ((_, field), values) in self.state.iter().zip(state) {
            field.store_all(values);
        }
        let own = episode.task.own.iter().flatten();
        let histories = episode.task.histories.iter().flatten().flatten();
        let told = own.chain(histories).chain(rewards);
        let mut told = told.chain(groups.iter().flatten());
        for (_, field) in &self.told {
            field.store_all(&told.by_ref().take(field.len()).copied().collect::<Vec<_>>());
        }
    }
}

/// The numbers that are not finite, or beyond what a world may hold.
fn unsound(name: &str, values: &[f64]) -> Vec<Finding> {
    let sound = |value: f64| value.abs() <= f64::from(MAX_SOUND);
    let found = values
        .iter()
        .enumerate()
        .filter(|(_, value)| !sound(**value));
    found
        .map(|(component, value)| Finding {
            what: name.to_owned(),
            component,
            value: *value,
        })
        .collect()
}
