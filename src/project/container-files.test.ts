import { expect, test } from 'vitest';
import { containerFiles, hashWithFiles, readOnlyProblems } from './container-files.ts';

const model = {
  name: 'shop',
  secrets: { token: { environment: 'TOKEN' }, cert: { file: '/p/cert.pem' }, other: { environment: 'OTHER' } },
  configs: { motd: { content: 'hello\n' }, named: { environment: 'NAMED' } },
};
const service = {
  secrets: [
    { source: 'token', target: 'TOKEN', uid: '1234', gid: '12', mode: '0400' },
    { source: 'other', mode: 288 },
    { source: 'cert', target: '/etc/cert.pem' },
  ],
  configs: [{ source: 'motd' }, { source: 'named', target: '/etc/named' }],
};

test('secrets and configs that are no files of the host go where Compose would put them', () => {
  const files = containerFiles(service, model, { TOKEN: 't', OTHER: '', NAMED: 'n' }, { TOKEN: 'known' });
  expect(files.map(({ fingerprint: _, ...file }) => file)).toEqual([
    { path: '/run/secrets/TOKEN', content: 't', uid: 1234, gid: 12, mode: 0o400 },
    { path: '/run/secrets/other', content: '', uid: 0, gid: 0, mode: 0o440 },
    { path: '/motd', content: 'hello\n', uid: 0, gid: 0, mode: 0o444 },
    { path: '/etc/named', content: 'n', uid: 0, gid: 0, mode: 0o444 },
  ]);
  expect(files[0]?.fingerprint).toBe('known');
  expect(containerFiles(service, model, {}, {}).map(({ path }) => path)).toEqual(['/motd']);
});

test('the content hash changes with a value, an owner and a mode, and is the old one where there are no such files', () => {
  const hash = (values: Record<string, string>, more: object = {}) =>
    hashWithFiles('base', containerFiles({ secrets: [{ source: 'token', ...more }] }, model, values, {}));
  const one = hash({ TOKEN: 'one' });
  expect(hash({ TOKEN: 'one' })).toBe(one);
  const others = [
    hash({ TOKEN: 'two' }),
    hash({ TOKEN: 'one' }, { uid: '1' }),
    hash({ TOKEN: 'one' }, { mode: '0400' }),
    hash({ TOKEN: 'one' }, { target: 'x' }),
  ];
  expect(new Set([one, ...others]).size).toBe(5);
  expect(hash({})).toBe('base');
});

test('a read-only service with such a file is a problem', () => {
  expect(
    readOnlyProblems({ a: { ...service, read_only: true }, b: service, c: { read_only: true, secrets: [{ source: 'cert' }] } }, model),
  ).toEqual([
    {
      path: ['services', 'a', 'read_only'],
      message: 'service a: a read-only container takes secrets only from files, and token comes from the variable TOKEN',
    },
  ]);
});
