//! What is found to be wrong, where, and the sentence that says so. Decides nothing.

use oxc_span::Span;

use crate::program::text_of;
use crate::solver::Solver;
use crate::value::{At, Kind, Native, Phase, Site, Value};

/// What is done at a site.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb {
    /// An allocation or anything that changes nothing by itself.
    Plain,
    /// Writes the variable or property that the span of the target shows.
    Write {
        target: Span,
    },
    Delete {
        target: Span,
    },
    /// Calls `object.name` or a plain `callee`.
    Call {
        callee: Span,
        object: Option<Span>,
    },
    /// Takes values from an iterable.
    Iterate {
        iterable: Span,
    },
}

impl Verb {
    pub(crate) fn tag(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Write { .. } => 1,
            Self::Delete { .. } => 2,
            Self::Call { .. } => 3,
            Self::Iterate { .. } => 4,
        }
    }
}

pub(crate) struct SiteData {
    pub(crate) module: u32,
    pub(crate) span: Span,
    pub(crate) verb: Verb,
}

/// One reason, once.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord, Clone, Debug)]
pub(crate) struct Found {
    pub(crate) module: usize,
    pub(crate) offset: u32,
    pub(crate) message: String,
}

impl Solver<'_> {
    /// Records a reason at a site.
    pub(crate) fn object_to(&mut self, site: Site, message: String) {
        let data = &self.sites[site.0 as usize];
        self.found.insert(Found { module: data.module as usize, offset: data.span.start, message });
    }

    /// The object is changed at `at`: wrong when it outlives a call and a call does it, or when it belongs to the realm.
    pub(crate) fn change(&mut self, value: Value, at: At) {
        let data = &self.values[value.0 as usize];
        let realm = matches!(data.kind, Kind::Native(_) | Kind::Unknown | Kind::Environment);
        match data.kind {
            Kind::Text(_) | Kind::Number | Kind::Primitive => return,
            Kind::Bytes => {
                let buffer = self.field(value, crate::value::Key::BUFFER);
                self.attach(buffer, crate::solver::Use::Change { at });
            }
            Kind::Proxy => {
                let target = self.field(value, crate::value::Key::TARGET);
                self.attach(target, crate::solver::Use::Change { at });
                return;
            }
            // Its properties cannot be written; the bindings behind it are checked where they are assigned.
            Kind::Namespace(_) => return,
            _ => {}
        }
        if !self.values[value.0 as usize].shared || (!realm && self.phase(at.frame) == Phase::Evaluation) {
            return;
        }
        if realm {
            let what = self.describe_realm(value);
            self.object_to(at.site, format!("changes {what}, which all modules share"));
        } else {
            let message = self.describe_change(at.site);
            self.object_to(at.site, message);
        }
    }

    fn describe_realm(&self, value: Value) -> String {
        match self.kind(value) {
            Kind::Native(native) => {
                let name = match *native {
                    Native::Global(name) => self.spelled(name).to_owned(),
                    Native::Static(owner, name) => format!("{}.{}", self.spelled(owner), self.spelled(name)),
                    Native::Prototype(owner) => format!("{}.prototype", self.spelled(owner)),
                    Native::Method(owner, name) => {
                        format!("{}.prototype.{}", self.spelled(owner), self.spelled(name))
                    }
                    Native::AnyMethod => return "a built-in function".to_owned(),
                };
                if name == "globalThis" {
                    "the global object".to_owned()
                } else {
                    format!("the built-in `{name}`")
                }
            }
            Kind::Environment => "`process.env`".to_owned(),
            _ => "an unknown global".to_owned(),
        }
    }

    fn describe_change(&self, site: Site) -> String {
        let data = &self.sites[site.0 as usize];
        let source = self.modules.list[data.module as usize].source;
        match data.verb {
            Verb::Plain => format!("changes `{}`, which outlives the call", text_of(source, data.span)),
            Verb::Write { target } => {
                format!("changes `{}`, which outlives the call", text_of(source, target))
            }
            Verb::Delete { target } => {
                format!("deletes `{}`, which outlives the call", text_of(source, target))
            }
            Verb::Call { callee, object: Some(object) } => {
                let name = text_of(source, Span::new(object.end.min(callee.end), callee.end));
                let name = name.trim_start_matches(['?', '.', '!', ')', ' ']);
                format!("calls `{name}` on `{}`, which outlives the call", text_of(source, object))
            }
            Verb::Call { callee, object: None } => {
                format!("calls `{}`, which changes an object that outlives the call", text_of(source, callee))
            }
            Verb::Iterate { iterable } => {
                format!("advances the iterator `{}`, which outlives the call", text_of(source, iterable))
            }
        }
    }

    /// What the site calls, as written.
    pub(crate) fn callee_text(&self, site: Site) -> String {
        let data = &self.sites[site.0 as usize];
        let source = self.modules.list[data.module as usize].source;
        match data.verb {
            Verb::Call { callee, .. } => text_of(source, callee),
            _ => text_of(source, data.span),
        }
    }
}
