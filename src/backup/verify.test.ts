import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BackupResult } from './model.ts';
import { nextPart } from './verify.ts';

const result = (numbers: Record<string, number>, kind: BackupResult['kind'] = 'verify', ok = true): BackupResult => ({
  kind,
  scheduled: true,
  startedAt: '',
  endedAt: '',
  ok,
  numbers,
});

test.each([
  ['nothing was read yet', [], 1],
  ['the first was read', [result({ part: 1, parts: 7 })], 2],
  ['the last was read', [result({ part: 7, parts: 7 })], 1],
  ['all was read in between', [result({ part: 3, parts: 7 }), result({ all: 1 })], 4],
  ['a check could not begin', [result({ part: 3, parts: 7 }), result({}, 'verify', false)], 4],
  ['a damaged part was read', [result({ part: 3, parts: 7 }, 'verify', false)], 4],
  ['there are other parts now', [result({ part: 3, parts: 5 })], 1],
  ['something else went on', [result({ part: 3, parts: 7 }), result({ part: 6, parts: 7 }, 'drill')], 4],
])('when %s, the next part follows', (_title, history, part) => {
  expect(nextPart(history, 7)).toBe(part);
});

test('in as many runs as there are parts, each is read once', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 59 }), (parts, before) => {
      const history: BackupResult[] = [];
      const read = () => {
        const part = nextPart(history, parts);
        history.push(result({ part, parts }));
        return part;
      };
      for (let run = 0; run < before; run++) read();
      expect(new Set(Array.from({ length: parts }, read)).size).toBe(parts);
    }),
  );
});
