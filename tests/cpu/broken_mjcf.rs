//! Broken MJCF: each file gives one line that names the file, the line and the cause.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use manyworlds::error::Result;
use manyworlds::model::Model;
use manyworlds::scene::mjcf;

/// Longest time that a broken file may take; a hang would be forever.
const PATIENCE: Duration = Duration::from_secs(5);

/// A body that moves, with `EXTRA` in it.
macro_rules! body {
    ($extra:literal) => {
        concat!(
            "<mujoco>\n<worldbody>\n<body name='b'>\n<joint name='j'/>\n<geom name='g' size='.1'/>\n",
            $extra,
            "\n</body>\n</worldbody>\n</mujoco>"
        )
    };
}

/// A model with one hinge `j` on body `b`, with a section after it on line 4.
macro_rules! after {
    ($section:literal) => {
        concat!(
            "<mujoco><worldbody><body name='b'><joint name='j' range='-90 90'/>\n",
            "<geom name='g' size='.1'/></body>\n<geom name='floor' type='plane' size='1 1 1'/></worldbody>\n",
            $section,
            "\n</mujoco>"
        )
    };
}

/// Name, text, line of the error, and a part of its cause.
const BROKEN: &[(&str, &str, u32, &str)] = &[
    // XML.
    ("empty", "", 1, "not well-formed"),
    (
        "truncated",
        "<mujoco>\n<worldbody>\n<body>",
        3,
        "not well-formed",
    ),
    (
        "truncated_attribute",
        "<mujoco>\n<worldbody>\n<body name='x",
        3,
        "not well-formed",
    ),
    (
        "mismatched",
        "<mujoco>\n<worldbody>\n</body>\n</mujoco>",
        3,
        "not well-formed",
    ),
    (
        "duplicate_attribute",
        "<mujoco>\n<option timestep='1' timestep='2'/>\n</mujoco>",
        2,
        "not well-formed",
    ),
    (
        "entity",
        "<!DOCTYPE x [<!ENTITY a 'aaaa'>]>\n<mujoco model='&a;'/>",
        1,
        "not well-formed",
    ),
    ("binary", "\u{1}\u{2}\u{3}", 1, "not well-formed"),
    ("urdf", "<robot name='r'/>", 1, "URDF is not supported"),
    (
        "wrong_root",
        "\n<model/>",
        2,
        "root element is not <mujoco>",
    ),
    // Elements and attributes.
    (
        "unknown_section",
        "<mujoco>\n<worldbodies/>\n</mujoco>",
        2,
        "did you mean <worldbody>?",
    ),
    (
        "unknown_element",
        body!("<jiont/>"),
        6,
        "did you mean <joint>?",
    ),
    (
        "unknown_attribute",
        body!("<geom size='.1' denisty='3'/>"),
        6,
        "did you mean 'density'?",
    ),
    (
        "unknown_option",
        "<mujoco>\n<option timestpe='1'/></mujoco>",
        2,
        "did you mean 'timestep'?",
    ),
    (
        "unknown_flag",
        "<mujoco><option>\n<flag contacts='disable'/></option></mujoco>",
        2,
        "did you mean 'contact'?",
    ),
    (
        "unknown_visual",
        "<mujoco><visual>\n<sky/></visual></mujoco>",
        2,
        "unknown element <sky>",
    ),
    (
        "child_of_a_geom",
        body!("<geom size='.1'>\n<geom/></geom>"),
        7,
        "unknown element <geom> in <geom>",
    ),
    (
        "world_attribute",
        "<mujoco>\n<worldbody pos='0 0 1'/></mujoco>",
        2,
        "unknown attribute 'pos'",
    ),
    (
        "name_in_default",
        "<mujoco><default>\n<geom name='x'/></default></mujoco>",
        2,
        "unknown attribute 'name'",
    ),
    // Values.
    (
        "word_for_number",
        body!("<geom size='big'/>"),
        6,
        "'big' is not a number",
    ),
    ("nan", body!("<geom size='nan'/>"), 6, "not a finite number"),
    (
        "infinity",
        body!("<site pos='0 0 1e999'/>"),
        6,
        "not a finite number",
    ),
    (
        "too_few",
        body!("<geom size='.1' pos='1 2'/>"),
        6,
        "'pos' has 2 numbers, it needs 3",
    ),
    (
        "too_many",
        body!("<geom size='.1 .1 .1 .1'/>"),
        6,
        "'size' has 4 numbers, at most 3",
    ),
    (
        "fraction",
        body!("<geom size='.1' condim='3.5'/>"),
        6,
        "'3.5' is not an integer",
    ),
    (
        "huge_integer",
        body!("<geom size='.1' group='99999999999'/>"),
        6,
        "not an integer of 32 bits",
    ),
    (
        "bad_enum",
        body!("<geom type='cube' size='.1'/>"),
        6,
        "unknown keyword 'cube'",
    ),
    (
        "near_enum",
        body!("<geom type='shpere' size='.1'/>"),
        6,
        "did you mean 'sphere'?",
    ),
    (
        "bad_bool",
        "<mujoco>\n<compiler balanceinertia='yes'/></mujoco>",
        2,
        "unknown keyword 'yes'",
    ),
    (
        "bad_condim",
        body!("<geom size='.1' condim='2'/>"),
        6,
        "condim is 2",
    ),
    (
        "zero_quat",
        body!("<site quat='0 0 0 0'/>"),
        6,
        "zero quaternion",
    ),
    (
        "two_orientations",
        body!("<site quat='1 0 0 0' euler='1 2 3'/>"),
        6,
        "only one of",
    ),
    (
        "short_axisangle",
        body!("<site axisangle='0 0 0 1'/>"),
        6,
        "'axisangle' is too short",
    ),
    (
        "parallel_axes",
        body!("<site xyaxes='1 0 0 2 0 0'/>"),
        6,
        "'xyaxes' is too short",
    ),
    (
        "eulerseq",
        "<mujoco>\n<compiler eulerseq='xyw'/></mujoco>",
        2,
        "eulerseq 'xyw'",
    ),
    (
        "global_coordinates",
        "<mujoco>\n<compiler coordinate='global'/></mujoco>",
        2,
        "global coordinates",
    ),
    (
        "timestep",
        "<mujoco>\n<option timestep='0'/></mujoco>",
        2,
        "timestep is 0",
    ),
    (
        "negative_iterations",
        "<mujoco>\n<option iterations='-1'/></mujoco>",
        2,
        "cannot be negative",
    ),
    (
        "disabled_group",
        "<mujoco>\n<option actuatorgroupdisable='31'/></mujoco>",
        2,
        "from 0 to 30",
    ),
    (
        "extent",
        "<mujoco>\n<statistic extent='-1'/></mujoco>",
        2,
        "extent must be positive",
    ),
    ("fovy", body!("<camera fovy='200'/>"), 6, "fovy is 200"),
    // Shapes and masses.
    (
        "no_size",
        body!("<geom type='capsule' size='.1'/>"),
        6,
        "size[1] of a capsule must be positive",
    ),
    (
        "negative_size",
        body!("<geom size='-.1'/>"),
        6,
        "must be positive, not -0.1",
    ),
    (
        "fromto_sphere",
        body!("<geom size='.1' fromto='0 0 0 1 0 0'/>"),
        6,
        "a sphere cannot have 'fromto'",
    ),
    (
        "fromto_point",
        body!("<geom type='capsule' size='.1' fromto='1 0 0 1 0 0'/>"),
        6,
        "ends of 'fromto' coincide",
    ),
    (
        "fromto_pos",
        body!("<geom type='box' size='.1' pos='1 0 0' fromto='0 0 0 1 0 0'/>"),
        6,
        "'pos' and 'fromto'",
    ),
    (
        "negative_mass",
        body!("<geom size='.1' mass='-1'/>"),
        6,
        "cannot be negative",
    ),
    (
        "negative_density",
        body!("<geom size='.1' density='-1'/>"),
        6,
        "cannot be negative",
    ),
    (
        "moving_plane",
        body!("<geom type='plane' size='1 1 1'/>"),
        6,
        "a plane can only be in a body that does not move",
    ),
    (
        "no_mass",
        "<mujoco><worldbody>\n<body name='b'><joint/></body></worldbody></mujoco>",
        2,
        "must have mass and inertia",
    ),
    (
        "unphysical",
        body!("<inertial pos='0 0 0' mass='1' diaginertia='1 1 3'/>"),
        3,
        "balanceinertia",
    ),
    (
        "negative_inertia",
        body!("<inertial pos='0 0 0' mass='1' diaginertia='1 1 -1'/>"),
        3,
        "cannot be negative",
    ),
    (
        "full_inertia",
        body!("<inertial pos='0 0 0' mass='1' fullinertia='1 1 1 5 0 0'/>"),
        3,
        "positive eigenvalues",
    ),
    (
        "inertial_without_mass",
        body!("<inertial pos='0 0 0'/>"),
        6,
        "'mass' is required",
    ),
    (
        "two_inertials",
        body!(
            "<inertial pos='0 0 0' mass='1' diaginertia='1 1 1'/>\n<inertial pos='0 0 0' mass='1'/>"
        ),
        7,
        "already",
    ),
    (
        "two_inertias",
        body!("<inertial pos='0 0 0' mass='1' diaginertia='1 1 1' fullinertia='1 1 1 0 0 0'/>"),
        6,
        "only one of",
    ),
    (
        "inertial_in_world",
        "<mujoco><worldbody>\n<inertial pos='0 0 0' mass='1'/></worldbody></mujoco>",
        2,
        "the world cannot",
    ),
    // Joints.
    (
        "joint_in_world",
        "<mujoco><worldbody>\n<joint/></worldbody></mujoco>",
        2,
        "the world cannot have joints",
    ),
    (
        "freejoint_in_world",
        "<mujoco><worldbody>\n<freejoint/></worldbody></mujoco>",
        2,
        "the world cannot have joints",
    ),
    (
        "nested_free",
        body!("<body name='c'>\n<freejoint/><geom size='.1'/></body>"),
        6,
        "children of the world only",
    ),
    ("two_free", body!("<freejoint/>"), 3, "7 degrees of freedom"),
    (
        "free_and_slide",
        "<mujoco><worldbody>\n<body><joint type='free'/><joint type='slide'/><geom size='1'/></body></worldbody></mujoco>",
        2,
        "degrees of freedom",
    ),
    (
        "too_many_dofs",
        body!("<joint/><joint/><joint/><joint/><joint/><joint/>"),
        3,
        "7 degrees of freedom",
    ),
    (
        "ball_then_hinge",
        "<mujoco><worldbody>\n<body><joint type='ball'/><joint/><geom size='1'/></body></worldbody></mujoco>",
        2,
        "followed by a rotation",
    ),
    (
        "zero_axis",
        body!("<joint axis='0 0 0'/>"),
        6,
        "axis is too short",
    ),
    (
        "reversed_range",
        body!("<joint limited='true' range='1 -1'/>"),
        6,
        "range must begin with the smaller",
    ),
    (
        "no_range",
        body!("<joint limited='true'/>"),
        6,
        "range must begin with the smaller",
    ),
    (
        "ball_range",
        "<mujoco><worldbody><body>\n<joint type='ball' range='1 2'/><geom size='1'/></body></worldbody></mujoco>",
        2,
        "must begin with 0",
    ),
    (
        "autolimits",
        "<mujoco><compiler autolimits='false'/><worldbody><body>\n<joint range='1 2'/><geom size='1'/></body></worldbody></mujoco>",
        2,
        "autolimits is off",
    ),
    (
        "springdamper",
        body!("<joint springdamper='1 -1'/>"),
        6,
        "springdamper must be positive",
    ),
    (
        "polynomial",
        body!("<joint stiffness='1 2'/>"),
        6,
        "nonlinear 'stiffness' is not supported",
    ),
    (
        "moving_mocap",
        "<mujoco><worldbody>\n<body mocap='true'><joint/><geom size='1'/></body></worldbody></mujoco>",
        2,
        "mocap body must be a fixed child",
    ),
    // Names and references.
    (
        "duplicate_joint",
        body!("<joint name='j'/>"),
        6,
        "the name is taken by the joint at",
    ),
    (
        "duplicate_geom",
        body!("<geom name='g' size='.1'/>"),
        6,
        "the name is taken",
    ),
    (
        "duplicate_body",
        body!("<body name='b'/>"),
        6,
        "the name is taken",
    ),
    (
        "duplicate_world",
        body!("<body name='world'/>"),
        6,
        "the name is taken",
    ),
    (
        "duplicate_actuator",
        after!("<actuator>\n<motor name='a' joint='j'/>\n<motor name='a' joint='j'/></actuator>"),
        6,
        "the name is taken",
    ),
    (
        "missing_class",
        body!("<geom class='bigg' size='.1'/>"),
        6,
        "unknown default class 'bigg'",
    ),
    (
        "missing_childclass",
        body!("<body childclass='main '/>"),
        6,
        "did you mean 'main'?",
    ),
    (
        "duplicate_class",
        "<mujoco><default><default class='a'/>\n<default class='a'/></default></mujoco>",
        2,
        "exists already",
    ),
    (
        "nameless_class",
        "<mujoco><default>\n<default/></default></mujoco>",
        2,
        "'class' is required",
    ),
    (
        "missing_material",
        body!("<geom size='.1' material='gold'/>"),
        6,
        "unknown material 'gold'",
    ),
    (
        "missing_mesh",
        body!("<geom type='mesh' mesh='m'/>"),
        6,
        "unknown mesh 'm'",
    ),
    (
        "mesh_of_mass",
        "<mujoco><asset><mesh name='m' file='m.stl'/></asset><worldbody><body>\n<geom type='mesh' mesh='m'/></body></worldbody></mujoco>",
        2,
        "mesh 'm' is needed for collision",
    ),
    (
        "missing_target",
        body!("<camera mode='targetbody' target='bb'/>"),
        6,
        "did you mean 'b'?",
    ),
    (
        "missing_joint",
        after!("<actuator>\n<motor joint='jj'/></actuator>"),
        5,
        "did you mean 'j'?",
    ),
    (
        "no_transmission",
        after!("<actuator>\n<motor name='m'/></actuator>"),
        5,
        "acts on nothing",
    ),
    (
        "tendon_transmission",
        after!("<actuator>\n<motor tendon='t'/></actuator>"),
        5,
        "not supported yet",
    ),
    (
        "unknown_actuator",
        after!("<actuator>\n<moter joint='j'/></actuator>"),
        5,
        "did you mean <motor>?",
    ),
    (
        "reversed_ctrlrange",
        after!("<actuator>\n<motor joint='j' ctrllimited='true' ctrlrange='1 -1'/></actuator>"),
        5,
        "ctrlrange 1 -1",
    ),
    (
        "actrange",
        after!("<actuator>\n<general joint='j' actrange='0 1'/></actuator>"),
        5,
        "dyntype is 'none'",
    ),
    (
        "actdim",
        after!("<actuator>\n<general joint='j' actdim='2' dyntype='filter'/></actuator>"),
        5,
        "actdim is 2",
    ),
    (
        "kv_and_dampratio",
        after!("<actuator>\n<position joint='j' kv='1' dampratio='1'/></actuator>"),
        5,
        "only one of",
    ),
    (
        "negative_kv",
        after!("<actuator>\n<position joint='j' kv='-1'/></actuator>"),
        5,
        "'kv' cannot be negative",
    ),
    (
        "muscle",
        after!("<actuator>\n<muscle joint='j'/></actuator>"),
        5,
        "not supported yet",
    ),
    (
        "pair",
        after!("<contact>\n<pair geom1='g' geom2='flor'/></contact>"),
        5,
        "did you mean 'floor'?",
    ),
    (
        "exclude",
        after!("<contact>\n<exclude body1='b'/></contact>"),
        5,
        "'body2' is required",
    ),
    (
        "sensor_site",
        after!("<sensor>\n<gyro site='s'/></sensor>"),
        5,
        "unknown site 's'",
    ),
    (
        "sensor_kind",
        after!("<sensor>\n<rangefinder site='s'/></sensor>"),
        5,
        "not supported yet",
    ),
    (
        "sensor_joint",
        after!("<sensor>\n<ballquat joint='j'/></sensor>"),
        5,
        "needs a ball joint",
    ),
    (
        "sensor_typo",
        after!("<sensor>\n<giro site='s'/></sensor>"),
        5,
        "did you mean <gyro>?",
    ),
    (
        "key_size",
        after!("<keyframe>\n<key qpos='1 2'/></keyframe>"),
        5,
        "qpos has 2 numbers, the model needs 1",
    ),
    (
        "key_nan",
        after!("<keyframe>\n<key qpos='nan'/></keyframe>"),
        5,
        "not a finite number",
    ),
    (
        "key_name",
        after!("<keyframe>\n<key name='k'/>\n<key name='k'/></keyframe>"),
        6,
        "the name is taken",
    ),
    // Sections that are not supported.
    (
        "tendon",
        after!("<tendon>\n<fixed><joint joint='j' coef='1'/></fixed></tendon>"),
        5,
        "<tendon> is not supported yet",
    ),
    (
        "equality",
        after!("<equality>\n<weld body1='b'/></equality>"),
        5,
        "<equality> is not supported yet",
    ),
    (
        "deformable",
        after!("<deformable>\n<flex/></deformable>"),
        5,
        "<deformable> is not supported yet",
    ),
    (
        "extension",
        after!("<extension>\n<plugin plugin='p'/></extension>"),
        5,
        "<extension> is not supported yet",
    ),
    (
        "composite",
        body!("<composite type='grid' count='2 2 1'/>"),
        6,
        "not supported yet",
    ),
    (
        "fluid",
        body!("<geom size='.1' fluidshape='ellipsoid'/>"),
        6,
        "not supported yet",
    ),
    (
        "surfacevel",
        body!("<geom size='.1' surfacevel='1 0 0'/>"),
        6,
        "'surfacevel' is not supported yet",
    ),
    (
        "delay",
        after!("<actuator>\n<motor joint='j' delay='0.1'/></actuator>"),
        5,
        "'delay' is not supported yet",
    ),
    // Sizes.
    (
        "replicate_huge",
        body!("<replicate count='1000000000'>\n<geom size='.1'/></replicate>"),
        6,
        "at most 200000",
    ),
    (
        "replicate_tower",
        body!(
            "<replicate count='1000'><replicate count='1000'><replicate count='1000'><site/>\n</replicate></replicate></replicate>"
        ),
        6,
        "at most 200000",
    ),
    (
        "replicate_negative",
        body!("<replicate count='-1'/>"),
        6,
        "cannot be negative",
    ),
    (
        "replicate_without_count",
        body!("<replicate><site/></replicate>"),
        6,
        "'count' is required",
    ),
    (
        "nkey_huge",
        "<mujoco>\n<size nkey='2000000000'/></mujoco>",
        2,
        "nkey is 2000000000",
    ),
    (
        "numeric_huge",
        "<mujoco><custom>\n<numeric name='n' size='2000000000'/></custom></mujoco>",
        2,
        "size is 2000000000",
    ),
    // Files.
    (
        "include_missing",
        "<mujoco>\n<include file='nowhere.xml'/></mujoco>",
        2,
        "'nowhere.xml' does not exist",
    ),
    (
        "include_itself",
        "<mujoco>\n<include file='include_itself.xml'/></mujoco>",
        2,
        "includes itself",
    ),
    (
        "include_without_file",
        "<mujoco>\n<include/></mujoco>",
        2,
        "'file' is required",
    ),
    (
        "include_twice",
        "<mujoco><include file='good.part'/>\n<include file='good.part'/></mujoco>",
        2,
        "more than once",
    ),
    (
        "include_directory",
        "<mujoco>\n<include file='.'/></mujoco>",
        2,
        "does not exist",
    ),
    (
        "attach_missing",
        "<mujoco><asset>\n<model name='m' file='nowhere.xml'/></asset></mujoco>",
        2,
        "does not exist",
    ),
    (
        "attach_itself",
        "<mujoco><asset>\n<model name='m' file='attach_itself.xml'/></asset></mujoco>",
        2,
        "attaches itself",
    ),
    (
        "attach_unknown",
        body!("<attach model='m' prefix='p'/>"),
        6,
        "unknown model 'm'",
    ),
    (
        "attach_without_prefix",
        body!("<attach model='m'/>"),
        6,
        "'prefix' is required",
    ),
];

/// A fresh folder for one test's files.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("manyworlds-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn compile(path: &Path) -> Result<Model> {
    Model::compile(&mjcf::load(path)?)
}

#[test]
fn every_broken_file_names_its_line_and_its_cause() {
    assert!(BROKEN.len() >= 50);
    let folder = folder("broken");
    std::fs::write(folder.join("good.part"), "<mujoco><option/></mujoco>").unwrap();
    let mut wrong = String::new();
    for (name, text, line, cause) in BROKEN {
        let path = folder.join(format!("{name}.xml"));
        std::fs::write(&path, text).unwrap();
        let start = Instant::now();
        let message = match compile(&path) {
            Ok(_) => "no error".to_string(),
            Err(error) => error.to_string(),
        };
        assert!(
            start.elapsed() < PATIENCE,
            "{name} took {:?}",
            start.elapsed()
        );
        let place = format!("{name}.xml:{line}: ");
        if !message.contains(&place) || !message.contains(cause) || message.contains('\n') {
            writeln!(wrong, "{name}: expected '{place}…{cause}', got '{message}'").unwrap();
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn a_cycle_of_includes_and_an_error_in_an_included_file_name_that_file() {
    let folder = folder("includes");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("a.xml", "<mujoco>\n<include file='b.part'/></mujoco>");
    write("b.part", "<mujoco>\n\n<include file='a.xml'/></mujoco>");
    write("c.xml", "<mujoco><include file='d.part'/></mujoco>");
    write("d.part", "<mujoco>\n<option timestep='x'/></mujoco>");
    let cycle = compile(&folder.join("a.xml")).unwrap_err().to_string();
    let inside = compile(&folder.join("c.xml")).unwrap_err().to_string();
    let missing = compile(&folder.join("none.xml")).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(
        cycle.contains("b.part:3: <include>: ") && cycle.contains("includes itself"),
        "{cycle}"
    );
    assert!(
        inside.contains("d.part:2: <option>: ") && inside.contains("'x' is not a number"),
        "{inside}"
    );
    assert!(
        missing.contains("none.xml") && !missing.contains('\n'),
        "{missing}"
    );
}

/// A thousand bodies in each other are refused before anything recurses into them.
#[test]
fn deep_nesting_is_refused() {
    let text = format!(
        "<mujoco><worldbody>{}{}</worldbody></mujoco>",
        "<body>".repeat(100_000),
        "</body>".repeat(100_000)
    );
    let error = mjcf::parse("deep.xml", &text, "").unwrap_err().to_string();
    assert!(
        error.contains("deep.xml:1: ") && error.contains("nested deeper"),
        "{error}"
    );
    let deep = 250;
    let text = format!(
        "<mujoco><worldbody>{}{}</worldbody></mujoco>",
        "<body>".repeat(deep),
        "</body>".repeat(deep)
    );
    let model = Model::compile(&mjcf::parse("deep.xml", &text, "").unwrap()).unwrap();
    assert_eq!(model.nbody, deep + 1);
}

/// Every prefix of a good file is an error or a model, never a panic.
#[test]
fn no_prefix_of_a_good_file_panics() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/actuator_kinds.xml");
    let text = std::fs::read_to_string(path).unwrap();
    for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
        let result =
            mjcf::parse("prefix.xml", &text[..end], "").and_then(|scene| Model::compile(&scene));
        if let Err(error) = result {
            assert!(error.to_string().contains("prefix.xml:"), "{error}");
        }
    }
}
