//! `start_push`: what it answers, stores and refuses.

use super::*;

#[tokio::test]
async fn the_answer_to_start_push_has_the_shape_that_clients_validate() {
    let fixture = Fixture::new();
    fixture.set(json!([{"name": "FOO", "value": "bar"}])).await.unwrap();
    let http = json!({"functions": [], "httpRoutes": [["/ping", "GET"]], "hasDefault": true});
    let push = Push::new(&[
        messages(),
        crons(60),
        ("http.js", http),
        ("_deps/LEPN4RE7.js", json!("not a report")),
        (
            "auth.config.js",
            json!("{\"providers\":[{\"domain\":\"issuer.example.com\",\"applicationID\":\"{env:FOO}\"}]}"),
        ),
    ])
    .schema(&schema("string", "author"));
    let mut started = fixture.start(&push).await.unwrap();

    let config = &mut started["analysis"][""]["udfConfig"];
    assert!(config["importPhaseRngSeed"].take()["$bytes"].is_string());
    assert!(config["importPhaseUnixTimestamp"].take()["$integer"].is_string());
    assert!(started["pushId"].take().is_string());
    assert!(started["schemaChange"]["schemaIds"][""].take().is_string());
    let analyzed = |name: &str, kind: &str| {
        json!({"name": name, "pos": null, "udfType": kind, "visibility": {"kind": "public"},
               "args": "{\"type\":\"object\",\"value\":{}}", "returns": null})
    };
    let leaf = |name: &str| {
        json!({"type": "leaf", "resource": {"type": "function",
               "path": {"component": "", "udfPath": format!("messages.js:{name}")}}})
    };
    let empty = json!({"functions": [], "httpRoutes": null, "cronSpecs": null, "sourceMapped": null});
    let mut http = empty.clone();
    http["httpRoutes"] = json!([{"route": {"path": "/ping", "method": "GET"}, "pos": null}]);
    let mut crons = empty.clone();
    crons["cronSpecs"] = json!([{"identifier": "tick", "spec": {"udfPath": "messages.js:tick", "udfArgs": [{}],
        "cronSchedule": {"type": "interval", "seconds": {"$integer": "PAAAAAAAAAA="}}}}]);
    let mut functions = empty.clone();
    functions["functions"] = json!([analyzed("list", "Query"), analyzed("tick", "Action")]);
    assert_eq!(
        started,
        json!({
            "environmentVariables": {"FOO": "bar"}, "externalDepsId": null, "componentDefinitionPackages": {},
            "appAuth": [{"applicationID": "bar", "domain": "https://issuer.example.com"}],
            "analysis": {"": {
                "definition": {"path": "", "definitionType": {"type": "app"}, "childComponents": [],
                               "httpMounts": {}, "httpPrefix": null,
                               "exports": {"type": "branch", "branch": []}, "envVars": null},
                "schema": {"tables": [{"tableName": "messages",
                    "indexes": [{"indexDescriptor": "by_author", "fields": ["author", "_creationTime"]}],
                    "stagedDbIndexes": [], "searchIndexes": [], "stagedSearchIndexes": [],
                    "vectorIndexes": [], "stagedVectorIndexes": [],
                    "documentType": {"type": "object", "value": {
                        "author": {"fieldType": {"type": "string"}, "optional": false},
                        "body": {"fieldType": {"type": "string"}, "optional": true}}}}],
                    "schemaValidation": true},
                "functions": {"messages.js": functions, "http.js": http, "crons.js": crons, "auth.config.js": empty},
                "udfConfig": {"serverVersion": "1.48.0", "importPhaseRngSeed": null, "importPhaseUnixTimestamp": null}
            }},
            "app": {"definitionPath": "", "componentPath": "", "httpPrefix": null, "args": {}, "env": {},
                "childComponents": {},
                "httpRoutes": {"httpModuleRoutes": [{"path": "/ping", "method": "GET"}], "mounts": []},
                "exports": {"messages": {"type": "branch", "children": {"list": leaf("list"), "tick": leaf("tick")}}}},
            "schemaChange": {"allocatedComponentIds": {}, "schemaIds": {"": null}, "indexDiffs": {"": {
                "added_indexes": [{"name": "messages.by_author", "type": "database",
                                   "fields": ["author", "_creationTime"], "staged": false}],
                "removed_indexes": [], "enabled_indexes": [], "disabled_indexes": []}}},
            "pushId": null
        })
    );
}

#[tokio::test]
async fn unchanged_modules_are_named_by_their_hashes() {
    let fixture = Fixture::new();
    let hashes = serde_json::to_value(fixture.deployment.get_config_hashes().await.unwrap()).unwrap();
    assert_eq!(
        hashes,
        json!({"config": {"functions": "convex/"}, "moduleHashes": [], "udfServerVersion": null, "nodeVersion": null})
    );
    // Larger than one part, with characters of several bytes around the seam.
    let padding = "\u{20ac}".repeat(400_000);
    let large = json!({"functions": [function("f", "Query")], "padding": padding});
    fixture.push(&Push::new(&[messages(), ("large.js", large.clone())])).await;
    let hashes = fixture.deployment.get_config_hashes().await.unwrap();
    assert_eq!(
        (hashes.udf_server_version.as_deref(), hashes.node_version.as_deref()),
        (Some("1.48.0"), Some("22"))
    );
    let unchanged: Vec<Json> = hashes
        .module_hashes
        .iter()
        .map(|module| json!({"path": module.path, "environment": module.environment, "sha256": module.hash}))
        .collect();
    assert_eq!(unchanged.len(), 2);

    let mut push = Push::new(&[]);
    push.0["appDefinition"]["unchangedModuleHashes"] = json!(unchanged);
    let finished = fixture.push(&push).await;
    assert_eq!(finished["componentDiffs"][""]["moduleDiff"], json!({"added": [], "removed": []}));
    assert_eq!(*fixture.live().package.modules["large.js"].source, *large.to_string());

    push.0["appDefinition"]["unchangedModuleHashes"][0]["sha256"] = json!("00");
    let error = fixture.start(&push).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (409, "ExistingModuleHashConflict"));
}

#[tokio::test]
async fn what_nobody_uses_any_more_is_removed() {
    let fixture = Fixture::new();
    fixture.push(&Push::new(&[messages(), ("old.js", json!({"functions": []}))])).await;
    assert_eq!(fixture.stored(), [1, 2, 2]);
    fixture.push(&Push::new(&[messages()])).await;
    assert_eq!(fixture.stored(), [1, 1, 1]);
    for i in 0..12 {
        let module = json!({"functions": [function(&format!("f{i}"), "Query")]});
        fixture.start(&Push::new(&[messages(), ("new.js", module)])).await.unwrap();
    }
    assert_eq!(fixture.stored()[0], 9, "the live one and eight that wait");
    assert_eq!(fixture.stored()[2], 9, "one source for all, and one for each that waits");
}

#[tokio::test]
async fn a_dry_run_leaves_nothing_but_the_schema_to_check() {
    let fixture = Fixture::new();
    fixture.insert("messages", r#"{"author":5}"#);
    let push = Push::new(&[messages()]).schema(&schema("string", "author")).set("dryRun", json!(true));
    let started = fixture.start(&push).await.unwrap();
    assert_eq!(started["pushId"], Json::Null);
    assert_eq!(started["schemaChange"]["indexDiffs"][""]["added_indexes"].as_array().unwrap().len(), 1);
    assert_eq!(fixture.stored(), [0, 0, 0]);
    assert_eq!(fixture.wait(&started).await["type"], "failed");
    let request = json!({"startPush": started, "dryRun": true, "message": null});
    let finished = fixture.deployment.finish_push(serde_json::from_value(request).unwrap()).await.unwrap();
    assert_eq!(
        serde_json::to_value(finished).unwrap(),
        json!({"authDiff": {"added": [], "removed": []}, "definitionDiffs": {}, "componentDiffs": {}})
    );
    assert_eq!(fixture.finish(&started).await.unwrap_err().code, "InvalidPush");
}

#[tokio::test]
async fn errors_of_modules_are_told_with_their_console_lines() {
    let fixture = Fixture::new();
    let error = fixture.start(&Push::new(&[("messages.js", json!("throw broken"))])).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (400, "InvalidModules"));
    assert_eq!(
        error.message,
        "Hit an error while pushing:\nLoading the pushed modules encountered the following error:\n\
         Failed to analyze messages.js: Uncaught Error: broken\n\n[LOG] 'hi'"
    );
    let error = fixture.start(&Push::new(&[]).schema(&json!({"tables": 1}))).await.unwrap_err();
    assert_eq!(error.code, "InvalidSchema");
    assert!(
        error
            .message
            .starts_with("Hit an error while pushing:\nHit an error while evaluating your schema:\n"),
        "{error}"
    );
}

#[tokio::test]
async fn what_this_version_cannot_do_is_refused_clearly() {
    let fixture = Fixture::new();
    let component = json!([{"definitionPath": "rate"}]);
    let error = fixture.start(&Push::new(&[]).set("componentDefinitions", component)).await.unwrap_err();
    assert!(error.status == 400 && error.message.contains("does not support yet"), "{error}");
    let packages = json!([{"name": "sharp", "version": "0.33.5"}]);
    let error = fixture.start(&Push::new(&[]).set("nodeDependencies", packages)).await.unwrap_err();
    assert!(error.status == 400 && error.message.contains("sharp@0.33.5"), "{error}");
    let error = fixture.start(&Push::new(&[]).set("nodeVersion", json!("18"))).await.unwrap_err();
    assert_eq!(error.code, "NodeVersionNotSupported");
}
