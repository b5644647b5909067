//! More contacts between links than there are slots: the deepest push, and the world says so.

use std::sync::Arc;

use manyworlds::env::{Physics, Precision, Target};

use crate::oracle;
use crate::rigid_common::{errors, model, record};
use crate::scenes::compile;

/// The slots for contacts with friction where a model does not say how many it wants.
const SLOTS: u64 = 4;

#[test]
fn only_the_deepest_push_where_slots_run_out() {
    let path = "tests/models/sphere_pile.xml";
    let keep = SLOTS.to_string();
    let Some(reference) = oracle::run("deepest.py", &[path, "--keep", &keep, "--states", "60"])
    else {
        return;
    };
    let model = model("sphere_pile");
    let recorded = record(&model);
    let exact = recorded.run::<f64>(&reference);
    let worst = errors(&exact, recorded.qacc, &reference["qacc"]);
    let worst = worst.into_iter().fold(0.0, f64::max);
    println!("accelerations differ by {worst:.1e}");
    assert!(
        worst < 1e-8,
        "{worst:e} from MuJoCo without the shallow contacts"
    );

    let needed: Vec<u64> = oracle::floats(&reference["needed"])
        .into_iter()
        .map(|count| count as u64)
        .collect();
    let mut physics = Physics::new(
        &Arc::new(model),
        needed.len(),
        Target::Host(Precision::Double),
    )
    .expect("it is supported");
    let [qpos, qvel] = ["qpos", "qvel"].map(|name| oracle::floats(&reference[name]));
    physics.set_state(&qpos, &qvel, &[]).expect("it fits");
    let contacts = physics.contacts().expect("the host runs");
    for (world, &needed) in needed.iter().enumerate() {
        assert_eq!(u64::from(contacts.needed[world]), needed, "state {world}");
        assert_eq!(contacts.overflow[world], needed > SLOTS, "state {world}");
        assert!(contacts.converged[world], "state {world}");
    }
    let overflowing = contacts
        .overflow
        .iter()
        .filter(|&&overflow| overflow)
        .count();
    println!("{overflowing} of {} states overflow", needed.len());
    assert!(
        (10..needed.len() - 10).contains(&overflowing),
        "{overflowing} states"
    );
}

/// A model says how many slots it wants; with enough of them nothing overflows.
#[test]
fn a_model_says_how_many_slots_it_wants() {
    let row = |slots: &str| {
        let bodies: String = (0..4)
            .map(|i| {
                let x = 0.19 * f64::from(i);
                format!(r#"<body pos="{x} 0 1"><freejoint/><geom size="0.1"/></body>"#)
            })
            .collect();
        let xml = format!("<mujoco>{slots}<worldbody>{bodies}</worldbody></mujoco>");
        let model = compile(&xml);
        let mut physics = Physics::new(&model, 1, Target::Host(Precision::Double))
            .unwrap_or_else(|error| panic!("{error}"));
        let found = physics.contacts().expect("the host runs");
        // How hard the second sphere is pushed: by both neighbours, or by fewer.
        let push: Vec<f64> = found.cfrc_ext[2 * 6 + 3..2 * 6 + 6].to_vec();
        (found.needed[0], found.overflow[0], push)
    };
    let custom = |count: u32| {
        format!(r#"<custom><numeric name="max_contact_points" data="{count}"/></custom>"#)
    };
    let (needed, overflow, even) = row("");
    assert_eq!((needed, overflow), (3, false));
    assert_eq!(row(&custom(3)), (needed, overflow, even));
    assert_eq!(row(&custom(2)).1, true);
    let (needed, overflow, push) = row(&custom(0));
    assert_eq!((needed, overflow, push), (3, true, vec![0.0; 3]));
}
