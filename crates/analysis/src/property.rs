//! Reading, writing and enumerating properties of abstract objects, through prototypes, accessors and proxies.

use std::rc::Rc;

use crate::solver::{Solver, Use};
use crate::value::{Args, At, Key, Kind, Native, Node, Phase, Value, Watcher};

impl<'a> Solver<'a> {
    /// `to` gets what `object.key` may be, `this` of getters being `receiver`.
    pub(crate) fn load(&mut self, object: Value, key: Key, to: Node, receiver: Value, at: At) {
        if !self.loads_seen.insert((object, key, to, receiver)) {
            return;
        }
        match self.kind(object).clone() {
            Kind::Text(_) | Kind::Number | Kind::Primitive => {
                self.load_from_primitive(key, to);
                return;
            }
            Kind::Native(native) => {
                self.load_from_native(native, key, to, receiver, at);
                return;
            }
            Kind::Unknown => {
                self.add(to, object);
                return;
            }
            Kind::Environment => {
                self.read_environment(at);
                self.edge(self.primitive, to);
                return;
            }
            Kind::Namespace(module) => {
                let export = self.export(module, key);
                self.edge(export, to);
                return;
            }
            Kind::Opaque { .. } => {
                self.add(to, object);
                self.edge(self.primitive, to);
                if matches!(self.spelled(key), "value" | "detail" | "reason") {
                    self.edge(self.held, to);
                }
            }
            Kind::Proxy => {
                self.load_from_proxy(object, key, to, at);
                return;
            }
            Kind::Function { func, .. }
                if self.spelled(key) == "prototype" && self.funcs[func.0 as usize].has_prototype() =>
            {
                self.prototype_of(object);
            }
            _ => {}
        }
        let own = self.field(object, key);
        self.edge(own, to);
        if key == Key::ELEMENT {
            self.load_entry(object, to);
        }
        if key != Key::ANY {
            let any = self.field(object, Key::ANY);
            self.edge(any, to);
        }
        if self.accessors.contains(&key) {
            let getter = self.field(object, key.getter());
            self.call_getter(getter, receiver, to, at);
        }
        if self.accessors.contains(&Key::ANY) {
            let getter = self.field(object, Key::ANY.getter());
            self.call_getter(getter, receiver, to, at);
        }
        let proto = self.field(object, Key::PROTO);
        if self.spelled(key) == "__proto__" {
            self.edge(proto, to);
        }
        self.attach(proto, Use::LoadFor { key, to, receiver, at });
        self.load_implicit(object, key, to, receiver);
    }

    /// Both elements of an entry.
    pub(crate) fn load_entry(&mut self, object: Value, to: Node) {
        for slot in [Key::FIRST, Key::SECOND] {
            if let Some(slot) = self.has_field(object, slot) {
                self.edge(slot, to);
            }
        }
    }

    fn call_getter(&mut self, getter: Node, receiver: Value, to: Node, at: At) {
        let this = self.single(receiver);
        self.attach(getter, Use::Call { this, name: None, args: Rc::default(), ret: to, at });
    }

    fn load_from_proxy(&mut self, proxy: Value, key: Key, to: Node, at: At) {
        let target = self.field(proxy, Key::TARGET);
        self.attach(target, Use::Load { key, to, at });
        let handler = self.field(proxy, Key::HANDLER);
        let name = self.name("get");
        let text = self.text_of_key(key);
        let this = self.single(proxy);
        let args = Rc::new(Args { fixed: vec![target, text, this], rest: None });
        self.attach(handler, Use::Method { name, args, ret: to, at });
    }

    /// `object[key]` for each value of `key`.
    pub(crate) fn load_by(&mut self, object: Value, key: Node, to: Node, at: At) {
        self.load(object, Key::UNDEFINED, to, object, at);
        self.attach(key, Use::LoadFrom { object, to, at });
    }

    pub(crate) fn load_named_by(&mut self, object: Value, key: Value, to: Node, at: At) {
        match *self.kind(key) {
            Kind::Text(name) => self.load(object, name, to, object, at),
            Kind::Number => self.load(object, Key::ELEMENT, to, object, at),
            // An object as a key is converted to a string.
            Kind::Primitive => self.load_all(object, to, object, at),
            _ => {
                self.convert(key, at);
                self.load_all(object, to, object, at);
            }
        }
    }

    /// `object[…]` under a name that may be anything.
    pub(crate) fn load_all(&mut self, object: Value, to: Node, receiver: Value, at: At) {
        match self.kind(object).clone() {
            Kind::Text(_) | Kind::Number | Kind::Primitive => {
                self.edge(self.primitive, to);
                return;
            }
            Kind::Native(native) => {
                self.load_any_from_native(native, to);
                return;
            }
            Kind::Unknown | Kind::Environment => {
                self.load(object, Key::ANY, to, receiver, at);
                return;
            }
            Kind::Namespace(module) => {
                for key in self.export_names.get(&module).cloned().unwrap_or_default() {
                    let export = self.export(module, key);
                    self.edge(export, to);
                }
                return;
            }
            Kind::Opaque { .. } => {
                self.add(to, object);
                self.edge(self.primitive, to);
            }
            Kind::Proxy => {
                self.load(object, Key::ANY, to, receiver, at);
                let target = self.field(object, Key::TARGET);
                self.attach(target, Use::LoadAllFor { to, receiver, at });
                return;
            }
            Kind::Array
            | Kind::Map
            | Kind::Set
            | Kind::WeakMap
            | Kind::WeakSet
            | Kind::Bytes
            | Kind::Date => {
                let any = self.native(Native::AnyMethod);
                self.add(to, any);
            }
            _ => {}
        }
        if !self.loads_seen.insert((object, Key::ANY, to, receiver)) {
            return;
        }
        self.watch(object, Watcher::LoadAll { to, receiver, at });
        let proto = self.field(object, Key::PROTO);
        self.attach(proto, Use::LoadAllFor { to, receiver, at });
    }

    /// `object.key = from`; that the object changes is checked by `Use::Change`.
    pub(crate) fn store(&mut self, object: Value, key: Key, from: Node, at: At) {
        match self.kind(object).clone() {
            Kind::Text(_)
            | Kind::Number
            | Kind::Primitive
            | Kind::Native(_)
            | Kind::Unknown
            | Kind::Environment
            | Kind::Namespace(_) => return,
            Kind::Proxy => {
                let target = self.field(object, Key::TARGET);
                self.attach(target, Use::Store { key, from, at });
                let handler = self.field(object, Key::HANDLER);
                let name = self.name("set");
                let text = self.text_of_key(key);
                let this = self.single(object);
                let args = Rc::new(Args { fixed: vec![target, text, from, this], rest: None });
                let ret = self.empty;
                self.attach(handler, Use::Method { name, args, ret, at });
                return;
            }
            _ => {}
        }
        if self.spelled(key) == "__proto__" {
            let proto = self.field(object, Key::PROTO);
            self.edge(from, proto);
        }
        let own = self.field(object, key);
        self.edge(from, own);
        self.call_setters(object, key, from, object, at);
    }

    pub(crate) fn call_setters(&mut self, object: Value, key: Key, from: Node, receiver: Value, at: At) {
        if !self.accessors.contains(&key) && !self.accessors.contains(&Key::ANY) {
            return;
        }
        if matches!(self.kind(object), Kind::Text(_) | Kind::Number | Kind::Primitive | Kind::Native(_)) {
            return;
        }
        if !self.loads_seen.insert((object, key.setter(), from, receiver)) {
            return;
        }
        let this = self.single(receiver);
        for setter in [key.setter(), Key::ANY.setter()] {
            let setter = self.field(object, setter);
            let args = Rc::new(Args { fixed: vec![from], rest: None });
            let ret = self.empty;
            self.attach(setter, Use::Call { this, name: None, args, ret, at });
        }
        let proto = self.field(object, Key::PROTO);
        self.attach(proto, Use::SetterFor { key, from, receiver, at });
    }

    pub(crate) fn store_by(&mut self, object: Value, key: Node, from: Node, at: At) {
        self.store(object, Key::UNDEFINED, from, at);
        self.attach(key, Use::StoreTo { object, from, at });
    }

    pub(crate) fn store_named_by(&mut self, object: Value, key: Value, from: Node, at: At) {
        match *self.kind(key) {
            Kind::Text(name) => self.store(object, name, from, at),
            Kind::Number => self.store(object, Key::ELEMENT, from, at),
            _ => {
                self.convert(key, at);
                self.store(object, Key::ANY, from, at);
                let mut names: Vec<Key> =
                    self.accessors.iter().copied().filter(|&name| name != Key::ANY).collect();
                names.sort_unstable();
                for name in names {
                    self.call_setters(object, name, from, object, at);
                }
            }
        }
    }

    /// Tells a watcher about one property.
    pub(crate) fn tell(&mut self, watcher: &Watcher, object: Value, key: Key, node: Node) {
        match *watcher {
            Watcher::LoadAll { to, receiver, at } => {
                if key.is_getter() {
                    self.call_getter(node, receiver, to, at);
                } else if !key.is_accessor() {
                    self.edge(node, to);
                }
            }
            Watcher::Copy { into, at } => {
                if key.is_getter() {
                    let copy = self.field(into, key.plain());
                    self.call_getter(node, object, copy, at);
                } else if !key.is_accessor() {
                    let key = if matches!(key, Key::FIRST | Key::SECOND) { Key::ELEMENT } else { key };
                    let copy = self.field(into, key);
                    self.edge(node, copy);
                }
            }
            Watcher::Deep { to, calls, at } => {
                let read = if key.is_getter() {
                    let read = self.node();
                    self.call_getter(node, object, read, at);
                    read
                } else if key.is_accessor() {
                    return;
                } else {
                    node
                };
                self.attach(read, Use::Deep { to, calls: calls.saturating_sub(1), at });
            }
        }
    }

    /// Copies enumerable properties, as spread and `Object.assign` do.
    pub(crate) fn copy_properties(&mut self, from: Value, into: Value, at: At) {
        if from == into {
            return;
        }
        match self.kind(from).clone() {
            Kind::Text(_) | Kind::Number | Kind::Primitive => {
                let elements = self.field(into, Key::ELEMENT);
                self.edge(self.primitive, elements);
            }
            Kind::Native(_) | Kind::Unknown => {
                let any = self.field(into, Key::ANY);
                self.load_all(from, any, from, at);
            }
            Kind::Environment => {
                self.read_environment(at);
                let any = self.field(into, Key::ANY);
                self.edge(self.primitive, any);
            }
            Kind::Namespace(module) => {
                for key in self.export_names.get(&module).cloned().unwrap_or_default() {
                    let export = self.export(module, key);
                    let copy = self.field(into, key);
                    self.edge(export, copy);
                }
            }
            Kind::Opaque { .. } => {
                let any = self.field(into, Key::ANY);
                self.add(any, from);
                self.edge(self.primitive, any);
            }
            Kind::Proxy => {
                let any = self.field(into, Key::ANY);
                self.load_all(from, any, from, at);
            }
            _ => self.watch(from, Watcher::Copy { into, at }),
        }
    }

    /// Looks at everything reachable through properties: getters and conversions run. Functions found less than `calls`
    /// levels down run too, as when the value is handed to the host: a callback, or an object of callbacks.
    pub(crate) fn look_deep(&mut self, value: Value, to: Option<Node>, calls: u8, at: At) {
        if let Some(to) = to {
            self.add(to, value);
        }
        if matches!(self.kind(value), Kind::Text(_) | Kind::Number | Kind::Primitive) {
            return;
        }
        if matches!(self.kind(value), Kind::Environment) {
            self.read_environment(at);
        }
        let phase = self.phase(at.frame);
        if !self.deep_seen.insert((value, to, calls, phase)) {
            return;
        }
        let at = self.host_at(at);
        self.convert(value, at);
        match self.kind(value).clone() {
            Kind::Native(_) | Kind::Unknown | Kind::Environment | Kind::Opaque { .. } => {}
            Kind::Namespace(_) | Kind::Proxy => {
                let all = self.node();
                self.load_all(value, all, value, at);
                self.attach(all, Use::Deep { to, calls: calls.saturating_sub(1), at });
            }
            Kind::Function { .. } | Kind::Bound { .. } | Kind::Resolver { .. } => {
                if calls > 0 {
                    let host = self.host_object(at, 900);
                    let node = self.single(host);
                    let held = self.held;
                    let node = self.join(&[node, held]);
                    let args = Rc::new(Args { fixed: Vec::new(), rest: Some(node) });
                    let this = self.empty;
                    let ret = self.empty;
                    self.call(value, this, None, &args, ret, at);
                }
            }
            _ => {
                self.watch(value, Watcher::Deep { to, calls, at });
                for slot in [Key::INNER, Key::MAP_KEY] {
                    if let Some(node) = self.has_field(value, slot) {
                        self.attach(node, Use::Deep { to, calls: calls.saturating_sub(1), at });
                    }
                }
            }
        }
    }

    /// The value is converted to a primitive, so that its own `toString` and the like run.
    pub(crate) fn convert(&mut self, value: Value, at: At) {
        if matches!(
            self.kind(value),
            Kind::Text(_)
                | Kind::Number
                | Kind::Primitive
                | Kind::Native(_)
                | Kind::Unknown
                | Kind::Environment
                | Kind::Namespace(_)
                | Kind::Opaque { .. }
        ) {
            return;
        }
        let phase = self.phase(at.frame);
        if !self.modules.has_conversions || !self.converted.insert((value, phase)) {
            return;
        }
        let at = self.host_at(at);
        for name in crate::program::CONVERSIONS {
            let name = self.name(name);
            let method = self.node();
            self.load(value, name, method, value, at);
            let this = self.single(value);
            let primitive = self.primitive;
            self.react(method, move |solver, method| {
                if matches!(solver.kind(method), Kind::Function { .. } | Kind::Bound { .. } | Kind::Proxy) {
                    let args = Rc::new(Args { fixed: vec![primitive], rest: None });
                    let ret = solver.empty;
                    solver.call(method, this, None, &args, ret, at);
                }
            });
        }
    }

    /// Where calls that no code spells out happen: one place for each phase, or every place that hands something to
    /// the host would be a caller of its own.
    fn host_at(&mut self, at: At) -> At {
        let frame = match self.phase(at.frame) {
            Phase::Evaluation => self.evaluation_root,
            Phase::Call => self.call_root,
        };
        let module = self.module_of(frame);
        let site = self.site(module, oxc_span::Span::new(0, 0), crate::reasons::Verb::Plain);
        At { site, frame }
    }

    /// A variable of the environment is read.
    pub(crate) fn read_environment(&mut self, at: At) {
        if self.phase(at.frame) == Phase::Evaluation {
            self.object_to(at.site, "reads `process.env` while the module is evaluated".to_owned());
        }
    }
}
