import type { Command } from 'commander';
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
}
