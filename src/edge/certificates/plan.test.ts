import { describe, expect, test } from 'vitest';
import { type FailedAttempts, planCertificates, renewalTime } from './plan.ts';

const DAY = 86_400_000;
const MINUTE = 60_000;
const DIRECTORY = 'https://ca.example/directory';
const NOW = Date.UTC(2026, 0, 1);

function step(certificate: { ageDays: number; lifeDays: number; directory?: string } | undefined, failures?: FailedAttempts) {
  const notBefore = NOW - (certificate?.ageDays ?? 0) * DAY;
  const [only] = planCertificates({
    wanted: [{ host: 'a.example', directory: DIRECTORY }],
    have: certificate
      ? [{ host: 'a.example', notBefore, notAfter: notBefore + certificate.lifeDays * DAY, directory: certificate.directory ?? DIRECTORY }]
      : [],
    failures: failures ? { 'a.example': failures } : {},
    now: NOW,
  });
  return only;
}

describe('when a certificate is due', () => {
  test.each([
    [undefined, 'issue'],
    [{ ageDays: 59, lifeDays: 90 }, 'keep'],
    [{ ageDays: 60, lifeDays: 90 }, 'renew'],
    [{ ageDays: 3.9, lifeDays: 6 }, 'keep'],
    [{ ageDays: 4, lifeDays: 6 }, 'renew'],
    [{ ageDays: 6, lifeDays: 6 }, 'issue'],
    [{ ageDays: 1, lifeDays: 90, directory: 'https://staging.example/directory' }, 'issue'],
  ] as const)('%j: %s', (certificate, action) => {
    expect(step(certificate)?.action).toBe(action);
  });

  test('a kept certificate names the moment when a third of its life is left', () => {
    expect(step({ ageDays: 0, lifeDays: 90 })?.at).toBe(NOW + 60 * DAY);
    expect(renewalTime({ notBefore: 0, notAfter: 6 * DAY })).toBe(4 * DAY);
  });
});

describe('after failures', () => {
  const failed = (...minutesAgo: number[]): FailedAttempts => ({ at: minutesAgo.map((m) => NOW - m * MINUTE), message: 'no' });

  test.each([
    [failed(0.5), 0.5],
    [failed(10, 4), 1],
    [failed(50, 40, 10), 20],
    [failed(300, 200, 100, 30), 90],
    [failed(5000, 4000, 3000, 2000, 1000, 30), 90],
  ])('%#: the next attempt waits', (failures, minutes) => {
    expect(step(undefined, failures)).toMatchObject({ action: 'wait', at: NOW + minutes * MINUTE });
  });

  test('the wait ends', () => {
    expect(step(undefined, failed(1))?.action).toBe('issue');
    expect(step({ ageDays: 70, lifeDays: 90 }, failed(10, 6))?.action).toBe('renew');
  });

  test('the wish of the authority counts when it is later', () => {
    const wait = step(undefined, { ...failed(5), notBefore: NOW + 3 * 60 * MINUTE });
    expect(wait).toMatchObject({ action: 'wait', at: NOW + 180 * MINUTE });
    expect(wait?.why).toContain('asked to wait');
  });

  test('a valid certificate is kept whatever failed before', () => {
    expect(step({ ageDays: 1, lifeDays: 90 }, failed(0))?.action).toBe('keep');
  });

  test('never more than five attempts an hour, however long it goes on failing', () => {
    const attempts: number[] = [];
    for (let now = NOW; now < NOW + DAY; now += MINUTE / 2) {
      const [only] = planCertificates({
        wanted: [{ host: 'a.example', directory: DIRECTORY }],
        have: [],
        failures: attempts.length ? { 'a.example': { at: attempts, message: 'no' } } : {},
        now,
      });
      if (only?.action === 'issue') attempts.push(now);
    }
    expect(attempts.length).toBeGreaterThan(8);
    for (const start of attempts) expect(attempts.filter((at) => at >= start && at < start + 60 * MINUTE).length).toBeLessThanOrEqual(5);
  });

  test('one bad host leaves the others alone', () => {
    const steps = planCertificates({
      wanted: ['a.example', 'bad.example', 'c.example'].map((host) => ({ host, directory: DIRECTORY })),
      have: [],
      failures: { 'bad.example': failed(0) },
      now: NOW,
    });
    expect(steps.map((s) => s.action)).toEqual(['issue', 'wait', 'issue']);
  });
});
