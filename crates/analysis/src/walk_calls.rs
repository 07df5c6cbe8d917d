//! Constraints of calls: arguments, methods, `super`, tagged templates.

use std::rc::Rc;

use oxc_ast::ast::{Argument, CallExpression, Expression, MemberExpression, TaggedTemplateExpression};

use crate::frames::FuncCode;
use crate::program::span_of;
use crate::reasons::Verb;
use crate::solver::{Solver, Use};
use crate::value::{Args, At, Frame, Key, Kind, Node};

impl<'a> Solver<'a> {
    /// Objects in which `super.x` is looked up.
    pub(crate) fn super_prototypes(&mut self, frame: Frame) -> Node {
        let own = self.receiver_frame(frame);
        let data = &self.frames[own.0 as usize];
        let (func, parent) = (data.func, data.parent);
        let to = self.node();
        let home = match (self.funcs[func.0 as usize].code, parent) {
            (FuncCode::Statics(_), _) => self.frames[own.0 as usize].this,
            (FuncCode::Class(_), Some(parent)) => {
                let class = self.function(func, parent);
                let key = self.name("prototype");
                self.field(class, key)
            }
            (_, Some(parent)) => {
                let function = self.function(func, parent);
                self.field(function, Key::HOME)
            }
            (_, None) => self.empty,
        };
        self.react(home, move |solver, home| {
            let proto = solver.field(home, Key::PROTO);
            solver.edge(proto, to);
        });
        to
    }

    pub(crate) fn walk_super_call(&mut self, frame: Frame, args: Rc<Args>, at: At) {
        let own = self.receiver_frame(frame);
        let data = &self.frames[own.0 as usize];
        let (func, parent, this, target) = (data.func, data.parent, data.this, data.target);
        let Some(parent) = parent else { return };
        let class = self.function(func, parent);
        let parents = self.field(class, Key::PROTO);
        self.attach(parents, Use::Super { this, target, args, at });
    }

    pub(crate) fn walk_args(&mut self, frame: Frame, arguments: &'a [Argument<'a>]) -> Rc<Args> {
        let mut args = Args::default();
        for argument in arguments {
            let (value, spread) = match argument {
                Argument::SpreadElement(spread) => {
                    let iterable = self.walk_expression(frame, &spread.argument);
                    let span = span_of(&spread.argument);
                    let at = self.at(frame, span, Verb::Iterate { iterable: span });
                    let elements = self.node();
                    self.attach(iterable, Use::Iterate { to: elements, at });
                    (elements, true)
                }
                argument => match argument.as_expression() {
                    Some(expression) => (self.walk_expression(frame, expression), false),
                    None => (self.empty, false),
                },
            };
            match args.rest {
                Some(rest) => args.rest = Some(self.join(&[rest, value])),
                None if spread => args.rest = Some(value),
                None => args.fixed.push(value),
            }
        }
        Rc::new(args)
    }

    pub(crate) fn walk_call(&mut self, frame: Frame, call: &'a CallExpression<'a>) -> Node {
        let ret = self.node();
        let callee = unwrap(&call.callee);
        let callee_span = span_of(callee);
        if matches!(callee, Expression::Super(_)) {
            let args = self.walk_args(frame, &call.arguments);
            let at = self.at(frame, call.span, Verb::Call { callee: callee_span, object: None });
            self.walk_super_call(frame, args, at);
            let own = self.receiver_frame(frame);
            return self.frames[own.0 as usize].this;
        }
        let Some(member) = callee.as_member_expression().or_else(|| chained_member(callee)) else {
            let value = self.walk_expression(frame, callee);
            let args = self.walk_args(frame, &call.arguments);
            let at = self.at(frame, call.span, Verb::Call { callee: callee_span, object: None });
            let this = self.empty;
            self.attach(value, Use::Call { this, name: None, args, ret, at });
            return ret;
        };
        let verb = Verb::Call { callee: span_of(member), object: Some(span_of(member.object())) };
        let at = self.at(frame, call.span, verb);
        if matches!(member.object(), Expression::Super(_)) {
            let method = self.walk_member_value(frame, member);
            let args = self.walk_args(frame, &call.arguments);
            let own = self.receiver_frame(frame);
            let this = self.frames[own.0 as usize].this;
            self.attach(method, Use::Call { this, name: None, args, ret, at });
            return ret;
        }
        let (object, key) = self.walk_member(frame, member);
        let args = self.walk_args(frame, &call.arguments);
        match key {
            Ok(name) => self.attach(object, Use::Method { name, args, ret, at }),
            Err(key) => self.attach(object, Use::MethodBy { key, args, ret, at }),
        }
        ret
    }

    pub(crate) fn walk_tagged_template(
        &mut self,
        frame: Frame,
        tagged: &'a TaggedTemplateExpression<'a>,
    ) -> Node {
        // The strings are one array for all executions of this place.
        let place = self.at(frame, tagged.quasi.span, Verb::Plain);
        let strings = self.make_shared(place, 0, Kind::Array);
        let elements = self.field(strings, Key::ELEMENT);
        self.edge(self.primitive, elements);
        let raw = self.make_shared(place, 1, Kind::Array);
        let raw_elements = self.field(raw, Key::ELEMENT);
        self.edge(self.primitive, raw_elements);
        let key = self.name("raw");
        let slot = self.field(strings, key);
        self.add(slot, raw);

        let mut fixed = vec![self.single(strings)];
        for expression in &tagged.quasi.expressions {
            fixed.push(self.walk_expression(frame, expression));
        }
        let args = Rc::new(Args { fixed, rest: None });
        let ret = self.node();
        let tag = unwrap(&tagged.tag);
        match tag.as_member_expression() {
            Some(member) if !matches!(member.object(), Expression::Super(_)) => {
                let verb = Verb::Call { callee: span_of(member), object: Some(span_of(member.object())) };
                let at = self.at(frame, tagged.span, verb);
                let (object, key) = self.walk_member(frame, member);
                match key {
                    Ok(name) => self.attach(object, Use::Method { name, args, ret, at }),
                    Err(key) => self.attach(object, Use::MethodBy { key, args, ret, at }),
                }
            }
            _ => {
                let callee = self.walk_expression(frame, tag);
                let at = self.at(frame, tagged.span, Verb::Call { callee: span_of(tag), object: None });
                let own = self.receiver_frame(frame);
                let this = self.frames[own.0 as usize].this;
                self.attach(callee, Use::Call { this, name: None, args, ret, at });
            }
        }
        ret
    }
}

fn unwrap<'a>(expression: &'a Expression<'a>) -> &'a Expression<'a> {
    match expression {
        Expression::ParenthesizedExpression(inner) => unwrap(&inner.expression),
        expression => expression,
    }
}

/// `(a?.b)()` calls with `a` as `this`.
fn chained_member<'a>(expression: &'a Expression<'a>) -> Option<&'a MemberExpression<'a>> {
    match expression {
        Expression::ChainExpression(chain) => chain.expression.as_member_expression(),
        _ => None,
    }
}
