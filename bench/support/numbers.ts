/** The value below which the share `q` (0 to 1) of the numbers lies, interpolated; NaN of none. */
export function quantile(numbers: number[], q: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const low = sorted[Math.floor(place)] ?? Number.NaN;
  const high = sorted[Math.ceil(place)] ?? Number.NaN;
  return low + (high - low) * (place % 1);
}

export const median = (numbers: number[]): number => quantile(numbers, 0.5);

export const round = (value: number, digits = 0): number => Number(value.toFixed(digits));
