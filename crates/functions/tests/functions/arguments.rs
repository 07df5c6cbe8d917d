//! Checks before and after a function runs, with the texts that users see.

use std::time::Duration;

use freshet_functions::{CallLimits, ErrorClass, Identity};
use serde_json::json;

use crate::support::{App, Deployment, call, uncaught};

fn app() -> App {
    let body = json!({ "type": "object", "value": {
        "body": { "fieldType": { "type": "string" }, "optional": false },
    }});
    App::default()
        .query("messages:list", |_, args| Ok(args))
        .args("messages:list", body)
        .query("messages:anything", |_, args| Ok(args))
        .query("messages:wrong", |_, _| Ok(json!("text")))
        .returns("messages:wrong", json!({ "type": "number" }))
        .query("messages:nonsense", |_, _| Ok(json!({ "$x": 1, "y": 2 })))
        .query("messages:internal", |_, _| Ok(json!(1)))
        .internal("messages:internal")
        .mutation("messages:send", |ctx, _| Ok(json!(ctx.insert("messages", json!({})).map_err(uncaught)?)))
}

#[tokio::test]
async fn arguments_that_do_not_match_are_refused_before_the_function_runs() {
    let deployment = Deployment::start(app());
    let error = deployment.query("messages:list", json!({ "body": 5 })).await.unwrap_err();
    assert_eq!(
        error,
        "ArgumentValidationError: Value does not match validator.\nPath: .body\nValue: 5.0\nValidator: \
         v.string()\n"
    );
}

#[tokio::test]
async fn arguments_may_be_an_object_or_an_array_of_one() {
    let deployment = Deployment::start(app());
    for args in [json!({ "body": "x" }), json!([{ "body": "x" }])] {
        assert_eq!(deployment.query("messages:list", args).await, Ok(json!({ "body": "x" })));
    }
}

#[tokio::test]
async fn positional_arguments_are_refused_where_there_is_a_validator() {
    let deployment = Deployment::start(app());
    assert_eq!(
        deployment.query("messages:list", json!([1, "x"])).await,
        Err("Expected to receive a single object as the function's argument. Instead received 2 arguments: \
             [1.0, \"x\"]\n"
            .into())
    );
    assert_eq!(
        deployment.query("messages:list", json!([1])).await,
        Err("Expected to receive an object as the function's argument. Instead received: 1.0\n".into())
    );
    assert_eq!(deployment.query("messages:anything", json!([1])).await, Ok(json!(1)));
}

#[tokio::test]
async fn arguments_that_are_no_values_name_the_function() {
    let deployment = Deployment::start(app());
    assert_eq!(
        deployment.query("messages:list", json!([{ "$a": 1, "b": 2 }])).await,
        Err("Invalid arguments for messages.js:list: Field name $a starts with '$', which is reserved.\n"
            .into())
    );
}

#[tokio::test]
async fn arguments_and_results_have_a_size_limit() {
    let limits = CallLimits { args_bytes_max: 1 << 20, result_bytes_max: 1 << 10, ..CallLimits::default() };
    let deployment = Deployment::start_with(app(), 1, limits);
    assert_eq!(
        deployment.query("messages:list", json!({ "body": "x".repeat(1 << 21) })).await,
        Err("Arguments for messages.js:list are too large (actual: 2 MiB, limit: 1 MiB)\n".into())
    );
    let error = deployment.query("messages:list", json!({ "body": "x".repeat(2000) })).await.unwrap_err();
    assert!(error.starts_with("Function messages.js:list return value is too large (actual: "), "{error}");
}

#[tokio::test]
async fn results_are_checked() {
    let deployment = Deployment::start(app());
    assert_eq!(
        deployment.query("messages:wrong", json!({})).await,
        Err("ReturnsValidationError: Value does not match validator.\n\nValue: \"text\"\nValidator: \
             v.float64()\n"
            .into())
    );
    assert_eq!(
        deployment.query("messages:nonsense", json!({})).await,
        Err("Function messages.js:nonsense return value invalid: Field name $x starts with '$', which is \
             reserved.\n"
            .into())
    );
}

#[tokio::test]
async fn internal_and_missing_functions_look_alike_to_clients() {
    let deployment = Deployment::start(app());
    for path in ["messages:internal", "messages:nope", "nope:nope"] {
        assert_eq!(
            deployment.query(path, json!({})).await,
            Err(format!("Could not find public function for '{path}'.\n"))
        );
    }
    let mut admin = call("messages:internal", json!({}));
    admin.identity = Identity::Admin { acting_as: None };
    let outcome = deployment.functions.query(admin, Default::default()).await.unwrap();
    assert!(outcome.result.is_ok());
}

#[tokio::test]
async fn the_wrong_kind_is_named() {
    let deployment = Deployment::start(app());
    assert_eq!(
        deployment.query("messages:send", json!({})).await,
        Err("Trying to execute messages.js:send as Query, but it is defined as Mutation.\n".into())
    );
}

#[tokio::test]
async fn tools_are_told_that_a_function_does_not_exist_in_their_own_words() {
    let deployment = Deployment::start(app());
    let outcome = deployment.functions.any(call("messages:nope", json!({}))).await.unwrap();
    assert_eq!(
        outcome.into_parts().0.unwrap_err().message,
        "Could not find function for 'messages:nope'. Did you forget to run `npx convex dev`?\n"
    );
}

#[tokio::test]
async fn only_admins_hear_that_a_component_does_not_exist() {
    let deployment = Deployment::start(app());
    let mut stranger = call("messages:list", json!({}));
    stranger.component = "comp".parse().unwrap();
    let outcome = deployment.functions.query(stranger.clone(), Default::default()).await.unwrap();
    assert_eq!(
        outcome.result.unwrap_err().message,
        "Could not find public function for 'messages:list' in 'comp'.\n"
    );
    stranger.identity = Identity::Admin { acting_as: None };
    let error = deployment.functions.query(stranger, Default::default()).await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        ("ComponentPathNotFound", "Component path 'comp' not found")
    );
}

#[tokio::test]
async fn the_servers_own_functions_are_for_admins() {
    let deployment = Deployment::start(app());
    let error = deployment
        .functions
        .query(call("_system/cli/tables", json!({})), Default::default())
        .await
        .unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::Forbidden, "SystemIdentityRequired"));
}

#[tokio::test]
async fn a_call_that_finds_no_lane_in_time_is_refused() {
    let limits = CallLimits { queue_wait_max: Duration::from_millis(20), ..CallLimits::default() };
    let deployment = Deployment::start_with(app(), 0, limits);
    let error =
        deployment.functions.query(call("messages:list", json!({})), Default::default()).await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::RateLimited, "TooManyConcurrentRequests"));
    assert_eq!(deployment.functions.lane_queue().waiting(), 0);
}
