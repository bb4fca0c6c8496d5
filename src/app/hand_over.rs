//! Paper and exports: the hand-over sheet of a truck, and the record as CSV and JSON.

use qrcode::{QrCode, render::svg};
use serde_json::Value;
use time::{OffsetDateTime, macros::format_description};

use super::update::JobDetails;
use crate::{
    domain::{JobId, Problem},
    ports::ledger::{JobKind, JobRecord, JobState, StepEnd},
};

/// Black on white, for any printer, on one A4 page.
const STYLE: &str = "@page{size:A4;margin:16mm}*{box-sizing:border-box}body{font:11pt/1.35 system-ui,sans-serif;\
    color:#000;background:#fff;max-width:178mm;margin:0 auto}header{display:flex;justify-content:space-between;\
    gap:12mm;border-bottom:2pt solid #000;padding-bottom:4mm}h1{font-size:24pt;margin:0}h2{font-size:12pt;\
    margin:5mm 0 1mm}p{margin:1mm 0}.qr{width:34mm;height:34mm;flex:none}.qr svg{width:100%;height:100%}\
    table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:600;width:52mm;vertical-align:top}\
    th,td{padding:.8mm 0;border-bottom:.4pt solid #999}td{overflow-wrap:anywhere}.code{font:8.5pt monospace}\
    footer{display:flex;gap:12mm;margin-top:14mm}footer div{flex:1;border-top:.6pt solid #000;padding-top:1mm}";

/// The hand-over sheet of a sealed job as an HTML page, complete in itself.
///
/// # Errors
/// `sheet.not-sealed` for a job that was not sealed; `sheet.code` when no QR code can be made.
pub fn page(job: &JobDetails) -> Result<String, Problem> {
    let sealed = sealed(job)?;
    let record = &sealed.record;
    let text = |pointer: &str| match record.pointer(pointer) {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let (truck, thing) = (text("/truck"), text("/thing"));
    let qr = qr_svg(&qr_text(&thing, &job.record.job))?;
    let calibrated = record.pointer("/calibrated").and_then(Value::as_bool).unwrap_or(false);
    let board = [
        ("Board (MAC)", text("/mac")),
        ("Chip", text("/chip")),
        ("Firmware", text("/firmware")),
        ("Firmware digest", text("/image_sha256")),
    ];
    let cloud = [
        ("Account", text("/account")),
        ("Connects to", text("/endpoint/host")),
        ("Topic of readings", text("/readings_topic")),
        ("Certificate", text("/certificate")),
    ];
    let references = "/calibration/report/references";
    let calibration = [
        ("State", if calibrated { "Calibrated" } else { "NOT calibrated" }.to_owned()),
        ("Thermometer, serial number", text(&format!("{references}/thermometer_serial"))),
        ("Multimeter, serial number", text(&format!("{references}/multimeter_serial"))),
        ("Residuals, °C", numbers(record.pointer("/calibration/report/freezer_residuals_celsius"))),
        ("Residuals, V", numbers(record.pointer("/calibration/report/supply_residuals_volts"))),
    ];
    let proof = [
        ("Readings equal on USB and MQTT", text("/proof/samples")),
        ("Slowest way to the cloud, s", number(record.pointer("/proof/slowest_secs"))),
        ("Wish from cloud to board and back, s", number(record.pointer("/proof/wish_secs"))),
        ("Last reading", number(record.pointer("/proof/last/seq"))),
        ("Way to the cloud", way(record.pointer("/proof/way"))),
        ("Proven (UTC)", text("/proof/at")),
    ];
    let seal = [
        ("Record", job.record.job.to_string()),
        ("Sealed (UTC)", text("/sealed")),
        ("SHA-256 of the record", sealed.sha256),
        ("Signature", sealed.signature),
    ];
    let tables: String = [
        ("Board", &board[..]),
        ("Cloud", &cloud[..]),
        ("Calibration", &calibration[..]),
        ("Proof", &proof[..]),
        ("Record", &seal[..]),
    ]
    .iter()
    .map(|(title, rows)| table(title, rows))
    .collect();
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Hand-over, truck {truck}</title>\
         <style>{STYLE}</style></head><body><header><div><p>Hand-over of a sensor board</p><h1>Truck {truck}</h1>\
         <p>{thing}</p></div><div class=\"qr\">{qr}</div></header>{tables}<footer><div>Handed over by, date</div>\
         <div>Taken over by, date</div></footer></body></html>\n",
        truck = escaped(&truck),
        thing = escaped(&thing),
    ))
}

/// What the QR code of a truck says: the thing and the number of the record.
pub fn qr_text(thing: &str, job: &JobId) -> String {
    format!("coldbench:{thing}:{job}")
}

/// A QR code as SVG, to be placed in a page.
///
/// # Errors
/// `sheet.code` for a text that no QR code can hold.
pub fn qr_svg(text: &str) -> Result<String, Problem> {
    let code = QrCode::new(text).map_err(|error| {
        Problem::new("sheet.code", format!("No QR code can be made: {error}"), "Shorten the name of the thing")
    })?;
    let drawn = code.render::<svg::Color<'_>>().min_dimensions(160, 160).build();
    // A page takes the element, not the declaration before it.
    Ok(drawn.find("<svg").map_or_else(String::new, |start| drawn[start..].to_owned()))
}

/// The record as CSV (RFC 4180), one job a line.
pub fn jobs_csv(jobs: &[JobRecord]) -> String {
    let mut csv = "job,kind,state,truck,thing,board,port,began_utc,ended_utc,problem,left_over\r\n".to_owned();
    for job in jobs {
        let fields = [
            job.job.to_string(),
            kind_words(job.kind).to_owned(),
            state_words(job.state).to_owned(),
            job.truck.as_ref().map(ToString::to_string).unwrap_or_default(),
            job.thing.as_ref().map(ToString::to_string).unwrap_or_default(),
            job.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            job.port.clone(),
            stamp(job.began),
            job.ended.map(stamp).unwrap_or_default(),
            job.problem.as_ref().map(ToString::to_string).unwrap_or_default(),
            job.leftovers.join("; "),
        ];
        csv += &fields.map(|field| csv_field(&field)).join(",");
        csv += "\r\n";
    }
    csv
}

/// The record as JSON, an array of jobs.
pub fn jobs_json(jobs: &[JobRecord]) -> String {
    // Plain data with text keys: writing it to memory cannot fail.
    serde_json::to_string_pretty(jobs).unwrap_or_default()
}

/// What a job does, in words.
pub fn kind_words(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Commission => "commission",
        JobKind::Flash => "flash",
        JobKind::Decommission => "decommission",
    }
}

/// Where a job stands, in words.
pub fn state_words(state: JobState) -> &'static str {
    match state {
        JobState::Running => "not ended",
        JobState::Passed => "passed",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Undone => "undone",
        JobState::PartlyUndone => "partly undone",
        JobState::Decommissioned => "decommissioned",
    }
}

/// A time for paper and lists, UTC to the second.
pub fn stamp(time: OffsetDateTime) -> String {
    let utc = time.to_offset(time::UtcOffset::UTC);
    utc.format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z")).unwrap_or_default()
}

/// What was signed.
struct Sealed {
    record: Value,
    sha256: String,
    signature: String,
}

fn sealed(job: &JobDetails) -> Result<Sealed, Problem> {
    let step = job.steps.iter().find(|step| step.step == "seal");
    let output = match step.and_then(|step| step.end.as_ref()) {
        Some(StepEnd::Done { output } | StepEnd::Warning { output, .. } | StepEnd::Skipped { output, .. }) => output,
        _ => return Err(not_sealed(&job.record.job)),
    };
    let text = |pointer: &str| output.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let record = serde_json::from_str(&text("/record")).map_err(|_| not_sealed(&job.record.job))?;
    Ok(Sealed { record, sha256: text("/sha256"), signature: text("/signature/signature_hex") })
}

fn not_sealed(job: &JobId) -> Problem {
    Problem::new("sheet.not-sealed", format!("The job {job} has no sealed record"), "Resume the job until it passes")
}

fn table(title: &str, rows: &[(&str, String)]) -> String {
    let rows: String = rows
        .iter()
        .map(|(name, value)| {
            let class = if value.len() > 48 { " class=\"code\"" } else { "" };
            format!("<tr><th>{}</th><td{class}>{}</td></tr>", escaped(name), escaped(value))
        })
        .collect();
    format!("<h2>{title}</h2><table>{rows}</table>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn numbers(value: Option<&Value>) -> String {
    let list: Vec<String> =
        value.and_then(Value::as_array).into_iter().flatten().map(|one| number(Some(one))).collect();
    if list.is_empty() { "–".to_owned() } else { list.join(", ") }
}

/// Which way the board reached the cloud when it was proven.
fn way(value: Option<&Value>) -> String {
    match value.and_then(Value::as_str) {
        Some("this_computer") => "Through the technician's computer",
        Some(_) => "Its own network",
        None => "–",
    }
    .to_owned()
}

fn number(value: Option<&Value>) -> String {
    match value {
        Some(Value::Number(number)) if number.is_f64() => format!("{:.3}", number.as_f64().unwrap_or_default()),
        Some(Value::Number(number)) => number.to_string(),
        _ => "–".to_owned(),
    }
}

/// Quotes what needs it, and keeps a table program from taking a text for a formula.
fn csv_field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;
    use crate::ports::ledger::StepRecord;
    use serde_json::{Map, json};
    use time::macros::datetime;

    fn job() -> JobRecord {
        JobRecord {
            job: JobId::from(ulid::Ulid::from_parts(1_700_000_000_000, 7)),
            kind: JobKind::Commission,
            state: JobState::Passed,
            truck: Some("T001".parse().unwrap()),
            thing: Some("truckSensor01".parse().unwrap()),
            mac: Some("60:55:f9:00:00:01".parse().unwrap()),
            port: "=cmd,\"x\"".to_owned(),
            order: json!({}),
            began: datetime!(2026-11-27 08:00:00 UTC),
            ended: None,
            problem: None,
            leftovers: Vec::new(),
        }
    }

    fn details(end: Option<StepEnd>) -> JobDetails {
        let began = datetime!(2026-11-27 08:00:00 UTC);
        let step = StepRecord { step: "seal".into(), intent: json!({}), notes: Map::new(), began, ended: None, end };
        JobDetails { record: job(), steps: vec![step] }
    }

    #[test]
    fn a_sheet_is_made_of_the_sealed_record() {
        let record = json!({
            "truck": "T001", "thing": "truckSensor01", "mac": "60:55:f9:00:00:01", "chip": "<esp32c3>",
            "calibrated": true, "calibration": { "report": { "freezer_residuals_celsius": [0.04, -0.04] } },
            "proof": { "samples": 3, "slowest_secs": 0.25, "last": { "seq": 41 } }
        });
        let output = json!({ "record": record.to_string(), "sha256": "ab", "signature": { "signature_hex": "cd" } });
        let page = page(&details(Some(StepEnd::Done { output }))).unwrap();
        for part in ["<h1>Truck T001</h1>", "&lt;esp32c3&gt;", "0.040, -0.040", "<svg", "0.250", "@page{size:A4"] {
            assert!(page.contains(part), "{part} is missing");
        }
        assert!(!page.contains("<?xml"));
    }

    #[test]
    fn a_job_that_is_not_sealed_has_no_sheet() {
        assert_eq!(page(&details(None)).unwrap_err().code, "sheet.not-sealed");
    }

    #[test]
    fn a_field_is_quoted_and_is_no_formula() {
        let csv = jobs_csv(&[job()]);
        let line = csv.lines().nth(1).unwrap();
        assert!(line.contains("\"'=cmd,\"\"x\"\"\""), "{line}");
        assert!(line.contains("commission,passed,T001,truckSensor01,60:55:f9:00:00:01"), "{line}");
        assert!(line.contains("2026-11-27T08:00:00Z"), "{line}");
    }

    #[test]
    fn json_reads_back() {
        let jobs: Vec<JobRecord> = serde_json::from_str(&jobs_json(&[job()])).unwrap();
        assert_eq!(jobs, [job()]);
    }
}
