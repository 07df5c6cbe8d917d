//! What calling built-in functions does: dispatch, functions of the global object and its namespaces, constructors.
//! Methods of arrays, collections and the like are in `builtin_methods`, those of `Object` and `Reflect` in
//! `builtin_objects`.

use std::rc::Rc;

use crate::solver::{Solver, Use};
use crate::value::{Args, At, Key, Kind, Native, Node, Phase, Value};

impl<'a> Solver<'a> {
    pub(crate) fn call_native(&mut self, native: Native, this: Node, args: &Rc<Args>, ret: Node, at: At) {
        self.convert_args(args, at);
        match native {
            Native::Global(owner) => {
                let name = self.spelled(owner).to_owned();
                self.call_global(&name, owner, args, ret, at);
            }
            Native::Static(owner, member) => {
                let (owner, member) = (self.spelled(owner).to_owned(), self.spelled(member).to_owned());
                self.call_static(&owner, &member, args, ret, at);
            }
            Native::Method(owner, name) => {
                let (owner, name) = (self.spelled(owner).to_owned(), self.spelled(name).to_owned());
                self.call_prototype_method(&owner, &name, this, args, ret, at);
            }
            Native::AnyMethod => {
                // Chosen at run time: it may be one that changes the object.
                self.react(this, move |solver, value| {
                    if !matches!(solver.kind(value), Kind::Native(_)) {
                        solver.change(value, at);
                    }
                });
                self.edge(this, ret);
                self.edge(self.primitive, ret);
                let elements = self.node();
                self.attach(
                    this,
                    Use::LoadAllFor { to: elements, receiver: self.values_of(self.primitive)[0], at },
                );
                self.edge(elements, ret);
                for arg in args.all() {
                    self.react(this, move |solver, value| solver.store(value, Key::ANY, arg, at));
                    let callback_args = Rc::new(Args { fixed: Vec::new(), rest: Some(elements) });
                    let empty = self.empty;
                    self.attach(
                        arg,
                        Use::Call { this: empty, name: None, args: callback_args, ret: empty, at },
                    );
                }
            }
            Native::Prototype(_) => {}
        }
    }

    /// Arguments of built-ins may be converted to primitives.
    fn convert_args(&mut self, args: &Rc<Args>, at: At) {
        if self.modules.has_conversions {
            for arg in args.all() {
                if arg != self.primitive && arg != self.number {
                    self.attach(arg, Use::Convert { at });
                }
            }
        }
    }

    fn call_global(&mut self, name: &str, owner: Key, args: &Rc<Args>, ret: Node, at: At) {
        match name {
            "eval" | "Function" => {
                self.object_to(at.site, format!("calls `{name}`, which runs code that cannot be analysed"));
            }
            "Object" => {
                let first = self.argument(args, 0);
                self.edge(first, ret);
                let made = self.make(at, 100, Kind::Object);
                self.add(ret, made);
            }
            "Array" | "RegExp" => self.construct_named(name, args, ret, at),
            _ if name.ends_with("Error") => self.construct_named(name, args, ret, at),
            "Symbol" => {
                // Every execution of one place counts as one symbol; two places never give the same.
                let text = format!("@@symbol:{}", at.site.0);
                let symbol = self.text(&text);
                self.edge(symbol, ret);
            }
            "Date" => {
                self.varies(at, "Date()");
                self.edge(self.primitive, ret);
            }
            "structuredClone" => {
                let value = self.argument(args, 0);
                self.attach(value, Use::Deep { to: None, calls: 0, at });
                let tree = self.json_tree(at, 101);
                self.edge(tree, ret);
                for (tag, kind) in [(102, Kind::Map), (103, Kind::Set), (104, Kind::Date), (105, Kind::Bytes)]
                {
                    let made = self.make(at, tag, kind);
                    for slot in [Key::INNER, Key::MAP_KEY, Key::ELEMENT] {
                        let slot = self.field(made, slot);
                        self.edge(tree, slot);
                    }
                    self.new_buffer(made, at, tag);
                    self.add(ret, made);
                    for &root in self.values_of(tree).to_vec().iter() {
                        if matches!(self.kind(root), Kind::Array) {
                            let any = self.field(root, Key::ANY);
                            self.add(any, made);
                        }
                    }
                }
            }
            "queueMicrotask" | "setTimeout" | "setInterval" => {
                let callback = self.argument(args, 0);
                let this = self.empty;
                let rest =
                    Rc::new(Args { fixed: args.fixed.iter().skip(2).copied().collect(), rest: args.rest });
                let empty = self.empty;
                self.attach(callback, Use::Call { this, name: None, args: rest, ret: empty, at });
                self.edge(self.primitive, ret);
            }
            "fetch" => {
                for arg in args.all() {
                    self.attach(arg, Use::Deep { to: None, calls: 2, at });
                }
                let response = self.host_object(at, 106);
                let node = self.single(response);
                self.promise_of(node, ret, at, 107);
            }
            "BigInt" | "String" | "Number" | "Boolean" | "parseInt" | "parseFloat" => {
                let node = if matches!(name, "Number" | "parseInt" | "parseFloat") {
                    self.number
                } else {
                    self.primitive
                };
                self.edge(node, ret);
            }
            _ if self.is_host_class(owner) => self.construct_named(name, args, ret, at),
            _ => self.edge(self.primitive, ret),
        }
    }

    fn call_static(&mut self, owner: &str, name: &str, args: &Rc<Args>, ret: Node, at: At) {
        match (owner, name) {
            ("Object", _) => self.call_object_static(name, args, ret, at),
            ("Reflect", _) => self.call_reflect(name, args, ret, at),
            ("Promise", _) => self.call_promise_static(name, args, ret, at),
            ("Array", "isArray") => self.edge(self.primitive, ret),
            ("Iterator", "from") => {
                let iterator = self.make(at, 109, Kind::Iterator);
                let inner = self.field(iterator, Key::INNER);
                let iterable = self.argument(args, 0);
                self.attach(iterable, Use::Iterate { to: inner, at });
                self.add(ret, iterator);
            }
            ("Array", _) => self.call_array_static(name, args, ret, at),
            ("Map" | "Object.groupBy", "groupBy") => {
                let map = self.make(at, 110, Kind::Map);
                let group = self.make(at, 111, Kind::Array);
                let iterable = self.argument(args, 0);
                let elements = self.field(group, Key::ELEMENT);
                self.attach(iterable, Use::Iterate { to: elements, at });
                let keys = self.field(map, Key::MAP_KEY);
                let number = self.number;
                self.call_back(args, 1, &[elements, number], keys, at);
                let values = self.field(map, Key::INNER);
                self.add(values, group);
                self.add(ret, map);
            }
            ("JSON", "parse") => {
                let tree = self.json_tree(at, 112);
                self.edge(tree, ret);
                let revived = self.node();
                let primitive = self.primitive;
                let reviver = self.argument(args, 1);
                let callback = Rc::new(Args { fixed: vec![primitive, ret], rest: Some(tree) });
                self.attach(reviver, Use::Call { this: tree, name: None, args: callback, ret: revived, at });
                self.edge(revived, ret);
                self.react(tree, move |solver, root| {
                    if matches!(solver.kind(root), Kind::Array) {
                        let any = solver.field(root, Key::ANY);
                        solver.edge(revived, any);
                    }
                });
            }
            ("JSON", _) => {
                let value = self.argument(args, 0);
                if args.fixed.len() < 2 && args.rest.is_none() {
                    self.attach(value, Use::Deep { to: None, calls: 0, at });
                    self.edge(self.primitive, ret);
                    return;
                }
                let seen = self.node();
                self.attach(value, Use::Deep { to: Some(seen), calls: 0, at });
                let primitive = self.primitive;
                let replaced = self.node();
                self.call_back_with(args, 1, seen, &[primitive, seen], replaced, at);
                self.attach(replaced, Use::Deep { to: Some(seen), calls: 0, at });
                self.edge(primitive, ret);
            }
            ("Math", "random") => {
                self.varies(at, "Math.random");
                self.edge(self.number, ret);
            }
            ("Math", "max" | "min" | "floor" | "ceil" | "round" | "trunc" | "abs") => {
                self.edge(self.number, ret);
            }
            ("Date", "now") => {
                self.varies(at, "Date.now");
                self.edge(self.number, ret);
            }
            ("Symbol", "for") => {
                let key = self.argument(args, 0);
                let primitive = self.primitive;
                self.react(key, move |solver, key| match *solver.kind(key) {
                    Kind::Text(name) => {
                        let text = format!("@@for:{}", solver.spelled(name));
                        let text = solver.text(&text);
                        solver.edge(text, ret);
                    }
                    _ => solver.edge(primitive, ret),
                });
            }
            ("Proxy", "revocable") => {
                let made = self.make(at, 113, Kind::Object);
                let proxy = self.name("proxy");
                let slot = self.field(made, proxy);
                self.construct_named("Proxy", args, slot, at);
                self.add(ret, made);
                let revoke = self.host_object(at, 114);
                let key = self.name("revoke");
                let slot = self.field(made, key);
                self.add(slot, revoke);
            }
            ("Error", "captureStackTrace") => {
                let object = self.argument(args, 0);
                self.attach(object, Use::Change { at });
                let key = self.name("stack");
                let primitive = self.primitive;
                self.attach(object, Use::Store { key, from: primitive, at });
            }
            ("Atomics", _) => {
                let object = self.argument(args, 0);
                self.attach(object, Use::Change { at });
                self.edge(self.primitive, ret);
            }
            (owner, "from" | "of") if owner.ends_with("Array") => {
                self.construct_named(owner, args, ret, at);
                let number = self.number;
                let ignored = self.node();
                let iterable = self.argument(args, 0);
                let elements = self.node();
                self.attach(iterable, Use::Iterate { to: elements, at });
                self.call_back(args, 1, &[elements, number], ignored, at);
            }
            (
                "console",
                "count" | "countReset" | "time" | "timeEnd" | "timeLog" | "group" | "groupEnd"
                | "groupCollapsed",
            ) => {
                if self.phase(at.frame) == Phase::Call && matches!(name, "count" | "countReset") {
                    self.object_to(at.site, format!("calls `console.{name}`, which counts across calls"));
                }
                self.look_at_all(args, 0, at);
            }
            ("console", _) => self.look_at_all(args, 0, at),
            ("crypto", "getRandomValues") => {
                self.varies(at, "crypto.getRandomValues");
                let array = self.argument(args, 0);
                self.attach(array, Use::Change { at });
                self.edge(array, ret);
            }
            ("crypto", _) => {
                self.varies(at, "crypto");
                self.edge(self.primitive, ret);
            }
            ("crypto.subtle", _) => {
                self.varies(at, "crypto.subtle");
                let made = self.host_object(at, 115);
                let buffer = self.make(at, 116, Kind::Buffer);
                let node = self.single(made);
                let primitive = self.primitive;
                let joined = self.join(&[node, primitive]);
                self.add(joined, buffer);
                self.promise_of(joined, ret, at, 117);
            }
            ("performance", "now") => {
                self.varies(at, "performance.now");
                self.edge(self.number, ret);
            }
            ("performance", _) => {
                self.object_to(at.site, format!("calls `performance.{name}`, which other calls can see"));
            }
            ("Convex", "syscall") => self.edge(self.primitive, ret),
            ("Convex", "asyncSyscall") => {
                let primitive = self.primitive;
                self.promise_of(primitive, ret, at, 118);
            }
            ("Convex", "jsSyscall") => {
                self.look_at_all(args, 0, at);
                let made = self.host_object(at, 119);
                self.add(ret, made);
                self.edge(self.primitive, ret);
            }
            ("WebAssembly", "Module" | "validate" | "compile") => {
                let made = self.host_object(at, 120);
                self.add(ret, made);
            }
            ("WebAssembly", _) => {
                self.object_to(
                    at.site,
                    format!("uses `WebAssembly.{name}`, whose memory the analysis cannot see"),
                );
            }
            ("Math" | "Number" | "String" | "BigInt" | "Date" | "Symbol" | "ArrayBuffer" | "RegExp", _) => {
                self.edge(self.primitive, ret);
            }
            (owner, _) if crate::names::HOST_CLASSES.contains(&owner) || owner.starts_with("Intl") => {
                self.look_at_all(args, 2, at);
                if name == "from" {
                    // A stream of what an iterable yields.
                    let iterable = self.argument(args, 0);
                    self.attach(iterable, Use::Iterate { to: self.held, at });
                    self.attach(iterable, Use::AsyncIterate { to: self.held, at });
                }
                if name == "abort" {
                    let reason = self.argument(args, 0);
                    self.edge(reason, self.held);
                }
                let made = self.host_object(at, 121);
                self.add(ret, made);
                self.edge(self.primitive, ret);
            }
            ("Error", "isError") => self.edge(self.primitive, ret),
            _ => self.unknown_built_in(owner, name, at),
        }
    }

    pub(crate) fn look_at_all(&mut self, args: &Rc<Args>, calls: u8, at: At) {
        for arg in args.all() {
            self.attach(arg, Use::Deep { to: None, calls, at });
        }
    }

    pub(crate) fn construct_native(&mut self, native: Native, args: &Rc<Args>, ret: Node, at: At) {
        self.convert_args(args, at);
        match native {
            Native::Global(owner) => {
                let name = self.spelled(owner).to_owned();
                self.construct_named(&name, args, ret, at);
            }
            Native::Static(owner, member) if self.spelled(owner) == "WebAssembly" => {
                let member = self.spelled(member).to_owned();
                self.call_static("WebAssembly", &member, args, ret, at);
            }
            _ => {}
        }
    }

    /// `new name(…)`.
    pub(crate) fn construct_named(&mut self, name: &str, args: &Rc<Args>, ret: Node, at: At) {
        let first = self.argument(args, 0);
        match name {
            "Object" => {
                let made = self.make(at, 130, Kind::Object);
                self.add(ret, made);
                self.edge(first, ret);
            }
            "Function" => {
                self.object_to(
                    at.site,
                    "calls `Function`, which runs code that cannot be analysed".to_owned(),
                );
            }
            "Array" => {
                let made = self.make(at, 131, Kind::Array);
                let elements = self.field(made, Key::ELEMENT);
                for arg in args.all() {
                    self.edge(arg, elements);
                }
                self.add(ret, made);
            }
            "Map" | "WeakMap" => {
                let kind = if name == "Map" { Kind::Map } else { Kind::WeakMap };
                let made = self.make(at, 132, kind);
                let pairs = self.node();
                self.attach(first, Use::Iterate { to: pairs, at });
                for slot in [Key::MAP_KEY, Key::INNER] {
                    let slot = self.field(made, slot);
                    self.attach(pairs, Use::Load { key: Key::ELEMENT, to: slot, at });
                }
                self.add(ret, made);
            }
            "Set" | "WeakSet" => {
                let kind = if name == "Set" { Kind::Set } else { Kind::WeakSet };
                let made = self.make(at, 133, kind);
                let elements = self.field(made, Key::INNER);
                self.attach(first, Use::Iterate { to: elements, at });
                self.add(ret, made);
            }
            "WeakRef" => {
                let made = self.make(at, 134, Kind::WeakRef);
                let inner = self.field(made, Key::INNER);
                self.edge(first, inner);
                self.add(ret, made);
            }
            "FinalizationRegistry" => {
                self.object_to(
                    at.site,
                    "uses a `FinalizationRegistry`, which runs code between calls".to_owned(),
                );
            }
            "Promise" => {
                self.rejections_cross(at.frame);
                let promise = self.make(at, 135, Kind::Promise);
                let (resolve, reject) = self.resolvers(promise, at);
                let ignored = self.node();
                self.call_back(args, 0, &[resolve, reject], ignored, at);
                self.add(ret, promise);
            }
            "Proxy" => {
                let proxy = self.make(at, 136, Kind::Proxy);
                let target = self.field(proxy, Key::TARGET);
                self.edge(first, target);
                let handlers = self.argument(args, 1);
                let handler = self.field(proxy, Key::HANDLER);
                self.edge(handlers, handler);
                self.add(ret, proxy);
                // Traps other than those for reading, writing and calling may run wherever the proxy is touched.
                let primitive = self.primitive;
                for name in [
                    "has",
                    "deleteProperty",
                    "ownKeys",
                    "getOwnPropertyDescriptor",
                    "defineProperty",
                    "getPrototypeOf",
                    "setPrototypeOf",
                    "isExtensible",
                    "preventExtensions",
                ] {
                    let name = self.name(name);
                    let trap_args = Rc::new(Args { fixed: vec![target, primitive], rest: Some(primitive) });
                    for at in [at, self.in_a_call(at)] {
                        let empty = self.empty;
                        let args = Rc::clone(&trap_args);
                        self.attach(handler, Use::Method { name, args, ret: empty, at });
                    }
                }
            }
            "RegExp" => {
                let moving = !self.is_plain_pattern(args);
                let made = self.make(at, 137, Kind::RegExp { moving, sticky: moving });
                self.add(ret, made);
            }
            "Date" => {
                if args.fixed.is_empty() {
                    self.varies(at, "new Date()");
                }
                let made = self.make(at, 138, Kind::Date);
                self.add(ret, made);
            }
            "DataView" => {
                let made = self.make(at, 139, Kind::Bytes);
                let buffer = self.field(made, Key::BUFFER);
                self.edge(first, buffer);
                self.add(ret, made);
            }
            "ArrayBuffer" | "SharedArrayBuffer" => {
                let made = self.make(at, 140, Kind::Buffer);
                self.add(ret, made);
            }
            _ if name.ends_with("Array") => {
                let made = self.make(at, 141, Kind::Bytes);
                let elements = self.field(made, Key::ELEMENT);
                self.edge(self.number, elements);
                self.new_buffer(made, at, 142);
                let buffer = self.field(made, Key::BUFFER);
                let ignored = self.node();
                self.attach(first, Use::Iterate { to: ignored, at });
                self.react(first, move |solver, value| {
                    if matches!(solver.kind(value), Kind::Buffer | Kind::Opaque { .. }) {
                        solver.add(buffer, value);
                    }
                });
                self.add(ret, made);
            }
            _ if name.ends_with("Error") => {
                let made = self.make(at, 143, Kind::Error);
                let key = self.name("cause");
                let slot = self.field(made, key);
                for arg in args.all() {
                    self.attach(arg, Use::Load { key, to: slot, at });
                }
                if name == "AggregateError" {
                    let list = self.make(at, 144, Kind::Array);
                    let elements = self.field(list, Key::ELEMENT);
                    self.attach(first, Use::Iterate { to: elements, at });
                    let key = self.name("errors");
                    let slot = self.field(made, key);
                    self.add(slot, list);
                }
                self.add(ret, made);
            }
            "String" | "Number" | "Boolean" => {
                let made = self.make(at, 145, Kind::Object);
                self.add(ret, made);
            }
            _ if crate::names::HOST_CLASSES.contains(&name) || name.starts_with("Intl.") => {
                if name.starts_with("Intl.") {
                    // Formatters keep nothing of what they are given.
                    self.look_at_all(args, 0, at);
                    let made = self.host_object(at, 146);
                    self.add(ret, made);
                    return;
                }
                self.look_at_all(args, 2, at);
                if name.ends_with("Event") {
                    // An event hands on its `detail`.
                    for arg in args.all() {
                        self.attach(arg, Use::Deep { to: Some(self.held), calls: 0, at });
                    }
                }
                let made = self.host_object(at, 147);
                self.add(ret, made);
            }
            _ => {}
        }
    }

    pub(crate) fn new_buffer(&mut self, view: Value, at: At, tag: u32) {
        let buffer = self.make(at, 0x400 | tag, Kind::Buffer);
        let slot = self.field(view, Key::BUFFER);
        self.add(slot, buffer);
    }

    /// Whether arguments of `RegExp` surely have neither the flag `g` nor `y`.
    fn is_plain_pattern(&self, args: &Args) -> bool {
        let is_text = |node: Option<&Node>| {
            node.is_some_and(|&node| {
                node == self.primitive
                    || (!self.values_of(node).is_empty()
                        && self.values_of(node).iter().all(|&v| matches!(self.kind(v), Kind::Text(_))))
            })
        };
        if args.rest.is_some() {
            return false;
        }
        match args.fixed.len() {
            1 => is_text(args.fixed.first()),
            2 => {
                self.values_of(args.fixed[1]).iter().all(|&flags| match *self.kind(flags) {
                    Kind::Text(name) => !self.spelled(name).contains(['g', 'y']),
                    _ => false,
                }) && is_text(args.fixed.get(1))
            }
            _ => false,
        }
    }

    /// A new promise of what `value` holds.
    pub(crate) fn promise_of(&mut self, value: Node, ret: Node, at: At, tag: u32) -> Value {
        self.rejections_cross(at.frame);
        let promise = self.make(at, tag, Kind::Promise);
        let inner = self.field(promise, Key::INNER);
        self.attach(value, Use::Await { to: inner, at });
        self.add(ret, promise);
        promise
    }

    /// Calls the argument at `index` with these values.
    pub(crate) fn call_back(&mut self, args: &Args, index: usize, given: &[Node], ret: Node, at: At) {
        let this = self.argument(args, index + 1);
        self.call_back_with(args, index, this, given, ret, at);
    }

    pub(crate) fn call_back_with(
        &mut self,
        args: &Args,
        index: usize,
        this: Node,
        given: &[Node],
        ret: Node,
        at: At,
    ) {
        let callback = self.argument(args, index);
        if callback == self.empty {
            return;
        }
        let given = Rc::new(Args { fixed: given.to_vec(), rest: None });
        self.attach(callback, Use::Call { this, name: None, args: given, ret, at });
    }

    /// The same place, executed during some call.
    pub(crate) fn in_a_call(&self, at: At) -> At {
        At { site: at.site, frame: self.call_root }
    }
}
