//! The modules of a deployment, parsed, with scopes and imports resolved. Knows syntax, not behaviour.

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Expression, ImportExpression, MethodDefinition, MethodDefinitionKind, ModuleExportName, ObjectProperty,
    Program, PropertyKey, PropertyKind, Statement,
};
use oxc_ast_visit::{Visit, walk};
use oxc_parser::Parser;
use oxc_semantic::{Scoping, SemanticBuilder};
use oxc_span::{GetSpan, SourceType, Span};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::Module;
use crate::nesting;

/// Reason texts that need no value flow, with the byte offset they stand at.
pub(crate) type Objection = (u32, String);

pub(crate) struct ParsedModule<'a> {
    pub(crate) path: &'a str,
    pub(crate) source: &'a str,
    pub(crate) code: Option<Code<'a>>,
    /// What makes the module unfit whatever its functions do.
    pub(crate) objections: Vec<Objection>,
    /// Modules it imports, statically or by a literal `import("…")`.
    pub(crate) imports: Vec<usize>,
    pub(crate) asks_for_reuse: bool,
}

pub(crate) struct Code<'a> {
    pub(crate) body: &'a Program<'a>,
    pub(crate) scoping: Scoping,
}

pub(crate) struct Modules<'a> {
    pub(crate) list: Vec<ParsedModule<'a>>,
    /// Names that some getter or setter of the program has.
    pub(crate) accessors: FxHashSet<String>,
    pub(crate) computed_accessor: bool,
    /// Names that the program gives to its own methods and that the language calls by itself.
    pub(crate) has_conversions: bool,
    by_path: FxHashMap<&'a str, usize>,
}

impl<'a> Modules<'a> {
    pub(crate) fn parse(modules: &[Module<'a>], allocator: &'a Allocator) -> Self {
        let by_path = modules.iter().enumerate().map(|(index, module)| (module.path, index)).collect();
        let mut parsed = Self {
            list: Vec::with_capacity(modules.len()),
            accessors: FxHashSet::default(),
            computed_accessor: false,
            has_conversions: false,
            by_path,
        };
        for module in modules {
            let module = parsed.parse_one(module, allocator);
            parsed.list.push(module);
        }
        for index in 0..parsed.list.len() {
            parsed.list[index].asks_for_reuse = parsed.exports_true(index, "experimental_reuseContext", 0);
        }
        parsed
    }

    fn parse_one(&mut self, module: &Module<'a>, allocator: &'a Allocator) -> ParsedModule<'a> {
        let mut result = ParsedModule {
            path: module.path,
            source: module.source,
            code: None,
            objections: Vec::new(),
            imports: Vec::new(),
            asks_for_reuse: false,
        };
        if let Err(offset) = nesting::check(module.source) {
            result.objections.push((offset, "is nested too deeply to analyse".to_owned()));
            return result;
        }
        let parsed = Parser::new(allocator, module.source, SourceType::mjs()).parse();
        if !parsed.diagnostics.is_empty() {
            let offset = parsed
                .diagnostics
                .first()
                .and_then(|error| error.labels.first())
                .map_or(0, |label| label.offset());
            result.objections.push((offset, "is not a valid ECMAScript module".to_owned()));
            return result;
        }
        let body: &'a Program<'a> = allocator.alloc(parsed.program);
        let semantic = SemanticBuilder::new().with_check_syntax_error(true).build(body);
        if let Some(error) = semantic.diagnostics.first() {
            let offset = error.labels.first().map_or(0, |label| label.offset());
            result.objections.push((offset, "is not a valid ECMAScript module".to_owned()));
            return result;
        }
        let scoping = semantic.semantic.into_scoping();
        self.has_conversions |=
            CONVERSIONS.iter().any(|name| module.source.contains(name.trim_start_matches('@')));

        let mut survey = Survey { modules: self, specifiers: Vec::new(), objections: Vec::new() };
        survey.visit_program(body);
        let Survey { mut specifiers, objections, .. } = survey;
        result.objections.extend(objections);
        for statement in &body.body {
            match statement {
                Statement::ImportDeclaration(import) => {
                    specifiers.push((import.source.value.as_str().to_owned(), import.span));
                }
                Statement::ExportFromDeclaration(export) => {
                    specifiers.push((export.source.value.as_str().to_owned(), export.span));
                }
                Statement::ExportAllDeclaration(export) => {
                    specifiers.push((export.source.value.as_str().to_owned(), export.span));
                }
                _ => {}
            }
        }
        for (specifier, span) in specifiers {
            match self.resolve(module.path, &specifier) {
                Some(target) if !result.imports.contains(&target) => result.imports.push(target),
                Some(_) => {}
                None => result.objections.push((
                    span.start,
                    format!("imports `{}`, which is not a module of this deployment", shorten(&specifier)),
                )),
            }
        }
        result.code = Some(Code { body, scoping });
        result
    }

    /// The module that `specifier` names when imported from `importer`.
    pub(crate) fn resolve(&self, importer: &str, specifier: &str) -> Option<usize> {
        let mut parts: Vec<&str> = if specifier.starts_with("./") || specifier.starts_with("../") {
            let mut parts: Vec<&str> = importer.split('/').collect();
            parts.pop();
            parts
        } else if specifier.starts_with('/') {
            Vec::new()
        } else {
            return None;
        };
        for part in specifier.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        let path = parts.join("/");
        self.by_path.get(path.as_str()).copied()
    }

    /// All modules that `entries` reach, themselves included, in an order in which they may be evaluated.
    pub(crate) fn closure(&self, entries: &[usize]) -> Vec<usize> {
        let mut seen = vec![false; self.list.len()];
        let mut order = Vec::new();
        // (module, next import to visit); not recursion, import chains can be long.
        let mut stack: Vec<(usize, usize)> = Vec::new();
        for &entry in entries {
            if !seen[entry] {
                seen[entry] = true;
                stack.push((entry, 0));
            }
            while let Some((module, next)) = stack.pop() {
                if let Some(&import) = self.list[module].imports.get(next) {
                    stack.push((module, next + 1));
                    if !seen[import] {
                        seen[import] = true;
                        stack.push((import, 0));
                    }
                } else {
                    order.push(module);
                }
            }
        }
        order
    }

    /// Whether the module exports the constant `true` under this name.
    fn exports_true(&self, module: usize, name: &str, depth: usize) -> bool {
        if depth > 16 {
            return false;
        }
        let Some(code) = &self.list[module].code else { return false };
        for statement in &code.body.body {
            match statement {
                Statement::ExportDeclaration(export) => {
                    if let oxc_ast::ast::Declaration::VariableDeclaration(declaration) = &export.declaration
                        && declares_true(declaration, name)
                    {
                        return true;
                    }
                }
                Statement::ExportNamedDeclaration(export) => {
                    for specifier in &export.specifiers {
                        if specifier.exported.name() == name {
                            return self.local_is_true(module, name_of(&specifier.local), depth);
                        }
                    }
                }
                Statement::ExportFromDeclaration(export) => {
                    for specifier in &export.specifiers {
                        if specifier.exported.name() == name {
                            return self
                                .resolve(self.list[module].path, export.source.value.as_str())
                                .is_some_and(|target| {
                                    self.exports_true(target, name_of(&specifier.local), depth + 1)
                                });
                        }
                    }
                }
                _ => {}
            }
        }
        false
    }

    fn local_is_true(&self, module: usize, local: &str, depth: usize) -> bool {
        let Some(code) = &self.list[module].code else { return false };
        for statement in &code.body.body {
            match statement {
                Statement::VariableDeclaration(declaration) if declares_true(declaration, local) => {
                    // A variable that is assigned later says nothing.
                    return code
                        .scoping
                        .get_root_binding(local.into())
                        .is_some_and(|symbol| !code.scoping.symbol_is_mutated(symbol));
                }
                Statement::ImportDeclaration(import) => {
                    for specifier in import.specifiers.iter().flatten() {
                        if let oxc_ast::ast::ImportDeclarationSpecifier::ImportSpecifier(specifier) =
                            specifier
                            && specifier.local.name == local
                        {
                            let imported = specifier.imported.name();
                            return self
                                .resolve(self.list[module].path, import.source.value.as_str())
                                .is_some_and(|target| {
                                    self.exports_true(target, imported.as_str(), depth + 1)
                                });
                        }
                    }
                }
                _ => {}
            }
        }
        false
    }
}

/// The name that an import or export is written with.
pub(crate) fn name_of<'m>(name: &'m ModuleExportName<'_>) -> &'m str {
    match name {
        ModuleExportName::IdentifierName(name) => name.name.as_str(),
        ModuleExportName::IdentifierReference(name) => name.name.as_str(),
        ModuleExportName::StringLiteral(name) => name.value.as_str(),
    }
}

fn declares_true(declaration: &oxc_ast::ast::VariableDeclaration<'_>, name: &str) -> bool {
    declaration.declarations.iter().any(|declarator| {
        let named = declarator.id.get_identifier_name().is_some_and(|id| id == name);
        named && declarator.init.as_ref().is_some_and(is_true)
    })
}

/// `true`, or `!0` as minifiers spell it.
fn is_true(expression: &Expression<'_>) -> bool {
    match expression {
        Expression::BooleanLiteral(literal) => literal.value,
        Expression::UnaryExpression(unary) => {
            unary.operator == oxc_ast::ast::UnaryOperator::LogicalNot
                && matches!(&unary.argument, Expression::NumericLiteral(number) if number.value == 0.0)
        }
        _ => false,
    }
}

pub(crate) fn shorten(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 60 { line } else { line.chars().take(57).chain("...".chars()).collect() }
}

/// Names by which the language calls methods without a call being written.
pub(crate) const CONVERSIONS: [&str; 4] = ["toString", "valueOf", "toJSON", "@@toPrimitive"];

/// One look at a module before the flow analysis.
struct Survey<'m, 'a> {
    modules: &'m mut Modules<'a>,
    specifiers: Vec<(String, Span)>,
    objections: Vec<Objection>,
}

impl Survey<'_, '_> {
    fn accessor(&mut self, key: &PropertyKey<'_>, computed: bool) {
        match property_name(key, computed) {
            Some(name) => {
                self.modules.accessors.insert(name);
            }
            None => self.modules.computed_accessor = true,
        }
    }
}

impl<'a> Visit<'a> for Survey<'_, 'a> {
    fn visit_import_expression(&mut self, it: &ImportExpression<'a>) {
        match &it.source {
            Expression::StringLiteral(literal) => {
                self.specifiers.push((literal.value.as_str().to_owned(), it.span));
            }
            Expression::TemplateLiteral(template) if template.expressions.is_empty() => {
                let text = template.quasis.first().map_or("", |quasi| quasi.value.raw.as_str());
                self.specifiers.push((text.to_owned(), it.span));
            }
            _ => self.objections.push((it.span.start, "imports a module whose name is computed".to_owned())),
        }
        walk::walk_import_expression(self, it);
    }

    fn visit_object_property(&mut self, it: &ObjectProperty<'a>) {
        if it.kind != PropertyKind::Init {
            self.accessor(&it.key, it.computed);
        }
        walk::walk_object_property(self, it);
    }

    fn visit_method_definition(&mut self, it: &MethodDefinition<'a>) {
        if matches!(it.kind, MethodDefinitionKind::Get | MethodDefinitionKind::Set) {
            self.accessor(&it.key, it.computed);
        }
        walk::walk_method_definition(self, it);
    }

    fn visit_accessor_property(&mut self, it: &oxc_ast::ast::AccessorProperty<'a>) {
        self.objections.push((it.span.start, "declares an auto-accessor, which is not analysed".to_owned()));
        walk::walk_accessor_property(self, it);
    }

    fn visit_decorator(&mut self, it: &oxc_ast::ast::Decorator<'a>) {
        self.objections.push((it.span.start, "uses a decorator, which is not analysed".to_owned()));
    }

    fn visit_with_statement(&mut self, it: &oxc_ast::ast::WithStatement<'a>) {
        self.objections.push((it.span.start, "uses `with`".to_owned()));
    }
}

/// The constant name of a property; `None` when it is computed at run time. Symbols are spelled `@@iterator`.
pub(crate) fn property_name(key: &PropertyKey<'_>, computed: bool) -> Option<String> {
    if !computed {
        return key.static_name().map(std::borrow::Cow::into_owned).or_else(|| match key {
            PropertyKey::PrivateIdentifier(name) => Some(format!("#{}", name.name)),
            _ => None,
        });
    }
    match key {
        PropertyKey::StringLiteral(literal) => Some(literal.value.as_str().to_owned()),
        PropertyKey::StaticMemberExpression(member) => match &member.object {
            Expression::Identifier(object) if object.name == "Symbol" => {
                Some(format!("@@{}", member.property.name))
            }
            _ => None,
        },
        _ => None,
    }
}

pub(crate) fn text_of(source: &str, span: Span) -> String {
    shorten(source.get(span.start as usize..span.end as usize).unwrap_or(""))
}

/// A span of anything that has one; spares callers an import.
pub(crate) fn span_of(node: &impl GetSpan) -> Span {
    node.span()
}
