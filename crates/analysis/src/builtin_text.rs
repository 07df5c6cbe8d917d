//! What methods of strings and regular expressions do.

use std::rc::Rc;

use crate::solver::{Solver, Use};
use crate::value::{Args, At, Key, Kind, Node};

impl<'a> Solver<'a> {
    /// Using a pattern that keeps its place moves it; `replace` and the like start and end at 0 unless it is sticky.
    fn move_pattern(&mut self, patterns: Node, resets: bool, at: At) {
        self.react(patterns, move |solver, value| match *solver.kind(value) {
            Kind::RegExp { moving, sticky } if sticky || (moving && !resets) => solver.change(value, at),
            // A subclass or imitation of `RegExp`.
            Kind::Object | Kind::Proxy if !resets => solver.change(value, at),
            _ => {}
        });
    }

    pub(crate) fn call_pattern_method(&mut self, name: &str, this: Node, args: &Rc<Args>, ret: Node, at: At) {
        match name {
            "compile" => self.attach(this, Use::Change { at }),
            "exec" | "test" => self.move_pattern(this, false, at),
            "@@match" | "@@replace" | "@@search" => self.move_pattern(this, true, at),
            _ => {}
        }
        let ignored = self.node();
        let primitive = self.primitive;
        let empty = self.empty;
        let given = Rc::new(Args { fixed: Vec::new(), rest: Some(primitive) });
        for arg in args.all() {
            self.attach(
                arg,
                Use::Call { this: empty, name: None, args: Rc::clone(&given), ret: ignored, at },
            );
        }
        let tree = self.json_tree(at, 380);
        self.edge(tree, ret);
    }

    pub(crate) fn call_text_method(&mut self, name: &str, args: &Rc<Args>, ret: Node, at: At) {
        let primitive = self.primitive;
        let first = self.argument(args, 0);
        match name {
            "match" | "matchAll" | "replace" | "replaceAll" | "search" | "split" => {
                if !matches!(name, "matchAll" | "split" | "search") {
                    self.move_pattern(first, true, at);
                }
                // Objects of the program that imitate patterns.
                for symbol in ["@@match", "@@matchAll", "@@replace", "@@search", "@@split"] {
                    let symbol = self.name(symbol);
                    let given = Rc::new(Args { fixed: vec![primitive, primitive], rest: None });
                    self.react(first, move |solver, value| {
                        if matches!(solver.kind(value), Kind::Object | Kind::Proxy | Kind::Function { .. }) {
                            solver.call_method(value, symbol, &given, ret, at);
                        }
                    });
                }
                if matches!(name, "replace" | "replaceAll") {
                    let empty = self.empty;
                    let replaced = self.node();
                    let callback = self.argument(args, 1);
                    let tree = self.json_tree(at, 381);
                    let given = Rc::new(Args { fixed: Vec::new(), rest: Some(tree) });
                    self.attach(
                        callback,
                        Use::Call { this: empty, name: None, args: given, ret: replaced, at },
                    );
                    self.converted_at(replaced, at);
                    self.edge(primitive, ret);
                } else if name == "matchAll" {
                    let tree = self.json_tree(at, 382);
                    let iterator = self.make(at, 383, Kind::Iterator);
                    let inner = self.field(iterator, Key::INNER);
                    self.edge(tree, inner);
                    self.add(ret, iterator);
                } else {
                    let tree = self.json_tree(at, 384);
                    self.edge(tree, ret);
                }
            }
            "@@iterator" => {
                let iterator = self.make(at, 385, Kind::Iterator);
                let inner = self.field(iterator, Key::INNER);
                self.edge(primitive, inner);
                self.add(ret, iterator);
            }
            "indexOf" | "lastIndexOf" | "charCodeAt" | "codePointAt" | "localeCompare" => {
                self.edge(self.number, ret);
            }
            _ => self.edge(primitive, ret),
        }
    }

    fn converted_at(&mut self, value: Node, at: At) {
        if self.modules.has_conversions {
            self.attach(value, Use::Convert { at });
        }
    }
}
