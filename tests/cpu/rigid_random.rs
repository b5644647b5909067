//! Random trees against MuJoCo: any joints in any order, any parameters, any switches.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use manyworlds::model::Model;
use manyworlds::scene::mjcf;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::oracle;
use crate::rigid_common::{errors, record, with_integrator};

const MODELS: u32 = 24;
const STATES: usize = 20;

/// A joint's kind and its numbers between 0 and 1, used as the kind needs.
#[derive(Clone, Debug)]
struct Joint {
    kind: usize,
    axis: [f64; 3],
    anchor: [f64; 3],
    unit: [f64; 8],
    limited: bool,
    soft: bool,
}

#[derive(Clone, Debug)]
struct Body {
    /// The parent is this body modulo the number of bodies before it, plus one for the world.
    parent: usize,
    pos: [f64; 3],
    euler: [f64; 3],
    joints: Vec<Joint>,
    shape: usize,
    gravcomp: f64,
}

#[derive(Clone, Debug)]
struct Actuator {
    target: usize,
    kind: usize,
    in_parent: bool,
    unit: [f64; 8],
}

#[derive(Clone, Debug)]
struct Tree {
    bodies: Vec<Body>,
    actuators: Vec<Actuator>,
    /// Features that are switched off.
    disabled: Vec<&'static str>,
    timestep: f64,
}

fn joint() -> impl Strategy<Value = Joint> {
    let numbers = (
        prop::array::uniform3(-1.0..1.0f64),
        prop::array::uniform3(-0.1..0.1f64),
        prop::array::uniform8(0.0..1.0f64),
    );
    // A third of the axes is along the coordinates.
    (0usize..12, numbers, any::<bool>(), any::<bool>(), 0usize..9).prop_map(
        |(kind, (axis, anchor, unit), limited, soft, along)| {
            let axis = match along {
                0..3 => std::array::from_fn(|k| if k == along { 1.0 } else { 0.0 }),
                _ if axis.iter().all(|x: &f64| x.abs() < 0.1) => [0.0, 0.0, -1.0],
                _ => axis,
            };
            Joint {
                kind,
                axis,
                anchor,
                unit,
                limited,
                soft,
            }
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let place = (
        prop::array::uniform3(-0.5..0.5f64),
        prop::array::uniform3(-180.0..180.0f64),
    );
    (
        0usize..8,
        place,
        prop::collection::vec(joint(), 0..=3),
        0usize..5,
        prop_oneof![3 => Just(0.0), 1 => 0.0..1.5f64],
    )
        .prop_map(|(parent, (pos, euler), joints, shape, gravcomp)| Body {
            parent,
            pos,
            euler,
            joints,
            shape,
            gravcomp,
        })
}

fn tree() -> impl Strategy<Value = Tree> {
    let actuator = (
        0usize..16,
        0usize..7,
        any::<bool>(),
        prop::array::uniform8(0.0..1.0f64),
    )
        .prop_map(|(target, kind, in_parent, unit)| Actuator {
            target,
            kind,
            in_parent,
            unit,
        });
    let flags = [
        "constraint",
        "limit",
        "spring",
        "damper",
        "gravity",
        "clampctrl",
        "refsafe",
        "eulerdamp",
        "actuation",
    ];
    (
        prop::collection::vec(body(), 1..7),
        prop::collection::vec(actuator, 0..5),
        prop_oneof![2 => Just(Vec::new()), 1 => prop::sample::subsequence(flags.to_vec(), 1..3)],
        0.001..0.01f64,
    )
        .prop_map(|(bodies, actuators, disabled, timestep)| Tree {
            bodies,
            actuators,
            disabled,
            timestep,
        })
}

fn list(numbers: &[f64]) -> String {
    numbers
        .iter()
        .map(f64::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The joint's element. Free joints are for the world's children only, alone; elsewhere they become hinges.
fn joint_xml(
    joint: &Joint,
    name: usize,
    may_be_free: bool,
    after_ball: bool,
) -> (String, &'static str) {
    let kind = match joint.kind {
        0..3 if may_be_free => "free",
        // MuJoCo allows no rotation after a ball.
        _ if after_ball => "slide",
        3..6 => "ball",
        6..8 => "slide",
        _ => "hinge",
    };
    let u = joint.unit;
    if kind == "free" {
        let numbers = format!(
            "stiffness=\"{}\" damping=\"{}\" armature=\"{}\"",
            u[0],
            0.2 * u[1],
            0.05 * u[2]
        );
        return (
            format!("<joint name=\"j{name}\" type=\"free\" {numbers}/>"),
            kind,
        );
    }
    let mut xml = format!(
        "<joint name=\"j{name}\" type=\"{kind}\" pos=\"{}\"",
        list(&joint.anchor)
    );
    write!(
        xml,
        " damping=\"{}\" armature=\"{}\" stiffness=\"{}\"",
        u[0],
        0.1 * u[1],
        (5.0 * u[2] - 2.0).max(0.0)
    )
    .unwrap();
    if kind == "ball" {
        write!(xml, " range=\"0 {}\"", 40.0 + 100.0 * u[3]).unwrap();
    } else {
        let scale = if kind == "slide" { 0.01 } else { 1.0 };
        let low = -90.0 * scale * u[3];
        write!(
            xml,
            " axis=\"{}\" range=\"{low} {}\"",
            list(&joint.axis),
            low + (5.0 + 100.0 * u[4]) * scale
        )
        .unwrap();
        write!(
            xml,
            " ref=\"{}\" springref=\"{}\"",
            20.0 * scale * u[5],
            30.0 * scale * (u[6] - 0.5)
        )
        .unwrap();
    }
    write!(
        xml,
        " limited=\"{}\" margin=\"{}\"",
        joint.limited,
        (0.2 * u[7] - 0.1).max(0.0)
    )
    .unwrap();
    if joint.soft {
        let power = [1.0, 2.0, 3.0, 2.5][(u[6] * 4.0) as usize % 4];
        write!(
            xml,
            " solimplimit=\"{} {} {} {} {power}\"",
            0.5 + 0.3 * u[0],
            0.9 + 0.09 * u[1],
            0.3 * u[2],
            u[3]
        )
        .unwrap();
        let reference = if u[4] < 0.5 {
            [0.01 + 0.1 * u[5], 0.3 + u[6]]
        } else {
            [-300.0 * u[5] - 10.0, -30.0 * u[6] - 1.0]
        };
        write!(xml, " solreflimit=\"{}\"", list(&reference)).unwrap();
    }
    (xml + "/>", kind)
}

fn actuator_xml(actuator: &Actuator, joints: &[&'static str]) -> String {
    let target = actuator.target % joints.len();
    let u = actuator.unit;
    let gear = match joints[target] {
        "free" => list(&[u[0], -u[1], u[2], u[3], -u[4], u[5]]),
        "ball" => list(&[u[0], -u[1], u[2]]),
        _ => list(&[3.0 * u[0] - 1.0]),
    };
    let attribute = if actuator.in_parent {
        "jointinparent"
    } else {
        "joint"
    };
    let common = format!("{attribute}=\"j{target}\" gear=\"{gear}\"");
    let limits = format!(
        "ctrllimited=\"{}\" ctrlrange=\"-0.5 {}\"",
        u[6] < 0.5,
        0.2 + u[7]
    );
    let range = format!(
        "actlimited=\"{}\" actrange=\"-0.4 0.6\" actearly=\"{}\"",
        u[5] < 0.5,
        u[6] < 0.5
    );
    let affine = format!(
        "biastype=\"affine\" biasprm=\"{} {} {}\"",
        u[0] - 0.5,
        -u[1],
        -u[2]
    );
    match actuator.kind {
        0 => format!("<motor {common} {limits}/>"),
        1 => format!(
            "<position {common} {limits} kp=\"{}\" kv=\"{}\" forcelimited=\"true\" forcerange=\"-1 1\"/>",
            3.0 * u[1],
            u[2]
        ),
        2 => format!("<velocity {common} {limits} kv=\"{}\"/>", u[3]),
        3 => format!(
            "<general {common} {limits} dyntype=\"integrator\" {range} gainprm=\"{}\" {affine}/>",
            u[1]
        ),
        4 => format!(
            "<general {common} dyntype=\"filter\" dynprm=\"{}\" {range} gaintype=\"affine\" gainprm=\"{}\" {affine}/>",
            0.01 + u[3],
            list(&u[..3])
        ),
        5 => format!(
            "<general {common} dyntype=\"filterexact\" dynprm=\"{}\" {range} gainprm=\"2\"/>",
            0.01 + u[3]
        ),
        _ => format!(
            "<general {common} {limits} gaintype=\"affine\" gainprm=\"{}\" {affine}/>",
            list(&[u[3], u[4] - 0.5, -u[5]])
        ),
    }
}

impl Tree {
    fn to_xml(&self) -> String {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.bodies.len() + 1];
        for (i, body) in self.bodies.iter().enumerate() {
            children[body.parent % (i + 1)].push(i);
        }
        let mut joints = Vec::new();
        let mut world = String::new();
        children[0]
            .iter()
            .for_each(|&child| self.body_xml(child, &children, true, &mut joints, &mut world));
        let mut actuators = String::new();
        if !joints.is_empty() {
            self.actuators
                .iter()
                .for_each(|actuator| actuators += &actuator_xml(actuator, &joints));
        }
        let flags: Vec<String> = self
            .disabled
            .iter()
            .map(|flag| format!("{flag}=\"disable\""))
            .collect();
        format!(
            "<mujoco><option timestep=\"{}\"><flag {}/></option><default><geom contype=\"0\" conaffinity=\"0\"/></default>\
             <worldbody>{world}</worldbody><actuator>{actuators}</actuator></mujoco>",
            self.timestep,
            flags.join(" ")
        )
    }

    fn body_xml(
        &self,
        index: usize,
        children: &[Vec<usize>],
        top: bool,
        joints: &mut Vec<&'static str>,
        out: &mut String,
    ) {
        let body = &self.bodies[index];
        write!(
            out,
            "<body pos=\"{}\" euler=\"{}\" gravcomp=\"{}\">",
            list(&body.pos),
            list(&body.euler),
            body.gravcomp
        )
        .unwrap();
        let mut kinds: Vec<&str> = Vec::new();
        for joint in &body.joints {
            let (xml, kind) = joint_xml(
                joint,
                joints.len(),
                top && kinds.is_empty(),
                kinds.contains(&"ball"),
            );
            *out += &xml;
            joints.push(kind);
            kinds.push(kind);
            if kind == "free" {
                break;
            }
        }
        *out += [
            "<geom type=\"sphere\" size=\"0.1\" pos=\"0.02 0 0.01\"/>",
            "<geom type=\"capsule\" size=\"0.05\" fromto=\"0 0 0 0.1 0.2 -0.1\"/>",
            "<geom type=\"box\" size=\"0.1 0.05 0.2\"/>",
            "<geom type=\"ellipsoid\" size=\"0.1 0.05 0.2\" pos=\"0 0.1 0\" euler=\"10 0 30\"/>",
            "<geom type=\"box\" size=\"0.1 0.05 0.2\"/><geom type=\"cylinder\" size=\"0.1 0.05\" pos=\"0.1 0 0\" euler=\"50 20 0\"/>",
        ][body.shape];
        children[index + 1]
            .iter()
            .for_each(|&child| self.body_xml(child, children, false, joints, out));
        *out += "</body>";
    }
}

/// Compares one step of every integrator from a few states; the error says what differs.
fn compare(path: &PathBuf, xml: &str) -> Result<(), String> {
    fs::write(path, xml).expect("a temporary file");
    let scene = mjcf::parse("random.xml", xml, ".").map_err(|error| error.to_string())?;
    let model = Model::compile(&scene).map_err(|error| error.to_string())?;
    let (states, name) = (STATES.to_string(), path.to_str().expect("a UTF-8 path"));
    let mut arguments = vec!["--states", &states];
    for integrator in ["Euler", "RK4", "implicitfast"] {
        arguments.extend(["--integrator", integrator]);
    }
    arguments.push(name);
    let references = oracle::run("step.py", &arguments).expect("checked before");
    for reference in references.as_array().expect("a list") {
        let integrator = reference["integrator"].as_str().expect("a name");
        let recorded = record(&with_integrator(&model, integrator));
        let memory = recorded.run::<f64>(reference);
        for (output, field) in recorded.outputs() {
            let errors = errors(&memory, field, &reference[output]);
            for (world, error) in errors.into_iter().enumerate() {
                // A world that MuJoCo itself resets, for accelerations out of range, is no reference.
                let reset = reference["warnings"][world] != 0;
                if error > 1e-9 && !reset {
                    return Err(format!(
                        "{integrator} {output}, world {world}: error {error:e}"
                    ));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn random_trees_match_mujoco() {
    let empty = "<mujoco><worldbody/></mujoco>";
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("random_tree_{}.xml", std::process::id()));
    fs::write(&path, empty).expect("a temporary file");
    if oracle::run(
        "step.py",
        &["--states", "1", path.to_str().expect("a UTF-8 path")],
    )
    .is_none()
    {
        return;
    }
    let config = Config {
        cases: MODELS,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&tree(), |tree| {
        let xml = tree.to_xml();
        compare(&path, &xml).map_err(|what| TestCaseError::fail(format!("{what}\n{xml}")))
    });
    fs::remove_file(&path).expect("a temporary file");
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
