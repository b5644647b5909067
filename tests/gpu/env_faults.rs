//! Faults injected everywhere: numbers that are not finite or far too large, written into what random worlds carry, at
//! random steps, beside a run without them. What must hold, after every step:
//!
//! - no unsound number (not finite, or above 1e10) is given out, in any world: observations, successors, rewards, ends;
//! - none is left in what a world carries to its next step;
//! - a fault in anything that the step reads of the world is reported in that step: status, `truncated`, `valid` = 0, and
//!   the next episode has begun;
//! - worlds without a fault are as in the other run, bit for bit;
//! - when statistics are read they are finite, and count what was reported.
//!
//! Not reported are an action of the past that the task does not look at, and sums of past episodes, which are left out
//! when they are read.

use std::collections::{BTreeMap, BTreeSet};

use manyworlds::env::{Autoreset, Builder, Target, VecEnv};
use manyworlds::tasks::{Cause, Stats};
use manyworlds::trace::Kind;

use crate::env_support::{actions, bits, builtin, counting, everywhere, on_device};

const VALUES: [f32; 7] = [
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    1.1e10,
    -1e30,
    f32::MAX,
    f32::MIN,
];
/// Worlds of a run, and its steps; each has this many faults.
const WORLDS: usize = 70;
const STEPS: u32 = 25;
const FAULTS: usize = 2;

/// Repeatable choices.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        // Knuth's MMIX multiplier and increment; the high bits are the good ones.
        self.0 = (self.0.wrapping_mul(6_364_136_223_846_793_005))
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % sides
    }
}

/// Where a fault can be put.
struct Place {
    field: String,
    width: usize,
    /// Whether the step must report it.
    reported: bool,
}

/// Everything that a world's control step reads, floats all of them.
fn places(env: &VecEnv) -> Vec<Place> {
    let layout = env.step_graph().layout().clone();
    let state = layout.find("qpos").unwrap().buffer;
    let fields = layout.fields().iter().filter(|(name, field)| {
        let read = field.buffer == state || name.starts_with("statistics.") || name == "action";
        read && field.kind == Kind::F32 && field.per_world && !field.is_empty()
    });
    fields
        .map(|(name, field)| {
            let lost = ["statistics.", "last_action"];
            Place {
                field: name.clone(),
                width: field.len(),
                reported: !lost.iter().any(|prefix| name.starts_with(prefix)),
            }
        })
        .collect()
}

/// The fields of what worlds carry, and of what they give out.
fn looked_at(env: &VecEnv) -> Vec<String> {
    let layout = env.step_graph().layout().clone();
    let [state, io] = ["qpos", "reward"].map(|name| layout.find(name).unwrap().buffer);
    let fields = layout.fields().iter().filter(|(name, field)| {
        // Actions are the caller's, and the last one is kept only where the task looks at it.
        let ours = name != "action" && name != "last_action";
        ours && (field.buffer == state || field.buffer == io) && !field.is_empty()
    });
    fields.map(|(name, _)| name.clone()).collect()
}

/// One run beside its twin.
struct Run<'a> {
    sound: &'a mut VecEnv,
    faulty: &'a mut VecEnv,
    dice: Dice,
    /// Worlds that had a fault.
    touched: BTreeSet<usize>,
    /// Worlds, fields and components of the statistics that are not finite.
    unreadable: BTreeSet<(usize, String, usize)>,
    reported: u32,
    faults: usize,
}

impl Run<'_> {
    fn go(&mut self, seed: u64) {
        self.sound.reset(Some(seed)).unwrap();
        self.faulty.reset(Some(seed)).unwrap();
        for env in [&mut *self.sound, &mut *self.faulty] {
            env.drain_stats().unwrap();
            // What the run before left for the learner to read.
            for last in ["final_return", "final_length"] {
                env.set(last, None, &[0.0; WORLDS]).unwrap();
            }
        }
        let places = places(self.faulty);
        let width = self.faulty.action_spec().len();
        for step in 0..STEPS {
            let good = actions(0..WORLDS as u32, step, width);
            let mut bad = good.clone();
            let mut expected = BTreeMap::new();
            let mut here = BTreeSet::new();
            for _ in 0..FAULTS {
                let place = &places[self.dice.roll(places.len())];
                let world = self.dice.roll(WORLDS);
                if here.insert(world) && self.inject(place, world, &mut bad) {
                    expected.insert(world, place.field.clone());
                }
            }
            self.touched.extend(here);
            self.sound.step(&good).unwrap();
            self.faulty.step(&bad).unwrap();
            self.check(step, &expected);
        }
        let stats = self.faulty.drain_stats().unwrap();
        self.account(&stats);
    }

    /// Puts a fault into one number; whether the step must report it.
    fn inject(&mut self, place: &Place, world: usize, actions: &mut [f32]) -> bool {
        let value = VALUES[self.dice.roll(VALUES.len())];
        let component = self.dice.roll(place.width);
        self.faults += 1;
        if place.field == "action" {
            actions[world * place.width + component] = value;
            return true;
        }
        let mut values = self.faulty.get(&place.field).unwrap();
        values[world * place.width + component] = value;
        self.faulty.set(&place.field, None, &values).unwrap();
        if place.field.starts_with("statistics.") {
            let number = (world, place.field.clone(), component);
            match value.is_finite() {
                true => self.unreadable.remove(&number),
                false => self.unreadable.insert(number),
            };
        }
        place.reported
    }

    fn check(&mut self, step: u32, expected: &BTreeMap<usize, String>) {
        let autoreset = self.faulty.autoreset();
        let status = self.faulty.last_step().info.status().unwrap();
        let seen = self.faulty.last_step().read().unwrap();
        for (world, status) in status.iter().enumerate() {
            let quarantined = Cause::of(*status).iter().any(|cause| cause.quarantines());
            self.reported += u32::from(quarantined);
            if quarantined {
                assert!(self.touched.contains(&world), "world {world} for nothing");
                assert!(seen.truncated[world] && !seen.valid[world]);
                assert_eq!(seen.reward[world], 0.0);
            } else if let Some(field) = expected.get(&world) {
                // Where the episode was over already, nothing was stepped.
                let idle = autoreset != Autoreset::SameStep && !seen.valid[world];
                assert!(
                    idle,
                    "step {step}: a fault in {field} of world {world} is not reported"
                );
            }
        }
        for field in looked_at(self.faulty) {
            let [sound, faulty] = [&*self.sound, self.faulty].map(|env| env.get(&field).unwrap());
            let width = faulty.len() / WORLDS;
            for world in 0..WORLDS {
                let own = world * width..(world + 1) * width;
                if !self.touched.contains(&world) {
                    let same = bits(&sound[own.clone()]) == bits(&faulty[own.clone()]);
                    assert!(same, "step {step}: {field} of world {world} noticed");
                }
                // A world that waits for its reset stays as it was found.
                let given = [
                    "obs.",
                    "next_obs.",
                    "reward",
                    "terminated",
                    "truncated",
                    "valid",
                ];
                let given = given.iter().any(|prefix| field.starts_with(prefix));
                if given || autoreset == Autoreset::SameStep {
                    let found = &faulty[own];
                    let sound = found.iter().all(|value| value.abs() <= 1e10);
                    assert!(sound, "step {step}: {field} of world {world} is {found:?}");
                }
            }
        }
    }

    fn account(&mut self, stats: &Stats) {
        let counted: u32 = stats.quarantines.iter().map(|found| found.count).sum();
        assert_eq!(counted, self.reported);
        let named = stats.quarantines.iter().map(|found| found.world);
        assert!(BTreeSet::from_iter(named).is_subset(&self.touched));
        let lost = stats
            .warnings
            .iter()
            .find(|found| found.cause == Cause::Statistics);
        let unreadable = self.unreadable.iter().map(|(world, ..)| *world);
        let unreadable = BTreeSet::from_iter(unreadable).len();
        assert_eq!(lost.map_or(0, |found| found.worlds), unreadable);
        let means = [stats.mean_return, stats.std_return, stats.mean_length];
        assert!(
            means
                .iter()
                .chain(stats.terms.iter().map(|(_, mean)| mean))
                .all(|x| x.is_finite())
        );
    }
}

/// Puts at least `faults` faults into a task's worlds.
fn faults(faults: usize, target: Target<'_>, builder: impl Fn() -> Builder) {
    let build = || {
        let builder = builder().worlds(WORLDS);
        builder
            .build_on(target)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let (mut sound, mut faulty) = (build(), build());
    let mut done = 0;
    for seed in 0.. {
        let mut run = Run {
            sound: &mut sound,
            faulty: &mut faulty,
            dice: Dice(seed),
            touched: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            reported: 0,
            faults: 0,
        };
        run.go(seed);
        done += run.faults;
        if done >= faults {
            return;
        }
    }
}

/// Own quantities, a history, a command that changes, short episodes; draws of the randomization, and a sensor that keeps
/// everything that sensors can keep.
const COUNTING: &str = r#"
max_episode_steps = 8
start = 0.5
[observation.policy.position]
delay = 0.03
gain = 0.01
bias = 0.01
drift = 0.01
relative_noise = 0.1
dropout = 0.1
freeze_rate = 0.2
freeze_time = 0.1
[command.target]
low = [0.0]
high = [1.0]
interval = 0.06
[randomize.mass]
field = "body_mass"
names = "mass"
scale.uniform = [0.5, 1.5]
timing = "startup"
[randomize.damping]
field = "dof_damping"
names = "rail"
add.uniform = [0.0, 1.0]
"#;

#[test]
fn faults_stay_in_their_world_and_are_reported() {
    everywhere(|target| {
        for mode in [
            Autoreset::SameStep,
            Autoreset::NextStep,
            Autoreset::Disabled,
        ] {
            faults(200, target, || counting(COUNTING).autoreset(mode));
        }
    });
}

#[test]
fn faults_in_real_tasks_stay_in_their_world_and_are_reported() {
    on_device(|context| {
        let target = Target::Gpu(context);
        faults(250, target, || builtin("cartpole"));
        faults(250, target, || {
            builtin("cartpole_swingup").autoreset(Autoreset::NextStep)
        });
        faults(250, target, || builtin("hopper"));
        faults(100, target, || builtin("ant"));
    });
}

/// A draw that is made once for a world cannot be kept when it is lost: it is drawn anew, within its range.
#[test]
fn a_lost_draw_is_drawn_anew() {
    everywhere(|target| {
        let mut env = counting(COUNTING).worlds(3).build_on(target).unwrap();
        let before = env.get("randomized").unwrap();
        let width = before.len() / 3;
        let mut broken = before.clone();
        broken[width] = f32::NAN;
        env.set("randomized", None, &broken).unwrap();
        let status = env.step(&[0.0; 3]).unwrap().info.status().unwrap();
        assert!(status[1] != 0 && status[0] == 0 && status[2] == 0);
        let after = env.get("randomized").unwrap();
        assert!((0.5..1.5).contains(&after[width]), "{}", after[width]);
        assert_eq!(bits(&after[..width]), bits(&before[..width]));
        let status = env.step(&[0.0; 3]).unwrap().info.status().unwrap();
        assert_eq!(status, [0; 3]);
    });
}
