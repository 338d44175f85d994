//! What operations on meters take.

use crate::{
    ids::MeterId,
    input,
    input::{At, FieldError, FromInput, Node, number, text},
    meters::{MeterType, Registers},
    named_enum,
    readings::{Dial, Quality, Register},
    time::{Instant, LocalDate},
    values::{EsiId, MeterNumber, Quantity},
};

named_enum! {
    /// The unit of a meter's readings.
    MeterUnit {
        /// Kilowatt-hours.
        KilowattHours = "kWh",
    }
}

/// A whole number within bounds.
macro_rules! whole {
    ($($(#[$doc:meta])* $name:ident($type:ty), $least:literal to $most:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub $type);

        impl FromInput for $name {
            fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
                let bounds = concat!("Write a whole number from ", $least, " to ", $most, ".");
                number(node, at, |text| {
                    let plain = text.bytes().all(|b| b.is_ascii_digit());
                    let value = plain.then(|| text.parse().ok()).flatten().filter(|n| ($least..=$most).contains(n));
                    value.map(Self).ok_or_else(|| FieldError::new("out-of-range", bounds))
                })
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "integer", "minimum": $least, "maximum": $most})
            }
            fn inline_schema() -> bool {
                true
            }
        }
    )+};
}
whole! {
    /// How many whole digits a register shows.
    Dials(u32), 1 to 9;
    /// What one unit of the dial stands for.
    Multiplier(i64), 1 to 1000000;
}

/// A short list; absent is none.
#[derive(Debug, Clone, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(inline)]
pub struct Few<T>(#[schemars(length(max = 10))] pub Vec<T>);

impl<T> Few<T> {
    const MOST: usize = 10;
}

impl<T: FromInput> FromInput for Few<T> {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        let Node::List(items) = node else {
            at.refuse(FieldError::new("wrong-type", "Write a list here."));
            return None;
        };
        if items.len() > Self::MOST {
            at.refuse(FieldError::new("too-many-lines", format!("Write at most {} items.", Self::MOST)));
            return None;
        }
        let read = |(index, item): (usize, &Node)| T::from_input(item, &mut at.below(&index.to_string()));
        // All are read before the first is missed.
        let items: Vec<Option<T>> = items.iter().enumerate().map(read).collect();
        items.into_iter().collect::<Option<Vec<T>>>().map(Self)
    }
    fn absent() -> Option<Self> {
        Some(Self(Vec::new()))
    }
}

/// The registers of a meter that is registered; absent is `delivered` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted(pub Registers);

impl FromInput for Counted {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        let Few(list): Few<Register> = Few::from_input(node, at)?;
        if !list.contains(&Register::Delivered) {
            at.refuse(FieldError::new("missing", "Every meter has the register delivered."));
            return None;
        }
        Some(Self(if list.contains(&Register::Received) { Registers::Both } else { Registers::Delivered }))
    }
    fn absent() -> Option<Self> {
        Some(Self(Registers::Delivered))
    }
}

impl schemars::JsonSchema for Counted {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Counted".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Few::<Register>::json_schema(generator)
    }
    fn inline_schema() -> bool {
        true
    }
}

/// A wires company's name, as customers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyName(String);

impl CompanyName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromInput for CompanyName {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        text(node, at, |text| {
            let name = text.trim();
            let fits = (1..=60).contains(&name.chars().count()) && !name.chars().any(char::is_control);
            let wrong = || FieldError::new("too-long", "Write a name of 1 to 60 characters.");
            fits.then(|| Self(name.to_owned())).ok_or_else(wrong)
        })
    }
}

impl schemars::JsonSchema for CompanyName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CompanyName".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "minLength": 1, "maxLength": 60, "examples": ["Oncor"]})
    }
    fn inline_schema() -> bool {
        true
    }
}

input! {
    /// A meter becomes known, before it is installed anywhere.
    MeterRegistration {
        /// The number on its plate, unique per wires company.
        meter_number: MeterNumber = "meterNumber",
        /// What it measures.
        kind: MeterType = "type",
        /// The unit of its readings.
        unit: MeterUnit = "unit",
        /// How many whole digits it shows.
        dials: Dials = "dials",
        /// What one unit of the dial stands for.
        multiplier: Multiplier = "multiplier",
        /// Which registers it has; `delivered` alone unless they are named.
        registers: Counted = "registers",
        /// Whose wires it is at: a company that we know.
        wires_company: CompanyName = "wiresCompany",
    }
}

input! {
    /// The meter that takes another one's place; it belongs to the same wires company.
    NewMeter {
        /// The number on its plate, unique per wires company.
        meter_number: MeterNumber = "meterNumber",
        /// What it measures.
        kind: MeterType = "type",
        /// The unit of its readings.
        unit: MeterUnit = "unit",
        /// How many whole digits it shows.
        dials: Dials = "dials",
        /// What one unit of the dial stands for.
        multiplier: Multiplier = "multiplier",
        /// Which registers it has; `delivered` alone unless they are named.
        registers: Counted = "registers",
    }
}

/// What a meter is, whichever way it became known.
#[derive(Debug, Clone, Copy)]
pub struct Plate<'a> {
    /// The number on it.
    pub number: &'a MeterNumber,
    /// What it measures.
    pub kind: MeterType,
    /// Dials and multiplier.
    pub dial: Dial,
    /// Its registers.
    pub registers: Registers,
}

macro_rules! plate {
    ($($name:ident)+) => {$(
        impl $name {
            /// What it is.
            pub fn plate(&self) -> Plate<'_> {
                let dial = Dial { dials: self.dials.0, multiplier: self.multiplier.0 };
                Plate { number: &self.meter_number, kind: self.kind, dial, registers: self.registers.0 }
            }
        }
    )+};
}
plate! { MeterRegistration NewMeter }

input! {
    /// What one register shows.
    RegisterValue {
        /// Which register.
        register: Register = "register",
        /// What the dials show, before the multiplier.
        value: Quantity = "value",
    }
}

input! {
    /// A meter is installed at a service point of a premise.
    Installation {
        /// The meter, which was registered and is installed nowhere.
        meter_id: MeterId = "meterId",
        /// The service point.
        esi_id: EsiId = "esiId",
        /// The local date, at whose beginning the meter begins.
        install_date: LocalDate = "installDate",
        /// What it shows then.
        initial_readings: Few<RegisterValue> = "initialReadings",
    }
}

input! {
    /// A meter is removed.
    Removal {
        /// When.
        removed_at: Instant = "removedAt",
        /// What it shows then.
        final_readings: Few<RegisterValue> = "finalReadings",
    }
}

input! {
    /// Another meter takes the place of one.
    Exchange {
        /// When.
        exchanged_at: Instant = "exchangedAt",
        /// What the old one shows then.
        final_readings: Few<RegisterValue> = "finalReadings",
        /// The new one.
        new_meter: NewMeter = "newMeter",
        /// What the new one shows then.
        first_readings: Few<RegisterValue> = "firstReadings",
    }
}

input! {
    /// What Meter reports of an exchange.
    ExchangeReport {
        /// The meter that was there.
        meter_id: MeterId = "meterId",
        /// When.
        exchanged_at: Instant = "exchangedAt",
        /// What the old one showed then.
        final_readings: Few<RegisterValue> = "finalReadings",
        /// The new one.
        new_meter: NewMeter = "newMeter",
        /// What the new one showed then.
        first_readings: Few<RegisterValue> = "firstReadings",
    }
}

impl ExchangeReport {
    /// The exchange, and of which meter.
    pub fn into_parts(self) -> (MeterId, Exchange) {
        let Self { meter_id, exchanged_at, final_readings, new_meter, first_readings } = self;
        (meter_id, Exchange { exchanged_at, final_readings, new_meter, first_readings })
    }
}

input! {
    /// Staff correct a reading, or add one: it counts instead of what was there, which stays as a superseded revision.
    Correction {
        /// Which register.
        register: Register = "register",
        /// When it was read.
        read_at: Instant = "readAt",
        /// What the dials showed, before the multiplier.
        value: Quantity = "value",
        /// How the value came about; `actual` unless it is named.
        quality: Option<Quality> = "quality",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: FromInput>(body: &str) -> Result<T, Vec<String>> {
        let (node, mut errors) = (Node::parse(body.as_bytes()).unwrap(), Vec::new());
        let read = T::from_input(&node, &mut At::root(&mut errors));
        read.ok_or_else(|| errors.iter().map(|e| format!("{}:{}", e.pointer, e.code)).collect())
    }

    #[test]
    fn a_meter_is_registered_with_all_its_errors_at_once() {
        let body = r#"{"meterNumber":"E-1","type":"electric","unit":"kWh","dials":5,"multiplier":40,
            "registers":["delivered","received"],"wiresCompany":" Oncor "}"#;
        let registration: MeterRegistration = read(body).unwrap();
        let Plate { dial, registers, .. } = registration.plate();
        assert_eq!((dial, registers), (Dial { dials: 5, multiplier: 40 }, Registers::Both));
        assert_eq!(registration.wires_company.as_str(), "Oncor");
        let body = r#"{"meterNumber":"E/1","type":"gas","unit":"m3","dials":0,"multiplier":1.5,"registers":["received"],
            "wiresCompany":""}"#;
        let errors = read::<MeterRegistration>(body).unwrap_err();
        assert_eq!(
            errors,
            [
                "/meterNumber:invalid-meter-number",
                "/type:unknown-value",
                "/unit:unknown-value",
                "/dials:out-of-range",
                "/multiplier:out-of-range",
                "/registers:missing",
                "/wiresCompany:too-long"
            ]
        );
    }

    #[test]
    fn what_may_be_absent_is_none() {
        let removal: Removal = read(r#"{"removedAt":"2025-01-12T15:00:00Z"}"#).unwrap();
        assert_eq!(removal.final_readings, Few(Vec::new()));
        let errors = read::<Removal>(r#"{"removedAt":"2025-01-12T15:00:00Z","finalReadings":[{"register":"x"},1]}"#);
        assert_eq!(
            errors.unwrap_err(),
            [
                "/finalReadings/0/register:unknown-value",
                "/finalReadings/0/value:missing",
                "/finalReadings/1:wrong-type"
            ]
        );
    }
}
