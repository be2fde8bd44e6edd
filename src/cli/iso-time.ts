import { InvalidArgumentError } from 'commander';

/** Clocks of this machine and of whoever typed the time differ by less. */
const SKEW_MS = 60_000;

/**
 * A time that a person typed, as ISO 8601 in UTC. Without a zone it is UTC, as every time that Composure prints: what is copied from a list
 * means there what it means here. Throws InvalidArgumentError for what is no time, and for one that has not come yet. `now`: ms since 1970.
 */
export function isoTime(text: string, now: number): string {
  const [, date, time = '00:00', zone = 'Z', hours, minutes] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|([+-]\d\d):?(\d\d)|))?$/.exec(text) ?? [];
  const at = Date.parse(`${date}T${time}${hours === undefined ? zone || 'Z' : `${hours}:${minutes}`}`);
  if (date === undefined || Number.isNaN(at)) throw new InvalidArgumentError('write a time as 2026-11-24T06:00:00Z.');
  if (at > now + SKEW_MS) throw new InvalidArgumentError('that time has not come yet; left out, the latest set is taken.');
  return new Date(at).toISOString();
}
