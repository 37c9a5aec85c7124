//! Bytes to data. What comes in may be anything: it is checked before memory is taken for it.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString};

use super::hashes::Hashes;
use super::{CONTAINERS, DEPTH, Register, extension};
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
        let value = match first {
            0x80..=0x9f | 0xdc..=0xdf => {
                self.enter()?;
                match self.array_head(first)? {
                    Some(len) => self.list(len)?.into_any(),
                    None => self.fields(first)?.into_any(),
                }
            }
            0xc7..=0xc9 => {
                let len = self.length(1 << (first - 0xc7))?;
                return self.extension(len);
            }
            // 0xd4 to 0xd8, which `any` leaves: extensions of 1, 2, 4, 8 and 16 bytes.
            _ => return self.extension(1 << (first - 0xd4)),
        };
        self.depth -= 1;
        Ok(value)
    }

    /// Counts one more container, around what comes next.
    fn enter(&mut self) -> PyResult<()> {
        self.depth += 1;
        self.containers += 1;
        if self.depth > DEPTH {
            return Err(malformed(format!("it is nested deeper than {DEPTH}")));
        }
        if self.containers > CONTAINERS {
            return Err(malformed(format!("it holds more than {CONTAINERS} containers")));
        }
        Ok(())
    }

    /// The length of the array that `first` begins; `None` if it begins something else.
    fn array_head(&mut self, first: u8) -> PyResult<Option<usize>> {
        match first {
            0x90..=0x9f => Ok(Some((first & 0x0f).into())),
            0xdc | 0xdd => self.length(2 << (first - 0xdc)).map(Some),
            _ => Ok(None),
        }
    }

    /// The map that `first` begins.
    fn fields(&mut self, first: u8) -> PyResult<Bound<'py, PyDict>> {
        match first {
            0x80..=0x8f => self.map((first & 0x0f).into()),
            0xde | 0xdf => {
                let len = self.length(2 << (first - 0xde))?;
                self.map(len)
            }
            _ => Err(malformed("an object is a tag and a map of fields")),
        }
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
            noted(&mut hashes, &key)?;
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
        self.enter()?;
        let after = std::mem::replace(&mut self.rest, content);
        let value = match kind {
            extension::OBJECT => self.object()?,
            extension::TUPLE => self.items()?.to_tuple().into_any(),
            extension::SET => set(PySet::new(self.py, self.set_items()?))?.into_any(),
            extension::FROZEN_SET => set(PyFrozenSet::new(self.py, self.set_items()?))?.into_any(),
            other => return Err(malformed(format!("extension type {other} is not known"))),
        };
        if !self.rest.is_empty() {
            return Err(malformed("an extension holds more than its value"));
        }
        self.rest = after;
        self.depth -= 1;
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
        let first = self.take(1)?[0];
        let len = self.array_head(first)?.ok_or_else(|| malformed("an extension holds no array"))?;
        self.list(len)
    }

    fn set_items(&mut self) -> PyResult<Bound<'py, PyList>> {
        let items = self.items()?;
        let mut hashes = Hashes::default();
        for item in items.iter() {
            noted(&mut hashes, &item)?;
        }
        Ok(items)
    }

    fn object(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let tag = self.any()?;
        let tag = tag.cast::<PyString>().map_err(|_| malformed("an object is a tag and a map of fields"))?;
        let first = self.take(1)?[0];
        let fields = self.fields(first)?;
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

fn noted(hashes: &mut Hashes, key: &Bound<'_, PyAny>) -> PyResult<()> {
    let known = hashes.note(key);
    known.map_err(|_| malformed("a key of a dict or an item of a set cannot be one"))?.map_err(malformed)
}

fn set<T>(made: PyResult<T>) -> PyResult<T> {
    made.map_err(|_| malformed("an item of a set cannot be one"))
}

fn truncated() -> PyErr {
    malformed("it ends in the middle of a value")
}

fn malformed(what: impl AsRef<str>) -> PyErr {
    CodecError::new_err(format!("the bytes are no data of this codec: {}", what.as_ref()))
}

/// What came from elsewhere, as far as an error shows it.
fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
