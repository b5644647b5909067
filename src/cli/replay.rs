//! `replay`: episodes of a trained policy, drawn by MuJoCo.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{note, say};
use super::saved::{Conditions, Machine, SavedRun};
use super::subject::ModelFile;
use super::{eval, oracle};
use crate::error::Result;
use crate::tasks::Registry;
use crate::train::Recording;

/// Draw episodes of a trained policy as DIR/replay.gif
///
/// Four worlds side by side, ten seconds at most. MuJoCo draws them: this needs a Python with mujoco, numpy and pillow
/// (MANYWORLDS_ORACLE names it; `./x test` installs one into the repository), and EGL or OSMesa.
#[derive(Args)]
#[command(after_help = "Example:
  manyworlds replay runs/cartpole/001")]
pub(super) struct Arguments {
    /// Folder of a run, or of one of its checkpoints
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    conditions: Conditions,
}

const WORLDS: u32 = 4;
const SECONDS: f64 = 10.0;

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Result<()> {
    let saved = SavedRun::open(&arguments.folder)?;
    let configured = saved.definition(registry, &arguments.conditions)?;
    oracle::check()?;
    let steps = (SECONDS / saved.spec.control_dt).ceil() as u32;
    let limit = configured.spec()?.max_episode_steps.min(steps.max(1));

    let machine = Machine::open()?;
    let policy = saved.policy(&machine.learner)?;
    for variant in configured.variants()? {
        let mut definition = saved.configured(registry, configured.config.clone())?;
        definition.set(&format!("max_episode_steps={limit}"))?;
        let out = match variant.name.as_str() {
            "" => saved.folder.join("replay.gif"),
            name => {
                definition.only_variant(name)?;
                saved.folder.join(format!("replay_{name}.gif"))
            }
        };
        let mjcf = definition.mjcf(&variant.name)?;
        let mut recording = Recording::new(WORLDS as usize);
        eval::episodes(&machine, definition, &policy, WORLDS, Some(&mut recording))?;
        draw(&saved.spec.task, &mjcf, &recording, &out)?;
    }
    Ok(())
}

/// Draws what was recorded of a model.
fn draw(task: &str, mjcf: &str, recording: &Recording, out: &Path) -> Result<()> {
    let model = ModelFile::temporary(task, mjcf)?;
    let states = model.path().with_extension("npz");
    recording.save(&states)?;
    note!("drawing {}", out.display());
    let worlds: Vec<String> = (0..WORLDS).map(|world| world.to_string()).collect();
    let drawn = oracle::REPLAY.run(&[
        model.path().as_os_str(),
        states.as_os_str(),
        out.as_os_str(),
        "--world".as_ref(),
        worlds.join(",").as_ref(),
    ]);
    let _ = std::fs::remove_file(&states);
    let frames = drawn?["frames"].clone();
    say!(
        "wrote {}: {frames} frames of {WORLDS} worlds",
        out.display()
    );
    Ok(())
}
