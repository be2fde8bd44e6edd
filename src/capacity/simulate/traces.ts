import type { Tier, TierClass } from '../../autoscale/model.ts';
import { Failure } from '../../kit/errors.ts';
import { type Job, jobsOf } from './jobs.ts';
import { HOUR_MS, type Workload } from './model.ts';

/** How a row of a trace that knows neither tiers nor durations becomes a job. */
export interface TraceRule {
  /** Seconds that every job takes, however small. */
  base: number;
  /** Bytes a second that a job works off (SWIM). */
  bytesPerSecond: number;
  /** Tokens a second: read from the context, and written (Azure LLM). */
  contextPerSecond: number;
  generatedPerSecond: number;
  /** Jobs that take at least so many seconds are medium, and heavy. */
  medium: number;
  heavy: number;
  /** No job takes longer, in seconds. */
  cap: number;
}

export type TraceFormat = 'swim' | 'azure-llm' | 'csv';

export const TRACE_RULES: Record<TraceFormat, TraceRule> = {
  swim: { base: 1, bytesPerSecond: 100e6, contextPerSecond: 1, generatedPerSecond: 1, medium: 10, heavy: 60, cap: 1800 },
  'azure-llm': { base: 0, bytesPerSecond: 1, contextPerSecond: 1000, generatedPerSecond: 15, medium: 10, heavy: 60, cap: 1800 },
  csv: { base: 0, bytesPerSecond: 1, contextPerSecond: 1, generatedPerSecond: 1, medium: 5, heavy: 60, cap: Number.POSITIVE_INFINITY },
};

/**
 * Reads a trace by what it looks like: SWIM (six columns with tabs, no header), Azure LLM inference (TIMESTAMP,ContextTokens,GeneratedTokens), or our
 * own `at,tier,seconds`: seconds from the start or an ISO time, a service or class or nothing, seconds of work. Failure SIMULATION_INVALID
 * names the line.
 */
export function readTrace(text: string, file: string, tiers: Tier[], changes: Partial<TraceRule> = {}): Workload {
  const lines = text.split(/\r?\n/);
  const format = formatOf(lines[0] ?? '', file);
  const rule = { ...TRACE_RULES[format], ...changes };
  const rows: Job[] = [];
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '' || line.startsWith('#') || (index === 0 && format !== 'swim')) continue;
    const cells = line.split(format === 'swim' ? '\t' : ',');
    const where = `${file}:${index + 1}`;
    if (cells.length !== COLUMNS[format])
      throw new Failure('SIMULATION_INVALID', `${cells[0]} has ${cells.length} columns and not ${COLUMNS[format]}`, { where });
    rows.push(READERS[format](cells, rule, tiers, where));
  }
  if (rows.length === 0) throw new Failure('SIMULATION_INVALID', 'the trace has no job', { where: file });
  const first = rows.reduce((least, { atMs }) => Math.min(least, atMs), Number.POSITIVE_INFINITY);
  const jobs = jobsOf(rows.map((row) => ({ ...row, atMs: row.atMs - first })));
  const lastMs = jobs.atMs[jobs.count - 1] as number;
  const name = file.replace(/^.*[\\/]/, '').replace(/\.[a-z]+$/, '');
  // A trace of nearly a day is one of a day: its hours are compared with those that always-on capacity is paid for.
  return { name, jobs, durationMs: Math.max(HOUR_MS, Math.ceil(lastMs / HOUR_MS - 0.01) * HOUR_MS), retry: { attempts: 1, delayMs: 0 } };
}

/** What arrives within the first hours of a workload. */
export function firstHours(workload: Workload, hours: number): Workload {
  const durationMs = hours * HOUR_MS;
  const { jobs } = workload;
  const after = jobs.atMs.findIndex((atMs) => atMs >= durationMs);
  const count = after < 0 ? jobs.count : after;
  return {
    ...workload,
    durationMs,
    jobs: {
      count,
      atMs: jobs.atMs.subarray(0, count),
      tier: jobs.tier.subarray(0, count),
      serviceMs: jobs.serviceMs.subarray(0, count),
      poison: jobs.poison.subarray(0, count),
    },
  };
}

export const RULE_NAMES = Object.keys(TRACE_RULES.csv);

/** Reads "base=2,bytesPerSecond=100e6"; undefined when a name is unknown or a value is no number. */
export function parseRule(text: string): Partial<TraceRule> | undefined {
  const changes: Partial<TraceRule> = {};
  for (const part of text.split(',').filter(Boolean)) {
    const [name = '', value = ''] = part.split('=');
    if (!RULE_NAMES.includes(name) || value.trim() === '' || !(Number(value) >= 0)) return undefined;
    changes[name as keyof TraceRule] = Number(value);
  }
  return changes;
}

function formatOf(header: string, file: string): TraceFormat {
  if (header.split('\t').length === 6) return 'swim';
  const columns = header
    .toLowerCase()
    .split(',')
    .map((column) => column.trim());
  if (columns.join() === 'timestamp,contexttokens,generatedtokens') return 'azure-llm';
  if (columns.join() === 'at,tier,seconds') return 'csv';
  throw new Failure('SIMULATION_INVALID', 'the trace is of no kind that is known', {
    where: `${file}:1`,
    next: 'begin it with the line at,tier,seconds, or give a SWIM or an Azure LLM inference trace',
  });
}

const COLUMNS: Record<TraceFormat, number> = { swim: 6, 'azure-llm': 3, csv: 3 };

const READERS: Record<TraceFormat, (cells: string[], rule: TraceRule, tiers: Tier[], where: string) => Job> = {
  swim([, at, , ...bytes], rule, tiers, where) {
    const total = bytes.reduce((sum, cell) => sum + amount(cell, 'a number of bytes', where), 0);
    return sized(amount(at, 'a time in seconds', where) * 1000, rule.base + total / rule.bytesPerSecond, rule, tiers);
  },
  'azure-llm'([at, context, generated], rule, tiers, where) {
    const seconds =
      rule.base +
      amount(context, 'a number of tokens', where) / rule.contextPerSecond +
      amount(generated, 'a number of tokens', where) / rule.generatedPerSecond;
    return sized(time(at, where), seconds, rule, tiers);
  },
  csv([at, tier, work], rule, tiers, where) {
    const seconds = amount(work, 'a number of seconds', where);
    const name = tier?.trim() ?? '';
    if (name === '') return sized(time(at, where), seconds, rule, tiers);
    const index = tiers.findIndex((known) => known.service === name || known.id === name || known.class === name);
    if (index < 0) {
      throw new Failure('SIMULATION_INVALID', `there is no tier ${name}`, {
        where,
        next: `name one of ${tiers.map(({ service }) => service).join(', ')}, or a class of theirs`,
      });
    }
    return { atMs: time(at, where), tier: index, serviceMs: seconds * 1000 };
  },
};

function sized(atMs: number, seconds: number, rule: TraceRule, tiers: Tier[]): Job {
  const capped = Math.min(rule.cap, seconds);
  const wanted: TierClass = capped >= rule.heavy ? 'heavy' : capped >= rule.medium ? 'medium' : 'light';
  return { atMs, tier: tierOf(wanted, tiers), serviceMs: capped * 1000 };
}

const CLASSES: TierClass[] = ['light', 'medium', 'heavy'];

/** The first tier of the class, else of the next heavier one there is, else of the next lighter one. */
export function tierOf(wanted: TierClass, tiers: Tier[]): number {
  const place = CLASSES.indexOf(wanted);
  for (const name of [...CLASSES.slice(place), ...CLASSES.slice(0, place).reverse()]) {
    const index = tiers.findIndex((tier) => tier.class === name);
    if (index >= 0) return index;
  }
  return 0;
}

function amount(cell: string | undefined, what: string, where: string): number {
  const value = cell === undefined || cell.trim() === '' ? Number.NaN : Number(cell);
  if (!Number.isFinite(value) || value < 0) throw new Failure('SIMULATION_INVALID', `${cell ?? 'nothing'} is not ${what}`, { where });
  return value;
}

function time(cell: string | undefined, where: string): number {
  const text = cell?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  // Azure's fractions have seven digits and no zone.
  const at = Date.parse(`${text.replace(' ', 'T').replace(/(\.\d{3})\d+/, '$1')}${/[zZ]$|[+-]\d\d:?\d\d$/.test(text) ? '' : 'Z'}`);
  if (Number.isNaN(at)) throw new Failure('SIMULATION_INVALID', `${text || 'nothing'} is neither seconds nor an ISO time`, { where });
  return at;
}
