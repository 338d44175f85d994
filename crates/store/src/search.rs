//! Staff's search over all customers, by the look-up hashes of what is sealed.
//!
//! One statement gives a page's customers in the order in which they came; it begins at whatever narrows most: numbers
//! that are looked up first, a hashed term, or nothing but the order. Each further term is one probe of the same index,
//! because all look-up rows of a customer carry the instant at which the customer came.

use domain::{
    customers::{Customer, CustomerType},
    ids::{CustomerId, Id},
    search::{MOST_TERMS, Search, Wanted, Words},
    status::Status,
    time::Instant,
    values::{fold_email, fold_phone},
};

use crate::{
    Crowd, Guarded, Store, StoreError, customers,
    db::{Param, Sql, params, statements},
    sealed::reveal,
};

/// A further term, where there is one.
macro_rules! also {
    ($($kind:literal $hash:literal),+) => {
        concat!($(" AND (CAST(", $kind, " AS text) IS NULL OR EXISTS (SELECT 1 FROM customer_lookup x
            WHERE x.kind = ", $kind, " AND x.hash = ", $hash, "
                AND x.created_at = c.created_at AND x.customer_id = c.customer_id))"),+)
    };
}

/// What every search has: its page, its filters and its further terms.
macro_rules! search {
    ($from:literal, $at:literal, $id:literal) => {
        concat!(
            "SELECT DISTINCT ", $at, ", ", $id, " FROM ", $from,
            " AND (", $at, ", ", $id, ") > ($1, $2) AND ", $at, " >= $3 AND ", $at, " < $4
                AND (CAST($5 AS text) IS NULL OR c.status = $5) AND (CAST($6 AS text) IS NULL OR c.type = $6)",
            also!("$8" "$9", "$10" "$11", "$12" "$13", "$14" "$15", "$16" "$17", "$18" "$19", "$20" "$21"),
            " ORDER BY ", $at, ", ", $id, " LIMIT $7"
        )
    };
}

statements! {
    [heavy] ALL = { search!("customer c WHERE TRUE", "c.created_at", "c.customer_id") };
    [heavy] AMONG = {
        sqlite search!("customer c WHERE c.customer_id IN (SELECT value FROM json_each($22))", "c.created_at", "c.customer_id"),
        postgres search!("customer c WHERE c.customer_id = ANY($22)", "c.created_at", "c.customer_id")
    };
    [heavy] BY_TERM = { search!("customer_lookup l JOIN customer c ON c.customer_id = l.customer_id
        WHERE l.kind = $22 AND l.hash = $23", "l.created_at", "l.customer_id") };
    OF_ACCOUNT_NUMBER = {"SELECT customer_id FROM account_number WHERE account_number = $1"};
    // By company, as the index has it: there are few.
    OF_METER_NUMBER = {"SELECT DISTINCT ps.customer_id FROM wires_company w
        JOIN meter m ON m.wires_company_id = w.wires_company_id AND m.meter_number = $1
        JOIN premise_service_point ps ON ps.service_point_id = m.service_point_id"};
    OF_ESI_ID = {"SELECT DISTINCT ps.customer_id FROM service_point s
        JOIN premise_service_point ps ON ps.service_point_id = s.service_point_id
        WHERE s.esi_hash = $1"};
}

/// A look-up row: of which kind, and the hash.
pub(crate) type Lookup = (&'static str, [u8; 32]);

fn hashed(store: &Store, kind: &'static str, text: &str) -> Lookup {
    (kind, store.keyring.lookup().tag(kind, &[text.as_bytes()]))
}

/// The look-up rows of a text's words.
pub(crate) fn of_words(store: &Store, kinds: [&'static str; 2], words: Words) -> Vec<Lookup> {
    let [whole, prefix] = kinds;
    let whole = words.whole.into_iter().map(|word| hashed(store, whole, &word));
    let mut rows: Vec<Lookup> =
        whole.chain(words.prefixes.into_iter().map(|start| hashed(store, prefix, &start))).collect();
    // A name may hold a word twice.
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// The kinds of look-up rows of names.
pub(crate) const NAME: [&str; 2] = ["name", "name-prefix"];
/// The kinds of look-up rows of streets.
pub(crate) const STREET: [&str; 2] = ["street", "street-prefix"];

/// The look-up row of an e-mail address.
pub(crate) fn of_email(store: &Store, email: &str) -> Lookup {
    hashed(store, "email", &fold_email(email))
}

/// The look-up row of a telephone number.
pub(crate) fn of_phone(store: &Store, phone: &str) -> Option<Lookup> {
    fold_phone(phone).map(|phone| hashed(store, "phone", &phone))
}

/// What is asked for, as it can be looked up.
#[derive(Debug)]
pub struct Criteria {
    /// Hashed terms, the one that narrows most first.
    terms: Vec<Lookup>,
    account_number: Option<String>,
    meter_number: Option<String>,
    esi_hash: Option<[u8; 32]>,
    status: Option<Status>,
    kind: Option<CustomerType>,
    /// When the customer came, [from, to).
    created: (Instant, Instant),
}

impl Criteria {
    /// Normalises and hashes a search; `created` are the bounds of its dates.
    pub fn new(store: &Store, search: &Search, created: (Instant, Instant)) -> Self {
        let Search { email, phone, name, business_name, street, account_number, meter_number, esi_id, .. } = search;
        let mut terms: Vec<Lookup> = email.iter().map(|email| of_email(store, &reveal!(email))).collect();
        terms.extend(phone.as_ref().and_then(|phone| of_phone(store, &reveal!(phone))));
        let mut words: Vec<([&'static str; 2], Wanted)> = Vec::new();
        for text in [name, business_name].into_iter().flatten() {
            words.extend(Wanted::of_name(&reveal!(text)).into_iter().map(|word| (NAME, word)));
        }
        let street = street.as_ref().map(|street| Wanted::of_street(&reveal!(street)));
        words.extend(street.into_iter().flatten().map(|word| (STREET, word)));
        // Few customers share a long word; more share a prefix than a word.
        words.sort_by_key(|(_, word)| match word {
            Wanted::Whole(word) => (0, std::cmp::Reverse(word.chars().count())),
            Wanted::Prefix(start) => (1, std::cmp::Reverse(start.chars().count())),
        });
        terms.extend(words.into_iter().map(|([whole, prefix], word)| match word {
            Wanted::Whole(word) => hashed(store, whole, &word),
            Wanted::Prefix(start) => hashed(store, prefix, &start),
        }));
        let esi = |esi: &domain::values::EsiId| store.keyring.lookup().tag("esi-id", &[reveal!(esi).as_bytes()]);
        Self {
            terms,
            account_number: account_number.as_ref().map(ToString::to_string),
            meter_number: meter_number.as_ref().map(ToString::to_string),
            esi_hash: esi_id.as_ref().map(esi),
            status: search.status,
            // Only a business has a name of a business.
            kind: business_name.as_ref().map(|_| CustomerType::Business).or(search.kind),
            created,
        }
    }

    /// What a cursor is bound to: everything that is asked for.
    pub fn fingerprint(&self) -> String {
        format!("{self:?}")
    }

    /// Whose the given numbers are; `None` where none was given.
    async fn among(&self, store: &Store) -> Result<Option<Vec<i64>>, StoreError> {
        let asked: [(&'static Sql, Option<Param>); 3] = [
            (&OF_ACCOUNT_NUMBER, self.account_number.clone().map(Param::Text)),
            (&OF_METER_NUMBER, self.meter_number.clone().map(Param::Text)),
            (&OF_ESI_ID, self.esi_hash.map(|hash| Param::Bytes(hash.to_vec()))),
        ];
        let mut among: Option<Vec<i64>> = None;
        for (sql, param) in asked {
            let Some(param) = param else { continue };
            let rows = store.db.read(sql, vec![param]).await?;
            let of: Result<Vec<i64>, _> = rows.into_iter().map(|row| row.read().get()).collect();
            let of = of?;
            among = Some(match among {
                Some(among) => among.into_iter().filter(|id| of.contains(id)).collect(),
                None => of,
            });
        }
        Ok(among)
    }
}

/// Where a customer stands in the order of a search: when they came, and their id.
pub type Place = (Instant, CustomerId);

impl Store {
    /// The places of the customers who fit, behind one of them, in their order.
    pub async fn search(
        &self,
        _: &Crowd,
        criteria: &Criteria,
        after: Option<Place>,
        limit: i64,
    ) -> Result<Vec<Place>, StoreError> {
        let (from, to) = criteria.created;
        let (at, id) = after.map_or((Instant::EARLIEST, 0), |(at, id)| (at, id.get()));
        // A business is asked for where both a kind and its name are: no other has one.
        let mut params = params![at, id, from, to, criteria.status, criteria.kind, limit];
        let among = criteria.among(self).await?;
        let (driver, further) = match (&among, criteria.terms.split_first()) {
            (None, Some((first, further))) => (Some(*first), further),
            _ => (None, &*criteria.terms),
        };
        for slot in 0..MOST_TERMS {
            params.extend(match further.get(slot) {
                Some((kind, hash)) => params![*kind, *hash],
                None => vec![Param::Null, Param::Null],
            });
        }
        let sql = match (among, driver) {
            (Some(ids), _) => {
                params.push(Param::Ints(ids));
                &AMONG
            }
            (None, Some((kind, hash))) => {
                params.extend(params![kind, hash]);
                &BY_TERM
            }
            (None, None) => &ALL,
        };
        let place = |row: crate::db::Row| {
            let mut row = row.read();
            Ok((row.get()?, row.get()?))
        };
        self.db.read(sql, params).await?.into_iter().map(place).collect()
    }

    /// The profiles of customers who were found, in the order in which they came.
    pub async fn profiles(&self, _: &Crowd, found: &[Place]) -> Result<Vec<Guarded<Customer>>, StoreError> {
        customers::many(self, found.iter().map(|(_, id)| id.get()).collect()).await
    }
}
