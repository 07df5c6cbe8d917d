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

#[derive(Clone, Copy)]
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
    /// The code that the message quotes.
    pub(crate) quoted: Option<(u32, u32)>,
}

impl Solver<'_> {
    /// Records a reason at a site.
    pub(crate) fn object_to(&mut self, site: Site, message: String) {
        self.find(site, message, None);
    }

    /// Records a reason that quotes code of the site's module.
    pub(crate) fn object_about(&mut self, site: Site, quoted: Span, message: impl FnOnce(String) -> String) {
        let module = self.sites[site.0 as usize].module as usize;
        let message = message(text_of(self.modules.list[module].source, quoted));
        self.find(site, message, Some((quoted.start, quoted.end)));
    }

    fn find(&mut self, site: Site, message: String, quoted: Option<(u32, u32)>) {
        let data = &self.sites[site.0 as usize];
        self.found.insert(Found { module: data.module as usize, offset: data.span.start, message, quoted });
        self.note_found();
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
            self.object_to_change(at.site);
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

    fn object_to_change(&mut self, site: Site) {
        let SiteData { module, span, verb } = self.sites[site.0 as usize];
        let source = self.modules.list[module as usize].source;
        let changes = |text| format!("changes `{text}`, which outlives the call");
        match verb {
            Verb::Plain => self.object_about(site, span, changes),
            Verb::Write { target } => self.object_about(site, target, changes),
            Verb::Delete { target } => {
                self.object_about(site, target, |text| format!("deletes `{text}`, which outlives the call"));
            }
            Verb::Call { callee, object: Some(object) } => {
                let name = text_of(source, Span::new(object.end.min(callee.end), callee.end));
                let name = name.trim_start_matches(['?', '.', '!', ')', ' ']);
                self.object_about(site, object, |text| {
                    format!("calls `{name}` on `{text}`, which outlives the call")
                });
            }
            Verb::Call { callee, object: None } => self.object_about(site, callee, |text| {
                format!("calls `{text}`, which changes an object that outlives the call")
            }),
            Verb::Iterate { iterable } => self.object_about(site, iterable, |text| {
                format!("advances the iterator `{text}`, which outlives the call")
            }),
        }
    }

    /// Where it is written what the site calls.
    pub(crate) fn callee_of(&self, site: Site) -> Span {
        let data = &self.sites[site.0 as usize];
        match data.verb {
            Verb::Call { callee, .. } => callee,
            _ => data.span,
        }
    }
}
