//! What iteration and `await` take out of abstract objects.

use std::rc::Rc;

use crate::solver::{Solver, Use};
use crate::value::{Args, At, Key, Kind, Node, Value};

impl<'a> Solver<'a> {
    /// `to` gets what iterating over the value yields.
    pub(crate) fn iterate(&mut self, value: Value, to: Node, at: At) {
        match self.kind(value).clone() {
            Kind::Text(_) | Kind::Number | Kind::Primitive => self.edge(self.primitive, to),
            Kind::Array | Kind::Bytes => {
                let elements = self.field(value, Key::ELEMENT);
                self.edge(elements, to);
                self.load_entry(value, to);
                let any = self.field(value, Key::ANY);
                self.edge(any, to);
                // An array may have been given an iterator of its own.
                let key = self.name("@@iterator");
                let own = self.field(value, key);
                let this = self.single(value);
                self.run_iterator(own, this, to, at, false);
            }
            Kind::Set => {
                let elements = self.field(value, Key::INNER);
                self.edge(elements, to);
            }
            Kind::Map => {
                let pair = self.entry_of(value, at);
                self.add(to, pair);
            }
            Kind::Iterator | Kind::Generator => {
                self.change(value, at);
                let elements = self.field(value, Key::INNER);
                self.edge(elements, to);
            }
            Kind::Opaque { .. } => {
                self.edge(self.held, to);
                self.add(to, value);
                self.edge(self.primitive, to);
            }
            Kind::Native(_) | Kind::Unknown | Kind::Environment | Kind::Namespace(_) => {}
            _ => {
                let key = self.name("@@iterator");
                let method = self.node();
                self.load(value, key, method, value, at);
                let this = self.single(value);
                self.run_iterator(method, this, to, at, false);
            }
        }
    }

    /// Calls an iterator method and then `next` and `return` of what it returns.
    fn run_iterator(&mut self, method: Node, this: Node, to: Node, at: At, asynchronous: bool) {
        let iterator = self.node();
        self.attach(method, Use::Call { this, name: None, args: Rc::default(), ret: iterator, at });
        let value_key = self.name("value");
        for name in ["next", "return"] {
            let name = self.name(name);
            let result = self.node();
            self.attach(iterator, Use::Method { name, args: Rc::default(), ret: result, at });
            let settled = if asynchronous {
                let settled = self.node();
                self.attach(result, Use::Await { to: settled, at });
                settled
            } else {
                result
            };
            self.attach(settled, Use::Load { key: value_key, to, at });
        }
    }

    pub(crate) fn iterate_async(&mut self, value: Value, to: Node, at: At) {
        match self.kind(value).clone() {
            Kind::AsyncGenerator => {
                self.change(value, at);
                let elements = self.field(value, Key::INNER);
                self.edge(elements, to);
            }
            Kind::Object | Kind::Proxy | Kind::Function { .. } | Kind::Error => {
                let this = self.single(value);
                let key = self.name("@@asyncIterator");
                let method = self.node();
                self.load(value, key, method, value, at);
                self.run_iterator(method, this, to, at, true);
                let plain = self.node();
                self.iterate(value, plain, at);
                self.attach(plain, Use::Await { to, at });
            }
            _ => {
                let plain = self.node();
                self.iterate(value, plain, at);
                self.attach(plain, Use::Await { to, at });
            }
        }
    }

    /// The `[key, value]` arrays that a map's iteration makes.
    pub(crate) fn entry_of(&mut self, map: Value, at: At) -> Value {
        let tag = 0x4000_0000 | map.0;
        let pair = self.make(at, tag, Kind::Array);
        for (slot, part) in [(Key::MAP_KEY, Key::FIRST), (Key::INNER, Key::SECOND)] {
            let slot = self.field(map, slot);
            let part = self.field(pair, part);
            self.edge(slot, part);
        }
        pair
    }

    /// The element of an iterable at a position that a pattern takes.
    pub(crate) fn element_at(&mut self, iterable: Node, index: usize, at: At) -> Node {
        let to = self.node();
        let slot = match index {
            0 => Key::FIRST,
            1 => Key::SECOND,
            _ => {
                self.attach(iterable, Use::Iterate { to, at });
                return to;
            }
        };
        self.react(iterable, move |solver, value| match solver.has_field(value, slot) {
            Some(part) if matches!(solver.kind(value), Kind::Array) => {
                solver.edge(part, to);
                let others = solver.field(value, Key::ELEMENT);
                solver.edge(others, to);
            }
            _ => solver.iterate(value, to, at),
        });
        to
    }

    /// `to` gets what awaiting the value gives.
    pub(crate) fn await_value(&mut self, value: Value, to: Node, at: At) {
        match self.kind(value).clone() {
            Kind::Promise => {
                let inner = self.field(value, Key::INNER);
                self.edge(inner, to);
            }
            Kind::Object | Kind::Proxy | Kind::Function { .. } | Kind::Error => {
                self.add(to, value);
                // A value with a `then` of its own is called with functions that settle the promise.
                let then = self.name("then");
                let promise = self.make(at, 901, Kind::Promise);
                let inner = self.field(promise, Key::INNER);
                self.edge(inner, to);
                let (resolve, reject) = self.resolvers(promise, at);
                let method = self.node();
                self.load(value, then, method, value, at);
                let this = self.single(value);
                let args = Rc::new(Args { fixed: vec![resolve, reject], rest: None });
                self.react(method, move |solver, method| {
                    if matches!(solver.kind(method), Kind::Function { .. } | Kind::Bound { .. } | Kind::Proxy)
                    {
                        let ret = solver.empty;
                        solver.call(method, this, None, &args, ret, at);
                    }
                });
            }
            Kind::Opaque { .. } => {
                self.add(to, value);
                self.edge(self.primitive, to);
            }
            _ => self.add(to, value),
        }
    }

    /// Functions that resolve and reject a promise.
    pub(crate) fn resolvers(&mut self, promise: Value, at: At) -> (Node, Node) {
        let resolve = self.make(at, 0x2000_0000 | promise.0, Kind::Resolver { promise, reject: false });
        let reject = self.make(at, 0x3000_0000 | promise.0, Kind::Resolver { promise, reject: true });
        (self.single(resolve), self.single(reject))
    }
}
