//! Enums whose variants have names: one list of them for the type, the columns, the settings and JSON.

/// Declares an enum with a name for each variant, and implements `ALL`, `as_str`, `parse` and both directions of serde.
/// `parse` accepts exactly the names that `as_str` returns.
macro_rules! named {
    ($(#[$about:meta])* $visibility:vis enum $type:ident {
        $($(#[$about_variant:meta])* $variant:ident: $name:literal,)+
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visibility enum $type {
            $($(#[$about_variant])* $variant,)+
        }

        impl $type {
            /// Every variant, in the order of declaration.
            $visibility const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The name in the store, in settings and in JSON.
            $visibility const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The variant with this name, spelled exactly as `as_str` returns it; none for any other text.
            $visibility fn parse(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.as_str() == name)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                let unknown = || serde::de::Error::unknown_variant(&name, &[$($name),+]);
                Self::parse(&name).ok_or_else(unknown)
            }
        }
    };
}
pub(crate) use named;
