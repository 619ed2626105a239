//! The served description against real answers: every route that can be read answers as it says, every failure too, every
//! parameter it names is taken.

use crate::support::{Browser, Site};
use db::users::Role;
use jsonschema::Validator;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// What checks an answer of this status.
fn validator(document: &Value, operation: &Value, status: StatusCode) -> Option<Validator> {
    let answer = &operation["responses"][status.as_str()];
    let schema = answer["content"]["application/json"].get("schema")?;
    let mut whole = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema]});
    whole["components"] = document["components"].clone();
    Some(
        jsonschema::options()
            .build(&whole)
            .unwrap_or_else(|error| panic!("{schema}: {error}")),
    )
}

fn check(document: &Value, operation: &Value, what: &str, status: StatusCode, body: &Value) {
    let validator = validator(document, operation, status);
    let validator = validator.unwrap_or_else(|| panic!("{what}: {status} is not described: {body}"));
    let problems: Vec<String> = validator
        .iter_errors(body)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{what}: {problems:#?}");
}

/// The path with the examples of its parameters.
fn example(path: &str, operation: &Value) -> String {
    let mut path = path.to_owned();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "path" {
            let value = &parameter["example"];
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            path = path.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), &text);
        }
    }
    path
}

fn readable(document: &Value) -> Vec<(&str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let with_get = paths
        .iter()
        .filter_map(|(path, methods)| Some((path.as_str(), methods.get("get")?)));
    with_get.filter(|(path, _)| *path != "/api/live").collect()
}

async fn document(browser: &Browser) -> Value {
    let document = browser.json("/api/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    document
}

#[tokio::test]
async fn every_answer_is_as_described() {
    let site = Site::seeded().await;
    let browser = site.member("root", Role::Admin).await;
    browser
        .post(
            "/api/holds",
            &json!({"prefix": crate::support::seed::ATTACKED, "reason": "a row for the audit", "for": "4h"}),
        )
        .await;
    let document = document(&browser).await;
    for (path, operation) in readable(&document) {
        let asked = example(path, operation);
        let (status, body) = browser.get(&asked).await;
        assert_eq!(status, StatusCode::OK, "{asked}: {body}");
        check(&document, operation, &asked, status, &body);
    }
}

#[tokio::test]
async fn every_parameter_is_taken_and_no_other() {
    let site = Site::seeded().await;
    let browser = site.member("root", Role::Admin).await;
    let document = document(&browser).await;
    for (path, operation) in readable(&document) {
        let parameters = operation["parameters"].as_array();
        let in_query: Vec<&Value> = parameters
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "query")
            .collect();
        if in_query.is_empty() {
            continue;
        }
        let asked = example(path, operation);
        for parameter in in_query {
            let name = parameter["name"].as_str().unwrap();
            let sample = ["/example", "/schema/example"]
                .into_iter()
                .find_map(|place| parameter.pointer(place));
            let value = match sample {
                Some(Value::String(text)) => text.clone(),
                Some(number) => number.to_string(),
                None => String::new(),
            };
            let address = format!("{asked}?{name}={value}");
            let (status, body) = browser.get(&address).await;
            assert_eq!(status, StatusCode::OK, "{address}: {body}");
            check(&document, operation, &address, status, &body);
        }
        let address = format!("{asked}?no_such_parameter=1");
        let (status, body) = browser.get(&address).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::BAD_REQUEST, &json!("unknown_parameter")),
            "{address}"
        );
        check(&document, operation, &address, status, &body);
    }
}

#[tokio::test]
async fn every_refusal_is_as_described() {
    let site = Site::seeded().await;
    let (stranger, viewer) = (site.stranger(), site.member("ana", Role::Viewer).await);
    let document = document(&viewer).await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let asked = example(path, operation);
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let request = stranger.request(method.clone(), &asked).json(&json!({}));
            let (status, body) = crate::support::told(request.send().await.unwrap()).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{asked}: {body}");
            check(&document, operation, &asked, status, &body);
            if method == Method::GET {
                continue;
            }
            let without_secret = viewer.request(method, &asked).json(&json!({}));
            let (status, body) = crate::support::told(without_secret.send().await.unwrap()).await;
            assert_eq!(
                (status, &body["code"]),
                (StatusCode::FORBIDDEN, &json!("csrf_refused")),
                "{asked}"
            );
            check(&document, operation, &asked, status, &body);
        }
    }
}
