import fc from 'fast-check';
import { expect, test } from 'vitest';
import { workersOf } from './bullmq.ts';
import { topicMatches } from './celery.ts';

const client = (address: string, name: string) => `id=7 addr=${address} laddr=10.0.0.2:6379 fd=8 name=${name} age=3 idle=0 flags=b db=0`;

test.each<[string, string[], string[], unknown]>([
  ['named after their hosts', ['10.0.0.3:4111 :w:aaa', '10.0.0.4:4112 :w:bbb'], ['bbb'], ['aaa 10.0.0.3 idle', 'bbb 10.0.0.4 busy']],
  ['all with the same name: all busy', ['10.0.0.3:4111 :w:x', '10.0.0.4:4112 :w:x'], ['x'], ['x 10.0.0.3 busy', 'x 10.0.0.4 busy']],
  ['without names, nothing runs', ['10.0.0.3:4111 ', '10.0.0.4:4112 '], [], [' 10.0.0.3 idle', ' 10.0.0.4 idle']],
  ['without names, something runs: unknown', ['10.0.0.3:4111 ', '10.0.0.4:4112 '], [''], []],
  ['several of one process are one', ['10.0.0.3:4111 :w:aaa', '10.0.0.3:4112 :w:aaa'], [], ['aaa 10.0.0.3 idle']],
  ['another queue whose name begins alike', ['10.0.0.3:4111 more:w:aaa'], [], []],
  ['IPv6', ['[fd00::3]:4111 :w:aaa'], [], ['aaa fd00::3 idle']],
])('BullMQ workers %s', (_title, clients, holders, expected) => {
  const list = clients.map((text) => {
    const [address = '', suffix = ''] = text.split(' ');
    return client(address, `bull:aGVhdnk=${suffix}`);
  });
  const workers = workersOf([client('10.0.0.9:1', ''), ...list, ''].join('\n'), 'bull:aGVhdnk=', holders);
  expect(workers.map(({ hostname = '', address, busy }) => `${hostname} ${address} ${busy ? 'busy' : 'idle'}`)).toEqual(expected);
});

test.each([
  ['video', 'video', true],
  ['video.*', 'video.cut', true],
  ['video.*', 'video.cut.long', false],
  ['video.#', 'video', true],
  ['#.long', 'video.cut.long', true],
  ['*.cut.#', 'cut', false],
])('the topic %s matches %s: %s', (pattern, key, expected) => {
  expect(topicMatches(pattern.split('.'), key.split('.'))).toBe(expected);
});

test('"#" alone matches every key, and a key matches itself', () => {
  const word = fc.stringMatching(/^[a-z]{1,3}$/);
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 6 }), (words) => topicMatches(['#'], words) && topicMatches(words, words)),
  );
});
