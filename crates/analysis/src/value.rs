//! The abstract domain: what a node of the constraint graph may hold. Pure data; flow is decided in `solver`.

use std::rc::Rc;

use rustc_hash::FxHashMap;

/// A set of values that some expression, variable or property may have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Node(pub(crate) u32);

/// An abstract value: all objects made at one place in one frame, or a kind of primitive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Value(pub(crate) u32);

/// One analysed activation of a function: the function, the frame it closes over, and how it was called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Frame(pub(crate) u32);

/// A function, class constructor or module body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Func(pub(crate) u32);

/// A place in the source where something happens that a reason could point at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Site(pub(crate) u32);

/// A place and the frame in which it is executed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct At {
    pub(crate) site: Site,
    pub(crate) frame: Frame,
}

/// When code runs: while modules are evaluated, or later, during a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    Evaluation,
    Call,
}

/// A property name or internal slot. Getters and setters of a name have keys of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Key(pub(crate) u32);

impl Key {
    /// All array elements, and every other property whose name is a canonical number.
    pub(crate) const ELEMENT: Self = Self(0);
    /// Properties written under a name that is not known.
    pub(crate) const ANY: Self = Self(1);
    /// `[[Prototype]]`.
    pub(crate) const PROTO: Self = Self(2);
    /// Keys of a `Map`.
    pub(crate) const MAP_KEY: Self = Self(3);
    /// Values of a `Map`, what a promise resolves to, the referent of a `WeakRef`, the store of an async context.
    pub(crate) const INNER: Self = Self(4);
    /// `[[HomeObject]]` of a method.
    pub(crate) const HOME: Self = Self(5);
    /// Target of a proxy.
    pub(crate) const TARGET: Self = Self(6);
    /// Handler of a proxy.
    pub(crate) const HANDLER: Self = Self(7);
    /// `ArrayBuffer` under a view.
    pub(crate) const BUFFER: Self = Self(8);
    /// What a generator returns.
    pub(crate) const RETURNED: Self = Self(9);
    /// What `next(…)` passes into a generator.
    pub(crate) const SENT: Self = Self(10);
    /// The property called `undefined`, standing for keys that are no string, number or symbol.
    pub(crate) const UNDEFINED: Self = Self(11);
    /// First and second element of an entry, as `Object.entries` makes them, as long as nothing else is stored.
    pub(crate) const FIRST: Self = Self(12);
    pub(crate) const SECOND: Self = Self(13);
    pub(crate) const FIRST_NAME: u32 = 16;
    const GETTER: u32 = 1 << 30;
    const SETTER: u32 = 1 << 31;

    pub(crate) fn getter(self) -> Self {
        Self(self.0 | Self::GETTER)
    }

    pub(crate) fn setter(self) -> Self {
        Self(self.0 | Self::SETTER)
    }

    pub(crate) fn is_getter(self) -> bool {
        self.0 & Self::GETTER != 0
    }

    pub(crate) fn is_accessor(self) -> bool {
        self.0 & (Self::GETTER | Self::SETTER) != 0
    }

    /// The name without the getter or setter mark.
    pub(crate) fn plain(self) -> Self {
        Self(self.0 & !(Self::GETTER | Self::SETTER))
    }

    /// Whether this is a property that programs can see, rather than an internal slot.
    pub(crate) fn is_property(self) -> bool {
        let plain = self.plain();
        matches!(plain, Self::ELEMENT | Self::ANY | Self::UNDEFINED | Self::FIRST | Self::SECOND)
            || plain.0 >= Self::FIRST_NAME
    }
}

/// A built-in object of the realm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Native {
    /// A constructor or namespace, for example `Array` or `Math`.
    Global(Key),
    /// A property of one, for example `Array.from`.
    Static(Key, Key),
    /// `Array.prototype`.
    Prototype(Key),
    /// `Array.prototype.push`.
    Method(Key, Key),
    /// A method of an array or collection chosen by a name not known here.
    AnyMethod,
}

/// What kind of thing a [`Value`] is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A known string or symbol; symbols are spelled with a leading `@@`.
    Text(Key),
    /// Some number.
    Number,
    /// Some primitive.
    Primitive,
    /// A plain object or class instance.
    Object,
    Array,
    Function {
        func: Func,
        parent: Frame,
    },
    Bound {
        target: Node,
        this: Node,
        args: Rc<Args>,
    },
    Map,
    Set,
    WeakMap,
    WeakSet,
    WeakRef,
    Promise,
    /// Resolves (or, when `reject`, rejects) `promise`.
    Resolver {
        promise: Value,
        reject: bool,
    },
    Iterator,
    Generator,
    AsyncGenerator,
    /// `moving`: has the flag `g` or `y`; `sticky`: `y`.
    RegExp {
        moving: bool,
        sticky: bool,
    },
    Date,
    Error,
    /// Typed arrays and `DataView`.
    Bytes,
    Buffer,
    Proxy,
    Namespace(usize),
    /// An object of the host, or one handed in by code that is not part of the program. `lenient`: handed in by the
    /// caller of an exported function; its own behaviour is checked where the caller is.
    Opaque {
        lenient: bool,
    },
    Native(Native),
    /// `process.env`.
    Environment,
    /// A global that the analysis does not know.
    Unknown,
}

pub(crate) struct ValueData {
    pub(crate) kind: Kind,
    /// Outlives the call: made while modules were evaluated, or part of the realm.
    pub(crate) shared: bool,
    pub(crate) fields: FxHashMap<Key, Node>,
    /// Told about every property that comes into being.
    pub(crate) watchers: Vec<Watcher>,
}

#[derive(Clone, Copy)]
pub(crate) enum Watcher {
    /// All properties flow into the node; getters are called on behalf of `at`.
    LoadAll { to: Node, receiver: Value, at: At },
    /// All properties are copied to another object.
    Copy { into: Value, at: At },
    /// Everything reachable is looked at, as `JSON.stringify` does.
    Deep { to: Option<Node>, calls: u8, at: At },
}

/// Arguments of a call.
#[derive(Debug, Default)]
pub(crate) struct Args {
    /// Those before the first spread.
    pub(crate) fixed: Vec<Node>,
    /// Everything from the first spread on.
    pub(crate) rest: Option<Node>,
}

impl Args {
    pub(crate) fn all(&self) -> impl Iterator<Item = Node> + '_ {
        self.fixed.iter().copied().chain(self.rest)
    }
}
