import { Failure } from '../kit/errors.ts';
import { type Recipient, SECRET_NAME, type SecretsFile } from './model.ts';

const VERSION = 1;
const BEGIN = '-----BEGIN AGE ENCRYPTED FILE-----';
const END = '-----END AGE ENCRYPTED FILE-----';

const HEAD = `# Encrypted with age: names and recipients are plain, values are not. Safe to commit.
# Change it with "composure secrets", not by hand.
`;

/** Names that YAML, of one version or another, takes for something else than text. */
const YAML_WORD = /^(null|true|false|yes|no|on|off|y|n)$/i;

/**
 * The file's text. Entries are sorted and one entry is one block of lines, so that a diff shows which secret changed and two branches that
 * set different ones merge.
 */
export function printSecretsFile({ recipients, secrets }: SecretsFile): string {
  const lines = [
    `version: ${VERSION}`,
    recipients.length > 0 ? 'recipients:' : 'recipients: []',
    ...recipients.flatMap(({ recipient, label }) => [`  - recipient: ${recipient}`, `    label: ${JSON.stringify(label)}`]),
  ];
  const names = Object.keys(secrets).sort();
  lines.push(names.length > 0 ? 'secrets:' : 'secrets: {}');
  for (const name of names) {
    lines.push(
      `  ${YAML_WORD.test(name) ? JSON.stringify(name) : name}: |`,
      ...armorLines(secrets[name] ?? '').map((line) => `    ${line}`),
    );
  }
  return `${HEAD}${lines.join('\n')}\n`;
}

const armorLines = (armored: string): string[] => armored.trim().split(/\r?\n/);

/** Reads the text of a file; throws SECRETS_INVALID that says what is wrong with it and where. `file` is for the message only. */
export async function parseSecretsFile(text: string, file: string): Promise<SecretsFile> {
  const conflict = text.split('\n').findIndex((line) => /^(<{7}|={7}|>{7})( |$)/.test(line));
  if (conflict >= 0) {
    throw invalid(file, 'a merge left its marks in it', {
      line: conflict + 1,
      next: 'keep the entries of both sides and remove the marks, then: composure secrets recipients sync',
    });
  }
  const { parseDocument, LineCounter } = await import('yaml');
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, logLevel: 'silent' });
  const error = document.errors[0];
  if (error) {
    // A duplicate entry quotes the key, never a value; other messages may quote the line.
    const what = error.code === 'DUPLICATE_KEY' ? 'a name stands in it twice' : 'it is no YAML';
    throw invalid(file, what, { line: lines.linePos(error.pos[0]).line });
  }
  return readContent(document.toJS({ maxAliasCount: 0 }), file);
}

function readContent(content: unknown, file: string): SecretsFile {
  if (!isMapping(content)) throw invalid(file, 'it is empty or no mapping');
  if (content.version !== VERSION) {
    throw invalid(file, `its version is ${show(content.version)}, and this Composure reads version ${VERSION}`, {
      next: typeof content.version === 'number' && content.version > VERSION ? 'update Composure' : undefined,
    });
  }
  const unknown = Object.keys(content).find((key) => !['version', 'recipients', 'secrets'].includes(key));
  if (unknown !== undefined) throw invalid(file, `it has an unknown field ${show(unknown)}`);
  if (!Array.isArray(content.recipients) || !isMapping(content.secrets ?? {}))
    throw invalid(file, 'recipients must be a list and secrets a mapping');
  const recipients = content.recipients.map((entry: unknown) => readRecipient(entry, file));
  const twice = recipients.find(({ recipient }, index) => recipients.findIndex((other) => other.recipient === recipient) !== index);
  if (twice) throw invalid(file, `the recipient ${twice.recipient} stands in it twice`);
  const secrets: Record<string, string> = {};
  for (const [name, value] of Object.entries(mapping(content.secrets))) {
    if (!SECRET_NAME.test(name)) throw invalid(file, `${show(name)} is no name of an environment variable`);
    const lines = typeof value === 'string' ? armorLines(value) : [];
    if (
      lines.length < 3 ||
      lines[0] !== BEGIN ||
      lines.at(-1) !== END ||
      !lines.slice(1, -1).every((line) => /^[A-Za-z0-9+/=]+$/.test(line))
    )
      throw invalid(file, `the entry ${name} is not an encrypted value`, {
        next: `if it is a value in plain text, it is no secret any more: change it where it is used, then composure secrets set ${name}`,
      });
    secrets[name] = `${lines.join('\n')}\n`;
  }
  return { recipients, secrets };
}

function readRecipient(entry: unknown, file: string): Recipient {
  const { recipient, label, ...rest } = mapping(entry);
  if (typeof recipient !== 'string' || (label !== undefined && typeof label !== 'string') || Object.keys(rest).length > 0)
    throw invalid(file, 'an entry of recipients is not {recipient: age1…, label: text}');
  // The value is not repeated: somebody may have pasted the private key.
  if (!/^age1[a-z0-9]+$/.test(recipient)) throw invalid(file, 'an entry of recipients is no age recipient (age1…)');
  return { recipient, label: label ?? '' };
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value);
const mapping = (value: unknown): Record<string, unknown> => (isMapping(value) ? value : {});
const show = (value: unknown): string => JSON.stringify(value)?.slice(0, 60) ?? 'not given';

export function invalid(file: string, what: string, { line, next }: { line?: number; next?: string | undefined } = {}): Failure {
  return new Failure('SECRETS_INVALID', `the file of secrets cannot be used: ${what}`, {
    where: line === undefined ? file : `${file}:${line}`,
    next: next ?? 'take the last version that worked from Git, or correct the file',
  });
}
