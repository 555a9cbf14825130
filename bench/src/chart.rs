//! The chart: CPU per request of each proxy, relative to nutcracker's, as SVG.

use std::fmt::Write as _;

use crate::report::Results;
use crate::systems::System;
use crate::workloads::Workload;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 9.0;
const GAP: f64 = 14.0;
const TOP: f64 = 82.0;
/// The scale ends at this multiple of nutcracker's; a longer bar is cut, and marked as such.
const SCALE_MAX: f64 = 2.0;

const SERIES: [(System, &str); 5] = [
    (System::Nutcrab, "#0b6e4f"),
    (System::NutcrabPlain, "#73c2a0"),
    (System::Nutcracker, "#5b6770"),
    (System::Haproxy, "#3b7dd8"),
    (System::Envoy, "#c77d0a"),
];

/// Height of the bars of one workload.
const GROUP: f64 = BAR * SERIES.len() as f64 + GAP;

/// One group of bars a workload, with the range of the rounds as a thin line.
pub fn svg(results: &Results<'_>, title: &str) -> String {
    let height = TOP + GROUP * results.workloads.len() as f64 + 30.0;
    let scale = (WIDTH - LEFT - RIGHT) / SCALE_MAX;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"15\" font-weight=\"bold\">{title}</text>\n"
    );
    let mut x = 10.0;
    for (system, colour) in SERIES {
        let name = system.name();
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"32\" width=\"11\" height=\"11\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"42\">{name}</text>",
            x + 16.0
        );
        x += 40.0 + 6.5 * name.len() as f64;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"62\">CPU time of the proxy per request, nutcracker = 1: lower is better; \
         the line shows the range of the rounds</text>"
    );
    for tick in 0..=8 {
        let value = f64::from(tick) * SCALE_MAX / 8.0;
        let (x, end) = (LEFT + value * scale, height - 22.0);
        let colour = if value == 1.0 { "#5b6770" } else { "#dddddd" };
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{end}\" stroke=\"{colour}\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{value:.2}</text>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{value:.2}</text>",
            TOP - 4.0,
            end + 14.0
        );
    }
    for (index, workload) in results.workloads.iter().enumerate() {
        let top = TOP + GROUP * index as f64 + GAP / 2.0;
        svg.push_str(&bars(results, workload, top));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The bars of one workload, from `top` on.
fn bars(results: &Results<'_>, workload: &Workload, top: f64) -> String {
    let scale = (WIDTH - LEFT - RIGHT) / SCALE_MAX;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        LEFT - 8.0,
        top + GROUP / 2.0 - 3.0,
        workload.name()
    );
    for (place, (system, colour)) in SERIES.iter().enumerate() {
        let Some(ratio) = results.ratio(workload, *system, System::Nutcracker) else {
            continue;
        };
        let y = top + BAR * place as f64;
        let shown = ratio.median.min(SCALE_MAX) * scale;
        let (low, high) = (
            ratio.min.min(SCALE_MAX) * scale,
            ratio.max.min(SCALE_MAX) * scale,
        );
        let middle = y + BAR / 2.0 - 0.5;
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{shown:.1}\" height=\"{}\" fill=\"{colour}\"/>\
             <line x1=\"{:.1}\" y1=\"{middle}\" x2=\"{:.1}\" y2=\"{middle}\" stroke=\"black\" \
             stroke-width=\"0.7\"/>\
             <text x=\"{:.1}\" y=\"{}\" font-size=\"9\">{:.2}</text>",
            BAR - 1.0,
            LEFT + low,
            LEFT + high,
            LEFT + shown.max(high) + 3.0,
            y + BAR - 1.5,
            ratio.median
        );
        svg.push_str(&cut(ratio.median, y));
    }
    svg
}

/// A white break across the end of a bar that is longer than the scale; nothing for others.
fn cut(ratio: f64, y: f64) -> String {
    if ratio <= SCALE_MAX {
        return String::new();
    }
    let (x, height) = (WIDTH - RIGHT - 14.0, BAR - 1.0);
    format!(
        "<path d=\"M{x:.1} {:.1}l6 -{height}m4 0l-6 {height}\" stroke=\"white\" stroke-width=\"2\"/>\n",
        y + height
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_beyond_the_scale_is_marked_as_cut() {
        assert_eq!(cut(SCALE_MAX, 0.0), "");
        assert!(cut(SCALE_MAX + 0.1, 0.0).starts_with("<path "));
    }
}
