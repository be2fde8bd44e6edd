import { expect, test } from 'vitest';
import { createFailer, isHealthy, readMisbehaviour } from './misbehave.ts';

test('an empty environment misbehaves in nothing', () => {
  expect(readMisbehaviour({ APP_HEALTH: '', APP_ERROR_RATE: '' })).toEqual({
    onSigterm: 'drain',
    bootDelayMs: 0,
    health: { kind: 'ok' },
    errorRate: 0,
    crashAfterMs: 0,
    eatMemoryMb: 0,
  });
});

test('health fails from the start, later, or never', () => {
  const health = (text: string) => readMisbehaviour({ APP_HEALTH: text }).health;
  expect(isHealthy(health('ok'), 1e9)).toBe(true);
  expect(isHealthy(health('fail'), 0)).toBe(false);
  expect(isHealthy(health('fail-after:2.5s'), 2_499)).toBe(true);
  expect(isHealthy(health('fail-after:2.5'), 2_500)).toBe(false);
});

test.each([
  { APP_HEALTH: 'bad' },
  { APP_ON_SIGTERM: 'drian' },
  { APP_ERROR_RATE: '1.5' },
  { APP_BOOT_DELAY_MS: '-1' },
  { APP_EAT_MEMORY_MB: 'x' },
])('%j is refused', (env) => {
  expect(() => readMisbehaviour(env)).toThrow(RangeError);
});

test.each([
  [0, 0],
  [0.1, 10],
  [0.5, 50],
  [1, 100],
])('an error rate of %f fails exactly that share', (share, failures) => {
  const fails = createFailer(share);
  expect(Array.from({ length: 100 }, fails).filter(Boolean).length).toBe(failures);
});
