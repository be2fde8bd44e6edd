import { beforeAll, describe, expect, test } from 'vitest';
import { selfSigned } from '../../../test/support/certificate.ts';
import { Failure } from '../../kit/errors.ts';
import { bundle, coversHost, joinCertificate, readCertificate } from './pem.ts';
import { probableReason } from './reason.ts';

const DAY = 86_400_000;
let certificate: string;
let key: string;
let otherKey: string;

beforeAll(async () => {
  ({ certificate, key } = await selfSigned(['shop.test', '*.shop.test']));
  ({ key: otherKey } = await selfSigned(['shop.test']));
});

const where = { certificate: '/etc/shop.crt', key: '/etc/shop.key' };
const joined = (host: string, chain: string, secret: string, now = Date.now()) => joinCertificate(host, chain, secret, now, where);

function refusal(act: () => unknown): Failure {
  try {
    act();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('it was taken');
}

describe('own certificate files', () => {
  test('a good pair becomes one text without blank lines', () => {
    const pem = joined('shop.test', `${certificate}\n\n`, `\r\n${key}`);
    expect(pem).toBe(bundle(certificate, key));
    expect(pem).not.toMatch(/\n\n|\r/);
    expect(readCertificate(pem)).toMatchObject({ names: ['shop.test', '*.shop.test'] });
  });

  test('each way to be wrong has its own words, and none shows the key', () => {
    const cases: [Failure, string, string][] = [
      [refusal(() => joined('shop.test', certificate, otherKey)), 'does not belong', where.key],
      [refusal(() => joined('other.test', certificate, key)), 'is for shop.test', where.certificate],
      [refusal(() => joined('shop.test', certificate, key, Date.now() + 31 * DAY)), 'expired', where.certificate],
      [refusal(() => joined('shop.test', certificate, key, Date.now() - 2 * DAY)), 'not in force', where.certificate],
      [refusal(() => joined('shop.test', 'nonsense', key)), 'no certificate in PEM', where.certificate],
      [refusal(() => joined('shop.test', certificate, 'nonsense')), 'no private key', where.key],
    ];
    const secret = key.split('\n')[1] ?? '';
    for (const [failure, words, place] of cases) {
      expect(failure).toMatchObject({ code: 'CERTIFICATE_FAILED', where: place });
      expect(failure.message).toContain(words);
      expect(JSON.stringify([failure.message, failure.details, failure.next, String(failure.cause)])).not.toContain(secret);
    }
  });

  test.each([
    ['shop.test', true],
    ['www.shop.test', true],
    ['a.b.shop.test', false],
    ['test', false],
    ['*.shop.test', true],
  ])('a wildcard stands for one label: %s %s', (host, covered) => {
    expect(coversHost(['shop.test', '*.shop.test'], host)).toBe(covered);
  });
});

describe('the probable reason of a refusal', () => {
  const here = { resolved: ['192.0.2.1'], local: ['127.0.0.1', '192.0.2.1'] };
  const elsewhere = { resolved: ['198.51.100.7'], local: ['127.0.0.1', '192.0.2.1'] };
  const problem = (type: string) => ({ type, detail: '' });

  test.each([
    [problem('dns'), { resolved: [], local: [] }, 'no usable address', 'create an A or AAAA record'],
    [problem('connection'), here, 'port 80 is not reachable', 'open port 80'],
    [problem('connection'), elsewhere, 'points to 198.51.100.7', 'DNS record'],
    [problem('unauthorized'), here, 'something other than this edge', 'DNS record'],
    [problem('unauthorized'), elsewhere, 'points to 198.51.100.7', 'DNS record'],
    [problem('rateLimited'), here, 'limits how often', 'wait'],
    [problem('caa'), here, 'CAA record', 'CAA record'],
    [undefined, here, 'did not answer', 'reaches the authority'],
  ] as const)('%j', (said, facts, why, next) => {
    const reason = probableReason('shop.test', said, { resolved: [...facts.resolved], local: [...facts.local] });
    expect(reason.why).toContain(why);
    expect(reason.next).toContain(next);
  });
});
