import type { Entry } from '../rollout/journal.ts';

/** What a command may use of the process around it, so that tests can run it within theirs. */
export interface Io {
  cwd: string;
  env: NodeJS.ProcessEnv;
  stdout: (text: string) => void;
  stderr: (text: string) => void;
  /** Answers to questions, line by line; undefined reads the process's own standard input. */
  stdin?: string;
  /** Somebody sits before it who can be asked. */
  isTTY: boolean;
  /** What is printed is seen at once by whoever sits there; undefined: as isTTY. */
  outIsTTY?: boolean;
  /** Ends the command as Ctrl-C does; undefined listens to the process's own signals. */
  signal?: AbortSignal;
  /** Called after each journal entry is on the disk. */
  afterJournal?: (entry: Entry) => void;
}
