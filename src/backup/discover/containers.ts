import type { ContainerSummary } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';

/** Running ones first, then by Compose's number. Pure. */
export const runningFirst = (containers: readonly ContainerSummary[]): ContainerSummary[] =>
  [...containers].sort(
    (a, b) =>
      Number(b.State === 'running') - Number(a.State === 'running') ||
      Number(a.Labels[COMPOSE.number] ?? 0) - Number(b.Labels[COMPOSE.number] ?? 0),
  );
