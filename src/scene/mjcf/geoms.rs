//! `<geom>` and `<site>`: shapes.

use super::document::Element;
use super::orientation::Orientation;
use super::settings::Settings;
use crate::error::Result;
use crate::scene::kinds::Geom as Shape;
use crate::scene::pose::Pose;
use crate::scene::{Geom, Site, between};

/// A geom's or a site's type as the file gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RawShape {
    Primitive(Shape),
    Mesh,
    HField,
    Sdf,
}

const SHAPES: &[(&str, RawShape)] = &[
    ("plane", RawShape::Primitive(Shape::Plane)),
    ("sphere", RawShape::Primitive(Shape::Sphere)),
    ("capsule", RawShape::Primitive(Shape::Capsule)),
    ("ellipsoid", RawShape::Primitive(Shape::Ellipsoid)),
    ("cylinder", RawShape::Primitive(Shape::Cylinder)),
    ("box", RawShape::Primitive(Shape::Box)),
    ("mesh", RawShape::Mesh),
    ("hfield", RawShape::HField),
    ("sdf", RawShape::Sdf),
];

/// A geom before its shape, its orientation and its ends are resolved.
#[derive(Clone)]
pub(super) struct RawGeom {
    pub(super) geom: Geom,
    pub(super) shape: RawShape,
    pub(super) mesh: String,
    pub(super) hfield: String,
    orientation: Orientation,
    fromto: Option<[f64; 6]>,
    ellipsoid_fluid: bool,
}

impl Default for RawGeom {
    fn default() -> Self {
        Self {
            geom: Geom::new(Shape::Sphere, [0.0; 3]),
            shape: RawShape::Primitive(Shape::Sphere),
            mesh: String::new(),
            hfield: String::new(),
            orientation: Orientation::default(),
            fromto: None,
            ellipsoid_fluid: false,
        }
    }
}

impl RawGeom {
    /// Overwrites it by what an element says.
    pub(super) fn read(&mut self, element: &Element) -> Result<()> {
        let geom = &mut self.geom;
        element.ignore(&["user", "fitscale", "fluidcoef"]);
        element.read_keyword("type", SHAPES, &mut self.shape)?;
        element.read_bits("contype", &mut geom.contype)?;
        element.read_bits("conaffinity", &mut geom.conaffinity)?;
        element.read_count("condim", &mut geom.condim)?;
        element.read_integer("group", &mut geom.group)?;
        element.read_integer("priority", &mut geom.priority)?;
        element.read_some("size", &mut geom.size)?;
        element.read_text("material", &mut geom.material);
        element.read_some("friction", &mut geom.friction)?;
        if let Some([mass]) = element.array("mass")? {
            geom.mass = Some(mass);
        }
        element.read("density", &mut geom.density)?;
        element.read_bool("shellinertia", &mut geom.shellinertia)?;
        element.read("solmix", &mut geom.solmix)?;
        element.read_some("solref", &mut geom.solref)?;
        element.read_some("solimp", &mut geom.solimp)?;
        element.read("margin", &mut geom.margin)?;
        element.read("gap", &mut geom.gap)?;
        element.refuse(&["surfacevel", "adhesion"])?;
        self.fromto = element.array("fromto")?.or(self.fromto);
        element.read_array("pos", &mut geom.pose.pos)?;
        self.orientation.read(element)?;
        element.read_text("hfield", &mut self.hfield);
        element.read_text("mesh", &mut self.mesh);
        element.read_color("rgba", &mut geom.rgba)?;
        let fluids = &[("none", false), ("ellipsoid", true)];
        element.read_keyword("fluidshape", fluids, &mut self.ellipsoid_fluid)
    }

    /// A geom of the scene. Its shape must be a primitive one, and it must have no mesh.
    pub(super) fn finish(
        mut self,
        element: &Element,
        settings: &Settings,
        frame: &Pose,
    ) -> Result<Geom> {
        if self.ellipsoid_fluid {
            return Err(element.unsupported("fluidshape 'ellipsoid' is not supported yet"));
        }
        if let RawShape::Primitive(shape) = self.shape {
            self.geom.kind = shape;
        }
        let stretched = Stretched {
            kind: self.geom.kind,
            size: &mut self.geom.size,
            pose: &mut self.geom.pose,
        };
        stretched.resolve(element, settings, self.fromto, &self.orientation)?;
        self.geom.pose = frame.then(&self.geom.pose);
        self.geom.place = element.place.clone();
        Ok(self.geom)
    }
}

/// A shape that may be given by its ends.
struct Stretched<'a> {
    kind: Shape,
    size: &'a mut [f64; 3],
    pose: &'a mut Pose,
}

impl Stretched<'_> {
    /// Sets pose and size from `fromto`, or the orientation without it.
    fn resolve(
        self,
        element: &Element,
        settings: &Settings,
        fromto: Option<[f64; 6]>,
        orientation: &Orientation,
    ) -> Result<()> {
        let Some(ends) = fromto else {
            self.pose.quat = orientation.resolve(settings, element)?;
            return Ok(());
        };
        if matches!(self.kind, Shape::Plane | Shape::Sphere) {
            let cause = format!("a {} cannot have 'fromto'", self.kind.keyword());
            return Err(element.invalid(cause));
        }
        if self.pose.pos != [0.0; 3] {
            return Err(element.invalid("only one of 'pos' and 'fromto' can be given"));
        }
        let (pose, size) = between(self.kind, ends, *self.size)
            .ok_or_else(|| element.invalid("the ends of 'fromto' coincide"))?;
        (*self.pose, *self.size) = (pose, size);
        Ok(())
    }
}

/// A site before its shape, its orientation and its ends are resolved.
#[derive(Clone)]
pub(super) struct RawSite {
    pub(super) site: Site,
    shape: RawShape,
    orientation: Orientation,
    fromto: Option<[f64; 6]>,
}

impl Default for RawSite {
    fn default() -> Self {
        Self {
            site: Site::new(""),
            shape: RawShape::Primitive(Shape::Sphere),
            orientation: Orientation::default(),
            fromto: None,
        }
    }
}

impl RawSite {
    /// Overwrites it by what an element says.
    pub(super) fn read(&mut self, element: &Element) -> Result<()> {
        let site = &mut self.site;
        element.ignore(&["user", "mesh"]);
        element.read_keyword("type", SHAPES, &mut self.shape)?;
        element.read_integer("group", &mut site.group)?;
        element.read_array("pos", &mut site.pose.pos)?;
        self.orientation.read(element)?;
        element.read_text("material", &mut site.material);
        element.read_some("size", &mut site.size)?;
        self.fromto = element.array("fromto")?.or(self.fromto);
        element.read_color("rgba", &mut site.rgba)
    }

    /// A site of the scene.
    pub(super) fn finish(
        mut self,
        element: &Element,
        settings: &Settings,
        frame: &Pose,
    ) -> Result<Site> {
        let RawShape::Primitive(shape) = self.shape else {
            return Err(element.unsupported("meshes and height fields are not supported yet"));
        };
        self.site.kind = shape;
        let stretched = Stretched {
            kind: shape,
            size: &mut self.site.size,
            pose: &mut self.site.pose,
        };
        stretched.resolve(element, settings, self.fromto, &self.orientation)?;
        self.site.pose = frame.then(&self.site.pose);
        self.site.place = element.place.clone();
        Ok(self.site)
    }
}
