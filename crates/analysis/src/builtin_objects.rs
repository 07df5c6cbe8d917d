//! What the functions of `Object`, `Reflect`, `Promise` and `Array` themselves do.

use std::rc::Rc;

use crate::solver::{Solver, Use};
use crate::value::{Args, At, Key, Kind, Native, Node, Value};

impl<'a> Solver<'a> {
    pub(crate) fn call_object_static(&mut self, name: &str, args: &Rc<Args>, ret: Node, at: At) {
        let first = self.argument(args, 0);
        let second = self.argument(args, 1);
        match name {
            "assign" => {
                self.attach(first, Use::Change { at });
                self.edge(first, ret);
                let sources: Vec<Node> = args.fixed.iter().skip(1).copied().chain(args.rest).collect();
                self.react(first, move |solver, into| {
                    if !matches!(
                        solver.kind(into),
                        Kind::Text(_) | Kind::Primitive | Kind::Number | Kind::Native(_)
                    ) {
                        for &source in &sources {
                            solver.attach(source, Use::CopyInto { into, at });
                            solver.assign_through_setters(into, source, at);
                        }
                    }
                });
            }
            "defineProperty" => {
                self.attach(first, Use::Change { at });
                self.edge(first, ret);
                let descriptor = self.argument(args, 2);
                self.react(first, move |solver, object| {
                    solver.react(second, move |solver, key| solver.define_by(object, key, descriptor, at));
                });
            }
            "defineProperties" => {
                self.attach(first, Use::Change { at });
                self.edge(first, ret);
                self.define_all(first, second, at);
            }
            "create" => {
                let made = self.make(at, 200, Kind::Object);
                let proto = self.field(made, Key::PROTO);
                self.edge(first, proto);
                let node = self.single(made);
                self.define_all(node, second, at);
                self.add(ret, made);
            }
            "setPrototypeOf" => {
                self.attach(first, Use::Change { at });
                self.edge(first, ret);
                self.react(first, move |solver, object| {
                    if !matches!(solver.kind(object), Kind::Native(_)) {
                        let proto = solver.field(object, Key::PROTO);
                        solver.edge(second, proto);
                    }
                });
            }
            "getPrototypeOf" => self.prototypes_of(first, ret),
            "freeze" | "seal" | "preventExtensions" => {
                self.attach(first, Use::Change { at });
                self.edge(first, ret);
            }
            "keys" | "getOwnPropertyNames" | "getOwnPropertySymbols" => {
                self.enumerate(first, at);
                let made = self.make(at, 201, Kind::Array);
                let elements = self.field(made, Key::ELEMENT);
                self.edge(self.primitive, elements);
                self.add(ret, made);
            }
            "values" => {
                let made = self.make(at, 202, Kind::Array);
                let elements = self.field(made, Key::ELEMENT);
                self.load_every(first, elements, at);
                self.add(ret, made);
            }
            "entries" => {
                let pair = self.make(at, 203, Kind::Array);
                let names = self.field(pair, Key::FIRST);
                self.edge(self.primitive, names);
                let values = self.field(pair, Key::SECOND);
                self.load_every(first, values, at);
                let made = self.make(at, 204, Kind::Array);
                let elements = self.field(made, Key::ELEMENT);
                self.add(elements, pair);
                self.add(ret, made);
            }
            "fromEntries" => {
                let made = self.make(at, 205, Kind::Object);
                let pairs = self.node();
                self.attach(first, Use::Iterate { to: pairs, at });
                let any = self.field(made, Key::ANY);
                self.attach(pairs, Use::Load { key: Key::ELEMENT, to: any, at });
                self.add(ret, made);
            }
            "groupBy" => {
                let made = self.make(at, 206, Kind::Object);
                let group = self.make(at, 207, Kind::Array);
                let elements = self.field(group, Key::ELEMENT);
                self.attach(first, Use::Iterate { to: elements, at });
                let any = self.field(made, Key::ANY);
                self.add(any, group);
                let number = self.number;
                let ignored = self.node();
                self.call_back(args, 1, &[elements, number], ignored, at);
                self.add(ret, made);
            }
            "getOwnPropertyDescriptor" => {
                let made = self.make(at, 209, Kind::Object);
                let value = self.name("value");
                let slot = self.field(made, value);
                self.attach(first, Use::LoadBy { key: second, to: slot, at });
                self.react(first, move |solver, object| {
                    let functions = [("get", Key::getter as fn(Key) -> Key), ("set", Key::setter)];
                    for (part, accessor) in functions {
                        let part = solver.name(part);
                        let slot = solver.field(made, part);
                        if matches!(solver.kind(object), Kind::Native(_)) {
                            // Accessors of built-ins are among what is loaded by name.
                            let value = solver.field(made, value);
                            solver.edge(value, slot);
                            continue;
                        }
                        let accessors: Vec<Node> = solver.values[object.0 as usize]
                            .fields
                            .iter()
                            .filter(|(key, _)| key.is_accessor() && accessor(key.plain()) == **key)
                            .map(|(_, node)| *node)
                            .collect();
                        for accessor in accessors {
                            solver.edge(accessor, slot);
                        }
                    }
                });
                self.add(ret, made);
            }
            "getOwnPropertyDescriptors" => {
                // Getters and setters are handed out as values, and so is everything else.
                let made = self.make(at, 208, Kind::Object);
                let any = self.field(made, Key::ANY);
                self.add(any, made);
                self.edge(self.primitive, any);
                self.load_every(first, any, at);
                self.react(first, move |solver, object| {
                    let accessors: Vec<Node> = solver.values[object.0 as usize]
                        .fields
                        .iter()
                        .filter(|(key, _)| key.is_accessor())
                        .map(|(_, node)| *node)
                        .collect();
                    for accessor in accessors {
                        solver.edge(accessor, any);
                    }
                });
                self.add(ret, made);
            }
            "is" | "hasOwn" | "isFrozen" | "isSealed" | "isExtensible" => self.edge(self.primitive, ret),
            _ => self.unknown_built_in("Object", name, at),
        }
    }

    /// `Object.assign` calls setters of its target.
    fn assign_through_setters(&mut self, into: Value, source: Node, at: At) {
        let mut names: Vec<Key> = self.accessors.iter().copied().collect();
        names.sort_unstable();
        for name in names {
            let part = self.node();
            self.attach(source, Use::Load { key: name, to: part, at });
            self.call_setters(into, name, part, into, at);
        }
    }

    pub(crate) fn unknown_built_in(&mut self, owner: &str, name: &str, at: At) {
        self.object_to(at.site, format!("calls `{owner}.{name}`, which the analysis does not know"));
    }

    fn define_by(&mut self, object: Value, key: Value, descriptor: Node, at: At) {
        if matches!(self.kind(object), Kind::Text(_) | Kind::Number | Kind::Primitive | Kind::Native(_)) {
            return;
        }
        let name = match *self.kind(key) {
            Kind::Text(name) => name,
            Kind::Number => Key::ELEMENT,
            _ => Key::ANY,
        };
        self.define_from(object, name, descriptor, at);
    }

    /// Defines a property from what the descriptor holds.
    fn define_from(&mut self, object: Value, name: Key, descriptor: Node, at: At) {
        let value_key = self.name("value");
        let slot = self.field(object, name);
        self.attach(descriptor, Use::Load { key: value_key, to: slot, at });
        for (part, accessor) in [("get", name.getter()), ("set", name.setter())] {
            let part = self.name(part);
            let functions = self.node();
            self.attach(descriptor, Use::Load { key: part, to: functions, at });
            self.react(functions, move |solver, function| {
                if matches!(solver.kind(function), Kind::Text(_) | Kind::Number | Kind::Primitive) {
                    return;
                }
                if !solver.accessors.contains(&name) {
                    let spelled =
                        if name == Key::ANY { "*".to_owned() } else { solver.spelled(name).to_owned() };
                    solver.accessors_missed.insert(spelled);
                }
                let slot = solver.field(object, accessor);
                solver.add(slot, function);
            });
        }
    }

    /// Each property of `descriptors` describes one of the objects' properties.
    fn define_all(&mut self, objects: Node, descriptors: Node, at: At) {
        let descriptor = self.node();
        self.load_every(descriptors, descriptor, at);
        self.react(objects, move |solver, object| {
            if !matches!(solver.kind(object), Kind::Native(_) | Kind::Text(_) | Kind::Primitive) {
                solver.define_from(object, Key::ANY, descriptor, at);
            }
        });
    }

    /// All property values of the objects.
    pub(crate) fn load_every(&mut self, objects: Node, to: Node, at: At) {
        self.enumerate(objects, at);
        self.react(objects, move |solver, object| {
            if matches!(
                solver.kind(object),
                Kind::Opaque { .. } | Kind::Proxy | Kind::Native(_) | Kind::Namespace(_)
            ) {
                solver.load_all(object, to, object, at);
            } else if !matches!(solver.kind(object), Kind::Text(_) | Kind::Number | Kind::Primitive) {
                solver.watch(object, crate::value::Watcher::LoadAll { to, receiver: object, at });
            } else {
                solver.edge(solver.primitive, to);
            }
        });
    }

    fn enumerate(&mut self, objects: Node, at: At) {
        self.react(objects, move |solver, object| {
            if matches!(solver.kind(object), Kind::Environment) {
                solver.read_environment(at);
            }
        });
    }

    fn prototypes_of(&mut self, objects: Node, ret: Node) {
        self.react(objects, move |solver, object| match solver.kind(object).clone() {
            Kind::Text(_) | Kind::Number | Kind::Primitive | Kind::Namespace(_) => {}
            Kind::Opaque { .. } => solver.add(ret, object),
            Kind::Native(Native::Global(owner)) if solver.spelled(owner) == "Error" => {}
            Kind::Native(_) | Kind::Unknown | Kind::Environment => {
                let owner = solver.name("Object");
                let proto = solver.native(Native::Prototype(owner));
                solver.add(ret, proto);
            }
            Kind::Proxy => {
                let target = solver.field(object, Key::TARGET);
                solver.prototypes_of(target, ret);
            }
            kind => {
                let proto = solver.field(object, Key::PROTO);
                solver.edge(proto, ret);
                let owner = match kind {
                    Kind::Array => "Array",
                    Kind::Function { .. } => "Function",
                    Kind::Map => "Map",
                    Kind::Set => "Set",
                    Kind::Error => "Error",
                    Kind::Promise => "Promise",
                    Kind::RegExp { .. } => "RegExp",
                    Kind::Date => "Date",
                    Kind::Bytes => "Uint8Array",
                    Kind::Iterator | Kind::Generator | Kind::AsyncGenerator => "Iterator",
                    _ => "Object",
                };
                let owner = solver.name(owner);
                let proto = solver.native(Native::Prototype(owner));
                solver.add(ret, proto);
            }
        });
    }

    pub(crate) fn call_reflect(&mut self, name: &str, args: &Rc<Args>, ret: Node, at: At) {
        let first = self.argument(args, 0);
        let second = self.argument(args, 1);
        match name {
            "apply" => {
                let list = self.argument(args, 2);
                let elements = self.node();
                self.attach(list, Use::Iterate { to: elements, at });
                let args = Rc::new(Args { fixed: Vec::new(), rest: Some(elements) });
                self.attach(first, Use::Call { this: second, name: None, args, ret, at });
            }
            "construct" => {
                let elements = self.node();
                self.attach(second, Use::Iterate { to: elements, at });
                let target = (args.fixed.len() > 2 || args.rest.is_some()).then(|| self.argument(args, 2));
                let args = Rc::new(Args { fixed: Vec::new(), rest: Some(elements) });
                self.attach(first, Use::New { target, args, ret, at });
            }
            "get" => {
                self.attach(first, Use::LoadBy { key: second, to: ret, at });
                let receiver = self.argument(args, 2);
                self.getters_with(first, receiver, ret, at);
            }
            "set" => {
                let value = self.argument(args, 2);
                let receiver = self.argument(args, 3);
                for object in [first, receiver] {
                    self.attach(object, Use::Change { at });
                    self.attach(object, Use::StoreBy { key: second, from: value, at });
                }
                self.edge(self.primitive, ret);
            }
            "defineProperty" | "setPrototypeOf" | "preventExtensions" => {
                let ignored = self.node();
                self.call_object_static(name, args, ignored, at);
                self.edge(self.primitive, ret);
            }
            "deleteProperty" => {
                self.attach(first, Use::Change { at });
                self.edge(self.primitive, ret);
            }
            "getPrototypeOf" | "getOwnPropertyDescriptor" => self.call_object_static(name, args, ret, at),
            "ownKeys" => self.call_object_static("keys", args, ret, at),
            "has" | "isExtensible" => self.edge(self.primitive, ret),
            _ => self.unknown_built_in("Reflect", name, at),
        }
    }

    /// `Reflect.get` with another receiver: every getter may run with it.
    fn getters_with(&mut self, objects: Node, receivers: Node, ret: Node, at: At) {
        if receivers == self.empty {
            return;
        }
        self.react(receivers, move |solver, receiver| {
            solver.attach(objects, Use::LoadAllFor { to: ret, receiver, at });
        });
    }

    pub(crate) fn call_promise_static(&mut self, name: &str, args: &Rc<Args>, ret: Node, at: At) {
        let first = self.argument(args, 0);
        match name {
            "resolve" => {
                self.promise_of(first, ret, at, 220);
                self.react(first, move |solver, value| {
                    if matches!(solver.kind(value), Kind::Promise) {
                        solver.add(ret, value);
                    }
                });
            }
            "reject" => {
                self.throw(first, at.frame);
                let empty = self.empty;
                self.promise_of(empty, ret, at, 221);
            }
            "all" | "any" | "race" | "allSettled" => {
                let elements = self.node();
                self.attach(first, Use::Iterate { to: elements, at });
                if matches!(name, "any" | "race") {
                    self.promise_of(elements, ret, at, 222);
                    return;
                }
                let list = self.make(at, 223, Kind::Array);
                let settled = self.field(list, Key::ELEMENT);
                if name == "all" {
                    self.attach(elements, Use::Await { to: settled, at });
                } else {
                    let outcome = self.make(at, 224, Kind::Object);
                    let value = self.name("value");
                    let slot = self.field(outcome, value);
                    self.attach(elements, Use::Await { to: slot, at });
                    let status = self.name("status");
                    let slot = self.field(outcome, status);
                    self.edge(self.primitive, slot);
                    let reason = self.name("reason");
                    let slot = self.field(outcome, reason);
                    let thrown = self.thrown_in(at.frame);
                    self.edge(thrown, slot);
                    let error = self.make(at, 225, Kind::Error);
                    self.add(slot, error);
                    self.add(settled, outcome);
                }
                let list = self.single(list);
                self.promise_of(list, ret, at, 226);
            }
            "withResolvers" => {
                let empty = self.empty;
                let made = self.make(at, 227, Kind::Object);
                let key = self.name("promise");
                let slot = self.field(made, key);
                let promise = self.promise_of(empty, slot, at, 228);
                let (resolve, reject) = self.resolvers(promise, at);
                for (name, function) in [("resolve", resolve), ("reject", reject)] {
                    let key = self.name(name);
                    let slot = self.field(made, key);
                    self.edge(function, slot);
                }
                self.add(ret, made);
            }
            "try" => {
                let result = self.node();
                let given: Vec<Node> = args.fixed.iter().skip(1).copied().collect();
                let callback = Rc::new(Args { fixed: given, rest: args.rest });
                let this = self.empty;
                self.attach(first, Use::Call { this, name: None, args: callback, ret: result, at });
                self.promise_of(result, ret, at, 229);
            }
            _ => self.unknown_built_in("Promise", name, at),
        }
    }

    pub(crate) fn call_array_static(&mut self, name: &str, args: &Rc<Args>, ret: Node, at: At) {
        let made = self.make(at, 240, Kind::Array);
        let elements = self.field(made, Key::ELEMENT);
        match name {
            "of" => {
                for arg in args.all() {
                    self.edge(arg, elements);
                }
                self.add(ret, made);
            }
            "from" | "fromAsync" => {
                let source = self.argument(args, 0);
                let taken = self.node();
                self.attach(source, Use::Iterate { to: taken, at });
                // Objects with a length and elements.
                self.attach(source, Use::Load { key: Key::ELEMENT, to: taken, at });
                if name == "fromAsync" {
                    self.attach(source, Use::AsyncIterate { to: taken, at });
                    let settled = self.node();
                    self.attach(taken, Use::Await { to: settled, at });
                    self.edge(settled, elements);
                }
                let number = self.number;
                if args.fixed.len() > 1 || args.rest.is_some() {
                    let mapped = self.node();
                    self.call_back(args, 1, &[taken, number], mapped, at);
                    self.attach(mapped, Use::Await { to: elements, at });
                    self.edge(mapped, elements);
                } else {
                    self.edge(taken, elements);
                }
                let node = self.single(made);
                if name == "fromAsync" {
                    self.promise_of(node, ret, at, 241);
                } else {
                    self.edge(node, ret);
                }
                let iterator = self.make(at, 242, Kind::Iterator);
                let inner = self.field(iterator, Key::INNER);
                self.edge(elements, inner);
            }
            _ => self.unknown_built_in("Array", name, at),
        }
    }
}
