import { expect, test } from 'vitest';
import type { EdgeContainer } from '../edge/container.ts';
import { finishedGenerations } from './tidy.ts';

const edge = (generation: number, state: EdgeContainer['state']): EdgeContainer => ({
  id: `${generation}`,
  name: `edge-${generation}`,
  generation,
  image: 'x',
  state,
});

test('only ended generations before the serving one are taken away', () => {
  const all = [edge(4, 'created'), edge(3, 'running'), edge(2, 'running'), edge(1, 'exited')];
  expect(finishedGenerations(all, 3).map(({ generation }) => generation)).toEqual([1]);
  expect(finishedGenerations([edge(3, 'exited'), edge(1, 'exited')], undefined)).toEqual([]);
  expect(finishedGenerations([edge(3, 'exited')], 3)).toEqual([]);
});
