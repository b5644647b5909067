//! The moving structure of a model: bodies that cannot move against each other are one link.
//!
//! Host data, found once. MuJoCo's bodies without joints are welded to their parent; here they cost nothing: their
//! inertia is added to their link's and their frames are constants in it. Bodies welded to the world or to a mocap
//! body belong to no link.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::model::{Integrator, Joint, Model};

use super::parameters::Parameters;
use super::roll::MOST_GEOMS;

/// The links of a model, parents before children.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// The links.
    pub links: Vec<Link>,
    /// `[nbody]` The link a body belongs to; none for bodies that are fixed in the world.
    pub body_link: Vec<Option<usize>>,
}

/// Bodies that move as one.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// The body whose frame is the link's, the only one that has joints.
    pub body: usize,
    /// The link it is attached to; none for the world.
    pub parent: Option<usize>,
    /// The first link of its kinematic tree, whose position is the tree's common origin.
    pub root: usize,
    /// All its bodies, `body` first.
    pub members: Vec<usize>,
    /// Its joints, in the order in which they act.
    pub joints: Range<usize>,
    /// Whether other links are attached to it.
    pub has_children: bool,
}

impl Tree {
    /// Finds the links of a model.
    pub(super) fn new(model: &Model) -> Self {
        let mut links: Vec<Link> = Vec::new();
        let mut body_link = vec![None; model.nbody];
        for body in 1..model.nbody {
            let above: Option<usize> = body_link[model.body_parentid[body]];
            if model.body_jntnum[body] == 0 {
                body_link[body] = above;
                if let Some(link) = above {
                    links[link].members.push(body);
                }
                continue;
            }
            let this = links.len();
            if let Some(parent) = above {
                links[parent].has_children = true;
            }
            links.push(Link {
                body,
                parent: above,
                root: above.map_or(this, |parent| links[parent].root),
                members: vec![body],
                joints: model.body_joints(body),
                has_children: false,
            });
            body_link[body] = Some(this);
        }
        Self { links, body_link }
    }
}

impl Link {
    /// Whether it is a free body without anything attached that moves.
    pub(super) fn is_lone_free_body(&self, model: &Model) -> bool {
        self.joints.len() == 1
            && model.jnt_type[self.joints.start] == Joint::Free
            && !self.has_children
    }
}

/// Says what of a model the stages of [`rigid`](super) cannot simulate, before anything is recorded.
///
/// # Errors
/// The first feature that this version does not support, and what to use instead.
pub fn check(model: &Model) -> Result<()> {
    Parameters::check(model)?;
    if model.ngeom >= MOST_GEOMS {
        let cause = Error::unsupported(format!("{} geoms", model.ngeom));
        return Err(cause.hint(format!("at most {} are supported", MOST_GEOMS - 1)));
    }
    let unsupported =
        |what: &str, hint: &str| Err(Error::unsupported(what).context("option").hint(hint));
    if model.opt.integrator == Integrator::Implicit {
        return unsupported(
            "the integrator `implicit` is not supported yet",
            "use `implicitfast` or `Euler`",
        );
    }
    let fluid = model.opt.density != 0.0 || model.opt.viscosity != 0.0;
    if fluid && model.opt.integrator == Integrator::ImplicitFast {
        return unsupported(
            "fluid forces are not supported yet with `implicitfast`",
            "use `Euler` or `RK4`",
        );
    }
    if model.opt.flags.sleep {
        return unsupported(
            "sleeping is not supported",
            "remove sleep=\"enable\" from <flag>",
        );
    }
    if model.opt.flags.diagexact {
        return unsupported(
            "diagexact is not supported yet",
            "remove diagexact=\"enable\" from <flag>",
        );
    }
    Ok(())
}
