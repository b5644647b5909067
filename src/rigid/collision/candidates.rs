//! Which geoms may touch, and the parameters of their contacts (`mj_collision`, `mj_contactParam`). Host data.

use crate::math::MIN_VALUE;
use crate::model::{Geom, Model};

/// The smallest coefficient of friction of a contact (`mjMINMU`).
const MIN_FRICTION: f64 = 1e-5;

/// Two geoms that may touch, with the parameters that all their contacts share.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The geoms, in the order of their kinds: a contact's normal points from the first to the second.
    pub geoms: [usize; 2],
    /// The explicit pair (`<pair>`) that it comes from.
    pub pair: Option<usize>,
    /// Contact dimension: 1, 3, 4 or 6.
    pub condim: usize,
    /// Friction: two tangents, spin (m), two rolls (m).
    pub friction: [f64; 5],
    /// Reference, normal direction.
    pub solref: [f64; 2],
    /// Reference, friction directions; 0, 0 stands for `solref`.
    pub solreffriction: [f64; 2],
    /// Impedance.
    pub solimp: [f64; 5],
    /// Distance below which a contact makes a force (`includemargin`), m.
    pub margin: f64,
    /// Contacts further away than `margin` by less than this are detected only, m.
    pub gap: f64,
}

impl Candidate {
    /// The distance up to which MuJoCo detects contacts, m.
    pub fn reach(&self) -> f64 {
        self.margin + self.gap
    }
}

/// The pairs of geoms whose contacts MuJoCo would look for in some state, in the order in which it lists contacts:
/// by the pair of bodies, explicit pairs first.
pub fn candidates(model: &Model) -> Vec<Candidate> {
    let flags = &model.opt.flags;
    if !flags.contact || !flags.constraint {
        return Vec::new();
    }
    let explicit = (0..model.npair).map(|pair| {
        let geoms = ordered(model, model.pair_geom1[pair], model.pair_geom2[pair]);
        (bodies(model, geoms), of_pair(model, pair, geoms))
    });
    let is_explicit = |geoms: [usize; 2]| {
        (0..model.npair).any(|pair| {
            let [a, b] = [model.pair_geom1[pair], model.pair_geom2[pair]];
            geoms == [a, b] || geoms == [b, a]
        })
    };
    let mut all: Vec<([usize; 2], Candidate)> = explicit.collect();
    for first in 0..model.nbody {
        for second in first + 1..model.nbody {
            if !may_collide(model, first, second) {
                continue;
            }
            let products = model
                .body_geoms(first)
                .flat_map(|a| model.body_geoms(second).map(move |b| [a, b]));
            let mut pairs: Vec<[usize; 2]> = products
                .filter(|&[a, b]| affine(model, a, b))
                .map(|[a, b]| ordered(model, a, b))
                .filter(|&geoms| !is_explicit(geoms))
                .collect();
            // MuJoCo sorts what its mid-phase finds, which it uses where a body has several geoms.
            if flags.midphase {
                pairs.sort_unstable();
            }
            all.extend(
                pairs
                    .into_iter()
                    .map(|geoms| ([first, second], mixed(model, geoms))),
            );
        }
    }
    // Stable: explicit pairs keep their order, before the others of the same bodies.
    all.sort_by_key(|(bodies, _)| *bodies);
    all.into_iter()
        .map(|(_, candidate)| candidate)
        .filter(|candidate| candidate.geoms.map(|g| model.geom_type[g]) != [Geom::Plane; 2])
        .collect()
}

/// The bodies of two geoms, the smaller first.
fn bodies(model: &Model, geoms: [usize; 2]) -> [usize; 2] {
    let [a, b] = geoms.map(|geom| model.geom_bodyid[geom]);
    [a.min(b), a.max(b)]
}

/// Two geoms in the order of their kinds.
fn ordered(model: &Model, a: usize, b: usize) -> [usize; 2] {
    if model.geom_type[a] > model.geom_type[b] {
        [b, a]
    } else {
        [a, b]
    }
}

/// Whether the geoms of two bodies may collide at all.
fn may_collide(model: &Model, first: usize, second: usize) -> bool {
    let welds = [first, second].map(|body| model.body_weldid[body]);
    let parents = welds.map(|weld| model.body_weldid[model.body_parentid[weld]]);
    let moves = welds.iter().any(|&weld| model.body_dofnum[weld] > 0);
    // The world is nobody's parent here: what stands on it must not fall through it.
    let related = model.opt.flags.filterparent
        && !welds.contains(&0)
        && (welds[0] == parents[1] || welds[1] == parents[0]);
    let excluded = model.exclude_bodies.contains(&[first, second]);
    welds[0] != welds[1] && moves && !related && !excluded
}

/// Whether the contact bits of two geoms match.
fn affine(model: &Model, a: usize, b: usize) -> bool {
    model.geom_contype[a] & model.geom_conaffinity[b] != 0
        || model.geom_contype[b] & model.geom_conaffinity[a] != 0
}

/// The candidate of an explicit pair.
fn of_pair(model: &Model, pair: usize, geoms: [usize; 2]) -> Candidate {
    overridden(
        model,
        Candidate {
            geoms,
            pair: Some(pair),
            condim: model.pair_dim[pair],
            friction: model.pair_friction[pair],
            solref: model.pair_solref[pair],
            solreffriction: model.pair_solreffriction[pair],
            solimp: model.pair_solimp[pair],
            margin: model.pair_margin[pair],
            gap: model.pair_gap[pair],
        },
    )
}

/// The candidate of two geoms whose parameters are mixed (`mj_contactParam`).
fn mixed(model: &Model, geoms: [usize; 2]) -> Candidate {
    let [a, b] = geoms;
    let [first, second] = geoms.map(|geom| model.geom_priority[geom]);
    // How much the first geom counts, and which friction and dimension hold.
    let (share, condim, friction) = if first == second {
        let (x, y) = (model.geom_friction[a], model.geom_friction[b]);
        (
            solver_share(model.geom_solmix[a], model.geom_solmix[b]),
            model.geom_condim[a].max(model.geom_condim[b]),
            std::array::from_fn(|k| x[k].max(y[k])),
        )
    } else {
        let winner = if first > second { a } else { b };
        let share = if first > second { 1.0 } else { 0.0 };
        (
            share,
            model.geom_condim[winner],
            model.geom_friction[winner],
        )
    };
    let (x, y) = (model.geom_solref[a], model.geom_solref[b]);
    let solref = if first != second || (x[0] > 0.0 && y[0] > 0.0) {
        mix(share, x, y)
    } else {
        // The direct form (negative numbers) does not mix.
        std::array::from_fn(|k| x[k].min(y[k]))
    };
    let [slide, spin, roll] = friction;
    overridden(
        model,
        Candidate {
            geoms,
            pair: None,
            condim,
            friction: [slide, slide, spin, roll, roll],
            solref,
            solreffriction: [0.0; 2],
            solimp: mix(share, model.geom_solimp[a], model.geom_solimp[b]),
            margin: model.geom_margin[a] + model.geom_margin[b],
            gap: model.geom_gap[a] + model.geom_gap[b],
        },
    )
}

/// The weight of the first of two geoms by their `solmix`.
fn solver_share(first: f64, second: f64) -> f64 {
    match (first >= MIN_VALUE, second >= MIN_VALUE) {
        (true, true) => first / (first + second),
        (false, false) => 0.5,
        (false, true) => 0.0,
        (true, false) => 1.0,
    }
}

/// A weighted mean; a share of 0 or 1 gives the one or the other exactly.
fn mix<const N: usize>(share: f64, x: [f64; N], y: [f64; N]) -> [f64; N] {
    std::array::from_fn(|k| share * x[k] + (1.0 - share) * y[k])
}

/// What `<flag override="enable"/>` and the bounds of friction make of a candidate.
fn overridden(model: &Model, candidate: Candidate) -> Candidate {
    let options = &model.opt;
    let candidate = if options.flags.override_contacts {
        Candidate {
            friction: options.o_friction,
            solref: options.o_solref,
            solreffriction: options.o_solref,
            solimp: options.o_solimp,
            margin: options.o_margin,
            ..candidate
        }
    } else {
        candidate
    };
    Candidate {
        friction: candidate.friction.map(|mu| mu.max(MIN_FRICTION)),
        ..candidate
    }
}
