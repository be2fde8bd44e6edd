import { z } from 'zod';
import { count, flag, scalar, text, word } from '../kit/fields.ts';

/** Backup settings of a service and of the project. Retention has restic's own names. */

const WITHIN = /^(\d+[ymdh])+$/;

const keepFields = {
  'keep-last': count(0, 10_000)
    .optional()
    .describe('Keep the newest sets, this many.')
    .meta({ samples: [7] }),
  'keep-hourly': count(0, 10_000)
    .optional()
    .describe('Keep the newest set of each of this many hours that have one.')
    .meta({ samples: [24] }),
  'keep-daily': count(0, 10_000)
    .optional()
    .describe('The same for days.')
    .meta({ samples: [7] }),
  'keep-weekly': count(0, 10_000)
    .optional()
    .describe('The same for weeks.')
    .meta({ samples: [5] }),
  'keep-monthly': count(0, 10_000)
    .optional()
    .describe('The same for months.')
    .meta({ samples: [12] }),
  'keep-yearly': count(0, 10_000)
    .optional()
    .describe('The same for years.')
    .meta({ samples: [3] }),
  'keep-within': scalar('a duration of years, months, days and hours, such as 1y6m or 14d', (value) =>
    WITHIN.test(value) ? value : undefined,
  )
    .optional()
    .describe('Keep every set younger than this: years `y`, months `m`, days `d`, hours `h`.')
    .meta({ samples: ['14d'] }),
};

const schedule = () =>
  scalar('a cron expression with five fields, such as "15 3 * * *"', (value) =>
    value.trim().split(/\s+/).length === 5 && /^[\d*/,\-\sA-Za-z?#L]+$/.test(value) ? value.trim() : undefined,
  );

const timezone = () =>
  scalar('a time zone such as Europe/Berlin or UTC', (value) => {
    try {
      new Intl.DateTimeFormat('en', { timeZone: value });
      return value;
    } catch {
      return undefined;
    }
  });

/** A password in the address would stand in the compose file, in argv and in restic's messages. */
const repository = () =>
  scalar('a path, or an address that begins with s3:, sftp: or rest:, without a password in it', (value) => {
    if (/^rest:https?:\/\/[^/]*@/.test(value) || /^s3:https?:\/\/[^/]*@/.test(value)) return undefined;
    if (/^(s3:|sftp:|rest:https?:\/\/)\S+$/.test(value)) return value;
    return /^[^\s:][^:\n]*$/.test(value) ? value : undefined;
  });

const secretName = () => scalar('the name of a variable', (value) => (/^[A-Za-z_]\w*$/.test(value) ? value : undefined));

const command = () => z.union([text('a command'), z.array(z.string()).min(1, 'expected a command with at least one word')]);

export const serviceBackupKey = z
  .strictObject({
    skip: flag()
      .prefault(false)
      .describe('Leave this service out of backups.')
      .meta({ samples: [true] }),
    type: word('postgres', 'mysql', 'mongodb', 'redis', 'files')
      .optional()
      .describe(
        'What the service is, where its image does not tell. `mysql` also means MariaDB, `redis` also Valkey; `files` saves the volumes as they are.',
      )
      .meta({ samples: ['postgres'] }),
    exclude: z
      .array(text('a pattern'))
      .prefault([])
      .describe('Files to leave out, as patterns of `restic --exclude`.')
      .meta({ samples: [['cache', '*.tmp']] }),
    schedule: schedule()
      .optional()
      .describe('When the agent saves this service alone, besides the whole project at its own times: cron with five fields.')
      .meta({ samples: ['0 * * * *'] }),
    ...keepFields,
    consistency: word('none', 'pause', 'stop')
      .prefault('none')
      .describe('What happens to the containers that use a volume while its files are read. Databases are dumped and need neither.')
      .meta({ samples: ['pause'] }),
    pre: command()
      .optional()
      .describe(
        'Runs in the service’s container before its stores are saved; when it fails, the backup fails. A list of arguments, or words without a shell.',
      )
      .meta({ samples: [['bin/console', 'cache:flush']] }),
    post: command()
      .optional()
      .describe('Runs in the service’s container afterwards, also when the backup failed.')
      .meta({ samples: [['bin/console', 'queue:resume']] }),
    empty: flag()
      .prefault(false)
      .describe(
        'Volumes of this service may hold no file. Otherwise an empty volume fails the backup, because a wrong name and a disk that is not mounted look like that.',
      )
      .meta({ samples: [true] }),
  })
  .describe('What is saved of this service, where it is not what is found.');

export const projectBackupKey = z
  .strictObject({
    repository: repository()
      .optional()
      .describe(
        'Where backups go, as restic writes it: a path, `s3:…`, `sftp:…`, `rest:…`. Passwords are secrets and do not stand in the address.',
      )
      .meta({ samples: ['s3:https://s3.example.com/backups/shop', 'sftp:backup@nas:/srv/restic', '/mnt/backup/shop'] }),
    schedule: schedule()
      .optional()
      .describe('When the agent makes a backup: cron with five fields.')
      .meta({ samples: ['15 3 * * *'] }),
    timezone: timezone()
      .prefault('UTC')
      .describe('Time zone of the schedule.')
      .meta({ samples: ['Europe/Berlin'] }),
    verify: z
      .strictObject({
        schedule: schedule()
          .prefault('30 5 * * *')
          .describe('When the agent checks the repository. It does so only where `repository` and the schedule of backups are set.')
          .meta({ samples: ['30 5 * * *'] }),
        parts: count(1, 365)
          .prefault(7)
          .describe('Each check reads one of this many parts, so that after as many checks everything was read.')
          .meta({ samples: [7, 30] }),
      })
      .prefault({})
      .describe('Checks of the repository.'),
    drill: z
      .strictObject({
        schedule: schedule()
          .prefault('0 6 * * 0')
          .describe(
            'When the agent restores the latest set into scratch containers. It does so only where `repository` and the schedule of backups are set.',
          )
          .meta({ samples: ['0 6 * * 0'] }),
      })
      .prefault({})
      .describe('Restore drills.'),
    notify: z
      .array(
        z
          .strictObject({
            webhook: secretName()
              .optional()
              .describe('Name of the secret that holds the address of a webhook.')
              .meta({ samples: ['BACKUP_WEBHOOK'] }),
            heartbeat: secretName()
              .optional()
              .describe('Name of the secret that holds the address of a dead-man switch.')
              .meta({ samples: ['BACKUP_HEARTBEAT'] }),
          })
          .refine(({ webhook, heartbeat }) => (webhook === undefined) !== (heartbeat === undefined), {
            error: 'expected either `webhook` or `heartbeat`, with the name of a secret that holds an address',
          }),
      )
      .prefault([])
      .describe(
        'Who is told. A `webhook` gets a JSON document by POST when something failed, and at the first success after it; a `heartbeat` is asked by GET after every backup that succeeded, so that its silence is the alarm. Both name a secret that holds the address.',
      )
      .meta({ samples: [[{ webhook: 'BACKUP_WEBHOOK' }, { heartbeat: 'BACKUP_HEARTBEAT' }]] }),
    ...keepFields,
    'append-only': flag()
      .prefault(false)
      .describe(
        'This machine may add to the repository and remove nothing from it: a REST server with `--append-only`, or keys that may not delete. The agent does not prune it then; somebody who may does, with `composure backup prune`.',
      )
      .meta({ samples: [true] }),
    'limit-upload': count(1)
      .optional()
      .describe('Most that is sent to the repository, in KiB a second.')
      .meta({ samples: [2048] }),
    'limit-download': count(1)
      .optional()
      .describe('Most that is read from the repository, in KiB a second.')
      .meta({ samples: [4096] }),
    cpus: count(1, 1024)
      .optional()
      .describe('Processors that restic may use at a time. Left out: all.')
      .meta({ samples: [1] }),
    secrets: z
      .array(secretName())
      .prefault(['RESTIC_PASSWORD'])
      .describe(
        'Names of the secrets that restic gets as variables. `RESTIC_PASSWORD` is always among them; S3 needs `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a REST server `RESTIC_REST_USERNAME` and `RESTIC_REST_PASSWORD`.',
      )
      .meta({ samples: [['RESTIC_PASSWORD', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']] }),
  })
  .describe('Backups of the project.');

export type ServiceBackupKey = z.output<typeof serviceBackupKey>;
export type ProjectBackupKey = z.output<typeof projectBackupKey>;
