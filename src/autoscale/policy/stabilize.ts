/** The highest (or lowest) value within a window that slides: times and values, from `head` on. */
export interface SlidingExtreme {
  at: number[];
  values: number[];
  head: number;
}
