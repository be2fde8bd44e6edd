import type { ToProjectPlan } from './to-project.ts';

/** Pure. */
export function printToProject({ project, set, units, volumes, left }: ToProjectPlan): string {
  const lines = [
    `Restore set ${set} into new volumes of a project ${project}; no other project is touched`,
    '',
    ...volumes.map(({ saved, name }) => `  volume ${name}, as ${saved} was`),
    '',
    'What goes into them',
    ...units.map(({ title, stores }) => `  ${title}: ${stores.map(({ id }) => id).join(', ')}`),
    ...(left.length > 0 ? ['', 'Left out', ...left.map(({ what, why }) => `  ${what}: ${why}`)] : []),
  ];
  return `${lines.join('\n')}\n`;
}
