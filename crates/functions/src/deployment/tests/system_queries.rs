//! The queries that the command line client and other tools make by path.

use super::*;

#[tokio::test]
async fn tools_get_answers_to_their_own_queries() {
    let fixture = Fixture::new();
    let http = json!({"functions": [], "httpRoutes": [["/ping", "GET"]], "hasDefault": true});
    fixture.push(&Push::new(&[messages(), ("http.js", http)]).schema(&schema("string", "author"))).await;
    for i in 0..3 {
        fixture.insert("messages", &format!(r#"{{"author":"{i}"}}"#));
    }
    fixture.set(json!([{"name": "B", "value": "2"}, {"name": "A", "value": "1"}])).await.unwrap();

    let list = fixture.system("_system/cli/queryEnvironmentVariables:default", &json!({}));
    assert_eq!((&list[0]["name"], &list[1]["value"]), (&json!("A"), &json!("2")));
    assert!(list[0]["_id"].is_string() && list[0]["_creationTime"].is_number());
    let get =
        |name: &str| fixture.system("_system/cli/queryEnvironmentVariables:get", &json!({ "name": name }));
    assert_eq!(get("A"), json!({"name": "A", "value": "1"}));
    assert_eq!(get("CONVEX_SITE_URL")["value"], "http://127.0.0.1:3211");
    assert_eq!(get("C"), Json::Null);

    let options = json!({"paginationOpts": {"cursor": null, "numItems": 10000.0}});
    assert_eq!(
        fixture.system("_system/cli/tables", &options),
        json!({"page": [{"name": "messages"}], "isDone": true, "continueCursor": "end"})
    );
    let page = |cursor: Json, table: &str| {
        fixture.system(
            "_system/cli/tableData:default",
            &json!({"table": table, "order": "desc", "paginationOpts": {"cursor": cursor, "numItems": 2.0}}),
        )
    };
    let first = page(Json::Null, "messages");
    assert_eq!((first["page"].as_array().unwrap().len(), &first["page"][0]["author"]), (2, &json!("2")));
    let second = page(first["continueCursor"].clone(), "messages");
    assert_eq!((second["page"].as_array().unwrap().len(), &second["isDone"]), (1, &json!(true)));
    for empty in ["nowhere", "_scheduled_functions", "_modules", "not a name"] {
        assert_eq!(page(Json::Null, empty)["page"], json!([]), "{empty}");
    }

    assert_eq!(
        fixture.system("_system/cli/tableSize:default", &json!({"tableName": "messages"})),
        json!(3.0)
    );
    let random = || fixture.system("_system/cli/queryTable", &json!({"tableName": "messages"}));
    assert_ne!(random(), random());
    assert_eq!(fixture.system("_system/cli/queryImport", &json!({"importId": "x"})), Json::Null);
    assert_eq!(fixture.system("_system/cli/queryImport:list", &json!({})), json!([]));
    assert_eq!(fixture.system("_system/cli/exports:getLatest", &json!({})), Json::Null);
    assert_eq!(fixture.system("_system/cli/convexUrl:cloudUrl", &json!({})), "http://127.0.0.1:3210");
    let spec = fixture.system("_system/cli/modules:apiSpec", &json!({}));
    assert_eq!(spec[0], json!({"functionType": "HttpAction", "method": "GET", "path": "/ping"}));
    assert_eq!(
        spec[1],
        json!({"identifier": "messages.js:list", "functionType": "Query", "visibility": {"kind": "public"},
               "args": {"type": "object", "value": {}}, "returns": {"type": "any"}})
    );
    let components = fixture.system("_system/frontend/components:list", &json!({}));
    assert_eq!((&components[0]["path"], &components[0]["state"]), (&json!(""), &json!("active")));
    let schemas = fixture.system("_system/frontend/getSchemas", &json!({"componentId": null}));
    let active: Json = serde_json::from_str(schemas["active"].as_str().unwrap()).unwrap();
    assert_eq!(active["tables"][0]["searchIndexes"], json!([]));
    assert_eq!(schemas.get("inProgress"), None);
}

#[tokio::test]
async fn a_query_of_a_table_runs_again_when_the_table_changes() {
    let fixture = Fixture::new();
    fixture.insert("messages", r#"{"author":"a"}"#);
    let functions = SystemFunctions::new(String::new(), String::new());
    let mut transaction = fixture.begin();
    let args = Value::object([("tableName", Value::from("messages"))]);
    let path = "_system/cli/queryTable".parse().unwrap();
    functions.query(&path, args.as_object().unwrap(), &mut transaction).unwrap();
    let reads = Arc::new(transaction.read_set().clone());
    let subscription = fixture.database.subscribe(reads, transaction.snapshot_ts(), Arc::new(|| {}));
    fixture.insert("others", "{}");
    assert!(subscription.is_valid());
    fixture.insert("messages", "{}");
    assert!(!subscription.is_valid());
}
