import { formatBytes } from '../../kit/amounts.ts';
import { formatAge } from '../../kit/duration.ts';
import { second } from '../../kit/time.ts';
import type { SavedStore } from '../model.ts';
import { type RestorePlan, spotName, type Unit } from './model.ts';

export const keptName = (volume: string, id: string): string => `${volume}-before-${id}`;

/** The plan as people read it. `now`: ms since 1970. Pure. */
export function printRestore(plan: RestorePlan, now: number): string {
  const { project, set, savedAt, provenAt, units, stops, stopSeconds, leftAlone, warnings } = plan;
  const age = (at: string): string => formatAge(now - Date.parse(at));
  const steps = [
    'restore into scratch volumes and compare with what was counted; nothing live is touched until all is the same',
    'save what is there now, as a set of its own',
    ...(stops.length > 0 ? [`stop ${stops.map(({ service }) => service).join(', ')}`] : []),
    ...units.flatMap(({ places }) => places.map(({ live }) => `replace ${live ? spotName(live) : ''}; the old content is kept beside it`)),
    ...(stops.length > 0
      ? [
          `start ${stops
            .map(({ service }) => service)
            .reverse()
            .join(', ')} and wait until they are healthy; if one is not, everything goes back`,
        ]
      : []),
  ];
  const lines = [
    `Restore ${project} from set ${set}`,
    `  saved ${second(savedAt)} UTC, ${age(savedAt)} ago; ${provenAt === undefined ? 'unproven' : `proven ${second(provenAt)} UTC`}`,
    '',
    'Replaced as a whole',
    ...units.flatMap((unit) => [
      `  ${unit.title}: ${contentOf(unit)}`,
      `    in ${unit.places.map(({ live }) => (live ? spotName(live) : '')).join(', ')}`,
      `    lost from it: whatever was written after ${second(oldest(unit.stores))} UTC, ${age(oldest(unit.stores))} ago`,
    ]),
    '',
    'Steps',
    ...steps.map((text, index) => `  ${index + 1}  ${text}`),
    '',
    ...(stops.length > 0
      ? [
          `Stopped meanwhile, for as long as they take to stop (at most ${stopSeconds}s) and to become healthy`,
          ...stops.map(({ service, why }) => `  ${service}: it ${why}`),
          '',
        ]
      : []),
    ...(leftAlone.length > 0 ? ['Left alone', ...leftAlone.map(({ what, why }) => `  ${what}: ${why}`), ''] : []),
    ...warnings.map((text) => `warning: ${text}`),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

const oldest = (stores: readonly SavedStore[]): string => stores.map(({ contentAt }) => contentAt).sort()[0] ?? '';

function contentOf({ stores }: Unit): string {
  const bytes = stores.reduce((sum, store) => sum + store.bytes, 0);
  return `${stores.map((store) => store.id).join(', ')} (${formatBytes(bytes)})`;
}
