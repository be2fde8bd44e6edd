import { describe, expect, test } from 'vitest';
import { triggerContract } from './contract.ts';
import { exec, printedNumber } from './exec.ts';
import type { TriggerContext } from './model.ts';

let holds = 0;

triggerContract({
  type: exec,
  server: false,
  credentials: false,
  start: async () => ({
    metadata: { command: ['count', 'jobs'], targetValue: 5 },
    context: { exec: async () => ({ code: 0, output: `${holds}\n` }) },
    async hold(value) {
      holds = value;
    },
    remove: async () => {},
  }),
});

test('runs the command in the named service, as words', async () => {
  const asked: unknown[] = [];
  const context = {
    environment: { API_TOKEN: 'abc123' },
    exec: async (...question: unknown[]) => {
      asked.push(question);
      return { code: 2, output: 'denied: abc123\n' };
    },
  } as unknown as TriggerContext;
  const trigger = exec.open(
    exec.metadata.parse({ command: `sh -c "echo \\"a b\\"" 'c d' e\\ f ''`, service: 'api', targetValue: '1' }),
    context,
  );
  await expect(trigger.read()).rejects.toMatchObject({
    message: 'the exec trigger cannot be read: the command ends with 2: denied: ***',
    where: 'api',
  });
  expect(asked).toEqual([['api', ['sh', '-c', 'echo "a b"', 'c d', 'e f', '']]]);
});

test('a command that does not end fails in time', async () => {
  const context = { environment: {}, exec: () => new Promise(() => {}) } as unknown as TriggerContext;
  await expect(exec.open(exec.metadata.parse({ command: 'sleep 100', targetValue: 1 }), context).read()).rejects.toThrow(
    'no answer within 4.5 s',
  );
});

describe('what a command prints', () => {
  test.each([
    ['7', 7],
    ['  2.5 \n\n', 2.5],
    ['DeprecationWarning: old\n12\n', 12],
    ['1e3', 1000],
    ['-1', -1],
    ['0x10', /no number: 0x10/],
    ['NaN', /no number/],
    ['7 jobs', /no number: 7 jobs/],
    ['12\nTraceback', /no number: Traceback/],
    ['', /prints nothing/],
  ])('%j', (output, expected) => {
    if (typeof expected === 'number') expect(printedNumber({ code: 0, output })).toBe(expected);
    else expect(() => printedNumber({ code: 0, output })).toThrow(expected);
  });

  test('counts for nothing when the command fails', () => {
    expect(() => printedNumber({ code: 1, output: '7\n' })).toThrow('the command ends with 1: 7');
  });
});

test.each([['', 'a "b', [], "a 'b", '  ']])('refuses %j as a command', (command) => {
  expect(exec.metadata.safeParse({ command, targetValue: 1 }).success).toBe(false);
});
