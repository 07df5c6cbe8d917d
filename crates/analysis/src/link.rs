//! Modules of one analysis: their frames, and imports bound to exports.

use oxc_ast::ast::{Declaration, ImportDeclarationSpecifier, Statement};
use oxc_semantic::SymbolId;

use crate::frames::FuncCode;
use crate::program::name_of;
use crate::solver::Solver;
use crate::value::{Frame, Key, Node, Phase};

impl Solver<'_> {
    /// Makes the constraints of evaluating these modules.
    pub(crate) fn evaluate_modules(&mut self, modules: &[usize]) {
        for &module in modules {
            let func = self.func_of(module, FuncCode::Module);
            let frame = self.new_frame(func, None, Phase::Evaluation, (u32::MAX, u32::MAX));
            self.module_frames.insert(module, frame);
            self.walk_function(frame);
        }
        for &module in modules {
            self.link_exports(module);
        }
        // Names passed on by `export *`, until nothing is added.
        loop {
            let mut added = false;
            for &module in modules {
                for target in self.star_targets(module) {
                    for name in self.export_names.get(&target).cloned().unwrap_or_default() {
                        let names = self.export_names.entry(module).or_default();
                        if !names.contains(&name) && self.name_ids_default() != Some(name) {
                            let names = self.export_names.entry(module).or_default();
                            names.push(name);
                            added = true;
                        }
                    }
                }
            }
            if !added || self.exceeded() {
                break;
            }
        }
        for &module in modules {
            self.link_imports(module);
        }
        for &module in modules {
            let Some(code) = &self.modules.list[module].code else { continue };
            let frame = self.module_frames[&module];
            self.walk_statements(frame, &code.body.body);
        }
    }

    fn name_ids_default(&mut self) -> Option<Key> {
        Some(self.name("default"))
    }

    /// The node of an exported binding.
    pub(crate) fn export(&mut self, module: usize, key: Key) -> Node {
        if let Some(&node) = self.exports.get(&(module, key)) {
            return node;
        }
        let node = self.node();
        self.exports.insert((module, key), node);
        if self.spelled(key) != "default" {
            for target in self.star_targets(module) {
                let source = self.export(target, key);
                self.edge(source, node);
            }
        }
        node
    }

    fn star_targets(&self, module: usize) -> Vec<usize> {
        let Some(code) = &self.modules.list[module].code else { return Vec::new() };
        code.body
            .body
            .iter()
            .filter_map(|statement| match statement {
                Statement::ExportAllDeclaration(export) if export.exported.is_none() => {
                    self.modules.resolve(self.modules.list[module].path, &export.source.value)
                }
                _ => None,
            })
            .collect()
    }

    fn root_symbol(&self, module: usize, name: &str) -> Option<SymbolId> {
        self.modules.list[module].code.as_ref()?.scoping.get_root_binding(name.into())
    }

    fn declare_export(&mut self, module: usize, exported: &str, from: Node) {
        let key = self.name(exported);
        let node = self.export(module, key);
        self.edge(from, node);
        let names = self.export_names.entry(module).or_default();
        if !names.contains(&key) {
            names.push(key);
        }
    }

    fn export_variable(&mut self, module: usize, frame: Frame, local: &str, exported: &str) {
        if let Some(symbol) = self.root_symbol(module, local) {
            let variable = self.variable(frame, symbol);
            self.declare_export(module, exported, variable);
        }
    }

    fn link_exports(&mut self, module: usize) {
        let modules = self.modules;
        let Some(code) = &modules.list[module].code else { return };
        let frame = self.module_frames[&module];
        for statement in &code.body.body {
            match statement {
                Statement::ExportDeclaration(export) => match &export.declaration {
                    Declaration::VariableDeclaration(declaration) => {
                        for declarator in &declaration.declarations {
                            for id in declarator.id.get_binding_identifiers() {
                                self.export_variable(module, frame, &id.name, &id.name);
                            }
                        }
                    }
                    Declaration::FunctionDeclaration(function) => {
                        if let Some(id) = &function.id {
                            self.export_variable(module, frame, &id.name, &id.name);
                        }
                    }
                    Declaration::ClassDeclaration(class) => {
                        if let Some(id) = &class.id {
                            self.export_variable(module, frame, &id.name, &id.name);
                        }
                    }
                    _ => {}
                },
                Statement::ExportNamedDeclaration(export) => {
                    for specifier in &export.specifiers {
                        let local = name_of(&specifier.local);
                        self.export_variable(module, frame, local, name_of(&specifier.exported));
                    }
                }
                Statement::ExportFromDeclaration(export) => {
                    let Some(target) = modules.resolve(modules.list[module].path, &export.source.value)
                    else {
                        continue;
                    };
                    for specifier in &export.specifiers {
                        let key = self.name(name_of(&specifier.local));
                        let source = self.export(target, key);
                        self.declare_export(module, name_of(&specifier.exported), source);
                    }
                }
                Statement::ExportAllDeclaration(export) => {
                    if let Some(exported) = &export.exported
                        && let Some(target) = modules.resolve(modules.list[module].path, &export.source.value)
                    {
                        let namespace = self.namespace(target);
                        let node = self.single(namespace);
                        self.declare_export(module, name_of(exported), node);
                    }
                }
                Statement::ExportDefaultDeclaration(_) => {
                    let empty = self.empty;
                    self.declare_export(module, "default", empty);
                }
                _ => {}
            }
        }
    }

    fn link_imports(&mut self, module: usize) {
        let modules = self.modules;
        let Some(code) = &modules.list[module].code else { return };
        let frame = self.module_frames[&module];
        for statement in &code.body.body {
            let Statement::ImportDeclaration(import) = statement else { continue };
            let Some(target) = modules.resolve(modules.list[module].path, &import.source.value) else {
                continue;
            };
            for specifier in import.specifiers.iter().flatten() {
                let (source, local) = match specifier {
                    ImportDeclarationSpecifier::ImportSpecifier(specifier) => {
                        let key = self.name(name_of(&specifier.imported));
                        (self.export(target, key), &specifier.local)
                    }
                    ImportDeclarationSpecifier::ImportDefaultSpecifier(specifier) => {
                        let key = self.name("default");
                        (self.export(target, key), &specifier.local)
                    }
                    ImportDeclarationSpecifier::ImportNamespaceSpecifier(specifier) => {
                        let namespace = self.namespace(target);
                        (self.single(namespace), &specifier.local)
                    }
                };
                if let Some(symbol) = local.symbol_id.get() {
                    let variable = self.variable(frame, symbol);
                    self.edge(source, variable);
                }
            }
        }
    }
}
