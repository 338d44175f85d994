//! Asking the service as somebody, and looking at what that left behind: audit records and events.

use domain::{
    accounts::Balance,
    customers::{CustomerEdit, CustomerName},
    ids::Id,
    personal::Personal,
    preferences::{
        AutoPay, BillDelivery, Communication, EmailStatus, Language, MailingAddress, Notifications, Preferences,
    },
    premises::Address,
    status::Status,
    time::{Clock, HOUR, Instant, LocalDate},
    values::AccountNumber,
};
use reqwest::Method;
use serde_json::Value;
use server::demo::oidc;
use store::{
    Operator,
    audit::{Filter, Record},
    seed::{self, NewAccount, NewCustomer, NewPremise, NewServicePoint},
};

use crate::support::{Answer, Service};

/// Somebody with a token, or nobody.
pub struct User<'s> {
    service: &'s Service,
    token: Option<String>,
}

impl<'s> User<'s> {
    pub async fn of(service: &'s Service, name: &str) -> Self {
        let token = if name == "nobody" { None } else { Some(service.token(name).await) };
        Self { service, token }
    }

    /// Whoever has this token.
    pub fn with(service: &'s Service, token: &str) -> Self {
        Self { service, token: Some(token.to_owned()) }
    }

    /// Sends a request; a body goes as the type that its method takes unless `headers` names another.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let mut headers = headers.to_vec();
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            let patch = method == "PATCH";
            headers.push(("content-type", if patch { "application/merge-patch+json" } else { "application/json" }));
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.service
            .send(method, self.token.as_deref(), path, &headers, body.map(|body| body.as_bytes().to_vec()))
            .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await
    }
    pub async fn put(&self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, &[], Some(body)).await
    }
    pub async fn patch(&self, path: &str, body: &str) -> Answer {
        self.send("PATCH", path, &[], Some(body)).await
    }
    pub async fn post(&self, path: &str) -> Answer {
        self.send("POST", path, &[], None).await
    }
}

/// The audit records of a request.
pub async fn records(service: &Service, request_id: &str) -> Vec<Record> {
    let filter = Filter { request_id: Some(request_id.into()), limit: 100, raw: true, ..Filter::default() };
    let operator = Operator { user: "test", reason: "test" };
    let shown = service.store.show_audit(&filter, operator).await.unwrap();
    shown.into_iter().map(|shown| shown.record).collect()
}

/// An event without its id and time.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub customer: i64,
    pub sequence: i64,
    pub kind: String,
    pub data: Value,
}

/// Every event in the outbox, oldest first, each customer's in their order.
pub async fn events(service: &Service) -> Vec<Told> {
    let rows = store::outbox::list(&service.store, true, None, 10_000).await.unwrap();
    let told = |row: store::outbox::OutboxRow| Told {
        customer: row.customer.get(),
        sequence: row.sequence,
        kind: row.kind,
        data: serde_json::from_str(&row.data).unwrap(),
    };
    rows.into_iter().map(told).collect()
}

fn text<P: Personal>(value: &str) -> P {
    P::parse(value).unwrap()
}

/// A customer whom nobody of the demonstration is linked to, but a log-in of its own: number 10 with account 1100,
/// which has no premises.
pub async fn enrol_bare(service: &Service) {
    enrol_linked(service, vec![(format!("{}{}", service.base, oidc::PATH), "bare".to_owned())]).await;
}

/// The same, linked to whom an issuer calls by these subjects.
pub async fn enrol_linked(service: &Service, links: Vec<(String, String)>) {
    let start = service.clock.now();
    let customer = NewCustomer {
        id: Id::new(10).unwrap(),
        edit: CustomerEdit { name: CustomerName::Business { name: text("Bare Ltd.") }, email: None, phone: None },
        status: Status::Active,
        inactive_since: None,
        created_at: start,
        links,
        accounts: vec![NewAccount {
            id: Id::new(1100).unwrap(),
            number: AccountNumber::parse("BARE-1").unwrap(),
            nickname: None,
            status: Status::Active,
            created_at: start,
            balance: Balance::default(),
            premises: Vec::new(),
        }],
        preferences: Preferences::of_newcomer(),
        payment_methods: Vec::new(),
    };
    seed::write(&service.store, &[], &[customer]).await.unwrap();
}

/// Makes dave customer 9 with account 1090, primary premise 2090 and premise 2091, which is inactive;
/// `inactive_days` makes the customer inactive since so many days.
pub async fn enrol_dave(service: &Service, inactive_days: Option<i64>) {
    let start = LocalDate::parse("2021-01-01").unwrap();
    // Ended, but for less than the 24 months in which its owner may read it.
    let end = service.app.zone.date(service.clock.now()).plus_days(-100);
    let at = |date| service.app.zone.start(date);
    let premise = |id: i64, status, end: Option<LocalDate>| NewPremise {
        id: Id::new(id).unwrap(),
        nickname: None,
        address: Address {
            street: text("1 Elm Street"),
            unit: None,
            city: text("Dallas"),
            state: text("TX"),
            zip: text("75202"),
        },
        is_primary: end.is_none(),
        status,
        service_start: start,
        service_end: end,
        occupancy: (at(start), end.map(at)),
        created_at: at(start),
        service_points: vec![NewServicePoint {
            id: Id::new(id + 2000).unwrap(),
            esi_id: text(&format!("1044372000900{id}")),
            wires_company: 1,
            meters: Vec::new(),
        }],
    };
    let since: Option<Instant> = inactive_days.map(|days| service.clock.now().plus(-days * 24 * HOUR));
    let status = if since.is_some() { Status::Inactive } else { Status::Active };
    let customer = NewCustomer {
        id: Id::new(9).unwrap(),
        edit: CustomerEdit {
            name: CustomerName::Individual { first: text("Dave"), last: text("Jones") },
            email: None,
            phone: None,
        },
        status,
        inactive_since: since,
        created_at: at(start),
        links: vec![(format!("{}{}", service.base, oidc::PATH), oidc::subject_of("dave"))],
        accounts: vec![NewAccount {
            id: Id::new(1090).unwrap(),
            number: AccountNumber::parse("9090909090").unwrap(),
            nickname: None,
            status,
            created_at: at(start),
            balance: Balance::default(),
            premises: vec![premise(2090, Status::Active, None), premise(2091, Status::Inactive, Some(end))],
        }],
        preferences: Preferences {
            bill_delivery: BillDelivery::Mail,
            notifications: Notifications {
                bill_ready: false,
                payment_due: false,
                outage_alerts: false,
                high_usage_alerts: false,
            },
            auto_pay: AutoPay { enabled: false, payment_method: None },
            mailing_address: MailingAddress::SameAsPrimaryPremise,
            communication: Communication {
                language: Language::English,
                email_status: EmailStatus::Unverified,
                sms_consent: false,
                sms_consent_at: None,
                marketing_consent: false,
                marketing_consent_at: None,
            },
            version: 1,
        },
        payment_methods: Vec::new(),
    };
    seed::write(&service.store, &[], &[customer]).await.unwrap();
}
