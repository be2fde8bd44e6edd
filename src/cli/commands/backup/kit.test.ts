import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Kit, kitCommands, kitText, kitWarnings, openKit, sealKit } from '../../../backup/kit.ts';
import { newIdentity, recipientOf } from '../../../secrets/encryption.ts';
import { allCommands, buildProgram } from '../../program.ts';
import { requireElsewhere } from './kit.ts';

const KIT: Kit = {
  version: 1,
  project: 'shop',
  folder: '/srv/shop',
  host: 'vps1',
  made: '2026-11-24T06:12:00.000Z',
  composure: '0.1.0',
  restic: '0.19.1',
  repository: 's3:https://s3.example.com/backups/shop',
  variables: { RESTIC_PASSWORD: 'a: "b" #c\nd', AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'key' },
  identities: ['AGE-SECRET-KEY-1AAAA'],
};

const seal = async (kit: Kit) => {
  const key = await newIdentity();
  return { key, file: Buffer.from(await sealKit(kit, [await recipientOf(key)])) };
};

test('a kit opens with the offline identity and holds what it was made of, whatever the values are', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.stringMatching(/^[A-Z][A-Z_]{0,20}$/), fc.string({ unit: 'grapheme' }), { maxKeys: 4 }),
      fc.stringMatching(/^\/[ -~]{1,30}$/),
      async (variables, repository) => {
        const kit = { ...KIT, variables, repository };
        const { key, file } = await seal(kit);
        expect(await openKit(file, [key], 'kit')).toEqual(kit);
      },
    ),
    { numRuns: 40 },
  );
});

test('a kit shows nothing without the identity, and another identity is told so', async () => {
  const { file } = await seal(KIT);
  expect(file.toString()).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----/);
  expect(file.toString()).not.toContain('shop');
  await expect(openKit(file, [await newIdentity()], '/mnt/kit.age')).rejects.toMatchObject({
    code: 'IDENTITY_REFUSED',
    message: 'the recovery kit was not encrypted for this identity',
    where: '/mnt/kit.age',
    next: expect.stringContaining('--identity FILE'),
  });
});

test.each([
  ['is cut', (file: Buffer) => file.subarray(0, file.length / 2), 'the recovery kit is damaged, or no age file'],
  ['is another text', () => Buffer.from('hello'), 'the recovery kit is damaged, or no age file'],
])('a file that %s is no kit', async (_title, change, message) => {
  const { key, file } = await seal(KIT);
  await expect(openKit(change(file), [key], 'kit')).rejects.toMatchObject({ code: 'USAGE', message });
});

test('another age file is no kit', async () => {
  const { key, file } = await seal({ ...KIT, version: 2 as 1 });
  await expect(openKit(file, [key], 'kit')).rejects.toMatchObject({ code: 'USAGE', message: 'the file is no recovery kit' });
});

test('every command that a kit names exists, with its options', () => {
  const program = buildProgram();
  const commands = kitCommands(kitText(KIT));
  expect(commands.length).toBeGreaterThanOrEqual(6);
  for (const words of commands) {
    let command = program;
    const rest = [...words];
    for (;;) {
      const inner = command.commands.find((one) => one.name() === rest[0]);
      if (!inner) break;
      command = inner as typeof command;
      rest.shift();
    }
    expect(allCommands(program), words.join(' ')).toContain(command);
    expect(command.commands, words.join(' ')).toEqual([]);
    for (const option of rest.filter((word) => word.startsWith('--')))
      expect(
        command.options.map(({ long }) => long),
        words.join(' '),
      ).toContain(option);
  }
});

test('a kit’s text is one that a shell takes as it stands', () => {
  const text = kitText({ ...KIT, repository: "/mnt/it's here/$(id)" });
  const line = text
    .split('\n')
    .find((one) => one.includes('export RESTIC_REPOSITORY='))
    ?.slice(1)
    .trim();
  const shell = spawnSync('sh', ['-c', `${line}; printf %s "$RESTIC_REPOSITORY"`], { encoding: 'utf8' });
  expect(shell.stdout).toBe("/mnt/it's here/$(id)");
});

test('a kit that only the machine itself could open is refused', () => {
  expect(() => requireElsewhere(['age1own'], ['age1own', 'age1old'])).toThrow('is lost with it');
  expect(() => requireElsewhere(['age1own', 'age1offline'], ['age1own'])).not.toThrow();
  expect(() => requireElsewhere(['age1offline'], [])).not.toThrow();
});

test('what a kit cannot bring back is said', () => {
  expect(kitWarnings(KIT, true)).toEqual([]);
  expect(kitWarnings({ ...KIT, identities: [] }, false)).toEqual([]);
  expect(kitWarnings({ ...KIT, identities: [], repository: '/mnt/backup' }, true)).toEqual([
    'the repository is a folder of this machine, /mnt/backup: it is lost with the machine unless it lies on a disk elsewhere',
    'this machine has no identity, so the kit cannot open the project’s secrets',
  ]);
  expect(kitWarnings({ ...KIT, repository: 'sftp:backup@nas:/srv' }, true)).toEqual([
    'the SSH key that opens the SFTP server is not in the kit: keep one that the server knows',
  ]);
});
