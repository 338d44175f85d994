//! What Billing and Notifications report of a customer's preferences.

use schemars::JsonSchema;

use crate::{
    ids::CustomerId,
    input::{self, At, FieldError, FromInput, Node},
    named_enum,
    time::{Instant, LocalDate},
    values::Label,
};

/// A way to pay, as Billing reported it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "ReportedPaymentMethod")]
pub struct PaymentMethod {
    /// Billing's id of it.
    #[schemars(rename = "paymentMethodId", length(min = 1, max = 100))]
    pub id: String,
    /// Such as `Visa ending 4242`.
    pub label: Label,
    /// `YYYY-MM`, where it expires.
    #[schemars(regex(pattern = r"^[0-9]{4}-(0[1-9]|1[0-2])$"))]
    pub expires: Option<String>,
}

/// Billing's id of a payment method, as it reports it.
struct ReportedId(String);

impl FromInput for ReportedId {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        input::text(node, at, |text| {
            let right = (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
            let wrong =
                || FieldError::new("invalid-payment-method", "Write an id of 1 to 100 visible ASCII characters.");
            if right { Ok(Self(text.to_owned())) } else { Err(wrong()) }
        })
    }
}

/// A month, as `YYYY-MM`.
struct Month(String);

impl FromInput for Month {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        input::text(node, at, |text| {
            let right = text.len() == 7 && LocalDate::parse(&format!("{text}-01")).is_some();
            let wrong = || FieldError::new("invalid-month", "Write a month as 2027-04.");
            if right { Ok(Self(text.to_owned())) } else { Err(wrong()) }
        })
    }
}

impl FromInput for PaymentMethod {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        input::object(node, at, |members| {
            let (id, label) = (members.given::<ReportedId>("paymentMethodId"), members.given("label"));
            let expires = members.given::<Option<Month>>("expires");
            Some(Self { id: id?.0, label: label?, expires: expires?.map(|Month(month)| month) })
        })
    }
}

/// All payment methods of a customer, each once.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct PaymentMethods(#[schemars(length(max = 50))] pub Vec<PaymentMethod>);

impl FromInput for PaymentMethods {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        let mut methods: Vec<PaymentMethod> = input::list(node, at, 0..=50)?;
        // In the order in which they are kept.
        methods.sort_by(|one, other| one.id.cmp(&other.id));
        if methods.windows(2).any(|pair| matches!(pair, [one, other] if one.id == other.id)) {
            at.refuse(FieldError::new("duplicate-item", "Name each payment method once."));
            return None;
        }
        Some(Self(methods))
    }
}

crate::input! {
    /// What Billing reports of one customer's payment methods: all there are.
    PaymentMethodsReport {
        /// The customer.
        customer_id: CustomerId = "customerId",
        /// All of them: a method that is not here is not known any more.
        payment_methods: PaymentMethods = "paymentMethods",
        /// When all this was so: the newest report counts.
        as_of: Instant = "asOf",
    }
}

named_enum! {
    /// By what a message goes.
    Channel {
        /// E-mail.
        Email = "email",
        /// Text message.
        Sms = "sms",
    }
}

named_enum! {
    /// How a message came back.
    BounceKind {
        /// For good: there is no such address.
        Hard = "hard",
        /// For now: the mailbox is full, or its server was not there.
        Soft = "soft",
    }
}

crate::input! {
    /// A message of Notifications that came back.
    Bounce {
        /// To whom it went.
        customer_id: CustomerId = "customerId",
        /// By what.
        channel: Channel = "channel",
        /// How.
        kind: BounceKind = "kind",
        /// When.
        at: Instant = "at",
    }
}
