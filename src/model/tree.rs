//! Bodies, joints, degrees of freedom, geoms, sites, cameras and lights: the arrays of the tree.

use std::collections::HashSet;

use super::inertia::{self, Lump};
use super::names::Names;
use super::{GeomMass, Model, locate};
use crate::error::{Error, Result};
use crate::scene::kinds::{Geom as Shape, Joint as Kind, Object};
use crate::scene::pose::{self, EPS, Pose};
use crate::scene::{Body, Camera, Geom, Joint, Light, Limited, Place, Scene, Site};

/// Below this a mass or a moment of inertia counts as zero (MuJoCo's `mjMINVAL`).
pub(super) const MINVAL: f64 = 1e-15;

/// Fills every array of the tree, in depth-first order.
///
/// # Errors
/// What MuJoCo's compiler refuses: a moving body without mass, a misplaced free joint, more than
/// six degrees of freedom in a body, sizes, ranges and axes without sense.
pub(super) fn fill(scene: &Scene, model: &mut Model) -> Result<()> {
    let world = &scene.world;
    if let Some(joint) = world.joints.first() {
        let error = Error::invalid("the world cannot have joints");
        return Err(locate(&joint.place, "joint", &joint.name, error));
    }
    let mut filler = Filler {
        scene,
        model,
        labels: Labels::default(),
        referred: referred_geoms(scene),
    };
    filler.body(world, 0)?;
    filler.finish()
}

/// Names by id, while the arrays grow.
#[derive(Default)]
struct Labels {
    bodies: Vec<(String, Place)>,
    joints: Vec<(String, Place)>,
    geoms: Vec<(String, Place)>,
    sites: Vec<(String, Place)>,
    cameras: Vec<(String, Place)>,
    lights: Vec<(String, Place)>,
}

struct Filler<'a> {
    scene: &'a Scene,
    model: &'a mut Model,
    labels: Labels,
    /// Names of geoms that pairs and sensors refer to.
    referred: HashSet<&'a str>,
}

fn referred_geoms(scene: &Scene) -> HashSet<&str> {
    let sensed = scene
        .sensors
        .iter()
        .flat_map(|sensor| [&sensor.object, &sensor.reference]);
    let sensed = sensed
        .flatten()
        .filter(|(kind, _)| *kind == Object::Geom)
        .map(|(_, name)| name);
    scene
        .pairs
        .iter()
        .flat_map(|pair| &pair.geoms)
        .chain(sensed)
        .map(String::as_str)
        .collect()
}

impl Filler<'_> {
    /// Adds a body and its subtree.
    fn body(&mut self, body: &Body, parent: usize) -> Result<()> {
        let id = self.model.nbody;
        let placed = |error| locate(&body.place, "body", &body.name, error);
        let compiler = self.scene.compilers.get(body.compiler).ok_or_else(|| {
            placed(Error::invalid(format!(
                "compiler {} does not exist",
                body.compiler
            )))
        })?;
        finite("pos and quat", body.pose.pos.iter().chain(&body.pose.quat)).map_err(placed)?;
        let mut own = body.pose;
        pose::normalize(&mut own.quat);

        for geom in &body.geoms {
            check_size(geom.kind, geom.size)
                .map_err(|error| locate(&geom.place, "geom", &geom.name, error))?;
        }
        let lump = if id == 0 {
            Lump {
                pose: Pose::default(),
                mass: 0.0,
                moments: [0.0; 3],
            }
        } else {
            inertia::of_body(body, compiler)?
        };
        finite(
            "mass and inertia",
            lump.moments
                .iter()
                .chain(&lump.pose.pos)
                .chain([&lump.mass]),
        )
        .map_err(placed)?;
        self.check_joints(body, parent).map_err(placed)?;
        if !body.joints.is_empty() && !heavy(&lump) && !self.carries_mass(body)? {
            let error = Error::invalid("a moving body must have mass and inertia");
            return Err(placed(
                error.hint("give it an <inertial> or a geom with mass"),
            ));
        }

        // A lone free body's frame may be moved to its inertial frame; its contents move back.
        let aligned = match body.joints.as_slice() {
            [joint] if joint.kind == Kind::Free && body.bodies.is_empty() => match joint.align {
                Limited::True => true,
                Limited::False => false,
                Limited::Auto => compiler.alignfree,
            },
            _ => false,
        };
        let (own, inertial, shift) = if aligned {
            (own.then(&lump.pose), Pose::default(), lump.pose.inverse())
        } else {
            (own, lump.pose, Pose::default())
        };

        let mut masses = inertia::contributions(body, compiler, &lump);
        let discarded =
            |(geom, mass): (&Geom, &GeomMass)| self.discarded(geom) && *mass != GeomMass::None;
        if body.geoms.iter().zip(&masses).any(discarded) {
            masses.fill(GeomMass::None);
        }
        let geoms: Vec<(&Geom, GeomMass)> = (body.geoms.iter().zip(masses))
            .filter(|(geom, _)| !self.discarded(geom))
            .collect();
        let model = &mut *self.model;
        model.nbody += 1;
        model.body_parentid.push(parent);
        model.body_rootid.push(if parent == 0 {
            id
        } else {
            model.body_rootid[parent]
        });
        let welded = body.joints.is_empty() && !body.mocap;
        model.body_weldid.push(if id == 0 || !welded {
            id
        } else {
            model.body_weldid[parent]
        });
        model.body_mocapid.push(body.mocap.then_some(model.nmocap));
        model.nmocap += usize::from(body.mocap);
        model.body_jntnum.push(body.joints.len());
        model.body_jntadr.push(model.njnt);
        model
            .body_dofnum
            .push(body.joints.iter().map(|joint| joint.kind.nv()).sum());
        model.body_dofadr.push(model.nv);
        model.body_geomnum.push(geoms.len());
        model.body_geomadr.push(model.ngeom);
        model.body_pos.push(own.pos);
        model.body_quat.push(own.quat);
        model.body_ipos.push(inertial.pos);
        model.body_iquat.push(inertial.quat);
        model.body_mass.push(lump.mass);
        model.body_inertia.push(lump.moments);
        model.body_products.push([0.0; 3]);
        model.body_gravcomp.push(body.gravcomp);
        let name = if id == 0 { "world" } else { &body.name };
        self.labels.bodies.push((name.into(), body.place.clone()));

        for joint in &body.joints {
            self.joint(joint, id)
                .map_err(|e| locate(&joint.place, "joint", &joint.name, e))?;
        }
        for (geom, mass) in geoms {
            self.model.geom_mass.push(mass);
            self.geom(geom, id, &shift)
                .map_err(|e| locate(&geom.place, "geom", &geom.name, e))?;
        }
        for site in &body.sites {
            self.site(site, id, &shift)
                .map_err(|e| locate(&site.place, "site", &site.name, e))?;
        }
        for camera in &body.cameras {
            self.camera(camera, id, &shift);
        }
        for light in &body.lights {
            self.light(light, id, &shift)
                .map_err(|e| locate(&light.place, "light", &light.name, e))?;
        }
        for child in &body.bodies {
            self.body(child, id)?;
        }
        Ok(())
    }

    /// Whether a geom is only for drawing, and such geoms are to be left out.
    fn discarded(&self, geom: &Geom) -> bool {
        let visual = geom.contype == 0 && geom.conaffinity == 0;
        self.scene.compilers[0].discardvisual
            && visual
            && !self.referred.contains(geom.name.as_str())
    }

    fn material(&self, name: &str) -> Result<Option<usize>> {
        if name.is_empty() || self.scene.compilers[0].discardvisual {
            return Ok(None);
        }
        self.model.mat_names.id(name).map(Some)
    }

    /// What must hold for the joints of a body together.
    fn check_joints(&self, body: &Body, parent: usize) -> Result<()> {
        let dofs: usize = body.joints.iter().map(|joint| joint.kind.nv()).sum();
        if dofs > 6 {
            return Err(Error::invalid(format!(
                "{dofs} degrees of freedom, at most 6 are allowed"
            )));
        }
        if body.mocap && (dofs > 0 || parent != 0) {
            return Err(Error::invalid(
                "a mocap body must be a fixed child of the world",
            ));
        }
        if body.joints.iter().any(|joint| joint.kind == Kind::Free) {
            if body.joints.len() > 1 {
                return Err(Error::invalid("a free joint must be its body's only joint"));
            }
            if parent != 0 {
                return Err(Error::invalid(
                    "a free joint is for children of the world only",
                ));
            }
        }
        let mut kinds = body
            .joints
            .iter()
            .map(|joint| joint.kind)
            .skip_while(|&kind| kind != Kind::Ball);
        kinds.next();
        if kinds.any(|kind| matches!(kind, Kind::Ball | Kind::Hinge)) {
            return Err(Error::invalid("a ball joint is followed by a rotation"));
        }
        Ok(())
    }

    /// Whether a body welded to this one has mass and inertia.
    fn carries_mass(&self, body: &Body) -> Result<bool> {
        for child in body.bodies.iter().filter(|child| child.joints.is_empty()) {
            let compiler = &self.scene.compilers[child.compiler];
            if heavy(&inertia::of_body(child, compiler)?) || self.carries_mass(child)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn joint(&mut self, joint: &Joint, body: usize) -> Result<()> {
        let turns = matches!(joint.kind, Kind::Free | Kind::Ball);
        let mut axis = if turns { [0.0, 0.0, 1.0] } else { joint.axis };
        finite("pos and axis", joint.pos.iter().chain(&axis))?;
        finite(
            "range, ref, springref, stiffness, damping, armature, frictionloss and margin",
            joint
                .range
                .iter()
                .chain(&joint.actuatorfrcrange)
                .chain(&joint.springdamper)
                .chain([
                    &joint.reference,
                    &joint.springref,
                    &joint.stiffness,
                    &joint.damping,
                    &joint.armature,
                    &joint.frictionloss,
                    &joint.margin,
                ]),
        )?;
        if pose::normalize(&mut axis) < EPS {
            return Err(Error::invalid("axis is too short"));
        }
        let limited = joint.kind != Kind::Free && joint.limited.holds(joint.range);
        if limited && joint.kind == Kind::Ball && joint.range[0] != 0.0 {
            return Err(Error::invalid(
                "the range of a ball joint must begin with 0",
            ));
        }
        if limited && joint.kind != Kind::Ball && joint.range[0] >= joint.range[1] {
            return Err(Error::invalid("range must begin with the smaller number"));
        }
        let frclimited = !turns && joint.actuatorfrclimited.holds(joint.actuatorfrcrange);
        if frclimited && joint.actuatorfrcrange[0] >= joint.actuatorfrcrange[1] {
            return Err(Error::invalid(
                "actuatorfrcrange must begin with the smaller number",
            ));
        }
        let [time, ratio] = joint.springdamper;
        if (time != 0.0 || ratio != 0.0) && (time <= 0.0 || ratio <= 0.0) {
            return Err(Error::invalid(
                "both numbers of springdamper must be positive",
            ));
        }

        let model = &mut *self.model;
        let id = model.njnt;
        model.njnt += 1;
        model.jnt_type.push(joint.kind);
        model.jnt_qposadr.push(model.nq);
        model.jnt_dofadr.push(model.nv);
        model.jnt_bodyid.push(body);
        model.jnt_group.push(joint.group);
        model.jnt_limited.push(limited);
        model.jnt_actfrclimited.push(frclimited);
        model.jnt_actgravcomp.push(joint.actuatorgravcomp);
        model.jnt_solref.push(joint.solreflimit);
        model.jnt_solimp.push(joint.solimplimit);
        model.jnt_pos.push(if joint.kind == Kind::Free {
            [0.0; 3]
        } else {
            joint.pos
        });
        model.jnt_axis.push(axis);
        model.jnt_stiffness.push(joint.stiffness);
        model.jnt_range.push(joint.range);
        model.jnt_actfrcrange.push(joint.actuatorfrcrange);
        model.jnt_margin.push(joint.margin);
        self.labels
            .joints
            .push((joint.name.clone(), joint.place.clone()));

        match joint.kind {
            Kind::Free => {
                model.qpos0.extend(model.body_pos[body]);
                model.qpos0.extend(model.body_quat[body]);
                let own = model.qpos0[model.nq..].to_vec();
                model.qpos_spring.extend(own);
            }
            Kind::Ball => {
                model.qpos0.extend(pose::UNIT);
                model.qpos_spring.extend(pose::UNIT);
            }
            Kind::Slide | Kind::Hinge => {
                model.qpos0.push(joint.reference);
                model.qpos_spring.push(joint.springref);
            }
        }
        model.nq += joint.kind.nq();

        for _ in 0..joint.kind.nv() {
            let dof = model.nv;
            model.nv += 1;
            model.dof_bodyid.push(body);
            model.dof_jntid.push(id);
            let above = if dof > model.body_dofadr[body] {
                Some(dof - 1)
            } else {
                last_dof(model, model.body_parentid[body])
            };
            model.dof_parentid.push(above);
            let tree = match above {
                Some(above) => model.dof_treeid[above],
                None => model.dof_treeid.last().map_or(0, |last| last + 1),
            };
            model.dof_treeid.push(tree);
            model.dof_solref.push(joint.solreffriction);
            model.dof_solimp.push(joint.solimpfriction);
            model.dof_frictionloss.push(joint.frictionloss);
            model.dof_armature.push(joint.armature);
            model.dof_damping.push(joint.damping);
        }
        Ok(())
    }

    fn geom(&mut self, geom: &Geom, body: usize, shift: &Pose) -> Result<()> {
        finite("pos and quat", geom.pose.pos.iter().chain(&geom.pose.quat))?;
        finite(
            "friction, solmix, margin and gap",
            geom.friction
                .iter()
                .chain([&geom.solmix, &geom.margin, &geom.gap]),
        )?;
        if !matches!(geom.condim, 1 | 3 | 4 | 6) {
            return Err(Error::invalid(format!(
                "condim is {}, not 1, 3, 4 or 6",
                geom.condim
            )));
        }
        let material = self.material(&geom.material)?;
        let model = &mut *self.model;
        let weld = model.body_weldid[body];
        if geom.kind == Shape::Plane && weld != 0 && model.body_mocapid[weld].is_none() {
            return Err(Error::invalid(
                "a plane can only be in a body that does not move",
            ));
        }
        let mut own = geom.pose;
        pose::normalize(&mut own.quat);
        let own = shift.then(&own);
        model.ngeom += 1;
        model.geom_type.push(geom.kind);
        model.geom_contype.push(geom.contype);
        model.geom_conaffinity.push(geom.conaffinity);
        model.geom_condim.push(geom.condim);
        model.geom_bodyid.push(body);
        model.geom_matid.push(material);
        model.geom_group.push(geom.group);
        model.geom_priority.push(geom.priority);
        model.geom_solmix.push(geom.solmix);
        model.geom_solref.push(geom.solref);
        model.geom_solimp.push(geom.solimp);
        model.geom_size.push(geom.size);
        model
            .geom_rbound
            .push(bounding_radius(geom.kind, geom.size));
        model.geom_pos.push(own.pos);
        model.geom_quat.push(own.quat);
        model.geom_friction.push(geom.friction);
        model.geom_margin.push(geom.margin);
        model.geom_gap.push(geom.gap);
        model.geom_rgba.push(geom.rgba);
        self.labels
            .geoms
            .push((geom.name.clone(), geom.place.clone()));
        Ok(())
    }

    fn site(&mut self, site: &Site, body: usize, shift: &Pose) -> Result<()> {
        finite("pos and quat", site.pose.pos.iter().chain(&site.pose.quat))?;
        if site.kind == Shape::Plane {
            return Err(Error::invalid("a site cannot be a plane"));
        }
        check_size(site.kind, site.size)?;
        let mut own = site.pose;
        pose::normalize(&mut own.quat);
        let own = shift.then(&own);
        let material = self.material(&site.material)?;
        let model = &mut *self.model;
        model.nsite += 1;
        model.site_type.push(site.kind);
        model.site_bodyid.push(body);
        model.site_matid.push(material);
        model.site_group.push(site.group);
        model.site_size.push(site.size);
        model.site_pos.push(own.pos);
        model.site_quat.push(own.quat);
        model.site_rgba.push(site.rgba);
        self.labels
            .sites
            .push((site.name.clone(), site.place.clone()));
        Ok(())
    }

    fn camera(&mut self, camera: &Camera, body: usize, shift: &Pose) {
        let mut own = camera.pose;
        pose::normalize(&mut own.quat);
        let own = shift.then(&own);
        let model = &mut *self.model;
        model.ncam += 1;
        model.cam_bodyid.push(body);
        model.cam_pos.push(own.pos);
        model.cam_quat.push(own.quat);
        model.cam_mode.push(camera.mode);
        model.cam_fovy.push(camera.fovy);
        self.labels
            .cameras
            .push((camera.name.clone(), camera.place.clone()));
    }

    fn light(&mut self, light: &Light, body: usize, shift: &Pose) -> Result<()> {
        let mut dir = light.dir;
        if pose::normalize(&mut dir) < EPS {
            return Err(Error::invalid("dir is zero"));
        }
        let model = &mut *self.model;
        model.nlight += 1;
        model.light_bodyid.push(body);
        model.light_pos.push(shift.point(light.pos));
        model.light_dir.push(pose::rotate(shift.quat, dir));
        model.light_mode.push(light.mode);
        self.labels
            .lights
            .push((light.name.clone(), light.place.clone()));
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let Self {
            scene,
            model,
            labels,
            ..
        } = self;
        model.body_treeid = (0..model.nbody)
            .map(|body| {
                let weld = model.body_weldid[body];
                (model.body_dofnum[weld] > 0).then(|| model.dof_treeid[model.body_dofadr[weld]])
            })
            .collect();
        model.body_names = Names::placed("body", labels.bodies)?;
        model.jnt_names = Names::placed("joint", labels.joints)?;
        model.geom_names = Names::placed("geom", labels.geoms)?;
        model.site_names = Names::placed("site", labels.sites)?;
        model.cam_names = Names::placed("camera", labels.cameras)?;
        model.light_names = Names::placed("light", labels.lights)?;
        resolve_targets(&scene.world, model)
    }
}

/// Finds the bodies that cameras and lights point at, in the order in which they were added.
fn resolve_targets(body: &Body, model: &mut Model) -> Result<()> {
    let target = |model: &Model, name: &str| -> Result<Option<usize>> {
        if name.is_empty() {
            Ok(None)
        } else {
            model.body_names.id(name).map(Some)
        }
    };
    for camera in &body.cameras {
        let id = target(model, &camera.target)
            .map_err(|e| locate(&camera.place, "camera", &camera.name, e))?;
        model.cam_targetbodyid.push(id);
    }
    for light in &body.lights {
        let id = target(model, &light.target)
            .map_err(|e| locate(&light.place, "light", &light.name, e))?;
        model.light_targetbodyid.push(id);
    }
    body.bodies
        .iter()
        .try_for_each(|child| resolve_targets(child, model))
}

/// The last degree of freedom of a body or of its nearest ancestor that has one.
fn last_dof(model: &Model, mut body: usize) -> Option<usize> {
    loop {
        match model.body_dofnum[body] {
            0 if body == 0 => return None,
            0 => body = model.body_parentid[body],
            count => return Some(model.body_dofadr[body] + count - 1),
        }
    }
}

fn heavy(lump: &Lump) -> bool {
    lump.mass >= MINVAL && lump.moments.iter().all(|&moment| moment >= MINVAL)
}

/// Refuses infinities and NaN, which a scene built in Rust can have.
fn finite<'a>(what: &str, numbers: impl IntoIterator<Item = &'a f64>) -> Result<()> {
    if numbers.into_iter().all(|number| number.is_finite()) {
        return Ok(());
    }
    Err(Error::invalid(format!("{what} must be finite")))
}

/// Refuses sizes that a shape cannot have.
fn check_size(kind: Shape, size: [f64; 3]) -> Result<()> {
    finite("size", &size)?;
    let needed: &[usize] = match kind {
        Shape::Plane if size[2] <= 0.0 => {
            return Err(Error::invalid(
                "the third number of a plane's size must be positive",
            ));
        }
        Shape::Plane => &[],
        Shape::Sphere => &[0],
        Shape::Capsule | Shape::Cylinder => &[0, 1],
        Shape::Ellipsoid | Shape::Box => &[0, 1, 2],
    };
    match needed.iter().find(|&&i| size[i] <= 0.0) {
        None => Ok(()),
        Some(i) => {
            let cause = format!(
                "size[{i}] of a {} must be positive, not {}",
                kind.keyword(),
                size[*i]
            );
            Err(Error::invalid(cause))
        }
    }
}

/// Radius of the smallest sphere about a geom's centre that holds it; 0 for planes.
fn bounding_radius(kind: Shape, [a, b, c]: [f64; 3]) -> f64 {
    match kind {
        Shape::Plane => 0.0,
        Shape::Sphere => a,
        Shape::Capsule => a + b,
        Shape::Cylinder => (a * a + b * b).sqrt(),
        Shape::Ellipsoid => a.max(b).max(c),
        Shape::Box => (a * a + b * b + c * c).sqrt(),
    }
}
