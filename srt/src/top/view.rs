//! What is known, as cells of a screen. Pure: nothing here writes to a terminal.
//!
//! Every text that came from a run is sanitised before it becomes a cell.

use std::time::SystemTime;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::message::Key;
use super::model::{Model, Run, Sort};
use super::plain::{age, duration, hosts, shortened, time, usage};
use crate::violation::{Event, sanitise};

const PLAIN: Style = Style::new();
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const BAR: Style = Style::new().fg(Color::Black).bg(Color::Cyan);
const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);
const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red);
const KEY: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);

/// Denials of each run, and lines of hosts, that the overview has.
const LATEST: usize = 50;
const HOST_LINES: usize = 2;

/// Below this, there is nothing that could be read.
const SMALLEST: (u16, u16) = (30, 8);

/// Columns: heading, width, and the order that sorts by it.
const COLUMNS: [(&str, usize, Option<Sort>); 7] = [
    ("PID", 8, None),
    ("USER", 9, None),
    ("TIME", 10, Some(Sort::Started)),
    ("MEMORY", 9, Some(Sort::Memory)),
    ("PROCS", 6, None),
    ("HOSTS", 9, None),
    ("DENIED", 7, Some(Sort::Denials)),
];

/// Paints the whole of it.
pub(super) fn draw(model: &mut Model, now: SystemTime, out: &mut Buffer) {
    let (width, height) = (out.area.width, out.area.height);
    if width < SMALLEST.0 || height < SMALLEST.1 {
        put(out, 0, Line::styled("srt top: the window is too small", PLAIN));
    } else if model.details() {
        details(model, now, out);
    } else {
        overview(model, now, out);
    }
}

/// The runs, the hosts of the selected one, and the denials of all as they come.
fn overview(model: &Model, now: SystemTime, out: &mut Buffer) {
    let shown = model.shown();
    let running = shown.iter().filter(|(_, run)| run.end.is_none()).count();
    let denied: u64 = shown.iter().fold(0, |sum, (_, run)| sum.saturating_add(run.total()));
    let hidden = if model.hidden() > 0 { format!(", {} not shown", model.hidden()) } else { String::new() };
    bar(out, "srt top", &format!("{running} running{hidden}, {denied} denied"));
    put(out, 1, headings(model.sort()));
    let height = out.area.height;
    // At least half of the screen is for denials, where there are that many runs.
    let rows = (shown.len().max(1) as u16).min(height / 2 - 2);
    let Some((place, selected)) = model.selected() else {
        put(out, 2, Line::styled("  no sandbox runs", DIM));
        return help(out, &[("q", "quit")]);
    };
    let first = (place + 1).saturating_sub(usize::from(rows));
    for (index, (_, run)) in shown.iter().enumerate().skip(first).take(usize::from(rows)) {
        let y = 2 + (index - first) as u16;
        put(out, y, row(run, now));
        if index == place {
            out.set_style(ratatui::layout::Rect { x: 0, y, width: out.area.width, height: 1 }, SELECTED);
        }
    }
    rule(out, 2 + rows, &format!("Hosts of {}: {}", selected.about.pid, sanitise(&selected.about.command)));
    let hosts = host_lines(selected, usize::from(out.area.width));
    let below = 3 + rows + hosts.len().min(HOST_LINES) as u16;
    list(out, 3 + rows, below.min(height - 1), hosts.into_iter());
    if below < height - 1 {
        rule(out, below, "Denied");
        let lines = latest(&shown, now);
        list(out, below + 1, height - 1, lines.into_iter());
    }
    help(out, &[("up/down", "select"), ("enter", "details"), ("t m d c", "sort by time, memory, denied, command"), ("q", "quit")]);
}

/// One run.
fn details(model: &mut Model, now: SystemTime, out: &mut Buffer) {
    let Some((_, run)) = model.selected() else { return };
    bar(out, &format!("srt top: {}", sanitise(&run.about.command)), &time(run, now));
    let (processes, memory) = usage(run);
    let uptime = run.uptime(now).map_or_else(|| "-".to_owned(), duration);
    let facts = [("directory", sanitise(&run.about.directory)), ("pid", run.about.pid.to_string()), ("user", sanitise(&run.about.user))];
    let figures = [("time", uptime), ("memory", memory), ("processes", processes), ("denied", run.total().to_string())];
    put(out, 1, fields(&facts));
    put(out, 2, fields(&figures));
    rule(out, 3, &format!("Hosts: {} allowed, {} denied", run.allowed.len(), run.denied.len()));
    let width = usize::from(out.area.width);
    let host_lines = host_lines(run, width);
    let most = usize::from(out.area.height / 3);
    let after_hosts = 4 + host_lines.len().min(most) as u16;
    list(out, 4, after_hosts, host_lines.into_iter());
    rule(out, after_hosts, &format!("Denied: {}", run.total()));
    let lines: Vec<Line<'static>> = explained(run, now).into_iter().flat_map(|line| wrapped(line, width)).collect();
    let room = usize::from(out.area.height - 1 - (after_hosts + 1));
    let scroll = model.scroll(lines.len().saturating_sub(room));
    list(out, after_hosts + 1, out.area.height - 1, lines.into_iter().skip(scroll));
    help(out, &[("up/down", "scroll"), ("esc", "back"), ("q", "quit")]);
}

fn headings(sort: Sort) -> Line<'static> {
    let heading = |text: String, by: Option<Sort>| {
        let style = if by == Some(sort) { BOLD.add_modifier(Modifier::UNDERLINED) } else { BOLD };
        let blank = text.len() - text.trim_start().len();
        [Span::raw(" ".repeat(blank)), Span::styled(text.trim_start().to_owned(), style)]
    };
    let columns = COLUMNS.iter().flat_map(|(name, width, by)| heading(format!("{name:>width$}"), *by));
    Line::from_iter(columns.chain(heading("  COMMAND".to_owned(), Some(Sort::Command))))
}

fn row(run: &Run, now: SystemTime) -> Line<'static> {
    let (processes, memory) = usage(run);
    let texts =
        [run.about.pid.to_string(), shortened(&run.about.user, 8), time(run, now), memory, processes, hosts(run), run.total().to_string()];
    let base = if run.end.is_some() { DIM } else { PLAIN };
    let cells = texts.into_iter().zip(COLUMNS).map(|(text, (name, width, _))| {
        let style = if name == "DENIED" && run.total() > 0 { base.patch(BAD) } else { base };
        Span::styled(format!("{text:>width$}"), style)
    });
    Line::from_iter(cells.chain([Span::styled(format!("  {}", sanitise(&run.about.command)), base)]))
}

/// Denials of all runs, the latest first, each with its run and what would allow it.
fn latest(shown: &[(Key, &Run)], now: SystemTime) -> Vec<Line<'static>> {
    let of = |run: &'_ &Run| run.denials.iter().rev().take(LATEST).map(|event| (event.clone(), run.about.pid)).collect::<Vec<_>>();
    let mut denials: Vec<(Event, u32)> = shown.iter().flat_map(|(_, run)| of(run)).collect();
    denials.sort_by_key(|(event, _)| std::cmp::Reverse(event.time));
    if denials.is_empty() {
        return vec![Line::styled("  nothing", DIM)];
    }
    let tagged = |(event, pid): (Event, u32)| {
        let mut first = denial(&event, now);
        first.spans.insert(1, Span::styled(format!("{pid:<8}"), BOLD));
        std::iter::once(first).chain(remedy(&event))
    };
    denials.into_iter().take(LATEST).flat_map(tagged).collect()
}

/// The same with rule and reason.
fn explained(run: &Run, now: SystemTime) -> Vec<Line<'static>> {
    let more = |event: &Event| {
        let rule = format!("{:9}  {}; rule {} from {}", "", event.reason, event.rule.id, event.rule.origin);
        [denial(event, now), Line::styled(indented(&rule), DIM)].into_iter().chain(remedy(event))
    };
    run.denials.iter().rev().flat_map(more).chain(missing(run)).collect()
}

fn denial(event: &Event, now: SystemTime) -> Line<'static> {
    let since = now.duration_since(event.time).unwrap_or_default();
    let mut spans = vec![Span::styled(format!("{:>9}  ", age(since)), DIM), Span::styled(event.line(), BAD)];
    if event.count > 1 {
        spans.push(Span::styled(format!("  {} times", event.count), BOLD));
    }
    if let Some(process) = &event.process {
        spans.push(Span::styled(format!("  {}[{}]", sanitise(&process.comm), process.pid), DIM));
    }
    Line::from(spans)
}

fn remedy(event: &Event) -> Option<Line<'static>> {
    let allow = event.allow.as_ref()?;
    Some(Line::from(vec![Span::raw(format!("{:9}  ", "")), Span::styled(format!("allow: {}", sanitise(allow)), GOOD)]))
}

fn missing(run: &Run) -> Option<Line<'static>> {
    (run.missing > 0).then(|| Line::styled(format!("{:9}  and {} lines that could not be told", "", run.missing), DIM))
}

/// Text of a run behind an indentation, which sanitising would take away.
fn indented(text: &str) -> String {
    let blank = text.len() - text.trim_start().len();
    format!("{:blank$}{}", "", sanitise(text))
}

/// A line as several, where it is too long; what follows is indented like the text of a denial.
fn wrapped(line: Line<'static>, width: usize) -> Vec<Line<'static>> {
    const INDENT: usize = 13;
    if line.width() <= width {
        return vec![line];
    }
    let mut lines = vec![Line::default().style(line.style)];
    let mut used = 0;
    for Span { content, style } in line.spans {
        let mut part = String::new();
        for character in content.chars() {
            let wide = Span::raw(character.encode_utf8(&mut [0; 4]) as &str).width();
            if used + wide > width {
                lines.last_mut().into_iter().for_each(|last| last.push_span(Span::styled(std::mem::take(&mut part), style)));
                lines.push(Line::raw(" ".repeat(INDENT)).style(line.style));
                used = INDENT;
            }
            part.push(character);
            used += wide;
        }
        lines.last_mut().into_iter().for_each(|last| last.push_span(Span::styled(std::mem::take(&mut part), style)));
    }
    lines
}

/// As many on a line as there is room for; the denied ones first.
fn host_lines(run: &Run, width: usize) -> Vec<Line<'static>> {
    let marked = |mark, style| move |host: &String| (format!("  {mark} {}", sanitise(host)), style);
    let hosts = run.denied.iter().map(marked("-", BAD)).chain(run.allowed.iter().map(marked("+", GOOD)));
    let mut lines: Vec<Vec<Span<'static>>> = Vec::new();
    let mut left = 0;
    for (text, style) in hosts {
        let span = Span::styled(text, style);
        if span.width() > left || lines.is_empty() {
            lines.push(Vec::new());
            left = width;
        }
        left = left.saturating_sub(span.width());
        lines.last_mut().into_iter().for_each(|line| line.push(span.clone()));
    }
    if lines.is_empty() { vec![Line::styled("  none", DIM)] } else { lines.into_iter().map(Line::from).collect() }
}

fn fields(fields: &[(&str, String)]) -> Line<'static> {
    Line::from_iter(fields.iter().flat_map(|(name, value)| [Span::styled(format!("  {name} "), DIM), Span::styled(value.clone(), PLAIN)]))
}

/// Lines from `top` to before `bottom`; where there are more, the last one says so.
fn list(out: &mut Buffer, top: u16, bottom: u16, lines: impl ExactSizeIterator<Item = Line<'static>>) {
    let room = bottom.saturating_sub(top);
    let more = lines.len().saturating_sub(usize::from(room));
    for (y, line) in (top..bottom).zip(lines) {
        put(out, y, line);
    }
    if more > 0 && room > 0 {
        let text = format!(" {} more lines ", more);
        let x = out.area.width.saturating_sub(text.len() as u16);
        out.set_string(x, bottom - 1, text, DIM.add_modifier(Modifier::REVERSED));
    }
}

fn bar(out: &mut Buffer, left: &str, right: &str) {
    let width = out.area.width;
    out.set_string(0, 0, " ".repeat(usize::from(width)), BAR);
    let room = usize::from(width).saturating_sub(right.len() + 3);
    out.set_stringn(1, 0, left, room, BAR.add_modifier(Modifier::BOLD));
    out.set_string(width.saturating_sub(right.len() as u16 + 1), 0, right, BAR);
}

fn rule(out: &mut Buffer, y: u16, title: &str) {
    let width = usize::from(out.area.width);
    out.set_string(0, y, "─".repeat(width), DIM);
    out.set_stringn(2, y, format!(" {title} "), width.saturating_sub(4), BOLD);
}

fn help(out: &mut Buffer, keys: &[(&str, &str)]) {
    let y = out.area.height - 1;
    let spans = keys.iter().flat_map(|(key, does)| [Span::styled(format!(" {key}"), KEY), Span::styled(format!(" {does} "), DIM)]);
    put(out, y, Line::from_iter(spans));
}

fn put(out: &mut Buffer, y: u16, line: Line<'_>) {
    out.set_line(0, y, &line, out.area.width);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::message::{Line as Told, Message};
    use super::super::model::testing::{about, key, model, now};
    use super::*;
    use crate::violation::testing::event;

    fn screen(model: &mut Model, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(model, now(), frame.buffer_mut())).unwrap();
        let cells = terminal.backend().buffer().content();
        cells.chunks(width.into()).map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()).collect()
    }

    #[test]
    fn the_overview_has_the_runs_the_hosts_of_the_selected_one_and_all_denials() {
        let mut model = model();
        let shown = screen(&mut model, 100, 14);
        assert_eq!(shown[0], format!(" srt top{:>91}", "2 running, 3 denied"));
        assert_eq!(shown[1], "     PID     USER      TIME   MEMORY PROCS    HOSTS DENIED  COMMAND");
        assert_eq!(shown[2], "    4711      ada   1:02:05  300.0 M     7    +1 -1      3  cargo build --release");
        assert_eq!(shown[3], "      99      ada      1:01        -     -    +0 -0      0  npm test");
        assert!(shown[4].starts_with("── Hosts of 4711: cargo build --release ──"), "{}", shown[4]);
        assert_eq!(shown[5], "  - ads.test:443  + crates.test:443");
        assert!(shown[6].starts_with("── Denied ──"), "{}", shown[6]);
        assert_eq!(shown[7], "      5 s  4711    deny network-outbound ads.test:443 (host is not on the allow list)  3 times");
        assert_eq!(shown[8], "           allow: add \"ads.test:443\" to network.allowedDomains");
        assert!(shown[13].contains("q quit"), "{}", shown[13]);
        model.down(1);
        let shown = screen(&mut model, 100, 14);
        assert!(shown[4].contains("Hosts of 99: npm test") && shown[5] == "  none" && shown[7].contains("4711"), "{shown:?}");
    }

    #[test]
    fn the_details_have_hosts_rules_and_what_would_allow_each_denial() {
        let mut model = model();
        model.toggle_details();
        let text = screen(&mut model, 100, 20).join("\n");
        for part in [
            "srt top: cargo build --release",
            "directory /home/ada/project  pid 4711  user ada",
            "time 1:02:05  memory 300.0 M  processes 7  denied 3",
            "Hosts: 1 allowed, 1 denied",
            "- ads.test:443  + crates.test:443",
            "host is not on the allow list; rule net.default from built-in default",
            "allow: add \"ads.test:443\" to network.allowedDomains",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn the_details_keep_the_whole_of_a_long_path() {
        let mut model = Model::default();
        let path = format!("/{}end", "ü字".repeat(60));
        model.take(Message::Run(key(1), about(1, "x", 1)), now());
        model.take(Message::Line(key(1), Told::Violation { event: Box::new(event(&path)) }), now());
        model.toggle_details();
        // A wide character fills two cells, the second one blank.
        let text: String = screen(&mut model, 70, 30).concat().split_whitespace().collect();
        assert!(text.contains(&path), "{text}");
    }

    #[test]
    fn the_overview_says_how_many_runs_are_not_shown() {
        let mut model = model();
        model.take(Message::Hidden(7), now());
        assert!(screen(&mut model, 100, 14)[0].ends_with("2 running, 7 not shown, 3 denied"));
    }

    #[test]
    fn without_runs_it_says_so() {
        assert_eq!(screen(&mut Model::default(), 60, 10)[2], "  no sandbox runs");
        let mut model = Model::default();
        model.toggle_details();
        assert_eq!(screen(&mut model, 60, 10)[2], "  no sandbox runs");
    }

    #[test]
    fn every_size_of_window_can_be_drawn_and_scrolled() {
        let mut model = model();
        for number in 0..200 {
            let pid = 10_000 + number;
            model.take(Message::Run(key(pid), about(pid, &"word ".repeat(60), 5)), now());
            let event = Box::new(event(&format!("{number}.test:443")));
            model.take(Message::Line(key(4711), Told::Violation { event }), now());
            model.take(Message::Line(key(4711), Told::Host { host: "h".repeat(number as usize), port: 1, allowed: true }), now());
        }
        for _ in 0..2 {
            for (width, height) in [(1, 1), (5, 50), (30, 8), (31, 9), (80, 24), (300, 100), (300, 8)] {
                for _ in 0..20 {
                    screen(&mut model, width, height);
                    model.down(10);
                }
                model.up(1000);
            }
            model.toggle_details();
        }
        model.close_details();
        model.down(1000);
        let shown = screen(&mut model, 100, 24);
        assert!(shown[11].contains("word"), "the selected run is on the screen: {shown:?}");
    }

    #[test]
    fn nothing_of_a_run_can_drive_the_terminal() {
        let mut model = Model::default();
        let hostile = "\x1b[2J\u{202e}\u{9b}31m\n<evil>";
        let mut event = event(hostile);
        (event.allow, event.reason) = (Some(hostile.into()), hostile.into());
        (event.rule.id, event.rule.origin) = (hostile.into(), hostile.into());
        model.take(Message::Run(key(1), about(1, hostile, 1)), now());
        model.take(Message::Line(key(1), Told::Violation { event: Box::new(event) }), now());
        model.take(Message::Line(key(1), Told::Host { host: hostile.into(), port: 1, allowed: true }), now());
        for _ in 0..2 {
            let shown = screen(&mut model, 120, 30).concat();
            assert!(shown.contains("evil") && shown.chars().all(|c| matches!(c, ' '..='~' | '─') && !matches!(c, '<' | '>')), "{shown:?}");
            model.toggle_details();
        }
    }
}
