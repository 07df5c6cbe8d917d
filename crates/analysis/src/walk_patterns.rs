//! Constraints of binding patterns and assignment targets.

use oxc_ast::ast::{
    AssignmentTarget, AssignmentTargetMaybeDefault, AssignmentTargetProperty, BindingPattern, Expression,
    IdentifierReference, MemberExpression, PropertyKey, SimpleAssignmentTarget,
};
use oxc_span::Span;

use crate::program::{shorten, span_of};
use crate::reasons::Verb;
use crate::solver::{Solver, Use};
use crate::value::{Frame, Key, Kind, Node, Phase};

impl<'a> Solver<'a> {
    /// A declaration: the pattern's variables come into being with parts of `value`.
    pub(crate) fn bind(&mut self, frame: Frame, pattern: &'a BindingPattern<'a>, value: Node) {
        match pattern {
            BindingPattern::BindingIdentifier(id) => {
                if let Some(symbol) = id.symbol_id.get() {
                    let variable = self.variable(frame, symbol);
                    self.edge(value, variable);
                }
            }
            BindingPattern::ObjectPattern(object) => {
                for property in &object.properties {
                    let part = self.take(frame, value, &property.key, property.computed, property.span);
                    self.bind(frame, &property.value, part);
                }
                if let Some(rest) = &object.rest {
                    let part = self.rest_of_object(frame, value, rest.span);
                    self.bind(frame, &rest.argument, part);
                }
            }
            BindingPattern::ArrayPattern(array) => {
                let element = self.elements_of(frame, value, array.span);
                for (index, pattern) in array.elements.iter().enumerate() {
                    let Some(pattern) = pattern else { continue };
                    let part = self.nth_of(frame, value, index, array.span);
                    self.bind(frame, pattern, part);
                }
                if let Some(rest) = &array.rest {
                    let part = self.rest_of_array(frame, element, rest.span);
                    self.bind(frame, &rest.argument, part);
                }
            }
            BindingPattern::AssignmentPattern(pattern) => {
                let default = self.walk_expression(frame, &pattern.right);
                let value = self.join(&[value, default]);
                self.bind(frame, &pattern.left, value);
            }
        }
    }

    /// The property of `value` that a pattern takes.
    fn take(
        &mut self,
        frame: Frame,
        value: Node,
        key: &'a PropertyKey<'a>,
        computed: bool,
        span: Span,
    ) -> Node {
        let to = self.node();
        let at = self.at(frame, span, Verb::Plain);
        match self.key_of(key, computed) {
            Some(key) => self.attach(value, Use::Load { key, to, at }),
            None => {
                let key = self.walk_property_key(frame, key);
                self.attach(value, Use::LoadBy { key, to, at });
            }
        }
        to
    }

    fn rest_of_object(&mut self, frame: Frame, value: Node, span: Span) -> Node {
        let at = self.at(frame, span, Verb::Plain);
        let object = self.make(at, 0, Kind::Object);
        self.attach(value, Use::CopyInto { into: object, at });
        self.single(object)
    }

    fn elements_of(&mut self, frame: Frame, value: Node, span: Span) -> Node {
        let at = self.at(frame, span, Verb::Iterate { iterable: span });
        let to = self.node();
        self.attach(value, Use::Iterate { to, at });
        to
    }

    fn nth_of(&mut self, frame: Frame, value: Node, index: usize, span: Span) -> Node {
        let at = self.at(frame, span, Verb::Iterate { iterable: span });
        self.element_at(value, index, at)
    }

    fn rest_of_array(&mut self, frame: Frame, element: Node, span: Span) -> Node {
        let at = self.at(frame, span, Verb::Plain);
        let array = self.make(at, 1, Kind::Array);
        let elements = self.field(array, Key::ELEMENT);
        self.edge(element, elements);
        self.single(array)
    }

    /// `target = value`.
    pub(crate) fn assign(&mut self, frame: Frame, target: &'a AssignmentTarget<'a>, value: Node) {
        match target {
            AssignmentTarget::ObjectAssignmentTarget(object) => {
                for property in &object.properties {
                    match property {
                        AssignmentTargetProperty::AssignmentTargetPropertyIdentifier(property) => {
                            let key = self.name(property.binding.name.as_str());
                            let part = self.node();
                            let at = self.at(frame, property.span, Verb::Plain);
                            self.attach(value, Use::Load { key, to: part, at });
                            let part = match &property.init {
                                Some(init) => {
                                    let default = self.walk_expression(frame, init);
                                    self.join(&[part, default])
                                }
                                None => part,
                            };
                            self.assign_variable(frame, &property.binding, part);
                        }
                        AssignmentTargetProperty::AssignmentTargetPropertyProperty(property) => {
                            let part =
                                self.take(frame, value, &property.name, property.computed, property.span);
                            self.assign_maybe_default(frame, &property.binding, part);
                        }
                    }
                }
                if let Some(rest) = &object.rest {
                    let part = self.rest_of_object(frame, value, rest.span);
                    self.assign(frame, &rest.target, part);
                }
            }
            AssignmentTarget::ArrayAssignmentTarget(array) => {
                let element = self.elements_of(frame, value, array.span);
                for (index, target) in array.elements.iter().enumerate() {
                    let Some(target) = target else { continue };
                    let part = self.nth_of(frame, value, index, array.span);
                    self.assign_maybe_default(frame, target, part);
                }
                if let Some(rest) = &array.rest {
                    let part = self.rest_of_array(frame, element, rest.span);
                    self.assign(frame, &rest.target, part);
                }
            }
            target => {
                if let Some(target) = target.as_simple_assignment_target() {
                    self.assign_simple(frame, target, value);
                }
            }
        }
    }

    fn assign_maybe_default(
        &mut self,
        frame: Frame,
        target: &'a AssignmentTargetMaybeDefault<'a>,
        value: Node,
    ) {
        match target {
            AssignmentTargetMaybeDefault::AssignmentTargetWithDefault(target) => {
                let default = self.walk_expression(frame, &target.init);
                let value = self.join(&[value, default]);
                self.assign(frame, &target.binding, value);
            }
            target => {
                if let Some(target) = target.as_assignment_target() {
                    self.assign(frame, target, value);
                }
            }
        }
    }

    pub(crate) fn assign_simple(
        &mut self,
        frame: Frame,
        target: &'a SimpleAssignmentTarget<'a>,
        value: Node,
    ) {
        match target {
            SimpleAssignmentTarget::AssignmentTargetIdentifier(id) => self.assign_variable(frame, id, value),
            target => {
                if let Some(member) = target.as_member_expression() {
                    self.assign_member(frame, member, value);
                }
            }
        }
    }

    /// Assigns a variable, which is wrong when the variable outlives the call that does it.
    pub(crate) fn assign_variable(&mut self, frame: Frame, id: &'a IdentifierReference<'a>, value: Node) {
        let Some(symbol) = self.symbol_of(frame, id) else {
            let at = self.at(frame, id.span, Verb::Write { target: id.span });
            self.object_to(at.site, format!("assigns the global variable `{}`", shorten(&id.name)));
            return;
        };
        let owner = self.frame_of_symbol(frame, symbol);
        if self.phase(frame) == Phase::Call && self.phase(owner) == Phase::Evaluation {
            let at = self.at(frame, id.span, Verb::Write { target: id.span });
            let module_level = self.frames[owner.0 as usize].parent.is_none();
            self.object_about(at.site, id.span, |name| {
                if module_level {
                    format!("assigns the module-level variable `{name}`")
                } else {
                    format!("assigns the variable `{name}`, which outlives the call")
                }
            });
        }
        let variable = self.variable(frame, symbol);
        self.edge(value, variable);
    }

    pub(crate) fn assign_member(&mut self, frame: Frame, member: &'a MemberExpression<'a>, value: Node) {
        let span = span_of(member);
        let at = self.at(frame, span, Verb::Write { target: span });
        let (object, key) = self.walk_member(frame, member);
        self.attach(object, Use::Change { at });
        match key {
            Ok(key) => self.attach(object, Use::Store { key, from: value, at }),
            Err(key) => self.attach(object, Use::StoreBy { key, from: value, at }),
        }
    }

    /// The object of a member expression and its key: a constant one, or the node of a computed one.
    pub(crate) fn walk_member(
        &mut self,
        frame: Frame,
        member: &'a MemberExpression<'a>,
    ) -> (Node, Result<Key, Node>) {
        let object = match member.object() {
            Expression::Super(_) => {
                // Written through `super`, a property lands on `this`.
                let own = self.receiver_frame(frame);
                self.frames[own.0 as usize].this
            }
            object => self.walk_expression(frame, object),
        };
        let key = match member {
            MemberExpression::StaticMemberExpression(member) => Ok(self.name(member.property.name.as_str())),
            MemberExpression::PrivateFieldExpression(member) => {
                let name = format!("#{}", member.field.name);
                Ok(self.name(&name))
            }
            MemberExpression::ComputedMemberExpression(member) => match &member.expression {
                Expression::StringLiteral(literal) => Ok(self.name(literal.value.as_str())),
                Expression::NumericLiteral(_) => Ok(Key::ELEMENT),
                expression => Err(self.walk_expression(frame, expression)),
            },
        };
        (object, key)
    }

    pub(crate) fn symbol_of(
        &self,
        frame: Frame,
        id: &IdentifierReference<'_>,
    ) -> Option<oxc_semantic::SymbolId> {
        let module = self.module_of(frame);
        let code = self.modules.list[module].code.as_ref()?;
        code.scoping.get_reference(id.reference_id.get()?).symbol_id()
    }
}
