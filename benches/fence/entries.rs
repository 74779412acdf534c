//! The entries of a stream's log against what Zoom sent and what live consumers received.

use std::collections::BTreeMap;

use serde_json::Value;

/// The transcript lines of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lines {
    /// Lines from the first stored one on.
    pub sent: usize,
    pub stored: usize,
    /// Sent and not stored: all of them in gaps.
    pub in_gaps: usize,
}

/// Compares the lines in a log with the lines that Zoom made, `(at_ms, bytes, is_sent, checksum)` each. Their texts are "line 0",
/// "line 1" and so on. The first lines may have been spoken before the stream was joined.
///
/// # Errors
/// When a line is stored twice, or is neither stored nor in a gap.
pub(crate) fn count_lines(
    entries: &[Value],
    made: &[(i64, u64, bool, u32)],
) -> Result<Lines, String> {
    let mut stored = BTreeMap::new();
    for line in of_kind(entries, "transcript") {
        let text = line["text"].as_str().unwrap_or_default();
        let number = text.strip_prefix("line ").and_then(|number| number.parse::<usize>().ok());
        let number = number.ok_or_else(|| format!("no line of the script: {text:?}"))?;
        if let Some(seq) = stored.insert(number, &line["seq"]) {
            return Err(format!("line {number} is stored as {seq} and as {}", line["seq"]));
        }
    }
    let gaps: Vec<(i64, i64)> = of_kind(entries, "gap")
        .filter(|gap| gap["medium"] == "transcript")
        .filter_map(|gap| Some((gap["start_ms"].as_i64()?, gap["end_ms"].as_i64()?)))
        .collect();
    let joined = *stored.keys().next().ok_or("no line is stored")?;
    let missing = made.iter().enumerate().skip(joined).filter(|(n, _)| !stored.contains_key(n));
    let mut in_gaps = 0;
    for (number, (at_ms, ..)) in missing {
        if !gaps.iter().any(|(start_ms, end_ms)| (start_ms..end_ms).contains(&at_ms)) {
            let gaps: Vec<_> =
                gaps.iter().map(|(start, end)| (start - at_ms, end - at_ms)).collect();
            return Err(format!(
                "line {number} is neither stored nor in a gap; gaps around it: {gaps:?}"
            ));
        }
        in_gaps += 1;
    }
    Ok(Lines { sent: made.len() - joined, stored: stored.len(), in_gaps })
}

pub(crate) fn of_kind<'a>(entries: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    entries.iter().filter(move |entry| entry["kind"] == kind)
}
