import { expect, test } from 'vitest';
import { isLeftOver, scratchLabels } from './scratch.ts';

const dead = () => false;
const alive = () => true;

test.each<[string, Record<string, string> | null, () => boolean, boolean]>([
  ['of a dead process', scratchLabels('1'), dead, true],
  ['of a process at work', scratchLabels('1'), alive, false],
  ['kept for a look', scratchLabels('1', 'shop'), dead, false],
  ['without a label of ours', { 'com.docker.compose.project': 'shop' }, dead, false],
  ['without labels', null, dead, false],
  ['whose owner cannot be read', { 'composure.scratch': '1' }, dead, true],
])('%s', (_title, labels, look, expected) => {
  expect(isLeftOver(labels, look)).toBe(expected);
});

test('this process is alive to itself', () => {
  expect(isLeftOver(scratchLabels('1'))).toBe(false);
});
