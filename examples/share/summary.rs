//! The output of the parent: the work of each worker, and the final state of the store.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

use mikobase::{BoxError, Report, WorkerReport, Worldlet};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Findings;
use crate::zone::{COUNTRY, Country, ZONE, Zone};

const HEADER: &str = "worker     pid calls created  ms  farthest from the equator               seen in all";

/// The results of all workers and the final state, printed by `Display`.
pub(crate) struct Summary<'r> {
    report: &'r Report<Findings, Worldlet>,
    countries: Vec<Country>,
    /// The zones, from south to north.
    zones: Vec<Zone>,
    /// The number of zones of each country, by its code.
    zones_of: HashMap<String, usize>,
}

impl<'r> Summary<'r> {
    pub(crate) fn of(report: &'r Report<Findings, Worldlet>) -> Result<Self, BoxError> {
        let state: State = serde_json::from_str(report.worldlet().as_str())?;
        let countries: Vec<Country> = state.buckets_of(COUNTRY)?;
        let mut zones: Vec<Zone> = state.buckets_of(ZONE)?;
        zones.sort_by(|a, b| a.latitude.total_cmp(&b.latitude));
        let mut zones_of = HashMap::new();
        for zone in &zones {
            *zones_of.entry(zone.country.clone()).or_default() += 1;
        }
        Ok(Self { report, countries, zones, zones_of })
    }

    fn zones_of(&self, country: &Country) -> usize {
        self.zones_of.get(&country.code).copied().unwrap_or_default()
    }

    fn write_worker(&self, worker: &WorkerReport<Findings>, f: &mut Formatter<'_>) -> fmt::Result {
        let WorkerReport { index, pid, calls, .. } = worker;
        let findings = match worker.returned() {
            Ok(findings) => findings,
            Err(error) => return writeln!(f, "{index:>6} {pid:>7}  {error}"),
        };
        let Findings { created, farthest, country, seen } = findings;
        let ms = worker.duration().as_millis();
        let place = format!("{}, {}", farthest.place(), country.name);
        let latitude = degrees_north(farthest.latitude);
        let in_all = self.zones_of(country);
        write!(f, "{index:>6} {pid:>7} {calls:>5} {created:>7} {ms:>3}  ")?;
        writeln!(f, "{place:<34} {latitude:>5} {seen:>4} {in_all:>6}")
    }

    fn write_state(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let size = self.report.worldlet().as_str().len() / 1000;
        writeln!(f, "The final state, a worldlet of {size} kB:")?;
        writeln!(f, "  {:>4} {COUNTRY}", self.countries.len())?;
        writeln!(f, "  {:>4} {ZONE}", self.zones.len())?;

        let mut by_zones: Vec<&Country> = self.countries.iter().collect();
        by_zones.sort_by_key(|country| Reverse(self.zones_of(country)));
        let most =
            by_zones.iter().take(4).map(|country| format!("{} {}", country.name, self.zones_of(country)));
        writeln!(f, "  most zones: {}", most.collect::<Vec<_>>().join(", "))?;
        if let (Some(south), Some(north)) = (self.zones.first(), self.zones.last()) {
            writeln!(f, "  northernmost: {}, {}", north.name, degrees_north(north.latitude))?;
            writeln!(f, "  southernmost: {}, {}", south.name, degrees_north(south.latitude))?;
        }
        Ok(())
    }
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        for worker in self.report.workers() {
            self.write_worker(worker, f)?;
        }
        writeln!(f, "seen: zones of that country in the store when the worker looked\n")?;
        self.write_state(f)
    }
}

/// The part of a worldlet that the summary needs.
#[derive(Deserialize)]
struct State {
    records: Map<String, Value>,
}

impl State {
    /// The buckets of all records that have a platter of this class.
    fn buckets_of<T: for<'de> Deserialize<'de>>(&self, class: &str) -> serde_json::Result<Vec<T>> {
        let has_class = |record: &&Value| {
            record["stack"]
                .as_object()
                .is_some_and(|stack| stack.values().any(|platter| platter["class"] == class))
        };
        self.records.values().filter(has_class).map(|record| T::deserialize(&record["bucket"])).collect()
    }
}

fn degrees_north(latitude: f64) -> String {
    format!("{:.0}°{}", latitude.abs(), if latitude < 0.0 { 'S' } else { 'N' })
}
