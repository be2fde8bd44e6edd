import { resolve } from 'node:path';
import type { ProjectBackupKey, ServiceBackupKey } from './backup-schema.ts';
import type { Problem } from './check.ts';
import type { BackupSettings, KeepRules, ServiceBackup } from './model.ts';
import type { Path } from './sources.ts';
import { splitWords } from './words.ts';

/** When the file says nothing about retention: a week of days, a month of weeks, half a year of months. */
const KEEP: KeepRules = { daily: 7, weekly: 5, monthly: 6 };

const RULES = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly', 'within'] as const;

function readKeep(key: { [field in `keep-${(typeof RULES)[number]}`]?: KeepRules[keyof KeepRules] | undefined }): KeepRules {
  return Object.fromEntries(RULES.flatMap((rule) => (key[`keep-${rule}`] === undefined ? [] : [[rule, key[`keep-${rule}`]]])));
}

/** x-composure.backup with a local repository as an absolute path. Pure. */
export function readProjectBackup(key: ProjectBackupKey, folder: string): BackupSettings {
  const keep = readKeep(key);
  return {
    ...(key.repository === undefined
      ? {}
      : { repository: /^(s3|sftp|rest):/.test(key.repository) ? key.repository : resolve(folder, key.repository) }),
    ...(key.schedule === undefined ? {} : { schedule: key.schedule }),
    timezone: key.timezone,
    verify: key.verify,
    drill: key.drill,
    notify: key.notify.map(({ webhook, heartbeat = '' }) =>
      webhook === undefined ? { kind: 'heartbeat', secret: heartbeat } : { kind: 'webhook', secret: webhook },
    ),
    keep: Object.keys(keep).length > 0 ? keep : KEEP,
    ...(key['append-only'] ? { appendOnly: true } : {}),
    ...(key['limit-upload'] === undefined ? {} : { limitUpload: key['limit-upload'] }),
    ...(key['limit-download'] === undefined ? {} : { limitDownload: key['limit-download'] }),
    ...(key.cpus === undefined ? {} : { cpus: key.cpus }),
    secrets: [...new Set(['RESTIC_PASSWORD', ...key.secrets])],
  };
}

/** x-backup of one service; a hook that is no list of words goes into `problems`. Pure. */
export function readServiceBackup(key: ServiceBackupKey, service: string, path: Path, problems: Problem[]): ServiceBackup {
  const words = (field: 'pre' | 'post'): { pre?: string[]; post?: string[] } => {
    const written = key[field];
    if (written === undefined) return {};
    const command = typeof written === 'string' ? splitWords(written) : written;
    if (command) return { [field]: command };
    problems.push({ path: [...path, field], message: `service ${service}: a quote in ${field} is not closed` });
    return {};
  };
  const keep = readKeep(key);
  return {
    skip: key.skip,
    ...(key.schedule === undefined ? {} : { schedule: key.schedule }),
    ...(Object.keys(keep).length === 0 ? {} : { keep }),
    ...(key.type === undefined ? {} : { type: key.type }),
    exclude: key.exclude,
    consistency: key.consistency,
    ...words('pre'),
    ...words('post'),
    empty: key.empty,
  };
}
