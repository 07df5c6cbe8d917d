//! Functions and their activations. A small function is analysed once for each place that calls it (Shivers' call
//! strings, at most two long), every other one once for each phase and closure.

use oxc_ast::ast::{ArrowFunctionExpression, Class, Function, PropertyKey};
use oxc_semantic::SymbolId;
use oxc_syntax::scope::{ScopeFlags, ScopeId};

use crate::solver::Solver;
use crate::value::{At, Frame, Func, Key, Kind, Node, Phase, Site, Value};

/// Source bytes up to which a function is analysed once for each caller.
const SMALL_BYTES_MAX: u32 = 260;
/// Frames of one function in one phase, beyond which callers are no longer told apart.
const FRAMES_MAX: u32 = 4_000;

#[derive(Clone, Copy)]
pub(crate) enum FuncCode<'a> {
    Module,
    Function(&'a Function<'a>),
    Arrow(&'a ArrowFunctionExpression<'a>),
    /// A class as the function that `new` calls.
    Class(&'a Class<'a>),
    /// Static fields and blocks of a class.
    Statics(&'a Class<'a>),
}

pub(crate) struct FuncData<'a> {
    pub(crate) module: usize,
    pub(crate) code: FuncCode<'a>,
    pub(crate) scope: Option<ScopeId>,
    pub(crate) bytes: u32,
    pub(crate) uses_arguments: bool,
}

impl FuncData<'_> {
    pub(crate) fn is_arrow(&self) -> bool {
        matches!(self.code, FuncCode::Arrow(_))
    }

    pub(crate) fn is_class(&self) -> bool {
        matches!(self.code, FuncCode::Class(_))
    }

    pub(crate) fn is_async(&self) -> bool {
        match self.code {
            FuncCode::Function(function) => function.r#async,
            FuncCode::Arrow(arrow) => arrow.r#async,
            _ => false,
        }
    }

    pub(crate) fn is_generator(&self) -> bool {
        matches!(self.code, FuncCode::Function(function) if function.generator)
    }

    pub(crate) fn has_prototype(&self) -> bool {
        matches!(self.code, FuncCode::Function(_) | FuncCode::Class(_))
    }
}

/// Function, enclosing frame, phase and the places it was called from.
pub(crate) type FrameKey = (Func, Option<Frame>, Phase, u32, u32);

pub(crate) struct FrameData {
    pub(crate) func: Func,
    pub(crate) parent: Option<Frame>,
    pub(crate) phase: Phase,
    /// Last places on the call string; `u32::MAX` for none.
    pub(crate) callers: (u32, u32),
    pub(crate) this: Node,
    /// What the parameters get, by position.
    pub(crate) params: Vec<Node>,
    /// What arguments beyond them, and all of them for `arguments`, get.
    pub(crate) rest: Node,
    pub(crate) arguments: Node,
    /// What `return` gives.
    pub(crate) returned: Node,
    /// What the caller gets: `returned`, a promise of it, or a generator.
    pub(crate) result: Node,
    pub(crate) generator: Option<Value>,
    /// `new.target`.
    pub(crate) target: Node,
}

impl<'a> Solver<'a> {
    pub(crate) fn func_of(&mut self, module: usize, code: FuncCode<'a>) -> Func {
        let (start, tag, bytes, scope) = match code {
            FuncCode::Module => (0, 4, u32::MAX, None),
            FuncCode::Function(function) => {
                (function.span.start, 0, function.span.size(), function.scope_id.get())
            }
            FuncCode::Arrow(arrow) => (arrow.span.start, 1, arrow.span.size(), arrow.scope_id.get()),
            FuncCode::Class(class) => {
                let constructor = constructor_of(class);
                let bytes = if constructor.is_some() { u32::MAX } else { class.span.size() };
                (class.span.start, 2, bytes, constructor.and_then(|function| function.scope_id.get()))
            }
            FuncCode::Statics(class) => (class.span.start, 3, u32::MAX, None),
        };
        let key = (module, start * 5 + tag);
        if let Some(&func) = self.func_ids.get(&key) {
            return func;
        }
        let span = match code {
            FuncCode::Function(function) => function.span,
            FuncCode::Arrow(arrow) => arrow.span,
            FuncCode::Class(class) => class.span,
            _ => oxc_span::Span::new(0, 0),
        };
        let source = self.modules.list[module].source;
        let uses_arguments =
            source.get(span.start as usize..span.end as usize).is_some_and(|text| text.contains("arguments"));
        let func = Func(u32::try_from(self.funcs.len()).expect("functions are fewer than bytes"));
        self.funcs.push(FuncData { module, code, scope, bytes, uses_arguments });
        self.func_ids.insert(key, func);
        func
    }

    /// The frame in which a call from `at` runs a function; its body is walked when the frame is new.
    pub(crate) fn frame_for(&mut self, func: Func, parent: Frame, at: At) -> Frame {
        let phase = self.phase(at.frame);
        let caller = &self.frames[at.frame.0 as usize];
        let mut callers = (u32::MAX, u32::MAX);
        let count = self.frame_counts.get(&(func, phase)).copied().unwrap_or(0);
        if self.funcs[func.0 as usize].bytes <= SMALL_BYTES_MAX && count < FRAMES_MAX {
            callers = (at.site.0, caller.callers.0);
        }
        let key = (func, Some(parent), phase, callers.0, callers.1);
        if let Some(&frame) = self.frame_ids.get(&key) {
            return frame;
        }
        *self.frame_counts.entry((func, phase)).or_default() += 1;
        let frame = self.new_frame(func, Some(parent), phase, callers);
        self.frame_ids.insert(key, frame);
        self.walk_function(frame);
        frame
    }

    pub(crate) fn new_frame(
        &mut self,
        func: Func,
        parent: Option<Frame>,
        phase: Phase,
        callers: (u32, u32),
    ) -> Frame {
        let params = match self.funcs[func.0 as usize].code {
            FuncCode::Function(function) => function.params.items.len(),
            FuncCode::Arrow(arrow) => arrow.params.items.len(),
            FuncCode::Class(class) => constructor_of(class).map_or(0, |function| function.params.items.len()),
            _ => 0,
        };
        let data = FrameData {
            func,
            parent,
            phase,
            callers,
            this: self.node(),
            params: (0..params).map(|_| self.node()).collect(),
            rest: self.node(),
            arguments: self.node(),
            returned: self.node(),
            result: self.node(),
            generator: None,
            target: self.node(),
        };
        let frame = Frame(u32::try_from(self.frames.len()).expect("the limit on steps is below 2^32"));
        self.frames.push(data);
        frame
    }

    pub(crate) fn module_of(&self, frame: Frame) -> usize {
        self.funcs[self.frames[frame.0 as usize].func.0 as usize].module
    }

    /// The frame whose `this`, `arguments`, `super` and `new.target` code in `frame` sees.
    pub(crate) fn receiver_frame(&self, frame: Frame) -> Frame {
        let mut current = frame;
        loop {
            let data = &self.frames[current.0 as usize];
            match data.parent {
                Some(parent) if self.funcs[data.func.0 as usize].is_arrow() => current = parent,
                _ => return current,
            }
        }
    }

    /// The frame that holds a variable, seen from `frame`.
    pub(crate) fn frame_of_symbol(&self, frame: Frame, symbol: SymbolId) -> Frame {
        let module = self.module_of(frame);
        let Some(code) = &self.modules.list[module].code else { return frame };
        let mut scope = code.scoping.symbol_scope_id(symbol);
        loop {
            let flags = code.scoping.scope_flags(scope);
            if flags.intersects(ScopeFlags::Function | ScopeFlags::Arrow) {
                break;
            }
            match code.scoping.scope_parent_id(scope) {
                Some(parent) => scope = parent,
                None => break,
            }
        }
        let is_root = scope == code.scoping.root_scope_id();
        let mut current = frame;
        loop {
            let data = &self.frames[current.0 as usize];
            let func = &self.funcs[data.func.0 as usize];
            if (is_root && matches!(func.code, FuncCode::Module)) || (!is_root && func.scope == Some(scope)) {
                return current;
            }
            match data.parent {
                Some(parent) => current = parent,
                // Not reached for code with correct scopes; the module's frame is the cautious answer.
                None => return current,
            }
        }
    }

    /// The node of a variable.
    pub(crate) fn variable(&mut self, frame: Frame, symbol: SymbolId) -> Node {
        let owner = self.frame_of_symbol(frame, symbol);
        let key = (owner, u32::try_from(symbol.index()).expect("symbols are fewer than 2^32"));
        if let Some(&node) = self.variables.get(&key) {
            return node;
        }
        let node = self.node();
        self.variables.insert(key, node);
        node
    }

    /// The `prototype` object of a function, made when first needed.
    pub(crate) fn prototype_of(&mut self, function: Value) -> Option<Value> {
        let Kind::Function { func, parent } = *self.kind(function) else { return None };
        if !self.funcs[func.0 as usize].has_prototype() {
            return None;
        }
        let module = self.funcs[func.0 as usize].module;
        let span = match self.funcs[func.0 as usize].code {
            FuncCode::Function(function) => function.span,
            FuncCode::Class(class) => class.span,
            _ => return None,
        };
        let site = self.site(module, span, crate::reasons::Verb::Plain);
        let prototype = self.make(At { site, frame: parent }, 902, Kind::Object);
        let key = self.name("prototype");
        let slot = self.field(function, key);
        self.add(slot, prototype);
        let key = self.name("constructor");
        let slot = self.field(prototype, key);
        self.add(slot, function);
        Some(prototype)
    }

    /// A fresh place in the module of `frame`.
    pub(crate) fn at(&mut self, frame: Frame, span: oxc_span::Span, verb: crate::reasons::Verb) -> At {
        let module = self.module_of(frame);
        let site: Site = self.site(module, span, verb);
        At { site, frame }
    }

    pub(crate) fn key_of(&mut self, key: &PropertyKey<'_>, computed: bool) -> Option<Key> {
        crate::program::property_name(key, computed).map(|name| self.name(&name))
    }
}

pub(crate) fn constructor_of<'a>(class: &'a Class<'a>) -> Option<&'a Function<'a>> {
    class.body.body.iter().find_map(|element| match element {
        oxc_ast::ast::ClassElement::MethodDefinition(method)
            if method.kind == oxc_ast::ast::MethodDefinitionKind::Constructor =>
        {
            Some(&*method.value)
        }
        _ => None,
    })
}
