//! Constraints of statements, declarations and function bodies. Order does not matter: the analysis is
//! flow-insensitive.

use oxc_allocator::Vec as ArenaVec;
use oxc_ast::ast::{
    ArrowFunctionBody, Declaration, ExportDefaultDeclarationKind, Expression, ForStatementInit,
    ForStatementLeft, FormalParameters, Function, Statement, VariableDeclaration, VariableDeclarationKind,
};

use crate::frames::{FuncCode, constructor_of};
use crate::program::span_of;
use crate::reasons::Verb;
use crate::solver::{Solver, Use};
use crate::value::{Frame, Key, Kind, Node};

impl<'a> Solver<'a> {
    /// Makes the constraints of a new frame's function.
    pub(crate) fn walk_function(&mut self, frame: Frame) {
        let data = &self.frames[frame.0 as usize];
        let (func, returned, result) = (data.func, data.returned, data.result);
        let code = self.funcs[func.0 as usize].code;
        let (is_async, is_generator) =
            (self.funcs[func.0 as usize].is_async(), self.funcs[func.0 as usize].is_generator());
        let span = match code {
            FuncCode::Function(function) => function.span,
            FuncCode::Arrow(arrow) => arrow.span,
            FuncCode::Class(class) | FuncCode::Statics(class) => class.span,
            FuncCode::Module => oxc_span::Span::new(0, 0),
        };
        let at = self.at(frame, span, Verb::Plain);
        if is_generator {
            let kind = if is_async { Kind::AsyncGenerator } else { Kind::Generator };
            let generator = self.make(at, 910, kind);
            self.frames[frame.0 as usize].generator = Some(generator);
            self.add(result, generator);
            let slot = self.field(generator, Key::RETURNED);
            self.edge(returned, slot);
            self.inherit_prototype(frame, generator);
        } else if is_async {
            let promise = self.make(at, 911, Kind::Promise);
            self.add(result, promise);
            let inner = self.field(promise, Key::INNER);
            self.attach(returned, Use::Await { to: inner, at });
        } else {
            self.edge(returned, result);
        }
        if is_async {
            self.rejections_cross(frame);
        }
        match code {
            FuncCode::Module => {}
            FuncCode::Function(function) => {
                if let Some(id) = function.id.as_ref().filter(|_| function.is_expression())
                    && let Some(symbol) = id.symbol_id.get()
                {
                    let parent = self.frames[frame.0 as usize].parent.expect("functions have a parent frame");
                    let own = self.function(func, parent);
                    let name = self.variable(frame, symbol);
                    self.add(name, own);
                }
                self.walk_code(frame, function);
            }
            FuncCode::Arrow(arrow) => {
                self.walk_params(frame, &arrow.params);
                match &arrow.body {
                    ArrowFunctionBody::FunctionBody(body) => self.walk_statements(frame, &body.statements),
                    body => {
                        if let Some(expression) = body.as_expression() {
                            let value = self.walk_expression(frame, expression);
                            self.edge(value, returned);
                        }
                    }
                }
            }
            FuncCode::Class(class) => {
                self.walk_field_initializers(frame, class);
                match constructor_of(class) {
                    Some(constructor) => self.walk_code(frame, constructor),
                    None if class.heritage.is_some() => {
                        // constructor(...args) { super(...args); }
                        let rest = self.frames[frame.0 as usize].rest;
                        let args =
                            std::rc::Rc::new(crate::value::Args { fixed: Vec::new(), rest: Some(rest) });
                        self.walk_super_call(frame, args, at);
                    }
                    None => {}
                }
            }
            FuncCode::Statics(class) => self.walk_statics(frame, class),
        }
    }

    /// A generator object inherits from its function's `prototype`.
    fn inherit_prototype(&mut self, frame: Frame, generator: crate::value::Value) {
        let data = &self.frames[frame.0 as usize];
        let (func, Some(parent)) = (data.func, data.parent) else { return };
        let function = self.function(func, parent);
        let key = self.name("prototype");
        let prototype = self.field(function, key);
        let proto = self.field(generator, Key::PROTO);
        self.edge(prototype, proto);
    }

    fn walk_code(&mut self, frame: Frame, function: &'a Function<'a>) {
        self.walk_params(frame, &function.params);
        if let Some(body) = &function.body {
            self.walk_statements(frame, &body.statements);
        }
    }

    fn walk_params(&mut self, frame: Frame, params: &'a FormalParameters<'a>) {
        let inputs = self.frames[frame.0 as usize].params.clone();
        for (param, &input) in params.items.iter().zip(&inputs) {
            let value = match &param.initializer {
                Some(initializer) => {
                    let default = self.walk_expression(frame, initializer);
                    self.join(&[input, default])
                }
                None => input,
            };
            self.bind(frame, &param.pattern, value);
        }
        if let Some(rest) = &params.rest {
            let at = self.at(frame, rest.span, Verb::Plain);
            let array = self.make(at, 0, Kind::Array);
            let elements = self.field(array, Key::ELEMENT);
            let input = self.frames[frame.0 as usize].rest;
            self.edge(input, elements);
            let array = self.single(array);
            self.bind(frame, &rest.rest.argument, array);
        }
    }

    pub(crate) fn walk_statements(&mut self, frame: Frame, statements: &'a ArenaVec<'a, Statement<'a>>) {
        for statement in statements {
            self.walk_statement(frame, statement);
        }
    }

    fn walk_statement(&mut self, frame: Frame, statement: &'a Statement<'a>) {
        self.count_step();
        if self.exceeded() {
            return;
        }
        match statement {
            Statement::BlockStatement(block) => self.walk_statements(frame, &block.body),
            Statement::ExpressionStatement(statement) => {
                self.walk_expression(frame, &statement.expression);
            }
            Statement::DoWhileStatement(statement) => {
                self.walk_statement(frame, &statement.body);
                self.walk_expression(frame, &statement.test);
            }
            Statement::WhileStatement(statement) => {
                self.walk_expression(frame, &statement.test);
                self.walk_statement(frame, &statement.body);
            }
            Statement::ForStatement(statement) => {
                match &statement.init {
                    Some(ForStatementInit::VariableDeclaration(declaration)) => {
                        self.walk_variables(frame, declaration);
                    }
                    Some(init) => {
                        if let Some(expression) = init.as_expression() {
                            self.walk_expression(frame, expression);
                        }
                    }
                    None => {}
                }
                for expression in statement.test.iter().chain(&statement.update) {
                    self.walk_expression(frame, expression);
                }
                self.walk_statement(frame, &statement.body);
            }
            Statement::ForInStatement(statement) => {
                let object = self.walk_expression(frame, &statement.right);
                let names = self.property_names(frame, object, statement.right.as_span());
                self.walk_for_left(frame, &statement.left, names);
                self.walk_statement(frame, &statement.body);
            }
            Statement::ForOfStatement(statement) => {
                let iterable = self.walk_expression(frame, &statement.right);
                let span = span_of(&statement.right);
                let at = self.at(frame, span, Verb::Iterate { iterable: span });
                let element = self.node();
                if statement.r#await {
                    self.attach(iterable, Use::AsyncIterate { to: element, at });
                } else {
                    self.attach(iterable, Use::Iterate { to: element, at });
                }
                self.walk_for_left(frame, &statement.left, element);
                self.walk_statement(frame, &statement.body);
            }
            Statement::IfStatement(statement) => {
                self.walk_expression(frame, &statement.test);
                self.walk_statement(frame, &statement.consequent);
                if let Some(alternate) = &statement.alternate {
                    self.walk_statement(frame, alternate);
                }
            }
            Statement::LabeledStatement(statement) => self.walk_statement(frame, &statement.body),
            Statement::ReturnStatement(statement) => {
                if let Some(argument) = &statement.argument {
                    let value = self.walk_expression(frame, argument);
                    let returned = self.frames[frame.0 as usize].returned;
                    self.edge(value, returned);
                }
            }
            Statement::SwitchStatement(statement) => {
                self.walk_expression(frame, &statement.discriminant);
                for case in &statement.cases {
                    if let Some(test) = &case.test {
                        self.walk_expression(frame, test);
                    }
                    self.walk_statements(frame, &case.consequent);
                }
            }
            Statement::ThrowStatement(statement) => {
                let value = self.walk_expression(frame, &statement.argument);
                self.throw(value, frame);
            }
            Statement::TryStatement(statement) => {
                self.walk_statements(frame, &statement.block.body);
                if let Some(handler) = &statement.handler {
                    if let Some(param) = &handler.param {
                        // Built-ins and the host throw errors of their own.
                        let at = self.at(frame, handler.span, Verb::Plain);
                        let error = self.make(at, 0, Kind::Error);
                        let host = self.host_error(error, at);
                        let thrown = self.thrown_in(frame);
                        let caught = self.join(&[thrown, host]);
                        self.bind(frame, &param.pattern, caught);
                    }
                    self.walk_statements(frame, &handler.body.body);
                }
                if let Some(finalizer) = &statement.finalizer {
                    self.walk_statements(frame, &finalizer.body);
                }
            }
            Statement::VariableDeclaration(declaration) => self.walk_variables(frame, declaration),
            Statement::FunctionDeclaration(function) => self.walk_function_declaration(frame, function),
            Statement::ClassDeclaration(class) => {
                self.walk_class(frame, class);
            }
            Statement::ExportDeclaration(export) => match &export.declaration {
                Declaration::VariableDeclaration(declaration) => self.walk_variables(frame, declaration),
                Declaration::FunctionDeclaration(function) => self.walk_function_declaration(frame, function),
                Declaration::ClassDeclaration(class) => {
                    self.walk_class(frame, class);
                }
                _ => {}
            },
            Statement::ExportDefaultDeclaration(export) => {
                let value = match &export.declaration {
                    ExportDefaultDeclarationKind::FunctionDeclaration(function) => {
                        let value = self.walk_function_value(frame, function);
                        if let Some(symbol) = function.id.as_ref().and_then(|id| id.symbol_id.get()) {
                            let variable = self.variable(frame, symbol);
                            self.edge(value, variable);
                            variable
                        } else {
                            value
                        }
                    }
                    ExportDefaultDeclarationKind::ClassDeclaration(class) => self.walk_class(frame, class),
                    declaration => match declaration.as_expression() {
                        Some(expression) => self.walk_expression(frame, expression),
                        None => self.empty,
                    },
                };
                let module = self.module_of(frame);
                let key = self.name("default");
                let export = self.export(module, key);
                self.edge(value, export);
            }
            _ => {}
        }
    }

    fn walk_function_declaration(&mut self, frame: Frame, function: &'a Function<'a>) {
        let value = self.walk_function_value(frame, function);
        if let Some(symbol) = function.id.as_ref().and_then(|id| id.symbol_id.get()) {
            let variable = self.variable(frame, symbol);
            self.edge(value, variable);
        }
    }

    pub(crate) fn walk_function_value(&mut self, frame: Frame, function: &'a Function<'a>) -> Node {
        let module = self.module_of(frame);
        let func = self.func_of(module, FuncCode::Function(function));
        let value = self.function(func, frame);
        self.single(value)
    }

    fn walk_variables(&mut self, frame: Frame, declaration: &'a VariableDeclaration<'a>) {
        for declarator in &declaration.declarations {
            if let Some(init) = &declarator.init {
                let value = self.walk_expression(frame, init);
                self.bind(frame, &declarator.id, value);
                if matches!(
                    declaration.kind,
                    VariableDeclarationKind::Using | VariableDeclarationKind::AwaitUsing
                ) {
                    // The block's end disposes of it.
                    let at = self.at(frame, declarator.span, Verb::Plain);
                    for name in ["@@dispose", "@@asyncDispose"] {
                        let name = self.name(name);
                        let ret = self.empty;
                        self.attach(value, Use::Method { name, args: std::rc::Rc::default(), ret, at });
                    }
                }
            } else {
                self.bind(frame, &declarator.id, self.empty);
            }
        }
    }

    fn walk_for_left(&mut self, frame: Frame, left: &'a ForStatementLeft<'a>, value: Node) {
        match left {
            ForStatementLeft::VariableDeclaration(declaration) => {
                for declarator in &declaration.declarations {
                    self.bind(frame, &declarator.id, value);
                }
            }
            left => {
                if let Some(target) = left.as_assignment_target() {
                    self.assign(frame, target, value);
                }
            }
        }
    }

    /// The names that `for in` and `Object.keys` give.
    fn property_names(&mut self, frame: Frame, object: Node, span: oxc_span::Span) -> Node {
        let at = self.at(frame, span, Verb::Plain);
        let primitive = self.primitive;
        self.react(object, move |solver, value| {
            if matches!(solver.kind(value), Kind::Environment) {
                solver.read_environment(at);
            }
            // A proxy's traps run.
            if matches!(solver.kind(value), Kind::Proxy) {
                let ignored = solver.node();
                solver.load_all(value, ignored, value, at);
            }
        });
        primitive
    }

    fn host_error(&mut self, error: crate::value::Value, at: crate::value::At) -> Node {
        // `data` of a failed host call.
        let data = self.name("data");
        let slot = self.field(error, data);
        let tree = self.json_tree(at, 912);
        self.edge(tree, slot);
        self.single(error)
    }
}

/// Span of an expression, for places that have only that.
pub(crate) trait AsSpan {
    fn as_span(&self) -> oxc_span::Span;
}

impl AsSpan for Expression<'_> {
    fn as_span(&self) -> oxc_span::Span {
        span_of(self)
    }
}
