//! Constraints of expressions.

use std::rc::Rc;

use oxc_ast::ast::{
    ArrayExpressionElement, AssignmentOperator, BinaryOperator, ChainElement, Expression,
    IdentifierReference, MemberExpression, ObjectExpression, ObjectPropertyKind, PropertyKey, PropertyKind,
    RegExpFlags, UnaryOperator,
};
use oxc_span::Span;

use crate::frames::FuncCode;
use crate::program::span_of;
use crate::reasons::Verb;
use crate::solver::{Solver, Use};
use crate::value::{Args, Frame, Key, Kind, Node, Value};

/// Length of an array literal up to which its strings are told apart.
const LIST_NAMES_MAX: usize = 24;

impl<'a> Solver<'a> {
    /// The node of an expression's value.
    pub(crate) fn walk_expression(&mut self, frame: Frame, expression: &'a Expression<'a>) -> Node {
        self.count_step();
        if self.exceeded() {
            return self.empty;
        }
        match expression {
            Expression::BooleanLiteral(_) | Expression::BigIntLiteral(_) => self.primitive,
            Expression::NullLiteral(_) => self.empty,
            Expression::NumericLiteral(_) => self.number,
            Expression::StringLiteral(literal) => self.text(literal.value.as_str()),
            Expression::RegExpLiteral(literal) => {
                let at = self.at(frame, literal.span, Verb::Plain);
                let flags = literal.regex.flags;
                let sticky = flags.contains(RegExpFlags::Y);
                let moving = sticky || flags.contains(RegExpFlags::G);
                let value = self.make(at, 0, Kind::RegExp { moving, sticky });
                self.single(value)
            }
            Expression::TemplateLiteral(template) => {
                for expression in &template.expressions {
                    let value = self.walk_expression(frame, expression);
                    self.converted(frame, value, template.span);
                }
                match (template.expressions.len(), template.quasis.first()) {
                    (0, Some(quasi)) => {
                        let text = quasi.value.cooked.as_ref().map_or("", |text| text.as_str());
                        self.text(text)
                    }
                    _ => self.primitive,
                }
            }
            Expression::Identifier(id) => self.walk_identifier(frame, id),
            Expression::ArrayExpression(array) => {
                let at = self.at(frame, array.span, Verb::Iterate { iterable: array.span });
                let value = self.make(at, 0, Kind::Array);
                let elements = self.field(value, Key::ELEMENT);
                // The names in a long list are data, not property names.
                let is_long = array.elements.len() > LIST_NAMES_MAX;
                for element in &array.elements {
                    match element {
                        ArrayExpressionElement::StringLiteral(_) if is_long => {
                            let primitive = self.primitive;
                            self.edge(primitive, elements);
                        }
                        ArrayExpressionElement::SpreadElement(spread) => {
                            let iterable = self.walk_expression(frame, &spread.argument);
                            let span = span_of(&spread.argument);
                            let at = self.at(frame, span, Verb::Iterate { iterable: span });
                            self.attach(iterable, Use::Iterate { to: elements, at });
                        }
                        element => {
                            if let Some(expression) = element.as_expression() {
                                let value = self.walk_expression(frame, expression);
                                self.edge(value, elements);
                            }
                        }
                    }
                }
                self.single(value)
            }
            Expression::ArrowFunctionExpression(arrow) => {
                let module = self.module_of(frame);
                let func = self.func_of(module, FuncCode::Arrow(arrow));
                let value = self.function(func, frame);
                self.single(value)
            }
            Expression::FunctionExpression(function) => self.walk_function_value(frame, function),
            Expression::ClassExpression(class) => self.walk_class(frame, class),
            Expression::AssignmentExpression(assignment) => {
                let value = self.walk_expression(frame, &assignment.right);
                match assignment.operator {
                    AssignmentOperator::Assign => {
                        self.assign(frame, &assignment.left, value);
                        value
                    }
                    AssignmentOperator::LogicalAnd
                    | AssignmentOperator::LogicalOr
                    | AssignmentOperator::LogicalNullish => {
                        self.assign(frame, &assignment.left, value);
                        let old = self.walk_target_value(frame, &assignment.left);
                        self.join(&[old, value])
                    }
                    _ => {
                        let old = self.walk_target_value(frame, &assignment.left);
                        self.converted(frame, old, assignment.span);
                        self.converted(frame, value, assignment.span);
                        let result = self.primitive;
                        self.assign(frame, &assignment.left, result);
                        result
                    }
                }
            }
            Expression::AwaitExpression(expression) => {
                let value = self.walk_expression(frame, &expression.argument);
                let at = self.at(frame, expression.span, Verb::Plain);
                let to = self.node();
                self.attach(value, Use::Await { to, at });
                self.rejections_cross(frame);
                to
            }
            Expression::BinaryExpression(binary) => self.walk_binary(frame, expression, binary.span),
            Expression::PrivateInExpression(expression) => {
                self.walk_expression(frame, &expression.right);
                self.primitive
            }
            Expression::LogicalExpression(logical) => {
                let left = self.walk_expression(frame, &logical.left);
                let right = self.walk_expression(frame, &logical.right);
                self.join(&[left, right])
            }
            Expression::ConditionalExpression(conditional) => {
                self.walk_expression(frame, &conditional.test);
                let left = self.walk_expression(frame, &conditional.consequent);
                let right = self.walk_expression(frame, &conditional.alternate);
                self.join(&[left, right])
            }
            Expression::CallExpression(call) => self.walk_call(frame, call),
            Expression::ChainExpression(chain) => match &chain.expression {
                ChainElement::CallExpression(call) => self.walk_call(frame, call),
                element => match element.as_member_expression() {
                    Some(member) => self.walk_member_value(frame, member),
                    None => self.empty,
                },
            },
            Expression::ImportExpression(import) => {
                let module = self.module_of(frame);
                let at = self.at(frame, import.span, Verb::Plain);
                let promise = self.make(at, 0, Kind::Promise);
                if let Expression::StringLiteral(literal) = &import.source
                    && let Some(target) = self.modules.resolve(self.modules.list[module].path, &literal.value)
                {
                    let namespace = self.namespace(target);
                    let inner = self.field(promise, Key::INNER);
                    self.add(inner, namespace);
                } else {
                    let specifier = self.walk_expression(frame, &import.source);
                    self.converted(frame, specifier, import.span);
                }
                self.single(promise)
            }
            Expression::NewExpression(new) => {
                let callee = self.walk_expression(frame, &new.callee);
                let args = self.walk_args(frame, &new.arguments);
                let verb = Verb::Call { callee: span_of(&new.callee), object: None };
                let at = self.at(frame, new.span, verb);
                let ret = self.node();
                self.attach(callee, Use::New { target: None, args, ret, at });
                ret
            }
            Expression::ObjectExpression(object) => self.walk_object(frame, object),
            Expression::ParenthesizedExpression(inner) => self.walk_expression(frame, &inner.expression),
            Expression::SequenceExpression(sequence) => {
                let mut last = self.empty;
                for expression in &sequence.expressions {
                    last = self.walk_expression(frame, expression);
                }
                last
            }
            Expression::TaggedTemplateExpression(tagged) => self.walk_tagged_template(frame, tagged),
            Expression::ThisExpression(_) => {
                let own = self.receiver_frame(frame);
                self.frames[own.0 as usize].this
            }
            Expression::UnaryExpression(unary) => {
                if unary.operator == UnaryOperator::Delete {
                    if let Expression::ChainExpression(chain) = &unary.argument
                        && let Some(member) = chain.expression.as_member_expression()
                    {
                        self.walk_delete(frame, member, unary.span);
                    } else if let Some(member) = unary.argument.as_member_expression() {
                        self.walk_delete(frame, member, unary.span);
                    }
                    return self.primitive;
                }
                let value = self.walk_expression(frame, &unary.argument);
                match unary.operator {
                    UnaryOperator::UnaryNegation | UnaryOperator::UnaryPlus | UnaryOperator::BitwiseNot => {
                        self.converted(frame, value, unary.span);
                        self.number
                    }
                    UnaryOperator::Void => self.empty,
                    _ => self.primitive,
                }
            }
            Expression::UpdateExpression(update) => {
                let number = self.number;
                self.assign_simple(frame, &update.argument, number);
                if let Some(member) = update.argument.as_member_expression() {
                    let old = self.walk_member_value(frame, member);
                    self.converted(frame, old, update.span);
                }
                self.number
            }
            Expression::YieldExpression(expression) => {
                let at = self.at(frame, expression.span, Verb::Iterate { iterable: expression.span });
                let own = self.receiver_frame(frame);
                let Some(generator) = self.frames[own.0 as usize].generator else { return self.empty };
                let yielded = self.field(generator, Key::INNER);
                if let Some(argument) = &expression.argument {
                    let value = self.walk_expression(frame, argument);
                    if expression.delegate {
                        let returned = self.node();
                        self.attach(value, Use::AsyncIterate { to: yielded, at });
                        self.attach(value, Use::Iterate { to: yielded, at });
                        self.react(value, move |solver, value| {
                            if matches!(solver.kind(value), Kind::Generator | Kind::AsyncGenerator) {
                                let slot = solver.field(value, Key::RETURNED);
                                solver.edge(slot, returned);
                            } else {
                                // The result of an iterator of the program's own.
                                solver.iterate(value, returned, at);
                            }
                        });
                        return returned;
                    }
                    self.attach(value, Use::Await { to: yielded, at });
                    self.edge(value, yielded);
                }
                self.field(generator, Key::SENT)
            }
            Expression::NewTarget(_) => {
                let own = self.receiver_frame(frame);
                self.frames[own.0 as usize].target
            }
            Expression::ImportMeta(meta) => {
                let at = self.at(frame, meta.span, Verb::Plain);
                let value = self.make_shared(at, 0, Kind::Object);
                self.single(value)
            }
            Expression::Super(_) => self.empty,
            expression => match expression.as_member_expression() {
                Some(member) => self.walk_member_value(frame, member),
                None => {
                    let span = span_of(expression);
                    let at = self.at(frame, span, Verb::Plain);
                    self.object_to(at.site, "uses syntax that is not analysed".to_owned());
                    self.empty
                }
            },
        }
    }

    /// Long chains of operators lean to the left; they are followed without recursion.
    fn walk_binary(&mut self, frame: Frame, expression: &'a Expression<'a>, span: Span) -> Node {
        let mut chain = Vec::new();
        let mut current = expression;
        while let Expression::BinaryExpression(binary) = current {
            chain.push(&**binary);
            current = &binary.left;
        }
        let mut left = self.walk_expression(frame, current);
        while let Some(binary) = chain.pop() {
            let right = self.walk_expression(frame, &binary.right);
            match binary.operator {
                BinaryOperator::StrictEquality | BinaryOperator::StrictInequality => left = self.primitive,
                BinaryOperator::Instanceof => {
                    let at = self.at(frame, binary.span, Verb::Plain);
                    let name = self.name("@@hasInstance");
                    let method = self.node();
                    self.attach(right, Use::Load { key: name, to: method, at });
                    let args = Rc::new(Args { fixed: vec![left], rest: None });
                    let ret = self.empty;
                    self.react(method, move |solver, method| {
                        if matches!(solver.kind(method), Kind::Function { .. }) {
                            solver.call(method, right, None, &args, ret, at);
                        }
                    });
                    left = self.primitive;
                }
                BinaryOperator::In => {
                    self.converted(frame, left, span);
                    self.handle_proxies(frame, right, span);
                    left = self.primitive;
                }
                BinaryOperator::Addition => {
                    self.converted(frame, left, span);
                    self.converted(frame, right, span);
                    left = if matches!(&binary.right, Expression::StringLiteral(text) if text.value.is_empty())
                    {
                        self.texts_of(left)
                    } else if left == self.number && right == self.number {
                        self.number
                    } else {
                        self.primitive
                    };
                }
                _ => {
                    self.converted(frame, left, span);
                    self.converted(frame, right, span);
                    // A number or bigint: as a property name either is an element.
                    left = self.number;
                }
            }
        }
        left
    }

    /// `x + ""`: a known string stays itself.
    fn texts_of(&mut self, node: Node) -> Node {
        let to = self.node();
        let primitive = self.primitive;
        self.react(node, move |solver, value| match solver.kind(value) {
            Kind::Text(_) | Kind::Number => solver.add(to, value),
            _ => solver.edge(primitive, to),
        });
        to
    }

    /// The value is converted to a primitive.
    pub(crate) fn converted(&mut self, frame: Frame, value: Node, span: Span) {
        if !self.modules.has_conversions
            || value == self.primitive
            || value == self.number
            || value == self.empty
        {
            return;
        }
        let at = self.at(frame, span, Verb::Plain);
        self.attach(value, Use::Convert { at });
    }

    fn handle_proxies(&mut self, frame: Frame, value: Node, span: Span) {
        let at = self.at(frame, span, Verb::Plain);
        self.react(value, move |solver, value| {
            if matches!(solver.kind(value), Kind::Environment) {
                solver.read_environment(at);
            }
        });
    }

    fn walk_identifier(&mut self, frame: Frame, id: &'a IdentifierReference<'a>) -> Node {
        if let Some(symbol) = self.symbol_of(frame, id) {
            return self.variable(frame, symbol);
        }
        if id.name == "arguments" {
            let own = self.receiver_frame(frame);
            if self.frames[own.0 as usize].parent.is_some() {
                let at = self.at(own, id.span, Verb::Plain);
                let array = self.make(at, 1, Kind::Array);
                let elements = self.field(array, Key::ELEMENT);
                let arguments = self.frames[own.0 as usize].arguments;
                self.edge(arguments, elements);
                return self.single(array);
            }
        }
        if id.name == "undefined" {
            return self.empty;
        }
        let value = self.global(id.name.as_str());
        match value {
            Some(value) => self.single(value),
            None => self.empty,
        }
    }

    pub(crate) fn walk_member_value(&mut self, frame: Frame, member: &'a MemberExpression<'a>) -> Node {
        let span = span_of(member);
        let at = self.at(frame, span, Verb::Plain);
        let to = self.node();
        let is_super = matches!(member.object(), Expression::Super(_));
        let (object, key) = self.walk_member(frame, member);
        if is_super {
            let protos = self.super_prototypes(frame);
            self.react(object, move |solver, receiver| match key {
                Ok(key) => solver.attach(protos, Use::LoadFor { key, to, receiver, at }),
                Err(_) => solver.attach(protos, Use::LoadAllFor { to, receiver, at }),
            });
            return to;
        }
        match key {
            Ok(key) => self.attach(object, Use::Load { key, to, at }),
            Err(key) => self.attach(object, Use::LoadBy { key, to, at }),
        }
        to
    }

    fn walk_delete(&mut self, frame: Frame, member: &'a MemberExpression<'a>, span: Span) {
        let at = self.at(frame, span, Verb::Delete { target: span_of(member) });
        let (object, _) = self.walk_member(frame, member);
        self.attach(object, Use::Change { at });
    }

    pub(crate) fn walk_property_key(&mut self, frame: Frame, key: &'a PropertyKey<'a>) -> Node {
        let node = match key.as_expression() {
            Some(expression) => self.walk_expression(frame, expression),
            None => self.primitive,
        };
        self.converted(frame, node, span_of(key));
        node
    }

    fn walk_object(&mut self, frame: Frame, object: &'a ObjectExpression<'a>) -> Node {
        let at = self.at(frame, object.span, Verb::Plain);
        let value = self.make(at, 0, Kind::Object);
        for property in &object.properties {
            match property {
                ObjectPropertyKind::ObjectProperty(property) => {
                    let key = self.key_of(&property.key, property.computed);
                    let key = match key {
                        Some(key) => Ok(key),
                        None => Err(self.walk_property_key(frame, &property.key)),
                    };
                    let content = self.walk_expression(frame, &property.value);
                    if property.method || property.kind != PropertyKind::Init {
                        self.set_home(content, value);
                    }
                    if property.kind == PropertyKind::Init
                        && !property.computed
                        && !property.shorthand
                        && !property.method
                        && property.key.static_name().is_some_and(|name| name == "__proto__")
                    {
                        let proto = self.field(value, Key::PROTO);
                        self.edge(content, proto);
                        continue;
                    }
                    self.define(value, key, property.kind, content);
                }
                ObjectPropertyKind::SpreadProperty(spread) => {
                    let source = self.walk_expression(frame, &spread.argument);
                    let at = self.at(frame, spread.span, Verb::Plain);
                    self.attach(source, Use::CopyInto { into: value, at });
                }
            }
        }
        self.single(value)
    }

    pub(crate) fn set_home(&mut self, functions: Node, home: Value) {
        for &function in self.values_of(functions).to_vec().iter() {
            let slot = self.field(function, Key::HOME);
            self.add(slot, home);
        }
    }

    /// Defines a property of a new object, without calling setters.
    pub(crate) fn define(
        &mut self,
        object: Value,
        key: Result<Key, Node>,
        kind: PropertyKind,
        content: Node,
    ) {
        let place = move |key: Key| match kind {
            PropertyKind::Init => key,
            PropertyKind::Get => key.getter(),
            PropertyKind::Set => key.setter(),
        };
        match key {
            Ok(key) => {
                let slot = self.field(object, place(key));
                self.edge(content, slot);
            }
            Err(key) => {
                let slot = self.field(object, place(Key::UNDEFINED));
                self.edge(content, slot);
                self.react(key, move |solver, key| {
                    let name = match *solver.kind(key) {
                        Kind::Text(name) => name,
                        Kind::Number => Key::ELEMENT,
                        _ => Key::ANY,
                    };
                    let slot = solver.field(object, place(name));
                    solver.edge(content, slot);
                });
            }
        }
    }

    fn walk_target_value(&mut self, frame: Frame, target: &'a oxc_ast::ast::AssignmentTarget<'a>) -> Node {
        use oxc_ast::ast::AssignmentTarget;
        match target {
            AssignmentTarget::AssignmentTargetIdentifier(id) => self.walk_identifier(frame, id),
            target => {
                match target.as_simple_assignment_target().and_then(|target| target.as_member_expression()) {
                    Some(member) => self.walk_member_value(frame, member),
                    None => self.empty,
                }
            }
        }
    }
}
