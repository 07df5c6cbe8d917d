//! Which global names and built-in properties there are, and which prototype each kind of object has. What calling
//! them does is in `builtin_*`.

use crate::names::{ABSENT, GLOBAL_FUNCTIONS, GLOBAL_OBJECTS, HOST_CLASSES, family, has_method};
use crate::solver::Solver;
use crate::value::{At, Key, Kind, Native, Node, Value};

impl<'a> Solver<'a> {
    /// What a global name stands for; `None` when the runtime has no such global, or for a plain value.
    pub(crate) fn global(&mut self, name: &str) -> Option<Value> {
        if matches!(name, "NaN" | "Infinity") {
            return Some(self.primitive_value());
        }
        if name == "undefined" || name.is_empty() || ABSENT.contains(&name) {
            return None;
        }
        let key = self.name(name);
        if GLOBAL_OBJECTS.contains(&name) || GLOBAL_FUNCTIONS.contains(&name) || HOST_CLASSES.contains(&name)
        {
            let key = if name == "self" { self.name("globalThis") } else { key };
            return Some(self.native(Native::Global(key)));
        }
        Some(self.unknown_global(key))
    }

    pub(crate) fn is_host_class(&self, owner: Key) -> bool {
        let name = self.spelled(owner);
        HOST_CLASSES.contains(&name) || name.starts_with("Intl.")
    }

    pub(crate) fn load_from_native(&mut self, native: Native, key: Key, to: Node, receiver: Value, at: At) {
        let name = self.spelled(key).to_owned();
        let value = match native {
            Native::Global(owner) => {
                let owner_name = self.spelled(owner).to_owned();
                match (owner_name.as_str(), name.as_str()) {
                    ("globalThis", _) => self.global(&name),
                    ("process", "env") => Some(self.environment()),
                    // Only `env` exists there.
                    ("process", _) => None,
                    ("Intl", _) => {
                        let key = self.name(&format!("Intl.{name}"));
                        Some(self.native(Native::Global(key)))
                    }
                    ("Symbol", "for" | "keyFor") => Some(self.native(Native::Static(owner, key))),
                    ("Symbol", symbol) if symbol != "prototype" => {
                        let text = self.text(&format!("@@{symbol}"));
                        self.edge(text, to);
                        None
                    }
                    (
                        "RegExp",
                        "$_" | "$&" | "$+" | "$`" | "$'" | "input" | "lastMatch" | "lastParen"
                        | "leftContext" | "rightContext",
                    ) => {
                        self.object_to(
                            at.site,
                            format!("reads `RegExp.{name}`, which earlier calls may have set"),
                        );
                        Some(self.primitive_value())
                    }
                    ("RegExp", digit) if digit.starts_with('$') => {
                        self.object_to(
                            at.site,
                            format!("reads `RegExp.{name}`, which earlier calls may have set"),
                        );
                        Some(self.primitive_value())
                    }
                    ("crypto", "subtle") => Some(self.native(Native::Static(owner, key))),
                    ("performance", "timeOrigin") => {
                        self.varies(at, "performance.timeOrigin");
                        Some(self.primitive_value())
                    }
                    (_, "prototype") => Some(self.native(Native::Prototype(owner))),
                    (_, "name" | "length" | "") => Some(self.primitive_value()),
                    (_, "@@species") => Some(self.native(native)),
                    ("Math" | "Number", constant)
                        if constant.chars().all(|c| {
                            c.is_ascii_uppercase() || c == '_' || c == '2' || c == '1' || c == '0'
                        }) =>
                    {
                        Some(self.primitive_value())
                    }
                    _ if self.is_function_property(native, &name) => {
                        let function = self.name("Function");
                        Some(self.native(Native::Method(function, key)))
                    }
                    _ => Some(self.native(Native::Static(owner, key))),
                }
            }
            Native::Prototype(owner) => {
                self.load_from_prototype(owner, key, to, receiver);
                None
            }
            Native::Static(owner, member) => {
                let path = format!("{}.{}", self.spelled(owner), self.spelled(member));
                if self.is_function_property(native, &name) {
                    let function = self.name("Function");
                    Some(self.native(Native::Method(function, key)))
                } else if path == "crypto.subtle" {
                    let owner = self.name("crypto.subtle");
                    Some(self.native(Native::Static(owner, key)))
                } else if matches!(name.as_str(), "name" | "length") {
                    Some(self.primitive_value())
                } else {
                    None
                }
            }
            Native::Method(..) | Native::AnyMethod => {
                if self.is_function_property(native, &name) {
                    let function = self.name("Function");
                    Some(self.native(Native::Method(function, key)))
                } else {
                    Some(self.primitive_value()).filter(|_| matches!(name.as_str(), "name" | "length"))
                }
            }
        };
        if let Some(value) = value {
            self.add(to, value);
        }
    }

    fn is_function_property(&self, native: Native, name: &str) -> bool {
        let namespace = match native {
            Native::Global(owner) => matches!(
                self.spelled(owner),
                "Math"
                    | "JSON"
                    | "Reflect"
                    | "Atomics"
                    | "globalThis"
                    | "process"
                    | "console"
                    | "crypto"
                    | "performance"
                    | "Convex"
                    | "WebAssembly"
                    | "Intl"
            ),
            _ => false,
        };
        !namespace && matches!(name, "call" | "apply" | "bind")
    }

    /// `owner.prototype.key`, and what `owner.prototype` inherits.
    fn load_from_prototype(&mut self, owner: Key, key: Key, to: Node, receiver: Value) {
        let owner_name = self.spelled(owner).to_owned();
        let name = self.spelled(key).to_owned();
        match (family(&owner_name), name.as_str()) {
            (_, "constructor") => {
                let constructor = self.native(Native::Global(owner));
                self.add(to, constructor);
                return;
            }
            (_, "__proto__") => {
                let owner = self.name("Object");
                let proto = self.native(Native::Prototype(owner));
                self.add(to, proto);
                return;
            }
            ("Map" | "Set", "size")
            | (
                "RegExp",
                "lastIndex" | "source" | "flags" | "global" | "sticky" | "multiline" | "ignoreCase",
            )
            | ("RegExp", "unicode" | "unicodeSets" | "dotAll" | "hasIndices")
            | ("Error", "message" | "name" | "stack")
            | (
                "Bytes" | "ArrayBuffer",
                "byteLength" | "byteOffset" | "length" | "maxByteLength" | "resizable",
            )
            | ("Array" | "Function" | "String", "length" | "name")
            | ("Symbol", "description") => {
                self.edge(self.primitive, to);
                return;
            }
            ("Bytes", "buffer") => {
                if !matches!(self.kind(receiver), Kind::Native(_) | Kind::Text(_) | Kind::Primitive) {
                    let buffer = self.field(receiver, Key::BUFFER);
                    self.edge(buffer, to);
                }
                return;
            }
            _ => {}
        }
        if key == Key::ANY || self.is_host_class(owner) || has_method(&owner_name, &name) {
            if !name.is_empty() {
                let method = self.native(Native::Method(owner, key));
                self.add(to, method);
            }
            return;
        }
        if owner_name != "Object" {
            let object = self.name("Object");
            self.load_from_prototype(object, key, to, receiver);
        }
    }

    /// Properties that an object has because of its kind.
    pub(crate) fn load_implicit(&mut self, object: Value, key: Key, to: Node, receiver: Value) {
        let owners: &[&str] = match self.kind(object) {
            Kind::Object | Kind::Environment | Kind::Namespace(_) => &["Object"],
            Kind::Array => &["Array"],
            Kind::Function { .. } | Kind::Bound { .. } | Kind::Resolver { .. } => &["Function"],
            Kind::Map => &["Map"],
            Kind::Set => &["Set"],
            Kind::WeakMap => &["WeakMap"],
            Kind::WeakSet => &["WeakSet"],
            Kind::WeakRef => &["WeakRef"],
            Kind::Promise => &["Promise"],
            Kind::Iterator | Kind::Generator => &["Iterator"],
            Kind::AsyncGenerator => &["AsyncGenerator"],
            Kind::RegExp { .. } => &["RegExp"],
            Kind::Date => &["Date"],
            Kind::Error => &["Error"],
            Kind::Bytes => &["Uint8Array"],
            Kind::Buffer => &["ArrayBuffer"],
            _ => &[],
        };
        for owner in owners {
            let owner = self.name(owner);
            self.load_from_prototype(owner, key, to, receiver);
        }
    }

    pub(crate) fn load_from_primitive(&mut self, key: Key, to: Node) {
        let name = self.spelled(key).to_owned();
        self.edge(self.primitive, to);
        if name.is_empty() || matches!(name.as_str(), "length" | "description") {
            return;
        }
        let owner = self.name("String");
        if name == "constructor" {
            let constructor = self.native(Native::Global(owner));
            self.add(to, constructor);
            return;
        }
        let method = self.native(Native::Method(owner, key));
        self.add(to, method);
    }

    /// Some property of a built-in object.
    pub(crate) fn load_any_from_native(&mut self, native: Native, to: Node) {
        let any = self.native(Native::AnyMethod);
        self.add(to, any);
        self.edge(self.primitive, to);
        if matches!(native, Native::Global(owner) if self.spelled(owner) == "globalThis") {
            let key = self.name("globalThis");
            let global = self.native(Native::Global(key));
            self.add(to, global);
        }
    }

    /// Something that differs between evaluations is read; wrong while modules are evaluated.
    pub(crate) fn varies(&mut self, at: At, what: &str) {
        if self.phase(at.frame) == crate::value::Phase::Evaluation {
            self.object_to(at.site, format!("uses `{what}` while the module is evaluated"));
        }
    }

    /// What `JSON.parse` gives: new objects and arrays all the way down.
    pub(crate) fn json_tree(&mut self, at: At, tag: u32) -> Node {
        let tree = self.make(at, tag, Kind::Array);
        let node = self.single(tree);
        for key in [Key::ANY, Key::ELEMENT] {
            let slot = self.field(tree, key);
            self.add(slot, tree);
            self.edge(self.primitive, slot);
        }
        self.join(&[node, self.primitive])
    }
}
