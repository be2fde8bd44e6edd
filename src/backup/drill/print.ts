import { formatBytes } from '../../kit/amounts.ts';
import { formatMs } from '../../kit/duration.ts';
import { second } from '../../kit/time.ts';
import type { DrillEvidence, DrillPlan } from './model.ts';

const inColumns = (rows: readonly (readonly string[])[]): string[] => {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, column) => Math.max(all[column] ?? 0, cell.length)), []);
  return rows.map((row) =>
    `  ${row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  ')}`.trimEnd(),
  );
};
const section = (title: string, lines: readonly string[]): string[] => (lines.length === 0 ? [] : [title, ...lines, '']);

/** What a drill would do. Pure. */
export function printDrillPlan(project: string, plan: DrillPlan): string {
  const services = plan.services.map((name) => (plan.jobs.includes(name) ? `${name} (runs to its end)` : name));
  return [
    `Drill of the set ${plan.set} of ${project}, in the scratch project ${plan.project}`,
    '',
    ...section(
      'restore and compare with the manifest',
      inColumns(plan.stores.map(({ id, bytes, contentAt }) => [id, formatBytes(bytes), `of ${second(contentAt)} UTC`])),
    ),
    ...section(
      'into new volumes',
      inColumns(plan.volumes.map(({ name, of, store }) => [name, `for ${of}${store === undefined ? '' : `, from ${store}`}`])),
    ),
    ...section('start on networks without a way out, to this host neither, with nothing published', [`  ${services.join(', ')}`]),
    ...section('not drilled', inColumns(plan.left.map(({ service, why }) => [service, why]))),
    ...section('empty, because the set does not hold it', inColumns(plan.missing.map(({ service, path }) => [service, path]))),
    `takes up to ${formatBytes(plan.diskBytes)} of disk and ${formatBytes(plan.memoryBytes)} of memory; all of it is removed afterwards`,
    ...plan.obstacles.map((text) => `cannot run: ${text}`),
    '',
  ].join('\n');
}

/** What a drill found. Pure. */
export function printEvidence(evidence: DrillEvidence): string {
  const { project, set, startedAt, endedAt, passed, stores, services, left, missing, numbers } = evidence;
  return [
    `Drill of the set ${set} of ${project}: ${passed ? 'passed' : 'FAILED'}, ${second(startedAt)} to ${second(endedAt)} UTC`,
    '',
    ...section(
      'restored, and as the manifest says',
      inColumns(
        stores
          .filter(({ differences }) => differences.length === 0)
          .map((store) => [store.id, formatBytes(store.bytes), formatMs(store.seconds * 1000), store.counted]),
      ),
    ),
    ...section('OTHERWISE THAN SAVED', inColumns(stores.flatMap(({ id, differences }) => differences.map((text) => [id, text])))),
    ...section('the application on it', inColumns(services.map(({ service, text }) => [service, text]))),
    ...section('not drilled', inColumns(left.map(({ service, why }) => [service, why]))),
    ...section('was empty, because the set does not hold it', inColumns(missing.map(({ service, path }) => [service, path]))),
    ...(numbers.rtoSeconds === undefined ? [] : [`restored and running after ${time(numbers.rtoSeconds)} (RTO)`]),
    `${time(numbers.rpoSeconds ?? 0)} of work would be lost now (RPO)${numbers.gapSeconds === undefined ? '' : `, by the schedule up to ${time(numbers.gapSeconds)}`}`,
    ...(evidence.kept === undefined ? [] : [keptText(evidence.kept)]),
    '',
  ].join('\n');
}

const keptText = (project: string): string =>
  `left for a look: docker compose -p ${project} ps; to remove it: composure backup drill --remove ${project.replace('composure-drill-', '')}`;

function time(seconds: number): string {
  if (seconds < 3600) return formatMs(seconds * 1000);
  const hours = seconds / 3600;
  return hours < 48 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} days`;
}
