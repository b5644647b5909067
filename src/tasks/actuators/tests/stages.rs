//! Every stage, physics step by physics step, against its formula.

use super::*;

const STATES: [[f64; 3]; 5] = [
    [0.3, 0.1, 0.0],
    [1.5, -0.4, 3.0],
    [-0.7, 0.9, -12.0],
    [0.0, 0.2, 25.0],
    [-1.9, 0.0, -31.0],
];

#[test]
fn pd_is_its_formula_whatever_the_gear() {
    let mut bench = Bench::new(
        1,
        "[actuator.legs]\njoints = 'left_hip'\nmodel = 'pd'\nkp = 20\nkd = 0.5\neffort_limit = 23",
    );
    for [u, q, v] in STATES {
        let torque: f64 = 20.0 * (u - q) - 0.5 * v;
        close(4.0 * bench.step([u, q, v], 0)[0], torque.clamp(-23.0, 23.0));
        close(bench.step([u, q, v], 1)[0], u);
    }
    bench.set("actuator.legs.kp", 7.0);
    close(4.0 * bench.step([0.5, 0.1, 0.0], 0)[0], 7.0 * 0.4);

    let mut bench = Bench::new(
        1,
        "[actuator.a]\njoints = 'left_hip'\nmodel = 'pd'\nkd = 2\ntarget = 'velocity'\n\
         [actuator.b]\nactuators = 'bend'\nmodel = 'pd'\ntarget = 'effort'",
    );
    for [u, q, v] in STATES {
        close(4.0 * bench.step([u, q, v], 0)[0], 2.0 * (u - v));
        close(bench.step([u, q, v], 1)[0], u);
    }
}

/// Torque at stall, at no load, beyond it, and where the current is limited, for a circuit and for its torque–speed curve.
#[test]
fn a_motors_torque_and_speed_lie_on_its_line() {
    // K = 0.05 N·m/A, R = 0.5 Ω, V = 24 V, N = 9: τ₀ = 9 · 0.05 · 24 / 0.5 = 21.6 N·m, ω₀ = 24 / (0.05 · 9) = 53.3 rad/s.
    let circuit = "voltage = 24\nresistance = 0.5\ntorque_constant = 0.05\ngear_ratio = 9\n";
    let (stall, free) = (21.6, 24.0 / 0.45);
    let motor = |rest: &str| {
        let head = "[actuator.m]\njoints = 'left_knee'\nmodel = 'dc_motor'\nactuators = 'bend'\n";
        Bench::new(1, &format!("{head}{rest}"))
    };
    let mut bench = motor(&format!("target = 'duty'\n{circuit}"));
    for (duty, speed, torque) in [
        (1.0, 0.0, stall),
        (-1.0, 0.0, -stall),
        (0.5, 0.0, 0.5 * stall),
        (1.0, free, 0.0),
        (1.0, 0.5 * free, 0.5 * stall),
        (0.0, free, -stall),
        (3.0, 0.0, stall),
        (1.0, -free, 2.0 * stall),
    ] {
        close(bench.step([duty, 0.0, speed], 1)[0], torque);
    }
    // At most 20 A: 9 · 0.05 · 20 = 9 N·m.
    let mut limited = motor(&format!("target = 'duty'\n{circuit}current_limit = 20"));
    close(limited.step([1.0, 0.0, 0.0], 1)[0], 9.0);
    close(limited.step([-1.0, 0.0, 0.9 * free], 1)[0], -9.0);
    close(limited.step([1.0, 0.0, 0.9 * free], 1)[0], 0.1 * stall);

    // Under current control it gives what is wanted, as far as the line allows; both ways of saying a motor agree.
    let gains = "kp = 30\nkd = 0.2\n";
    let curve = format!("saturation_effort = {stall}\nvelocity_limit = {free}\neffort_limit = 9\n");
    let mut by_curve = motor(&format!("{gains}{curve}"));
    let mut by_circuit = motor(&format!("{gains}{circuit}current_limit = 20"));
    for [u, q, v] in STATES.map(|[u, q, v]| [u, q, 2.0 * v]) {
        let wanted: f64 = 30.0 * (u - q) - 0.2 * v;
        let high = (stall * (1.0 - v / free)).clamp(-9.0, 9.0);
        let low = (stall * (-1.0 - v / free)).clamp(-9.0, 9.0);
        close(by_curve.step([u, q, v], 1)[0], wanted.clamp(low, high));
        close(by_circuit.step([u, q, v], 1)[0], wanted.clamp(low, high));
    }
}

#[test]
fn friction_is_full_above_its_speed_and_proportional_below() {
    let mut bench = Bench::new(
        1,
        "[actuator.m]\nactuators = 'bend'\nmodel = 'pd'\ntarget = 'effort'\n\
         friction = { coulomb = 0.3, viscous = 0.02, velocity = 0.5 }",
    );
    for v in [0.0f64, 0.1, -0.25, 0.5, -3.0, 10.0] {
        let friction = 0.3 * (v / 0.5).clamp(-1.0, 1.0) + 0.02 * v;
        close(bench.step([1.0, 0.0, v], 1)[0], 1.0 - friction);
    }
}

#[test]
fn a_low_pass_responds_as_the_differential_equation() {
    let mut bench = Bench::new(1, "[actuator.m]\nactuators = 'bend'\nlow_pass.time = 0.03");
    close(bench.command(0.2, 1), 0.2);
    for step in 1..50 {
        let expected = 0.2 + 0.8 * (1.0 - (-f64::from(step) * DT / 0.03).exp());
        close(bench.command(1.0, 1), expected);
    }
    bench.set("actuator.m.low_pass.time", 0.0);
    assert_eq!(bench.command(-0.4, 1), -0.4);
}

/// A command that is another in every physics step comes out n steps later, to the bit.
#[test]
fn a_latency_of_n_steps_is_exactly_n_steps() {
    let signal = |step: i32| (f64::from(step.max(0)) * 1.7).sin();
    for interpolate in ["true", "false"] {
        let toml = format!(
            "[actuator.m]\nactuators = 'bend'\n\
             latency = {{ time = 0, max = 0.04, interpolate = {interpolate} }}"
        );
        let mut bench = Bench::new(1, &toml);
        for late in 0..=8 {
            bench.begin();
            bench.set("actuator.m.latency.time", f64::from(late) * DT);
            for step in 0..30 {
                assert_eq!(
                    bench.command(signal(step), 1),
                    signal(step - late),
                    "{late} {step}"
                );
            }
        }
        // Between two steps: the older command holds, or the values between them.
        bench.begin();
        bench.set("actuator.m.latency.time", 2.25 * DT);
        for step in 0..30 {
            let (new, old) = (signal(step - 2), signal(step - 3));
            let expected = if interpolate == "true" {
                0.75 * new + 0.25 * old
            } else {
                old
            };
            close(bench.command(signal(step), 1), expected);
        }
        // Longer than there is room for.
        bench.begin();
        bench.set("actuator.m.latency.time", 1.0);
        for step in 0..30 {
            assert_eq!(bench.command(signal(step), 1), signal(step - 8));
        }
    }
}

/// With commands that last for a control step, keeping one of each is as good as keeping all.
#[test]
fn a_ring_of_control_steps_is_exact_to_the_physics_step() {
    let held = |step: i32| (f64::from(step.max(0) / SUBSTEPS as i32) * 1.7).sin();
    let toml = |per: &str| {
        format!("[actuator.m]\nactuators = 'bend'\nlatency = {{ time = 0.04, per = '{per}' }}")
    };
    let mut small = Bench::new(1, &toml("control_step"));
    let mut large = Bench::new(1, &toml("substep"));
    assert_eq!(small.state.memory[1].len() * 4, large.state.memory[1].len());
    for late in 0..=8 {
        for bench in [&mut small, &mut large] {
            bench.begin();
            bench.set("actuator.m.latency.time", f64::from(late) * DT);
        }
        for step in 0..40 {
            let expected = held(step - late);
            assert_eq!(small.command(held(step), 1), expected, "{late} {step}");
            assert_eq!(large.command(held(step), 1), expected, "{late} {step}");
        }
    }
}

#[test]
fn a_delayed_actuator_is_one_control_step_late_for_a_whole_episode() {
    let worlds = 4000;
    let mut bench = Bench::new(
        worlds,
        "[actuator.m]\njoints = 'left_*'\ndelay.probability = 0.3",
    );
    let mut late = vec![false; worlds];
    for step in 0..6 * SUBSTEPS {
        let control_step = step / SUBSTEPS;
        let [now, before] = [control_step, control_step.max(1) - 1].map(|s| 0.1 * f64::from(s));
        let out = bench.step([now, 0.0, 0.0], 1);
        if step == SUBSTEPS {
            late = out.iter().map(|value| *value == before).collect();
        }
        if step >= SUBSTEPS {
            for (out, late) in out.iter().zip(&late) {
                assert_eq!(*out, if *late { before } else { now });
            }
        }
    }
    let count = late.iter().filter(|late| **late).count() as f64;
    let expected = 0.3 * worlds as f64;
    let deviation = (expected * 0.7).sqrt();
    assert!(
        (count - expected).abs() < 4.0 * deviation,
        "{count} of {worlds}"
    );
    // Another episode, another draw; and of each actuator by itself.
    bench.begin();
    let mut again = Vec::new();
    for command in [0.0, 1.0] {
        for _ in 0..SUBSTEPS {
            again = bench.step([command, 0.0, 0.0], 1);
        }
    }
    let out = bench.io[3];
    let other: Vec<f64> = (0..worlds).map(|w| bench.memory.get(out, 3, w)).collect();
    let differ = |a: &dyn Fn(usize) -> bool, b: &dyn Fn(usize) -> bool| {
        (0..worlds).filter(|w| a(*w) != b(*w)).count() as f64 / worlds as f64
    };
    let (first, second, third) = (|w| late[w], |w| again[w] == 0.0, |w| other[w] == 0.0);
    // Two independent draws differ with probability 2 p (1 − p) = 0.42.
    assert!((differ(&first, &second) - 0.42).abs() < 0.04);
    assert!((differ(&second, &third) - 0.42).abs() < 0.04);
}

/// There and back again: the moved side follows half the play behind, and stands still while it turns around.
#[test]
fn backlash_is_a_hysteresis_loop() {
    let mut bench = Bench::new(1, "[actuator.m]\nactuators = 'bend'\nbacklash.width = 0.2");
    assert_eq!(bench.command(0.0, 1), 0.0);
    let path = |from: i32, to: i32| -> Vec<f64> {
        let steps = (from - to).abs();
        let sign = f64::from((to - from).signum());
        (0..=steps)
            .map(|i| 0.01 * (f64::from(from) + sign * f64::from(i)))
            .collect()
    };
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    for u in path(0, 100) {
        close(bench.command(u, 1), (u - 0.1).max(0.0));
    }
    for u in path(100, -100) {
        close(bench.command(u, 1), (u + 0.1).min(0.9));
    }
    for u in path(-100, 100) {
        close(bench.command(u, 1), (u - 0.1).max(-0.9));
    }
    // The loop's area is width × (travel of the output): 0.2 · 1.8.
    let mut area = 0.0;
    let mut last = (1.0, 0.9);
    for u in path(100, -100).into_iter().chain(path(-100, 100)) {
        let y = bench.command(u, 1);
        area += 0.5 * (u + last.0) * (y - last.1);
        last = (u, y);
    }
    assert!((area - 0.36).abs() < 1e-9, "{area}");
}

fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let ((ma, sa), (mb, sb)) = (moments(a), moments(b));
    let n = a.len() as f64;
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - ma) * (b - mb))
        .sum::<f64>()
        / (n * sa * sb)
}

/// The actuator's range is ±2, its width 4: deviations of 0.2 (white, 5 %) and 0.06 (correlated, 1.5 %).
#[test]
fn noise_has_the_deviations_and_correlations_that_it_is_said_to_have() {
    let worlds = 20_000;
    let mut white = Bench::new(
        worlds,
        "[actuator.m]\nactuators = 'pull'\nnoise.white = 0.05",
    );
    let command = |bench: &mut Bench| bench.step([0.5, 0.0, 0.0], 0);
    let first = command(&mut white);
    for _ in 1..SUBSTEPS {
        assert_eq!(command(&mut white), first, "it lasts for a control step");
    }
    let second = command(&mut white);
    let (mean, deviation) = moments(&first);
    // Standard errors: 0.2 / √20,000 = 0.0014 of the mean, 0.001 of the deviation.
    assert!(
        (mean - 0.5).abs() < 0.006 && (deviation - 0.2).abs() < 0.004,
        "{mean} {deviation}"
    );
    assert!(correlation(&first, &second).abs() < 0.03);

    let toml = "[actuator.m]\nactuators = 'pull'\nnoise.correlated = 0.015";
    let mut correlated = Bench::new(worlds, toml);
    let first = command(&mut correlated);
    for _ in 0..3 * SUBSTEPS {
        assert_eq!(command(&mut correlated), first, "it lasts for an episode");
    }
    let (mean, deviation) = moments(&first);
    assert!(
        (mean - 0.5).abs() < 0.002 && (deviation - 0.06).abs() < 0.0012,
        "{mean} {deviation}"
    );
    correlated.begin();
    assert!(correlation(&first, &command(&mut correlated)).abs() < 0.03);

    // A range of its own, where the model has none.
    let toml = "[actuator.m]\nactuators = 'bend'\nnoise = { white = 0.1, range = 3 }";
    let (_, deviation) = moments(&Bench::new(worlds, toml).step([0.5, 0.0, 0.0], 1));
    assert!((deviation - 0.3).abs() < 0.006, "{deviation}");
}
