use super::*;

#[test]
fn every_operation_is_described_and_has_a_name_of_its_own() {
    let mut names: Vec<&str> = Vec::new();
    for route in routes() {
        assert!(!route.about.is_empty() && !route.tag.is_empty(), "{}", route.path);
        assert!(route.rules.iter().all(|rule| !rule.categories.is_empty()), "{}: reveals nothing?", route.path);
        assert!(!names.contains(&route.action), "{} twice", route.action);
        names.push(route.action);
    }
    assert!(names.len() >= 30);
}

#[test]
fn who_can_log_in_where_is_told_by_the_service_and_not_in_the_file() {
    let at = |issuer: &str| SignIn { issuer: issuer.to_owned(), client: "docs".to_owned() };
    assert_eq!(served(&[]), document());
    let served: Value = serde_json::from_str(&served(&[at("https://a.example/"), at("https://b.example/r")])).unwrap();
    assert_eq!(served["security"], json!([{"bearer": []}, {"openid": ["openid"]}, {"openid-2": ["openid"]}]));
    let scheme = |name: &str| &served["components"]["securitySchemes"][name];
    let discovery = "https://a.example/.well-known/openid-configuration";
    assert_eq!(
        (&scheme("openid")["type"], &scheme("openid")["openIdConnectUrl"]),
        (&json!("openIdConnect"), &json!(discovery))
    );
    assert_eq!(scheme("openid-2")["openIdConnectUrl"], "https://b.example/r/.well-known/openid-configuration");
    assert_eq!((&scheme("openid-2")["x-client-id"], &scheme("bearer")["scheme"]), (&json!("docs"), &json!("bearer")));
}

#[test]
fn a_patch_requires_nothing_at_any_depth() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    let mut nested = 0;
    for route in routes() {
        let Some(media_type) = route.consumes else { continue };
        let operation = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
        let schema = &operation["requestBody"]["content"][media_type]["schema"];
        // An operation's input is described by itself.
        if route.input.is_some() {
            continue;
        }
        assert!(schema["properties"].is_object(), "{}", route.path);
        if route.method != Method::PATCH {
            assert!(schema["required"].is_array(), "{}", route.path);
            continue;
        }
        let mut open = vec![schema];
        while let Some(schema) = open.pop() {
            assert!(schema.get("required").is_none(), "{}: {schema}", route.path);
            let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
            open.extend(name.map(|name| &document["components"]["schemas"][name]));
            let members = schema["properties"].as_object();
            nested += usize::from(members.is_some());
            open.extend(members.into_iter().flat_map(|members| members.values()));
        }
    }
    assert!(nested > 8, "preferences have three objects: {nested}");
}
