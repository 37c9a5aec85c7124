//! What a message carries: bytes, or a value of any type without a heap allocation where it is small.
#![allow(unsafe_code, reason = "a small type-erased box; every block says why it is sound")]

use std::any::TypeId;
use std::fmt;
use std::mem::{self, MaybeUninit};
use std::ptr;

use bytes::Bytes;

/// The content of a user message.
#[derive(Debug)]
pub enum Payload {
    /// Bytes, as they come from the network and from `send(pid, bytes)`.
    Bytes(Bytes),
    /// A Rust value for a typed actor, or an object of a language binding.
    Value(Value),
}

/// A value that can also leave the process as bytes.
pub trait IntoBytes: Send + 'static {
    /// The bytes to put on the wire.
    fn into_bytes(self) -> Bytes;
}

impl Payload {
    /// The bytes of this payload, or the payload back if it is a value without a byte form.
    pub fn into_bytes(self) -> Result<Bytes, Self> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Value(value) => value.into_bytes().map_err(Self::Value),
        }
    }

    /// Whether it has bytes, or a form in bytes.
    pub fn has_bytes(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Value(value) => value.table.into_bytes.is_some(),
        }
    }

    /// Wraps `message`: bytes stay bytes, anything else becomes a [`Value`].
    #[inline(always)]
    pub(crate) fn of<M: Send + 'static>(message: M) -> Self {
        let value = Value::new(message);
        // Compared at compile time, so that the common case costs nothing.
        if TypeId::of::<M>() != TypeId::of::<Bytes>() {
            return Self::Value(value);
        }
        match value.downcast::<Bytes>() {
            Ok(bytes) => Self::Bytes(bytes),
            Err(value) => Self::Value(value),
        }
    }

    /// The message of type `M`, or the payload back if it holds something else.
    #[inline(always)]
    pub(crate) fn take<M: Send + 'static>(self) -> Result<M, Self> {
        if let Self::Value(value) = &self
            && value.is::<M>()
        {
            // Straight from where the payload lies: copies of it would cost more than all else here.
            // SAFETY: the type was just checked, and the payload is forgotten at once, so the value
            // is moved out exactly once.
            let message = unsafe { load(&value.space) };
            mem::forget(self);
            return Ok(message);
        }
        self.take_bytes()
    }

    #[inline(never)]
    fn take_bytes<M: Send + 'static>(self) -> Result<M, Self> {
        match self {
            Self::Bytes(bytes) => Value::new(bytes).downcast().map_err(|value| {
                Self::Bytes(value.downcast().expect("the value was made from bytes a line above"))
            }),
            value @ Self::Value(_) => Err(value),
        }
    }
}

impl<B: Into<Bytes>> From<B> for Payload {
    fn from(bytes: B) -> Self {
        Self::Bytes(bytes.into())
    }
}

type Space = [MaybeUninit<usize>; 4];

/// A `Box<dyn Any + Send>` that keeps values of up to four words inline, so that a message node
/// needs no second allocation.
///
/// The space comes first, so that a copy of the whole and a read of its begin use the same words.
#[repr(C)]
pub struct Value {
    /// Holds a `T` where it fits, else a `Box<T>`; the table knows which.
    space: Space,
    table: &'static Table,
}

/// What is known of the erased type.
struct Table {
    type_id: TypeId,
    name: fn() -> &'static str,
    drop: unsafe fn(&mut Space),
    into_bytes: Option<unsafe fn(&mut Space) -> Bytes>,
}

impl Value {
    /// Erases the type of `value`.
    #[inline(always)]
    pub fn new<T: Send + 'static>(value: T) -> Self {
        Self { space: store(value), table: &Erased::<T>::PLAIN }
    }

    /// Erases the type of `value` and remembers how to turn it into bytes.
    pub fn with_bytes<T: IntoBytes>(value: T) -> Self {
        Self { space: store(value), table: &Erased::<T>::BYTES }
    }

    /// Whether the value is a `T`.
    #[inline]
    pub fn is<T: 'static>(&self) -> bool {
        self.table.type_id == TypeId::of::<T>()
    }

    /// The value, or `self` back if it is of another type.
    #[inline]
    pub fn downcast<T: Send + 'static>(self) -> Result<T, Self> {
        if !self.is::<T>() {
            return Err(self);
        }
        // SAFETY: the type was just checked, and the value is forgotten at once, so what it holds is
        // moved out exactly once.
        let value = unsafe { load(&self.space) };
        mem::forget(self);
        Ok(value)
    }

    /// The value where it lies, if it is a `T`.
    pub fn downcast_ref<T: Send + 'static>(&self) -> Option<&T> {
        if !self.is::<T>() {
            return None;
        }
        let space = self.space.as_ptr();
        // SAFETY: the type was just checked; the same `fits` decided where the value lies, and it stays
        // there as long as `self` is borrowed.
        Some(unsafe { if fits::<T>() { &*space.cast::<T>() } else { &**space.cast::<Box<T>>() } })
    }

    /// The bytes of the value, or `self` back if it has no byte form.
    pub fn into_bytes(self) -> Result<Bytes, Self> {
        let Some(into_bytes) = self.table.into_bytes else { return Err(self) };
        let mut this = mem::ManuallyDrop::new(self);
        // SAFETY: the table belongs to the stored type and `this` is not used again.
        Ok(unsafe { into_bytes(&mut this.space) })
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: the table belongs to the stored type; a value that was moved out is behind
        // `ManuallyDrop` and never gets here.
        unsafe { (self.table.drop)(&mut self.space) }
    }
}

// SAFETY: both constructors demand `T: Send`, and the table holds only functions.
unsafe impl Send for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value<{}>", (self.table.name)())
    }
}

#[inline(always)]
const fn fits<T>() -> bool {
    size_of::<T>() <= size_of::<Space>() && align_of::<T>() <= align_of::<Space>()
}

#[inline(always)]
fn store<T>(value: T) -> Space {
    let mut space: Space = [MaybeUninit::uninit(); 4];
    let target = space.as_mut_ptr();
    // SAFETY: `fits` checked size and alignment for the inline case; a `Box<T>` is one word.
    unsafe {
        if fits::<T>() {
            ptr::write(target.cast::<T>(), value);
        } else {
            ptr::write(target.cast::<Box<T>>(), Box::new(value));
        }
    }
    space
}

/// Moves the `T` out of `space`.
///
/// # Safety
/// `space` must hold a `T` made by [`store`], and must not be used afterwards.
#[inline(always)]
unsafe fn load<T>(space: &Space) -> T {
    // SAFETY: by the contract; the same `fits` decided where the value lies.
    unsafe {
        if fits::<T>() {
            ptr::read(space.as_ptr().cast::<T>())
        } else {
            *ptr::read(space.as_ptr().cast::<Box<T>>())
        }
    }
}

struct Erased<T>(T);

impl<T: Send + 'static> Erased<T> {
    const PLAIN: Table = Table {
        type_id: TypeId::of::<T>(),
        name: std::any::type_name::<T>,
        drop: Self::drop,
        into_bytes: None,
    };

    unsafe fn drop(space: &mut Space) {
        // SAFETY: the caller owns the stored `T` and does not use it again.
        drop(unsafe { load::<T>(space) });
    }
}

impl<T: IntoBytes> Erased<T> {
    const BYTES: Table = Table { into_bytes: Some(Self::into_bytes), ..Self::PLAIN };

    unsafe fn into_bytes(space: &mut Space) -> Bytes {
        // SAFETY: the caller owns the stored `T` and does not use it again.
        unsafe { load::<T>(space) }.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_value_comes_back_as_what_it_was() {
        assert_eq!(Value::new(7_u8).downcast::<u8>().unwrap(), 7);
        let large = [3_u64; 40];
        assert_eq!(Value::new(large).downcast::<[u64; 40]>().unwrap(), large);
        let back = Value::new("x".to_owned()).downcast::<u8>().unwrap_err();
        assert_eq!(back.downcast::<String>().unwrap(), "x");
    }

    #[test]
    fn a_dropped_value_is_dropped_once() {
        for big in [false, true] {
            let probe = Arc::new(());
            let value =
                if big { Value::new((probe.clone(), [0_u64; 30])) } else { Value::new(probe.clone()) };
            assert_eq!(Arc::strong_count(&probe), 2);
            drop(value);
            assert_eq!(Arc::strong_count(&probe), 1);
        }
    }

    #[test]
    fn only_values_with_a_byte_form_become_bytes() {
        struct Text(&'static str);
        impl IntoBytes for Text {
            fn into_bytes(self) -> Bytes {
                Bytes::from_static(self.0.as_bytes())
            }
        }
        assert_eq!(Value::with_bytes(Text("hi")).into_bytes().unwrap(), "hi");
        assert!(Value::new(1).into_bytes().is_err());
    }

    #[test]
    fn bytes_stay_bytes() {
        assert!(matches!(Payload::of(Bytes::from_static(b"a")), Payload::Bytes(_)));
        assert_eq!(Payload::from("a").take::<Bytes>().unwrap(), "a");
        assert!(Payload::from("a").take::<u8>().is_err());
    }
}
