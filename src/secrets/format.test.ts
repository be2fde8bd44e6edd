import { expect, test } from 'vitest';
import { Failure } from '../kit/errors.ts';
import { parseSecretsFile, printSecretsFile } from './format.ts';

const armored = (body: string): string => `-----BEGIN AGE ENCRYPTED FILE-----\n${body}\n-----END AGE ENCRYPTED FILE-----\n`;
const file = {
  recipients: [
    { recipient: 'age1server', label: 'server' },
    { recipient: 'age1laptop', label: 'Ann’s "laptop"' },
  ],
  secrets: { TOKEN: armored('QUJD'), NO: armored('REVG\nR0hJ'), A_KEY: armored('eHl6') },
};

test('a file is sorted, one block of lines an entry, and reads back as it was', async () => {
  const text = printSecretsFile(file);
  expect(text).toBe(`# Encrypted with age: names and recipients are plain, values are not. Safe to commit.
# Change it with "composure secrets", not by hand.
version: 1
recipients:
  - recipient: age1server
    label: "server"
  - recipient: age1laptop
    label: "Ann’s \\"laptop\\""
secrets:
  A_KEY: |
    -----BEGIN AGE ENCRYPTED FILE-----
    eHl6
    -----END AGE ENCRYPTED FILE-----
  "NO": |
    -----BEGIN AGE ENCRYPTED FILE-----
    REVG
    R0hJ
    -----END AGE ENCRYPTED FILE-----
  TOKEN: |
    -----BEGIN AGE ENCRYPTED FILE-----
    QUJD
    -----END AGE ENCRYPTED FILE-----
`);
  expect(await parseSecretsFile(text, 's.yaml')).toEqual(file);
  expect(await parseSecretsFile(text.replaceAll('\n', '\r\n'), 's.yaml')).toEqual(file);
});

test('a file without entries reads back too', async () => {
  const empty = { recipients: [{ recipient: 'age1server', label: '' }], secrets: {} };
  expect(await parseSecretsFile(printSecretsFile(empty), 's.yaml')).toEqual(empty);
});

const CANARY = 'c4n4ry-value';
test.each([
  ['', 'it is empty or no mapping', 's.yaml'],
  ['version: 2\nrecipients: []\n', 'its version is 2, and this Composure reads version 1', 's.yaml'],
  ['recipients: []\n', 'its version is not given', 's.yaml'],
  ['version: 1\nrecipients: []\nextra: 1\n', 'unknown field "extra"', 's.yaml'],
  ['version: 1\nrecipients: {}\n', 'recipients must be a list', 's.yaml'],
  ['version: 1\nrecipients: []\nsecrets: []\n', 'secrets a mapping', 's.yaml'],
  [`version: 1\nrecipients: []\nsecrets:\n  A: ${CANARY}\n`, 'the entry A is not an encrypted value', 's.yaml'],
  [
    `version: 1\nrecipients: []\nsecrets:\n  A: |\n    -----BEGIN AGE ENCRYPTED FILE-----\n    ${CANARY}!\n    -----END AGE ENCRYPTED FILE-----\n`,
    'the entry A is not',
    's.yaml',
  ],
  ['version: 1\nrecipients: []\nsecrets:\n  9A: x\n', '"9A" is no name', 's.yaml'],
  ['version: 1\nrecipients: []\nsecrets:\n  A: x\n  A: y\n', 'a name stands in it twice', 's.yaml:5'],
  [`version: 1\nrecipients: [\n  A: "${CANARY}\n`, 'it is no YAML', 's.yaml:'],
  ['version: 1\nrecipients: [{recipient: age1a, label: a}, {recipient: age1a, label: b}]\n', 'age1a stands in it twice', 's.yaml'],
  [`version: 1\nrecipients: [{recipient: AGE-SECRET-KEY-${CANARY}}]\n`, 'no age recipient', 's.yaml'],
  ['version: 1\n<<<<<<< ours\nrecipients: []\n=======\nrecipients: []\n>>>>>>> theirs\n', 'a merge left its marks', 's.yaml:2'],
])('%j is refused: %s', async (text, what, where) => {
  const failure = await parseSecretsFile(text, 's.yaml').catch((error: unknown) => error);
  if (!(failure instanceof Failure)) throw failure;
  expect(failure).toMatchObject({ code: 'SECRETS_INVALID', next: expect.stringMatching(/\w/) });
  expect(failure.message).toContain(what);
  expect(failure.where).toContain(where);
  expect(JSON.stringify([failure.message, failure.where, failure.next, failure.details])).not.toContain(CANARY);
});
