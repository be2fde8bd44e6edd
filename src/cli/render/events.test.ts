import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import type { ProgressEvent } from '../../kit/events.ts';
import { renderer } from './events.ts';

const start = (step: string, text: string): ProgressEvent => ({ kind: 'step-start', step, text });
const done = (step: string, text = ''): ProgressEvent => ({ kind: 'step-done', step, text, ms: 1200 });

/** What stands on a terminal after these events. */
function screen(events: readonly ProgressEvent[], width = 80): string {
  const written: string[] = [];
  const report = renderer({ stderr: (text) => void written.push(text) }, 'tty', () => width);
  for (const event of events) report(event);
  return written
    .join('')
    .split('\n')
    .map((line) => stripVTControlCharacters(line.slice(line.lastIndexOf('\r') + 1)))
    .join('\n');
}

const TWO_AT_ONCE: ProgressEvent[] = [
  start('a', 'save db/postgres/shop'),
  start('b', 'save web/files/uploads'),
  { kind: 'step-progress', step: 'b', text: '1 GiB of 4 GiB' },
  { kind: 'warning', text: 'the repository is slow' },
];

test('steps that run at the same time share the last line', () => {
  expect(screen(TWO_AT_ONCE)).toBe('warning: the repository is slow\n… save db/postgres/shop, save web/files/uploads  1 GiB of 4 GiB');
});

test('a step that has ended has one line, however it was interrupted', () => {
  expect(screen([...TWO_AT_ONCE, done('a', '12 MiB'), { kind: 'note', text: 'half way' }, done('b')])).toBe(
    ['warning: the repository is slow', '✓ save db/postgres/shop  1.2 s  12 MiB', 'half way', '✓ save web/files/uploads  1.2 s', ''].join(
      '\n',
    ),
  );
});

test('a step within another ends before it', () => {
  const inner: ProgressEvent[] = [start('outer', 'release'), start('inner', 'start api'), done('inner')];
  expect(screen(inner)).toBe('✓ start api  1.2 s\n… release');
  expect(screen([...inner, { kind: 'step-failed', step: 'outer', text: 'api is unhealthy', ms: 300 }])).toBe(
    '✓ start api  1.2 s\n✗ release  300 ms  api is unhealthy\n',
  );
});

test('the last line never wraps', () => {
  expect(screen([start('a', 'x'.repeat(200))], 40)).toBe(`… ${'x'.repeat(37)}`);
});

test('without a terminal every line tells by itself what it is about', () => {
  const written: string[] = [];
  const report = renderer({ stderr: (text) => void written.push(text) }, 'plain');
  for (const event of [...TWO_AT_ONCE, done('b')]) report(event);
  expect(written.join('')).toBe(
    '… save db/postgres/shop\n… save web/files/uploads\nwarning: the repository is slow\n✓ save web/files/uploads  1.2 s\n',
  );
});
