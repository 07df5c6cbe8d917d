//! Environment variables: setting, listing and removing them, and what depends on them.

use super::*;

#[tokio::test]
async fn changing_a_variable_configures_authentication_anew() {
    let fixture = Fixture::new();
    let auth =
        ("auth.config.js", json!("{\"providers\":[{\"domain\":\"{env:ISSUER}\",\"applicationID\":\"a\"}]}"));
    let push = Push::new(&[auth]);
    let error = fixture.start(&push).await.unwrap_err();
    assert_eq!(error.code, "AuthConfigMissingEnvironmentVariable");
    assert!(
        error
            .message
            .ends_with("Environment variable ISSUER is used in auth config file but its value was not set"),
        "{error}"
    );
    fixture.set(json!([{"name": "ISSUER", "value": "https://one.example.com"}])).await.unwrap();
    let finished = fixture.push(&push).await;
    assert_eq!(
        finished["authDiff"]["added"],
        json!([r#"{"applicationID":"a","domain":"https://one.example.com"}"#])
    );
    fixture.set(json!([{"name": "ISSUER", "value": "https://two.example.com"}])).await.unwrap();
    let providers = Deployment::auth_providers(&mut fixture.begin()).unwrap();
    assert_eq!(providers, [json!({"applicationID": "a", "domain": "https://two.example.com"})]);
    let error = fixture.set(json!([{"name": "ISSUER", "value": null}])).await.unwrap_err();
    assert!(error.message.starts_with("This change would make the auth config invalid"), "{error}");
    assert_eq!(
        fixture.system("_system/cli/queryEnvironmentVariables:get", &json!({"name": "ISSUER"}))["value"],
        "https://two.example.com"
    );
}

#[tokio::test]
async fn a_removed_variable_is_gone() {
    let fixture = Fixture::new();
    fixture.set(json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])).await.unwrap();
    fixture.set(json!([{"name": "A", "value": null}])).await.unwrap();
    let list = fixture.deployment.list_environment_variables().await.unwrap();
    assert_eq!(list.environment_variables.into_keys().collect::<Vec<_>>(), ["B"]);
    fixture.set(json!([{"name": "B"}])).await.unwrap();
    assert_eq!(fixture.system("_system/cli/queryEnvironmentVariables", &json!({})), json!([]));
}

#[tokio::test]
async fn whoever_listed_variables_hears_of_a_removal() {
    let fixture = Fixture::new();
    fixture.set(json!([{"name": "A", "value": "1"}])).await.unwrap();
    let mut transaction = fixture.begin();
    crate::environment::list(&mut transaction).unwrap();
    let reads = Arc::new(transaction.read_set().clone());
    let subscription = fixture.database.subscribe(reads, transaction.snapshot_ts(), Arc::new(|| {}));
    assert!(subscription.is_valid());
    fixture.set(json!([{"name": "A", "value": null}])).await.unwrap();
    assert!(!subscription.is_valid());
}
