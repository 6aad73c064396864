//! The date for templates that ask for it: a small `strftime`, in UTC, so that machines agree.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A moment in UTC, taken apart.
struct Civil {
    year: i64,
    /// 1 to 12.
    month: usize,
    day: u64,
    /// 0 is Sunday.
    weekday: usize,
    /// 1 to 366.
    year_day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    /// Moments before 1970 count as 1970.
    fn new(now: SystemTime) -> Self {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (mut year, mut year_day) = (1970, days);
        while year_day >= days_of_year(year) {
            year_day -= days_of_year(year);
            year += 1;
        }
        let (mut month, mut day) = (1, year_day);
        while day >= days_of_month(year, month) {
            day -= days_of_month(year, month);
            month += 1;
        }
        Self {
            year,
            month,
            day: day + 1,
            // 1 January 1970 was a Thursday.
            weekday: ((days + 4) % 7) as usize,
            year_day: year_day + 1,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_year(year: i64) -> u64 {
    if leap(year) { 366 } else { 365 }
}

fn days_of_month(year: i64, month: usize) -> u64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `datetime.strftime`. The error names a directive that is not known here.
pub(super) fn strftime(format: &str, now: SystemTime) -> Result<String, String> {
    let t = Civil::new(now);
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut directive = chars.next().unwrap_or('%');
        let padded = directive != '-';
        if !padded {
            directive = chars.next().unwrap_or('-');
        }
        let number = |value: u64, width: usize| {
            if padded { format!("{value:0width$}") } else { value.to_string() }
        };
        let month = MONTHS[t.month - 1];
        let weekday = DAYS[t.weekday];
        let hour12 = (t.hour + 11) % 12 + 1;
        out.push_str(&match directive {
            'Y' => t.year.to_string(),
            'y' => number(t.year.unsigned_abs() % 100, 2),
            'm' => number(t.month as u64, 2),
            'd' => number(t.day, 2),
            'e' => format!("{:2}", t.day),
            'j' => number(t.year_day, 3),
            'H' => number(t.hour, 2),
            'I' => number(hour12, 2),
            'M' => number(t.minute, 2),
            'S' => number(t.second, 2),
            'p' => if t.hour < 12 { "AM" } else { "PM" }.to_owned(),
            'B' => month.to_owned(),
            'b' => month[..3].to_owned(),
            'A' => weekday.to_owned(),
            'a' => weekday[..3].to_owned(),
            'Z' => "UTC".to_owned(),
            'F' => format!("{}-{:02}-{:02}", t.year, t.month, t.day),
            'T' => format!("{:02}:{:02}:{:02}", t.hour, t.minute, t.second),
            '%' => "%".to_owned(),
            other => return Err(format!("strftime_now does not know %{other}")),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_as_python_prints_them() {
        let all = "%Y-%m-%d %H:%M:%S %a %A %b %B %j %y %I %p %-d/%-m %F %T %e %%";
        for (seconds, text) in [
            (
                0,
                "1970-01-01 00:00:00 Thu Thursday Jan January 001 70 12 AM 1/1 1970-01-01 00:00:00  1 %",
            ),
            (
                951_782_400,
                "2000-02-29 00:00:00 Tue Tuesday Feb February 060 00 12 AM 29/2 2000-02-29 00:00:00 29 %",
            ),
            (
                1_798_761_599,
                "2026-12-31 23:59:59 Thu Thursday Dec December 365 26 11 PM 31/12 2026-12-31 23:59:59 31 %",
            ),
            (
                4_107_542_400,
                "2100-03-01 00:00:00 Mon Monday Mar March 060 00 12 AM 1/3 2100-03-01 00:00:00  1 %",
            ),
        ] {
            let now = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(strftime(all, now).as_deref(), Ok(text), "{seconds}");
        }
        let error = strftime("%Q", UNIX_EPOCH).expect_err("no such directive");
        assert!(error.contains("%Q"), "{error}");
    }
}
