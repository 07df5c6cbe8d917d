//! What is asked, and who asks.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use freshet_functions::{Caller, FunctionCall, Identity, RequestId, RequestMetadata};
use freshet_values::{ComponentPath, FunctionPath};

use crate::access::Visitor;

/// A question, without the identity of who asks. Spellings of a path that mean the same function are the same question.
#[derive(Clone, Debug)]
pub(crate) struct Question(Arc<QuestionParts>);

#[derive(Debug)]
struct QuestionParts {
    path: FunctionPath,
    component: ComponentPath,
    /// JSON text: an array of one object from WebSockets, an object from HTTP.
    args: Arc<str>,
    journal: Option<Arc<str>>,
    /// Callers who may reach internal functions get other answers than those who may not.
    internal: bool,
    /// The path as text that compares, computed once.
    name: String,
}

impl Question {
    pub(crate) fn new(
        path: &FunctionPath,
        component: &ComponentPath,
        args: &Arc<str>,
        journal: Option<&Arc<str>>,
        identity: &Identity,
    ) -> Self {
        Self(Arc::new(QuestionParts {
            name: format!("{component}\n{path}"),
            path: path.clone(),
            component: component.clone(),
            args: Arc::clone(args),
            journal: journal.cloned(),
            internal: identity.may_call_internal(),
        }))
    }

    /// The same question of somebody who goes on from an answer with this journal.
    pub(crate) fn continued(&self, journal: Option<&Arc<str>>) -> Self {
        let QuestionParts { path, component, args, internal, name, .. } = &*self.0;
        Self(Arc::new(QuestionParts {
            path: path.clone(),
            component: component.clone(),
            args: Arc::clone(args),
            journal: journal.cloned(),
            internal: *internal,
            name: name.clone(),
        }))
    }

    pub(crate) fn path(&self) -> &FunctionPath {
        &self.0.path
    }

    pub(crate) fn component(&self) -> &ComponentPath {
        &self.0.component
    }

    pub(crate) fn journal(&self) -> Option<&Arc<str>> {
        self.0.journal.as_ref()
    }

    /// The call that answers it.
    pub(crate) fn call(&self, asker: &Asker, request_id: RequestId) -> FunctionCall {
        FunctionCall {
            path: self.0.path.clone(),
            component: self.0.component.clone(),
            args: self.0.args.as_ref().to_owned(),
            identity: asker.visitor.identity.clone(),
            caller: asker.caller.clone(),
            request_id,
            metadata: RequestMetadata {
                auth_token: asker.visitor.token.clone(),
                ..(*asker.metadata).clone()
            },
        }
    }

    /// Bytes of memory, roughly.
    pub(crate) fn size(&self) -> usize {
        let QuestionParts { args, journal, name, .. } = &*self.0;
        2 * name.len() + args.len() + journal.as_ref().map_or(0, |journal| journal.len())
    }

    fn key(&self) -> (&str, &str, Option<&Arc<str>>, bool) {
        let QuestionParts { name, args, journal, internal, .. } = &*self.0;
        (name, args, journal.as_ref(), *internal)
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.key() == other.key()
    }
}

impl Eq for Question {}

impl Hash for Question {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Who asks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Asker {
    /// On whose behalf.
    pub(crate) visitor: Arc<Visitor>,
    /// What functions see of the request.
    pub(crate) metadata: Arc<RequestMetadata>,
    /// Through which door.
    pub(crate) caller: Caller,
    /// The name of the request, if it has one: an execution for it has the same.
    pub(crate) request_id: Option<RequestId>,
}
