//! Reads server-sent events, which come in pieces.

/// Splits the body of a response into events.
///
/// Streams are read in this form rather than in lines, since it has the sequence number of each item, and an
/// item cannot be taken for the end of the stream or for a gap in it.
pub(super) struct EventReader {
    /// What has arrived of the line that is not complete.
    line: Vec<u8>,
    event: Event,
    /// The largest size of an event in bytes.
    limit: usize,
}

/// An event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// The name of the event; none for an item.
    pub(super) name: Vec<u8>,
    pub(super) id: Option<u64>,
    pub(super) data: Vec<u8>,
}

/// An event that is larger than the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl EventReader {
    pub(super) fn new(limit: usize) -> Self {
        Self { line: Vec::new(), event: Event::default(), limit }
    }

    /// Takes the next event out of `bytes`, which are what has arrived after those of the last call; `None`
    /// if it is not complete, and then all of `bytes` were taken.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>, TooLarge> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (rest, after) = (&bytes[..end], &bytes[end + 1..]);
            self.check_size(rest.len())?;
            self.line.extend_from_slice(rest);
            *bytes = after;
            let line = std::mem::take(&mut self.line);
            if let Some(event) = self.take_line(line.strip_suffix(b"\r").unwrap_or(&line)) {
                return Ok(Some(event));
            }
        }
        self.check_size(bytes.len())?;
        self.line.extend_from_slice(bytes);
        *bytes = &[];
        Ok(None)
    }

    fn check_size(&self, more: usize) -> Result<(), TooLarge> {
        let size = self.line.len() + self.event.data.len() + more;
        if size > self.limit { Err(TooLarge) } else { Ok(()) }
    }

    /// Takes a whole line. An empty one ends an event.
    fn take_line(&mut self, line: &[u8]) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            // Without a field it was a comment.
            return (event != Event::default()).then_some(event);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"event" => self.event.name = value.to_vec(),
            b"id" => self.event.id = str::from_utf8(value).ok().and_then(|id| id.parse().ok()),
            b"data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY: &str = "id: 1\ndata: [1]\n\n: comment\n\nevent: lagged\ndata: 3\n\n\
                        id: 9\ndata: {\ndata: }\n\n\
                        event: end\ndata:\n\n";

    fn expected() -> Vec<Event> {
        let event = |name: &str, id, data: &str| Event { name: name.into(), id, data: data.into() };
        vec![
            event("", Some(1), "[1]"),
            event("lagged", None, "3"),
            event("", Some(9), "{\n}"),
            event("end", None, ""),
        ]
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_their_bytes_arrive(
            cuts in proptest::collection::vec(0..BODY.len(), 0..20),
        ) {
            let mut cuts = cuts;
            cuts.extend([0, BODY.len()]);
            cuts.sort_unstable();
            let mut reader = EventReader::new(100);
            let mut events = Vec::new();
            for cut in cuts.windows(2) {
                let mut piece = &BODY.as_bytes()[cut[0]..cut[1]];
                while let Some(event) = reader.next(&mut piece).unwrap() {
                    events.push(event);
                }
                prop_assert!(piece.is_empty());
            }
            prop_assert_eq!(events, expected());
        }
    }

    #[test]
    fn an_event_beyond_the_limit_is_refused_before_it_is_kept() {
        for body in ["data: 12345\n\n", "data: 1\ndata: 2\ndata: 3\ndata: 4\n\n"] {
            assert_eq!(EventReader::new(10).next(&mut body.as_bytes()), Err(TooLarge), "{body}");
        }
    }
}
