//! A policy for use elsewhere: `F.json` says what it is, `F.npz` has the numbers.
//!
//! To act on an observation `x` of `observation.dim` numbers (the terms in order, each already multiplied by its `scale`):
//! 1. `x = clip((x - obs_mean) * obs_scale, -clip, clip)` (both arrays are neutral and `clip` is null without normalization);
//! 2. for every layer `i`: `x = x @ weight_i + bias_i`, followed by `activation` except after the last;
//! 3. `x` is the action; actuator `j` receives `actions[j].offset + actions[j].scale * x[j]`, every `control_dt` seconds.
//!
//! `elu(x)` is `x` for positive `x`, else `exp(x) - 1`. All arrays are float32; weights are `[inputs, outputs]`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::arrays::Writer;
use super::environment::POLICY;
use super::policy::Policy;
use crate::error::{Error, Result};
use crate::files;

/// Writes `out.json` and `out.npz` (an extension of `out` is ignored) and returns both paths.
pub fn export(policy: &Policy, out: &Path) -> Result<[PathBuf; 2]> {
    let known = out
        .extension()
        .is_some_and(|extension| extension == "json" || extension == "npz");
    let stem = if known {
        out.with_extension("")
    } else {
        out.to_owned()
    };
    let with = |extension: &str| PathBuf::from(format!("{}.{extension}", stem.display()));
    let (description, numbers) = (with("json"), with("npz"));
    if let Some(parent) = stem.parent() {
        files::create_dir(parent)?;
    }

    let temporary = with("npz.partial");
    write_arrays(policy, &temporary)?;
    fs::rename(&temporary, &numbers)
        .map_err(|error| Error::io(error).context(numbers.display()))?;

    let text = serde_json::to_string_pretty(&describe(policy, &numbers)?)
        .map_err(|error| Error::invalid(error).context(description.display()))?;
    files::write(&description, (text + "\n").as_bytes())?;
    Ok([description, numbers])
}

fn describe(policy: &Policy, numbers: &Path) -> Result<serde_json::Value> {
    let spec = &policy.spec;
    let group = spec.observations.iter().find(|group| group.name == POLICY);
    let terms = group
        .map(|group| group.terms.as_slice())
        .unwrap_or_default();
    let clip = policy
        .normalizer
        .enabled()
        .then(|| policy.normalizer.clip());
    Ok(json!({
        "format": "manyworlds-policy-1",
        "task": spec.task,
        "arrays": numbers.file_name().map(|name| name.to_string_lossy()),
        "control_dt": spec.control_dt,
        "observation": { "dim": spec.policy_dim()?, "terms": terms, "clip": clip },
        "actions": spec.actions,
        "network": { "layers": policy.network.layers.len(), "activation": policy.network.activation() },
        "details": spec.details,
    }))
}

fn write_arrays(policy: &Policy, path: &Path) -> Result<()> {
    let mut file = Writer::create(path)?;
    let moments = policy.normalizer.moments();
    let columns = moments.mean.len();
    let (mean, scale): (Vec<f32>, Vec<f32>) = if policy.normalizer.enabled() {
        (0..columns)
            .map(|i| (moments.mean[i] as f32, (1.0 / moments.deviation(i)) as f32))
            .unzip()
    } else {
        (vec![0.0; columns], vec![1.0; columns])
    };
    file.add("obs_mean", &[columns], &mean)?;
    file.add("obs_scale", &[columns], &scale)?;
    for (i, layer) in policy.network.layers.iter().enumerate() {
        let weight = layer.weight.val();
        let shape = weight.dims();
        file.add(
            &format!("weight_{i}"),
            &shape,
            &weight.into_data().iter::<f32>().collect::<Vec<_>>(),
        )?;
        let bias = layer
            .bias
            .as_ref()
            .map(|bias| bias.val().into_data().iter::<f32>().collect::<Vec<_>>());
        let bias = bias.unwrap_or_else(|| vec![0.0; shape[1]]);
        file.add(&format!("bias_{i}"), &[shape[1]], &bias)?;
    }
    let log_std: Vec<f32> = policy.log_std.to_data().iter::<f32>().collect();
    file.add("log_std", &[log_std.len()], &log_std)?;
    file.finish()
}
