//! Masks: what of personal data those see who may only look. It is enough to tell two customers apart, and not enough
//! to write to one. A mask names the members that it cuts as JSON pointers into the representation.

use crate::{
    accounts::Account,
    customers::{Customer, CustomerName, CustomerType},
    market::Rejection,
    personal::Personal,
    premises::{Address, Premise},
    values::{BusinessName, EmailAddress, EsiId, Nickname, PersonName, PhoneNumber, Street},
};

/// Cuts a text down.
#[expect(clippy::disallowed_methods, reason = "a mask has to look at what it hides; what it makes hides it")]
fn cut<P: Personal>(value: &mut P, mask: fn(&str) -> String) {
    *value = P::from_record(mask(value.reveal()));
}

/// `J.` of `John`.
fn initial(name: &str) -> String {
    name.chars().take(1).chain(['.']).collect()
}

/// `j***@example.com` of `john.smith@example.com`.
fn mailbox(email: &str) -> String {
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    format!("{}***@{domain}", local.chars().take(1).collect::<String>())
}

/// `(***) ***-**67` of `(555) 123-4567 x12`: an extension is no part of the number.
fn last_two_digits(phone: &str) -> String {
    let number = phone.split('x').next().unwrap_or_default().trim_end();
    let mut hidden = number.bytes().filter(u8::is_ascii_digit).count().saturating_sub(2);
    let hide = |c: char| {
        if c.is_ascii_digit() && hidden > 0 {
            hidden -= 1;
            return '*';
        }
        c
    };
    number.chars().map(hide).collect()
}

/// The wires company's prefix, and zeros: the rest is as good as an address.
fn company(esi_id: &str) -> String {
    esi_id.char_indices().map(|(place, digit)| if place < 7 { digit } else { '0' }).collect()
}

/// Masks a profile.
pub fn customer(customer: &mut Customer) -> Vec<String> {
    let mut masked: Vec<String> = Vec::new();
    let kind = customer.name.kind();
    match &mut customer.name {
        CustomerName::Individual { first, last } => {
            cut::<PersonName>(first, initial);
            cut::<PersonName>(last, initial);
            masked.extend(["/firstName".to_owned(), "/lastName".to_owned()]);
        }
        CustomerName::Business { name } => {
            cut::<BusinessName>(name, initial);
            masked.push("/businessName".to_owned());
        }
    }
    if let Some(email) = &mut customer.email {
        cut::<EmailAddress>(email, mailbox);
        masked.push("/email".to_owned());
    }
    if let Some(phone) = &mut customer.phone {
        cut::<PhoneNumber>(phone, last_two_digits);
        masked.push("/phone".to_owned());
    }
    for (place, account) in customer.accounts.iter_mut().enumerate() {
        // Persons' nicknames are not in the profile at all.
        let hidden = hide(&mut account.nickname, format!("/accounts/{place}/nickname"));
        masked.extend(hidden.filter(|_| kind == CustomerType::Business));
    }
    masked
}

/// Masks an account with its premises.
pub fn account(account: &mut Account) -> Vec<String> {
    let mut masked: Vec<String> = hide(&mut account.nickname, "/nickname".to_owned()).into_iter().collect();
    for (place, premise) in account.premises.iter_mut().enumerate() {
        premise.nickname = None;
        masked.extend(address(&mut premise.address, &format!("/premises/{place}")));
    }
    masked
}

/// Masks a premise.
pub fn premise(premise: &mut Premise) -> Vec<String> {
    let mut masked: Vec<String> = hide(&mut premise.nickname, "/nickname".to_owned()).into_iter().collect();
    masked.extend(address(&mut premise.address, ""));
    for (place, point) in premise.service_points.iter_mut().enumerate() {
        cut::<EsiId>(&mut point.esi_id, company);
        masked.push(format!("/servicePoints/{place}/esiId"));
    }
    masked
}

/// Hides the words of a rejection; its code stays.
pub fn rejection(rejection: &mut Option<Rejection>) -> Vec<String> {
    let words = rejection.as_mut().and_then(|rejection| rejection.message.take());
    words.map(|_| "/rejection/message".to_owned()).into_iter().collect()
}

/// Leaves city, state and ZIP of the address that a representation has at a pointer.
pub fn address(address: &mut Address, at: &str) -> Vec<String> {
    cut::<Street>(&mut address.street, |_| "***".to_owned());
    let mut masked = vec![format!("{at}/street")];
    if address.unit.take().is_some() {
        masked.push(format!("{at}/unit"));
    }
    masked
}

/// Takes a nickname away.
fn hide(nickname: &mut Option<Nickname>, pointer: String) -> Option<String> {
    nickname.take().map(|_| pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_left() {
        assert_eq!(initial("John"), "J.");
        assert_eq!(initial("Élodie"), "É.");
        assert_eq!(mailbox("john.smith@example.com"), "j***@example.com");
        assert_eq!(mailbox("j@example.com"), "j***@example.com", "its length is not told either");
        assert_eq!(last_two_digits("(555) 123-4567"), "(***) ***-**67");
        assert_eq!(last_two_digits("(555) 123-4567 x12"), "(***) ***-**67");
        assert_eq!(last_two_digits("+44 20 7946 0958"), "+** ** **** **58");
        assert_eq!(company("10443720001234567"), "10443720000000000");
    }

    #[test]
    fn a_masked_value_still_has_its_form() {
        for phone in ["(555) 123-4567", "+44 20 7946 0958"] {
            assert!(last_two_digits(phone).chars().count() >= 7);
        }
        assert!(EmailAddress::parse(&mailbox("a@b.co")).is_ok());
        assert!(EsiId::parse(&company("1008901000123456789012")).is_ok());
    }
}
