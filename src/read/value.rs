//! What reads give out: bytes that belong to the caller.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

macro_rules! owned_bytes {
    ($(#[$doc:meta])* $name:ident, $repr:ident, $short:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name($repr);

        /// Short ones are kept without an allocation.
        #[derive(Clone)]
        enum $repr {
            Short { size: u8, bytes: [u8; $short] },
            Long(Box<[u8]>),
        }

        impl $name {
            /// Copies `bytes`.
            #[inline]
            pub(crate) fn copy(from: &[u8]) -> Self {
                let mut bytes = [0; $short];
                match (bytes.get_mut(..from.len()), u8::try_from(from.len())) {
                    (Some(short), Ok(size)) => {
                        short.copy_from_slice(from);
                        $name($repr::Short { size, bytes })
                    }
                    _ => $name($repr::Long(from.into())),
                }
            }
        }

        impl Deref for $name {
            type Target = [u8];

            #[inline]
            fn deref(&self) -> &[u8] {
                match &self.0 {
                    $repr::Short { size, bytes } => {
                        bytes.get(..usize::from(*size)).expect("a size of a slice of these bytes")
                    }
                    $repr::Long(bytes) => bytes,
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name::copy(&[])
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                **self == **other
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                (**self).cmp(&**other)
            }
        }

        // As the bytes do, for `Borrow<[u8]>`.
        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                (**self).hash(state);
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                self
            }
        }

        impl std::borrow::Borrow<[u8]> for $name {
            fn borrow(&self) -> &[u8] {
                self
            }
        }

        impl From<$name> for Vec<u8> {
            fn from(bytes: $name) -> Vec<u8> {
                match bytes.0 {
                    $repr::Short { .. } => bytes.to_vec(),
                    $repr::Long(bytes) => bytes.into_vec(),
                }
            }
        }

        impl PartialEq<[u8]> for $name {
            fn eq(&self, other: &[u8]) -> bool {
                **self == *other
            }
        }

        impl<const N: usize> PartialEq<&[u8; N]> for $name {
            fn eq(&self, other: &&[u8; N]) -> bool {
                **self == *other.as_slice()
            }
        }

        impl PartialEq<&[u8]> for $name {
            fn eq(&self, other: &&[u8]) -> bool {
                **self == **other
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "(\"{}\")"), self.escape_ascii())
            }
        }
    };
}

owned_bytes!(
    /// A key, as an iterator gives it out: the caller's own bytes. One of up to
    /// 38 bytes takes no allocation.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("b/long enough to be kept elsewhere than in place", "")?;
    /// db.set("a", "")?;
    /// let mut keys: Vec<esker::Key> = db.iter().keys().collect::<esker::Result<_>>()?;
    /// assert!(keys.is_sorted()); // In the order of their bytes,
    /// assert!(keys[1].starts_with(b"b/")); // with all that a slice can do.
    /// let bytes: Vec<u8> = keys.swap_remove(0).into();
    /// assert_eq!(bytes, b"a");
    /// # Ok(()) }
    /// ```
    Key, KeyBytes, 38
);
owned_bytes!(
    /// A value: the caller's own bytes. Dereferences to them, takes no allocation
    /// for up to 22 bytes, and if it is longer turns into a `Vec<u8>` without a copy.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("port", "8500")?;
    /// let value: esker::Value = db.get("port")?.expect("it was set");
    /// assert_eq!(value, b"8500");
    /// assert_eq!(value.len(), 4);
    /// assert_eq!(str::from_utf8(&value).ok().and_then(|text| text.parse().ok()), Some(8500));
    /// let bytes: Vec<u8> = value.into();
    /// assert_eq!(bytes, b"8500");
    /// # Ok(()) }
    /// ```
    Value, ValueBytes, 22
);

impl Value {
    /// Takes `from` over, without a copy where it has no room to spare.
    pub(crate) fn from_vec(from: Vec<u8>) -> Self {
        Value(ValueBytes::Long(from.into_boxed_slice()))
    }
}

const _: () = assert!(size_of::<Key>() <= 40 && size_of::<Value>() <= 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_are_the_same_bytes() {
        let bytes: Vec<u8> = (0..100).collect();
        for size in 0..bytes.len() {
            let part = &bytes[..size];
            let (key, value) = (Key::copy(part), Value::copy(part));
            assert_eq!((&*key, &*value), (part, part));
            assert_eq!(key, part.to_vec()[..]);
            assert_eq!((Vec::from(key), Vec::from(value)), (part.to_vec(), part.to_vec()));
        }
        assert!(Key::copy(&[1; 38]) < Key::copy(&[1; 39]) && Key::copy(&[1; 39]) < Key::copy(&[2]));
        let kept = std::collections::HashSet::from([Key::copy(&[1; 38]), Key::copy(&[1; 39])]);
        assert!(kept.contains(&[1; 38][..]) && kept.contains(&[1; 39][..]));
    }
}
