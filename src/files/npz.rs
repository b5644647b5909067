//! Whether a NumPy archive can be what it says, before anybody reserves memory for it.
//!
//! The reader of arrays trusts their headers: a file of a few bytes that announces 10¹² numbers would have it ask for
//! terabytes, and brackets within brackets would exhaust its stack. So the zip archive's directory (PKWARE's APPNOTE.TXT
//! 4.3) and each array's header (numpy.lib.format) are looked at first. What is wrong in other ways is left to the reader.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};

/// The longest header of an array; numpy's own limit for untrusted files is 10,000.
const LONGEST_HEADER: usize = 10_000;
/// The deepest brackets in a header; structured types have four.
const DEEPEST: usize = 8;
/// The largest directory, of some hundred thousand arrays.
const LARGEST_DIRECTORY: u64 = 16 << 20;

/// Checks the headers of all arrays that are stored as they are, without compression.
///
/// # Errors
/// A header announces more than the file holds, or is none. A file that is no archive at all passes.
pub fn check(path: &Path) -> Result<()> {
    let place = |error: std::io::Error| Error::io(error).context(path.display());
    let mut file = File::open(path).map_err(place)?;
    let entries = directory(&mut file).map_err(place)?.ok_or_else(|| {
        Error::invalid("no readable npz archive: its directory is not where it should be")
            .context(path.display())
            .hint("the file is damaged")
    })?;
    for entry in entries.into_iter().filter(|entry| entry.stored) {
        let head = entry.head(&mut file).map_err(place)?;
        check_header(&head, entry.size).map_err(|message| {
            Error::invalid(message)
                .context(format!("array {}", entry.name.trim_end_matches(".npy")))
                .context(path.display())
                .hint("the file is damaged")
        })?;
    }
    Ok(())
}

/// A file in the archive.
struct Entry {
    name: String,
    stored: bool,
    /// Bytes.
    size: u64,
    /// Where its local header begins.
    offset: u64,
}

impl Entry {
    /// The file's first bytes: as many as a header may have.
    fn head(&self, file: &mut File) -> std::io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(self.offset))?;
        let mut local = Vec::new();
        file.take(30).read_to_end(&mut local)?;
        if local.len() < 30 {
            return Ok(Vec::new());
        }
        let lengths = [26, 28].map(|at| u64::from(half(&local, at)));
        file.seek(SeekFrom::Current((lengths[0] + lengths[1]) as i64))?;
        let mut head = Vec::new();
        file.take(self.size.min(LONGEST_HEADER as u64 + 12))
            .read_to_end(&mut head)?;
        Ok(head)
    }
}

/// The files of an archive: an empty list where it is no archive, none where its directory is not exactly between its
/// files and its end. (Readers forgive bytes before the archive, and would find other files than we do.)
fn directory(file: &mut File) -> std::io::Result<Option<Vec<Entry>>> {
    let length = file.seek(SeekFrom::End(0))?;
    // The end of the directory is 22 bytes and a comment; with 64-bit numbers, a record before it says where.
    let tail_start = length.saturating_sub(22 + 0xffff + 20);
    file.seek(SeekFrom::Start(tail_start))?;
    let mut tail = Vec::new();
    file.take(22 + 0xffff + 20).read_to_end(&mut tail)?;
    let Some(end) = (0..tail.len().saturating_sub(21))
        .rev()
        .find(|at| tail[*at..].starts_with(b"PK\x05\x06"))
    else {
        return Ok(Some(Vec::new()));
    };
    let mut directory_end = tail_start + end as u64;
    let mut count = u64::from(half(&tail, end + 10));
    let mut start = u64::from(word(&tail, end + 16));
    let mut size = u64::from(word(&tail, end + 12));
    if end >= 20 && tail[end - 20..].starts_with(b"PK\x06\x07") {
        directory_end = long(&tail, end - 20 + 8);
        file.seek(SeekFrom::Start(directory_end))?;
        let mut record = Vec::new();
        file.take(56).read_to_end(&mut record)?;
        if record.len() == 56 {
            (size, start) = (long(&record, 40), long(&record, 48));
            count = long(&record, 32);
        }
    }
    if start.checked_add(size) != Some(directory_end) {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(size.min(LARGEST_DIRECTORY))
        .read_to_end(&mut bytes)?;
    let (mut entries, mut rest) = (Vec::new(), bytes.as_slice());
    while rest.len() >= 46 && rest.starts_with(b"PK\x01\x02") {
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(half(rest, at)));
        let behind = 46 + name + extra + comment;
        if rest.len() < behind {
            break;
        }
        let mut entry = Entry {
            name: String::from_utf8_lossy(&rest[46..46 + name]).into_owned(),
            stored: half(rest, 10) == 0,
            size: word(rest, 24).into(),
            offset: word(rest, 42).into(),
        };
        let compressed = word(rest, 20);
        entry.widen(&rest[46 + name..46 + name + extra], compressed);
        entries.push(entry);
        rest = &rest[behind..];
    }
    Ok((entries.len() as u64 == count && rest.is_empty()).then_some(entries))
}

impl Entry {
    /// Takes what does not fit into 32 bits from the extra field 1, in the order size, compressed size, offset.
    fn widen(&mut self, mut extra: &[u8], compressed: u32) {
        while extra.len() >= 4 {
            let (kind, length) = (half(extra, 0), usize::from(half(extra, 2)));
            let field = &extra[4..extra.len().min(4 + length)];
            if kind == 1 {
                let mut numbers = field
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|n| u64::from_le_bytes(*n));
                let mut wide = |narrow: u64| match narrow == u64::from(u32::MAX) {
                    true => numbers.next().unwrap_or(narrow),
                    false => narrow,
                };
                self.size = wide(self.size);
                wide(compressed.into());
                self.offset = wide(self.offset);
            }
            extra = &extra[4 + field.len()..];
        }
    }
}

/// Whether the header of an array of `size` bytes in all announces no more than that.
fn check_header(head: &[u8], size: u64) -> Result<(), String> {
    let none = || "no header of an array".to_owned();
    let rest = head.strip_prefix(b"\x93NUMPY").ok_or_else(none)?;
    let (length, start) = match rest.first() {
        Some(1) if rest.len() >= 4 => (usize::from(half(rest, 2)), 4),
        Some(2 | 3) if rest.len() >= 6 => (word(rest, 2) as usize, 6),
        _ => return Err(none()),
    };
    if length > LONGEST_HEADER {
        return Err(format!("a header of {length} bytes"));
    }
    let text = rest.get(start..start + length).ok_or_else(none)?;
    let text = String::from_utf8_lossy(text);
    let mut depth = 0usize;
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err("a header of brackets".into());
        }
    }
    let held = size.saturating_sub((6 + start + length) as u64);
    let announced = announced(&text).ok_or_else(none)?;
    match announced <= u128::from(held) {
        true => Ok(()),
        false => Err(format!("{announced} bytes are announced, and {held} there")),
    }
}

/// The bytes of an array with this header: the product of its shape and the size of its type, such as `<f8`. Every
/// `shape` and `descr` counts, because the last one of a kind would be taken.
fn announced(text: &str) -> Option<u128> {
    let mut numbers = 0u128;
    let shapes = text.split("shape").skip(1);
    for shape in shapes {
        let inside = shape.split_once('(')?.1.split_once(')')?.0;
        let sizes = inside
            .split(',')
            .map(str::trim)
            .filter(|size| !size.is_empty());
        let mut count = 1u128;
        for size in sizes {
            let digits = size.trim_start_matches('+').trim_end_matches(['l', 'L']);
            count = count.saturating_mul(digits.parse::<u64>().ok()?.into());
        }
        numbers = numbers.max(count);
    }
    let widths = text.split("descr").skip(1).filter_map(|descr| {
        let kind = descr.split(['\'', '"']).nth(2)?;
        let digits = kind.trim_start_matches(|c: char| !c.is_ascii_digit());
        digits.parse::<u32>().ok()
    });
    // Types without a number are single bytes.
    let width = widths.max().unwrap_or(1).max(1);
    Some(numbers.saturating_mul(width.into()))
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(half(bytes, at)) | u32::from(half(bytes, at + 2)) << 16
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    #[test]
    fn headers_that_announce_more_than_there_is_are_refused() {
        let check = |shape: &str, bytes: u64| {
            let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
            let head = head(&text);
            check_header(&head, head.len() as u64 + bytes)
        };
        check("(3, 4)", 96).unwrap();
        check("(3, 4)", 95).unwrap_err();
        check("()", 8).unwrap();
        check("(0, 1000000000000)", 0).unwrap();
        check("(5,)", 40).unwrap();
        check("(1000000000000,)", 40).unwrap_err();
        check("(99999999999, 99999999999, 99999999999, 99999999999)", 40).unwrap_err();
        check("(((((((((((1,)))))))))))", 40).unwrap_err();
        check("(-1,)", 40).unwrap_err();
        check_header(b"no array", 8).unwrap_err();
        // The second shape would count.
        check("(1,), 'shape': (1000000,)", 8).unwrap_err();
    }
}
