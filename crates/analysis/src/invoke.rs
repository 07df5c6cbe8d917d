//! Calls: of the program's functions, of methods, with `new` and `super`, and of what the program does not contain.

use std::rc::Rc;

use crate::solver::{Solver, Use};
use crate::value::{Args, At, Frame, Func, Key, Kind, Node, Phase, Value};

/// Methods of host objects that leave the object as it was.
const HOST_READS: &[&str] = &[
    "get",
    "has",
    "getAll",
    "keys",
    "values",
    "entries",
    "forEach",
    "toString",
    "toJSON",
    "encode",
    "decode",
    "format",
    "formatToParts",
    "formatRange",
    "formatRangeToParts",
    "select",
    "selectRange",
    "compare",
    "of",
    "segment",
    "resolvedOptions",
    "supportedLocalesOf",
    "test",
    "digest",
    "sign",
    "verify",
    "encrypt",
    "decrypt",
    "importKey",
    "exportKey",
    "deriveBits",
    "deriveKey",
    "generateKey",
    "getStore",
    "run",
    "slice",
    "throwIfAborted",
    "canParse",
    "parse",
    "randomUUID",
    "getSetCookie",
    "maximize",
    "minimize",
    "toLocaleString",
    "exit",
    "containing",
];

/// Methods by which a host object passes what it is given to whoever reads from it.
const HOST_PASSES: &[&str] = &[
    "enqueue",
    "write",
    "abort",
    "error",
    "cancel",
    "close",
    "dispatchEvent",
    "postMessage",
    "respondWithNewView",
];

impl<'a> Solver<'a> {
    /// `receiver.name(…)`.
    pub(crate) fn call_method(&mut self, receiver: Value, name: Key, args: &Rc<Args>, ret: Node, at: At) {
        let callee = self.node();
        self.load(receiver, name, callee, receiver, at);
        let this = self.single(receiver);
        self.attach(callee, Use::Call { this, name: Some(name), args: Rc::clone(args), ret, at });
    }

    /// `receiver[key](…)`.
    pub(crate) fn call_method_by(&mut self, receiver: Value, key: Node, args: &Rc<Args>, ret: Node, at: At) {
        let callee = self.node();
        self.load_by(receiver, key, callee, at);
        let this = self.single(receiver);
        self.attach(callee, Use::Call { this, name: None, args: Rc::clone(args), ret, at });
    }

    pub(crate) fn call(
        &mut self,
        callee: Value,
        this: Node,
        name: Option<Key>,
        args: &Rc<Args>,
        ret: Node,
        at: At,
    ) {
        match self.kind(callee).clone() {
            Kind::Function { func, parent } => {
                if self.funcs[func.0 as usize].is_class() {
                    return; // Throws.
                }
                self.call_function(func, parent, this, None, args, ret, at);
            }
            Kind::Bound { target, this, args: bound } => {
                let args = Rc::new(self.prepend(&bound, args));
                self.attach(target, Use::Call { this, name: None, args, ret, at });
            }
            Kind::Native(native) => self.call_native(native, this, args, ret, at),
            Kind::Resolver { promise, reject } => {
                self.change(promise, at);
                let value = self.argument(args, 0);
                self.settle(promise, value, reject, at);
            }
            Kind::Proxy => {
                let target = self.field(callee, Key::TARGET);
                self.attach(target, Use::Call { this, name: None, args: Rc::clone(args), ret, at });
                let list = self.array_of_args(args, at, 903);
                let handler = self.field(callee, Key::HANDLER);
                let name = self.name("apply");
                let args = Rc::new(Args { fixed: vec![target, this, list], rest: None });
                self.attach(handler, Use::Method { name, args, ret, at });
            }
            Kind::Opaque { lenient } => self.call_opaque(callee, lenient, name, args, ret, at),
            Kind::Unknown => {
                let callee = self.callee_of(at.site);
                self.object_about(at.site, callee, |text| {
                    format!("calls `{text}`, which the analysis does not know")
                });
            }
            _ => {}
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn call_function(
        &mut self,
        func: Func,
        parent: Frame,
        this: Node,
        target: Option<Node>,
        args: &Rc<Args>,
        ret: Node,
        at: At,
    ) -> Frame {
        let frame = self.frame_for(func, parent, at);
        let data = &self.frames[frame.0 as usize];
        let params = data.params.clone();
        let (rest, arguments, result, frame_this, frame_target) =
            (data.rest, data.arguments, data.result, data.this, data.target);
        for (index, &param) in params.iter().enumerate() {
            if let Some(&arg) = args.fixed.get(index).or(args.rest.as_ref()) {
                self.edge(arg, param);
            }
        }
        for &arg in args.fixed.iter().skip(params.len()).chain(args.rest.as_ref()) {
            self.edge(arg, rest);
        }
        if self.funcs[func.0 as usize].uses_arguments {
            for arg in args.all() {
                self.edge(arg, arguments);
            }
        }
        self.edge(this, frame_this);
        if let Some(target) = target {
            self.edge(target, frame_target);
        }
        self.edge(result, ret);
        frame
    }

    /// `new callee(…)`; `target` is `new.target` when it is not the callee.
    pub(crate) fn construct(
        &mut self,
        callee: Value,
        target: Option<Node>,
        args: &Rc<Args>,
        ret: Node,
        at: At,
    ) {
        match self.kind(callee).clone() {
            Kind::Function { func, parent } => {
                if !self.funcs[func.0 as usize].has_prototype() {
                    return;
                }
                self.prototype_of(callee);
                let object = self.make(at, 0x1000_0000 | callee.0, Kind::Object);
                let target = match target {
                    Some(target) => target,
                    None => self.single(callee),
                };
                let proto = self.field(object, Key::PROTO);
                let key = self.name("prototype");
                self.attach(target, Use::Load { key, to: proto, at });
                self.add(ret, object);
                let this = self.single(object);
                let result = self.node();
                let frame = self.call_function(func, parent, this, Some(target), args, result, at);
                if self.funcs[func.0 as usize].is_class() {
                    // `super(…)` may have brought another object.
                    let this = self.frames[frame.0 as usize].this;
                    self.edge_own(this, ret);
                }
                self.react(result, move |solver, value| {
                    if !matches!(solver.kind(value), Kind::Text(_) | Kind::Number | Kind::Primitive) {
                        solver.add(ret, value);
                    }
                });
            }
            Kind::Native(native) => self.construct_native(native, args, ret, at),
            Kind::Bound { target, args: bound, .. } => {
                let args = Rc::new(self.prepend(&bound, args));
                self.attach(target, Use::New { target: None, args, ret, at });
            }
            Kind::Proxy => {
                let inner = self.field(callee, Key::TARGET);
                self.attach(inner, Use::New { target, args: Rc::clone(args), ret, at });
                let list = self.array_of_args(args, at, 904);
                let handler = self.field(callee, Key::HANDLER);
                let name = self.name("construct");
                let args = Rc::new(Args { fixed: vec![inner, list, inner], rest: None });
                self.attach(handler, Use::Method { name, args, ret, at });
            }
            Kind::Opaque { lenient } => self.call_opaque(callee, lenient, None, args, ret, at),
            Kind::Unknown => {
                let callee = self.callee_of(at.site);
                self.object_about(at.site, callee, |text| {
                    format!("calls `{text}`, which the analysis does not know")
                });
            }
            _ => {}
        }
    }

    /// Objects that a constructor's `super(…)` made, which its callers get as well. Constructors are analysed once for
    /// all callers, so only what built-in parents made is passed on; plain instances are known from `new` itself.
    fn edge_own(&mut self, this: Node, ret: Node) {
        self.react(this, move |solver, value| {
            if !matches!(solver.kind(value), Kind::Object) {
                solver.add(ret, value);
            }
        });
    }

    /// `super(…)` reaching the constructor `parent`.
    pub(crate) fn call_super(&mut self, parent: Value, this: Node, target: Node, args: &Rc<Args>, at: At) {
        match self.kind(parent).clone() {
            Kind::Function { func, parent: outer } => {
                let result = self.node();
                let frame = self.call_function(func, outer, this, Some(target), args, result, at);
                let inner = self.frames[frame.0 as usize].this;
                self.edge_own(inner, this);
                // A constructor that returns an object makes it what `new` gives, too.
                let own = self.receiver_frame(at.frame);
                let returned = self.frames[own.0 as usize].returned;
                self.react(result, move |solver, value| {
                    if !matches!(solver.kind(value), Kind::Text(_) | Kind::Number | Kind::Primitive) {
                        solver.add(this, value);
                        solver.add(returned, value);
                    }
                });
            }
            Kind::Native(_) | Kind::Proxy | Kind::Bound { .. } | Kind::Opaque { .. } | Kind::Unknown => {
                let made = self.node();
                self.construct(parent, Some(target), args, made, at);
                let prototypes = self.node();
                let key = self.name("prototype");
                self.attach(target, Use::Load { key, to: prototypes, at });
                self.react(made, move |solver, value| {
                    if !matches!(solver.kind(value), Kind::Native(_) | Kind::Unknown) {
                        let proto = solver.field(value, Key::PROTO);
                        solver.edge(prototypes, proto);
                    }
                    solver.add(this, value);
                });
            }
            _ => {}
        }
    }

    /// A call of something the host provides.
    fn call_opaque(
        &mut self,
        callee: Value,
        lenient: bool,
        name: Option<Key>,
        args: &Rc<Args>,
        ret: Node,
        at: At,
    ) {
        let reads = name.is_some_and(|name| {
            let name = self.spelled(name);
            HOST_READS.contains(&name) && !(name == "decode" && args.all().count() > 1)
        });
        if !reads {
            self.change(callee, at);
        }
        let passes_on = name.is_some_and(|name| HOST_PASSES.contains(&self.spelled(name)));
        for arg in args.all() {
            if lenient {
                // Callbacks run with more values of the caller's.
                let node = self.single(callee);
                let args = Rc::new(Args { fixed: Vec::new(), rest: Some(node) });
                let (this, empty) = (self.empty, self.empty);
                self.attach(arg, Use::Call { this, name: None, args, ret: empty, at });
            } else {
                self.attach(arg, Use::Deep { to: None, calls: 2, at });
                if passes_on {
                    self.edge(arg, self.held);
                }
            }
        }
        self.edge(self.primitive, ret);
        if lenient || !self.values[callee.0 as usize].shared {
            self.add(ret, callee);
        } else {
            let made = self.host_object(at, 905);
            self.add(ret, made);
        }
        if name.is_some_and(|name| matches!(self.spelled(name), "exit" | "runInAsyncScope")) {
            let callback = self.argument(args, 0);
            let this = self.argument(args, 1);
            let all: Vec<Node> = args.all().skip(1).collect();
            let rest = self.join(&all);
            let given = Rc::new(Args { fixed: Vec::new(), rest: Some(rest) });
            self.attach(callback, Use::Call { this, name: None, args: given, ret, at });
        }
        if name.is_some_and(|name| self.spelled(name) == "run") {
            let callback = self.argument(args, 1);
            let this = self.empty;
            let rest = Rc::new(Args { fixed: args.fixed.iter().skip(2).copied().collect(), rest: args.rest });
            self.attach(callback, Use::Call { this, name: None, args: rest, ret, at });
            let store = self.argument(args, 0);
            let slot = self.field(callee, Key::INNER);
            self.edge(store, slot);
        }
        if name.is_some_and(|name| self.spelled(name) == "getStore") {
            let slot = self.field(callee, Key::INNER);
            self.edge(slot, ret);
        }
    }

    /// A host object that has just come into being.
    pub(crate) fn host_object(&mut self, at: At, tag: u32) -> Value {
        self.make(at, tag, Kind::Opaque { lenient: false })
    }

    pub(crate) fn argument(&mut self, args: &Args, index: usize) -> Node {
        args.fixed.get(index).copied().or(args.rest).unwrap_or(self.empty)
    }

    /// An array of all arguments.
    pub(crate) fn array_of_args(&mut self, args: &Args, at: At, tag: u32) -> Node {
        let array = self.make(at, tag, Kind::Array);
        let elements = self.field(array, Key::ELEMENT);
        for arg in args.all() {
            self.edge(arg, elements);
        }
        self.single(array)
    }

    /// Resolves or rejects a promise with what `value` holds.
    pub(crate) fn settle(&mut self, promise: Value, value: Node, reject: bool, at: At) {
        if reject {
            self.throw(value, at.frame);
        } else {
            let inner = self.field(promise, Key::INNER);
            self.attach(value, Use::Await { to: inner, at });
        }
    }

    /// What is thrown in a phase may be caught by any `catch` of that phase; a rejection during evaluation may be
    /// seen by a call that awaits the promise.
    pub(crate) fn throw(&mut self, value: Node, frame: Frame) {
        let [evaluation, call] = self.thrown;
        match self.phase(frame) {
            Phase::Call => self.edge(value, call),
            Phase::Evaluation => self.edge(value, evaluation),
        }
    }

    /// Promises made during evaluation may carry what was thrown then into calls.
    pub(crate) fn rejections_cross(&mut self, frame: Frame) {
        if self.phase(frame) == Phase::Evaluation {
            let [evaluation, call] = self.thrown;
            self.edge(evaluation, call);
        }
    }

    pub(crate) fn thrown_in(&self, frame: Frame) -> Node {
        match self.phase(frame) {
            Phase::Evaluation => self.thrown[0],
            Phase::Call => self.thrown[1],
        }
    }

    /// Arguments of a bound function followed by those of its call.
    fn prepend(&mut self, bound: &Args, args: &Args) -> Args {
        match bound.rest {
            Some(rest) => {
                // What follows a spread is one lot.
                let parts: Vec<Node> = std::iter::once(rest).chain(args.all()).collect();
                let rest = self.join(&parts);
                Args { fixed: bound.fixed.clone(), rest: Some(rest) }
            }
            None => Args { fixed: bound.fixed.iter().chain(&args.fixed).copied().collect(), rest: args.rest },
        }
    }
}
