import { type LoadReport, REQUEST_KINDS } from '../../bench/load/model.ts';
import { formatBytes } from '../../src/kit/amounts.ts';
import type { Proof } from './backup.ts';

/** What the visitors of the demo got, as far as a newcomer wants to know. */
export interface Figures {
  /** Requests with a right answer. */
  served: number;
  /** Requests and openings of streams that failed for any reason. */
  failed: number;
  /** Of `failed`: answers with status 500. */
  answered500: number;
  /** WebSockets and event streams that were opened, and those that ended otherwise than in order. */
  streams: number;
  cut: number;
  /** The longest time that a request took beyond what it asks for, milliseconds. */
  longestMs: number;
}

export function figuresOf(report: LoadReport, slowMs: number): Figures {
  const requests = REQUEST_KINDS.map((kind) => ({ kind, ...report.kinds[kind] }));
  return {
    served: requests.reduce((sum, { ok }) => sum + ok, 0),
    failed: report.failed,
    answered500: requests.reduce((sum, { errors }) => sum + (errors['status 500'] ?? 0), 0),
    streams: report.streams.opened,
    cut: report.streams.cut,
    longestMs: Math.max(0, ...requests.map(({ kind, maxMs }) => (kind === 'slow' ? maxMs - slowMs : maxMs))),
  };
}

/** What one act of the demo added. `longestMs` is that of the whole demo until then. */
export const since = (now: Figures, before: Figures): Figures => ({
  served: now.served - before.served,
  failed: now.failed - before.failed,
  answered500: now.answered500 - before.answered500,
  streams: now.streams - before.streams,
  cut: now.cut - before.cut,
  longestMs: now.longestMs,
});

/** What the demo as a whole came to. */
export interface Outcome {
  releases: number;
  /** Taken back by composure itself, and by hand. */
  rolledBack: number;
  byHand: number;
  recovered: number;
  figures: Figures;
  /** Answers 500 of the release that was broken on purpose: its own, until it was taken back. */
  ownErrors: number;
  /** From the switch to the broken release until the release before served again, milliseconds. */
  backAfterMs: number | undefined;
  /** Undefined: no backup was made and restored. */
  proof: Proof | undefined;
  elapsedMs: number;
  /** What did not happen as it should, in words. */
  problems: string[];
}

/** Requests that failed although a release that works was there to answer them. */
export const lost = ({ figures, ownErrors }: Outcome): number => figures.failed - ownErrors;

export const isGood = (outcome: Outcome): boolean =>
  outcome.problems.length === 0 && lost(outcome) === 0 && outcome.figures.cut === 0 && outcome.proof?.differences === 0;

const count = (value: number): string => value.toLocaleString('en-US');
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** The last screen: what happened and what the visitors noticed, one line each. */
export function summary(outcome: Outcome): string {
  const { figures } = outcome;
  const back = outcome.backAfterMs === undefined ? '' : `, for ${seconds(outcome.backAfterMs)} until it was taken back`;
  const rows: [string, string, string][] = [
    ['releases', String(outcome.releases), 'made while visitors were there'],
    ['requests served', count(figures.served), 'reads, uploads, new connections, and requests that take two seconds'],
    ['requests failed', count(lost(outcome)), 'reset, refused, timed out, or with a wrong answer'],
    ['streams cut', `${count(figures.cut)} of ${count(figures.streams)}`, 'WebSockets and event streams; the others ended in order'],
    ['longest wait', `${Math.round(figures.longestMs)} ms`, 'of any request, beyond the time that it asks for'],
    ['rolled back', String(outcome.rolledBack), 'bad releases that were taken back by themselves'],
    ['', String(outcome.byHand), 'by hand: composure rollback'],
    ['recovered', String(outcome.recovered), 'after kill -9 in the middle of a release'],
    ['errors of the bad', count(outcome.ownErrors), `answers 500 that the broken release itself gave${back}`],
    ...proofRows(outcome.proof),
  ];
  const width = Math.max(...rows.map(([, value]) => value.length));
  return [
    `${isGood(outcome) ? 'No request was lost' : 'Something was lost'} in ${seconds(outcome.elapsedMs)} under load:`,
    '',
    ...rows.map(([name, value, text]) => `  ${name.padEnd(18)}${value.padStart(width)}   ${text}`),
    ...(outcome.problems.length > 0 ? ['', ...outcome.problems.map((problem) => `  not as it should be: ${problem}`)] : []),
  ].join('\n');
}

function proofRows(proof: Proof | undefined): [string, string, string][] {
  if (proof === undefined) return [['restored', 'no', 'there is no backup that has been proven']];
  const { stores, bytes, differences, rtoSeconds, rpoSeconds } = proof;
  return [
    ['saved', formatBytes(bytes), `in ${stores} stores, as one encrypted set`],
    ['differences', count(differences), 'between what was saved and what the drill restored'],
    ['restored after', seconds(rtoSeconds * 1000), 'from nothing until the application was healthy on it (RTO)'],
    ['would be lost', seconds(rpoSeconds * 1000), 'of work, had the server died when the drill began (RPO)'],
  ];
}
