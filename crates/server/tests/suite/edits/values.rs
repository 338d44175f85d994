//! What members take, and the rules between them.

use domain::time::{Clock, SECOND};
use serde_json::{Value, json};
use similar_asserts::assert_eq;

use crate::{
    ask::{User, events},
    on_both_engines,
    support::{Answer, Service},
};

on_both_engines! { names_and_addresses_of_every_script, telephone_numbers_and_mail_addresses, auto_pay_and_mailing_address_have_rules, times_of_consents_are_the_servers }

async fn names_and_addresses_of_every_script(service: Service) {
    let alice = User::of(&service, "alice").await;
    for text in [
        "O'Brien-Smith",
        "Nguyễn",
        "محمد بن سلمان",
        "שרה כהן",
        "李小龍",
        "Владимир",
        "ვახტანგ",
        "अनुष्का",
        "ไพลิน",
        "👩\u{200D}👧",
        "می\u{200C}خواهم",
        "葛\u{E0100}城",
        "<script>alert(1)</script>",
        "'; DROP TABLE customer; --",
        "a\u{200B}b",
        "Zoë\u{200F}",
    ] {
        let patch = json!({"firstName": text, "lastName": text}).to_string();
        let answer = alice.patch("/api/customer", &patch).await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.body);
        let seen = alice.get("/api/customer").await.json();
        assert_eq!((seen["firstName"].as_str(), seen["lastName"].as_str()), (Some(text), Some(text)));
    }
    for text in ["1/2 Main St", "County Road 12", "Rue de l'Église 7", "東京都千代田区1-1", "شارع 5"] {
        let answer = alice.patch("/api/premises/2001", &json!({"street": text, "nickname": text}).to_string()).await;
        assert_eq!(answer.json()["street"].as_str(), Some(text), "{}", answer.body);
        let mailing = json!({"mailingAddress": {"sameAsPrimaryPremise": false, "street": format!("c/o {text}\nPO Box 1234"),
            "city": text, "state": "TX", "zip": "75001-1234"}});
        let answer = alice.patch("/api/preferences", &mailing.to_string()).await;
        assert_eq!(answer.json()["mailingAddress"], mailing["mailingAddress"], "{}", answer.body);
    }
    // Trimmed and composed.
    let answer = alice.patch("/api/customer", r#"{"firstName":" \u3000Ame\u0301lie\n"}"#).await;
    assert_eq!(answer.json()["firstName"], "Amélie");
    let long = "x".repeat(10_000);
    for (text, code) in [
        ("", "blank"),
        (" \u{3000} ", "blank"),
        ("\u{200B}\u{200D}", "blank"),
        ("a\u{7}b", "forbidden-character"),
        ("a\tb", "forbidden-character"),
        ("a\nb", "forbidden-character"),
        ("a\u{202E}b", "forbidden-character"),
        ("a\u{2067}b", "forbidden-character"),
        ("a\u{FDD0}b", "forbidden-character"),
        ("a\u{E000}b", "forbidden-character"),
        (&long, "too-long"),
    ] {
        for (path, member) in
            [("/api/customer", "firstName"), ("/api/accounts/1001", "nickname"), ("/api/premises/2001", "street")]
        {
            let answer = alice.patch(path, &json!({member: text}).to_string()).await;
            assert_eq!(
                answer.errors(),
                [format!("/{member}:{code}")],
                "{path} {}",
                text.escape_unicode().take(80).collect::<String>()
            );
            assert!(!answer.body.contains("xxxx"), "what was sent is not repeated");
        }
    }
    let characters = async |n: usize| {
        alice.patch("/api/customer", &json!({"firstName": "😀".repeat(n)}).to_string()).await.status.as_u16()
    };
    assert_eq!((characters(100).await, characters(101).await), (200, 422), "bounded in characters");
}

async fn telephone_numbers_and_mail_addresses(service: Service) {
    let alice = User::of(&service, "alice").await;
    for (sent, shown) in [
        ("5551234567", "(555) 123-4567"),
        ("+1 555.123.4567", "(555) 123-4567"),
        ("1-555-123-4567", "(555) 123-4567"),
        ("(555) 123-4567 ext. 12", "(555) 123-4567 x12"),
        ("011 44 20 7946 0958", "+44 20 7946 0958"),
        ("+44 (0)20 7946 0958", "+44 20 7946 0958"),
    ] {
        let answer = alice.patch("/api/customer", &json!({"phone": sent}).to_string()).await;
        assert_eq!(answer.json()["phone"], shown, "{sent}");
    }
    for wrong in ["", "123-4567", "call 555 123 4567", "+999 123 456 789", "<script>"] {
        let answer = alice.patch("/api/customer", &json!({"phone": wrong}).to_string()).await;
        assert_eq!(answer.errors(), ["/phone:invalid-phone"], "{wrong}");
    }
    let status = async || alice.get("/api/preferences/communication").await.json()["emailStatus"].clone();
    alice.patch("/api/customer", r#"{"phone":"555-987-6543"}"#).await;
    assert_eq!(status().await, "ok", "another change says nothing of the address");
    for mail in ["o'brien+bills@mail.example.co.uk", "用户@例子.广告"] {
        assert_eq!(alice.patch("/api/customer", &json!({"email": mail}).to_string()).await.json()["email"], mail);
        assert_eq!(status().await, "unverified", "{mail}");
    }
    for (wrong, code) in [
        ("john", "invalid-email"),
        ("John <john@example.com>", "invalid-email"),
        ("john@example.com\r\nBcc: x@example.com", "forbidden-character"),
    ] {
        let answer = alice.patch("/api/customer", &json!({"email": wrong}).to_string()).await;
        assert_eq!(answer.errors(), [format!("/email:{code}")], "{wrong}");
    }
}

async fn auto_pay_and_mailing_address_have_rules(service: Service) {
    let alice = User::of(&service, "alice").await;
    let patch = async |body: Value| alice.patch("/api/preferences", &body.to_string()).await;
    let method = "/autoPay/paymentMethodId";
    for (auto_pay, errors) in [
        (json!({"enabled": true}), vec![format!("{method}:missing")]),
        (json!({"enabled": true, "paymentMethodId": "pm_92"}), vec![format!("{method}:unknown-payment-method")]),
        (json!({"enabled": false, "paymentMethodId": "pm_0"}), vec![format!("{method}:unknown-payment-method")]),
        (json!({"paymentMethodId": ""}), vec![format!("{method}:unknown-payment-method")]),
        (json!({"paymentMethodId": 81}), vec![format!("{method}:wrong-type")]),
    ] {
        let answer = patch(json!({"autoPay": auto_pay, "billDelivery": "mail"})).await;
        assert_eq!((answer.status.as_u16(), answer.errors()), (422, errors), "{auto_pay}");
    }
    assert_eq!(alice.get("/api/preferences").await.json()["billDelivery"], "email", "all or nothing");
    let answer = patch(json!({"autoPay": {"enabled": true, "paymentMethodId": "pm_81"}})).await;
    assert_eq!(answer.json()["autoPay"], json!({"enabled": true, "paymentMethodId": "pm_81"}));
    let answer = patch(json!({"autoPay": {"enabled": false}})).await;
    assert_eq!(answer.json()["autoPay"], json!({"enabled": false, "paymentMethodId": "pm_81"}), "the method is kept");

    let mailing = |member: &str, code: &str| format!("/mailingAddress/{member}:{code}");
    for (address, errors) in [
        (
            json!({"sameAsPrimaryPremise": false}),
            ["street", "city", "state", "zip"].map(|m| mailing(m, "missing")).to_vec(),
        ),
        (json!({"street": "PO Box 1", "zip": "75001"}), ["street", "zip"].map(|m| mailing(m, "must-be-null")).to_vec()),
        (
            json!({"sameAsPrimaryPremise": false, "street": "a\nb\nc", "city": "X", "state": "ZZ", "zip": "٧٥٠٠١"}),
            vec![mailing("street", "too-many-lines"), mailing("state", "invalid-state"), mailing("zip", "invalid-zip")],
        ),
        (
            json!({"sameAsPrimaryPremise": false, "street": "PO Box 1", "zip": "x"}),
            vec![mailing("city", "missing"), mailing("state", "missing"), mailing("zip", "invalid-zip")],
        ),
    ] {
        let answer = patch(json!({"mailingAddress": address})).await;
        let (mut found, mut right) = (answer.errors(), errors);
        found.sort();
        right.sort();
        assert_eq!(found, right, "{address}");
    }
    let bob = User::of(&service, "bob").await;
    let same = r#"{"mailingAddress":{"sameAsPrimaryPremise":true,"street":null,"city":null,"state":null,"zip":null}}"#;
    assert_eq!(bob.patch("/api/preferences", same).await.json()["mailingAddress"]["street"], Value::Null);
}

async fn times_of_consents_are_the_servers(service: Service) {
    const PATH: &str = "/api/preferences/communication";
    let alice = User::of(&service, "alice").await;
    let second = || service.clock.now().micros() / SECOND;
    let at = |answer: &Answer, member: &str| {
        let time = answer.json()[member].as_str().map(|time| domain::time::Instant::parse(time).unwrap());
        time.map(|time| time.micros() / SECOND)
    };
    let begun = second();
    let said = alice.patch(PATH, r#"{"smsConsent":true,"smsConsentAt":"2001-01-01T00:00:00Z"}"#).await;
    let first = at(&said, "smsConsentAt").unwrap();
    assert!((begun..=second()).contains(&first), "{}", said.body);
    assert_eq!(at(&said, "marketingConsentAt"), None);
    service.clock.forward(60 * SECOND);
    let again = alice.patch(PATH, r#"{"smsConsent":true,"marketingConsent":true}"#).await;
    assert_eq!(at(&again, "smsConsentAt"), Some(first), "it was said then");
    assert!(at(&again, "marketingConsentAt").unwrap() >= first + 60);
    let withdrawn = alice.patch(PATH, r#"{"smsConsent":false}"#).await;
    assert!(at(&withdrawn, "smsConsentAt").unwrap() >= first + 60, "{}", withdrawn.body);
    let last = events(&service).await.pop().unwrap();
    assert_eq!(last.data["changed"], json!(["communication.smsConsent"]));
}
