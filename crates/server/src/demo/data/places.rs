//! Where the customers of the demonstration are supplied.

/// A premise in a line: id, nickname, [street, unit, city, ZIP, ESI ID], start of service, meters.
pub(super) type Place = (i64, Option<&'static str>, [&'static str; 5], &'static str, &'static [(i64, &'static str)]);

pub(super) const ALICE: [Place; 1] = [(
    2001,
    None,
    ["123 Main Street", "", "Anytown", "75001", "10443720001234567"],
    "2020-03-15",
    &[(3001, "E-12345678")],
)];
pub(super) const HEADQUARTERS: [Place; 1] = [(
    2002,
    Some("Headquarters"),
    ["400 Commerce Street", "Suite 1200", "Dallas", "75202", "10443720002345678"],
    "2019-01-15",
    &[(3002, "E-20345671")],
)];
pub(super) const WAREHOUSES: [Place; 2] = [
    (
        2003,
        Some("Cold store"),
        ["2250 Irving Boulevard", "", "Dallas", "75207", "10443720002345694"],
        "2019-02-01",
        &[(3003, "E-20345672"), (3004, "E-40118236")],
    ),
    (
        2004,
        Some("Dispatch"),
        ["2262 Irving Boulevard", "Dock 4", "Dallas", "75207", "10443720002345701"],
        "2019-02-01",
        &[(3005, "E-20345673")],
    ),
];
pub(super) const BAKERY: [Place; 2] = [
    (
        2005,
        Some("Main bakery"),
        ["1800 Harrisburg Boulevard", "", "Houston", "77003", "1008901012345678900101"],
        "2018-06-01",
        &[(3006, "C-77003018"), (3007, "C-77003019")],
    ),
    (
        2006,
        Some("Mill"),
        ["611 Navigation Boulevard", "", "Houston", "77003", "1008901012345678900102"],
        "2018-06-01",
        &[(3008, "C-77003020")],
    ),
];
pub(super) const SHOPS: [Place; 2] = [
    (
        2007,
        Some("Heights shop"),
        ["1123 Yale Street", "", "Houston", "77008", "1008901012345678900103"],
        "2019-09-01",
        &[(3009, "C-77008114")],
    ),
    (
        2008,
        Some("Midtown shop"),
        ["2401 Main Street", "Unit B", "Houston", "77002", "1008901012345678900104"],
        "2021-04-15",
        &[(3010, "C-77002733")],
    ),
];
pub(super) const OFFICE: [Place; 1] = [(
    2009,
    None,
    ["5 Market Square", "Suite 300", "Houston", "77002", "1008901012345678900105"],
    "2018-06-01",
    &[(3011, "C-77002734")],
)];
