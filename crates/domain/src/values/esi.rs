//! ESI IDs: the market's names for service points. The market publishes which one is at which address,
//! so an ESI ID is as good as an address, and is a personal type.

use crate::input::{At, FieldError, FromInput, Node};
use crate::personal_types;

fn esi_id(text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    let shape = matches!(text.len(), 17 | 22) && text.starts_with("10") && text.bytes().all(|b| b.is_ascii_digit());
    if shape {
        return Ok(text.to_owned());
    }
    Err(FieldError::new("invalid-esi-id", "Enter an ESI ID: 17 or 22 digits that begin with 10."))
}

personal_types! {
    /// An Electric Service Identifier: `10`, the five digits of the wires company's DOE code, then 10 or
    /// 15 digits. No check digit; 22 digits overflow 64 bits, so it is a text. The shape is all that
    /// parsing tests; [`WiresCompanies::check`] tests the length that the company gives its own.
    EsiId by esi_id, schema
        {"type": "string", "minLength": 17, "maxLength": 22, "pattern": "^10[0-9]{15}([0-9]{5})?$", "examples": ["10443720001234567"]};
}

/// One prefix of a wires company (a company may have several).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WiresCompany {
    /// The first seven digits of its ESI IDs.
    pub prefix: String,
    /// Its name, as customers know it.
    pub name: String,
    /// A short stable code, for look-ups.
    pub code: String,
    /// How many digits its ESI IDs have: 17 or 22.
    pub esi_length: usize,
}

/// The prefix table. It is configuration: companies open to competition from time to time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WiresCompanies(Vec<WiresCompany>);

impl WiresCompanies {
    /// A table of the operator's own.
    pub fn new(companies: Vec<WiresCompany>) -> Self {
        Self(companies)
    }

    /// The areas of Texas that are open to competition.
    pub fn texas() -> Self {
        let company = |prefix: &str, name: &str, code: &str, esi_length| WiresCompany {
            prefix: prefix.to_owned(),
            name: name.to_owned(),
            code: code.to_owned(),
            esi_length,
        };
        Self(vec![
            company("1044372", "Oncor", "oncor", 17),
            company("1017699", "Oncor", "oncor", 17),
            company("1003278", "AEP Texas Central", "aep-central", 17),
            company("1020404", "AEP Texas North", "aep-north", 17),
            company("1040051", "TNMP", "tnmp", 17),
            company("1013830", "Nueces", "nueces", 17),
            company("1008901", "CenterPoint", "centerpoint", 22),
        ])
    }

    /// The prefixes in force.
    pub fn all(&self) -> &[WiresCompany] {
        &self.0
    }

    /// The company behind a service point; `None` for a prefix that the table does not know.
    pub fn company(&self, esi: &EsiId) -> Option<&WiresCompany> {
        self.0.iter().find(|company| esi.0.starts_with(&company.prefix))
    }

    /// Tests the length that a known prefix fixes; an unknown prefix is accepted.
    ///
    /// # Errors
    /// `invalid-esi-id`, with the number of digits that this company's have.
    pub fn check(&self, esi: &EsiId) -> Result<Option<&WiresCompany>, FieldError> {
        match self.company(esi) {
            Some(company) if company.esi_length != esi.0.len() => Err(FieldError::new(
                "invalid-esi-id",
                format!("ESI IDs of {} have {} digits.", company.name, company.esi_length),
            )),
            found => Ok(found),
        }
    }
}

impl Default for WiresCompanies {
    fn default() -> Self {
        Self::texas()
    }
}

/// ESI IDs of one place that one request names at most.
const MOST: usize = 20;

/// The ESI IDs of a place, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default, schemars::JsonSchema)]
pub struct EsiIds(#[schemars(length(max = 20))] pub Vec<EsiId>);

impl FromInput for EsiIds {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        let Node::List(items) = node else {
            at.refuse(FieldError::new("wrong-type", "Write a list here."));
            return None;
        };
        if items.len() > MOST {
            at.refuse(FieldError::new("too-many-lines", format!("Write at most {MOST} ESI IDs.")));
            return None;
        }
        let companies = WiresCompanies::default();
        let mut ids: Vec<EsiId> = Vec::new();
        let mut wrong = false;
        for (index, item) in items.iter().enumerate() {
            let mut at = at.below(&index.to_string());
            let id = EsiId::from_input(item, &mut at);
            let checked = id.as_ref().map_or(Ok(None), |id| companies.check(id));
            wrong |= id.is_none() || checked.is_err();
            if let Err(error) = checked {
                at.refuse(error);
            }
            ids.extend(id.filter(|id| !ids.contains(id)));
        }
        (!wrong).then_some(Self(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::personal::Personal as _;

    #[test]
    fn a_known_prefix_fixes_the_length() {
        let companies = WiresCompanies::default();
        let check = |text: &str| {
            let esi = EsiId::parse(text).map_err(|e| e.code)?;
            companies.check(&esi).map(|c| c.map(|c| c.code.clone())).map_err(|e| e.code)
        };
        assert_eq!(check("10443720001234567"), Ok(Some("oncor".into())));
        assert_eq!(check("1008901000123456789012"), Ok(Some("centerpoint".into())));
        assert_eq!(check("1044372000123456700000"), Err("invalid-esi-id"));
        assert_eq!(check("10089010001234567"), Err("invalid-esi-id"));
        assert_eq!(check("10999990001234567"), Ok(None), "an unknown prefix is accepted");
        for text in ["", "20443720001234567", "1044372000123456", "104437200012345678", "1044372000123456a"] {
            assert_eq!(check(text), Err("invalid-esi-id"), "{text}");
        }
        assert_eq!(format!("{:?}", EsiId::parse("10443720001234567").unwrap()), "EsiId(..)");
    }
}
