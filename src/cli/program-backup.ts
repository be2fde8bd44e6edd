import { type Command, InvalidArgumentError } from 'commander';
import type { Project } from '../project/model.ts';
import type { Outcome, ProjectFlags } from './flags.ts';
import type { Io } from './io.ts';

/** What the commands of all groups are declared with. */
export interface Shared {
  /** Options of a command that works on the project of the current folder. */
  onProject: (command: Command) => Command;
  /** --yes and --dry-run. */
  confirmable: (command: Command) => Command;
  /** --wait. */
  waiting: (command: Command) => Command;
  /** Text for `addHelpText('after', …)`. */
  example: (...lines: string[]) => string;
  startLoading: (io: Io, flags: ProjectFlags) => Promise<Project>;
}

/** composure backup …: one block and one file in commands/backup/ for each command. */
export function addBackupCommands(program: Command, io: Io, _outcome: Outcome, shared: Shared): void {
  const { onProject, confirmable, example, startLoading } = shared;
  const backup = program.command('backup').description('backups that have been restored: encrypted by restic, proved by drills');

  // What there is.
  onProject(backup.command('list'))
    .description('the sets in the repository, newest first, and whether each has been proven by a restore')
    .addHelpText('after', example('backup list', 'backup list --json'))
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/list.ts')).backupListCommand(io, flags, project);
    });

  // The repository.
  confirmable(onProject(backup.command('unlock')))
    .description('remove locks that dead processes left in the repository; those of living ones stay')
    .option('--all', 'also those of processes that seem alive')
    .addHelpText('after', example('backup unlock', 'backup unlock --dry-run', 'backup unlock --all'))
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/unlock.ts')).backupUnlockCommand(io, flags, project);
    });

  // Away from this machine.
  onProject(backup.command('kit'))
    .description('write a recovery kit: one encrypted file with all that an empty machine needs to restore the project')
    .requiredOption('--recipient <recipient>', 'age1… whose identity is kept away from this machine; may be given several times', collect)
    .option('--out <file>', 'where to; default <project>-recovery-kit.age')
    .option('--dry-run', 'say what it would hold and write nothing')
    .addHelpText(
      'after',
      example(
        'backup kit --recipient age1jp5a4spux2knflvap9wurcvry22c3rg2dv7m4dvmnjn8dlu6e97qeaudpr',
        'backup kit --recipient age1jp5a4spux2knflvap9wurcvry22c3rg2dv7m4dvmnjn8dlu6e97qeaudpr --out /mnt/usb/shop.age',
      ),
    )
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/kit.ts')).backupKitCommand(io, flags, project);
    });
  chosen(onProject(backup.command('export')))
    .description('write one set as an archive that tar, zstd and the databases’ own programs read')
    .option('--out <file>', 'where to; default <project>-<set>.tar.zst, with .age where it is encrypted')
    .option('--recipient <recipient>', 'encrypt it with age for this recipient; may be given several times', collect)
    .option('--dry-run', 'say what it would hold and write nothing')
    .addHelpText(
      'after',
      example('backup export', 'backup export --at 2026-11-24T06:00:00Z --out /mnt/usb/shop.tar.zst', 'backup export --dry-run'),
    )
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/export.ts')).backupExportCommand(io, flags, project);
    });
}

const collect = (value: string, all: string[] = []): string[] => [...all, value];

/** --set and --at; without both the latest complete set is meant. */
function chosen(command: Command): Command {
  return command
    .option('--set <id>', 'a set of composure backup list, or the beginning of its id; default the latest')
    .option('--at <time>', 'the latest set at or before this time, as 2026-11-24T06:00:00Z', isoTime);
}

function isoTime(text: string): string {
  if (/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/.test(text) && !Number.isNaN(Date.parse(text)))
    return new Date(text).toISOString();
  throw new InvalidArgumentError('write a time as 2026-11-24T06:00:00Z.');
}
