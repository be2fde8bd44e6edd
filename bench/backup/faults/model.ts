import type { ErrorCode } from '../../../src/kit/errors.ts';
import type { ScenarioProject } from '../../../test/support/scenario.ts';

/** A project that is well and has one whole set, for faults to be injected into. Each fault leaves it as it was. */
export interface Subject {
  project: ScenarioProject;
  bin: string;
  /** A folder. What is spoiled in it is spoiled in a copy. */
  repository: string;
}

/** How a command ended, and all that it has written. */
export interface Answer {
  exitCode: number | null;
  /** Of its failure; "OK" without one. */
  code: string;
  text: string;
}

export interface Running {
  answer: Promise<Answer>;
  /** Resolves once it has written this. */
  says(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** The command that has to find a fault. `env` is added to its environment. */
export interface Finder {
  run(env?: Record<string, string>): Promise<Answer>;
  start(env?: Record<string, string>): Running;
}

export interface Fault {
  name: string;
  /** The command line that has to find it. */
  by: readonly string[];
  /** What it has to end with; "OK" where it puts the fault right by itself. */
  code: ErrorCode | 'OK';
  /** Without these words it failed for another reason, or noticed nothing. */
  says: string;
  /** Injects the fault, has the command run, and takes the fault away again. */
  happen(subject: Subject, finder: Finder): Promise<Answer>;
}

/** A command that left something which it must not leave has not found its fault, whatever it said. */
export const leavingNothing = (answer: Answer, left: readonly string[]): Answer =>
  left.length === 0 ? answer : { ...answer, code: 'left something', text: `${answer.text}\nleft: ${left.join(', ')}` };
