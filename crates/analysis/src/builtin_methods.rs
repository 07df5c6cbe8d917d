//! What methods of built-in prototypes do: arrays, collections, promises, functions, iterators, dates.

use std::rc::Rc;

use crate::solver::{Solver, Use};
use crate::value::{Args, At, Key, Kind, Node};

impl<'a> Solver<'a> {
    pub(crate) fn call_prototype_method(
        &mut self,
        owner: &str,
        name: &str,
        this: Node,
        args: &Rc<Args>,
        ret: Node,
        at: At,
    ) {
        match owner {
            "Array" => self.call_array_method(name, this, args, ret, at),
            "Map" | "WeakMap" => self.call_map_method(name, this, args, ret, at),
            "Set" | "WeakSet" => self.call_set_method(name, this, args, ret, at),
            "WeakRef" => self.load_slot(this, Key::INNER, ret),
            "Promise" => self.call_promise_method(name, this, args, ret, at),
            "Function" => self.call_function_method(name, this, args, ret, at),
            "Iterator" | "Generator" | "AsyncGenerator" => {
                self.call_iterator_method(owner == "AsyncGenerator", name, this, args, ret, at);
            }
            "RegExp" => self.call_pattern_method(name, this, args, ret, at),
            "Date" => {
                if name.starts_with("set") {
                    self.attach(this, Use::Change { at });
                }
                self.edge(self.number, ret);
                self.edge(self.primitive, ret);
            }
            "String" | "Number" | "Boolean" | "BigInt" | "Symbol" => {
                self.call_text_method(name, args, ret, at);
            }
            "Object" => self.call_object_method(name, this, ret, at),
            "ArrayBuffer" | "SharedArrayBuffer" => {
                if name != "slice" {
                    self.attach(this, Use::Change { at });
                }
                let made = self.make(at, 300, Kind::Buffer);
                self.add(ret, made);
            }
            _ if owner == "DataView" || owner.ends_with("Array") => {
                self.call_bytes_method(name, this, args, ret, at);
            }
            _ if crate::names::HOST_CLASSES.contains(&owner) || owner.starts_with("Intl.") => {
                self.attach(this, Use::Change { at });
                self.look_at_all(args, 2, at);
                let made = self.host_object(at, 301);
                self.add(ret, made);
            }
            _ => self.edge(self.primitive, ret),
        }
    }

    /// Connects an internal slot of each object to a node.
    fn load_slot(&mut self, objects: Node, slot: Key, to: Node) {
        self.react(objects, move |solver, object| {
            if !matches!(
                solver.kind(object),
                Kind::Native(_) | Kind::Text(_) | Kind::Primitive | Kind::Number
            ) {
                let slot = solver.field(object, slot);
                solver.edge(slot, to);
            }
        });
    }

    fn store_slot(&mut self, objects: Node, slot: Key, from: Node) {
        self.react(objects, move |solver, object| {
            if !matches!(
                solver.kind(object),
                Kind::Native(_) | Kind::Text(_) | Kind::Primitive | Kind::Number
            ) {
                let slot = solver.field(object, slot);
                solver.edge(from, slot);
            }
        });
    }

    fn elements(&mut self, this: Node, at: At) -> Node {
        let elements = self.node();
        self.attach(this, Use::Load { key: Key::ELEMENT, to: elements, at });
        elements
    }

    /// A new array, or whatever the constructor of a subclass makes, holding `elements`.
    fn new_array(&mut self, this: Node, elements: Node, ret: Node, at: At, tag: u32) {
        let made = self.make(at, tag, Kind::Array);
        let slot = self.field(made, Key::ELEMENT);
        self.edge(elements, slot);
        self.add(ret, made);
        self.species(this, elements, ret, at);
    }

    /// Methods that make a new object of the receiver's class call its constructor.
    fn species(&mut self, this: Node, contents: Node, ret: Node, at: At) {
        let constructor = self.name("constructor");
        self.react(this, move |solver, object| {
            let proto = match solver.kind(object) {
                Kind::Array | Kind::Promise => solver.has_field(object, Key::PROTO),
                Kind::Object => Some(solver.field(object, Key::PROTO)),
                _ => None,
            };
            let Some(proto) = proto else { return };
            let constructors = solver.node();
            solver.attach(proto, Use::LoadFor { key: constructor, to: constructors, receiver: object, at });
            let number = solver.number;
            solver.react(constructors, move |solver, constructor| {
                if matches!(solver.kind(constructor), Kind::Function { .. }) {
                    let made = solver.node();
                    let args = Rc::new(Args { fixed: vec![number], rest: None });
                    solver.construct(constructor, None, &args, made, at);
                    solver.edge(made, ret);
                    solver.attach(made, Use::Store { key: Key::ELEMENT, from: contents, at });
                }
            });
        });
    }

    fn call_array_method(&mut self, name: &str, this: Node, args: &Rc<Args>, ret: Node, at: At) {
        let elements = self.elements(this, at);
        let (number, primitive) = (self.number, self.primitive);
        let first = self.argument(args, 0);
        if matches!(
            name,
            "push" | "unshift" | "splice" | "fill" | "sort" | "reverse" | "copyWithin" | "pop" | "shift"
        ) {
            self.attach(this, Use::Change { at });
        }
        if matches!(name, "unshift" | "splice" | "sort" | "reverse" | "copyWithin" | "shift") {
            // Elements change places.
            self.attach(this, Use::Store { key: Key::ELEMENT, from: elements, at });
        }
        match name {
            "push" | "unshift" => {
                for arg in args.all() {
                    self.attach(this, Use::Store { key: Key::ELEMENT, from: arg, at });
                }
                self.edge(number, ret);
            }
            "splice" => {
                for arg in args.fixed.iter().skip(2).copied().chain(args.rest) {
                    self.attach(this, Use::Store { key: Key::ELEMENT, from: arg, at });
                }
                self.new_array(this, elements, ret, at, 310);
            }
            "fill" => {
                self.attach(this, Use::Store { key: Key::ELEMENT, from: first, at });
                self.edge(this, ret);
            }
            "sort" | "toSorted" => {
                let ignored = self.node();
                self.call_back(args, 0, &[elements, elements], ignored, at);
                self.convert_elements(elements, at);
                if name == "sort" {
                    self.edge(this, ret);
                } else {
                    self.new_array(this, elements, ret, at, 311);
                }
            }
            "reverse" | "copyWithin" => self.edge(this, ret),
            "pop" | "shift" | "at" => self.edge(elements, ret),
            "find" | "findLast" => {
                let ignored = self.node();
                self.call_back(args, 0, &[elements, number, this], ignored, at);
                self.edge(elements, ret);
            }
            "findIndex" | "findLastIndex" | "every" | "some" | "forEach" => {
                let ignored = self.node();
                self.call_back(args, 0, &[elements, number, this], ignored, at);
                self.edge(number, ret);
            }
            "map" => {
                let mapped = self.node();
                self.call_back(args, 0, &[elements, number, this], mapped, at);
                self.new_array(this, mapped, ret, at, 312);
            }
            "filter" => {
                let ignored = self.node();
                self.call_back(args, 0, &[elements, number, this], ignored, at);
                self.new_array(this, elements, ret, at, 313);
            }
            "flatMap" => {
                let mapped = self.node();
                self.call_back(args, 0, &[elements, number, this], mapped, at);
                let flat = self.flattened(mapped, at);
                self.new_array(this, flat, ret, at, 314);
            }
            "flat" => {
                let once = self.flattened(elements, at);
                // Any depth: what a level holds may be flattened again.
                self.react(once, move |solver, value| {
                    if matches!(solver.kind(value), Kind::Array) {
                        let inner = solver.field(value, Key::ELEMENT);
                        solver.edge(inner, once);
                    }
                });
                self.new_array(this, once, ret, at, 315);
            }
            "reduce" | "reduceRight" => {
                let accumulator = self.node();
                if args.fixed.len() > 1 || args.rest.is_some() {
                    let initial = self.argument(args, 1);
                    self.edge(initial, accumulator);
                } else {
                    self.edge(elements, accumulator);
                }
                let empty = self.empty;
                self.call_back_with(args, 0, empty, &[accumulator, elements, number, this], accumulator, at);
                self.edge(accumulator, ret);
            }
            "concat" => {
                let all = self.node();
                self.edge(elements, all);
                for arg in args.all() {
                    self.edge(arg, all);
                    self.attach(arg, Use::Load { key: Key::ELEMENT, to: all, at });
                }
                self.new_array(this, all, ret, at, 316);
            }
            "slice" | "toReversed" => self.new_array(this, elements, ret, at, 317),
            "toSpliced" | "with" => {
                let all = self.node();
                self.edge(elements, all);
                for arg in args.all() {
                    self.edge(arg, all);
                }
                self.new_array(this, all, ret, at, 318);
            }
            "values" | "@@iterator" => {
                let iterator = self.make(at, 319, Kind::Iterator);
                let inner = self.field(iterator, Key::INNER);
                self.edge(elements, inner);
                self.add(ret, iterator);
            }
            "keys" => {
                let iterator = self.make(at, 320, Kind::Iterator);
                let inner = self.field(iterator, Key::INNER);
                self.edge(number, inner);
                self.add(ret, iterator);
            }
            "entries" => {
                let pair = self.make(at, 321, Kind::Array);
                let indexes = self.field(pair, Key::FIRST);
                self.edge(number, indexes);
                let values = self.field(pair, Key::SECOND);
                self.edge(elements, values);
                let iterator = self.make(at, 322, Kind::Iterator);
                let inner = self.field(iterator, Key::INNER);
                self.add(inner, pair);
                self.add(ret, iterator);
            }
            "join" | "toString" | "toLocaleString" => {
                self.convert_elements(elements, at);
                self.edge(primitive, ret);
            }
            _ => self.edge(primitive, ret),
        }
    }

    fn convert_elements(&mut self, elements: Node, at: At) {
        if self.modules.has_conversions {
            self.attach(elements, Use::Convert { at });
        }
    }

    fn flattened(&mut self, values: Node, at: At) -> Node {
        let flat = self.node();
        self.react(values, move |solver, value| {
            solver.add(flat, value);
            if matches!(solver.kind(value), Kind::Array | Kind::Object | Kind::Proxy) {
                solver.load(value, Key::ELEMENT, flat, value, at);
            }
        });
        flat
    }

    fn call_bytes_method(&mut self, name: &str, this: Node, args: &Rc<Args>, ret: Node, at: At) {
        let number = self.number;
        match name {
            "set" | "fill" | "copyWithin" | "sort" | "reverse" => {
                self.attach(this, Use::Change { at });
                if name == "set" {
                    let source = self.argument(args, 0);
                    let ignored = self.node();
                    self.attach(source, Use::Iterate { to: ignored, at });
                }
                let ignored = self.node();
                self.call_back(args, 0, &[number, number], ignored, at);
                self.edge(this, ret);
            }
            _ if name.starts_with("set") => self.attach(this, Use::Change { at }),
            "subarray" => {
                let made = self.make(at, 330, Kind::Bytes);
                let elements = self.field(made, Key::ELEMENT);
                self.edge(number, elements);
                let buffer = self.field(made, Key::BUFFER);
                self.load_slot(this, Key::BUFFER, buffer);
                self.add(ret, made);
            }
            "slice" | "map" | "filter" | "toSorted" | "toReversed" | "with" => {
                let ignored = self.node();
                self.call_back(args, 0, &[number, number, this], ignored, at);
                let made = self.make(at, 331, Kind::Bytes);
                let elements = self.field(made, Key::ELEMENT);
                self.edge(number, elements);
                self.new_buffer(made, at, 332);
                self.add(ret, made);
            }
            "values" | "@@iterator" | "keys" | "entries" => {
                self.call_array_method(name, this, args, ret, at);
            }
            "reduce" | "reduceRight" => self.call_array_method(name, this, args, ret, at),
            _ => {
                let ignored = self.node();
                self.call_back(args, 0, &[number, number, this], ignored, at);
                self.edge(number, ret);
                self.edge(self.primitive, ret);
            }
        }
    }

    fn call_map_method(&mut self, name: &str, this: Node, args: &Rc<Args>, ret: Node, at: At) {
        let (first, second) = (self.argument(args, 0), self.argument(args, 1));
        match name {
            "set" => {
                self.attach(this, Use::Change { at });
                self.store_slot(this, Key::MAP_KEY, first);
                self.store_slot(this, Key::INNER, second);
                self.edge(this, ret);
            }
            "getOrInsert" | "getOrInsertComputed" => {
                self.attach(this, Use::Change { at });
                self.store_slot(this, Key::MAP_KEY, first);
                if name == "getOrInsert" {
                    self.store_slot(this, Key::INNER, second);
                } else {
                    let computed = self.node();
                    self.call_back(args, 1, &[first], computed, at);
                    self.store_slot(this, Key::INNER, computed);
                }
                self.load_slot(this, Key::INNER, ret);
            }
            "get" => self.load_slot(this, Key::INNER, ret),
            "has" => self.edge(self.primitive, ret),
            "delete" | "clear" => {
                self.attach(this, Use::Change { at });
                self.edge(self.primitive, ret);
            }
            "forEach" => {
                let (keys, values) = (self.node(), self.node());
                self.load_slot(this, Key::MAP_KEY, keys);
                self.load_slot(this, Key::INNER, values);
                let ignored = self.node();
                self.call_back(args, 0, &[values, keys, this], ignored, at);
            }
            "keys" | "values" => {
                let iterator = self.make(at, 340, Kind::Iterator);
                let inner = self.field(iterator, Key::INNER);
                let slot = if name == "keys" { Key::MAP_KEY } else { Key::INNER };
                self.load_slot(this, slot, inner);
                self.add(ret, iterator);
            }
            _ => {
                let iterator = self.make(at, 341, Kind::Iterator);
                let inner = self.field(iterator, Key::INNER);
                self.add(ret, iterator);
                self.react(this, move |solver, map| {
                    if !matches!(solver.kind(map), Kind::Native(_) | Kind::Text(_) | Kind::Primitive) {
                        let pair = solver.entry_of(map, at);
                        solver.add(inner, pair);
                    }
                });
            }
        }
    }

    fn call_set_method(&mut self, name: &str, this: Node, args: &Rc<Args>, ret: Node, at: At) {
        let first = self.argument(args, 0);
        match name {
            "add" => {
                self.attach(this, Use::Change { at });
                self.store_slot(this, Key::INNER, first);
                self.edge(this, ret);
            }
            "delete" | "clear" => {
                self.attach(this, Use::Change { at });
                self.edge(self.primitive, ret);
            }
            "forEach" => {
                let values = self.node();
                self.load_slot(this, Key::INNER, values);
                let ignored = self.node();
                self.call_back(args, 0, &[values, values, this], ignored, at);
            }
            "values" | "keys" | "@@iterator" => {
                let iterator = self.make(at, 350, Kind::Iterator);
                let inner = self.field(iterator, Key::INNER);
                self.load_slot(this, Key::INNER, inner);
                self.add(ret, iterator);
            }
            "entries" => {
                let pair = self.make(at, 351, Kind::Array);
                let parts = self.field(pair, Key::ELEMENT);
                self.load_slot(this, Key::INNER, parts);
                let iterator = self.make(at, 352, Kind::Iterator);
                let inner = self.field(iterator, Key::INNER);
                self.add(inner, pair);
                self.add(ret, iterator);
            }
            "has" => self.edge(self.primitive, ret),
            _ => {
                // union, intersection, isSubsetOf, …: the argument's own methods are called.
                let made = self.make(at, 353, Kind::Set);
                let inner = self.field(made, Key::INNER);
                self.load_slot(this, Key::INNER, inner);
                let keys = self.name("keys");
                let has = self.name("has");
                let iterator = self.node();
                self.attach(first, Use::Method { name: keys, args: Rc::default(), ret: iterator, at });
                self.attach(iterator, Use::Iterate { to: inner, at });
                let probe = Rc::new(Args { fixed: vec![inner], rest: None });
                let empty = self.empty;
                self.attach(first, Use::Method { name: has, args: probe, ret: empty, at });
                self.add(ret, made);
                self.edge(self.primitive, ret);
            }
        }
    }

    fn call_promise_method(&mut self, name: &str, this: Node, args: &Rc<Args>, ret: Node, at: At) {
        let outcome = self.node();
        let values = self.node();
        self.load_slot(this, Key::INNER, values);
        let thrown = self.thrown_in(at.frame);
        let error = self.make(at, 360, Kind::Error);
        let data = self.name("data");
        let slot = self.field(error, data);
        let tree = self.json_tree(at, 361);
        self.edge(tree, slot);
        let error = self.single(error);
        let rejections = self.join(&[thrown, error]);
        let empty = self.empty;
        match name {
            "then" => {
                self.call_back_with(args, 0, empty, &[values], outcome, at);
                self.call_back_with(args, 1, empty, &[rejections], outcome, at);
                self.edge(values, outcome);
            }
            "catch" => {
                self.call_back_with(args, 0, empty, &[rejections], outcome, at);
                self.edge(values, outcome);
            }
            _ => {
                self.call_back_with(args, 0, empty, &[], empty, at);
                self.edge(values, outcome);
            }
        }
        self.promise_of(outcome, ret, at, 362);
        self.species(this, outcome, ret, at);
    }

    fn call_function_method(&mut self, name: &str, this: Node, args: &Rc<Args>, ret: Node, at: At) {
        let first = self.argument(args, 0);
        match name {
            "call" => {
                let rest =
                    Rc::new(Args { fixed: args.fixed.iter().skip(1).copied().collect(), rest: args.rest });
                self.attach(this, Use::Call { this: first, name: None, args: rest, ret, at });
            }
            "apply" => {
                let list = self.argument(args, 1);
                let elements = self.node();
                self.attach(list, Use::Iterate { to: elements, at });
                self.attach(list, Use::Load { key: Key::ELEMENT, to: elements, at });
                let rest = Rc::new(Args { fixed: Vec::new(), rest: Some(elements) });
                self.attach(this, Use::Call { this: first, name: None, args: rest, ret, at });
            }
            "bind" => {
                let bound =
                    Rc::new(Args { fixed: args.fixed.iter().skip(1).copied().collect(), rest: args.rest });
                let kind = Kind::Bound { target: this, this: first, args: bound };
                // One function for each set of targets and arguments.
                let made = self.make(at, 0x8000_0000 | this.0, kind);
                self.add(ret, made);
            }
            _ => self.edge(self.primitive, ret),
        }
    }

    fn call_iterator_method(
        &mut self,
        asynchronous: bool,
        name: &str,
        this: Node,
        args: &Rc<Args>,
        ret: Node,
        at: At,
    ) {
        if matches!(name, "@@iterator" | "@@asyncIterator") {
            self.edge(this, ret);
            return;
        }
        self.attach(this, Use::Change { at });
        let elements = self.node();
        self.load_slot(this, Key::INNER, elements);
        let number = self.number;
        let first = self.argument(args, 0);
        match name {
            "next" | "return" | "throw" => {
                if name == "throw" {
                    self.throw(first, at.frame);
                } else {
                    self.store_slot(this, Key::SENT, first);
                }
                let result = self.make(at, 370, Kind::Object);
                let key = self.name("value");
                let slot = self.field(result, key);
                self.edge(elements, slot);
                self.load_slot(this, Key::RETURNED, slot);
                if name == "return" {
                    self.edge(first, slot);
                }
                let key = self.name("done");
                let slot = self.field(result, key);
                self.edge(self.primitive, slot);
                let result = self.single(result);
                if asynchronous {
                    self.promise_of(result, ret, at, 371);
                } else {
                    self.edge(result, ret);
                }
            }
            "toArray" => {
                let made = self.make(at, 372, Kind::Array);
                let slot = self.field(made, Key::ELEMENT);
                self.edge(elements, slot);
                self.add(ret, made);
            }
            "reduce" => {
                let accumulator = self.node();
                let initial = self.argument(args, 1);
                self.edge(initial, accumulator);
                self.edge(elements, accumulator);
                let empty = self.empty;
                self.call_back_with(args, 0, empty, &[accumulator, elements, number], accumulator, at);
                self.edge(accumulator, ret);
            }
            "forEach" | "some" | "every" | "find" => {
                let ignored = self.node();
                self.call_back(args, 0, &[elements, number], ignored, at);
                self.edge(elements, ret);
            }
            _ => {
                // Lazy helpers: the new iterator advances the old one.
                let made = self.make(at, 373, Kind::Iterator);
                let inner = self.field(made, Key::INNER);
                let mapped = self.node();
                let ignored = self.empty;
                self.call_back_with(args, 0, ignored, &[elements, number], mapped, at);
                match name {
                    "map" => self.edge(mapped, inner),
                    "flatMap" => self.attach(mapped, Use::Iterate { to: inner, at }),
                    _ => self.edge(elements, inner),
                }
                self.add(ret, made);
            }
        }
    }

    fn call_object_method(&mut self, name: &str, this: Node, ret: Node, at: At) {
        match name {
            "valueOf" => self.edge(this, ret),
            "__defineGetter__" | "__defineSetter__" => {
                self.attach(this, Use::Change { at });
                self.object_to(at.site, format!("calls `{name}`, which the analysis does not follow"));
            }
            "__lookupGetter__" | "__lookupSetter__" => {
                self.object_to(at.site, format!("calls `{name}`, which the analysis does not follow"));
            }
            _ => self.edge(self.primitive, ret),
        }
    }
}
