import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Failure } from '../kit/errors.ts';
import { newIdentity, recipientOf } from '../secrets/encryption.ts';
import { exampleKit } from './kit.fixture.ts';
import { coverPage, openKit, parseKit, printKit, type RecoveryKit, sealKit } from './kit.ts';

async function refusal(work: () => unknown): Promise<Failure> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

test('the cover page says what to do and holds no secret', () => {
  const kit = { ...exampleKit, repository: { ...exampleKit.repository, address: 'rest:https://shop:c4n4ry@backup.example.com/shop' } };
  const page = coverPage(kit, ['age1offline']);
  expect(page).toBe(`RECOVERY KIT: shop

Made     2026-11-24T06:00:00.000Z on srv1
Backups  rest:https://shop:…@backup.example.com/shop
Opens    with the key of age1offline

The kit is the file kit.age. It holds the password of the backups, the keys of their storage and the key of the
project’s secrets. Keep it, and the key that opens it, in two places, both away from the machine.
Make a new kit when one of them changes.

On an empty machine, as root:
1. Install Docker Engine with Compose, restic and age, and Composure: npm install -g composure
2. Open this kit with the key that you kept apart from it:
     umask 077; age --decrypt -i KEY-FILE -o kit.yaml kit.age
3. Write the lines under "identities" into a file:
     mkdir -p -m 700 /var/lib/composure, then put them into /var/lib/composure/identity with mode 600
4. Put the password and the keys under "repository" into the environment, without typing them on a command line:
     RESTIC_PASSWORD and the variables under "environment", for example with read -rs RESTIC_PASSWORD; export RESTIC_PASSWORD
5. composure rebuild --from rest:https://shop:…@backup.example.com/shop
   or, without Composure: restic -r rest:https://shop:…@backup.example.com/shop snapshots --tag project=shop
   (the backups were made with Composure 0.1.0 and restic 0.18.1)
6. Remove kit.yaml: shred -u kit.yaml
`);
  expect(page.toLowerCase()).not.toContain('c4n4ry');
});

test('any kit reads back as it was written', () => {
  const text = fc.string({ unit: 'grapheme' });
  const kits: fc.Arbitrary<RecoveryKit> = fc.record({
    project: fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,20}$/),
    madeAt: fc.constant('2026-11-24T06:00:00.000Z'),
    host: fc.stringMatching(/^[a-z0-9.-]{1,20}$/),
    versions: fc.record({ composure: fc.constant('1.10'), restic: fc.constant('0.18') }),
    repository: fc.record({ address: fc.webUrl(), password: text, environment: fc.dictionary(fc.stringMatching(/^[A-Z_]{1,9}$/), text) }),
    identities: fc.array(text),
  });
  fc.assert(
    fc.property(kits, (kit) => {
      expect(parseKit(printKit(kit), 'kit')).toEqual(structuredClone({ ...kit, repository: { ...kit.repository } }));
    }),
  );
});

test('every recipient opens it, nobody else does, and no byte of it is in the clear', async () => {
  const keys = [await newIdentity(), await newIdentity(), await newIdentity()];
  const [a = '', b = '', stranger = ''] = keys;
  const sealed = await sealKit(exampleKit, [await recipientOf(a), await recipientOf(b)]);
  expect(sealed.toLowerCase()).not.toContain('c4n4ry');
  for (const key of [a, b]) expect(await openKit(Buffer.from(sealed), [key], 'kit')).toEqual(exampleKit);
  expect(await refusal(() => openKit(Buffer.from(sealed), [stranger], 'kit.age'))).toMatchObject({
    code: 'IDENTITY_REFUSED',
    where: 'kit.age',
  });
  expect(await refusal(() => openKit(Buffer.from(sealed.slice(0, -80)), [a], 'kit'))).toMatchObject({ code: 'KIT_INVALID' });
  expect(await refusal(() => openKit(Buffer.from('hello'), [a], 'kit'))).toMatchObject({ code: 'KIT_INVALID' });
  expect(await refusal(() => sealKit(exampleKit, []))).toMatchObject({ code: 'USAGE' });
});

test.each(
  [
    ['', 'it is no recovery kit'],
    ['a: [', 'it is damaged'],
    ['format: composure-recovery-kit/2\n', 'a newer version'],
    [printKit(exampleKit).replace(/ {2}password: .*\n(?: {4}.*\n| *\n)*/, ''), 'a part of it is missing'],
  ].map(([text = '', what = '']) => [what, text]),
)('%s: refused', async (what, text) => {
  const failure = await refusal(() => parseKit(text, 'kit'));
  expect(failure.code).toBe('KIT_INVALID');
  expect(failure.message).toContain(what);
});
