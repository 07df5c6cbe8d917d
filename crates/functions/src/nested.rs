//! Nested calls within one transaction: what one function may call, and what it sees of a callee's failure.

use serde::Deserialize;
use serde_json::value::RawValue;

use freshet_database::Budget;

use crate::address::Address;
use crate::arguments::{Placeholders, check_arguments, check_result};
use crate::attempt::{Attempt, app, function_kind};
use crate::frame::Frame;
use crate::host::{Outcome, TransactionKind};
use crate::own_transaction::table_names;
use crate::resolve::{Access, resolve};
use crate::syscalls::{Fault, parse};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunArgs<'a> {
    udf_type: Callee,
    #[serde(flatten)]
    address: Address,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    transaction_limits: Option<BudgetArgs>,
}

/// What kind of function is called, and on what state.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum Callee {
    Query,
    SnapshotQuery,
    Mutation,
    Action,
}

/// What the callee may use at most.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BudgetArgs {
    bytes_read: Option<u64>,
    bytes_written: Option<u64>,
    database_queries: Option<u64>,
    documents_read: Option<u64>,
    documents_written: Option<u64>,
    functions_scheduled: Option<u64>,
    scheduled_function_args_bytes: Option<u64>,
}

impl Callee {
    /// The kind of the callee's frame, if the caller may call it.
    fn kind(self, caller: TransactionKind) -> Result<TransactionKind, Fault> {
        match (self, caller) {
            (Callee::Query, _) | (Callee::SnapshotQuery, TransactionKind::Mutation) => {
                Ok(TransactionKind::Query)
            }
            (Callee::Mutation, TransactionKind::Mutation) => Ok(TransactionKind::Mutation),
            (callee, caller) => Err(Fault::developer(format!(
                "Cannot call a {callee:?} function from a {} function",
                function_kind(caller)
            ))),
        }
    }
}

impl From<BudgetArgs> for Budget {
    fn from(args: BudgetArgs) -> Self {
        Budget {
            documents_read: args.documents_read,
            bytes_read: args.bytes_read,
            intervals_read: args.database_queries,
            documents_written: args.documents_written,
            bytes_written: args.bytes_written,
            functions_scheduled: args.functions_scheduled,
            scheduled_args_bytes: args.scheduled_function_args_bytes,
        }
    }
}

/// Opens a frame for the callee. Returns the JSON text of its arguments.
pub(crate) fn begin(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let parsed: RunArgs<'_> = parse("runUdf", args)?;
    let caller = attempt.kind();
    let kind = parsed.udf_type.kind(caller)?;
    if attempt.frames.len() > attempt.services.limits.call_depth_max {
        return Err(Fault::developer(
            "Cross component call depth limit exceeded. Do you have an infinite loop in your app?",
        ));
    }
    let path = parsed.address.path().map_err(Fault::developer)?;
    if parsed.address.is_handle() && !attempt.code.functions.contains_key(&path) {
        return Err(Fault::developer("Function handle not found"));
    }
    let code = attempt.code.clone();
    let function =
        resolve(&code, &path, &app(), function_kind(kind), Access::Internal).map_err(Fault::developer)?;
    if let Some(refusal) = attempt.services.quarantine.refusal(&path) {
        return Err(Fault::developer(refusal));
    }
    let placeholders = match caller {
        TransactionKind::Mutation => Placeholders::Allowed,
        TransactionKind::Query => Placeholders::Refused,
    };
    let arguments = check_arguments(
        &path,
        parsed.args.map_or("{}", RawValue::get),
        &function.args,
        &table_names(&attempt.transaction),
        attempt.services.limits.args_bytes_max,
        placeholders,
    )
    .map_err(Fault::developer)?;

    let budget = parsed.transaction_limits.map(Budget::from);
    if parsed.udf_type == Callee::SnapshotQuery {
        attempt.transaction.begin_stale_sub(budget.as_ref());
    } else {
        attempt.transaction.begin_sub(budget.as_ref());
    }
    attempt.frames.push(Frame::nested(path, kind, function.returns.clone()));
    Ok(arguments.json)
}

/// Closes the innermost frame. Returns the JSON text of its result.
pub(crate) fn end(attempt: &mut Attempt, outcome: Outcome) -> Result<String, Fault> {
    if attempt.frames.len() < 2 {
        return Err(Fault::System(crate::call_error::CallError::internal(&"no nested call is open")));
    }
    let result = match outcome {
        Outcome::Returned(text) => {
            let frame = attempt.frame();
            check_result(
                &frame.path,
                &text,
                frame.returns.as_deref(),
                &table_names(&attempt.transaction),
                attempt.services.limits.result_bytes_max,
                // A mutation around it resolves placeholders when it commits.
                match attempt.frames[0].kind {
                    TransactionKind::Mutation => Placeholders::Allowed,
                    TransactionKind::Query => Placeholders::Refused,
                },
            )
            .map(|value| value.to_json_string())
            .map_err(Fault::developer)
        }
        Outcome::Threw(error) => {
            let error = attempt.services.stacks.function_error(&error, &attempt.code.package);
            Err(Fault::Developer { message: error.message, data: error.data })
        }
    };
    attempt.frames.pop();
    if result.is_ok() {
        attempt.transaction.commit_sub()?;
    } else {
        attempt.transaction.rollback_sub()?;
    }
    result
}
