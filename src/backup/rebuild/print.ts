import { formatBytes } from '../../kit/amounts.ts';
import { formatAge, formatMs } from '../../kit/duration.ts';
import { second } from '../../kit/time.ts';
import type { RebuildPlan } from './plan.ts';

/** `now`: ms since 1970. Pure. */
export function printRebuild(plan: RebuildPlan, now: number): string {
  const { project, set, savedAt, contentAt, host, folder, files, certificates, stores, images, hasSecrets } = plan;
  const bytes = stores.reduce((sum, store) => sum + store.bytes, 0);
  const lines = [
    `Rebuild ${project} on this machine from set ${set}`,
    `  saved ${second(savedAt)} UTC on ${host}; its oldest data is of ${second(contentAt)} UTC, ${formatAge(now - Date.parse(contentAt))} ago`,
    '',
    'Steps',
    `  1  write ${files.length} files of the project to ${folder}`,
    ...files.filter(({ to }) => !to.startsWith(`${folder}/`)).map(({ to }) => `       and ${to}`),
    ...(certificates.length > 0 ? [`     and the certificates of ${certificates.join(', ')}`] : []),
    ...(hasSecrets ? ['     its secrets stay encrypted; this machine’s identity opens them'] : []),
    `  2  have the images of ${images.length} services, as they ran`,
    ...images.map(
      ({ service, reference, digest }) => `       ${service}: ${reference}${digest ? ` (${digest.replace(/^.*@/, '').slice(0, 19)})` : ''}`,
    ),
    `  3  restore ${formatBytes(bytes)} and compare with what was counted`,
    ...stores.map(({ id, bytes: own, to }) => `       ${id} (${formatBytes(own)}) into ${to}`),
    '  4  release it: containers, routes, certificates',
    '',
    'Nothing that is here is written over: where anything of it exists, nothing is begun.',
  ];
  return `${lines.join('\n')}\n`;
}

/** What each part took. Pure. */
export function printTimes(times: readonly { step: string; ms: number }[]): string {
  const total = times.reduce((sum, { ms }) => sum + ms, 0);
  const rows = [...times, { step: 'in all', ms: total }].map(({ step, ms }) => [step, formatMs(ms)] as const);
  const [names, values] = [0, 1].map((column) => Math.max(...rows.map((row) => row[column as 0 | 1].length))) as [number, number];
  return rows.map(([step, took]) => `  ${step.padEnd(names)}  ${took.padStart(values)}`).join('\n');
}
