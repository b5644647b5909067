//! What is said, what it means to a model, and mistakes.

use super::*;
use crate::model::{Bias, Gain};

#[test]
fn a_law_takes_the_place_of_gain_and_bias_but_not_of_gear_and_force_range() {
    let mut compiled = model();
    let toml = "[actuator.legs]\nactuators = ['pull', 'bend']\nmodel = 'pd'\nkp = 1";
    let drives = Drives::new(&spec(toml).unwrap().actuators, 0.02, &compiled).unwrap();
    drives.install(&mut compiled);
    for id in [0, 1] {
        assert_eq!(compiled.actuator_gaintype[id], Gain::Fixed);
        assert_eq!(compiled.actuator_biastype[id], Bias::None);
        assert_eq!(compiled.actuator_gainprm[id][0], 1.0);
        assert!(!compiled.actuator_ctrllimited[id]);
    }
    assert_eq!(compiled.actuator_gear, model().actuator_gear);
    assert_eq!(compiled.actuator_forcerange, model().actuator_forcerange);
    assert_eq!(compiled.actuator_gainprm[3], model().actuator_gainprm[3]);
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    for (toml, expected) in [
        (
            "joints = 'left_hpi'\nmodel = 'pd'\nkp = 1",
            "did you mean `left_hip`",
        ),
        ("actuators = 'bent'", "did you mean `bend`"),
        ("model = 'pd'\nkp = 1", "joints"),
        ("joints = '*'\nmodel = 'dc_moto'", "did you mean `dc_motor`"),
        ("joints = 3", "a name or an array of names"),
        (
            "joints = 'left_hip'\nkpp = 1",
            "did you mean `actuator.m.kp`",
        ),
        ("joints = 'left_hip'\nmodel = 'pd'\nkp = -1", "not negative"),
        (
            "joints = 'left_hip'\nmodel = 'pd'\nkp = nan",
            "a finite number",
        ),
        ("joints = 'left_hip'\nmodel = 'pd'\nkp = 1e300", "`kp` is"),
        (
            "joints = 'left_hip'\nmodel = 'pd'\nkp = 'high'",
            "a finite number",
        ),
        ("joints = 'left_hip'\nmodel = 'pd'", "`kp` is missing"),
        ("joints = 'left_hip'\nkp = 1", "does not read `kp`"),
        ("joints = 'left_hip'\neffort_limit = 1", "forcerange"),
        (
            "joints = 'left_hip'\nmodel = 'pd'\nkp = 1\nvoltage = 3",
            "does not read `voltage`",
        ),
        (
            "joints = 'left_hip'\nmodel = 'dc_motor'\nkp = 1",
            "in one of two ways",
        ),
        (
            "joints = 'left_hip'\nmodel = 'dc_motor'\nkp = 1\nvoltage = 3\nresistance = 1",
            "`torque_constant` is missing",
        ),
        (
            "joints = 'left_hip'\nmodel = 'dc_motor'\nkp = 1\nvoltage = 3\nresistance = 0\ntorque_constant = 1",
            "a positive number",
        ),
        (
            "joints = 'left_toe'\nmodel = 'pd'\nkp = 1",
            "more than one axis",
        ),
        (
            "actuators = 'slow'\nmodel = 'pd'\nkp = 1",
            "activation dynamics",
        ),
        ("actuators = 'bend'\nnoise.white = 0.1", "noise.range"),
        (
            "actuators = 'pull'\nbacklash.width = 0.1",
            "no position servo",
        ),
        ("actuators = 'bend'\ndelay.probability = 1.5", "from 0 to 1"),
        (
            "actuators = 'bend'\nlatency.time = 0.1\nlatency.max = 0.05",
            "above latency.max",
        ),
        ("actuators = 'bend'\nlatency.max = 0.05", "latency.time = 0"),
        ("actuators = 'bend'\nlatency.time = 100", "room for 256"),
        ("actuators = 'bend'\nmodel = 'network'", "has no file"),
        (
            "actuators = 'bend'\nmodel = 'network'\nfile = '/nowhere/net.json'",
            "/nowhere/net.json",
        ),
        (
            "actuators = 'bend'\nfile = 'net.json'",
            "model = \"network\"",
        ),
    ] {
        let error = error(&format!("[actuator.m]\n{toml}"));
        assert!(
            error.contains(expected) && error.contains("actuator.m"),
            "{toml}: {error}"
        );
        assert!(!error.contains('\n'));
    }
    let twice = "[actuator.m]\njoints = '*'\n[actuator.n]\nactuators = 'bend'";
    assert!(error(twice).contains("belongs to `m`"), "{}", error(twice));
}

#[test]
fn what_is_not_said_has_no_field_and_no_parameter() {
    let spec = spec("").unwrap();
    assert!(
        spec.parameters()
            .keys()
            .all(|key| !key.starts_with("actuator"))
    );
    let bench = Bench::new(1, "[actuator.m]\nactuators = 'bend'\nmodel = 'pd'\nkp = 1");
    assert!(bench.state.memory.is_empty() && bench.state.weights.is_empty());
    let keys: Vec<&str> = bench.params.keys().collect();
    assert_eq!(keys, ["actuator.m.kp"]);
}
