//! MuJoCo's answers, and how far others are from them.

use std::ffi::OsString;
use std::path::PathBuf;

use ndarray::ArrayD;

use super::contacts::{self, Touch};
use super::explain::Explanation;
use super::stages::{Computed, Inputs, Numbers};
use super::{Arguments, Errors};
use crate::cli::npz::{self, Archive, Extent};
use crate::cli::oracle;
use crate::cli::subject::ModelFile;
use crate::error::Result;
use crate::model::Model;

/// What MuJoCo computes.
pub(super) struct Reference {
    pub mujoco: String,
    /// States with contacts.
    pub in_contact: usize,
    /// States in which a distance equals its margin.
    pub undecided: usize,
    /// Why the host's contacts differ, where they do.
    pub explanation: Option<Explanation>,
    pub inputs: Inputs,
    /// Where it wrote all this.
    file: Scratch,
    /// Its answers from other contacts than its own, and the states to which they belong.
    explained: Option<(Answer, Vec<usize>)>,
    /// Its answer; where some states are undecided, also those with and without the contacts in question.
    answers: Vec<Answer>,
    /// `[state]` How far its answers move by the rounding of single precision, by stage.
    moves: Vec<(&'static str, Vec<f64>)>,
}

/// One answer to every state.
struct Answer {
    stages: Vec<(&'static str, Numbers)>,
    contacts: Vec<Vec<Touch>>,
}

/// The arrays of an answer, without their suffix.
const NUMBERS: [&str; 4] = ["xpos", "xquat", "qacc", "sensordata"];
const CONTACTS: [&str; 5] = ["ncon", "geom", "dist", "pos", "normal"];
const INPUTS: [&str; 6] = ["time", "qpos", "qvel", "act", "ctrl", "eq_active"];
const MOVES: [&str; 2] = ["qacc", "sensordata"];

impl Reference {
    /// Asks MuJoCo, through a file in the temporary folder.
    pub(super) fn ask(
        model_file: &ModelFile,
        model: &Model,
        arguments: &Arguments,
    ) -> Result<Self> {
        let scratch = Scratch::new("states");
        let path = &scratch.0;
        let mut command: Vec<OsString> = vec!["states".into()];
        command.extend([model_file.path().into(), path.into()]);
        command.extend(["--states".into(), arguments.states.to_string().into()]);
        command.extend(["--seed".into(), arguments.seed.to_string().into()]);
        if let Some(recording) = &arguments.from {
            command.extend(["--from".into(), recording.into()]);
        }
        let summary = oracle::PARITY.run(&command)?;
        let count = |name: &str| summary[name].as_u64().unwrap_or(0) as usize;
        let reference = Self::read(scratch, model, count("undecided") > 0)?;
        Ok(Self {
            mujoco: summary["mujoco"].as_str().unwrap_or("unknown").to_owned(),
            in_contact: count("in_contact"),
            undecided: count("undecided"),
            ..reference
        })
    }

    fn read(file: Scratch, model: &Model, has_alternatives: bool) -> Result<Self> {
        let suffixes: &[&str] = match has_alternatives {
            true => &["", "_without", "_with"],
            false => &[""],
        };
        let mut known: Vec<String> = INPUTS.map(str::to_owned).to_vec();
        known.extend(MOVES.map(|name| format!("{name}_moves")));
        for suffix in suffixes {
            let names = NUMBERS.iter().chain(&CONTACTS);
            known.extend(names.map(|name| format!("{name}{suffix}")));
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let mut archive = Archive::open(&file.0, &known)?;
        let time = archive.required("time", &[Extent::any("S")])?;
        let states = time.len();
        let by_state = Extent::exactly("S", states);
        let moves = MOVES.map(|name| {
            let array = archive.required(&format!("{name}_moves"), &[by_state])?;
            Ok((name, array.iter().copied().collect()))
        });
        let moves: Vec<_> = moves.into_iter().collect::<Result<_>>()?;
        let mut array = |name: &str, size: usize| {
            archive.required(name, &[by_state, Extent::exactly("size", size)])
        };
        let mut columns = |name: &str, size: usize| -> Result<Vec<f64>> {
            Ok(array(name, size)?.t().iter().copied().collect())
        };
        let inputs = Inputs {
            states,
            time: time.iter().copied().collect(),
            qpos: columns("qpos", model.nq)?,
            qvel: columns("qvel", model.nv)?,
            act: columns("act", model.na)?,
            ctrl: columns("ctrl", model.nu)?,
            eq_active: columns("eq_active", model.neq)?
                .into_iter()
                .map(|active| u32::from(active != 0.0))
                .collect(),
        };
        let answers = suffixes
            .iter()
            .map(|suffix| Answer::read(&mut archive, model, states, suffix))
            .collect::<Result<_>>()?;
        Ok(Self {
            mujoco: String::new(),
            in_contact: 0,
            undecided: 0,
            explanation: None,
            inputs,
            file,
            explained: None,
            answers,
            moves,
        })
    }

    /// Asks MuJoCo what follows from the host's contacts in the states in which the host's answers differ from its own.
    pub(super) fn explain(
        &mut self,
        model_file: &ModelFile,
        model: &Model,
        host: &Computed,
    ) -> Result<()> {
        let errors = self.errors_by_state(host);
        let differs = |state: &usize| {
            let mut of_stages = errors.iter().map(|errors| errors[*state]);
            of_stages.any(|error| error > super::HOST_MAXIMUM)
        };
        let states: Vec<usize> = (0..self.inputs.states).filter(differs).collect();
        if states.is_empty() {
            return Ok(());
        }
        let (ours, out) = (Scratch::new("ours"), Scratch::new("explained"));
        npz::write(&ours.0, |arrays| {
            let rows = states.iter().map(|&state| state as f64).collect();
            arrays.add("state", &[states.len()], rows)?;
            let touches = states.iter().map(|&state| &host.contacts[state]);
            contacts::add(arrays, &touches.collect::<Vec<_>>())
        })?;
        let mut command: Vec<OsString> = vec!["explain".into(), model_file.path().into()];
        command.extend([&self.file, &ours, &out].map(|file| file.0.clone().into()));
        let told = oracle::PARITY.run(&command)?;
        let mut archive = Archive::open_any(&out.0)?;
        let extents = [Extent::exactly("K", states.len())];
        let is_explained = archive.required("explained", &extents)?;
        let answer = Answer::read(&mut archive, model, states.len(), "")?;
        // A state that is not explained stands for none.
        let state_of = |(row, state)| match is_explained[[row]] == 1.0 {
            true => state,
            false => usize::MAX,
        };
        let explained = states.iter().copied().enumerate().map(state_of).collect();
        self.explanation = Some(Explanation::new(states.len(), &told)?);
        self.explained = Some((answer, explained));
        Ok(())
    }

    /// The errors of all stages.
    pub(super) fn errors(&self, computed: &Computed) -> Vec<Errors> {
        let errors = self.errors_by_state(computed);
        errors.into_iter().map(Errors::of).collect()
    }

    /// `[stage][state]` A state is held against the first of its answers that has as many contacts, between the same
    /// geoms; or where its contacts differ and are explained, against what follows from them.
    fn errors_by_state(&self, computed: &Computed) -> Vec<Vec<f64>> {
        let states = 0..self.inputs.states;
        let fits = |answer: &Answer, state: usize| {
            let (found, _) = contacts::matched(&computed.contacts[state], &answer.contacts[state]);
            found.iter().all(|number| number.is_finite())
        };
        let explained = |state: usize| {
            let (answer, states) = self.explained.as_ref()?;
            let row = states.iter().position(|&known| known == state)?;
            Some((answer, row))
        };
        let chosen = states.clone().map(|state| {
            let fitting = || self.answers.iter().find(|answer| fits(answer, state));
            let own = || (fitting().unwrap_or(&self.answers[0]), state);
            explained(state).unwrap_or_else(own)
        });
        let chosen: Vec<(&Answer, usize)> = chosen.collect();
        let number = |stages: &[(&str, Numbers)], stage: &str, state: usize| {
            let found = stages.iter().find(|(name, _)| *name == stage);
            found.map_or(Vec::new(), |(_, numbers)| numbers[state].clone())
        };
        let of_stage = |stage: &&str| {
            let of_state = |state: usize| {
                let (answer, row) = chosen[state];
                let (found, expected) = match *stage {
                    "contacts" => {
                        contacts::matched(&computed.contacts[state], &answer.contacts[row])
                    }
                    stage => (
                        number(&computed.stages, stage, state),
                        number(&answer.stages, stage, row),
                    ),
                };
                super::error(&found, &expected)
            };
            states.clone().map(of_state).collect()
        };
        super::STAGES.iter().map(of_stage).collect()
    }

    /// How far MuJoCo's own answers to a stage move.
    pub(super) fn moves(&self, stage: &str) -> Option<Errors> {
        let found = self.moves.iter().find(|(name, _)| *name == stage);
        found.map(|(_, moves)| Errors::of(moves.clone()))
    }
}

impl Answer {
    /// The answers to an archive's states; the arrays' names end in `suffix`.
    fn read(archive: &mut Archive, model: &Model, states: usize, suffix: &str) -> Result<Self> {
        let mut stages = Vec::new();
        for name in NUMBERS {
            let size = match name {
                "xpos" => 3 * model.nbody,
                "xquat" => 4 * model.nbody,
                "qacc" => model.nv,
                _ => model.nsensordata,
            };
            let extents = [Extent::exactly("S", states), Extent::exactly("size", size)];
            let array = archive.required(&format!("{name}{suffix}"), &extents)?;
            stages.push((name, rows(&array)));
        }
        Ok(Self {
            stages,
            contacts: contacts::read(archive, states, suffix)?,
        })
    }
}

/// A file in the temporary folder, which goes when nobody needs it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("manyworlds-parity-{}-{name}.npz", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is not there needs no removal.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn rows(array: &ArrayD<f64>) -> Numbers {
    array
        .outer_iter()
        .map(|row| row.iter().copied().collect())
        .collect()
}
