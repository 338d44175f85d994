use super::*;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn given(file: Option<&str>, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> (tempfile::TempDir, Given) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("settings.toml");
    let file = file.map(|text| {
        std::fs::write(&path, text).unwrap();
        path
    });
    (dir, Given { file, variables: pairs(variables), flags: pairs(flags) })
}

fn refused(file: Option<&str>, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> String {
    let (_dir, given) = given(file, variables, flags);
    Config::load(&given).unwrap_err().to_string()
}

#[test]
fn later_layers_win_and_say_so() {
    let file = "listen = '127.0.0.1:1001'\nzone = 'UTC'\n[management]\nlisten = '127.0.0.1:1002'\n[http]\nmax-connections = 7\n";
    let variables =
        [("CUSTOMER_SERVICE_LISTEN", "127.0.0.1:2001"), ("CUSTOMER_SERVICE_MANAGEMENT_LISTEN", "127.0.0.1:2002")];
    let (_dir, given) = given(Some(file), &variables, &[("listen", "127.0.0.1:3001")]);
    let (config, layered) = Config::load(&given).unwrap();
    assert_eq!(config.listen.port(), 3001);
    assert_eq!(config.management_listen.port(), 2002);
    assert_eq!((config.zone.as_str(), config.http_max_connections), ("UTC", 7));
    assert_eq!(layered["listen"].1, Source::Flag("listen".into()));
    assert_eq!(layered["management.listen"].1.to_string(), "environment variable CUSTOMER_SERVICE_MANAGEMENT_LISTEN");
    assert!(matches!(layered["zone"].1, Source::File(_)));
    assert_eq!(layered["data-dir"].1, Source::Default);
}

#[test]
fn every_setting_has_a_member_and_every_member_a_setting() {
    // A value for each: `Config` denies what it does not know, and names what it lacks.
    let issuers =
        r#"[{"issuer":"https://id.example","audience":"a","jwks_url":"https://id.example/k","roles":["customer"]}]"#;
    for setting in SETTINGS {
        let value = match (setting.kind, setting.default) {
            (_, Some(default)) if !default.is_empty() => default,
            (Kind::Issuers, _) => issuers,
            (Kind::Networks, _) => "10.0.0.0/8, ::1",
            (Kind::Codes, _) => "audit",
            (Kind::Origins, _) => "https://portal.example",
            _ => "some",
        };
        let (_dir, given) = given(None, &[(&setting.variable(), value)], &[]);
        Config::load(&given).unwrap_or_else(|e| panic!("{}: {e}", setting.path));
    }
}

#[test]
fn unknown_settings_stop_with_the_nearest_known_one() {
    let sentence = refused(Some("listne = '127.0.0.1:1'"), &[], &[]);
    assert!(
        sentence.starts_with("There is no setting listne in ") && sentence.ends_with("Did you mean listen?"),
        "{sentence}"
    );
    let sentence = refused(Some("[http]\nmax-conections = 1"), &[], &[]);
    assert!(sentence.ends_with("Did you mean http.max-connections?"), "{sentence}");
    let sentence = refused(None, &[("CUSTOMER_SERVICE_KEYRING_FIEL", "x")], &[]);
    assert!(sentence.ends_with("Did you mean CUSTOMER_SERVICE_KEYRING_FILE?"), "{sentence}");
    assert!(refused(Some("[no]\nsuch = 1"), &[], &[]).contains("There is no setting no "));
}

#[test]
fn what_kubernetes_adds_is_not_ours() {
    let variables = [
        ("CUSTOMER_SERVICE_SERVICE_HOST", "10.0.0.1"),
        ("CUSTOMER_SERVICE_PORT", "tcp://10.0.0.1:8080"),
        ("CUSTOMER_SERVICE_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("CUSTOMER_SERVICE_SERVICE_PORT_HTTP", "8080"),
        ("OTHER", "x"),
    ];
    let (_dir, given) = given(None, &variables, &[]);
    Config::load(&given).unwrap();
    for setting in SETTINGS {
        assert!(!setting.path.starts_with("port") && !setting.path.starts_with("service"), "{}", setting.path);
    }
}

#[test]
fn wrong_values_are_refused_without_being_quoted() {
    for (file, variables, expected) in [
        (Some("listen = 8080"), vec![], "listen (file"),
        (Some("listen = 'localhost:8080'"), vec![], "address:port"),
        (Some("[database]\nurl = 5"), vec![], "database.url"),
        (Some("[database]\nurl = 'hunter2"), vec![], "line 2"),
        (Some("[[issuers]]\nissuer = 'https://id.example'"), vec![], "missing field"),
        (Some("issuers = [{issuer='i', audience='a', jwks_url='u', roles=[], rolls=[]}]"), vec![], "rolls"),
        (None, vec![("CUSTOMER_SERVICE_DATABASE_POOL_SIZE", "0")], "1 to 1000"),
        (None, vec![("CUSTOMER_SERVICE_LOG_FORMAT", "xml")], "text or json"),
        (None, vec![("CUSTOMER_SERVICE_ISSUERS", "hunter2")], "issuers"),
        (None, vec![("CUSTOMER_SERVICE_ZONE", "Texas")], "IANA"),
        (None, vec![("CUSTOMER_SERVICE_HTTP_CORS_ORIGINS", "*")], "origin"),
        (None, vec![("CUSTOMER_SERVICE_HTTP_TRUSTED_PROXIES", "10.0.0.0/99")], "10.0.0.0/99"),
        (None, vec![("CUSTOMER_SERVICE_LOG_LEVEL", "server=loud")], "log.level"),
        (None, vec![("CUSTOMER_SERVICE_LOG_LEVEL", "loud")], "\"loud\" is none of off, error"),
        (None, vec![("CUSTOMER_SERVICE_LOG_LEVEL", "")], "log.level"),
        (None, vec![("CUSTOMER_SERVICE_LOG_LEVEL", "info,=debug")], "log.level"),
        (None, vec![("CUSTOMER_SERVICE_KEYRING", "k"), ("CUSTOMER_SERVICE_KEYRING_FILE", "f")], "one place"),
        (None, vec![("CUSTOMER_SERVICE_LISTEN", "127.0.0.1:9000")], "different ports"),
        (None, vec![("CUSTOMER_SERVICE_CONFIG", "/no/such/file")], "/no/such/file"),
    ] {
        let sentence = refused(file, &variables, &[]);
        assert!(sentence.contains(expected), "{sentence:?} should say {expected:?}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }
}

#[test]
fn every_error_is_named_at_once() {
    let sentence = refused(
        Some("zone = 'Texas'\nlistne = 1\n[log]\nlevel = 'loud'\n[http]\ntrusted-proxies = ['a', '::1', 'b']"),
        &[("CUSTOMER_SERVICE_LIMITS_BURST", "none"), ("CUSTOMER_SERVICE_KEYRING", "k")],
        &[("keyring-file", "f"), ("listen", "here")],
    );
    let lines: Vec<&str> = sentence.lines().collect();
    for words in ["zone", "listne", "log.level", "limits.burst", "one place", "listen (flag --listen)"] {
        assert_eq!(lines.iter().filter(|line| line.contains(words)).count(), 1, "{words} in {sentence}");
    }
    let proxies = lines.iter().find(|line| line.contains("trusted-proxies")).unwrap();
    assert!(proxies.contains("\"a\"") && proxies.contains("\"b\"") && !proxies.contains("::1"), "{proxies}");
    assert_eq!(lines.len(), 7, "{sentence}");
    // What stood below a wrong value is not judged in its place.
    let sentence = refused(Some("listen = '127.0.0.1:9000'"), &[], &[("listen", "here")]);
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
}

#[test]
fn levels_by_module_are_taken() {
    for level in ["off", "info", "info,server=debug", "warn, store::db=trace"] {
        let (_dir, given) = given(None, &[("CUSTOMER_SERVICE_LOG_LEVEL", level)], &[]);
        assert_eq!(Config::load(&given).unwrap().0.log_level, level);
    }
}

#[test]
fn secrets_are_masked() {
    let variables =
        [("CUSTOMER_SERVICE_DATABASE_URL", "postgres://u:hunter2@h/d"), ("CUSTOMER_SERVICE_KEYRING", "hunter2")];
    let (_dir, given) = given(None, &variables, &[]);
    let (config, layered) = Config::load(&given).unwrap();
    let shown = show(&layered);
    assert!(!shown.contains("hunter2") && !format!("{config:?}").contains("hunter2"));
    assert!(shown.contains("database.url = (secret)  # environment variable CUSTOMER_SERVICE_DATABASE_URL"), "{shown}");
    assert!(shown.contains("# keyring-file is not set"));
    assert!(shown.parse::<toml::Table>().is_ok(), "what is shown can be used as a file: {shown}");
}

#[test]
fn the_committed_reference_is_this_one() {
    let committed = include_str!("../../../../docs/configuration.md");
    assert!(
        committed == reference(),
        "docs/configuration.md is stale: customer-service config --reference > docs/configuration.md"
    );
}
