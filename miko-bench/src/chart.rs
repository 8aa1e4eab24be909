//! A report as a chart: a group of bars per workload, a bar per peer.

use svg::Document;
use svg::node::element::{Rectangle, Style, Text, Title};

use crate::markdown::Short;
use crate::plan::Setting;
use crate::report::{Report, Row};

const WIDTH: f64 = 900.0;
const NAMES: f64 = 150.0;
const BARS: f64 = 520.0;
const BAR: f64 = 16.0;
const GAP: f64 = 34.0;

/// Uses the colour scheme of the reader, light or dark.
const STYLE: &str = "
    text { font: 12px system-ui, sans-serif; fill: #333 }
    .head { font-size: 15px; font-weight: 600 }
    .title { font-weight: 600 }
    .peer { fill: #9db4c0 } .own { fill: #e4572e }
    @media (prefers-color-scheme: dark) { text { fill: #ddd } .peer { fill: #4f6d7a } }";

/// Draws the rates of one setting. Each workload has its own scale, from zero to its highest rate.
pub fn draw(report: &Report, setting: Setting) -> String {
    let mut document = Document::new().add(Style::new(STYLE));
    document =
        document.add(label(10.0, 24.0, &format!("Requests per second: {setting}")).set("class", "head"));
    let mut y = 34.0;
    for (_, workload) in report.groups().into_iter().filter(|(of, _)| *of == setting) {
        let rows: Vec<&Row> =
            report.rows.iter().filter(|row| row.setting == setting && row.workload == workload).collect();
        document =
            document.add(label(10.0, y + 22.0, &workload.title().replace('`', "")).set("class", "title"));
        y += GAP;
        let rate = |row: &Row| row.estimate(|round| round.rate).median;
        let fastest = rows.iter().map(|row| rate(row)).fold(0.0, f64::max);
        for row in rows {
            let mut told = Short(rate(row)).to_string();
            if let Some(ratio) = report.speed(row).filter(|_| !row.own) {
                told.push_str(&format!("   Mikobase is {:.2}×", ratio.median));
            }
            let length = BARS * rate(row) / fastest;
            let bar = Rectangle::new()
                .set("class", if row.own { "own" } else { "peer" })
                .set("x", NAMES)
                .set("y", y)
                .set("width", (length * 10.0).round() / 10.0)
                .set("height", BAR - 3.0)
                .add(Title::new(format!("{}: {told}", row.peer)));
            document = document
                .add(label(NAMES - 8.0, y + 11.0, row.peer).set("text-anchor", "end"))
                .add(bar)
                .add(label(NAMES + length + 8.0, y + 11.0, &told));
            y += BAR;
        }
    }
    document.set("viewBox", (0, 0, WIDTH, y + 16.0)).set("role", "img").to_string()
}

fn label(x: f64, y: f64, text: &str) -> Text {
    Text::new(text).set("x", (x * 10.0).round() / 10.0).set("y", y)
}
