//! `rollout --task`: the control step of a world that went wrong, once more.

use std::path::Path;

use super::output::{note, say};
use super::subject;
use crate::env::{BadWorld, Diagnosis, Finding, Precision, Replay, Target};
use crate::error::{Error, Result};
use crate::tasks::{Cause, Registry};

/// Numbers that are listed one by one.
const LISTED: usize = 8;

/// Steps the world in a file again, where it was stepped or on the host, and says what went wrong and where.
pub(super) fn run(path: &Path, host: bool, registry: &Registry) -> Result<()> {
    let bad = BadWorld::load(path)?;
    let origin = &bad.origin;
    say!("{bad}");
    note!(
        "dumped by version {} on {} ({})",
        origin.version,
        origin.device,
        origin.target
    );
    let context = match host || origin.target != "gpu" {
        true => None,
        false => Some(subject::open_device()?),
    };
    let target = match &context {
        Some(context) => Target::Gpu(context),
        None if origin.target == "host f64" => Target::Host(Precision::Double),
        None => Target::Host(Precision::Single),
    };
    let place = |error: Error| error.context(path.display());
    let builder = bad.builder(registry).map_err(place)?;
    let mut env = builder.build_on(target).map_err(place)?;
    let replay = env.replay(&bad).map_err(place)?;
    let diagnosis = env.diagnose(&bad).map_err(place)?;

    say!("kernel   WGSL {}, the one that was dumped", origin.wgsl);
    say!("found    {}", names(&replay.causes));
    explain(&diagnosis);
    // Other devices may round otherwise: only the same one must give the same bits.
    let same_device = match &context {
        Some(context) => context.info().to_string() == origin.device,
        None => origin.target != "gpu",
    };
    compare(&replay, same_device).map_err(place)
}

fn names(causes: &[Cause]) -> String {
    match causes {
        [] => "nothing wrong".into(),
        causes => {
            let names: Vec<String> = causes.iter().map(ToString::to_string).collect();
            names.join(", ")
        }
    }
}

/// Says where the numbers went wrong.
fn explain(diagnosis: &Diagnosis) {
    if !diagnosis.inputs.is_empty() {
        say!("inputs   {}", list(&diagnosis.inputs));
    }
    if let Some(substep) = diagnosis.substep {
        say!("physics  the state is unsound after physics step {substep} of the control step");
    }
    match diagnosis.outputs.as_slice() {
        [] => say!("numbers  all of them are finite and within bounds"),
        outputs => say!("numbers  {}", list(outputs)),
    }
}

fn list(findings: &[Finding]) -> String {
    let shown: Vec<String> = findings
        .iter()
        .take(LISTED)
        .map(Finding::to_string)
        .collect();
    let more = findings.len().saturating_sub(LISTED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    shown.join(", ") + &more
}

/// Says whether everything came out as it was dumped.
fn compare(replay: &Replay, same_device: bool) -> Result<()> {
    let Replay {
        compared,
        differences,
        ..
    } = replay;
    let Some(first) = differences.first() else {
        say!("replay   all {compared} numbers after the step are the same, bit for bit");
        return Ok(());
    };
    let line = format!(
        "{} of {compared} numbers after the step differ, the first is {}[{}]: {:e} there, {:e} here",
        differences.len(),
        first.field,
        first.component,
        first.there,
        first.here
    );
    if same_device {
        return Err(Error::invalid(line).hint("the same kernel on the same device repeats every bit: the driver changed, or memory fails"));
    }
    say!("replay   {line}");
    note!("warning: it was dumped elsewhere, where rounding may differ");
    Ok(())
}
