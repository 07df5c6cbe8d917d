//! Takes out those calls of a bundler's naming helper that change nothing.
//!
//! Bundlers that keep the names of functions wrap each one, `get: n(async (id) => ..., "get")`, where `n` sets the
//! function's `name`. That costs as much as a host call, and the client package makes two dozen such functions for every
//! query and mutation. Where the language gives the function that very name by itself (ECMAScript, *NamedEvaluation*), the
//! call can go. It is replaced by blanks, so that every position in the text stays where source maps have it.
//!
//! Only exact copies of the helper count, in variables that nothing assigns. What is not recognised stays as it is.

use std::collections::BTreeMap;

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    AssignmentExpression, AssignmentOperator, AssignmentTarget, BindingPattern, CallExpression, Expression,
    ImportDeclarationSpecifier, ObjectProperty, PropertyDefinition, PropertyKey, PropertyKind, Statement,
    VariableDeclarator,
};
use oxc_ast_visit::{Visit, walk};
use oxc_semantic::{Scoping, SymbolId};
use oxc_span::{GetSpan, Span};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::Module;
use crate::program::{Code, Modules, name_of};

/// The texts of those modules that change, by path.
pub(crate) fn shorten(modules: &[Module<'_>]) -> BTreeMap<String, String> {
    let allocator = Allocator::default();
    let parsed = Modules::parse(modules, &allocator);
    let helpers: Vec<FxHashSet<SymbolId>> =
        parsed.list.iter().map(|module| module.code.as_ref().map(own_helpers).unwrap_or_default()).collect();
    let exported: Vec<FxHashSet<&str>> = parsed
        .list
        .iter()
        .zip(&helpers)
        .map(|(module, own)| module.code.as_ref().map(|code| exports(code, own)).unwrap_or_default())
        .collect();
    let mut texts = BTreeMap::new();
    for (module, mut helpers) in parsed.list.iter().zip(helpers) {
        let Some(code) = &module.code else { continue };
        import_helpers(&parsed, module.path, code, &exported, &mut helpers);
        if helpers.is_empty() {
            continue;
        }
        let mut redundant = Redundant { scoping: &code.scoping, helpers: &helpers, spans: Vec::new() };
        redundant.visit_program(code.body);
        if !redundant.spans.is_empty() {
            texts.insert(module.path.to_owned(), blanked(module.source, redundant.spans));
        }
    }
    texts
}

/// Variables of the module that hold `(f, name) => Object.defineProperty(f, "name", { value: name, configurable: true })`.
fn own_helpers(code: &Code<'_>) -> FxHashSet<SymbolId> {
    let mut constants: FxHashMap<SymbolId, &Expression<'_>> = FxHashMap::default();
    for statement in &code.body.body {
        let Statement::VariableDeclaration(declaration) = statement else { continue };
        for declarator in &declaration.declarations {
            if let (BindingPattern::BindingIdentifier(id), Some(value)) = (&declarator.id, &declarator.init)
                && let Some(symbol) = id.symbol_id.get()
                && is_constant(&code.scoping, symbol)
            {
                constants.insert(symbol, value);
            }
        }
    }
    let is_definer = |callee: &Expression<'_>| match callee {
        Expression::Identifier(_) => symbol_of(&code.scoping, callee)
            .and_then(|symbol| constants.get(&symbol))
            .is_some_and(|value| is_define_property(&code.scoping, value)),
        _ => is_define_property(&code.scoping, callee),
    };
    constants
        .iter()
        .filter(|(_, value)| is_helper(&code.scoping, value, &is_definer))
        .map(|(symbol, _)| *symbol)
        .collect()
}

/// Whether the variable has one value only.
fn is_constant(scoping: &Scoping, symbol: SymbolId) -> bool {
    !scoping.symbol_is_mutated(symbol) && scoping.symbol_redeclarations(symbol).is_empty()
}

fn symbol_of(scoping: &Scoping, expression: &Expression<'_>) -> Option<SymbolId> {
    match expression {
        Expression::Identifier(id) => scoping.get_reference(id.reference_id.get()?).symbol_id(),
        _ => None,
    }
}

/// Whether it is the built-in `Object.defineProperty`.
fn is_define_property(scoping: &Scoping, expression: &Expression<'_>) -> bool {
    let Expression::StaticMemberExpression(member) = expression else { return false };
    let is_global = |object: &Expression<'_>| match object {
        Expression::Identifier(id) => id.name == "Object" && symbol_of(scoping, object).is_none(),
        _ => false,
    };
    member.property.name == "defineProperty" && is_global(&member.object)
}

fn is_helper(
    scoping: &Scoping,
    value: &Expression<'_>,
    is_definer: &dyn Fn(&Expression<'_>) -> bool,
) -> bool {
    let Expression::ArrowFunctionExpression(arrow) = value else { return false };
    if arrow.r#async || arrow.params.rest.is_some() {
        return false;
    }
    let parameters: Vec<SymbolId> = arrow
        .params
        .items
        .iter()
        .filter_map(|item| match &item.pattern {
            BindingPattern::BindingIdentifier(id) if item.initializer.is_none() => id.symbol_id.get(),
            _ => None,
        })
        .collect();
    let ([target, name], 2) = (parameters.as_slice(), arrow.params.items.len()) else { return false };
    let Some(Expression::CallExpression(call)) =
        arrow.body.as_expression().map(Expression::get_inner_expression)
    else {
        return false;
    };
    if call.optional || call.arguments.len() != 3 || !is_definer(&call.callee) {
        return false;
    }
    let argument = |index: usize| call.arguments[index].as_expression();
    let is_parameter = |expression: Option<&Expression<'_>>, parameter: SymbolId| {
        expression.and_then(|expression| symbol_of(scoping, expression)) == Some(parameter)
    };
    let is_name = matches!(argument(1), Some(Expression::StringLiteral(text)) if text.value == "name");
    let Some(Expression::ObjectExpression(descriptor)) = argument(2) else { return false };
    let property = |index: usize, name: &str| {
        descriptor
            .properties
            .get(index)
            .and_then(|property| property.as_property())
            .filter(|property| is_plain(property) && property.key.is_specific_static_name(name))
            .map(|property| &property.value)
    };
    is_parameter(argument(0), *target)
        && is_name
        && descriptor.properties.len() == 2
        && is_parameter(property(0, "value"), *name)
        && property(1, "configurable").is_some_and(is_true)
}

fn is_plain(property: &ObjectProperty<'_>) -> bool {
    property.kind == PropertyKind::Init && !property.method && !property.shorthand && !property.computed
}

/// `true` or `!0`.
fn is_true(expression: &Expression<'_>) -> bool {
    match expression {
        Expression::BooleanLiteral(literal) => literal.value,
        Expression::UnaryExpression(unary) => {
            unary.operator.is_not()
                && matches!(&unary.argument, Expression::NumericLiteral(number) if number.value == 0.0)
        }
        _ => false,
    }
}

/// Names under which the module exports helpers of its own.
fn exports<'m>(code: &'m Code<'_>, own: &FxHashSet<SymbolId>) -> FxHashSet<&'m str> {
    let mut names = FxHashSet::default();
    for statement in &code.body.body {
        let Statement::ExportNamedDeclaration(export) = statement else { continue };
        for specifier in &export.specifiers {
            let local = code.scoping.get_root_binding(name_of(&specifier.local).into());
            if local.is_some_and(|symbol| own.contains(&symbol)) {
                names.insert(name_of(&specifier.exported));
            }
        }
    }
    names
}

/// Adds the helpers that a module imports.
fn import_helpers(
    parsed: &Modules<'_>,
    path: &str,
    code: &Code<'_>,
    exported: &[FxHashSet<&str>],
    helpers: &mut FxHashSet<SymbolId>,
) {
    for statement in &code.body.body {
        let Statement::ImportDeclaration(import) = statement else { continue };
        let Some(target) = parsed.resolve(path, import.source.value.as_str()) else { continue };
        for specifier in import.specifiers.iter().flatten() {
            if let ImportDeclarationSpecifier::ImportSpecifier(specifier) = specifier
                && exported[target].contains(name_of(&specifier.imported))
                && let Some(symbol) = specifier.local.symbol_id.get()
            {
                helpers.insert(symbol);
            }
        }
    }
}

/// Finds calls of a helper whose function gets the same name without them.
struct Redundant<'c> {
    scoping: &'c Scoping,
    helpers: &'c FxHashSet<SymbolId>,
    /// What to replace by blanks, in the order of the text unless one is inside another.
    spans: Vec<Span>,
}

impl Redundant<'_> {
    /// To be called for a value to which the language gives the name `name`.
    fn look(&mut self, name: &str, value: &Expression<'_>) {
        if let Expression::CallExpression(call) = value
            && let Some(function) = self.named(call, name)
        {
            self.spans.push(Span::new(call.span.start, function.start));
            self.spans.push(Span::new(function.end, call.span.end));
        }
    }

    /// The function that the call gives this name.
    fn named(&self, call: &CallExpression<'_>, name: &str) -> Option<Span> {
        let helper = symbol_of(self.scoping, &call.callee)?;
        if !self.helpers.contains(&helper) || call.optional || call.arguments.len() != 2 {
            return None;
        }
        let function = call.arguments[0].as_expression()?;
        let is_nameless = match function.get_inner_expression() {
            Expression::ArrowFunctionExpression(_) => true,
            Expression::FunctionExpression(function) => function.id.is_none(),
            _ => false,
        };
        let is_same = matches!(call.arguments[1].as_expression()?, Expression::StringLiteral(text) if text.value == name);
        (is_nameless && is_same).then(|| function.span())
    }
}

/// The name that a key gives to a function behind it.
fn static_name<'k>(key: &'k PropertyKey<'_>) -> Option<&'k str> {
    match key {
        PropertyKey::StaticIdentifier(id) => Some(id.name.as_str()),
        PropertyKey::StringLiteral(text) => Some(text.value.as_str()),
        _ => None,
    }
    // Sets the prototype, and gives no name.
    .filter(|name| *name != "__proto__")
}

impl<'a> Visit<'a> for Redundant<'_> {
    fn visit_object_property(&mut self, property: &ObjectProperty<'a>) {
        if is_plain(property)
            && let Some(name) = static_name(&property.key)
        {
            self.look(name, &property.value);
        }
        walk::walk_object_property(self, property);
    }

    fn visit_property_definition(&mut self, property: &PropertyDefinition<'a>) {
        if !property.computed
            && let (Some(name), Some(value)) = (static_name(&property.key), &property.value)
        {
            self.look(name, value);
        }
        walk::walk_property_definition(self, property);
    }

    fn visit_variable_declarator(&mut self, declarator: &VariableDeclarator<'a>) {
        if let (BindingPattern::BindingIdentifier(id), Some(value)) = (&declarator.id, &declarator.init) {
            self.look(id.name.as_str(), value);
        }
        walk::walk_variable_declarator(self, declarator);
    }

    fn visit_assignment_expression(&mut self, assignment: &AssignmentExpression<'a>) {
        if let (AssignmentOperator::Assign, AssignmentTarget::AssignmentTargetIdentifier(id)) =
            (assignment.operator, &assignment.left)
        {
            self.look(id.name.as_str(), &assignment.right);
        }
        walk::walk_assignment_expression(self, assignment);
    }
}

/// The text with blanks in these places: as many as UTF-16 units were there, because source maps count in those.
fn blanked(source: &str, mut spans: Vec<Span>) -> String {
    spans.sort_unstable_by_key(|span| span.start);
    let mut text = String::with_capacity(source.len());
    let mut done = 0;
    for span in spans {
        text.push_str(&source[done..span.start as usize]);
        for character in source[span.start as usize..span.end as usize].chars() {
            match character {
                '\n' | '\r' | '\u{2028}' | '\u{2029}' => text.push(character),
                _ => text.extend(std::iter::repeat_n(' ', character.len_utf16())),
            }
        }
        done = span.end as usize;
    }
    text.push_str(&source[done..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELPER: &str = r#"var d = Object.defineProperty;
var n = (e, t) => d(e, "name", { value: t, configurable: !0 });
"#;

    fn shortened(modules: &[(&str, &str)]) -> BTreeMap<String, String> {
        let modules: Vec<Module<'_>> =
            modules.iter().map(|&(path, source)| Module { path, source }).collect();
        shorten(&modules)
    }

    /// What becomes of `code` after the helper.
    fn after_helper(code: &str) -> String {
        let source = format!("{HELPER}{code}");
        let text = shortened(&[("m.js", &source)]).remove("m.js").unwrap_or(source);
        text.strip_prefix(HELPER).expect("the helper stays").to_owned()
    }

    #[test]
    fn names_that_the_language_gives_are_not_given_again() {
        for (before, after) in [
            (r#"x = { get: n(async () => 1, "get") };"#, "x = { get:   async () => 1         };"),
            (r#"x = { "a b": n(function() {}, "a b") };"#, r#"x = { "a b":   function() {}         };"#),
            (r#"var f = n(((e) => e), "f");"#, "var f =   ((e) => e)      ;"),
            (r#"let f; f = n((e) => e, "f");"#, "let f; f =   (e) => e      ;"),
            (r#"class A { f = n(() => 1, "f") }"#, "class A { f =   () => 1       }"),
            // One inside another.
            (
                r#"x = { a: n(() => ({ b: n(() => 2, "b") }), "a") };"#,
                "x = { a:   () => ({ b:   () => 2       })       };",
            ),
        ] {
            assert_eq!(after_helper(before), after);
        }
    }

    #[test]
    fn lines_and_columns_stay() {
        let source = "x = { \u{e9}: 1, \"\u{1f600}\": n(\n// why\n() => 1,\n\"\u{1f600}\"\n) }; y";
        let text = after_helper(source);
        assert_ne!(text, source);
        let units = |text: &str| text.lines().map(|line| line.encode_utf16().count()).collect::<Vec<_>>();
        assert_eq!(units(&text), units(source));
    }

    #[test]
    fn names_that_differ_are_given() {
        for code in [
            r#"x = { get: n(() => 1, "other") };"#,
            r#"x = { get: n(function named() {}, "get") };"#,
            r#"x = { ["get"]: n(() => 1, "get") };"#,
            r#"x = { __proto__: n(() => 1, "__proto__") };"#,
            r#"x = { get: n(other, "get") };"#,
            r#"x = { get: n(() => 1, "get", 2) };"#,
            r#"x = { get: n(...[() => 1, "get"]) };"#,
            r#"x = { get: n?.(() => 1, "get") };"#,
            r#"x.get = n(() => 1, "get");"#,
            r#"n(f, "f"); function f() {}"#,
            r#"function g(n) { return { get: n(() => 1, "get") }; }"#,
        ] {
            assert_eq!(after_helper(code), code);
        }
    }

    #[test]
    fn only_the_exact_helper_is_known() {
        for helper in [
            r#"var n = (e, t) => Object.defineProperty(e, "name", { value: t });"#,
            r#"var n = (e, t) => Object.defineProperty(e, "title", { value: t, configurable: true });"#,
            r#"var n = (e, t) => Object.defineProperty(t, "name", { value: e, configurable: true });"#,
            r#"var n = (e, t) => Object.defineProperty(e, "name", { value: t, configurable: !1 });"#,
            r#"var n = (e, t) => Object.freeze(e, "name", { value: t, configurable: true });"#,
            r#"var n = (e, t) => Reflect.defineProperty(e, "name", { value: t, configurable: true });"#,
            r#"var Object = x, n = (e, t) => Object.defineProperty(e, "name", { value: t, configurable: true });"#,
            r#"var n = (e, t) => Object.defineProperty(e, "name", { value: t, configurable: true }); n = x;"#,
            r#"var n = (e, t) => Object.defineProperty(e, "name", { value: t, configurable: true }); var n;"#,
            r#"var n = async (e, t) => Object.defineProperty(e, "name", { value: t, configurable: true });"#,
            r#"var n = (e, t = 1) => Object.defineProperty(e, "name", { value: t, configurable: true });"#,
        ] {
            let source = format!("{helper}\nvar x = {{ get: n(() => 1, \"get\") }};");
            assert_eq!(shortened(&[("m.js", &source)]), BTreeMap::new(), "{helper}");
        }
        let plain = r#"var n = (e, t) => Object.defineProperty(e, "name", { value: t, configurable: true });
var x = { get: n(() => 1, "get") };"#;
        assert_eq!(shortened(&[("m.js", plain)]).len(), 1);
    }

    #[test]
    fn a_helper_may_come_from_another_module() {
        let chunk = format!("{HELPER}export {{ n as a, d as b }};");
        let using = |name: &str| {
            format!(
                "import {{ {name} as n }} from \"./_deps/C.js\"; var f = n(() => 1, \"f\"); export {{ f }};"
            )
        };
        let texts = shortened(&[("_deps/C.js", &chunk), ("m.js", &using("a")), ("o.js", &using("b"))]);
        assert_eq!(texts.keys().collect::<Vec<_>>(), ["m.js"]);
        assert!(texts["m.js"].contains("var f =   () => 1      ;"));
    }

    #[test]
    fn text_that_is_no_module_stays() {
        assert_eq!(shortened(&[("m.js", "var n = (")]), BTreeMap::new());
    }
}
