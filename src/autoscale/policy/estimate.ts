/**
 * Arrival rate and service time of one queue, from its readings alone. A reading shows the jobs N = waiting + active; a rise of N counts as
 * arrivals, a fall as departures. Jobs that come and go between two readings are missed by both counts alike, so that L = lambda x S, the
 * slots that keep up, stays the mean number of busy slots (Little's law), while S errs upwards, which means more workers, never fewer.
 */
export interface Estimate {
  atMs: number;
  jobs: number;
  /** Undefined: the source cannot tell, and S stays unknown. */
  active?: number;
  /** lambda, jobs per ms: an average that forgets over 60 s. */
  arrivalsPerMs: number;
  /** S, slot-ms per job: an average over about the last ten jobs. Undefined until a job has ended. */
  serviceMs?: number;
  /** Slot-ms worked since the last departure: integral of active over time. */
  busyMs: number;
  departures: number;
}

const ARRIVALS_MS = 60_000;
const LEAST_GAIN = 0.1;

export function firstEstimate(): Estimate {
  return { atMs: 0, jobs: -1, arrivalsPerMs: 0, busyMs: 0, departures: 0 };
}

/** Takes in a reading: changes `estimate`. `active` undefined: not known. */
export function estimateFrom(estimate: Estimate, atMs: number, waiting: number, active: number | undefined): void {
  const jobs = waiting + (active ?? 0);
  if (estimate.jobs >= 0) {
    const passedMs = Math.max(0, atMs - estimate.atMs);
    const change = jobs - estimate.jobs;
    const arrivals = Math.max(0, change);
    const keep = Math.exp(-passedMs / ARRIVALS_MS);
    // (1 - keep) / passedMs becomes 1 / ARRIVALS_MS where no time passes: a burst is not an infinite rate.
    const weight = passedMs > 0 ? (1 - keep) / passedMs : 1 / ARRIVALS_MS;
    estimate.arrivalsPerMs = estimate.arrivalsPerMs * keep + arrivals * weight;
    if (active !== undefined && estimate.active !== undefined) {
      // The earlier count held until now: exact where every change is told, unbiased where readings are polls.
      estimate.busyMs += estimate.active * passedMs;
      if (change < 0) {
        const ended = -change;
        estimate.departures += ended;
        const gain = Math.max(1 - (1 - LEAST_GAIN) ** ended, ended / estimate.departures);
        const sample = estimate.busyMs / ended;
        estimate.serviceMs = estimate.serviceMs === undefined ? sample : estimate.serviceMs + gain * (sample - estimate.serviceMs);
        estimate.busyMs = 0;
      }
    }
  }
  estimate.atMs = atMs;
  estimate.jobs = jobs;
  if (active === undefined) delete estimate.active;
  else estimate.active = active;
}
