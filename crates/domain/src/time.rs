//! Instants, local dates and the market's zone. Service dates are local dates, instants are UTC;
//! nothing here reads the clock: time is a parameter (see [`Clock`]).

use jiff::{Timestamp, civil, tz};

/// An instant in microseconds since 1970-01-01T00:00:00Z, the resolution of both databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

/// One second in the unit of [`Instant`].
pub const SECOND: i64 = 1_000_000;
/// One hour in the unit of [`Instant`].
pub const HOUR: i64 = 3600 * SECOND;

impl Instant {
    /// The earliest instant that both engines hold: the year 1.
    pub const EARLIEST: Self = Self(-62_135_596_800_000_000);

    /// Later than everything that either engine holds: the year 9999 is over.
    pub const LATEST: Self = Self(253_402_300_799_999_999);

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }
    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }
    /// This instant moved by some microseconds; the ends of time stop it.
    pub const fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
    /// Microseconds from `earlier` to this instant.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
    /// Reads RFC 3339 with an offset of at most 18 hours, in the years 1 to 9999.
    pub fn parse(text: &str) -> Option<Self> {
        // jiff reads more than RFC 3339 (ISO basic forms, bracketed zones, seconds of an offset, the year 0).
        let bytes = text.as_bytes();
        let plain = text.len() >= 20
            && bytes.get(10).is_some_and(|b| b.eq_ignore_ascii_case(&b'T'))
            && !text.contains('[')
            && bytes.get(4) == Some(&b'-')
            && bytes.get(13) == Some(&b':')
            && has_offset(text)
            && !text.starts_with("0000");
        let read = plain.then(|| text.parse::<Timestamp>().ok()).flatten()?;
        // The first hours of the year 1 may be the year 0 in UTC.
        (read >= YEAR_ONE).then(|| Self(read.as_microsecond()))
    }
    fn timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }
}

/// Midnight of 0001-01-01 in UTC.
const YEAR_ONE: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// Whether a text ends with `Z`, or with hours and minutes of at most 18:00, where no zone is.
fn has_offset(text: &str) -> bool {
    let digits = text.rsplit(['+', '-']).next().unwrap_or_default();
    text.ends_with(['Z', 'z']) || (digits.len() == 5 && digits <= "18:00")
}

impl std::fmt::Display for Instant {
    /// RFC 3339 in whole seconds with `Z`, the form of the wire.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = Self(self.0.div_euclid(SECOND).saturating_mul(SECOND)).timestamp();
        // The ends of the calendar, where instants beyond them stand, have a fraction.
        let seconds = Timestamp::from_second(whole.as_second()).unwrap_or(whole);
        write!(f, "{seconds}")
    }
}

/// A date without a time, such as the start of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalDate(civil::Date);

const EPOCH: civil::Date = civil::date(1970, 1, 1);

impl LocalDate {
    /// Reads `YYYY-MM-DD`, in the years 1 to 9999.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 10 && !text.starts_with(['+', '-']) && !text.starts_with("0000");
        plain.then(|| text.parse().ok()).flatten().map(Self)
    }
    /// Days since 1970-01-01, the form of both databases.
    pub fn days(self) -> i64 {
        let span = self.0.since((jiff::Unit::Day, EPOCH));
        span.map(|s| i64::from(s.get_days())).unwrap_or_default()
    }
    /// From days since 1970-01-01.
    pub fn from_days(days: i64) -> Option<Self> {
        EPOCH.checked_add(jiff::Span::new().try_days(days).ok()?).ok().map(Self)
    }
    /// This date moved by some days; the ends of time stop it.
    pub fn plus_days(self, days: i64) -> Self {
        Self(jiff::Span::new().try_days(days).map_or(self.0, |s| self.0.saturating_add(s)))
    }
    /// The first of this date's month, moved by some months.
    pub fn month_start(self, months: i32) -> Self {
        Self(self.0.first_of_month().saturating_add(jiff::Span::new().months(months)))
    }
    /// The first instant of this date in UTC.
    pub fn start_utc(self) -> Instant {
        Instant::from_micros(self.days().saturating_mul(24 * HOUR))
    }
    /// The Monday of this date's week.
    pub fn week_start(self) -> Self {
        self.plus_days(-i64::from(self.0.weekday().to_monday_zero_offset()))
    }
}

impl std::fmt::Display for LocalDate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The zone in which the market counts its days.
#[derive(Debug, Clone)]
pub struct Zone(tz::TimeZone);

impl Zone {
    /// A zone of the IANA database, such as `America/Chicago`.
    pub fn named(name: &str) -> Option<Self> {
        tz::TimeZone::get(name).ok().map(Self)
    }
    /// The zone's IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
    /// The date at an instant.
    pub fn date(&self, at: Instant) -> LocalDate {
        LocalDate(self.0.to_datetime(at.timestamp()).date())
    }
    /// The instant at which a date begins.
    pub fn start(&self, date: LocalDate) -> Instant {
        let start = date.0.to_zoned(self.0.clone());
        Instant(start.map_or(date.days().saturating_mul(24 * HOUR), |z| z.timestamp().as_microsecond()))
    }
}

/// Where the present comes from. Tests and the demo's `--as-of` bring their own.
pub trait Clock: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Instant;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        #[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
        let now = Timestamp::now();
        Instant(now.as_microsecond())
    }
}

macro_rules! text_on_the_wire {
    ($($name:ident, $format:literal);+) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "format": $format})
            }
            fn inline_schema() -> bool {
                true
            }
        }
    )+};
}
text_on_the_wire!(Instant, "date-time"; LocalDate, "date");

impl crate::input::FromInput for LocalDate {
    fn from_input(node: &crate::input::Node, at: &mut crate::input::At<'_>) -> Option<Self> {
        let wrong = || crate::input::FieldError::new("invalid-date", "Write a date of the calendar as 2025-01-15.");
        crate::input::text(node, at, |text| Self::parse(text).ok_or_else(wrong))
    }
}

impl crate::input::FromInput for Instant {
    fn from_input(node: &crate::input::Node, at: &mut crate::input::At<'_>) -> Option<Self> {
        let wrong = || {
            let message = "Write an instant with its offset, such as 2025-01-15T12:00:00-06:00.";
            crate::input::FieldError::new("invalid-date", message)
        };
        crate::input::text(node, at, |text| Self::parse(text).ok_or_else(wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_need_an_offset_and_show_seconds() {
        let at = Instant::parse("2025-01-15T12:00:00.5-06:00").unwrap();
        assert_eq!(at.to_string(), "2025-01-15T18:00:00Z");
        assert_eq!(Instant::from_micros(i64::MAX).to_string(), "9999-12-30T22:00:00Z");
        for (text, shown) in [
            ("2025-01-15T12:00:00+18:00", "2025-01-14T18:00:00Z"),
            ("2025-01-15t12:00:00z", "2025-01-15T12:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(Instant::parse(text).unwrap().to_string(), shown);
        }
        for text in [
            "2025-01-15T12:00:00",
            "2025-01-15",
            "2025-01-15 12:00:00Z",
            "2025-02-30T00:00:00Z",
            "2025-01-15T12:00:00-06:00[America/Chicago]",
            "20250115T120000Z",
            "2025-01-15T12:00:00+18:01",
            "2025-01-15T12:00:00-25:00",
            "2025-01-15T12:00:00+05:30:15",
            "2025-01-15T12:00:00-0600",
            "2025-01-15T12:00:00-06",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+06:00",
            "",
        ] {
            assert_eq!(Instant::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn dates_go_to_days_and_back() {
        for text in ["1970-01-01", "2025-01-15", "1969-12-31", "2024-02-29", "9999-12-31"] {
            let date = LocalDate::parse(text).unwrap();
            assert_eq!(LocalDate::from_days(date.days()), Some(date));
            assert_eq!(date.to_string(), text);
        }
        for text in ["2025-02-29", "2025-1-1", "20250101", "2025-13-01", "+002025-01-01", "0000-12-31"] {
            assert_eq!(LocalDate::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn days_of_texas_have_23_24_or_25_hours() {
        let zone = Zone::named("America/Chicago").unwrap();
        let hours = |text| {
            let date = LocalDate::parse(text).unwrap();
            zone.start(date.plus_days(1)).since(zone.start(date)) / HOUR
        };
        assert_eq!((hours("2026-03-08"), hours("2026-11-01"), hours("2026-07-01")), (23, 25, 24));
    }
}
