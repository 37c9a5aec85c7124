//! Bytes to data. What comes in may be anything: it is checked before memory is taken for it.

use std::collections::HashMap;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString};

use super::{ALIKE, CONTAINERS, DEPTH, Register, extension};
use crate::errors::CodecError;

pub(super) fn decode<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let mut decoder = Decoder { py, rest: data, depth: 0, containers: 0 };
    let value = decoder.any()?;
    if decoder.rest.is_empty() { Ok(value) } else { Err(malformed("there is more than one value")) }
}

struct Decoder<'a, 'py> {
    py: Python<'py>,
    rest: &'a [u8],
    depth: usize,
    containers: usize,
}

impl<'a, 'py> Decoder<'a, 'py> {
    fn any(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let first = self.take(1)?[0];
        match first {
            0x00..=0x7f | 0xe0..=0xff => self.int(i64::from(first as i8)),
            0xc0 => Ok(self.py.None().into_bound(self.py)),
            0xc2 | 0xc3 => Ok(PyBool::new(self.py, first == 0xc3).to_owned().into_any()),
            0xc4..=0xc6 => {
                let len = self.length(1 << (first - 0xc4))?;
                Ok(PyBytes::new(self.py, self.take(len)?).into_any())
            }
            0xca => {
                let number = f32::from_be_bytes(self.array()?);
                Ok(PyFloat::new(self.py, number.into()).into_any())
            }
            0xcb => {
                let number = f64::from_be_bytes(self.array()?);
                Ok(PyFloat::new(self.py, number).into_any())
            }
            0xcc => {
                let number = self.take(1)?[0];
                self.int(number.into())
            }
            0xcd => {
                let number = u16::from_be_bytes(self.array()?);
                self.int(number.into())
            }
            0xce => {
                let number = u32::from_be_bytes(self.array()?);
                self.int(number.into())
            }
            0xcf => Ok(u64::from_be_bytes(self.array()?).into_pyobject(self.py)?.into_any()),
            0xd0 => {
                let number = i8::from_be_bytes(self.array()?);
                self.int(number.into())
            }
            0xd1 => {
                let number = i16::from_be_bytes(self.array()?);
                self.int(number.into())
            }
            0xd2 => {
                let number = i32::from_be_bytes(self.array()?);
                self.int(number.into())
            }
            0xd3 => {
                let number = i64::from_be_bytes(self.array()?);
                self.int(number)
            }
            0xa0..=0xbf => self.text((first & 0x1f).into()),
            0xd9..=0xdb => {
                let len = self.length(1 << (first - 0xd9))?;
                self.text(len)
            }
            0xc1 => Err(malformed("0xc1 begins nothing")),
            _ => self.nested(first),
        }
    }

    fn nested(&mut self, first: u8) -> PyResult<Bound<'py, PyAny>> {
        self.depth += 1;
        self.containers += 1;
        if self.depth > DEPTH {
            return Err(malformed(&format!("it is nested deeper than {DEPTH}")));
        }
        if self.containers > CONTAINERS {
            return Err(malformed(&format!("it holds more than {CONTAINERS} containers")));
        }
        let value = match first {
            0x80..=0x8f => self.map((first & 0x0f).into())?.into_any(),
            0xde | 0xdf => {
                let len = self.length(2 << (first - 0xde))?;
                self.map(len)?.into_any()
            }
            0x90..=0x9f => self.list((first & 0x0f).into())?.into_any(),
            0xdc | 0xdd => {
                let len = self.length(2 << (first - 0xdc))?;
                self.list(len)?.into_any()
            }
            0xc7..=0xc9 => {
                let len = self.length(1 << (first - 0xc7))?;
                self.extension(len)?
            }
            // 0xd4 to 0xd8, which `any` leaves: extensions of 1, 2, 4, 8 and 16 bytes.
            _ => self.extension(1 << (first - 0xd4))?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn int(&self, number: i64) -> PyResult<Bound<'py, PyAny>> {
        Ok(number.into_pyobject(self.py)?.into_any())
    }

    fn text(&mut self, len: usize) -> PyResult<Bound<'py, PyAny>> {
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| malformed("a text is not UTF-8"))?;
        Ok(PyString::new(self.py, text).into_any())
    }

    fn list(&mut self, len: usize) -> PyResult<Bound<'py, PyList>> {
        self.room_for(len)?;
        let list = PyList::empty(self.py);
        for _ in 0..len {
            list.append(self.any()?)?;
        }
        Ok(list)
    }

    fn map(&mut self, len: usize) -> PyResult<Bound<'py, PyDict>> {
        self.room_for(len)?;
        let map = PyDict::new(self.py);
        let mut hashes = Hashes::default();
        for _ in 0..len {
            let key = self.any()?;
            hashes.note(&key)?;
            let value = self.any()?;
            map.set_item(key, value).map_err(|_| malformed("a key of a dict cannot be one"))?;
        }
        Ok(map)
    }

    fn extension(&mut self, len: usize) -> PyResult<Bound<'py, PyAny>> {
        let kind = i8::from_be_bytes(self.array()?);
        let content = self.take(len)?;
        if kind == extension::BIG {
            return self.big(content);
        }
        let after = std::mem::replace(&mut self.rest, content);
        let value = match kind {
            extension::OBJECT => self.object()?,
            extension::TUPLE => self.items()?.to_tuple().into_any(),
            extension::SET => set(PySet::new(self.py, self.set_items()?))?.into_any(),
            extension::FROZEN_SET => set(PyFrozenSet::new(self.py, self.set_items()?))?.into_any(),
            other => return Err(malformed(&format!("extension type {other} is not known"))),
        };
        if !self.rest.is_empty() {
            return Err(malformed("an extension holds more than its value"));
        }
        self.rest = after;
        Ok(value)
    }

    fn big(&self, content: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let signed = PyDict::new(self.py);
        signed.set_item(intern!(self.py, "signed"), true)?;
        let arguments = (PyBytes::new(self.py, content), intern!(self.py, "little"));
        let int = self.py.get_type::<PyInt>();
        int.call_method(intern!(self.py, "from_bytes"), arguments, Some(&signed))
    }

    fn items(&mut self) -> PyResult<Bound<'py, PyList>> {
        let items = self.any()?;
        items.cast_into().map_err(|_| malformed("an extension holds no array"))
    }

    fn set_items(&mut self) -> PyResult<Bound<'py, PyList>> {
        let items = self.items()?;
        let mut hashes = Hashes::default();
        for item in items.iter() {
            hashes.note(&item)?;
        }
        Ok(items)
    }

    fn object(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let (tag, fields) = (self.any()?, self.any()?);
        let (Ok(tag), Ok(fields)) = (tag.cast::<PyString>(), fields.cast::<PyDict>()) else {
            return Err(malformed("an object is a tag and a map of fields"));
        };
        let Some(make) = Register::get(self.py).by_tag.bind(self.py).get_item(tag)? else {
            return Err(CodecError::new_err(format!(
                "no class is registered here under the tag {}: import the module that does",
                shortened(&tag.repr()?.to_string())
            )));
        };
        make.call1((fields,)).map_err(|error| {
            let text = format!("{tag:?} cannot be made of its fields: {}", shortened(&error.to_string()));
            let refused = CodecError::new_err(text);
            refused.set_cause(self.py, Some(error));
            refused
        })
    }

    /// Every item takes a byte at least.
    fn room_for(&self, items: usize) -> PyResult<()> {
        if items > self.rest.len() { Err(truncated()) } else { Ok(()) }
    }

    fn length(&mut self, width: usize) -> PyResult<usize> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn array<const N: usize>(&mut self) -> PyResult<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| truncated())
    }

    fn take(&mut self, len: usize) -> PyResult<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// The hashes of the keys of one dict, or the items of one set. Who knows how Python hashes numbers can make any
/// number of them with the same hash, and a dict of those takes time by the square of its length.
#[derive(Default)]
struct Hashes(HashMap<isize, usize>);

impl Hashes {
    fn note(&mut self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        // Hashed with a secret.
        if key.is_exact_instance_of::<PyString>() || key.is_exact_instance_of::<PyBytes>() {
            return Ok(());
        }
        let hash = key.hash().map_err(|_| malformed("a key of a dict or an item of a set cannot be one"))?;
        let alike = self.0.entry(hash).or_default();
        *alike += 1;
        if *alike > ALIKE {
            return Err(malformed(&format!("more than {ALIKE} keys of a dict or items of a set hash alike")));
        }
        Ok(())
    }
}

fn set<T>(made: PyResult<T>) -> PyResult<T> {
    made.map_err(|_| malformed("an item of a set cannot be one"))
}

fn truncated() -> PyErr {
    malformed("it ends in the middle of a value")
}

fn malformed(what: &str) -> PyErr {
    CodecError::new_err(format!("the bytes are no data of this codec: {what}"))
}

/// What came from elsewhere, as far as an error shows it.
fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
