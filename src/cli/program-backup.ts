import { type Command, Option } from 'commander';
import type { Project } from '../project/model.ts';
import type { Outcome, ProjectFlags } from './flags.ts';
import type { Io } from './io.ts';
import { isoTime } from './iso-time.ts';

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

const collect = (value: string, all: string[] = []): string[] => [...all, value];

/** composure backup …: one block and one file in commands/backup/ for each command. */
export function addBackupCommands(program: Command, io: Io, _outcome: Outcome, shared: Shared): void {
  const { onProject, confirmable, waiting, example, startLoading } = shared;
  const backup = program
    .command('backup')
    .description('backups that have been restored: encrypted by restic, proved by drills')
    .addHelpText('after', example('backup init', 'backup run', 'backup drill', 'backup restore --dry-run'));

  // Making one.
  confirmable(onProject(backup.command('init')))
    .description('create the encrypted repository, with a password in the file of secrets, and show what a backup would save')
    .addHelpText('after', example('backup init', 'backup init --dry-run', 'backup init --env prod --yes'))
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/init.ts')).backupInitCommand(io, flags, project);
    });
  waiting(onProject(backup.command('run')))
    .description('save everything of the project as one set: databases, volumes, the project itself; all or nothing')
    .option('--only <service>', 'only what belongs to this service; may be given several times', collect)
    .option('--dry-run', 'say what would be saved and what not, and touch nothing')
    .addHelpText(
      'after',
      example('backup run', 'backup run --dry-run', 'backup run --only db --only uploads', 'backup run --wait 10m --json'),
    )
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/run.ts')).backupRunCommand(io, flags, project);
    });
  onProject(backup.command('status'))
    .description('the last set, the last proven one, how everything went last and when it is next; asks this host alone')
    .addHelpText('after', example('backup status', 'backup status --json'))
    .action(async (flags) => (await import('./commands/backup/status.ts')).backupStatusCommand(io, flags));

  // What there is.
  onProject(backup.command('list'))
    .description('the sets in the repository, newest first, and whether each has been proven by a restore')
    .addHelpText('after', example('backup list', 'backup list --json'))
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/list.ts')).backupListCommand(io, flags, project);
    });

  onProject(backup.command('show'))
    .description('what a set holds: stores, what was counted, when it is of, which images; default the latest')
    .argument('[set]', 'id of a set, or its beginning')
    .addOption(atOption())
    .addHelpText('after', example('backup show', 'backup show 20261124T0612', 'backup show --at 2026-11-24T06:00:00Z --json'))
    .action(async (set: string | undefined, flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/show.ts')).backupShowCommand(io, set, flags, project);
    });

  // Proof.
  waiting(chosen(onProject(backup.command('drill'))))
    .description('restore a set into scratch containers without a way out, compare it, start the application on it, remove everything')
    .option('--keep', 'leave the scratch containers for a look')
    .option('--remove <id>', 'remove what --keep left')
    .option('--dry-run', 'say what would be restored and started, and touch nothing')
    .addHelpText(
      'after',
      example('backup drill', 'backup drill --dry-run', 'backup drill --at 2026-11-24T06:00:00Z --json', 'backup drill --keep'),
    )
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/drill.ts')).backupDrillCommand(io, flags, project);
    });

  // The repository.
  waiting(onProject(backup.command('verify')))
    .description('check the repository and read a part of its data, another one each time; every snapshot of every set has to be there')
    .option('--all', 'read all data now')
    .addHelpText('after', example('backup verify', 'backup verify --all', 'backup verify --wait 10m --json'))
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/verify.ts')).backupVerifyCommand(io, flags, project);
    });
  waiting(confirmable(onProject(backup.command('prune'))))
    .description('remove the sets that no keep-* rule keeps, and what failed runs left; the newest set and the newest proven one stay')
    .addHelpText('after', example('backup prune', 'backup prune --dry-run', 'backup prune --yes --json'))
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/prune.ts')).backupPruneCommand(io, flags, project);
    });
  confirmable(onProject(backup.command('unlock')))
    .description('remove locks that dead processes left in the repository; those of living ones stay')
    .option('--all', 'also those of processes that seem alive')
    .addHelpText('after', example('backup unlock', 'backup unlock --dry-run', 'backup unlock --all'))
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/unlock.ts')).backupUnlockCommand(io, flags, project);
    });

  // Back again.
  waiting(confirmable(chosen(onProject(backup.command('restore')))))
    .description('put data of a set in the place of what is there, proven in scratch first and with a way back; or write it elsewhere')
    .option(
      '--only <name>',
      'a store, a service, a volume or a path in the container; may be given several times; default all data',
      collect,
    )
    .option(
      '--to <where>',
      'a new or empty folder (./FOLDER), or the name of a Compose project that does not exist yet; nothing live is touched',
    )
    .addHelpText(
      'after',
      example(
        'backup restore --dry-run',
        'backup restore --at 2026-11-24T06:00:00Z',
        'backup restore --only uploads --yes',
        'backup restore --to ./looked-at --only db',
        'backup restore --to shop-yesterday',
      ),
    )
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/backup/restore.ts')).backupRestoreCommand(io, flags, project);
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

  confirmable(chosen(program.command('rebuild')))
    .description('make a project on a machine that has nothing of it, from its backup: files, images, data, routes, running; timed')
    .option('--from <repository>', 'where the backups are, as restic writes it; default what the kit says')
    .option('--kit <file>', 'recovery kit, which has the password, the storage’s credentials and the old machine’s identity')
    .option('--identity <file>', 'age identity that opens the kit')
    .option('--project <name>', 'which project, where the repository has several')
    .option('--to <folder>', 'where the project’s files go; default where they were')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      example(
        'rebuild --from s3:https://s3.example.com/backups/shop --kit shop.age --identity key.txt --dry-run',
        'rebuild --kit shop.age --identity key.txt',
        'rebuild --from /mnt/backup/shop --project shop --to /srv/shop --yes',
      ),
    )
    .action(async (flags) => (await import('./commands/rebuild.ts')).rebuildCommand(io, flags));
}

/** --set and --at; without both the latest complete set is meant. */
function chosen(command: Command): Command {
  return command
    .option('--set <id>', 'a set of composure backup list, or the beginning of its id; default the latest')
    .addOption(atOption().conflicts('set'));
}

const atOption = (): Option =>
  new Option('--at <time>', 'the latest set at or before this time, as 2026-11-24T06:00:00Z; without a zone it is UTC').argParser((text) =>
    isoTime(text, Date.now()),
  );
