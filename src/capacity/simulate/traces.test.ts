import { expect, test } from 'vitest';
import { Failure } from '../../kit/errors.ts';
import { HOUR_MS } from './model.ts';
import { referenceScenario } from './scenario.ts';
import { firstHours, parseRule, readTrace, tierOf } from './traces.ts';

const { tiers } = referenceScenario();
const rows = (text: string, file: string, changes = {}): [number, string, number][] => {
  const { jobs } = readTrace(text, file, tiers, changes);
  return Array.from({ length: jobs.count }, (_, job) => [
    jobs.atMs[job] as number,
    tiers[jobs.tier[job] as number]?.service ?? '',
    jobs.serviceMs[job] as number,
  ]);
};

test('SWIM: a second and what all bytes take at 100 MB/s; medium from 10 s, heavy from 60 s, at most half an hour', () => {
  const text = [
    'job0\t49\t49\t100000000\t50000000\t50000000',
    'job1\t50\t1\t800000000\t100000000\t0',
    'job2\t52\t2\t0\t0\t5900000000',
    'job3\t60\t8\t9000000000000\t0\t0',
  ].join('\n');
  expect(rows(text, 'FB-2009.tsv')).toEqual([
    [0, 'light', 3000],
    [1000, 'medium', 10_000],
    [3000, 'heavy', 60_000],
    [11_000, 'heavy', 1_800_000],
  ]);
  expect(rows(text, 'FB-2009.tsv', { base: 2, cap: 100 }).map(([, , ms]) => ms)).toEqual([4000, 11_000, 61_000, 100_000]);
});

test('Azure LLM: tokens read and written, with times of seven digits', () => {
  const text = 'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,1000,15\n2023-11-16 18:17:05.0319600,3000,900\n';
  expect(rows(text, 'code.csv')).toEqual([
    [0, 'light', 2000],
    [1052, 'heavy', 63_000],
  ]);
});

test('our own format takes seconds or ISO times, and services, classes or nothing', () => {
  const text =
    'at,tier,seconds\n# a remark\n2026-01-01T00:00:10Z,heavy,1.5\n2026-01-01T00:00:00Z,,70\n\n2026-01-01T01:00:03+01:00,light,2\r\n';
  expect(rows(text, 'own.csv')).toEqual([
    [0, 'heavy', 70_000],
    [3000, 'light', 2000],
    [10_000, 'heavy', 1500],
  ]);
});

test.each([
  ['', 'x.csv', 'the trace is of no kind that is known', 'x.csv:1'],
  ['when,what\n', 'x.csv', 'the trace is of no kind that is known', 'x.csv:1'],
  ['at,tier,seconds\n', 'x.csv', 'the trace has no job', 'x.csv'],
  ['at,tier,seconds\n1,huge,2\n', 'x.csv', 'there is no tier huge', 'x.csv:2'],
  ['at,tier,seconds\n1,light,\n', 'x.csv', ' is not a number of seconds', 'x.csv:2'],
  ['at,tier,seconds\n1,light,-4\n', 'x.csv', '-4 is not a number of seconds', 'x.csv:2'],
  ['at,tier,seconds\nsoon,light,4\n', 'x.csv', 'soon is neither seconds nor an ISO time', 'x.csv:2'],
  ['job0\t1\t1\t2\t3\t4\njob1\t2\t1\t2\n', 'x.tsv', 'job1 has 4 columns and not 6', 'x.tsv:2'],
])('a mistake names its line: %j', (text, file, message, where) => {
  let failure: unknown;
  try {
    readTrace(text, file, tiers);
  } catch (error) {
    failure = error;
  }
  expect(failure).toBeInstanceOf(Failure);
  expect(failure).toMatchObject({ code: 'SIMULATION_INVALID', message, where });
});

test('a period is whole hours, and may be cut', () => {
  const trace = readTrace('at,tier,seconds\n0,light,1\n5400,light,1\n7000,light,1\n', 'own.csv', tiers);
  expect(trace.durationMs).toBe(2 * HOUR_MS);
  const cut = firstHours(trace, 1.5);
  expect([cut.durationMs, cut.jobs.count, cut.jobs.atMs.length]).toEqual([1.5 * HOUR_MS, 1, 1]);
});

test('a class without a tier goes to the next heavier one, else to the next lighter one', () => {
  const [light, , heavy] = tiers;
  if (!light || !heavy) throw new Error('the reference has three tiers');
  expect(tierOf('medium', [light, heavy])).toBe(1);
  expect(tierOf('heavy', [light])).toBe(0);
});

test('rules are read by name', () => {
  expect(parseRule('base=2,bytesPerSecond=50e6')).toEqual({ base: 2, bytesPerSecond: 50e6 });
  for (const wrong of ['base', 'base=', 'base=-1', 'speed=3', '__proto__=1']) expect(parseRule(wrong), wrong).toBeUndefined();
});
