use super::*;

const SAMPLE: &str = r#"{"kind":"move-in","type":"individual","firstName":"Dana","lastName":"Reyes",
    "email":"dana@example.com","phone":"(555) 010-2000","requestedStartDate":"2025-01-20",
    "address":{"street":"9 Elm Street","unit":null,"city":"Anytown","state":"TX","zip":"75001"},
    "esiIds":["10443720001234599"],"mailingAddress":null,"language":"en",
    "acceptedTerms":{"documents":[{"name":"terms-of-service","version":"2024-06"}]}}"#;

fn read(body: &str) -> Result<Application, Vec<String>> {
    let (node, mut errors) = (Node::parse(body.as_bytes()).unwrap(), Vec::new());
    let read = Application::from_input(&node, &mut At::root(&mut errors));
    read.ok_or_else(|| errors.iter().map(|e| format!("{}:{}", e.pointer, e.code)).collect())
}

fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(SAMPLE.contains(from), "{from}");
    read(&SAMPLE.replace(from, to)).err().unwrap_or_default()
}

#[test]
fn the_sample_is_read() {
    let application = read(SAMPLE).unwrap();
    assert_eq!(application.documents, [Document { name: "terms-of-service".into(), version: "2024-06".into() }]);
    assert_eq!((application.esi_ids.len(), application.mailing_address), (1, MailingAddress::SameAsPrimaryPremise));
    assert!(changed(r#""esiIds":["10443720001234599"],"#, "").is_empty());
    assert!(changed(r#""esiIds":["10443720001234599"],"#, r#""esiIds":null,"#).is_empty());
    assert!(changed(r#""phone":"(555) 010-2000","#, "").is_empty());
    let business = r#""type":"business","businessName":"Elm Ltd.""#;
    assert!(changed(r#""type":"individual","firstName":"Dana","lastName":"Reyes""#, business).is_empty());
}

#[test]
fn what_is_not_needed_is_refused_by_name() {
    let more = Uncollected::NAMES.map(|name| format!("\"{name}\":\"1\",")).concat();
    let errors = changed("{\"kind\"", &format!("{{{more}\"kind\""));
    assert_eq!(errors, Uncollected::NAMES.map(|name| format!("/{name}:not-collected")));
}

#[test]
fn every_error_is_found_at_once() {
    let errors = read(
        r#"{"kind":"visit","type":"business","firstName":"D","businessName":"","email":"d",
        "requestedStartDate":"2025-02-30","esiIds":["1"],"acceptedTerms":{"documents":[]}}"#,
    );
    let right = [
        "/kind:unknown-value",
        "/businessName:blank",
        "/email:invalid-email",
        "/requestedStartDate:invalid-date",
        "/esiIds/0:invalid-esi-id",
        "/acceptedTerms/documents:too-few-items",
        "/firstName:unknown-member",
    ];
    assert_eq!(errors.unwrap_err(), right);
    assert_eq!(changed(r#""type":"individual","#, ""), ["/type:missing"]);
    assert_eq!(
        read(r#"{"kind":"switch","type":"individual"}"#).unwrap_err(),
        ["/firstName", "/lastName", "/email", "/requestedStartDate", "/acceptedTerms", "/address"]
            .map(|member| format!("{member}:missing"))
    );
    assert_eq!(changed("2024-06", "June 2024"), ["/acceptedTerms/documents/0/version:invalid-word"]);
}

#[test]
fn service_begins_soon() {
    let application = read(SAMPLE).unwrap();
    let on = |today: &str| application.check(LocalDate::parse(today).unwrap()).map_err(|e| e.pointer);
    assert_eq!((on("2025-01-20"), on("2024-10-22")), (Ok(()), Ok(())));
    let pointer = Err("/requestedStartDate".to_owned());
    assert_eq!((on("2025-01-21"), on("2024-10-21")), (pointer.clone(), pointer));
}

#[test]
fn confirmation_numbers_have_no_look_alikes() {
    assert_eq!(confirmation_number(0), "ENR-2222-2222");
    assert_eq!(confirmation_number(1), "ENR-3222-2222");
    let last = confirmation_number(u64::MAX);
    assert_eq!((last.len(), last.contains(['0', 'O', '1', 'I', 'L'])), (13, false), "{last}");
}

#[test]
fn the_diagram_of_the_documentation_has_the_same_steps() {
    let text = include_str!("../../../../docs/lifecycles.md");
    let section = text.split_once("\n## Enrolment\n").unwrap().1.split("\n## ").next().unwrap();
    let lines = section.lines().map(str::trim).filter(|line| line.contains("-->") && !line.starts_with("[*]"));
    let drawn: Vec<&str> = lines.map(|line| line.split(':').next().unwrap()).collect();
    let steps = EnrollmentStatus::STEPS.iter();
    let right: Vec<String> = steps.map(|(from, to)| format!("{} --> {}", from.name(), to.name())).collect();
    assert_eq!(drawn, right);
}

#[test]
fn what_ended_stays_so() {
    use EnrollmentStatus::{Active, Rejected, Withdrawn};
    for (status, name) in EnrollmentStatus::ALL {
        let ended = [Active, Rejected, Withdrawn].contains(status);
        assert_eq!(EnrollmentStatus::STEPS.iter().any(|(from, _)| from == status), !ended, "{name}");
        assert_eq!((status.is_open(), status.next_step().is_some()), (!ended, !ended), "{name}");
    }
}
