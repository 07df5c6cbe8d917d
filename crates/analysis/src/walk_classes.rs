//! Constraints of classes: their prototype and constructor objects, fields and static blocks.

use oxc_ast::ast::{Class, ClassElement, MethodDefinitionKind, PropertyKind};

use crate::frames::FuncCode;
use crate::reasons::Verb;
use crate::solver::{Solver, Use};
use crate::value::{Frame, Key, Node, Phase};

impl<'a> Solver<'a> {
    /// Evaluates a class definition; the node holds the class.
    pub(crate) fn walk_class(&mut self, frame: Frame, class: &'a Class<'a>) -> Node {
        let module = self.module_of(frame);
        let func = self.func_of(module, FuncCode::Class(class));
        let value = self.function(func, frame);
        let node = self.single(value);
        if let Some(symbol) = class.id.as_ref().and_then(|id| id.symbol_id.get()) {
            let variable = self.variable(frame, symbol);
            self.add(variable, value);
        }
        let at = self.at(frame, class.span, Verb::Plain);
        let Some(prototype) = self.prototype_of(value) else { return node };
        if let Some(heritage) = &class.heritage {
            let parents = self.walk_expression(frame, &heritage.expression);
            let constructors = self.field(value, Key::PROTO);
            self.edge(parents, constructors);
            let prototypes = self.field(prototype, Key::PROTO);
            let key = self.name("prototype");
            self.attach(parents, Use::Load { key, to: prototypes, at });
        }
        for element in &class.body.body {
            if let ClassElement::MethodDefinition(method) = element {
                if method.kind == MethodDefinitionKind::Constructor {
                    continue;
                }
                let home = if method.r#static { value } else { prototype };
                let key = self.key_of(&method.key, method.computed);
                let key = match key {
                    Some(key) => Ok(key),
                    None => Err(self.walk_property_key(frame, &method.key)),
                };
                let content = self.walk_function_value(frame, &method.value);
                self.set_home(content, home);
                let kind = match method.kind {
                    MethodDefinitionKind::Get => PropertyKind::Get,
                    MethodDefinitionKind::Set => PropertyKind::Set,
                    _ => PropertyKind::Init,
                };
                self.define(home, key, kind, content);
            }
        }
        let has_statics = class.body.body.iter().any(|element| match element {
            ClassElement::StaticBlock(_) => true,
            ClassElement::PropertyDefinition(property) => property.r#static,
            _ => false,
        });
        if has_statics {
            let func = self.func_of(module, FuncCode::Statics(class));
            let phase = self.phase(frame);
            let key = (func, Some(frame), phase, u32::MAX, u32::MAX);
            if !self.frame_ids.contains_key(&key) {
                let statics = self.new_frame(func, Some(frame), phase, (u32::MAX, u32::MAX));
                self.frame_ids.insert(key, statics);
                let this = self.frames[statics.0 as usize].this;
                self.add(this, value);
                self.walk_function(statics);
            }
        }
        node
    }

    /// Static fields and blocks, in the frame whose `this` is the class.
    pub(crate) fn walk_statics(&mut self, frame: Frame, class: &'a Class<'a>) {
        let this = self.frames[frame.0 as usize].this;
        for element in &class.body.body {
            match element {
                ClassElement::StaticBlock(block) => self.walk_statements(frame, &block.body),
                ClassElement::PropertyDefinition(property) if property.r#static => {
                    let content = match &property.value {
                        Some(value) => self.walk_expression(frame, value),
                        None => self.empty,
                    };
                    self.define_field(frame, this, property, content);
                }
                _ => {}
            }
        }
    }

    /// Fields of a new instance, in its constructor's frame.
    pub(crate) fn walk_field_initializers(&mut self, frame: Frame, class: &'a Class<'a>) {
        let this = self.frames[frame.0 as usize].this;
        for element in &class.body.body {
            if let ClassElement::PropertyDefinition(property) = element
                && !property.r#static
            {
                let content = match &property.value {
                    Some(value) => self.walk_expression(frame, value),
                    None => self.empty,
                };
                self.define_field(frame, this, property, content);
            }
        }
    }

    fn define_field(
        &mut self,
        frame: Frame,
        this: Node,
        property: &'a oxc_ast::ast::PropertyDefinition<'a>,
        content: Node,
    ) {
        let at = self.at(frame, property.span, Verb::Write { target: property.span });
        let key = self.key_of(&property.key, property.computed);
        let key = match key {
            Some(key) => Ok(key),
            None => Err(self.walk_property_key(frame, &property.key)),
        };
        if self.phase(frame) == Phase::Call {
            // A base constructor may have returned an object that is not new.
            self.attach(this, Use::Change { at });
        }
        self.react(this, move |solver, object| {
            if !matches!(
                solver.kind(object),
                crate::value::Kind::Native(_) | crate::value::Kind::Text(_) | crate::value::Kind::Primitive
            ) {
                solver.define(object, key, PropertyKind::Init, content);
            }
        });
    }
}
