/** Arrival rate and service time of one queue, from its readings alone. */
export interface Estimate {
  atMs: number;
}
