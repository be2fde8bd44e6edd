import { join } from 'node:path';

/** The file of secrets as it stands in the project: names and recipients in plain text, values only encrypted. */
export interface SecretsFile {
  recipients: Recipient[];
  /** Armored age files by name. */
  secrets: Record<string, string>;
}

export interface Recipient {
  /** Public: "age1…". */
  recipient: string;
  /** Who or what that is, for people. */
  label: string;
}

/** Where a project's secrets lie. */
export interface SecretsPlace {
  /** The project's folder. */
  folder: string;
  /** --env: its file is asked first, then the one without. */
  environment?: string;
}

/** Names are those of environment variables, because that is how a secret reaches a program. */
export const SECRET_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The file that `composure secrets` changes: `secrets.age.yaml`, or `secrets.<environment>.age.yaml`, in the project's folder. */
export function secretsPath({ folder, environment }: SecretsPlace): string {
  return join(folder, environment === undefined ? 'secrets.age.yaml' : `secrets.${environment}.age.yaml`);
}
