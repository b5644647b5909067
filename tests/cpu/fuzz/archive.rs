//! `.npz` files as `rollout --init`, `--ctrl` and `--task` read them: archives whose bytes are wrong, and whole archives
//! with arrays that cannot be what they say.

use manyworlds::env::{Autoreset, BadWorld, Origin, Values};

use super::Target;
use super::mutate::{self, Random};
use crate::program::Folder;

pub(crate) fn targets() -> Vec<Box<dyn Target>> {
    let folder = Folder::new("fuzz-archives");
    folder.write(
        "model.xml",
        r#"<mujoco><worldbody><body><joint type="hinge"/><geom size="0.1"/></body></worldbody></mujoco>"#,
    );
    vec![Box::new(Archives { folder })]
}

struct Archives {
    folder: Folder,
}

/// A dump of a bad world, as good as they come.
fn dump() -> BadWorld {
    let fields = [
        ("qpos", Values::Single(vec![0.5, 1.0])),
        ("status", Values::Bits(vec![1])),
        ("episode", Values::Bits(vec![3])),
        ("time", Values::Double(vec![0.25])),
    ];
    let fields = fields.map(|(name, values)| (name.to_owned(), values));
    BadWorld {
        world: 2,
        count: 1,
        origin: Origin {
            version: "0".into(),
            task: "cartpole".into(),
            config: "control_dt = 0.02".into(),
            autoreset: Autoreset::default(),
            substeps: 2,
            variant: String::new(),
            model: "0".into(),
            wgsl: "0".into(),
            device: "host".into(),
            target: "host f64".into(),
        },
        parameters: vec![("reward.alive.weight".into(), 1.0)],
        before: fields.clone().into(),
        after: fields.into(),
    }
}

/// The same where an array announces what is not there: headers are padded with spaces, so that larger numbers fit.
fn announcing(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    let shape = b"'shape': (";
    let places: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(shape))
        .collect();
    let at = *random.choose(&places) + shape.len();
    let text = format!("{},), }}", random.choose(mutate::EXTREMES));
    let room = bytes[at..]
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(0);
    if text.len() <= room {
        bytes[at..at + room].fill(b' ');
        bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    bytes
}

/// The header of an `.npy` file in the words of the format's description (numpy.lib.format), before mutation.
pub(crate) fn header(kind: &str, shape: &str) -> String {
    format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}")
}

/// An `.npy` file with this text as its header.
pub(crate) fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    let length = header.len() + 1;
    match version {
        1 => bytes.extend((length as u16).to_le_bytes()),
        _ => bytes.extend((length as u32).to_le_bytes()),
    }
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

/// A zip archive of stored files (PKWARE's APPNOTE.TXT 4.3.7, 4.3.12 and 4.3.16).
pub(crate) fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in files {
        let offset = bytes.len() as u32;
        let size = data.len() as u32;
        let mut common = Vec::new();
        common.extend([20u16, 0, 0, 0, 0].iter().flat_map(|n| n.to_le_bytes()));
        common.extend(
            [crc32(data), size, size]
                .iter()
                .flat_map(|n| n.to_le_bytes()),
        );
        common.extend([name.len() as u16, 0].iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(name.as_bytes());
        bytes.extend(data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 6 + 4]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (offset, size) = (bytes.len() as u32, directory.len() as u32);
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([files.len() as u16; 2].iter().flat_map(|n| n.to_le_bytes()));
    bytes.extend([size, offset].iter().flat_map(|n| n.to_le_bytes()));
    bytes.extend([0, 0]);
    bytes
}

fn crc32(data: &[u8]) -> u32 {
    let byte = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    };
    !data.iter().fold(!0, byte)
}

/// An archive of arrays of float64, some of which are not what they should be.
pub(crate) fn broken(random: &mut Random, arrays: &[(&str, &str, usize)]) -> Vec<u8> {
    let files: Vec<(String, Vec<u8>)> = arrays
        .iter()
        .map(|(name, shape, count)| {
            let good = header("<f8", shape);
            let others = ["(3, (4, [5])) 'descr': [('a', '<f8', (2,))] 0x7 <f4 >f8 |O".to_owned()];
            let nests = [("(", ")"), ("[", "]"), ("{'a': ", "}")];
            let text = match random.below(3) {
                0 => good,
                1 => {
                    let size = random.choose(mutate::EXTREMES);
                    header("<f8", &format!("({size}, {count})"))
                }
                _ => mutate::text(random, &good, &others, &nests),
            };
            let version = if random.one_in(4) { 2 } else { 1 };
            let mut data = npy(version, &text, &vec![0; count * 8]);
            if random.one_in(6) {
                data = mutate::bytes(random, &data);
            }
            (format!("{name}.npy"), data)
        })
        .collect();
    let whole = zip(&files);
    if random.one_in(3) {
        return mutate::bytes(random, &whole);
    }
    whole
}

impl Target for Archives {
    fn name(&self) -> &'static str {
        "init, ctrl, dump.npz"
    }

    fn run(&self, random: &mut Random) -> Result<(), String> {
        let path = |name: &str| self.folder.path().join(name).to_string_lossy().into_owned();
        let init = broken(random, &[("qpos", "(4, 1)", 4), ("qvel", "(1, 1)", 1)]);
        let ctrl = broken(random, &[("ctrl", "(10, 1, 0)", 0)]);
        std::fs::write(path("init.npz"), init).expect("a temporary file");
        std::fs::write(path("ctrl.npz"), ctrl).expect("a temporary file");
        if random.one_in(3) {
            let path = self.folder.path().join("dump.npz");
            dump().save(&path).expect("a temporary file");
            let good = std::fs::read(&path).expect("it was written");
            let broken = match random.one_in(2) {
                true => mutate::bytes(random, &good),
                false => announcing(random, good),
            };
            std::fs::write(&path, broken).expect("a temporary file");
            let loaded = BadWorld::load(&path);
            return loaded.map(drop).map_err(|error| error.to_string());
        }
        let (model, init, ctrl) = (path("model.xml"), path("init.npz"), path("ctrl.npz"));
        let arguments = match random.one_in(2) {
            true => vec!["rollout", &model, "--init", &init],
            false => vec!["rollout", &model, "--ctrl", &ctrl],
        };
        let result = manyworlds::cli::doors::rollout(&arguments);
        result.map_err(|error| error.to_string())
    }
}
