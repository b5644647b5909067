//! A policy for use elsewhere: `F.json` says what it is, `F.npz` has the numbers.
//!
//! To act on an observation `x` of `observation.dim` numbers (the terms in order, each already multiplied by its `scale`):
//! 1. `x = clip((x - obs_mean) * obs_scale, -clip, clip)` (both arrays are neutral and `clip` is null without normalization);
//! 2. for every layer `i`: `x = x @ weight_i + bias_i`, followed by `activation` except after the last;
//! 3. where `network.limit` is a number, `x = clip(x, -limit, limit)`: policies that this crate trains have none;
//! 4. `x` is the action; actuator `j` receives `actions[j].offset + actions[j].scale * x[j]`, every `control_dt` seconds.
//!
//! `elu(x)` is `x` for positive `x`, else `exp(x) - 1`. All arrays are float32; weights are `[inputs, outputs]`.
//!
//! [`import`] reads the same two files, whoever wrote them: a policy that was trained elsewhere can be run here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use serde_json::json;

use super::arrays::{Reader, Writer};
use super::config::Activation;
use super::environment::{ActionTerm, ObservationGroup, ObservationTerm, POLICY, Spec};
use super::network::Mlp;
use super::normalize::{EPSILON, Moments, Normalizer};
use super::policy::Policy;
use crate::error::{Error, Result};
use crate::files;

const FORMAT: &str = "manyworlds-policy-1";

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
        "format": FORMAT,
        "task": spec.task,
        "arrays": numbers.file_name().map(|name| name.to_string_lossy()),
        "control_dt": spec.control_dt,
        "observation": { "dim": spec.policy_dim()?, "terms": terms, "clip": clip },
        "actions": spec.actions,
        "network": { "layers": policy.network.layers.len(), "activation": policy.network.activation(), "limit": policy.limit },
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

/// What [`import`] needs of `F.json`.
#[derive(Deserialize)]
struct Description {
    format: String,
    task: String,
    arrays: String,
    control_dt: f64,
    observation: Observed,
    actions: Vec<ActionTerm>,
    network: Network,
    #[serde(default)]
    details: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Observed {
    terms: Vec<ObservationTerm>,
    clip: Option<f64>,
}

#[derive(Deserialize)]
struct Network {
    layers: usize,
    activation: Activation,
    #[serde(default)]
    limit: Option<f64>,
}

/// Reads the policy that `description`, an `F.json`, describes; `log_std` may be missing from its arrays.
///
/// # Errors
/// A file is missing or of another format, or the shapes of the arrays do not fit each other.
pub fn import(description: &Path, device: &Device) -> Result<Policy> {
    let place = |error: Error| error.context(description.display());
    let about: Description = serde_json::from_slice(&files::read(description)?)
        .map_err(|error| place(Error::invalid(error).hint("export writes such a file")))?;
    if about.format != FORMAT {
        return Err(place(Error::invalid(format!(
            "the format is `{}`, not `{FORMAT}`",
            about.format
        ))));
    }
    let group = ObservationGroup {
        name: POLICY.into(),
        terms: about.observation.terms,
    };
    let spec = Spec {
        task: about.task,
        observations: vec![group],
        actions: about.actions,
        control_dt: about.control_dt,
        max_episode_steps: None,
        details: about.details,
    };
    let path = description.with_file_name(&about.arrays);
    let mut arrays = Reader::open(&path)?;
    let network = import_network(&mut arrays, &spec, &about.network, device)
        .map_err(|error| error.context(path.display()))?;
    let normalizer = import_normalizer(&mut arrays, &spec, about.observation.clip, device)
        .map_err(|error| error.context(path.display()))?;
    let log_std = match arrays.has("log_std") {
        true => arrays.vector::<f32>("log_std")?,
        false => vec![0.0; spec.action_dim()],
    };
    expect("log_std", &[log_std.len()], &[spec.action_dim()])
        .map_err(|error| error.context(path.display()))?;
    let log_std = TensorData::new(log_std, [1, spec.action_dim()]);
    Ok(Policy {
        network,
        normalizer,
        log_std: Tensor::from_data(log_std, device),
        limit: positive("network.limit", about.network.limit).map_err(place)?,
        spec,
    })
}

fn import_network(
    arrays: &mut Reader,
    spec: &Spec,
    network: &Network,
    device: &Device,
) -> Result<Mlp> {
    if network.layers == 0 {
        return Err(Error::invalid("network.layers is 0").hint("it must be at least 1"));
    }
    let mut width = spec.policy_dim()?;
    let mut layers = Vec::new();
    for i in 0..network.layers {
        let name = format!("weight_{i}");
        let (shape, weight) = arrays.array::<f32>(&name)?;
        let outputs = match i + 1 == network.layers {
            true => spec.action_dim(),
            false => shape.get(1).copied().unwrap_or(0),
        };
        expect(&name, &shape, &[width, outputs])?;
        let name = format!("bias_{i}");
        let bias: Vec<f32> = arrays.vector(&name)?;
        expect(&name, &[bias.len()], &[outputs])?;
        layers.push(Linear {
            weight: Param::from_data(TensorData::new(weight, [width, outputs]), device),
            bias: Some(Param::from_data(TensorData::new(bias, [outputs]), device)),
        });
        width = outputs;
    }
    Ok(Mlp::from_layers(layers, network.activation))
}

fn import_normalizer(
    arrays: &mut Reader,
    spec: &Spec,
    clip: Option<f64>,
    device: &Device,
) -> Result<Normalizer> {
    let columns = spec.policy_dim()?;
    let mut column = |name: &str| {
        let values: Vec<f32> = arrays.vector(name)?;
        expect(name, &[values.len()], &[columns])?;
        Ok::<_, Error>(values.into_iter().map(f64::from).collect::<Vec<_>>())
    };
    let (mean, scale) = (column("obs_mean")?, column("obs_scale")?);
    if !scale.iter().all(|scale| *scale > 0.0 && scale.is_finite()) {
        return Err(Error::invalid(
            "obs_scale has a number that is not positive and finite",
        ));
    }
    let clip = positive("observation.clip", clip)?;
    let neutral = mean.iter().all(|mean| *mean == 0.0) && scale.iter().all(|scale| *scale == 1.0);
    let enabled = clip.is_some() || !neutral;
    let mut normalizer = Normalizer::new(
        columns,
        enabled,
        clip.unwrap_or(f64::from(f32::MAX)),
        device,
    );
    // The normalizer divides by √(variance + ε), and shall multiply by the scale that was read.
    let variance = |scale: &f64| 1.0 / scale.powi(2) - EPSILON;
    normalizer.set_moments(Moments {
        count: 1.0,
        variance: scale.iter().map(variance).collect(),
        mean,
    });
    Ok(normalizer)
}

fn positive(name: &str, value: Option<f64>) -> Result<Option<f64>> {
    match value {
        Some(value) if !(value > 0.0 && value.is_finite()) => {
            Err(Error::invalid(format!("{name} = {value}")).hint("it must be positive and finite"))
        }
        value => Ok(value),
    }
}

fn expect(name: &str, shape: &[usize], wanted: &[usize]) -> Result<()> {
    match shape == wanted {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "{name} has the shape {shape:?}, not {wanted:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::TestDir;

    const DESCRIPTION: &str = r#"{
        "format": "manyworlds-policy-1", "task": "elsewhere", "arrays": "policy.npz", "control_dt": 0.1,
        "observation": { "dim": 2, "terms": [{ "name": "state", "dim": 2, "scale": 1.0 }], "clip": 5.0 },
        "actions": [{ "name": "motor", "scale": 1.0, "offset": 0.0 }],
        "network": { "layers": 1, "activation": "tanh", "limit": 2.0 }
    }"#;

    fn read(dir: &TestDir, description: &str, weight: &[usize], scale: f32) -> Result<Policy> {
        let path = dir.path().join("policy.json");
        files::write(&path, description.as_bytes())?;
        let mut arrays = Writer::create(&dir.path().join("policy.npz"))?;
        arrays.add("obs_mean", &[2], &[1.0f32, -1.0])?;
        arrays.add("obs_scale", &[2], &[0.5, scale])?;
        let numbers = vec![1.0f32; weight.iter().product()];
        arrays.add("weight_0", weight, &numbers)?;
        arrays.add("bias_0", &[1], &[0.25f32])?;
        arrays.finish()?;
        import(&path, &Device::flex())
    }

    #[test]
    fn a_policy_from_elsewhere_does_what_its_files_say() {
        let dir = TestDir::new("import");
        // A scale that stands for a deviation far below the normalizer's own ε.
        let policy = read(&dir, DESCRIPTION, &[2, 1], 1e6).unwrap();
        let act = |x: [f32; 2]| {
            let x = Tensor::from_data([x], &Device::flex());
            policy.act(x).into_scalar::<f32>()
        };
        // (x − mean) · scale, added up, and the bias.
        assert!((act([0.0, -1.0 + 5e-7]) - (0.25 - 0.5 + 0.5)).abs() < 0.1);
        assert_eq!(act([1.0, -1.0]), 0.25);
        assert_eq!(act([3.0, -1.0]), 1.25);
        assert_eq!(act([11.0, -1.0]), 2.0);
        assert_eq!(act([-9.0, -1.0]), -2.0);
        assert_eq!(policy.spec.task, "elsewhere");
    }

    #[test]
    fn files_that_do_not_fit_are_refused() {
        let dir = TestDir::new("import-wrong");
        let error = |description: &str, weight: &[usize], scale| {
            let error = read(&dir, description, weight, scale).unwrap_err();
            error.to_string()
        };
        let wrong = error(DESCRIPTION, &[2, 2], 1.0);
        assert!(
            wrong.contains("weight_0 has the shape [2, 2], not [2, 1]"),
            "{wrong}"
        );
        let wrong = error(DESCRIPTION, &[2, 1], 0.0);
        assert!(wrong.contains("obs_scale"), "{wrong}");
        let wrong = error(&DESCRIPTION.replace("policy-1", "policy-9"), &[2, 1], 1.0);
        assert!(wrong.contains("policy-9"), "{wrong}");
        let wrong = error(
            &DESCRIPTION.replace("\"layers\": 1", "\"layers\": 2"),
            &[2, 5],
            1.0,
        );
        assert!(wrong.contains("bias_0"), "{wrong}");
        let wrong = error(&DESCRIPTION.replace("2.0 }", "-2.0 }"), &[2, 1], 1.0);
        assert!(wrong.contains("network.limit"), "{wrong}");
        let wrong = error("{}", &[2, 1], 1.0);
        assert!(wrong.contains("policy.json"), "{wrong}");
    }
}
