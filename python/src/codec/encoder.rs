//! Data to bytes.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple};

use super::hashes::{ALIKE, Hashes};
use super::{CONTAINERS, DEPTH, Register, extension};
use crate::errors::CodecError;

pub(super) fn encode(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut out = Encoder { bytes: Vec::with_capacity(64), depth: 0, containers: 0 };
    out.any(value)?;
    Ok(out.bytes)
}

struct Encoder {
    bytes: Vec<u8>,
    depth: usize,
    containers: usize,
}

impl Encoder {
    /// Subclasses are refused: on the other side they would be something else.
    fn any(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if value.is_none() {
            self.bytes.push(0xc0);
        } else if let Ok(value) = value.cast_exact::<PyString>() {
            let text = value.to_str().map_err(|error| {
                CodecError::new_err(format!("a str with half a character does not travel: {error}"))
            })?;
            self.text(text)?;
        } else if let Ok(value) = value.cast_exact::<PyBool>() {
            self.bytes.push(if value.is_true() { 0xc3 } else { 0xc2 });
        } else if let Ok(value) = value.cast_exact::<PyInt>() {
            self.int(value)?;
        } else if let Ok(value) = value.cast_exact::<PyFloat>() {
            self.bytes.push(0xcb);
            self.bytes.extend(value.value().to_be_bytes());
        } else if let Ok(value) = value.cast_exact::<PyBytes>() {
            self.head(value.as_bytes().len(), &[(u8::MAX.into(), 0xc4), (u16::MAX.into(), 0xc5)], 0xc6)?;
            self.bytes.extend_from_slice(value.as_bytes());
        } else {
            self.depth += 1;
            if self.depth > DEPTH {
                return Err(CodecError::new_err(format!("data is nested deeper than {DEPTH}: flatten it")));
            }
            self.containers += 1;
            if self.containers > CONTAINERS {
                let text =
                    format!("data of more than {CONTAINERS} lists, dicts and objects: send it in parts");
                return Err(CodecError::new_err(text));
            }
            self.container(value)?;
            self.depth -= 1;
        }
        Ok(())
    }

    fn container(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(value) = value.cast_exact::<PyList>() {
            self.array(value.len(), value.iter())
        } else if let Ok(value) = value.cast_exact::<PyDict>() {
            self.map(value)
        } else if let Ok(value) = value.cast_exact::<PyTuple>() {
            self.extension(extension::TUPLE, |out| out.array(value.len(), value.iter()))
        } else if let Ok(value) = value.cast_exact::<PySet>() {
            tell_apart(value.len(), value.iter())?;
            self.extension(extension::SET, |out| out.array(value.len(), value.iter()))
        } else if let Ok(value) = value.cast_exact::<PyFrozenSet>() {
            tell_apart(value.len(), value.iter())?;
            self.extension(extension::FROZEN_SET, |out| out.array(value.len(), value.iter()))
        } else {
            self.object(value)
        }
    }

    fn object(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        let class = value.get_type();
        let Some(known) = Register::get(py).by_class.bind(py).get_item(&class)? else {
            return Err(CodecError::new_err(format!(
                "an object of class {} does not travel: send plain data, or register the class with \
                 @myrmidon.message(tag=...)",
                class.fully_qualified_name()?
            )));
        };
        let (tag, fields) = known.extract::<(Bound<'_, PyString>, Bound<'_, PyTuple>)>()?;
        self.extension(extension::OBJECT, |out| {
            out.text(tag.to_str()?)?;
            out.head(fields.len(), &[(15, 0x80), (u16::MAX.into(), 0xde)], 0xdf)?;
            for field in fields.iter() {
                let field = field.cast::<PyString>()?;
                out.text(field.to_str()?)?;
                out.any(&value.getattr(field)?)?;
            }
            Ok(())
        })
    }

    fn array<'py>(&mut self, len: usize, items: impl Iterator<Item = Bound<'py, PyAny>>) -> PyResult<()> {
        self.head(len, &[(15, 0x90), (u16::MAX.into(), 0xdc)], 0xdd)?;
        let mut left = len;
        for item in items {
            left = left.checked_sub(1).ok_or_else(changed)?;
            self.any(&item)?;
        }
        if left == 0 { Ok(()) } else { Err(changed()) }
    }

    fn map(&mut self, value: &Bound<'_, PyDict>) -> PyResult<()> {
        tell_apart(value.len(), value.iter().map(|(key, _)| key))?;
        self.head(value.len(), &[(15, 0x80), (u16::MAX.into(), 0xde)], 0xdf)?;
        for (key, item) in value.iter() {
            self.any(&key)?;
            self.any(&item)?;
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> PyResult<()> {
        let sizes = [(31, 0xa0), (u8::MAX.into(), 0xd9), (u16::MAX.into(), 0xda)];
        self.head(text.len(), &sizes, 0xdb)?;
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn int(&mut self, value: &Bound<'_, PyInt>) -> PyResult<()> {
        if let Ok(small) = value.extract::<i64>() {
            self.small(small);
            return Ok(());
        }
        if let Ok(large) = value.extract::<u64>() {
            self.bytes.push(0xcf);
            self.bytes.extend(large.to_be_bytes());
            return Ok(());
        }
        let py = value.py();
        let bits = value.call_method0(intern!(py, "bit_length"))?.extract::<usize>()?;
        let signed = PyDict::new(py);
        signed.set_item(intern!(py, "signed"), true)?;
        let arguments = (bits / 8 + 1, intern!(py, "little"));
        let raw = value.call_method(intern!(py, "to_bytes"), arguments, Some(&signed))?;
        self.extension(extension::BIG, |out| {
            out.bytes.extend_from_slice(raw.cast::<PyBytes>()?.as_bytes());
            Ok(())
        })
    }

    /// In as few bytes as hold it.
    fn small(&mut self, value: i64) {
        if let Ok(byte) = u8::try_from(value) {
            if byte >= 0x80 {
                self.bytes.push(0xcc);
            }
            self.bytes.push(byte);
        } else if let Ok(byte) = i8::try_from(value) {
            if byte < -32 {
                self.bytes.push(0xd0);
            }
            self.bytes.extend(byte.to_be_bytes());
        } else if let Ok(short) = i16::try_from(value) {
            self.bytes.push(0xd1);
            self.bytes.extend(short.to_be_bytes());
        } else if let Ok(word) = i32::try_from(value) {
            self.bytes.push(0xd2);
            self.bytes.extend(word.to_be_bytes());
        } else {
            self.bytes.push(0xd3);
            self.bytes.extend(value.to_be_bytes());
        }
    }

    /// An extension, whose size is known only once its content is there.
    fn extension(&mut self, kind: i8, content: impl FnOnce(&mut Self) -> PyResult<()>) -> PyResult<()> {
        let mut inner = Self { bytes: Vec::new(), depth: self.depth, containers: self.containers };
        content(&mut inner)?;
        self.containers = inner.containers;
        self.head(inner.bytes.len(), &[(u8::MAX.into(), 0xc7), (u16::MAX.into(), 0xc8)], 0xc9)?;
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.append(&mut inner.bytes);
        Ok(())
    }

    /// The first byte and the length, in the smallest form that holds it; a length of less than a byte is
    /// part of the first one.
    fn head(&mut self, len: usize, sizes: &[(usize, u8)], largest: u8) -> PyResult<()> {
        let first = sizes.iter().find(|(most, _)| len <= *most);
        let &(most, byte) = first.unwrap_or(&(usize::MAX, largest));
        if most < usize::from(u8::MAX) {
            self.bytes.push(byte | len as u8);
            return Ok(());
        }
        let long = u32::try_from(len).map_err(|_| {
            CodecError::new_err(format!("{len} bytes or items are more than one message holds: split it"))
        })?;
        self.bytes.push(byte);
        let width = match most {
            most if most == usize::from(u8::MAX) => 1,
            most if most == usize::from(u16::MAX) => 2,
            _ => 4,
        };
        self.bytes.extend_from_slice(&long.to_be_bytes()[4 - width..]);
        Ok(())
    }
}

/// Refuses keys that the other side would refuse.
fn tell_apart<'py>(len: usize, keys: impl Iterator<Item = Bound<'py, PyAny>>) -> PyResult<()> {
    if len <= ALIKE {
        return Ok(());
    }
    let mut hashes = Hashes::default();
    for key in keys {
        hashes.note(&key)?.map_err(CodecError::new_err)?;
    }
    Ok(())
}

fn changed() -> PyErr {
    CodecError::new_err("a container changed while it was encoded: send a copy")
}
