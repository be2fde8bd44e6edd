import { expect, test } from 'vitest';
import { isoTime } from './iso-time.ts';

const now = Date.parse('2026-11-24T12:00:00Z');

test.each([
  ['2026-11-24T06:00:00Z', '2026-11-24T06:00:00.000Z'],
  ['2026-11-24T06:00Z', '2026-11-24T06:00:00.000Z'],
  ['2026-11-24T06:00:00+02:00', '2026-11-24T04:00:00.000Z'],
  ['2026-11-24T06:00:00-0130', '2026-11-24T07:30:00.000Z'],
  ['2026-11-24 06:00:00', '2026-11-24T06:00:00.000Z'],
  ['2026-11-24T06:00:00.123', '2026-11-24T06:00:00.123Z'],
  ['2026-11-24', '2026-11-24T00:00:00.000Z'],
  ['2026-11-24T12:00:30Z', '2026-11-24T12:00:30.000Z'],
])('%s is %s, whatever zone the machine is in', (text, iso) => {
  expect(isoTime(text, now)).toBe(iso);
});

test.each(['yesterday', '2026', '24.11.2026', '2026-13-01', '2026-11-24T25:00', '2026-11-24T06:00 CET', ''])('%j is no time', (text) => {
  expect(() => isoTime(text, now)).toThrow('write a time as 2026-11-24T06:00:00Z.');
});

test('a time that has not come yet is a mistake: its writer does not want the latest set', () => {
  expect(() => isoTime('2027-11-24T06:00:00Z', now)).toThrow('has not come yet');
});
