//! The constraint graph and its fixed point: values flow along edges, and each new value at a node is applied to the
//! node's uses. Knows no syntax; `walk` makes the constraints, `property`, `invoke` and `builtin` say what uses do.

use std::collections::VecDeque;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::frames::{FrameData, FrameKey, FuncData};
use crate::program::Modules;
use crate::reasons::{Found, SiteData, Verb};
use crate::value::{Args, At, Frame, Func, Key, Kind, Native, Node, Phase, Site, Value, ValueData, Watcher};

/// Constant strings that one node tells apart; beyond it they are some primitive.
const TEXTS_MAX: u8 = 24;
/// Longest string that is told apart, in bytes.
const TEXT_BYTES_MAX: usize = 64;

/// Steps that are made after the first reason was found.
const STEPS_AFTER_FOUND: u64 = 1_000_000;

type Reaction<'a> = Box<dyn Fn(&mut Solver<'a>, Value) + 'a>;

/// Something that happens to every value of a node.
pub(crate) enum Use<'a> {
    Load {
        key: Key,
        to: Node,
        at: At,
    },
    /// As `Load`, in the prototype chain of `receiver`.
    LoadFor {
        key: Key,
        to: Node,
        receiver: Value,
        at: At,
    },
    /// A property chosen by `key`.
    LoadBy {
        key: Node,
        to: Node,
        at: At,
    },
    /// On the key of a `LoadBy`.
    LoadFrom {
        object: Value,
        to: Node,
        at: At,
    },
    /// All properties, in the prototype chain of `receiver`.
    LoadAllFor {
        to: Node,
        receiver: Value,
        at: At,
    },
    Store {
        key: Key,
        from: Node,
        at: At,
    },
    StoreBy {
        key: Node,
        from: Node,
        at: At,
    },
    StoreTo {
        object: Value,
        from: Node,
        at: At,
    },
    /// Looks for setters in the prototype chain of `receiver`.
    SetterFor {
        key: Key,
        from: Node,
        receiver: Value,
        at: At,
    },
    /// The object is changed.
    Change {
        at: At,
    },
    Method {
        name: Key,
        args: Rc<Args>,
        ret: Node,
        at: At,
    },
    MethodBy {
        key: Node,
        args: Rc<Args>,
        ret: Node,
        at: At,
    },
    Call {
        this: Node,
        name: Option<Key>,
        args: Rc<Args>,
        ret: Node,
        at: At,
    },
    New {
        target: Option<Node>,
        args: Rc<Args>,
        ret: Node,
        at: At,
    },
    Super {
        this: Node,
        target: Node,
        args: Rc<Args>,
        at: At,
    },
    Iterate {
        to: Node,
        at: At,
    },
    AsyncIterate {
        to: Node,
        at: At,
    },
    Await {
        to: Node,
        at: At,
    },
    CopyInto {
        into: Value,
        at: At,
    },
    Deep {
        to: Option<Node>,
        calls: u8,
        at: At,
    },
    Convert {
        at: At,
    },
    /// Anything else, mostly built-ins.
    React(Reaction<'a>),
}

#[derive(Default)]
struct NodeData<'a> {
    values: Vec<Value>,
    members: FxHashSet<Value>,
    pending: Vec<Value>,
    targets: Vec<Node>,
    uses: Vec<Rc<Use<'a>>>,
    texts: u8,
    constant: bool,
}

enum Work<'a> {
    Propagate(Node),
    Apply(Rc<Use<'a>>, Vec<Value>),
}

/// Identity of an abstract value.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
enum ValueKey {
    Text(Key),
    Native(Native),
    Function(Func, Frame),
    /// Allocation site, frame and a number that tells several allocations at the site apart.
    Made(Site, Frame, u32),
    Namespace(usize),
    Number,
    Primitive,
    Environment,
    Unknown(Key),
}

pub(crate) struct Solver<'a> {
    pub(crate) modules: &'a Modules<'a>,
    pub(crate) accessors: FxHashSet<Key>,
    /// Accessors found that `accessors` lacks: the analysis must start again with them.
    pub(crate) accessors_missed: FxHashSet<String>,
    nodes: Vec<NodeData<'a>>,
    edges: FxHashSet<(Node, Node)>,
    work: VecDeque<Work<'a>>,
    pub(crate) values: Vec<ValueData>,
    value_ids: FxHashMap<ValueKey, Value>,
    singles: FxHashMap<Value, Node>,
    names: Vec<String>,
    name_ids: FxHashMap<String, Key>,
    pub(crate) sites: Vec<SiteData>,
    site_ids: FxHashMap<(u32, u32, u32, u8), Site>,
    pub(crate) funcs: Vec<FuncData<'a>>,
    pub(crate) func_ids: FxHashMap<(usize, u32), Func>,
    pub(crate) frames: Vec<FrameData>,
    pub(crate) frame_ids: FxHashMap<FrameKey, Frame>,
    pub(crate) frame_counts: FxHashMap<(Func, Phase), u32>,
    pub(crate) variables: FxHashMap<(Frame, u32), Node>,
    pub(crate) module_frames: FxHashMap<usize, Frame>,
    pub(crate) exports: FxHashMap<(usize, Key), Node>,
    pub(crate) export_names: FxHashMap<usize, Vec<Key>>,
    pub(crate) loads_seen: FxHashSet<(Value, Key, Node, Value)>,
    pub(crate) converted: FxHashSet<(Value, Phase)>,
    pub(crate) deep_seen: FxHashSet<(Value, Option<Node>, u8, Phase)>,
    pub(crate) thrown: [Node; 2],
    /// Objects that the host was given and may hand to whoever reads from it.
    pub(crate) held: Node,
    pub(crate) found: FxHashSet<Found>,
    pub(crate) exported_functions: Vec<Value>,
    steps: u64,
    steps_max: u64,
    /// As `steps_max`, from the first reason on.
    steps_max_found: u64,
    pub(crate) empty: Node,
    pub(crate) primitive: Node,
    pub(crate) number: Node,
    /// The frame of the runtime's own calls.
    pub(crate) call_root: Frame,
    /// Its counterpart while modules are evaluated.
    pub(crate) evaluation_root: Frame,
}

/// The work was more than allowed.
#[derive(Debug)]
pub(crate) struct TooLarge;

impl<'a> Solver<'a> {
    pub(crate) fn new(modules: &'a Modules<'a>, accessors: &FxHashSet<String>, steps_max: u64) -> Self {
        let mut solver = Self {
            modules,
            accessors: FxHashSet::default(),
            accessors_missed: FxHashSet::default(),
            nodes: Vec::new(),
            edges: FxHashSet::default(),
            work: VecDeque::new(),
            values: Vec::new(),
            value_ids: FxHashMap::default(),
            singles: FxHashMap::default(),
            names: vec![String::new(); Key::FIRST_NAME as usize],
            name_ids: FxHashMap::default(),
            sites: Vec::new(),
            site_ids: FxHashMap::default(),
            funcs: Vec::new(),
            func_ids: FxHashMap::default(),
            frames: Vec::new(),
            frame_ids: FxHashMap::default(),
            frame_counts: FxHashMap::default(),
            variables: FxHashMap::default(),
            module_frames: FxHashMap::default(),
            exports: FxHashMap::default(),
            export_names: FxHashMap::default(),
            loads_seen: FxHashSet::default(),
            converted: FxHashSet::default(),
            deep_seen: FxHashSet::default(),
            thrown: [Node(0), Node(0)],
            held: Node(0),
            found: FxHashSet::default(),
            exported_functions: Vec::new(),
            steps: 0,
            steps_max,
            steps_max_found: u64::MAX,
            empty: Node(0),
            primitive: Node(0),
            number: Node(0),
            call_root: Frame(0),
            evaluation_root: Frame(0),
        };
        solver.names[Key::UNDEFINED.0 as usize] = "undefined".to_owned();
        solver.name_ids.insert("undefined".to_owned(), Key::UNDEFINED);
        solver.name_ids.insert("null".to_owned(), Key::UNDEFINED);
        for name in accessors {
            let key = if name == "*" { Key::ANY } else { solver.name(name) };
            solver.accessors.insert(key);
        }
        solver.empty = solver.node();
        let primitive = solver.primitive_value();
        solver.primitive = solver.single(primitive);
        let number = solver.value(ValueKey::Number, Kind::Number, false);
        solver.number = solver.single(number);
        for node in [solver.empty, solver.primitive, solver.number] {
            solver.nodes[node.0 as usize].constant = true;
        }
        solver.thrown = [solver.node(), solver.node()];
        solver.held = solver.node();
        solver
    }

    /// Runs until nothing changes.
    pub(crate) fn run(&mut self) -> Result<(), TooLarge> {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Propagate(node) => {
                    let data = &mut self.nodes[node.0 as usize];
                    let fresh = std::mem::take(&mut data.pending);
                    let targets = data.targets.clone();
                    let uses = data.uses.clone();
                    self.steps += 1;
                    for target in targets {
                        for &value in &fresh {
                            self.add(target, value);
                        }
                    }
                    for used in uses {
                        for &value in &fresh {
                            self.apply(&used, value);
                        }
                    }
                }
                Work::Apply(used, values) => {
                    for value in values {
                        self.apply(&used, value);
                    }
                }
            }
            if self.exceeded() {
                return Err(TooLarge);
            }
        }
        Ok(())
    }

    /// Whether the limit on work is reached; walks look at it too.
    pub(crate) fn exceeded(&self) -> bool {
        self.steps > self.steps_max.min(self.steps_max_found)
    }

    /// There is a reason: whatever else is found, the verdict will not be another. More steps look for reasons that say
    /// more to the author, for as long as that is cheap.
    pub(crate) fn note_found(&mut self) {
        if self.steps_max_found == u64::MAX {
            self.steps_max_found = self.steps + STEPS_AFTER_FOUND;
        }
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn count_step(&mut self) {
        self.steps += 1;
    }

    fn apply(&mut self, used: &Rc<Use<'a>>, value: Value) {
        self.steps += 1;
        if self.exceeded() {
            return;
        }
        match &**used {
            Use::Load { key, to, at } => self.load(value, *key, *to, value, *at),
            Use::LoadFor { key, to, receiver, at } => self.load(value, *key, *to, *receiver, *at),
            Use::LoadBy { key, to, at } => self.load_by(value, *key, *to, *at),
            Use::LoadFrom { object, to, at } => self.load_named_by(*object, value, *to, *at),
            Use::LoadAllFor { to, receiver, at } => self.load_all(value, *to, *receiver, *at),
            Use::Store { key, from, at } => self.store(value, *key, *from, *at),
            Use::StoreBy { key, from, at } => self.store_by(value, *key, *from, *at),
            Use::StoreTo { object, from, at } => self.store_named_by(*object, value, *from, *at),
            Use::SetterFor { key, from, receiver, at } => {
                self.call_setters(value, *key, *from, *receiver, *at);
            }
            Use::Change { at } => self.change(value, *at),
            Use::Method { name, args, ret, at } => self.call_method(value, *name, args, *ret, *at),
            Use::MethodBy { key, args, ret, at } => self.call_method_by(value, *key, args, *ret, *at),
            Use::Call { this, name, args, ret, at } => self.call(value, *this, *name, args, *ret, *at),
            Use::New { target, args, ret, at } => self.construct(value, *target, args, *ret, *at),
            Use::Super { this, target, args, at } => self.call_super(value, *this, *target, args, *at),
            Use::Iterate { to, at } => self.iterate(value, *to, *at),
            Use::AsyncIterate { to, at } => self.iterate_async(value, *to, *at),
            Use::Await { to, at } => self.await_value(value, *to, *at),
            Use::CopyInto { into, at } => self.copy_properties(value, *into, *at),
            Use::Deep { to, calls, at } => self.look_deep(value, *to, *calls, *at),
            Use::Convert { at } => self.convert(value, *at),
            Use::React(reaction) => reaction(self, value),
        }
    }

    // ---- nodes ------------------------------------------------------------------------------------------------

    pub(crate) fn node(&mut self) -> Node {
        self.steps += 1;
        let node = Node(u32::try_from(self.nodes.len()).expect("the limit on steps is below 2^32"));
        self.nodes.push(NodeData::default());
        node
    }

    pub(crate) fn add(&mut self, node: Node, value: Value) {
        let data = &mut self.nodes[node.0 as usize];
        if data.constant {
            return;
        }
        let mut value = value;
        if matches!(self.values[value.0 as usize].kind, Kind::Text(_)) {
            if data.members.contains(&value) {
                return;
            }
            if data.texts >= TEXTS_MAX {
                value = self.value_ids[&ValueKey::Primitive];
            } else {
                data.texts += 1;
            }
        }
        if !data.members.insert(value) {
            return;
        }
        self.steps += 1;
        data.values.push(value);
        if data.pending.is_empty() {
            self.work.push_back(Work::Propagate(node));
        }
        data.pending.push(value);
    }

    /// Everything `from` may hold, `to` may hold.
    pub(crate) fn edge(&mut self, from: Node, to: Node) {
        if from == to || self.nodes[to.0 as usize].constant {
            return;
        }
        if self.nodes[from.0 as usize].constant {
            for value in self.nodes[from.0 as usize].values.clone() {
                self.add(to, value);
            }
            return;
        }
        if !self.edges.insert((from, to)) {
            return;
        }
        self.steps += 1;
        self.nodes[from.0 as usize].targets.push(to);
        for value in self.nodes[from.0 as usize].values.clone() {
            self.add(to, value);
        }
    }

    /// Applies `used` to every value the node has or gets.
    pub(crate) fn attach(&mut self, node: Node, used: Use<'a>) {
        self.steps += 1;
        let data = &mut self.nodes[node.0 as usize];
        let used = Rc::new(used);
        if !data.values.is_empty() {
            self.work.push_back(Work::Apply(Rc::clone(&used), data.values.clone()));
        }
        if !data.constant {
            data.uses.push(used);
        }
    }

    pub(crate) fn react(&mut self, node: Node, reaction: impl Fn(&mut Self, Value) + 'a) {
        self.attach(node, Use::React(Box::new(reaction)));
    }

    pub(crate) fn values_of(&self, node: Node) -> &[Value] {
        &self.nodes[node.0 as usize].values
    }

    /// A node that holds just this value.
    pub(crate) fn single(&mut self, value: Value) -> Node {
        if let Some(&node) = self.singles.get(&value) {
            return node;
        }
        let node = self.node();
        self.add(node, value);
        self.singles.insert(value, node);
        node
    }

    /// A node with what both hold.
    pub(crate) fn join(&mut self, parts: &[Node]) -> Node {
        let node = self.node();
        for &part in parts {
            self.edge(part, node);
        }
        node
    }

    // ---- values -----------------------------------------------------------------------------------------------

    fn value(&mut self, key: ValueKey, kind: Kind, shared: bool) -> Value {
        if let Some(&value) = self.value_ids.get(&key) {
            return value;
        }
        self.steps += 1;
        let value = Value(u32::try_from(self.values.len()).expect("the limit on steps is below 2^32"));
        self.values.push(ValueData { kind, shared, fields: FxHashMap::default(), watchers: Vec::new() });
        self.value_ids.insert(key, value);
        value
    }

    pub(crate) fn primitive_value(&mut self) -> Value {
        self.value(ValueKey::Primitive, Kind::Primitive, false)
    }

    pub(crate) fn text(&mut self, text: &str) -> Node {
        if text.len() > TEXT_BYTES_MAX {
            return self.primitive;
        }
        let key = self.name(text);
        self.text_of_key(key)
    }

    pub(crate) fn text_of_key(&mut self, key: Key) -> Node {
        if key == Key::ELEMENT {
            return self.number;
        }
        let value = self.value(ValueKey::Text(key), Kind::Text(key), false);
        self.single(value)
    }

    pub(crate) fn native(&mut self, native: Native) -> Value {
        self.value(ValueKey::Native(native), Kind::Native(native), true)
    }

    pub(crate) fn environment(&mut self) -> Value {
        self.value(ValueKey::Environment, Kind::Environment, true)
    }

    pub(crate) fn unknown_global(&mut self, name: Key) -> Value {
        self.value(ValueKey::Unknown(name), Kind::Unknown, true)
    }

    pub(crate) fn namespace(&mut self, module: usize) -> Value {
        self.value(ValueKey::Namespace(module), Kind::Namespace(module), true)
    }

    pub(crate) fn function(&mut self, func: Func, parent: Frame) -> Value {
        let shared = self.phase(parent) == Phase::Evaluation;
        self.value(ValueKey::Function(func, parent), Kind::Function { func, parent }, shared)
    }

    /// The object made at `at`; `tag` tells several made there apart.
    pub(crate) fn make(&mut self, at: At, tag: u32, kind: Kind) -> Value {
        let shared = self.phase(at.frame) == Phase::Evaluation;
        self.value(ValueKey::Made(at.site, at.frame, tag), kind, shared)
    }

    /// As `make`, for objects that the realm keeps for every later execution, such as a template's strings.
    pub(crate) fn make_shared(&mut self, at: At, tag: u32, kind: Kind) -> Value {
        self.value(ValueKey::Made(at.site, at.frame, tag), kind, true)
    }

    pub(crate) fn kind(&self, value: Value) -> &Kind {
        &self.values[value.0 as usize].kind
    }

    /// The node of an own property or internal slot.
    pub(crate) fn field(&mut self, object: Value, key: Key) -> Node {
        if let Some(&node) = self.values[object.0 as usize].fields.get(&key) {
            return node;
        }
        let node = self.node();
        self.values[object.0 as usize].fields.insert(key, node);
        if key.is_property() {
            for watcher in self.values[object.0 as usize].watchers.clone() {
                self.tell(&watcher, object, key, node);
            }
        }
        node
    }

    pub(crate) fn has_field(&self, object: Value, key: Key) -> Option<Node> {
        self.values[object.0 as usize].fields.get(&key).copied()
    }

    /// Registers interest in all properties an object has or gets.
    pub(crate) fn watch(&mut self, object: Value, watcher: Watcher) {
        let present: Vec<(Key, Node)> = self.values[object.0 as usize]
            .fields
            .iter()
            .filter(|(key, _)| key.is_property())
            .map(|(key, node)| (*key, *node))
            .collect();
        self.values[object.0 as usize].watchers.push(watcher);
        for (key, node) in present {
            self.tell(&watcher, object, key, node);
        }
    }

    // ---- names and places -------------------------------------------------------------------------------------

    /// The key of a property name; canonical numbers are elements.
    pub(crate) fn name(&mut self, name: &str) -> Key {
        if let Some(&key) = self.name_ids.get(name) {
            return key;
        }
        // Every spelling of a number is an element, so that `o[n]` finds it.
        let numeric = matches!(name, "NaN" | "Infinity" | "-Infinity")
            || (name.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'))
                && name.parse::<f64>().is_ok());
        let key = if numeric {
            Key::ELEMENT
        } else {
            let key = Key(u32::try_from(self.names.len()).expect("the limit on steps is below 2^30"));
            self.names.push(name.to_owned());
            key
        };
        self.name_ids.insert(name.to_owned(), key);
        key
    }

    pub(crate) fn spelled(&self, key: Key) -> &str {
        &self.names[key.plain().0 as usize]
    }

    pub(crate) fn site(&mut self, module: usize, span: oxc_span::Span, verb: Verb) -> Site {
        let module = u32::try_from(module).expect("modules are fewer than 2^32");
        let key = (module, span.start, span.end, verb.tag());
        if let Some(&site) = self.site_ids.get(&key) {
            return site;
        }
        let site = Site(u32::try_from(self.sites.len()).expect("the limit on steps is below 2^32"));
        self.sites.push(SiteData { module, span, verb });
        self.site_ids.insert(key, site);
        site
    }

    pub(crate) fn phase(&self, frame: Frame) -> Phase {
        self.frames[frame.0 as usize].phase
    }
}
