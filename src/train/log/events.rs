//! TensorBoard event files.
//!
//! A file is a sequence of TFRecords: length (u64, little endian), masked CRC-32C of the length, data, masked CRC-32C of
//! the data (tensorflow/core/lib/io/record_writer.h). The data is a protocol buffer `Event` (tensorflow/core/util/event.proto):
//! `wall_time` = 1 (double), `step` = 2 (int64), `file_version` = 3 (string), `summary` = 5, whose `value` = 1 has
//! `tag` = 1 (string) and `simple_value` = 2 (float).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Row;
use crate::error::{Error, Result};

/// Writes scalars to one event file.
#[derive(Debug)]
pub struct EventWriter {
    file: BufWriter<File>,
}

impl EventWriter {
    /// Starts a file in `dir`, named as TensorBoard expects.
    pub fn create(dir: &Path) -> Result<Self> {
        let time = seconds();
        let path = dir.join(format!(
            "events.out.tfevents.{:010}.manyworlds.{}.0",
            time as u64,
            std::process::id()
        ));
        let file = File::create(&path).map_err(|error| Error::io(error).context(path.display()))?;
        let mut writer = Self {
            file: BufWriter::new(file),
        };
        let mut event = Message::default();
        event.double(1, time);
        event.bytes(3, b"brain.Event:2");
        writer.record(&event.0)?;
        Ok(writer)
    }

    /// Says that the run begins again at a step: TensorBoard forgets what an earlier file has from there on
    /// (`session_log` = 7, whose `status` = 1 is START = 1).
    pub fn restart(&mut self, step: u64) -> Result<()> {
        let mut session = Message::default();
        session.integer(1, 1);
        let mut event = Message::default();
        event.double(1, seconds());
        event.integer(2, step);
        event.bytes(7, &session.0);
        self.record(&event.0)
    }

    /// Writes all finite numbers of a row as scalars of one step.
    pub fn scalars(&mut self, step: u64, row: &Row) -> Result<()> {
        let mut summary = Message::default();
        for (tag, value) in row.iter().filter(|(_, value)| value.is_finite()) {
            let mut scalar = Message::default();
            scalar.bytes(1, tag.as_bytes());
            scalar.float(2, *value as f32);
            summary.bytes(1, &scalar.0);
        }
        let mut event = Message::default();
        event.double(1, seconds());
        event.integer(2, step);
        event.bytes(5, &summary.0);
        self.record(&event.0)
    }

    fn record(&mut self, data: &[u8]) -> Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        for part in [&length[..], &masked_crc(&length), data, &masked_crc(data)] {
            self.file.write_all(part)?;
        }
        Ok(self.file.flush()?)
    }
}

/// The checksum, rotated and offset so that a checksum of data with checksums in it is not degenerate.
fn masked_crc(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
        .to_le_bytes()
}

fn seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64())
}

/// A protocol buffer message under construction. A field's key is `number · 8 + wire type`.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn integer(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::TestDir;

    #[test]
    fn records_have_the_documented_bytes() {
        let dir = TestDir::new("events");
        let mut writer = EventWriter::create(dir.path()).unwrap();
        writer
            .scalars(300, &vec![("a/b".into(), 1.5), ("empty".into(), f64::NAN)])
            .unwrap();
        let path = std::fs::read_dir(dir.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let file = std::fs::read(&path).unwrap();
        let mut records = Vec::new();
        let mut rest = &file[..];
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_crc(&rest[..8]));
            records.push(&rest[12..12 + length]);
            assert_eq!(
                rest[12 + length..16 + length],
                masked_crc(&rest[12..12 + length])
            );
            rest = &rest[16 + length..];
        }
        assert_eq!(records.len(), 2);
        assert_eq!(records[0][9..], *b"\x1a\x0dbrain.Event:2");
        // step = 300 (varint ac 02), summary of 12 bytes, value of 10: tag "a/b", simple_value 1.5.
        assert_eq!(
            records[1][9..],
            *b"\x10\xac\x02\x2a\x0c\x0a\x0a\x0a\x03a/b\x15\x00\x00\xc0\x3f"
        );
        // The checksum's published check value is that of "123456789".
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }
}
