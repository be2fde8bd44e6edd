/** What a run looked like over time, in steps of equal length: for the plot. */
export interface Series {
  stepMs: number;
  tiers: TierSeries[];
}

export interface TierSeries {
  /** Jobs in the queue: mean over the step. */
  waiting: number[];
  /** Workers that hold CPU (booting, running, draining): mean over the step. */
  workers: number[];
  /** Workers that hold memory only: mean over the step. */
  frozen: number[];
}
