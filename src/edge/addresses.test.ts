import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allocateAddress, freeSubnets } from './addresses.ts';

const project = (nextAddress: number) => ({ network: { name: 'n', subnet: '10.214.7.0/24' }, nextAddress });

test('subnets that meet another network, a route or an address are left out', () => {
  expect(freeSubnets('10.214.0.0/22', [])).toEqual(['10.214.0.0/24', '10.214.1.0/24', '10.214.2.0/24', '10.214.3.0/24']);
  expect(freeSubnets('10.214.0.0/22', ['10.214.1.128/25', '10.214.2.9', 'fd00::/8', '0.0.0.0/0'])).toEqual([
    '10.214.0.0/24',
    '10.214.3.0/24',
  ]);
  expect(freeSubnets('10.214.0.0/22', ['10.0.0.0/8'])).toEqual([]);
  expect(freeSubnets('10.214.0.0/25', [])).toEqual([]);
  expect(freeSubnets('nonsense', [])).toEqual([]);
});

test('addresses are handed out in turn, never the bridge or broadcast address', () => {
  expect(allocateAddress(project(2), [])).toEqual({ address: '10.214.7.2', nextAddress: 3 });
  expect(allocateAddress(project(254), [])).toEqual({ address: '10.214.7.254', nextAddress: 2 });
  expect(allocateAddress(project(254), ['10.214.7.254', '10.214.7.2'])).toEqual({ address: '10.214.7.3', nextAddress: 4 });
  expect(allocateAddress(project(0), [])?.address).toBe('10.214.7.2');
});

test('an address that was given back is given out again only after all others', () => {
  let next = 2;
  const given: string[] = [];
  for (let count = 0; count < 253; count++) {
    const got = allocateAddress(project(next), []);
    if (!got) throw new Error('none');
    given.push(got.address);
    next = got.nextAddress;
  }
  expect(new Set(given).size).toBe(253);
  expect(allocateAddress(project(next), [])?.address).toBe(given[0]);
});

test('no address is given twice, and none only when all are taken', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 300 }), fc.uniqueArray(fc.integer({ min: 2, max: 254 })), (next, hosts) => {
      const taken = hosts.map((host) => `10.214.7.${host}`);
      const got = allocateAddress(project(next), taken);
      return got === undefined ? taken.length === 253 : !taken.includes(got.address);
    }),
  );
});
