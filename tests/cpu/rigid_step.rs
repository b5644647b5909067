//! One step of every integrator against MuJoCo's, from random states, in double precision.

use crate::oracle;
use crate::rigid_common::{errors, record};
use manyworlds::model::Integrator;

fn tmp(path: &str, integrators: &[&str], count: usize) {
    let dump = oracle::run("dump_tmp.py", &[path]).unwrap();
    let mut model = crate::rigid_dump_tmp::model(&dump);
    let mut args = vec!["--states".to_string(), count.to_string()];
    for i in integrators {
        args.push("--integrator".into());
        args.push(i.to_string());
    }
    args.push(path.into());
    let args: Vec<&str> = args.iter().map(|s| s.as_str()).collect();
    let out = oracle::run("step.py", &args).unwrap();
    for reference in out.as_array().unwrap() {
        let name = reference["integrator"].as_str().unwrap();
        model.opt.integrator = match name {
            "Euler" => Integrator::Euler,
            "RK4" => Integrator::Rk4,
            _ => Integrator::ImplicitFast,
        };
        let recorded = record(&model);
        let m = recorded.run::<f64>(reference);
        let s = recorded.run::<f32>(reference);
        let ops = recorded.graph.operations();
        println!(
            "{path} {name} ops {} div {} carries {}",
            ops.total, ops.divisions, ops.carries
        );
        if name == "Euler" {
            for (s, n) in &ops.by_stage {
                println!("     {s} {n}");
            }
        }
        let bad = (0..count)
            .filter(|&w| m.get_bits(recorded.converged, 0, w) == 0)
            .count();
        let bad32 = (0..count)
            .filter(|&w| s.get_bits(recorded.converged, 0, w) == 0)
            .count();
        print!("   unconverged {bad} {bad32}");
        for (n, f) in recorded.outputs() {
            let mut e = errors(&m, f, &reference[n]);
            e.sort_by(f64::total_cmp);
            let mut e32 = errors(&s, f, &reference[n]);
            e32.sort_by(f64::total_cmp);
            print!(
                "  {n} {:.1e} [{:.0e} {:.0e} {:.0e}]",
                e[count - 1],
                e32[count / 2],
                e32[count * 99 / 100],
                e32[count - 1]
            );
        }
        println!();
    }
}

#[test]
fn tmp_all() {
    for m in [
        "pendulum",
        "double_pendulum",
        "cartpole",
        "ant_tree",
        "humanoid_tree",
        "ball_chain",
        "actuators",
    ] {
        tmp(
            &format!("tests/models/{m}.xml"),
            &["Euler", "RK4", "implicitfast"],
            300,
        );
    }
}
#[test]
fn tmp_ops() {
    use manyworlds::rigid::*;
    use manyworlds::trace::*;
    for m in ["ant_tree", "humanoid_tree"] {
        let dump = oracle::run("dump_tmp.py", &[&format!("tests/models/{m}.xml")]).unwrap();
        let mut model = crate::rigid_dump_tmp::model(&dump);
        for limit in [true, false] {
            model.opt.flags.limit = limit;
            let mut layout = Layout::new();
            let floats = layout.buffer("floats", Kind::F32);
            let integers = layout.buffer("integers", Kind::U32);
            let state = StateFields::declare(&model, &mut layout, floats, integers);
            let ctrl = layout.field(floats, "ctrl", model.nu);
            let graph = record("substep", &layout, || {
                let out = substep(
                    &model,
                    &Parameters::constant(&model),
                    &state.load(),
                    &ctrl.load_all(),
                    &Applied::none(&model),
                );
                state.store(&out.state);
            });
            let ops = graph.operations();
            println!(
                "{m} limit {limit} {} div {} carries {}",
                ops.total, ops.divisions, ops.carries
            );
            for (s, n) in &ops.by_stage {
                print!("  {s} {n}");
            }
            println!();
        }
    }
}
