//! Models that one kernel can step: alike but for numbers.
//!
//! A kernel is recorded from one model. What is decided then (which joints, shapes, pairs and limits there are) must hold
//! in every model that it steps; the numbers in which they differ are loads in the place of constants.

use super::{actuation, constraint, weights};
use crate::math::MIN_VALUE;
use crate::model::{Model, Sensor};
use crate::rigid::Parameters;

/// A number of the physics: a component of a row of a field of [`Parameters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    /// The field's name.
    pub field: &'static str,
    /// The row: which body, joint, geom, ….
    pub row: usize,
    /// The component of the row.
    pub component: usize,
}

impl Number {
    /// Its value in a model; 0 where the model has no such number.
    pub fn of(&self, model: &Model) -> f64 {
        Parameters::value(model, self.field, self.row, self.component).unwrap_or_default()
    }
}

/// The numbers in which a model differs from another that the same kernel can step; none if no kernel can step both.
pub fn differences(model: &Model, other: &Model) -> Option<Vec<Number>> {
    if decisions(model) != decisions(other) {
        return None;
    }
    let mut twin = other.clone();
    let mut numbers = Vec::new();
    for (field, _, components) in Parameters::FIELDS {
        // How many steps there are in a control step is the same for all worlds.
        if *field == "timestep" {
            continue;
        }
        let rows = (0..).take_while(|row| Parameters::value(model, field, *row, 0).is_some());
        for (row, component) in rows.flat_map(|row| (0..*components).map(move |c| (row, c))) {
            let value = Parameters::value(model, field, row, component)?;
            let slot = Parameters::value_mut(&mut twin, field, row, component)?;
            if *slot != value {
                *slot = value;
                numbers.push(Number {
                    field,
                    row,
                    component,
                });
            }
        }
    }
    forget(model, &mut twin);
    (twin == *model).then_some(numbers)
}

/// Gives a model what the other has where no kernel looks.
fn forget(model: &Model, twin: &mut Model) {
    macro_rules! take { ($($field:ident),*) => { $( twin.$field.clone_from(&model.$field); )* } }
    take!(name, stat);
    // What follows from numbers.
    take!(body_subtreemass, dof_m0, geom_rbound, geom_mass);
    take!(actuator_acc0, actuator_length0);
    // What is for the eye.
    take!(nmat, mat_rgba, mat_names, geom_matid, site_matid);
    take!(geom_rgba, site_rgba, geom_group, site_group, jnt_group);
    take!(ncam, cam_bodyid, cam_pos, cam_quat, cam_mode);
    take!(cam_targetbodyid, cam_fovy, cam_names);
    take!(nlight, light_bodyid, light_pos, light_dir, light_mode);
    take!(light_targetbodyid, light_names);
    if !model.sensor_type.contains(&Sensor::Touch) {
        take!(site_size, site_type);
    }
}

/// What recording decides by looking at numbers.
fn decisions(model: &Model) -> Vec<bool> {
    let dofs = (0..model.nv).map(|dof| constraint::rubs(model, dof));
    let joints = (0..model.njnt).map(|joint| constraint::sides_overlap(model, joint));
    let bodies = (0..model.nbody).flat_map(|body| {
        [
            weights::slides(model, body),
            model.body_mass[body] < MIN_VALUE,
            model.body_subtreemass[body] < MIN_VALUE,
        ]
    });
    let servos = (0..model.nu).map(|actuator| actuation::is_orientation_servo(model, actuator));
    dofs.chain(joints).chain(bodies).chain(servos).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::mjcf;

    fn model(text: &str) -> Model {
        let scene = mjcf::parse("test", text, ".").expect("the test's model parses");
        Model::compile(&scene).expect("the test's model compiles")
    }

    fn ball(geom: &str, rest: &str) -> Model {
        model(&format!(
            "<mujoco><worldbody><body><freejoint/><geom {geom}/></body></worldbody>{rest}</mujoco>"
        ))
    }

    #[test]
    fn models_that_differ_in_numbers_share_a_kernel() {
        let small = ball("size='0.1' rgba='1 0 0 1'", "");
        let large = ball("size='0.2' friction='0.5 0.1 0.1'", "");
        let numbers = differences(&small, &large).expect("one kernel steps both");
        let fields: Vec<&str> = numbers.iter().map(|number| number.field).collect();
        for field in [
            "body_mass",
            "body_inertia",
            "body_invweight0",
            "geom_size",
            "geom_friction",
        ] {
            assert!(fields.contains(&field), "{field} in {fields:?}");
        }
        assert_eq!(differences(&small, &small), Some(Vec::new()));
        let size = numbers.iter().find(|number| number.field == "geom_size");
        assert_eq!(size.expect("it differs").of(&large), 0.2);
    }

    #[test]
    fn other_shapes_joints_and_decisions_need_another_kernel() {
        let ball_of = |geom: &str| ball(geom, "");
        let first = ball_of("size='0.1'");
        assert_eq!(
            differences(&first, &ball_of("type='box' size='0.1 0.1 0.1'")),
            None
        );
        assert_eq!(differences(&first, &ball_of("size='0.1' condim='6'")), None);
        let step = ball("size='0.1'", "<option timestep='0.001'/>");
        assert_eq!(differences(&first, &step), None);
        let hinge = |joint: &str| {
            model(&format!(
                "<mujoco><worldbody><body><joint {joint}/><geom size='0.1'/></body></worldbody></mujoco>"
            ))
        };
        let smooth = hinge("");
        assert_eq!(differences(&smooth, &hinge("frictionloss='1'")), None);
        assert_eq!(
            differences(&smooth, &hinge("limited='true' range='-1 1'")),
            None
        );
        let damped = differences(&smooth, &hinge("damping='2'")).expect("one kernel steps both");
        assert_eq!(
            damped,
            [Number {
                field: "dof_damping",
                row: 0,
                component: 0
            }]
        );
    }
}
